"""The statements: profit and loss, balance sheet, cash flow, trial balance."""

from __future__ import annotations

from sqlsync.simulators.quickbooks.posting.chart import Chart
from sqlsync.simulators.quickbooks.reports.grid import Grid
from sqlsync.simulators.quickbooks.reports.periods import year_start
from sqlsync.simulators.quickbooks.reports.run import Made, Run
from sqlsync.simulators.quickbooks.reports.shape import (
    Row,
    amount,
    cell,
    cells,
    column,
    data,
    money,
    section,
)
from sqlsync.simulators.quickbooks.reports.tree import Tree, Values, plus
from sqlsync.simulators.quickbooks.values import Doc

NET, RETAINED = "net income", "retained"  # rows of a grid that are no account


def _account_column() -> Doc:
    return column("", "Account", "account")


def profit_and_loss(run: Run) -> Made:
    asked, chart = run.asked, run.chart
    grid = Grid(run)
    for found, entry in run.entries(asked.start, asked.end):
        account = chart.accounts.get(entry.account)
        if account is not None and account.is_profit:
            grid.add(entry.account, found, entry, entry.cents * account.sign)
    width = len(grid.order) + grid.has_total
    tree = Tree(run, {number: grid.values(number) for number in grid.rows()}, width)
    income, total_income = tree.block("Income", "Income", ["Income"])
    cost, total_cost = tree.block("Cost of Goods Sold", "COGS", ["Cost of Goods Sold"])
    expenses, total_expenses = tree.block("Expenses", "Expenses", ["Expense"])
    other, total_other = tree.block("Other Income", "OtherIncome", ["Other Income"])
    others, total_others = tree.block("Other Expenses", "OtherExpenses", ["Other Expense"])
    gross = plus(total_income, total_cost, -1)
    operating = plus(gross, total_expenses, -1)
    net_other = plus(total_other, total_others, -1)
    rows = [*income, *cost, tree.line("Gross Profit", "GrossProfit", gross), *expenses]
    rows.append(tree.line("Net Operating Income", "NetOperatingIncome", operating))
    if other or others:
        rows += [*other, *others, tree.line("Net Other Income", "NetOtherIncome", net_other)]
    rows.append(tree.line("Net Income", "NetIncome", plus(operating, net_other)))
    return Made([_account_column(), *grid.columns()], rows, is_empty=not tree.values)


class Levels:
    """Balances of accounts at the end of each column, profits of former years set aside.

    Accounts of income and expense count from the start of the column's own fiscal year; what
    they came to before belongs to retained earnings.
    """

    def __init__(self, run: Run, *, keeps_profit: bool) -> None:
        """keeps_profit: accounts of income and expense stay apart (trial balance)."""
        asked, chart = run.asked, run.chart
        self.run = run
        self.grid = grid = Grid(run)
        ends = [period.end for period in grid.periods] or [asked.end]
        years = [year_start(end, asked.fiscal_month) for end in ends]
        retained = chart.part("retained")
        profits: dict[tuple[int, str, int], int] = {}  # (column, fiscal year, account)
        years_of: dict[str, str] = {}
        for found, entry in run.entries("", asked.end):
            if not chart.is_profit(entry.account):
                grid.add(entry.account, found, entry, entry.cents)
            else:
                year = years_of.get(found.date)
                if year is None:
                    year = years_of[found.date] = year_start(found.date, asked.fiscal_month)
                key = grid.column_of(found, entry), year, entry.account
                profits[key] = profits.get(key, 0) + entry.cents
        if grid.periods:
            grid.accumulate()
            for (at, year, account), cents in profits.items():
                for later in range(at, len(ends)):
                    current = year >= years[later]
                    row = (account if keeps_profit else NET) if current else retained
                    grid.put(row, later, cents)
        else:
            for (at, year, account), cents in profits.items():
                current = year >= years[0]
                row = (account if keeps_profit else NET) if current else retained
                grid.put(row, at, cents)
        self.width = len(grid.levels(retained))

    def columns(self) -> list[Doc]:
        columns = self.grid.columns()
        return columns[:-1] if self.grid.periods else columns

    def values(self, chart: Chart) -> dict[int, Values]:
        """In the direction that raises each account."""
        return {
            number: [cents * account.sign for cents in self.grid.levels(number)]
            for number, account in chart.accounts.items()
        }


