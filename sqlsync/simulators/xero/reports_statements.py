"""The statements: profit and loss, balance sheet, trial balance."""

from __future__ import annotations

from datetime import date, timedelta

from sqlsync.simulators.xero.desk import long_day
from sqlsync.simulators.xero.problems import validation
from sqlsync.simulators.xero.reports_asked import (
    BANK,
    COSTS,
    CURRENT,
    EXPENSES,
    FIXED,
    INCOME,
    LONG,
    NON_CURRENT,
    SHORT,
    Asked,
    Column,
    month_end,
    short_day,
    sides,
)
from sqlsync.simulators.xero.reports_rows import Rows, cell, header, row, section, text
from sqlsync.simulators.xero.values import ZERO, Doc


def profit_and_loss(asked: Asked) -> tuple[list[str], Rows]:
    first = asked.day("fromDate", asked.today.replace(day=1))
    last = asked.day("toDate", month_end(asked.today))
    if (last - first).days > 365 or last < first:
        raise validation([], "The dates must be at most 365 days apart.")
    titles, columns = _profit_columns(asked, first, last)
    income, earned = asked.block("Income", INCOME, columns, -1)
    costs, cost = asked.block("Less Cost of Sales", COSTS, columns, 1)
    gross = [a - b for a, b in zip(earned, cost, strict=True)]
    spent, spending = asked.block("Less Operating Expenses", EXPENSES, columns, 1)
    net = [a - b for a, b in zip(gross, spending, strict=True)]
    rows = [
        header("", *titles),
        income,
        costs,
        section("", [row(cell("Gross Profit"), *(cell(text(g)) for g in gross))]),
        spent,
        section("", [row(cell("Net Profit"), *(cell(text(n)) for n in net))]),
    ]
    span = f"{long_day(first)} to {long_day(last)}"
    return ["Profit & Loss", asked.organisation.name, span], rows


def _profit_columns(asked: Asked, first: date, last: date) -> tuple[list[str], list[Column]]:
    """Periods; or each option of a tracking category, what has none, and the total."""
    others = asked.options("trackingOptionID2")
    asked.category("trackingCategoryID2")
    one = asked.options("trackingOptionID")
    category = asked.category("trackingCategoryID")
    if category is None or one:
        of = asked.figures(*one, *others)
        spans = asked.spans(first, last)
        return [short_day(end) for _, end in spans], [(of, *span) for span in spans]
    named = {
        option["TrackingOptionID"]: option["Name"]
        for option in category[1]["Options"]
        if option["Status"] != "DELETED"
    }
    columns: list[Column] = [(asked.figures(option, *others), first, last) for option in named]
    columns.append((asked.figures(*others, none_of=named), first, last))
    columns.append((asked.figures(*others), first, last))
    return [*named.values(), "Unassigned", "Total"], columns


def balance_sheet(asked: Asked) -> tuple[list[str], Rows]:
    day = month_end(asked.day("date", asked.today))
    days = [end for _, end in asked.spans(day.replace(day=1), day)]
    asked.base = asked.figures(*asked.options("trackingOptionID1", "trackingOptionID2"))
    columns: list[Column] = [(asked.base, None, end) for end in days]
    rows: Rows = [header("", *(short_day(end) for end in days)), section("Assets", [])]
    assets = [ZERO for _ in days]
    for title, kinds in (
        ("Bank", BANK),
        ("Current Assets", CURRENT),
        ("Fixed Assets", FIXED),
        ("Non-current Assets", NON_CURRENT),
    ):
        block, sums = asked.block(title, kinds, columns, 1)
        assets = [a + b for a, b in zip(assets, sums, strict=True)]
        if any(sums):
            rows.append(block)
    rows.append(section("", [row(cell("Total Assets"), *(cell(text(a)) for a in assets))]))
    rows.append(section("Liabilities", []))
    owed = [ZERO for _ in days]
    for title, owed_to in (("Current Liabilities", SHORT), ("Non-Current Liabilities", LONG)):
        block, sums = asked.block(title, owed_to, columns, -1)
        owed = [a + b for a, b in zip(owed, sums, strict=True)]
        if any(sums):
            rows.append(block)
    rows.append(section("", [row(cell("Total Liabilities"), *(cell(text(o)) for o in owed))]))
    net = [a - b for a, b in zip(assets, owed, strict=True)]
    rows.append(section("", [row(cell("Net Assets"), *(cell(text(n)) for n in net))]))
    rows.append(_equity(asked, days))
    titles = ["Balance Sheet", asked.organisation.name, f"As at {long_day(day)}"]
    return titles, rows


def _equity(asked: Asked, days: list[date]) -> Doc:
    year = [asked.profit((asked.year_start(end), end)) for end in days]
    before = [asked.profit((date.min, asked.year_start(end) - timedelta(days=1))) for end in days]
    own = [asked.at(("EQUITY",), end, -1) for end in days]
    retained = [a + b for a, b in zip(before, own, strict=True)]
    sums = [a + b for a, b in zip(year, retained, strict=True)]
    return section(
        "Equity",
        [
            row(cell("Current Year Earnings"), *(cell(text(y)) for y in year)),
            row(cell("Retained Earnings"), *(cell(text(r)) for r in retained)),
            row(cell("Total Equity"), *(cell(text(s)) for s in sums), kind="SummaryRow"),
        ],
    )


def trial_balance(asked: Asked) -> tuple[list[str], Rows]:
    day = asked.day("date", asked.today)
    month, year = (day.replace(day=1), day), (asked.year_start(day), day)
    rows: Rows = [header("Account", "Debit", "Credit", "YTD Debit", "YTD Credit")]
    sums = [ZERO] * 4
    for title, kind in (
        ("Revenue", "REVENUE"),
        ("Expenses", "EXPENSE"),
        ("Assets", "ASSET"),
        ("Liabilities", "LIABILITY"),
        ("Equity", "EQUITY"),
    ):
        lines: Rows = []
        for account, doc in asked.accounts:
            if doc["Class"] != kind:
                continue
            flows = kind in ("REVENUE", "EXPENSE")
            now = asked.base.balance(account.id, *month)
            ytd = asked.base.balance(account.id, year[0] if flows else None, day)
            if doc.get("SystemAccount") == "RETAINEDEARNINGS":
                ytd -= asked.profit((date.min, asked.year_start(day) - timedelta(days=1)))
            if not now and not ytd:
                continue
            figures = [*sides(now), *sides(ytd)]
            sums = [a + b for a, b in zip(sums, figures, strict=True)]
            label = f"{doc['Name']} ({doc['Code']})" if doc.get("Code") else doc["Name"]
            values = [cell(text(f) if f else "", account=account.id) for f in figures]
            lines.append(row(cell(label, account=account.id), *values))
        if lines:
            rows.append(section(title, lines))
    last = row(cell("Total"), *(cell(text(s)) for s in sums), kind="SummaryRow")
    rows.append(section("", [last]))
    return ["Trial Balance", asked.organisation.name, f"As at {long_day(day)}"], rows
