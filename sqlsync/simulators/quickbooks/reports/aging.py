"""How old what is owed is: receivables and payables by days past due."""

from __future__ import annotations

from sqlsync.simulators.quickbooks.reports.detail import Columns, Line
from sqlsync.simulators.quickbooks.reports.grid import Grid
from sqlsync.simulators.quickbooks.reports.openitems import (
    PAYABLES,
    RECEIVABLES,
    OpenItem,
    Side,
    open_items,
)
from sqlsync.simulators.quickbooks.reports.run import Made, Run, days_between
from sqlsync.simulators.quickbooks.reports.sales import NOBODY, NameRows
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
from sqlsync.simulators.quickbooks.reports.tree import plus


def aged_receivables(run: Run) -> Made:
    return _summary(run, RECEIVABLES)


def aged_payables(run: Run) -> Made:
    return _summary(run, PAYABLES)


def aged_receivables_detail(run: Run) -> Made:
    return _detail(run, RECEIVABLES)


def aged_payables_detail(run: Run) -> Made:
    return _detail(run, PAYABLES)


class Ages:
    """The periods of one report: how many days each holds and what it is called."""

    def __init__(self, run: Run) -> None:
        asked = run.asked
        self.days = asked.number("aging_period", 30)
        self.count = asked.number("num_periods", 4)
        now = asked.word("aging_method", "report_date") == "current"
        self.day = asked.today if now else asked.day

    def past(self, item: OpenItem) -> int:
        """Days past due; none or fewer: it is not."""
        return days_between(item.due, self.day)

    def of(self, item: OpenItem) -> int:
        """0 where it is not past due, else 1 to `count`."""
        past = self.past(item)
        return 0 if past <= 0 else min((past - 1) // self.days + 1, self.count)

    def titles(self) -> list[str]:
        found = ["Current"]
        for number in range(self.count - 1):
            found.append(f"{number * self.days + 1} - {(number + 1) * self.days}")
        return [*found, f"{(self.count - 1) * self.days + 1} and over"]

    def headings(self) -> list[str]:
        current, *spans, last = self.titles()
        last = last.replace("and over", "or more")
        return [current, *(f"{span} days past due" for span in (*spans, last))]


class _Buckets(Grid):
    """A grid whose columns are ages."""

    def __init__(self, run: Run, count: int) -> None:
        super().__init__(run)
        self.periods = []
        self._order = list(range(count + 1))

    @property
    def has_total(self) -> bool:
        return True


def _summary(run: Run, side: Side) -> Made:
    ages = Ages(run)
    grid = _Buckets(run, ages.count)
    for item in open_items(run, side, run.asked.day):
        if item.open:
            grid.put(item.party, ages.of(item), item.open)
    names = {number for number in grid.rows() if number and any(grid.values(number))}
    rows, total = NameRows(run, grid, side.party, names).rows()
    if 0 in grid.rows() and any(grid.values(0)):
        shown = cells(amount(cents) for cents in grid.values(0))
        rows.append(data([cell(NOBODY), *shown], "**", typed=False))
        total = plus(total, grid.values(0))
    empty = not rows
    shown = cells(money(cents) for cents in total)
    rows.append(section(summary=[cell("TOTAL"), *shown], group="GrandTotal"))
    titles = [*ages.titles(), "Total"]
    columns = [column("", side.party), *(column(title, "Money") for title in titles)]
    return Made(columns, rows, is_empty=empty)


def _detail(run: Run, side: Side) -> Made:
    """Documents by age, the oldest first."""
    ages = Ages(run)
    columns = Columns(run)
    least = run.asked.number("past_due", 0)
    groups: dict[int, list[Line]] = {}
    for item in open_items(run, side, run.asked.day):
        past = ages.past(item)
        if item.open and past >= least:
            line = Line(item.found, item.entry, item.amount, item.open, past_due=max(past, 0))
            groups.setdefault(ages.of(item), []).append(line)
    rows: list[Row] = []
    headings = ages.headings()
    for age in sorted(groups, reverse=True):
        rows.append(columns.group(headings[age], groups[age]))
    if rows:
        everything = [line for lines in groups.values() for line in lines]
        rows.append(section(summary=columns.total("TOTAL", everything), group="GrandTotal"))
    return Made(columns.columns(), rows, is_empty=not groups)
