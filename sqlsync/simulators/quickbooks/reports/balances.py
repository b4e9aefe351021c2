"""What each customer owes, and each vendor is owed: in sum, and document by document."""

from __future__ import annotations

from sqlsync.simulators.quickbooks.reports.detail import Columns, Line
from sqlsync.simulators.quickbooks.reports.grid import Grid
from sqlsync.simulators.quickbooks.reports.openitems import (
    PAYABLES,
    RECEIVABLES,
    Side,
    open_items,
)
from sqlsync.simulators.quickbooks.reports.run import Made, Run
from sqlsync.simulators.quickbooks.reports.sales import of_names
from sqlsync.simulators.quickbooks.reports.shape import Row, section


def customer_balance(run: Run) -> Made:
    return _summary(run, RECEIVABLES)


def vendor_balance(run: Run) -> Made:
    return _summary(run, PAYABLES)


def customer_balance_detail(run: Run) -> Made:
    return _detail(run, RECEIVABLES)


def vendor_balance_detail(run: Run) -> Made:
    return _detail(run, PAYABLES)


def _summary(run: Run, side: Side) -> Made:
    grid = Grid(run)
    for item in open_items(run, side, run.asked.day):
        if item.open:
            grid.add(item.party, item.found, item.entry, item.open)
    return of_names(run, grid, side.party, side.party)


def _detail(run: Run, side: Side) -> Made:
    columns = Columns(run)
    groups: dict[int, list[Line]] = {}
    unpaid = run.asked.word("arpaid" if side is RECEIVABLES else "appaid", "unpaid") == "unpaid"
    for item in open_items(run, side, run.asked.day):
        if item.open or not unpaid:
            line = Line(item.found, item.entry, item.amount, item.open)
            groups.setdefault(item.party, []).append(line)
    rows: list[Row] = []
    order = sorted(
        groups,
        key=lambda number: (run.name(side.party, number).casefold(), number),
        reverse=run.asked.descending,
    )
    for number in order:
        name = run.name(side.party, number) or "Not Specified"
        rows.append(columns.group(name, columns.sorted(groups[number]), number, running=True))
    if rows:
        everything = [line for lines in groups.values() for line in lines]
        rows.append(section(summary=columns.total("TOTAL", everything)))
    return Made(columns.columns(), rows, is_empty=not groups)
