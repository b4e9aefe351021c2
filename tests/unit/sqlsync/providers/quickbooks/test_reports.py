"""QuickBooks' reports: nested sections flattened, and what is no report refused."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.loader import load_catalog
from schema.report_model import Report, ReportSpec, RowType
from schema.report_rows import own_columns, table_rows
from sqlsync.errors import ProviderFault, RuleBroken
from sqlsync.providers.messages import HttpResponse
from sqlsync.providers.quickbooks.faults import About
from sqlsync.providers.quickbooks.reports import read_report, report
from sqlsync.providers.quickbooks.requests import Company
from sqlsync.providers.quickbooks.responses import read_answer

SAMPLES = Path(__file__).parents[6] / "shared/reference/quickbooks/samples"
CATALOG = load_catalog("quickbooks")
BY_ENDPOINT = {spec.endpoint: spec for spec in CATALOG.reports}
SPEC = CATALOG.by_report["ProfitAndLoss"]
AT = datetime(2026, 3, 2, 17, 15, tzinfo=UTC)
MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])

with_samples = pytest.mark.skipif(
    not SAMPLES.exists(), reason=f"NOT CHECKED: the samples are not at {SAMPLES}"
)


def read(body: Any, spec: ReportSpec = SPEC) -> Report:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_report(spec, MEMBERS.decode(raw), AT)


def sample(name: str) -> tuple[ReportSpec, Report]:
    body = (SAMPLES / f"report_{name}.json").read_bytes()
    spec = BY_ENDPOINT[json.loads(body)["Header"]["ReportName"]]
    return spec, read(body, spec)


def rows_of(spec: ReportSpec, found: Report) -> list[dict[str, Any]]:
    return [dict(zip(own_columns(spec), row, strict=True)) for row in table_rows(spec, found)]


def cells(*values: str) -> dict[str, Any]:
    return {"ColData": [{"value": value} for value in values]}


@with_samples
def test_profit_and_loss_is_rows_with_their_sections_and_its_sums_hold() -> None:
    spec, found = sample("profit_and_loss")
    assert (found.period_start, found.period_end) == (date(2026, 1, 1), date(2026, 3, 2))
    assert (found.accounting_method, found.currency, found.no_data) == ("Accrual", "USD", False)
    assert found.as_of == datetime(2026, 3, 2, 17, 15, 42, 117000, tzinfo=UTC)
    rows = rows_of(spec, found)
    repairs = next(row for row in rows if row["label"] == "Repairs")
    assert repairs["section"] == ["Income", "Services"]
    assert repairs["section_ids"] == [None, "45"]
    assert (repairs["depth"], repairs["row_group"], repairs["account_id"]) == (2, "Income", "46")
    for section, total in (("Income", "310.50"), ("Expenses", "64.20")):
        inside = [row for row in rows if row["section"][:1] == [section]]
        own = [row["total"] or 0 for row in inside if row["row_type"] != "summary"]
        [said] = [r["total"] for r in inside if r["row_type"] == "summary" and r["depth"] == 0]
        assert sum(own) == said == Decimal(total)
    assert [row["total"] for row in rows if row["row_group"] == "NetIncome"] == [Decimal("246.30")]


@with_samples
def test_the_ledger_names_account_and_transaction() -> None:
    spec, found = sample("general_ledger")
    heading, invoice, payment, total = rows_of(spec, found)
    assert (heading["row_type"], heading["label_id"]) == ("section", "84")
    assert invoice["section_ids"] == ["84"]
    assert (invoice["txn_type"], invoice["txn_id"]) == ("Invoice", "145")
    assert (invoice["txn_date"], invoice["name_id"]) == (date(2026, 2, 20), "58")
    assert invoice["amount"] + payment["amount"] == total["amount"] == Decimal("187.07")
    assert payment["split_account_id"] == "4"


@with_samples
def test_the_ages_of_debts_are_columns() -> None:
    spec, found = sample("aged_receivables")
    customer, total = rows_of(spec, found)
    assert (customer["customer_id"], customer["current"]) == ("58", Decimal("97.07"))
    assert (customer["days_1_30"], total["days_1_30"]) == (None, Decimal("0.00"))
    assert (total["row_type"], total["row_group"]) == ("summary", "GrandTotal")


@with_samples
def test_no_data_is_a_report_without_rows() -> None:
    _, found = sample("no_data")
    assert found.no_data is True
    assert found.rows == ()
    assert len(found.headings) == 2


def test_a_parent_account_keeps_its_own_amount() -> None:
    section = {
        "Header": {"ColData": [{"value": "Services", "id": "45"}, {"value": "100.00"}]},
        "Rows": {"Row": [cells("Repairs", "20.00")]},
        "Summary": cells("Total Services", "120.00"),
        "type": "Section",
    }
    columns = [{"ColTitle": "", "ColType": "Account"}, {"ColTitle": "Total", "ColType": "Money"}]
    found = read({"Header": {}, "Columns": {"Column": columns}, "Rows": {"Row": [section]}})
    heading, line, total = rows_of(SPEC, found)
    assert heading["total"] + line["total"] == total["total"]
    assert (heading["row_type"], heading["account_id"]) == ("section", "45")
    assert total["section"] == ["Services"] and total["depth"] == heading["depth"] == 0


def test_a_report_too_big_for_quickbooks_says_what_to_do() -> None:
    words = "Unable to display more data. Please reduce the date range."
    with pytest.raises(RuleBroken, match="too big") as refused:
        read({"Header": {}, "Rows": {"Row": [cells(words)]}})
    assert refused.value.hint is not None and "shorter period" in refused.value.hint


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"QueryResponse": {}},
        {"Header": []},
        {"Header": {}, "Rows": {"Row": [{"ColData": 5}]}},
        {"Header": {}, "Rows": []},
    ],
    ids=["empty", "other", "header", "cells", "rows"],
)
def test_what_is_no_report_is_a_fault_of_the_provider(body: Any) -> None:
    with pytest.raises(ProviderFault):
        read(body)


def test_an_answer_nested_without_end_is_a_fault_of_the_provider() -> None:
    deep = b'{"Header":{},"Rows":' + b'{"Row":[{"Rows":' * 5000 + b"{}" + b"}]}" * 5000 + b"}"
    with pytest.raises(ProviderFault):
        read_answer(HttpResponse(200, {}, deep), About(report=SPEC))


TREES = st.recursive(
    st.builds(lambda v: ("data", v), st.integers(-(10**6), 10**6)),
    lambda inner: st.builds(
        lambda title, own, rows: ("section", title, own, rows),
        st.text(min_size=1, max_size=8).filter(str.strip),
        st.integers(-100, 100),
        st.lists(inner, max_size=4),
    ),
    max_leaves=20,
)


def total_of(tree: Any) -> int:
    return tree[1] if tree[0] == "data" else tree[2] + sum(map(total_of, tree[3]))


def shown(tree: Any) -> dict[str, Any]:
    if tree[0] == "data":
        return cells("x", str(tree[1]))
    _, title, own, rows = tree
    return {
        "Header": cells(title, str(own)),
        "Rows": {"Row": [shown(row) for row in rows]} if rows else {},
        "Summary": cells(f"Total {title}", str(total_of(tree))),
        "type": "Section",
    }


@given(st.lists(TREES, max_size=4))
def test_every_sum_is_that_of_the_rows_beneath_it_however_deep(trees: list[Any]) -> None:
    columns = [{"ColTitle": "", "ColType": "Account"}, {"ColTitle": "Total", "ColType": "Money"}]
    body = {"Header": {}, "Columns": {"Column": columns}}
    found = read({**body, "Rows": {"Row": [shown(tree) for tree in trees]}})
    rows = rows_of(SPEC, found)
    stack: list[Decimal] = [Decimal(0)]
    for row in rows:
        if row["row_type"] == "summary":
            assert stack.pop() == row["total"]
            stack[-1] += row["total"]
        elif row["row_type"] == "section":
            stack.append(row["total"])
        else:
            stack[-1] += row["total"]
        assert row["depth"] == len(row["section"]) - (row["row_type"] != "data")
    assert stack == [sum(map(total_of, trees))]
    assert sum(row["total"] for row in rows if row["row_type"] != "summary") == stack[0]


MEMBER_NAMES = st.sampled_from(
    ["Row", "Rows", "ColData", "Header", "value", "Summary", "id", "Column"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBER_NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(ANYTHING)
def test_any_answer_is_a_report_or_a_fault(body: Any) -> None:
    try:
        found = read({"Header": {}, "Rows": body, "Columns": {}})
    except ProviderFault:
        return
    assert all(row.type in RowType for row in found.rows)


def test_a_report_is_asked_for_with_the_names_of_the_provider() -> None:
    fec = CATALOG.by_report["FECReport"]
    asked = {"start_date": "2026-01-01", "attachment_type": "NONE", "with_qbo_identifier": True}
    request = report(Company("http://x", "123"), fec, asked)
    assert request.url == "http://x/v3/company/123/reports/FECReport"
    assert request.params == (
        ("start_date", "2026-01-01"),
        ("attachmentType", "NONE"),
        ("withQboIdentifier", "true"),
        ("minorversion", "75"),
    )
    assert request.changes is False
