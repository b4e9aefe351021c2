"""The records of one simulated company, in memory.

A generated record is kept as a few numbers (`seed`) and turned into JSON when asked for, so
that a company of 200,000 invoices fits in little memory; once somebody writes to it, it is
kept as a document (`doc`). What other records' writes change (balance, links, token, times)
stands in the row itself, never in the document.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import Any

from sqlsync.simulators.quickbooks.entities import entities
from sqlsync.simulators.quickbooks.values import Doc, currency_ref

Links = tuple[tuple[int, int], ...]  # (transaction id, cents)


@dataclass(slots=True, eq=False)
class Row:
    """One record. `open` in cents: what is left of an invoice, bill or payment; a name's balance.

    `open` of a credit: what is left of it.
    `links`: of a payment, what it pays and the credits it uses; of an invoice, bill or credit,
    the payments it is linked to; of a deposit, what is on it; of a reimbursable charge, the
    expense it came from; of an item, what was counted into its stock (day, millionths).
    `total` of a party: its opening balance.
    `doc` is never changed in place, only replaced.
    """

    id: int
    token: int = 0
    created: int = 0
    updated: int = 0
    active: bool = True
    name: str = ""  # DisplayName, Name
    number: str | None = None  # DocNumber
    date: str = ""  # TxnDate
    party: int = 0  # the customer or vendor of a transaction
    parent: int = 0  # of a name in its own list
    total: int = 0
    open: int = 0
    links: Links = ()
    deposit: int = 0  # the deposit a payment or sales receipt is on
    doc: Doc | None = None
    seed: Any = None
    body: bytes | None = None  # rendered `doc`, until something changes

    def snapshot(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in FIELDS)

    def restore(self, snapshot: tuple[Any, ...]) -> None:
        for name, value in zip(FIELDS, snapshot, strict=True):
            setattr(self, name, value)


FIELDS = tuple(Row.__slots__)


MANY = 5000  # changes beyond which the whole order is worth keeping


class Table:
    """All records of one entity, by id and in the order of their last change."""

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.rows: dict[int, Row] = {}  # the least recently changed first
        self.ids: list[int] = []  # ascending
        self.tombstones: dict[int, int] = {}  # id -> when, the oldest first
        self.version = 0  # raised by every change
        self.last_number = 0  # the highest DocNumber given out
        self.numbers: dict[str, set[int]] = {}  # DocNumber -> ids
        self._by_change: tuple[int, list[Row]] | None = None  # of which version

    def get(self, record_id: int) -> Row | None:
        return self.rows.get(record_id)

    def add(self, row: Row) -> None:
        self.rows[row.id] = row
        if self.ids and row.id < self.ids[-1]:
            insort(self.ids, row.id)
        else:
            self.ids.append(row.id)
        self.note_number(row)
        self.version += 1

    def touched(self, row: Row) -> None:
        del self.rows[row.id]
        self.rows[row.id] = row
        self.version += 1

    def remove(self, row: Row, at: int) -> None:
        del self.rows[row.id]
        del self.ids[bisect_left(self.ids, row.id)]
        self.forget_number(row.id, row.number)
        self.tombstones[row.id] = at
        self.version += 1

    def note_number(self, row: Row) -> None:
        if row.number:
            self.numbers.setdefault(row.number, set()).add(row.id)
            if row.number.isdigit() and len(row.number) < 12:
                self.last_number = max(self.last_number, int(row.number))

    def forget_number(self, record_id: int, number: str | None) -> None:
        if number and number in self.numbers:
            self.numbers[number].discard(record_id)
            if not self.numbers[number]:
                del self.numbers[number]

    def by_change(self) -> list[Row]:
        """All records, the least recently changed first. Not to be changed by the caller."""
        if self._by_change is None or self._by_change[0] != self.version:
            self._by_change = (self.version, list(self.rows.values()))
        return self._by_change[1]

    def changed_since(self, since: int) -> list[Row]:
        """Records changed at or after `since`, in the order of change."""
        recent: list[Row] = []
        for row in reversed(self.rows.values()):
            if row.updated < since:
                break
            recent.append(row)
            if len(recent) > MANY:
                ordered = self.by_change()
                return ordered[bisect_left(ordered, since, key=lambda row: row.updated) :]
        recent.reverse()
        return recent


PARTIES = ("Customer", "Vendor", "Employee")  # one space of names
NESTED = ("Item", "Account", "Class", "Department")  # names apart by parent
LONG_IDS = ("Class", "CustomerType", "Attachable")  # theirs are long numbers
FIRST_LONG_ID = 5_000_000_000_000_000_001


class Books:
    """Every table of one company, the id sequences and the index of names."""

    def __init__(self, country: str = "US", currency: str = "USD") -> None:
        self.country = country
        self.home: Doc = currency_ref(currency)
        self.tables: dict[str, Table] = {}
        for entity in entities().values():
            self.tables[entity.name] = Table(entity.name, entity.kind)
        self.next_transaction = 1
        self.next_id: dict[str, int] = dict.fromkeys(self.tables, 1)
        self.next_id |= dict.fromkeys(LONG_IDS, FIRST_LONG_ID)
        self.names: dict[tuple[str, int, str], tuple[str, int]] = {}
        self.jobs: dict[int, set[int]] = {}  # customer -> its sub-customers
        self.forms: dict[int, str] = {}  # customer -> what seeded invoices copied from it
        self.seed_items: dict[int, Any] = {}  # item -> seeded.ItemFacts, as at generation
        self.standing: Any = None  # posting.Standing, once it was asked for

    def table(self, name: str) -> Table:
        return self.tables[name]

    def row(self, name: str, record_id: int) -> Row:
        return self.tables[name].rows[record_id]

    def next_id_of(self, name: str) -> int:
        """The id `new_id` gives next."""
        if self.tables[name].kind == "transaction":
            return self.next_transaction
        return self.next_id[name]

    def new_id(self, name: str) -> int:
        if self.tables[name].kind == "transaction":
            self.next_transaction += 1
            return self.next_transaction - 1
        self.next_id[name] += 1
        return self.next_id[name] - 1

    @staticmethod
    def name_key(table: str, parent: int, name: str) -> tuple[str, int, str]:
        """Where a name must be unique: parties share one space, items are apart by parent."""
        if table in PARTIES:
            return ("party", 0, name.casefold())
        return (table, parent if table in NESTED else 0, name.casefold())

    def holder_of(self, table: str, parent: int, name: str) -> tuple[str, int] | None:
        return self.names.get(self.name_key(table, parent, name))

    def balance_with_jobs(self, customer: Row) -> int:
        """A customer's balance with its sub-customers', in cents."""
        jobs = self.jobs.get(customer.id)
        if not jobs:
            return customer.open
        return customer.open + sum(self.balance_with_jobs(self.row("Customer", j)) for j in jobs)

    def full_name(self, table: str, row: Row) -> str:
        """`Parent:Child`, as FullyQualifiedName shows it."""
        name = row.name
        while row.parent:
            row = self.row(table, row.parent)
            name = f"{row.name}:{name}"
        return name

    def depth(self, table: str, row: Row) -> int:
        """0 for a name that stands at the top."""
        depth = 0
        while row.parent:
            row = self.row(table, row.parent)
            depth += 1
        return depth

    def insert(self, table: str, row: Row) -> None:
        """Adds a record as it is, without a unit (generation)."""
        found = self.tables[table]
        found.add(row)
        if row.name:
            self.names[self.name_key(table, row.parent, row.name)] = (table, row.id)
