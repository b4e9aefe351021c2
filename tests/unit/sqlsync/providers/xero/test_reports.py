"""Xero's reports: sections, headings that span sections, sums that Xero made, periods."""

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
from schema.report_model import Report, ReportSpec
from schema.report_rows import own_columns, table_rows
from sqlsync.errors import ProviderFault
from sqlsync.providers.xero.reports import period_of, read_report, report
from sqlsync.providers.xero.requests import Tenant

REFERENCE = Path(__file__).parents[6] / "shared/reference/xero"
CATALOG = load_catalog("xero")
AT = datetime(2026, 11, 2, tzinfo=UTC)
MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])

with_reference = pytest.mark.skipif(
    not REFERENCE.exists(), reason=f"NOT CHECKED: the reference is not at {REFERENCE}"
)


def read(name: str, body: Any, **parameters: Any) -> Report:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_report(CATALOG.by_report[name], parameters, MEMBERS.decode(raw), AT)


def rows_of(spec: ReportSpec, found: Report) -> list[dict[str, Any]]:
    return [dict(zip(own_columns(spec), row, strict=True)) for row in table_rows(spec, found)]


@pytest.fixture(scope="module")
def examples() -> dict[str, dict[str, Any]]:
    """The examples of the official file, by report."""
    yaml = pytest.importorskip("yaml", reason="NOT CHECKED: PyYAML is not installed")
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    document = yaml.load((REFERENCE / "xero_accounting.yaml").read_text("utf-8"), Loader=loader)
    by_endpoint = {spec.endpoint: spec.name for spec in CATALOG.reports}
    found = {}
    for path, item in document["paths"].items():
        if path.startswith("/Reports"):
            answer = item["get"]["responses"]["200"]["content"]["application/json"]
            name = by_endpoint[path.removeprefix("/Reports").strip("/")]
            if "example" in answer:
                found[name] = answer["example"]
    return found


@with_reference
def test_every_example_of_the_official_file_is_read(examples: dict[str, dict[str, Any]]) -> None:
    assert len(examples) == 8
    for name, body in examples.items():
        spec = CATALOG.by_report[name]
        found = read(name, body)
        rows = rows_of(spec, found)
        assert rows, name
        assert found.period_end is not None, name
        said = [c.column for c in spec.columns if c.column not in (None, "overdue")]
        seen = {c for row in rows for c, value in row.items() if value is not None}
        # Members that an example happens to leave out.
        assert set(said) - seen <= {"number", "reference", "box11", "box13"}, name


@with_reference
def test_a_heading_without_rows_holds_until_its_total(examples: dict[str, dict[str, Any]]) -> None:
    spec = CATALOG.by_report["BalanceSheet"]
    found = read("BalanceSheet", examples["BalanceSheet"])
    rows = rows_of(spec, found)
    sections = {tuple(row["section"]) for row in rows if row["row_type"] == "data"}
    assert ("Assets", "Bank") in sections and ("Equity",) in sections
    for heading, words in (("Assets", "Total Assets"), ("Liabilities", "Total Liabilities")):
        inside = [row for row in rows if row["section"][:1] == [heading]]
        data = sum(row["amount"] for row in inside if row["row_type"] == "data")
        [total] = [row for row in inside if row["label"] == words]
        assert total["row_type"] == "summary" and total["depth"] == 0
        assert data == total["amount"]
    [net] = [row for row in rows if row["label"] == "Net Assets"]
    assert (net["row_type"], net["section"]) == ("summary", [])
    earnings = next(row for row in rows if row["label"] == "Current Year Earnings")
    assert earnings["account_id"] is None  # the id that means none
    assert json.loads(earnings["cells"])["31 Mar 2019"] == 156621.67


@with_reference
def test_sums_that_xero_made_are_no_data() -> None:
    body = (REFERENCE / "samples/report_profit_and_loss.json").read_bytes()
    spec = CATALOG.by_report["ProfitAndLoss"]
    found = read("ProfitAndLoss", body)
    assert (found.period_start, found.period_end) == (date(2026, 10, 1), date(2026, 10, 31))
    rows = rows_of(spec, found)
    made = {row["label"] for row in rows if row["row_type"] == "summary"}
    assert {"Gross Profit", "Net Profit", "Total Income"} <= made
    data = {row["label"]: row["amount"] for row in rows if row["row_type"] == "data"}
    assert data == {
        "Sales": Decimal("660.00"),
        "Other Revenue": Decimal("18.00"),
        "Cost of Goods Sold": Decimal("1400.00"),
    }
    sales = next(row for row in rows if row["label"] == "Sales")
    assert sales["account_id"] == "f1a2803b-7c5d-4e96-b4f0-82d91e6a3c57"
    assert sales["section"] == ["Income"] and sales["depth"] == 1


@with_reference
def test_the_account_of_a_contact_has_its_invoices() -> None:
    body = (REFERENCE / "samples/report_aged_receivables_by_contact.json").read_bytes()
    spec = CATALOG.by_report["AgedReceivablesByContact"]
    opening, invoice, total, closing = rows_of(spec, read(spec.name, body))
    assert [r["row_type"] for r in (opening, total, closing)] == ["summary"] * 3
    assert (invoice["row_type"], invoice["number"]) == ("data", "INV-0241")
    assert invoice["invoice_id"] == "c3a5f08d-1b96-47e2-8d40-5f6b92e7a3c1"
    assert (invoice["date"], invoice["due_date"]) == (date(2026, 10, 6), date(2026, 11, 20))
    assert invoice["due"] == total["due"] == closing["due"] == Decimal("479.70")


