"""What the cells of a report become in its table."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.loader import load_catalog
from schema.report_model import Cell, Heading, Report, ReportRow, RowType
from schema.report_rows import cell_keys, day_of, number_of, own_columns, place_columns, table_rows

CATALOG = load_catalog("quickbooks")
PROFIT_AND_LOSS = CATALOG.by_report["ProfitAndLoss"]
LEDGER = CATALOG.by_report["GeneralLedger"]
AT = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("shown", "number"),
    [
        ("120.00", "120.00"),
        ("-34.5", "-34.5"),
        ("1,234,567.89", "1234567.89"),
        ("(12.00)", "-12.00"),
        (" 7.3% ", "7.3"),
        ("-413.5%", "-413.5"),
        (".5", "0.5"),
        ("-6.426484907497565725413826680", "-6.426484907497565725413826680"),
    ],
)
def test_a_number_is_read_as_it_is_shown(shown: str, number: str) -> None:
    assert number_of(shown) == Decimal(number)


@pytest.mark.parametrize(
    "shown", ["", "-", "n/a", "1,2", "12 days", "1e5", "NaN", "--1", "1" * 2000]
)
def test_what_is_no_number_is_none(shown: str) -> None:
    assert number_of(shown) is None


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=2, min_value=-(10**15), max_value=10**15
    )
)
def test_every_amount_survives_being_shown(amount: Decimal) -> None:
    assert number_of(f"{amount:f}") == amount
    assert number_of(f"{amount:,f}") == amount


@given(st.text(max_size=40))
def test_any_text_is_a_number_or_none(text: str) -> None:
    found = number_of(text)
    assert found is None or found.is_finite()
    assert day_of(text) is None or isinstance(day_of(text), date)


def report(headings: list[Heading], *rows: ReportRow) -> Report:
    return Report(tuple(headings), rows, b"{}", AT)


def row(*values: str, kind: RowType = RowType.DATA, **more: object) -> ReportRow:
    return ReportRow(kind, tuple(Cell(v) for v in values), b"[]", **more)  # type: ignore[arg-type]


def as_dict(
    spec_rows: list[tuple[object, ...]], columns: tuple[str, ...]
) -> list[dict[str, object]]:
    return [dict(zip(columns, one, strict=True)) for one in spec_rows]


def test_months_beside_each_other_are_cells_by_title_and_the_total_is_a_column() -> None:
    headings = [
        Heading("", "Account"),
        Heading("Jan 2026", "Money", facts={"StartDate": "2026-01-01"}),
        Heading("Feb 2026", "Money"),
        Heading("Total", "Money"),
    ]
    [found] = as_dict(
        list(table_rows(PROFIT_AND_LOSS, report(headings, row("Sales", "10.00", "", "10.00")))),
        own_columns(PROFIT_AND_LOSS),
    )
    assert found["label"] == "Sales"
    assert found["total"] == Decimal("10.00")
    assert json.loads(str(found["cells"])) == {"Jan 2026": 10.0, "Total": 10.0}


def test_the_only_amount_is_the_total_in_any_language() -> None:
    placed = place_columns(PROFIT_AND_LOSS, [Heading("", "Account"), Heading("Gesamt", "Money")])
    assert placed[1].column == "total"
    by_month = [Heading("", "Account"), Heading("Jan", "Money"), Heading("Feb", "Money")]
    assert 1 not in place_columns(PROFIT_AND_LOSS, by_month)


def test_spans_of_another_length_are_not_taken_for_those_of_the_columns() -> None:
    aging = CATALOG.by_report["ARAgingSummary"]
    headings = [Heading("", "Customer"), Heading("Current", "Money"), Heading("1 - 10", "Money")]
    placed = place_columns(aging, headings)
    assert placed[1].column == "current"
    assert 2 not in placed


def test_keys_tell_the_columns_of_a_ledger_in_any_order_and_language() -> None:
    headings = [
        Heading("Betrag", "subt_nat_amount", "subt_nat_amount"),
        Heading("Datum", "tx_date", "tx_date"),
        Heading("Art", "txn_type", "txn_type"),
    ]
    line = ReportRow(
        RowType.DATA, (Cell("5.00"), Cell("2026-02-20"), Cell("Invoice", "145")), b"[]"
    )
    heading = row("Accounts Receivable", "", "", kind=RowType.SECTION)
    first, second = as_dict(
        list(table_rows(LEDGER, report(headings, heading, line))), own_columns(LEDGER)
    )
    assert first["amount"] is None and first["label"] == "Accounts Receivable"
    assert json.loads(str(first["cells"])) == {}
    assert second["amount"] == Decimal("5.00")
    assert second["txn_date"] == date(2026, 2, 20)
    assert (second["txn_type"], second["txn_id"]) == ("Invoice", "145")


@given(st.lists(st.sampled_from(["", "Total", "Total (2)", "Jan"]), max_size=6))
def test_no_two_cells_have_one_name(titles: list[str]) -> None:
    keys = cell_keys([Heading(title) for title in titles])
    assert len(set(keys)) == len(keys) == len(titles)


def test_a_row_longer_or_shorter_than_the_headings_loses_no_row() -> None:
    headings = [Heading("", "Account"), Heading("Total", "Money")]
    rows = list(
        table_rows(PROFIT_AND_LOSS, report(headings, row("a"), row("b", "1.00", "2.00"), row()))
    )
    assert [one[own_columns(PROFIT_AND_LOSS).index("label")] for one in rows] == ["a", "b", None]
