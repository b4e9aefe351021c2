"""Reports of random books agree with each other and with the records they are made from."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from unit.sqlsync.simulators.reading_reports import Report, number

from sqlsync.simulators.quickbooks.posting.chart import Chart

FAR = "2027-12-31"
START, MIDDLE, END = "2025-01-01", "2025-08-31", "2026-12-31"
PARTS = ("Month", "Quarter", "Customers", "Classes", "ProductsAndServices", "Departments")


def cents(value: Any) -> int:
    return int(Decimal(value) * 100)


class Reader:
    def __init__(self, world: Any, basis: str) -> None:
        self.world = world
        self.basis = basis

    def __call__(self, name: str, **params: str) -> Report:
        params = {"accounting_method": self.basis, **params}
        return Report(self.world.company.report(name, params))


@given(
    seed=st.integers(0, 10**6),
    deeds=st.integers(10, 70),
    basis=st.sampled_from(["Accrual", "Cash"]),
    by=st.sampled_from(PARTS),
)
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a smaller one is found by its seed
    suppress_health_check=list(HealthCheck),
)
def test_reports_of_random_books_agree(
    make_world: Any, make_business: Any, seed: int, deeds: int, basis: str, by: str
) -> None:
    world = make_world(customers=4, invoices=6)
    make_business(world, Random(seed)).run(deeds)
    read = Reader(world, basis)
    statements_agree(read, by)
    ledgers_agree(read)
    if basis == "Accrual":
        parties_agree(world, read, by)
        stock_and_sales_agree(world, read, by)


@pytest.mark.parametrize("seed", [8, 10])
def test_reports_agree_where_there_are_several_currencies(
    make_world: Any, make_business: Any, seed: int
) -> None:
    """All of them are in the home currency, each amount at the rate of its form."""
    world = make_world(customers=2, invoices=3, multicurrency=True, currency_required=False)
    for code, rate in (("EUR", "1.1137"), ("GBP", "1.3031")):
        money = {"CurrencyRef": {"value": code}}
        world.customer(f"Velo {code}", **money)
        world.write("Vendor", DisplayName=f"Frames {code}", **money)
        day = {"AsOfDate": "2024-01-01", "Rate": Decimal(rate)}
        world.write("ExchangeRate", SourceCurrencyCode=code, **day)
    make_business(world, Random(seed)).run(90)
    rates = {
        (row.doc or {}).get("ExchangeRate")
        for table in ("Invoice", "Payment", "Bill")
        for row in world.books.table(table).rows.values()
    }
    assert len(rates - {None, 1}) > 1
    for basis in ("Accrual", "Cash"):
        statements_agree(Reader(world, basis), "Month")
        ledgers_agree(Reader(world, basis))
    read = Reader(world, "Accrual")
    for account, aged in (("84", "AgedReceivables"), ("33", "AgedPayables")):
        for day in (MIDDLE, END):
            sheet = read("BalanceSheet", end_date=day, start_date="2024-01-01").by_id()
            then = read(aged, report_date=day).group("GrandTotal")[-1]
            assert then == sheet.get(account, [Decimal(0)])[0]


def statements_agree(read: Reader, by: str) -> None:
    for end in (MIDDLE, END):
        trial = read("TrialBalance", start_date=START, end_date=end)
        debit, credit = trial.group("GrandTotal")
        assert debit == credit
        sheet = read("BalanceSheet", start_date=START, end_date=end)
        assets = sheet.group("TotalAssets")
        assert assets == sheet.group("TotalLiabilitiesAndEquity")
        year = read("ProfitAndLoss", start_date=f"{end[:4]}-01-01", end_date=end)
        profit = [cells for cells in sheet.data if cells[0]["value"] == "Net Income"]
        shown = number(profit[0][1]) if profit else 0
        assert shown == (year.group("NetIncome")[0] if year.data else 0)
    whole = read("ProfitAndLoss", start_date=START, end_date=END)
    parts = read("ProfitAndLoss", start_date=START, end_date=END, summarize_column_by=by)
    assert parts.columns[-1]["ColTitle"] == "Total"
    for group in ("GrossProfit", "NetOperatingIncome", "NetIncome"):
        amounts = parts.group(group)
        assert sum(amounts[:-1]) == amounts[-1]
        assert [amounts[-1]] == whole.group(group)
    sheets = read("BalanceSheet", start_date=START, end_date=END, summarize_column_by=by)
    assets_by, owed_by = (sheets.group(g) for g in ("TotalAssets", "TotalLiabilitiesAndEquity"))
    assert assets_by[-1] == owed_by[-1] == assets[0]
    if by in ("Month", "Quarter"):  # a bill's row may name a customer where its total names none
        assert assets_by == owed_by
    cash_agrees(read, sheet, by)


def cash_agrees(read: Reader, sheet: Report, by: str) -> None:
    """Cash flow always follows the company's own basis, which is accrual here."""
    if read.basis != "Accrual":
        return
    flow = read("CashFlow", start_date=START, end_date=END)
    held = sum(sheet.by_id().get(account, [Decimal(0)])[0] for account in ("35", "36", "4"))
    assert flow.group("EndingCash")[0] == held
    beginning = [cells for cells in flow.data if cells[0]["value"].startswith("Cash at beg")]
    before = number(beginning[0][1]) if beginning else 0
    assert before + flow.group("CashIncrease")[0] == held
    parts = read("CashFlow", start_date=START, end_date=END, summarize_column_by=by)
    change = parts.group("CashIncrease")
    assert sum(change[:-1]) == change[-1] == flow.group("CashIncrease")[0]
    assert parts.group("EndingCash")[-1] == held


