"""Who bought and what: sales by customer, class, location and item; income and expenses."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlsync.simulators.quickbooks.posting.entries import Entry, Transaction, share
from sqlsync.simulators.quickbooks.reports.grid import Grid
from sqlsync.simulators.quickbooks.reports.run import Made, Run
from sqlsync.simulators.quickbooks.reports.shape import (
    Row,
    amount,
    cell,
    cells,
    column,
    data,
    money,
    quantity,
    section,
)
from sqlsync.simulators.quickbooks.reports.tree import Values, plus
from sqlsync.simulators.quickbooks.values import Doc

SALES = frozenset({"Invoice", "SalesReceipt", "CreditMemo", "RefundReceipt"})
NOBODY = "Not Specified"
EXPENSES = ("Cost of Goods Sold", "Expense", "Other Expense")
Key = Callable[[Transaction, Entry], int]


def sold(run: Run) -> Iterator[tuple[Transaction, Entry]]:
    """The rows of sales forms that are income (or lower it), without tax and cost."""
    asked, chart = run.asked, run.chart
    first, last = asked.span("duedate")
    by_due = bool(first or last != "9999-12-31")
    for found, entry in run.entries(asked.start, asked.end):
        if found.kind not in SALES or entry.is_cost or not chart.is_profit(entry.account):
            continue
        if by_due and not first <= run.due(found) <= last:
            continue
        yield found, entry


def sales_by_customer(run: Run) -> Made:
    return _summary(run, "Customer", "Customer", lambda found, entry: found.customer_of(entry))


def sales_by_class(run: Run) -> Made:
    return _summary(run, "Class", "Class", lambda found, entry: found.class_of(entry))


def sales_by_department(run: Run) -> Made:
    return _summary(
        run, "Department", "Department", lambda found, entry: found.department_of(entry)
    )


def _summary(run: Run, table: str, kind: str, key: Key) -> Made:
    grid = Grid(run)
    for found, entry in sold(run):
        grid.add(key(found, entry), found, entry, -entry.cents)
    return of_names(run, grid, table, kind)


def vendor_expenses(run: Run) -> Made:
    asked, chart = run.asked, run.chart
    grid = Grid(run)
    for found, entry in run.entries(asked.start, asked.end):
        account = chart.accounts.get(entry.account)
        if account is not None and account.classification == "Expense" and not entry.is_cost:
            grid.add(found.vendor_of(entry), found, entry, entry.cents)
    return of_names(run, grid, "Vendor", "Vendor")


def customer_income(run: Run) -> Made:
    """Income, expenses (negative) and what remains, by customer."""
    chart = run.chart
    sums: dict[int, list[int]] = {}
    for found, entry in run.entries(run.asked.start, run.asked.end):
        account = chart.accounts.get(entry.account)
        number = found.customer_of(entry)
        if account is None or not account.is_profit or not number:
            continue
        values = sums.setdefault(number, [0, 0])
        values[account.type in EXPENSES] -= entry.cents
    rows: list[Row] = []
    total = [0, 0]
    from_names = sorted(sums, key=lambda number: run.name("Customer", number).casefold())
    for number in from_names[::-1] if run.asked.descending else from_names:
        income, expense = sums[number]
        total = plus(total, [income, expense])
        shown = cells(amount(cents) for cents in (income, expense, income + expense))
        rows.append(data([cell(run.name("Customer", number), number), *shown], typed=False))
    shown = cells(money(cents) for cents in (*total, sum(total)))
    rows.append(section(summary=[cell("TOTAL"), *shown], group="GrandTotal"))
    titles = ("Income", "Expenses", "Net Income")
    columns = [column("", "Customer"), *(column(title, "Money") for title in titles)]
    return Made(columns, rows, is_empty=not sums)


def of_names(run: Run, grid: Grid, table: str, kind: str) -> Made:
    """One row a name, sub-names in a section of their parent, and the grand total."""
    names = {number for number in grid.rows() if number and any(grid.values(number))}
    rows, total = NameRows(run, grid, table, names).rows()
    if 0 in grid.rows() and any(grid.values(0)):
        values = grid.values(0)
        shown = cells(amount(cents) for cents in values)
        rows.append(data([cell(NOBODY), *shown], "**", typed=False))
        total = plus(total, values)
    empty = not rows
    shown = cells(money(cents) for cents in total)
    rows.append(section(summary=[cell("TOTAL"), *shown], group="GrandTotal"))
    return Made([column("", kind), *grid.columns(keyed=False)], rows, is_empty=empty)


class NameRows:
    """Rows of a list's names, those of a parent in a section of its own."""

    def __init__(self, run: Run, grid: Grid, table: str, names: set[int]) -> None:
        self.run = run
        self.grid = grid
        self.table = run.books.table(table)
        self.names = names
        self._below: dict[int, list[int]] = {}
        shown = set(names)
        for number in names:
            above = self._parent(number)
            while above:
                shown.add(above)
                above = self._parent(above)
        for number in shown:
            self._below.setdefault(self._parent(number), []).append(number)
        for siblings in self._below.values():
            siblings.sort(key=lambda n: (self._name(n).casefold(), n), reverse=run.asked.descending)

    def _parent(self, number: int) -> int:
        row = self.table.get(number)
        return row.parent if row is not None else 0

    def _name(self, number: int) -> str:
        row = self.table.get(number)
        return row.name if row is not None else str(number)

    def rows(self, parent: int = 0) -> tuple[list[Row], Values]:
        made: list[Row] = []
        total = [0] * len(self.grid.values(None))
        for number in self._below.get(parent, ()):
            values = self.grid.values(number)
            linked = self.run.asked.word("qzurl") == "true"
            zoom = f"TransactionList?name={number}" if linked else None
            name = cell(self._name(number), number, zoom)
            own = [name, *cells(amount(cents) for cents in values)]
            if number not in self._below:
                made.append(data(own, typed=False))
            else:
                inner, sums = self.rows(number)
                values = plus(values, sums)
                shown = cells(money(cents) for cents in values)
                title = cell(f"Total {self._name(number)}")
                made.append(section(own, inner, [title, *shown]))
            total = plus(total, values)
        return made, total


