"""Reports: names, shapes, columns and parameters as the reference has them; bad values refused."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import quickbooks_xsd
from unit.sqlsync.simulators.conftest import World
from unit.sqlsync.simulators.reading_reports import Report, number

from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.reports.catalog import reports
from sqlsync.simulators.quickbooks.reports.desk import NOTICE
from sqlsync.simulators.quickbooks.reports.periods import MACROS, divide, resolve
from sqlsync.simulators.quickbooks.values import decode

FOLDER = Path(__file__).parents[5] / "shared/reference/quickbooks"
needs_reference = pytest.mark.skipif(
    not FOLDER.exists(), reason=f"NOT CHECKED: the reference is not at {FOLDER}"
)
NEEDED = {"TaxSummary": {"agency_id": "1"}}


@pytest.fixture(scope="module")
def busy() -> Any:
    """A company with some of everything; read only."""
    return World(customers=30, invoices=60)


def run(world: Any, name: str, **params: str) -> Report:
    return Report(world.company.report(name, {**NEEDED.get(name, {}), **params}))


@pytest.fixture(scope="module")
def reference() -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.load((FOLDER / "objects.yaml").read_text(), yaml.CSafeLoader)


@needs_reference
def test_every_report_of_the_reference_is_there_with_its_parameters_and_columns(
    busy: Any, reference: Any
) -> None:
    listed = {
        spec["path"].removeprefix("reports/"): spec
        for spec in reference["objects"].values()
        if spec["kind"] == "report"
    }
    assert set(listed) | {"TrialBalanceFR"} == set(reports()) and len(listed) == 31
    for name, spec in listed.items():
        documented = {param["name"].lower() for param in spec["parameters"]} - {"minorversion"}
        assert reports()[name].parameters == documented
        report = run(busy, name, date_macro="This Fiscal Year")
        shown = [(column["ColType"], column["ColTitle"]) for column in report.columns]
        assert shown[: len(spec["columns"])] == [
            (column["ColType"], column["ColTitle"]) for column in spec["columns"]
        ], name


@pytest.mark.skipif(
    not quickbooks_xsd.is_there(), reason=f"NOT CHECKED: {quickbooks_xsd.FOLDER} is missing"
)
@pytest.mark.parametrize("name", sorted(reports()))
def test_reports_fit_the_services_own_schema(busy: Any, name: str) -> None:
    for params in ({"date_macro": "All"}, {"start_date": "1990-01-01", "end_date": "1990-01-31"}):
        report = run(busy, name, **params, qzurl="true")
        assert quickbooks_xsd.problems("Report", report.doc) == []
        texts = [value for _, _, cells in report.rows for cell in cells for value in cell.values()]
        assert all(isinstance(value, str) for value in texts)
        widths = {len(cells) for _, _, cells in report.rows}
        assert widths <= {len(report.columns)}


@needs_reference
def test_date_macros_are_those_of_the_reference(reference: Any) -> None:
    assert {macro.lower() for macro in reference["enums"]["DateMacro"]} <= set(MACROS)


@needs_reference
@pytest.mark.parametrize(
    ("sample", "name", "params"),
    [
        ("report_profit_and_loss", "ProfitAndLoss", {}),
        ("report_aged_receivables", "AgedReceivables", {}),
        (
            "report_general_ledger",
            "GeneralLedger",
            {"start_date": "2026-02-01", "end_date": "2026-02-28"},
        ),
        ("report_no_data", "ProfitAndLoss", {"start_date": "2020-01-01", "end_date": "2020-01-31"}),
    ],
)
def test_reports_have_the_shape_of_the_samples(
    busy: Any, sample: str, name: str, params: dict[str, str]
) -> None:
    known = decode((FOLDER / "samples" / f"{sample}.json").read_bytes())
    made = run(busy, name, **params)
    assert list(made.doc) == ["Header", "Columns", "Rows"]
    assert list(made.header) == list(known["Header"])
    assert made.header["ReportName"] == known["Header"]["ReportName"]
    assert [o["Name"] for o in made.header["Option"]] == [
        o["Name"] for o in known["Header"]["Option"]
    ]
    assert made.doc["Columns"] == known["Columns"]

    def shapes(rows: list[Any]) -> set[Any]:
        found: set[Any] = set()
        for row in rows:
            found.add((frozenset(row), row.get("type")))
            for part in ("Header", "Summary"):
                found |= {(part, frozenset(cell)) for cell in row.get(part, {}).get("ColData", [])}
            found |= {frozenset(cell) for cell in row.get("ColData", [])}
            found |= shapes(row.get("Rows", {}).get("Row", []))
        return found

    rows = made.doc["Rows"].get("Row", [])
    ours, theirs = shapes(rows), shapes(known["Rows"].get("Row", []))
    if sample == "report_no_data":
        assert made.doc["Rows"] == {} == known["Rows"]
    elif sample == "report_profit_and_loss":  # the sample has a sub-account, this company none
        assert theirs - ours == {(frozenset(["Header", "Rows", "Summary", "type"]), "Section"),
                                 ("Header", frozenset(["value", "id"]))}  # fmt: skip
        assert ours <= theirs
    else:
        assert theirs <= ours


def test_sub_accounts_and_sub_customers_stand_beneath_their_parents(world: Any) -> None:
    sub = {"SubAccount": True, "ParentRef": {"value": "66"}}
    rail = world.write("Account", Name="Rail", AccountType="Expense", **sub)
    kind = "AccountBasedExpenseLineDetail"
    row = {"Amount": 30, "DetailType": kind, kind: {"AccountRef": {"value": rail["Id"]}}}
    cash = {"PaymentType": "Cash", "AccountRef": {"value": "35"}}
    world.write("Purchase", **cash, Line=[row])
    found = next(
        row
        for row in run(world, "ProfitAndLoss").doc["Rows"]["Row"]
        if row.get("group") == "Expenses"
    )
    travel = next(row for row in found["Rows"]["Row"] if "Header" in row)
    assert travel["Header"]["ColData"][0] == {"value": "Travel", "id": "66"}
    assert travel["Rows"]["Row"][-1]["ColData"] == [
        {"value": "Rail", "id": rail["Id"]},
        {"value": "30.00"},
    ]
    assert travel["Summary"]["ColData"][0] == {"value": "Total Travel"}
    parent = world.customer("Parent")
    child = world.customer("Child", ParentRef={"value": parent["Id"]})
    world.invoice(child, 70)
    balances = run(world, "CustomerBalance").doc["Rows"]["Row"]
    nested = next(row for row in balances if "Header" in row)
    assert nested["Header"]["ColData"][0]["value"] == "Parent"
    assert nested["Rows"]["Row"][0]["ColData"][0] == {"value": "Child", "id": child["Id"]}
    assert nested["Summary"]["ColData"] == [{"value": "Total Parent"}, {"value": "70.00"}]


@pytest.mark.parametrize(
    ("name", "params", "code"),
    [
        ("ProfitAndLoss", {"start_date": "01/02/2026"}, "2060"),
        ("ProfitAndLoss", {"start_date": "2026-03-01", "end_date": "2026-02-01"}, "2190"),
        ("ProfitAndLoss", {"date_macro": "this decade"}, "2170"),
        ("ProfitAndLoss", {"accounting_method": "Barter"}, "2170"),
        ("ProfitAndLoss", {"summarize_column_by": "Mood"}, "2170"),
        ("ProfitAndLoss", {"customer": "1,x"}, "2030"),
        ("ProfitAndLoss", {"sort_order": "sideways"}, "2170"),
        ("AgedReceivableDetail", {"aging_period": "0"}, "2090"),
        ("AgedReceivableDetail", {"num_periods": "many"}, "2090"),
        ("AgedReceivables", {"aging_method": "Guess"}, "2170"),
        ("AgedReceivables", {"report_date": "soon"}, "2060"),
        ("GeneralLedger", {"columns": "tx_date,colour"}, "2170"),
        ("GeneralLedger", {"sort_by": "colour"}, "2170"),
        ("TransactionList", {"transaction_type": "Gift"}, "2170"),
        ("TransactionList", {"group_by": "Mood"}, "2170"),
        ("TransactionList", {"bothamount": "much"}, "2140"),
        ("TransactionList", {"bothamount": "nan"}, "2140"),
        ("TaxSummary", {"agency_id": ""}, "2020"),
        ("TaxSummary", {"agency_id": "99"}, "2500"),
    ],
)
def test_bad_parameters_are_refused_with_their_code(
    busy: Any, name: str, params: dict[str, str], code: str
) -> None:
    with pytest.raises(Fault) as caught:
        run(busy, name, **params)
    assert caught.value.code == code


def test_unknown_parameters_are_ignored_and_unknown_reports_are_not_there(busy: Any) -> None:
    plain = run(busy, "TrialBalance")
    assert (
        run(busy, "TrialBalance", colour="red", minorversion="75").doc["Rows"]
        == (plain.doc["Rows"])
    )
    assert busy.company.report("Horoscope", {}) is None


def test_header_says_what_was_asked_for(busy: Any) -> None:
    asked = {"accounting_method": "cash", "summarize_column_by": "month", "customer": "1,2"}
    header = run(busy, "ProfitAndLoss", date_macro="Last Month", **asked).header
    assert header["DateMacro"] == "last month"
    assert (header["StartPeriod"], header["EndPeriod"]) == ("2026-02-01", "2026-02-28")
    assert (header["ReportBasis"], header["SummarizeColumnsBy"]) == ("Cash", "Month")
    assert header["Customer"] == "1,2"
    dated = run(busy, "ProfitAndLoss", start_date="2026-01-05", end_date="2026-02-20").header
    assert "DateMacro" not in dated
    assert (dated["StartPeriod"], dated["EndPeriod"]) == ("2026-01-05", "2026-02-20")
    assert run(busy, "CustomerBalance").options["report_date"] == "2026-03-02"


@pytest.mark.parametrize(
    ("macro", "start", "end"),
    [  # today is Monday, 2 March 2026; the fiscal year starts in April
        ("today", "2026-03-02", "2026-03-02"),
        ("yesterday", "2026-03-01", "2026-03-01"),
        ("this week", "2026-03-01", "2026-03-07"),
        ("last week-to-date", "2026-02-22", "2026-02-23"),
        ("next 4 weeks", "2026-03-08", "2026-04-04"),
        ("last month", "2026-02-01", "2026-02-28"),
        ("this month-to-date", "2026-03-01", "2026-03-02"),
        ("last month-to-date", "2026-02-01", "2026-02-02"),
        ("next month", "2026-04-01", "2026-04-30"),
        ("this calendar quarter", "2026-01-01", "2026-03-31"),
        ("last calendar quarter", "2025-10-01", "2025-12-31"),
        ("this fiscal quarter", "2026-01-01", "2026-03-31"),
        ("this fiscal year", "2025-04-01", "2026-03-31"),
        ("this fiscal year-to-date", "2025-04-01", "2026-03-02"),
        ("last fiscal year", "2024-04-01", "2025-03-31"),
        ("next calendar year", "2027-01-01", "2027-12-31"),
        ("last calendar year-to-date", "2025-01-01", "2025-03-02"),
    ],
)
def test_named_ranges(macro: str, start: str, end: str) -> None:
    assert resolve(macro, date(2026, 3, 2), fiscal_month=4) == (start, end)


def test_columns_of_time_cover_the_range_without_gap_or_overlap() -> None:
    for by in ("days", "week", "month", "quarter", "year", "fiscalquarter", "fiscalyear"):
        found = divide("2025-11-15", "2026-03-10", by, 4)
        assert (found[0].start, found[-1].end) == ("2025-11-15", "2026-03-10")
        for one, next_one in pairwise(found):
            assert date.fromisoformat(one.end).toordinal() + 1 == (
                date.fromisoformat(next_one.start).toordinal()
            )
    months = divide("2026-01-15", "2026-03-31", "month", 1)
    assert [p.title for p in months] == ["Jan 15 - 31, 2026", "Feb 2026", "Mar 2026"]


def test_month_columns_say_which_month_they_are(busy: Any) -> None:
    report = run(
        busy,
        "ProfitAndLoss",
        start_date="2026-01-01",
        end_date="2026-02-28",
        summarize_column_by="Month",
    )
    assert report.columns[1] == {
        "ColTitle": "Jan 2026",
        "ColType": "Money",
        "MetaData": [
            {"Name": "StartDate", "Value": "2026-01-01"},
            {"Name": "EndDate", "Value": "2026-01-31"},
            {"Name": "ColKey", "Value": "Jan 2026"},
        ],
    }


def test_chosen_columns_come_in_the_order_asked_for_and_rows_sort_by_any(busy: Any) -> None:
    columns = "subt_nat_home_amount,tx_date,txn_type,create_date,pmt_mthd"
    report = run(busy, "TransactionList", columns=columns, date_macro="all")
    assert [column["ColType"] for column in report.columns] == columns.split(",")
    for key, order in (("subt_nat_home_amount", "descend"), ("txn_type", "ascend")):
        rows = run(
            busy, "TransactionList", columns=columns, date_macro="all", sort_by=key,
            sort_order=order,
        ).data  # fmt: skip
        at = columns.split(",").index(key)
        values = [number(row[at]) if "amount" in key else row[at]["value"] for row in rows]
        assert values == sorted(values, reverse=order == "descend")
        assert len(rows) == len(report.data)


def test_filters_leave_only_what_they_name(busy: Any) -> None:
    everything = run(busy, "TransactionList", date_macro="all")
    kind, name = everything.column("Transaction Type"), everything.column("Name")
    party = next(row[name]["id"] for row in everything.data if row[kind]["value"] == "Invoice")
    invoices = run(busy, "TransactionList", date_macro="all", transaction_type="Invoice")
    assert {row[kind]["value"] for row in invoices.data} == {"Invoice"}
    of_one = run(busy, "TransactionList", date_macro="all", customer=party)
    assert {row[name]["id"] for row in of_one.data} == {party}
    unpaid = run(
        busy, "TransactionList", date_macro="all", transaction_type="Invoice", arpaid="Unpaid"
    )
    open_ids = {str(r.id) for r in busy.books.table("Invoice").rows.values() if r.open}
    assert {row[kind]["id"] for row in unpaid.data} == open_ids
    banks = run(busy, "TransactionList", date_macro="all", source_account_type="Bank,CreditCard")
    account = banks.column("Account")
    assert {row[account]["id"] for row in banks.data} <= {"35", "36", "41", "42"}
    cash = run(busy, "TransactionList", date_macro="all", payment_method="cash", columns="pmt_mthd")
    assert {row[0]["value"] for row in cash.data} == {"Cash"}
    term = run(
        busy, "TransactionList", date_macro="all", term="2", columns="term_name,txn_type"
    ).data  # fmt: skip
    assert {row[0]["value"] for row in term} == {"Net 15"}
    none = run(busy, "AgedReceivableDetail", custom1="Crew 9", shipvia="Sea")
    assert none.options["NoReportData"] == "true"
    sales = run(busy, "ItemSales", date_macro="all", item="11,12").by_id()
    assert set(sales) <= {"11", "12"}
    grouped = run(busy, "TransactionList", date_macro="all", group_by="Transaction Type")
    heads = [cells[0]["value"] for part, _, cells in grouped.rows if part == "Header"]
    assert heads == sorted({row[kind]["value"] for row in everything.data})


def test_ages_follow_the_days_and_periods_asked_for(world: Any) -> None:
    customer = world.customer()
    world.invoice(customer, 10, TxnDate="2026-02-01", DueDate="2026-02-25")
    world.invoice(customer, 20, TxnDate="2026-01-01", DueDate="2026-01-11")
    report = run(world, "AgedReceivables", customer=customer["Id"])
    assert report.by_id()[customer["Id"]] == [0, 10, 20, 0, 0, 30]
    earlier = run(world, "AgedReceivables", customer=customer["Id"], report_date="2026-01-31")
    assert earlier.by_id()[customer["Id"]] == [0, 20, 0, 0, 0, 20]
    now = run(
        world, "AgedReceivables", customer=customer["Id"], report_date="2026-01-31",
        aging_method="Current",
    )  # fmt: skip
    assert now.by_id()[customer["Id"]] == [0, 0, 20, 0, 0, 20]
    detail = run(
        world, "AgedReceivableDetail", customer=customer["Id"], aging_period="10", num_periods="3"
    )
    heads = [cells[0]["value"] for part, _, cells in detail.rows if part == "Header"]
    assert heads == ["21 or more days past due", "1 - 10 days past due"]
    late = run(world, "AgedReceivableDetail", customer=customer["Id"], past_due="30")
    assert len(late.data) == 1


def test_too_big_a_report_is_cut_off_and_says_so(busy: Any) -> None:
    busy.options.report_cells_max = 400
    try:
        for name in ("GeneralLedger", "JournalReport", "TransactionList", "FECReport"):
            report = run(busy, name, date_macro="all")
            assert report.doc["Rows"]["Row"][-1] == {"ColData": [{"value": NOTICE}]}
            assert sum(len(cells) for _, _, cells in report.rows) < 600
        busy.options.report_too_large = "fault"
        with pytest.raises(Fault) as caught:
            run(busy, "GeneralLedger", start_date="1990-01-01")
        assert caught.value.code == "10100"
    finally:
        busy.options.report_cells_max, busy.options.report_too_large = 400_000, "row"
    assert run(busy, "GeneralLedger", date_macro="all").doc["Rows"]["Row"][-1] != {
        "ColData": [{"value": NOTICE}]
    }


def test_a_report_follows_every_write(world: Any) -> None:
    def owed() -> Decimal:
        return run(world, "CustomerBalance").group("GrandTotal")[0]

    before = owed()
    invoice = world.invoice(world.customer(), 100)
    assert owed() == before + 100 == owed()
    world.write("Invoice", "delete", Id=invoice["Id"], SyncToken="0")
    assert owed() == before


def test_reports_of_other_countries_can_be_refused(make_world: Any) -> None:
    world = make_world(reports_by_country=True, features_missing=("ClassSales",))
    for name in ("FECReport", "TaxSummary", "JournalReportFR", "ClassSales"):
        with pytest.raises(Fault) as caught:
            run(world, name)
        assert caught.value.code == "5030"
    assert run(world, "TrialBalance").data


def test_links_come_only_where_they_are_asked_for(busy: Any) -> None:
    def links(**params: str) -> int:
        report = run(busy, "ProfitAndLoss", date_macro="all", **params)
        return sum("href" in cell for cells in report.data for cell in cells)

    assert links() == links(qzurl="false") == 0
    assert links(qzurl="true") > 0