def ledgers_agree(read: Reader) -> None:
    """Running balances run; what accounts end at is what the trial balance says."""
    ledger = read("GeneralLedger", start_date="1990-01-01", end_date=END, columns=LEDGER)
    trial = read("TrialBalance", start_date="2026-01-01", end_date=END).by_id()
    year = read("ProfitAndLoss", start_date="1990-01-01", end_date=END)
    chart = Chart(read.world.books)
    for account, rows in sections(ledger).items():
        balance = Decimal(0)
        for cells in rows:
            balance += number(cells[2])
            assert number(cells[3]) == balance
        if account in trial and not chart.is_profit(int(account)) and account != "34":
            debit, credit = trial[account]
            assert abs(balance) == debit + credit
    detail = read("ProfitAndLossDetail", start_date="1990-01-01", end_date=END)
    if year.data:
        amount = detail.column("Amount") - 1
        assert detail.group("NetIncome")[amount] == year.group("NetIncome")[0]
    journal = read("JournalReport", start_date="1990-01-01", end_date=END)
    debits = journal.column("Debit")
    for kind, _, cells in journal.rows:
        if kind == "Summary":
            assert cells[debits]["value"] == cells[debits + 1]["value"]
    fec = read("FECReport", start_date="1990-01-01", end_date=END)
    debit, credit = fec.column("Debit"), fec.column("Credit")
    assert sum(number(row[debit]) for row in fec.data) == sum(
        number(row[credit]) for row in fec.data
    )


LEDGER = "tx_date,txn_type,subt_nat_amount,rbal_nat_amount"


def sections(ledger: Report) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    path: list[str] = []
    for kind, _, cells in ledger.rows:
        if kind == "Header":
            path.append(cells[0]["id"])
        elif kind == "Summary":
            path.pop()
        elif cells[0]["value"] != "Beginning Balance":
            found.setdefault(path[-1], []).append(cells)
    return found


def parties_agree(world: Any, read: Reader, by: str) -> None:
    """Balances of names, their ages and their documents are one and the same."""
    books = world.books
    for party, account, balance, aged, detail in (
        ("Customer", "84", "CustomerBalance", "AgedReceivables", "CustomerBalanceDetail"),
        ("Vendor", "33", "VendorBalance", "AgedPayables", "VendorBalanceDetail"),
    ):
        owed = {str(r.id): r.open for r in books.table(party).rows.values() if r.open}
        balances = read(balance)
        assert {n: cents(v[0]) for n, v in balances.by_id().items() if v[0]} == owed
        assert cents(balances.group("GrandTotal")[0]) == sum(owed.values())
        old = read(aged, report_date=FAR, aging_method="Report_Date")
        assert {n: cents(v[-1]) for n, v in old.by_id().items() if v[-1]} == owed
        assert sum(old.group("GrandTotal")[:-1]) == old.group("GrandTotal")[-1]
        items = read(detail)
        at = items.column("Open Balance")
        assert cents(sum(number(row[at]) for row in items.data)) == sum(owed.values())
        for day in (MIDDLE, END):
            ledger = read("BalanceSheet", end_date=day, start_date="2024-01-01").by_id()
            then = read(aged, report_date=day).group("GrandTotal")[-1]
            assert then == ledger.get(account, [Decimal(0)])[0]
        parts = read(balance, summarize_column_by="Departments").group("GrandTotal")
        assert cents(sum(parts[:-1])) == sum(owed.values())