def balance_sheet(run: Run) -> Made:
    levels = Levels(run, keeps_profit=False)
    tree = Tree(run, levels.values(run.chart), levels.width)
    profit = [-cents for cents in levels.grid.levels(NET)]
    current, total = _nested(
        tree,
        "Current Assets",
        "CurrentAssets",
        [
            ("Bank Accounts", "BankAccounts", "Bank"),
            ("Accounts Receivable", "AR", "Accounts Receivable"),
            ("Other Current Assets", "OtherCurrentAssets", "Other Current Asset"),
        ],
    )
    fixed, total_fixed = tree.block("Fixed Assets", "FixedAssets", ["Fixed Asset"])
    other, total_other = tree.block("Other Assets", "OtherAssets", ["Other Asset"])
    assets = plus(plus(total, total_fixed), total_other)
    owed, total_owed = _nested(
        tree,
        "Current Liabilities",
        "CurrentLiabilities",
        [
            ("Accounts Payable", "AP", "Accounts Payable"),
            ("Credit Cards", "CreditCards", "Credit Card"),
            ("Other Current Liabilities", "OtherCurrentLiabilities", "Other Current Liability"),
        ],
    )
    long_term, total_long = tree.block(
        "Long-Term Liabilities", "LongTermLiabilities", ["Long Term Liability"]
    )
    total_owed = plus(total_owed, total_long)
    debts: list[Row] = []
    if owed or long_term:
        summary = tree.total("Total Liabilities", total_owed)
        debts = [section(tree.head("Liabilities"), [*owed, *long_term], summary, "Liabilities")]
    equity_rows, equity = tree.rows("Equity")
    if any(profit):
        shown = [cell("Net Income"), *cells(amount(cents) for cents in profit)]
        equity_rows.append(data(shown, "NetIncome"))
    equity = plus(equity, profit)
    summary = tree.total("Total Equity", equity)
    own = section(tree.head("Equity"), equity_rows, summary, "Equity")
    rows = [
        section(
            tree.head("ASSETS"),
            [*current, *fixed, *other],
            tree.total("TOTAL ASSETS", assets),
            "TotalAssets",
        ),
        section(
            tree.head("LIABILITIES AND EQUITY"),
            [*debts, own],
            tree.total("TOTAL LIABILITIES AND EQUITY", plus(total_owed, equity)),
            "TotalLiabilitiesAndEquity",
        ),
    ]
    empty = not tree.values and not any(profit)
    return Made([_account_column(), *levels.columns()], rows, is_empty=empty)


def _nested(
    tree: Tree, title: str, group: str, parts: list[tuple[str, str, str]]
) -> tuple[list[Row], Values]:
    rows: list[Row] = []
    total = tree.nothing()
    for name, inner, kind in parts:
        block, sums = tree.block(name, inner, [kind])
        rows += block
        total = plus(total, sums)
    if not rows:
        return [], total
    return [section(tree.head(title), rows, tree.total(f"Total {title}", total), group)], total


# Account type -> the part of the cash flow its change belongs to; cash itself is none.
_FLOWS = {
    "Accounts Receivable": "operating",
    "Other Current Asset": "operating",
    "Accounts Payable": "operating",
    "Credit Card": "operating",
    "Other Current Liability": "operating",
    "Fixed Asset": "investing",
    "Other Asset": "investing",
    "Long Term Liability": "financing",
    "Equity": "financing",
}