_PARTS = ("Quantity", "Amount", "% of Sales", "Avg Price", "COGS", "Gross Margin", "Gross Margin %")


def sales_by_item(run: Run) -> Made:
    """Pieces, income and cost by item; what has no item comes last."""
    asked, chart = run.asked, run.chart
    amounts, pieces, costs = Grid(run), Grid(run), Grid(run)
    for found, entry in sold(run):
        amounts.add(entry.item, found, entry, -entry.cents)
        pieces.add(entry.item, found, entry, entry.units)
        costs.add(entry.item, found, entry, 0)
    for found, entry in run.entries(asked.start, asked.end):
        if found.kind in SALES and entry.is_cost and chart.is_profit(entry.account):
            costs.add(entry.item, found, entry, entry.cents)
            amounts.add(entry.item, found, entry, 0)
            pieces.add(entry.item, found, entry, 0)
    total = _total(amounts)
    items = sorted(
        (number for number in amounts.rows() if number),
        key=lambda number: (run.name("Item", number).casefold(), number),
        reverse=asked.descending,
    )
    rows: list[Row] = []
    for number in (*items, *([0] if 0 in amounts.rows() else [])):
        shown: list[str] = []
        for at in zip(amounts.values(number), pieces.values(number), costs.values(number), total,
                      strict=True):  # fmt: skip
            shown += _facts(*at)
        if number and any(shown):
            rows.append(data([cell(run.name("Item", number), number), *cells(shown)], typed=False))
        elif any(shown):
            rows.append(data([cell(NOBODY), *cells(shown)], "**", typed=False))
    empty = not rows
    shown = []
    for at in zip(total, _total(pieces), _total(costs), total, strict=True):
        shown += _facts(*at)
    rows.append(data([cell("TOTAL"), *cells(shown)], "GrandTotal", typed=False))
    return Made(_item_columns(amounts, asked.start, asked.end), rows, is_empty=empty)


def _total(grid: Grid) -> Values:
    found = [0] * len(grid.values(None))
    for number in grid.rows():
        found = plus(found, grid.values(number))
    return found


def _facts(cents: int, units: int, cost: int, whole: int) -> list[str]:
    """One item's cells in one column."""
    if not (cents or units or cost):
        return [""] * len(_PARTS)
    price = money(share(cents * 1_000_000, 1, units)) if units > 0 else ""
    margin = cents - cost
    return [
        quantity(units) if units else "",
        money(cents),
        _percent(cents, whole),
        price,
        amount(cost),
        money(margin) if cost else "",
        _percent(margin, cents) if cost else "",
    ]


def _percent(part: int, whole: int) -> str:
    return f"{money(share(part * 10000, 1, whole))} %" if whole > 0 else ""


def _item_columns(grid: Grid, start: str, end: str) -> list[Doc]:
    """Seven columns, or as many beneath each column of the grid."""
    parts = [
        column(title, "Money", None, StartDate=start, EndDate=end)
        if title in ("Quantity", "Amount", "COGS")
        else column(title, "Money")
        for title in _PARTS
    ]
    if not grid.has_total:
        return [column("", "ProductsAndService"), *parts]
    nested = [{**found, "Columns": {"Column": parts}} for found in grid.columns(keyed=False)]
    return [column("", "ProductsAndService"), *nested]
