"""Reports of random books agree with each other, on both bases; their parameters are checked."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from unit.sqlsync.simulators.xero.test_books import Chaos, control, due

LAST = "2027-03-31"


class Tracked(Chaos):
    """Random writes of which some rows are tracked, on random days."""

    def line(self) -> dict[str, Any]:
        made = super().line()
        tracked = [
            {"Name": doc["Name"], "Option": self.random.choice(doc["Options"])["Name"]}
            for _, doc in self.world.books.table("TrackingCategories").docs()
            if self.random.random() < 0.6
        ]
        return {**made, "Tracking": tracked}

    def document(self) -> None:
        month, day = self.random.randrange(4, 12), self.random.randrange(1, 28)
        put = self.world.put
        self.world.put = lambda table, body: put(table, {**body, "Date": f"2026-{month:02d}-{day}"})
        try:
            super().document()
        finally:
            del self.world.put


def cells(report: Any) -> dict[str, list[Decimal]]:
    """Label -> amounts, of every row and sum."""
    found: dict[str, list[Decimal]] = {}
    for section in report["Rows"]:
        for row in section.get("Rows", []):
            label, *values = (cell["Value"] for cell in row["Cells"])
            found[label] = [number(value) for value in values]
    return found


def number(text: str) -> Decimal:
    try:
        return Decimal(text or 0)
    except ArithmeticError:
        return Decimal(0)


@pytest.mark.parametrize("seed", range(3))
def test_reports_of_random_books_agree_on_both_bases(make_world: Any, seed: int) -> None:
    world = make_world(3, 20)
    chaos = Tracked(world, seed)
    assert sum(chaos.step() for _ in range(100)) > 20
    for paid_only in ("false", "true"):
        trial = cells(world.one("Reports/TrialBalance", date=LAST, paymentsOnly=paid_only))
        month_debit, month_credit, debit, credit = trial["Total"]
        assert (month_debit, debit) == (month_credit, credit)
        sheet = cells(
            world.one("Reports/BalanceSheet", date=LAST, paymentsOnly=paid_only, periods="3")
        )
        assert sheet["Net Assets"] == sheet["Total Equity"] and len(sheet["Net Assets"]) == 4
        year = {"fromDate": "2026-04-01", "toDate": LAST, "paymentsOnly": paid_only}
        profit = cells(world.one("Reports/ProfitAndLoss", **year))["Net Profit"]
        assert profit == sheet["Current Year Earnings"][:1]
        for row, doc in world.books.table("TrackingCategories").docs():
            tracked = world.one("Reports/ProfitAndLoss", **year, trackingCategoryID=row.id)
            titles = [cell["Value"] for cell in tracked["Rows"][0]["Cells"]]
            assert titles[1:] == [o["Name"] for o in doc["Options"]] + ["Unassigned", "Total"]
            amounts = cells(tracked)["Net Profit"]
            assert sum(amounts[:-1]) == amounts[-1] == profit[0]
            option = doc["Options"][0]["TrackingOptionID"]
            one = world.one("Reports/ProfitAndLoss", **year, trackingOptionID=option)
            assert cells(one)["Net Profit"] == amounts[:1]
    banks = cells(world.one("Reports/BankSummary", fromDate="2026-04-01", toDate=LAST))
    accrual = cells(world.one("Reports/BalanceSheet", date=LAST))
    assert banks["Total"][-1] == accrual["Total Bank"][0]
    assert banks["Total"][0] + banks["Total"][1] - banks["Total"][2] == banks["Total"][3]
    contacts_agree(world)


def contacts_agree(world: Any) -> None:
    """Aged reports of all contacts come to what the open documents say."""
    for name, kind in (("AgedReceivables", "ACCREC"), ("AgedPayables", "ACCPAY")):
        owed = Decimal(0)
        for row, _ in world.books.table("Contacts").docs():
            report = world.one(f"Reports/{name}ByContact", contactId=row.id, date=LAST, toDate=LAST)
            owed += number(report["Rows"][-1]["Rows"][0]["Cells"][-1]["Value"])
        open_documents = sum(
            doc["AmountDue"]
            for _, doc in world.books.table("Invoices").docs()
            if doc["Type"] == kind and doc["Status"] in ("AUTHORISED", "PAID")
        )
        assert owed == open_documents
    assert control(world, "DEBTORS") == due(world, "ACCREC")


def test_cash_basis_counts_what_is_paid_when_it_is_paid(world: Any) -> None:
    invoice = world.invoice(None, "100.00")
    world.pay(invoice, "46.00")

    def income(start: str, end: str, **more: str) -> Decimal:
        report = world.one("Reports/ProfitAndLoss", fromDate=start, toDate=end, **more)
        return cells(report)["Net Profit"][0]

    october = ("2026-10-01", "2026-10-31")
    assert income(*october) == 100
    assert income(*october, paymentsOnly="true") == 40
    assert income("2026-10-01", "2026-10-19", paymentsOnly="true") == 0
    world.pay(invoice, "69.00")
    assert income(*october, paymentsOnly="true") == 100
    sheet = cells(world.one("Reports/BalanceSheet", date="2026-10-31", paymentsOnly="true"))
    assert "Accounts Receivable" not in sheet
    assert sheet["Total Bank"] == [Decimal(115)]


def test_year_starts_where_the_organisation_says(world: Any) -> None:
    world.invoice(None, "100.00", Date="2026-06-10")
    (row,) = world.books.table("Organisation").rows.values()

    def earnings() -> tuple[Decimal, Decimal]:
        shown = cells(world.one("Reports/BalanceSheet", date="2026-10-31"))
        return shown["Current Year Earnings"][0], shown["Retained Earnings"][0]

    assert earnings() == (100, 0)
    row.doc = {**row.doc, "FinancialYearEndMonth": 6, "FinancialYearEndDay": 30}
    assert earnings() == (0, 100)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("ProfitAndLoss", {"paymentsOnly": "perhaps"}),
        ("ProfitAndLoss", {"periods": "13"}),
        ("ProfitAndLoss", {"timeframe": "DECADE"}),
        ("ProfitAndLoss", {"fromDate": "2026-01-01", "toDate": "2027-06-01"}),
        ("ProfitAndLoss", {"trackingCategoryID": "0c9d8e7f-0013-4a3b-9c2d-1e0f5a6b7c8d"}),
        ("ProfitAndLoss", {"trackingOptionID": "none"}),
        ("BalanceSheet", {"trackingOptionID1": "none"}),
        ("BalanceSheet", {"date": "soon"}),
        ("BudgetSummary", {"periods": "0"}),
        ("AgedPayablesByContact", {}),
    ],
)
def test_bad_parameters_are_refused(world: Any, name: str, params: dict[str, str]) -> None:
    assert world.refused("GET", f"Reports/{name}", **params).status == 400


def test_reports_that_are_not_there(world: Any) -> None:
    assert world.get("Reports") == []  # published tax reports
    assert world.get("Reports/TenNinetyNine", reportYear="2025") == []  # of the United States
    assert world.refused("GET", "Reports/Horoscope").status == 404