def stock_and_sales_agree(world: Any, read: Reader, by: str) -> None:
    stock = read("InventoryValuationSummary", report_date=FAR)
    pieces, value = stock.column("Qty"), stock.column("Asset Value")
    for item in world.query("select * from Item where Type = 'Inventory' maxresults 1000")["Item"]:
        rows = [cells for cells in stock.data if cells[0].get("id") == item["Id"]]
        assert sum(number(cells[pieces]) for cells in rows) == item["QtyOnHand"]
    total = sum(number(cells[value]) for cells in stock.data if "id" in cells[0])
    assert stock.group("GrandTotal")[value - 1] == total
    span = {"start_date": START, "end_date": END}
    sums = [
        read(name, **span, summarize_column_by=by).group("GrandTotal")[-1]
        for name in ("CustomerSales", "ClassSales", "DepartmentSales")
    ]
    items = read("ItemSales", **span)
    amount, cost = items.column("Amount") - 1, items.column("COGS") - 1
    assert {*sums, items.group("GrandTotal")[amount]} == {sums[0]}
    rows = [cells for cells in items.data if cells[0]["value"] != "TOTAL"]
    assert sum(number(cells[cost + 1]) for cells in rows) == items.group("GrandTotal")[cost]
    tax = read("TaxSummary", agency_id="1", **span)
    if tax.data:
        posted = read("GeneralLedger", **span, account="90", columns=LEDGER)
        forms = [
            number(cells[2])
            for cells in posted.data
            if cells[1]["value"] in ("Invoice", "Sales Receipt", "Credit Memo", "Refund")
        ]
        assert tax.group("TaxDue")[0] == sum(forms)
    listed = read("TransactionList", **span)
    assert {row[1]["id"] for row in listed.data if "id" in row[1]} == {
        str(row.id)
        for table in world.books.tables.values()
        if table.kind == "transaction"
        for row in table.rows.values()
        if START <= (row.date or (row.doc or {}).get("PaymentDate", "")) <= END
    }


def test_cash_basis_counts_what_is_paid_when_it_is_paid(world: Any) -> None:
    customer = world.customer()
    invoice = world.invoice(customer, 100, TxnDate="2026-01-10")
    paid = {"TxnDate": "2026-02-05"}
    link = {"TxnId": invoice["Id"], "TxnType": "Invoice"}
    rows = [{"Amount": 40, "LinkedTxn": [link]}]
    who = {"CustomerRef": {"value": customer["Id"]}}
    world.write("Payment", **who, TotalAmt=55, Line=rows, **paid)

    def income(basis: str, start: str, end: str) -> dict[str, Decimal]:
        report = Reader(world, basis)("ProfitAndLoss", start_date=start, end_date=end)
        return {
            row[0]["value"]: number(row[1])
            for row in report.data
            if row[0]["value"] in ("Services", "Unapplied Cash Payment Income")
        }

    january, february = ("2026-01-01", "2026-01-31"), ("2026-02-01", "2026-02-28")
    before = {basis: income(basis, *february) for basis in ("Accrual", "Cash")}
    assert income("Accrual", *january) == {"Services": 100}
    assert income("Cash", *january) == {}
    assert before["Accrual"].get("Services", 0) == 0
    assert before["Cash"]["Services"] - before["Accrual"].get("Services", 0) >= 40
    assert before["Cash"]["Unapplied Cash Payment Income"] == 15
    sheet = Reader(world, "Cash")("BalanceSheet", end_date="2026-03-02").by_id()
    assert "84" not in sheet or sheet["84"] == [0]
