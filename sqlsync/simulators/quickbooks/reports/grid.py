"""Summary reports' columns: one for all, one a period, or one a customer, class, item …

Amounts are collected by row and column and laid out at the end, since which customers there are
is known only then. With more than one column the last is the total.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable
from typing import Any

from sqlsync.simulators.quickbooks.posting.entries import Entry, Transaction
from sqlsync.simulators.quickbooks.reports.periods import BY_PERIOD, Period, divide
from sqlsync.simulators.quickbooks.reports.run import Run, named
from sqlsync.simulators.quickbooks.reports.shape import column
from sqlsync.simulators.quickbooks.values import Doc

_BY_NAME: dict[str, tuple[str, Callable[[Transaction, Entry], int]]] = {
    "customers": ("Customer", lambda found, entry: found.customer_of(entry)),
    "vendors": ("Vendor", lambda found, entry: found.vendor_of(entry)),
    "employees": ("Employee", lambda found, entry: found.employee_of(entry)),
    "departments": ("Department", lambda found, entry: found.department_of(entry)),
    "classes": ("Class", lambda found, entry: found.class_of(entry)),
    "productsandservices": ("Item", lambda found, entry: entry.item),
}


class Grid:
    """Collects cents by row and column. A row is known by any hashable key."""

    def __init__(self, run: Run) -> None:
        self.run = run
        asked = run.asked
        self.periods: list[Period] = []
        self._ends: list[str] = []
        self._table = ""
        self._key: Callable[[Transaction, Entry], int] = lambda found, entry: 0
        if asked.by in BY_PERIOD:
            self.periods = divide(asked.start, asked.end, asked.by, asked.fiscal_month)
            self._ends = [period.end for period in self.periods]
        elif asked.by in _BY_NAME:
            self._table, self._key = _BY_NAME[asked.by]
        self._rows: dict[Hashable, dict[int, int]] = {}
        self._order: list[int] | None = None

    def column_of(self, found: Transaction, entry: Entry) -> int:
        """Of a transaction before the first period: the first."""
        if self._ends:
            return min(bisect_left(self._ends, found.date), len(self._ends) - 1)
        return self._key(found, entry)

    def add(self, row: Hashable, found: Transaction, entry: Entry, cents: int) -> None:
        self.put(row, self.column_of(found, entry), cents)

    def put(self, row: Hashable, at: int, cents: int) -> None:
        known = self._rows.setdefault(row, {})
        known[at] = known.get(at, 0) + cents

    def rows(self) -> list[Any]:
        return list(self._rows)

    @property
    def order(self) -> list[int]:
        """The columns' keys; what names nobody comes last."""
        if self._order is None:
            if self.periods:
                self._order = list(range(len(self.periods)))
            else:
                used = {at for row in self._rows.values() for at in row}
                self._order = named(self.run, self._table, used - {0}) if self._table else []
                if 0 in used or not self._order:
                    self._order.append(0)
        return self._order

    @property
    def has_total(self) -> bool:
        return bool(self.periods or self._table)

    def values(self, row: Hashable) -> list[int]:
        """Cents by column, and the total where there are several."""
        known = self._rows.get(row, {})
        found = [known.get(at, 0) for at in self.order]
        return [*found, sum(found)] if self.has_total else found

    def columns(self, *, keyed: bool = True) -> list[Doc]:
        """The columns of amounts."""
        total = column("Total", "Money", "total" if keyed else None)
        if not self.has_total:
            return [total]
        if self.periods:
            made = [
                column(p.title, "Money", p.title if keyed else None,
                       StartDate=p.start, EndDate=p.end)
                for p in self.periods
            ]  # fmt: skip
        else:
            made = [
                column(
                    self.run.name(self._table, at) or "Not Specified",
                    "Money",
                    (str(at) if at else "Not Specified") if keyed else None,
                )
                for at in self.order
            ]
        return [*made, total]

    def accumulate(self) -> None:
        """Each period's amount becomes that at its end, for reports of balances."""
        if not self.periods:
            return
        for known in self._rows.values():
            so_far = 0
            for at in self.order:
                so_far += known.get(at, 0)
                known[at] = so_far

    def levels(self, row: Hashable) -> list[int]:
        """Like `values` for balances, of which the last period's is the total."""
        known = self._rows.get(row, {})
        found = [known.get(at, 0) for at in self.order]
        if self.periods:
            return found
        return [*found, sum(found)] if self.has_total else found
