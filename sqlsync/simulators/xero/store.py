"""The records of one simulated organisation, in memory.

A record is a document: members under the service's names, money as Decimal, days as `date`,
other records by id. A document is never changed in place, only replaced, so a refused write is
undone by putting the old one back. Generated records are kept as a few numbers (`seed`) and
become documents when somebody looks, so that an organisation of 200,000 invoices fits in little
memory.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from operator import attrgetter
from random import Random
from typing import Any, NamedTuple

from sqlsync.simulators.xero.values import ZERO, Doc, uuid_of

Key = tuple[str, str]  # index, key


@dataclass(slots=True, eq=False)
class Row:
    """One record. created, updated: milliseconds since 1970. doc: None while only seeded."""

    id: str
    created: int
    updated: int
    doc: Doc | None = None
    seed: Any = None


_ORDERS: dict[str, Callable[[Row], Any]] = {
    "updated": attrgetter("updated", "id"),
    "id": attrgetter("id"),
}


class Standing(NamedTuple):
    """What a document means for its contact's IsCustomer, IsSupplier and Balances."""

    contact: str
    is_sale: bool
    open: Decimal = ZERO  # what is due, of an approved invoice
    due: date | None = None


class Table:
    """All records of one object, with the orders and indexes that are asked for."""

    def __init__(
        self,
        name: str,
        keys: Callable[[Doc], Iterable[Key]] = lambda doc: (),
        standing: Callable[[Doc], Standing | None] = lambda doc: None,
    ) -> None:
        self.name = name
        self.rows: dict[str, Row] = {}
        self.keys_of = keys
        self.standing_of = standing
        self.build: Callable[[Row], Doc] | None = None  # a seeded row's document
        self._index: dict[str, dict[str, str | list[str]]] = {}
        self._orders: dict[str, list[Row]] = {}  # built when asked for, then kept

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, record_id: str) -> Row | None:
        return self.rows.get(record_id) or self.rows.get(record_id.lower())

    def doc(self, row: Row) -> Doc:
        """The row's document; not to be changed by the caller."""
        if row.doc is not None:
            return row.doc
        assert self.build is not None
        return self.build(row)

    def docs(self) -> Iterator[tuple[Row, Doc]]:
        return ((row, self.doc(row)) for row in self.rows.values())

    # -- indexes ------------------------------------------------------------------------------

    def ids_of(self, index: str, key: str) -> tuple[str, ...]:
        """The ids under a key, in the order they were added."""
        found = self._index.get(index, {}).get(key, ())
        return (found,) if isinstance(found, str) else tuple(found)

    def rows_of(self, index: str, key: str) -> list[Row]:
        return [self.rows[record_id] for record_id in self.ids_of(index, key)]

    def note(self, keys: Iterable[Key], record_id: str) -> None:
        for index, key in keys:
            entries = self._index.setdefault(index, {})
            held = entries.get(key)
            if held is None:
                entries[key] = record_id
            elif isinstance(held, str):
                entries[key] = [held, record_id]
            else:
                held.append(record_id)

    def forget(self, keys: Iterable[Key], record_id: str) -> None:
        for index, key in keys:
            held = self._index[index][key]
            if isinstance(held, str) or len(held) == 1:
                del self._index[index][key]
            else:
                held.remove(record_id)

    # -- orders -------------------------------------------------------------------------------

    def by_updated(self) -> list[Row]:
        """By UpdatedDateUTC, then id. Not to be changed or kept by the caller."""
        return self._ordered("updated")

    def by_id(self) -> list[Row]:
        return self._ordered("id")

    def _ordered(self, name: str) -> list[Row]:
        held = self._orders.get(name)
        if held is None:
            held = self._orders[name] = sorted(self.rows.values(), key=_ORDERS[name])
        return held

    def place(self, row: Row) -> None:
        """Puts a row where it belongs in the orders."""
        for name, held in self._orders.items():
            insort(held, row, key=_ORDERS[name])

    def displace(self, row: Row) -> None:
        """Takes a row out of the orders, before what they go by changes."""
        for name, held in self._orders.items():
            key = _ORDERS[name]
            del held[bisect_left(held, key(row), key=key)]

    def updated_since(self, ms: int) -> list[Row]:
        """Rows whose change is at or after `ms`, in the order of change."""
        ordered = self.by_updated()
        return ordered[bisect_left(ordered, ms, key=lambda row: row.updated) :]


