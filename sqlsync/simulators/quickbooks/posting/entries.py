"""What a transaction is in the ledger: a head and entries that add up to nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from sqlsync.simulators.quickbooks.store import Row

UNIT = 1_000_000  # quantities are counted in whole millionths


class Entry(NamedTuple):
    """One amount on one account. cents: home currency, a debit is positive."""

    account: int
    cents: int
    line: int = 0  # of the form; 0: the form's own side (receivables, bank, payables)
    memo: str = ""
    item: int = 0
    units: int = 0  # sold, in millionths; negative: taken back
    customer: int = 0  # where the line names another than the form does
    vendor: int = 0
    employee: int = 0
    klass: int = 0
    department: int = 0
    tax_rate: int = 0
    is_cost: bool = False  # what goods cost, which the service adds by itself


class Move(NamedTuple):
    """Goods that came (positive units) or went. Sorted as they count: in before out on a day.

    is_priced: they came at `cents`, which the form posts to the asset account; else their cost
    follows from what is in stock.
    """

    date: str
    stage: int  # 0 came, 1 went
    id: int  # of the transaction; 0: what was there at the start
    line: int
    units: int
    is_priced: bool
    cents: int


@dataclass(slots=True)
class Transaction:
    """A record as the ledger sees it. `entries[0]` is its own side."""

    kind: str  # the entity; "Opening" for what a list record starts with
    label: str  # what reports call it
    row: Row
    date: str
    entries: list[Entry] = field(default_factory=list)
    moves: list[tuple[int, Move]] = field(default_factory=list)  # item, move
    customer: int = 0
    vendor: int = 0
    employee: int = 0
    department: int = 0
    klass: int = 0
    memo: str = ""
    posts: bool = True

    def customer_of(self, entry: Entry) -> int:
        return entry.customer or self.customer

    def vendor_of(self, entry: Entry) -> int:
        return entry.vendor or self.vendor

    def employee_of(self, entry: Entry) -> int:
        return entry.employee or self.employee

    def class_of(self, entry: Entry) -> int:
        return entry.klass or self.klass

    def department_of(self, entry: Entry) -> int:
        return entry.department or self.department

    def name_of(self, entry: Entry | None = None) -> tuple[str, int]:
        """Table and id of who it is about: ("Customer", 58), or ("", 0)."""
        if entry is not None:
            for table, number in (
                ("Customer", entry.customer if not self.vendor else 0),
                ("Vendor", entry.vendor),
                ("Employee", entry.employee),
            ):
                if number:
                    return table, number
        for table, number in (
            ("Customer", self.customer),
            ("Vendor", self.vendor),
            ("Employee", self.employee),
        ):
            if number:
                return table, number
        return "", 0


def share(total: int, part: int, whole: int) -> int:
    """`part` of `whole` of a total in cents, half a cent rounded up."""
    return (2 * total * part + whole) // (2 * whole)
