"""Summaries: of banks, of the budget, of the month."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from sqlsync.simulators.xero.desk import MONTHS, long_day
from sqlsync.simulators.xero.problems import validation
from sqlsync.simulators.xero.reports_asked import (
    BANK,
    COSTS,
    EXPENSES,
    INCOME,
    Asked,
    back,
    month_end,
)
from sqlsync.simulators.xero.reports_rows import Rows, cell, header, row, section, text
from sqlsync.simulators.xero.values import ZERO, Doc, total


def bank_summary(asked: Asked) -> tuple[list[str], Rows]:
    first = asked.day("fromDate", asked.today.replace(day=1))
    last = asked.day("toDate", month_end(asked.today))
    names = ("Bank Accounts", "Opening Balance", "Cash Received", "Cash Spent")
    rows: Rows = [header(*names, "Closing Balance")]
    lines: Rows = []
    sums = [ZERO] * 4
    flows = asked.flows(first, last)
    for account, doc in asked.of(BANK):
        opening = asked.ledger.balance(account.id, None, first - timedelta(days=1))
        got, spent = flows.get(account.id, (ZERO, ZERO))
        figures = [opening, got, spent, opening + got - spent]
        sums = [a + b for a, b in zip(sums, figures, strict=True)]
        label = cell(doc["Name"], accountID=account.id)
        lines.append(row(label, *(cell(text(f)) for f in figures)))
    lines.append(row(cell("Total"), *(cell(text(s)) for s in sums), kind="SummaryRow"))
    rows.append(section("", lines))
    span = f"From {long_day(first)} to {long_day(last)}"
    return ["Bank Summary", asked.organisation.name, span], rows


def budget_summary(asked: Asked) -> tuple[list[str], Rows]:
    first = asked.day("date", asked.today).replace(day=1)
    count = asked.call.params.get("periods", "1")
    if not count.isdigit() or not 1 <= int(count) <= 12:
        raise validation([], "periods must be between 1 and 12.")
    step = {"1": 1, "3": 3, "12": 12}.get(asked.call.params.get("timeframe", "1"), 1)
    starts = [back(first, -step * number) for number in range(int(count))]
    rows: Rows = [header("Account", *(f"{MONTHS[s.month - 1][:3]}-{s:%y}" for s in starts))]
    lines: Rows = []
    for _, doc in asked.organisation.books.table("Budgets").docs():
        for line in doc["Lines"]:
            amounts = {b["Period"]: b["Amount"] for b in line["BudgetBalances"]}
            account = asked.organisation.books.doc("Accounts", line["AccountID"])
            figures = [
                total(
                    amounts.get(f"{m.year}-{m.month:02d}", ZERO)
                    for m in (back(start, -n) for n in range(step))
                )
                for start in starts
            ]
            lines.append(row(cell(account["Name"]), *(cell(text(f)) for f in figures)))
    rows.append(section("", lines))
    return ["Overall Budget", asked.organisation.name, f"From {long_day(first)}"], rows


def executive_summary(asked: Asked) -> tuple[list[str], Rows]:
    day = month_end(asked.day("date", asked.today))
    this, last = (
        (day.replace(day=1), day),
        (back(day.replace(day=1), 1), month_end(back(day, 1))),
    )
    rows: Rows = [
        header("", *(f"{MONTHS[e.month - 1][:3]} {e.year}" for _, e in (this, last)), "Variance")
    ]
    flows = [asked.flows(*this), asked.flows(*last)]
    got = [total(g for g, _ in flow.values()) for flow in flows]
    spent = [total(s for _, s in flow.values()) for flow in flows]
    cash = [asked.at(BANK, end, 1) for _, end in (this, last)]
    surplus = [a - b for a, b in zip(got, spent, strict=True)]
    rows.append(
        section(
            "Cash",
            [
                compared("Cash received", got),
                compared("Cash spent", spent),
                compared("Cash surplus (deficit)", surplus),
                compared("Closing bank balance", cash),
            ],
        )
    )
    income = [asked.moved(INCOME, span, -1) for span in (this, last)]
    costs = [asked.moved(COSTS, span, 1) for span in (this, last)]
    expenses = [asked.moved(EXPENSES, span, 1) for span in (this, last)]
    gross = [a - b for a, b in zip(income, costs, strict=True)]
    rows.append(
        section(
            "Profitability",
            [
                compared("Income", income),
                compared("Direct costs", costs),
                compared("Gross profit (loss)", gross),
                compared("Expenses", expenses),
                compared("Profit (loss)", [a - b for a, b in zip(gross, expenses, strict=True)]),
            ],
        )
    )
    debtors = [_control(asked, "DEBTORS", end, 1) for _, end in (this, last)]
    creditors = [_control(asked, "CREDITORS", end, -1) for _, end in (this, last)]
    rows.append(
        section("Balance Sheet", [compared("Debtors", debtors), compared("Creditors", creditors)])
    )
    title = f"For the month of {MONTHS[day.month - 1]} {day.year}"
    return ["Executive Summary", asked.organisation.name, title], rows


def _control(asked: Asked, system: str, day: date, sign: int) -> Decimal:
    account = asked.organisation.books.table("Accounts").ids_of("system", system)[0]
    return sign * asked.ledger.balance(account, None, day)


def compared(label: str, figures: list[Decimal]) -> Doc:
    """A measure of two months and their difference in percent."""
    now, before = figures
    change = f"{(now - before) / abs(before) * 100:.1f}%" if before else ""
    return row(cell(label), cell(text(now)), cell(text(before)), cell(change))
