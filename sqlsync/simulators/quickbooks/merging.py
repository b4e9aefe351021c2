"""Two names made one, as a person does in the web interface by renaming one to the other.

The one renamed disappears; what it was named on names the survivor from then on, and what it owed
is owed by the survivor. Clients learn of it by a Merge event and a tombstone.
Source: Intuit, "Configure webhooks" (Merge); reference README, name lists.
"""

from __future__ import annotations

from typing import Any

from sqlsync.simulators.quickbooks import documents, faults
from sqlsync.simulators.quickbooks.entities import Entity, entities
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.posting.effects import mark_figures
from sqlsync.simulators.quickbooks.seeded import InvoiceSeed
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.unit import Change, Unit
from sqlsync.simulators.quickbooks.values import Doc, encode

MERGED = frozenset(
    (
        *("Account", "Customer", "Vendor", "Item", "Class", "Department", "Employee"),
        "PaymentMethod",
    )
)
_TYPED = ("Customer", "Vendor", "Employee")


def merge(
    books: Books, options: Options, entity: Entity, gone: int, into: int, now: int
) -> list[Change]:
    """Merges record `gone` into record `into`. Raises Fault 500, 610 or 6000."""
    if entity.name not in MERGED:
        raise faults.unsupported("merge")
    table = books.table(entity.name)
    lost, kept = table.get(gone), table.get(into)
    if lost is None or kept is None:
        raise faults.not_found()
    if lost is kept or _is_above(books, entity, kept, lost):
        raise faults.business("A name cannot be merged with itself or with one beneath it.")
    _check_alike(books, entity, lost, kept)
    unit = Unit(books, now)
    mover = _Mover(books, unit, entity, lost, kept, touch=options.merge_touches_forms)
    mover.forms()
    mover.names()
    unit.edit(table, kept, operation="Merge")
    kept.doc = documents.stored(books, entity.name, kept)
    kept.open += lost.open
    mover.beginnings()
    unit.remove(table, lost)
    mark_figures(unit, options)
    changes = unit.commit()
    if entity.name in ("Account", "Item"):
        books.standing = None  # generated records post elsewhere from now on
    return [
        Change(c.entity, c.id, c.operation, c.at, lost.id) if c.operation == "Merge" else c
        for c in changes
        if (c.entity, c.id, c.operation) != (entity.name, lost.id, "Delete")
    ]


def _is_above(books: Books, entity: Entity, row: Row, ancestor: Row) -> bool:
    while row.parent:
        if row.parent == ancestor.id:
            return True
        row = books.row(entity.name, row.parent)
    return False


def _check_alike(books: Books, entity: Entity, lost: Row, kept: Row) -> None:
    """Accounts of one type, items of one type, names of one currency."""
    docs = [documents.stored(books, entity.name, row) for row in (lost, kept)]
    member = {"Account": "AccountType", "Item": "Type"}.get(entity.name, "CurrencyRef")
    first, second = (doc.get(member) for doc in docs)
    if first != second:
        raise faults.business(f"Only names of the same {member} can be merged.")


class _Mover:
    """Puts the survivor wherever the other was named."""

    def __init__(
        self, books: Books, unit: Unit, entity: Entity, lost: Row, kept: Row, *, touch: bool
    ) -> None:
        self.books = books
        self.unit = unit
        self.entity = entity
        self.lost = lost
        self.kept = kept
        self.touch = touch
        self._old = str(lost.id)
        self._member = f"{entity.name}Ref"

    def forms(self) -> None:
        """Every record that refers to the one that goes."""
        is_party = self.entity.name in ("Customer", "Vendor")
        for other in entities().values():
            table = self.books.table(other.name)
            for row in list(table.rows.values()):
                named = is_party and table.kind == "transaction" and row.party == self.lost.id
                named = named and _has(self._member, other)
                if row.doc is None and not named and not self._sells_lost(row):
                    continue
                doc = documents.stored(self.books, other.name, row)
                changed = self._renamed(doc, "")
                if changed == doc or row in (self.lost, self.kept):
                    continue
                self.unit.edit(table, row, token=self.touch, touch=self.touch)
                row.doc = changed
                if named:
                    row.party = self.kept.id

    def _sells_lost(self, row: Row) -> bool:
        """A generated invoice with the item that goes."""
        is_sold = self.entity.name == "Item" and isinstance(row.seed, InvoiceSeed)
        return is_sold and self.lost.id in row.seed.lines[::2]

    def beginnings(self) -> None:
        """What the one that goes began with: balance, stock; and what it stood for in seeds."""
        kept, lost = self.kept, self.lost
        kept.total += lost.total
        begun = (lost.doc or {}).get("QtyOnHand")
        if self.entity.name == "Item" and begun is not None:
            kept.doc = {**(kept.doc or {}), "QtyOnHand": (kept.doc or {})["QtyOnHand"] + begun}
            kept.links = (*kept.links, *lost.links)
        begun = (lost.doc or {}).get("OpeningBalance")
        if self.entity.name == "Account" and begun is not None:
            opening = (kept.doc or {}).get("OpeningBalance") or 0
            kept.doc = {**(kept.doc or {}), "OpeningBalance": opening + begun}
        if self.entity.name == "Account":
            old, new = (
                f'"ItemAccountRef":{{"value":"{row.id}","name":{encode(row.name).decode()}}}'
                for row in (lost, kept)
            )
            for item, facts in self.books.seed_items.items():
                if facts.income == lost.id:
                    tail = facts.tail.replace(old, new)
                    self.books.seed_items[item] = facts._replace(income=kept.id, tail=tail)

    def names(self) -> None:
        """Sub-customers, sub-accounts … move beneath the survivor."""
        table = self.books.table(self.entity.name)
        for row in list(table.rows.values()):
            if row.parent == self.lost.id:
                self.unit.edit(table, row)
                row.doc = documents.stored(self.books, self.entity.name, row)
                row.doc = {**row.doc, "ParentRef": {"value": str(self.kept.id)}}
                row.parent = self.kept.id
                if self.entity.name == "Customer":
                    self.books.jobs.setdefault(self.kept.id, set()).add(row.id)
        self.books.jobs.pop(self.lost.id, None)

    def _renamed(self, value: Any, member: str) -> Any:
        if isinstance(value, list):
            return [self._renamed(one, member) for one in value]
        if not isinstance(value, dict):
            return value
        if "value" in value and self._is_lost(value, member):
            name = {"name": self.kept.name} if "name" in value else {}
            return {**value, "value": str(self.kept.id), **name}
        found = {name: self._renamed(inner, name) for name, inner in value.items()}
        entry = value.get("EntityRef")
        if isinstance(entry, dict) and value.get("Type") == self.entity.name:
            found["EntityRef"] = self._renamed({**entry, "type": self.entity.name}, "EntityRef")
        return found

    def _is_lost(self, reference: Doc, member: str) -> bool:
        if str(reference["value"]) != self._old:
            return False
        if member in ("EntityRef", "Entity"):
            return reference.get("type") == self.entity.name
        if self.entity.name == "Account":
            return member.endswith("AccountRef") or member == "AccountRef"
        return member == self._member


def _has(member: str, entity: Entity) -> bool:
    return (member, "value") in entity.fields