@dataclass(slots=True)
class Tally:
    """What a contact's documents add up to."""

    sales: int = 0
    purchases: int = 0
    open: dict[str, Standing] | None = None  # document id -> what is due

    def count(self, record_id: str, standing: Standing, step: int) -> None:
        if standing.is_sale:
            self.sales += step
        else:
            self.purchases += step
        if standing.open:
            self.open = self.open or {}
            if step > 0:
                self.open[record_id] = standing
            else:
                self.open.pop(record_id, None)


@dataclass(slots=True)
class Noted:
    """One entry of a record's history."""

    at: int
    changes: str
    user: str
    details: str


@dataclass(slots=True)
class File:
    """An attachment and its bytes."""

    id: str
    name: str
    mime: str
    body: bytes
    include_online: bool = False


class Books:
    """Every table of one organisation, and what hangs on their records."""

    def __init__(self, tables: Iterable[Table], seed: int = 1) -> None:
        self.tables = {table.name: table for table in tables}
        self.ids = Random(seed ^ 0x5EED)  # noqa: S311 (ids of invented records)
        self.tallies: dict[str, Tally] = {}  # by contact
        self.history: dict[str, list[Noted]] = {}  # by record
        self.files: dict[str, list[File]] = {}  # by record
        self.numbers: dict[str, int] = {}  # the last number given out, by prefix

    def table(self, name: str) -> Table:
        return self.tables[name]

    def row(self, table: str, record_id: str) -> Row | None:
        return self.tables[table].get(record_id)

    def doc(self, table: str, record_id: str) -> Doc:
        """The document of a record that is there."""
        found = self.tables[table]
        return found.doc(found.rows[record_id])

    def new_id(self) -> str:
        return uuid_of(self.ids.getrandbits(128))

    def tally(self, contact_id: str) -> Tally:
        return self.tallies.setdefault(contact_id, Tally())

    # -- changing, without any rule -------------------------------------------------------------

    def insert(
        self, table: Table, row: Row, keys: Iterable[Key], standing: Standing | None
    ) -> None:
        table.rows[row.id] = row
        table.note(keys, row.id)
        table.place(row)
        if standing is not None:
            self.tally(standing.contact).count(row.id, standing, 1)

    def put(self, table: Table, row: Row) -> None:
        """Adds a row that has a document."""
        doc = table.doc(row)
        self.insert(table, row, table.keys_of(doc), table.standing_of(doc))

    def drop(self, table: Table, row: Row) -> None:
        doc = table.doc(row)
        table.forget(table.keys_of(doc), row.id)
        standing = table.standing_of(doc)
        if standing is not None:
            self.tally(standing.contact).count(row.id, standing, -1)
        table.displace(row)
        del table.rows[row.id]

    def swap(self, table: Table, row: Row, doc: Doc, updated: int) -> None:
        """Puts a new document in the place of a row's old one."""
        old = table.doc(row)
        before, after = table.keys_of(old), tuple(table.keys_of(doc))
        if tuple(before) != after:
            table.forget(before, row.id)
            table.note(after, row.id)
        standing, now = table.standing_of(old), table.standing_of(doc)
        if standing != now:
            if standing is not None:
                self.tally(standing.contact).count(row.id, standing, -1)
            if now is not None:
                self.tally(now.contact).count(row.id, now, 1)
        row.doc = doc
        if row.updated != updated:
            table.displace(row)
            row.updated = updated
            table.place(row)