def cash_flow(run: Run) -> Made:
    """What is in banks and held to be deposited is cash."""
    asked, chart = run.asked, run.chart
    grid = Grid(run)
    cash = {a.id for a in chart.accounts.values() if a.type == "Bank"}
    cash.add(chart.part("undeposited"))
    for found, entry in run.entries("", asked.end):
        if found.date < asked.start:
            if entry.account in cash:
                grid.add("beginning", found, entry, entry.cents)
        elif chart.is_profit(entry.account):
            grid.add(NET, found, entry, -entry.cents)
        elif entry.account not in cash:
            grid.add(entry.account, found, entry, -entry.cents)
    width = len(grid.order) + grid.has_total
    flows: dict[str, dict[int, Values]] = {"operating": {}, "investing": {}, "financing": {}}
    for number in grid.rows():
        account = chart.accounts.get(number)
        if account is not None:
            flows[_FLOWS.get(account.type, "operating")][number] = grid.values(number)
    tree = Tree(run, {}, width)
    profit = grid.values(NET)
    rows: list[Row] = []
    adjustments, total = _flow(run, flows["operating"], width)
    inner = [data([cell("Net Income"), *cells(money(cents) for cents in profit)], "NetIncome")]
    if adjustments:
        title = "Adjustments to reconcile Net Income to Net Cash provided by operations:"
        summary = tree.total(f"Total {title}", total)
        inner.append(section(tree.head(title), adjustments, summary, "OperatingAdjustments"))
    operating = plus(profit, total)
    summary = tree.total("Net cash provided by operating activities", operating)
    rows.append(section(tree.head("OPERATING ACTIVITIES"), inner, summary, "OperatingActivities"))
    change = operating
    for part, group in (("investing", "InvestingActivities"), ("financing", "FinancingActivities")):
        made, total = _flow(run, flows[part], width)
        if made:
            summary = tree.total(f"Net cash provided by {part} activities", total)
            head = tree.head(f"{part.upper()} ACTIVITIES")
            rows.append(section(head, made, summary, group))
            change = plus(change, total)
    rows.append(tree.line("Net cash increase for period", "CashIncrease", change))
    beginning = _beginnings(grid, change)
    if any(beginning):
        shown = [cell("Cash at beginning of period"), *cells(money(c) for c in beginning)]
        rows.append(data(shown, "BeginningCash"))
    rows.append(tree.line("Cash at end of period", "EndingCash", plus(beginning, change)))
    empty = not any(grid.rows())
    return Made([_account_column(), *grid.columns()], rows, is_empty=empty)


def _beginnings(grid: Grid, change: Values) -> Values:
    """Cash at the start of each column; of the total, that of the first."""
    first = grid.values("beginning")
    if not grid.periods:
        return first
    found = [first[0]]
    for cents in change[:-2]:
        found.append(found[-1] + cents)
    return [*found, first[0]]


def _flow(run: Run, values: dict[int, Values], width: int) -> tuple[list[Row], Values]:
    tree = Tree(run, values, width)
    return tree.rows(*{account.type for account in run.chart.accounts.values()})


ORDER = (
    *("Bank", "Accounts Receivable", "Other Current Asset", "Fixed Asset", "Other Asset"),
    *("Accounts Payable", "Credit Card", "Other Current Liability", "Long Term Liability"),
    *("Equity", "Income", "Cost of Goods Sold", "Expense", "Other Income", "Other Expense"),
)


def trial_balance(run: Run) -> Made:
    """Every account once a column, on the side its balance is on."""
    levels = Levels(run, keeps_profit=True)
    grid = levels.grid
    rows: list[Row] = []
    totals = [0] * (2 * levels.width)
    accounts = sorted(
        run.chart.accounts.values(),
        key=lambda a: (ORDER.index(a.type) if a.type in ORDER else 99, a.full_name.casefold()),
        reverse=run.asked.descending,
    )
    for account in accounts:
        values = grid.levels(account.id)
        if not any(values):
            continue
        sides: list[int] = []
        for cents in values:
            sides += [max(cents, 0), max(-cents, 0)]
        totals = plus(totals, sides)
        shown = [cell(account.full_name, account.id), *cells(amount(side) for side in sides)]
        rows.append(data(shown, typed=False))
    summary = [cell("TOTAL"), *cells(money(cents) for cents in totals)]
    empty = not rows
    rows.append(section(summary=summary, group="GrandTotal"))
    sides_of = [column("Debit", "Money"), column("Credit", "Money")]
    if not grid.has_total:
        columns = [column("", "Account"), *sides_of]
    else:
        parts = [{**found, "Columns": {"Column": sides_of}} for found in levels.columns()]
        columns = [column("", "Account"), *parts]
    return Made(columns, rows, is_empty=empty)