@pytest.mark.parametrize(
    ("titles", "start", "end"),
    [
        (["P&L", "1 October 2026 to 31 October 2026"], "2026-10-01", "2026-10-31"),
        (["From 10 October 2017 to 22 April 2019", "to 22 April 2019"], "2017-10-10", "2019-04-22"),
        (["As at 30 April 2019"], None, "2019-04-30"),
        (["For the month of November 2019"], "2019-11-01", "2019-11-30"),
        (["November 2019 to October 2022"], "2019-11-01", "2022-10-31"),
        (["1 Jan 2023 to 31 Dec 2023"], "2023-01-01", "2023-12-31"),
        (["For the month of February 2024"], "2024-02-01", "2024-02-29"),
        (["31 June 2026 to 5 July 2026"], None, "2026-07-05"),
        (["Tui Street Café", "", "Balance"], None, None),
    ],
)
def test_the_titles_tell_the_period(titles: list[str], start: str | None, end: str | None) -> None:
    found = [None if day is None else day.isoformat() for day in period_of(titles)]
    assert found == [start, end]


def test_days_that_were_asked_for_stand_where_no_title_tells() -> None:
    body = {"Reports": [{"ReportTitles": ["Bilan"], "Rows": []}]}
    found = read("ProfitAndLoss", body, from_date="2026-01-01", to_date="2026-01-31")
    assert (found.period_start, found.period_end) == (date(2026, 1, 1), date(2026, 1, 31))
    assert (found.as_of, found.no_data) == (AT, True)
    assert read("BalanceSheet", body, date="2026-01-31").period_end == date(2026, 1, 31)
    assert read("BalanceSheet", body, payments_only=True).accounting_method == "Cash"


def test_the_list_of_published_reports_is_a_row_a_report() -> None:
    spec = CATALOG.by_report["ReportsList"]
    one = {"ReportID": "a-1", "ReportName": "GST Return", "ReportDate": "30 June 2026"}
    [row] = rows_of(spec, read("ReportsList", {"Reports": [one]}))
    assert (row["report_id"], row["report_name"]) == ("a-1", "GST Return")
    assert read("ReportsList", {"Reports": []}).no_data is True
    forms = read("TenNinetyNine", {"Reports": []}, report_year=2026)
    assert forms.no_data is True and forms.period_start == date(2026, 1, 1)


@pytest.mark.parametrize(
    "body",
    [{}, {"Reports": []}, {"Reports": 5}, {"Reports": [{"Rows": [{"Cells": 5}]}]}],
    ids=["empty", "none", "number", "cells"],
)
def test_what_is_no_report_is_a_fault_of_the_provider(body: Any) -> None:
    with pytest.raises(ProviderFault):
        read("ProfitAndLoss", body)


CELLS = st.lists(
    st.fixed_dictionaries(
        {"Value": st.text(max_size=6)},
        optional={"Attributes": st.just([{"Id": "account", "Value": "a"}])},
    ),
    max_size=3,
)
LINES = st.fixed_dictionaries(
    {"RowType": st.sampled_from(["Row", "SummaryRow", "Header"]), "Cells": CELLS}
)
SECTIONS = st.fixed_dictionaries(
    {"RowType": st.just("Section")},
    optional={
        "Title": st.sampled_from(["", "Assets", "Bank", "Total"]),
        "Rows": st.lists(LINES, max_size=4),
    },
)


@given(st.lists(SECTIONS | LINES, max_size=6))
def test_no_row_of_an_answer_is_lost(rows: list[dict[str, Any]]) -> None:
    header = next((row for row in rows if row["RowType"] == "Header"), None)
    lines = [row for row in rows if "Cells" in row and row is not header]
    lines += [line for row in rows for line in row.get("Rows", ())]
    titles = [row for row in rows if row.get("Title")]
    found = read("ProfitAndLoss", {"Reports": [{"Rows": rows}]})
    assert len(found.rows) == len(lines) + len(titles)
    assert len(list(table_rows(CATALOG.by_report["ProfitAndLoss"], found))) == len(found.rows)
    for row in found.rows:
        assert len(row.section) == len(row.section_ids) and 0 <= row.depth <= len(row.section)


def test_a_report_is_asked_for_by_its_address_and_the_names_of_the_provider() -> None:
    tenant = Tenant("http://x", "t")
    by_id = report(tenant, CATALOG.by_report["ReportByID"], {"report_id": "a/1"})
    assert (by_id.url, by_id.params) == ("http://x/api.xro/2.0/Reports/a%2F1", ())
    listed = report(tenant, CATALOG.by_report["ReportsList"], {})
    assert listed.url == "http://x/api.xro/2.0/Reports"
    asked = {"from_date": "2026-01-01", "standard_layout": True, "periods": 2}
    one = report(tenant, CATALOG.by_report["ProfitAndLoss"], asked)
    assert one.url == "http://x/api.xro/2.0/Reports/ProfitAndLoss"
    assert dict(one.params) == {"fromDate": "2026-01-01", "standardLayout": "true", "periods": "2"}
    assert one.headers["accept"] == "application/json"
