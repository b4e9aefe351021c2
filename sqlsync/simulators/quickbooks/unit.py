"""One write on the books as a unit: everything it changes, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlsync.simulators.quickbooks.store import FIELDS, Books, Row, Table


@dataclass(frozen=True, slots=True)
class Change:
    """One record that a write changed. operation: Create Update Delete Void Emailed Merge, and
    two kinds of Update: Balance (another record's write) and Deactivate. deleted: of a Merge, the
    record that is gone."""

    entity: str
    id: int
    operation: str
    at: int
    deleted: int = 0


class Unit:
    """One write: everything it changes, or nothing.

    `edit` a row before changing it. `commit` raises tokens and times once per record and
    returns the changes in order; `rollback` puts every row back.
    """

    def __init__(self, books: Books, now: int) -> None:
        self.books = books
        self.now = now
        self._edits: dict[Row, tuple[Table, tuple[Any, ...]]] = {}
        self._raises: set[Row] = set()
        self._touches: set[Row] = set()
        self._added: dict[Row, Table] = {}
        self._removed: dict[Row, Table] = {}
        self._operations: dict[Row, str] = {}
        self.main = ""  # the entity the write is about

    def operation_of(self, row: Row) -> str:
        return self._operations.get(row, "Update")

    def add(self, table: Table, row: Row) -> None:
        row.created = row.updated = self.now
        self._added[row] = table

    def edit(
        self,
        table: Table,
        row: Row,
        *,
        token: bool = True,
        touch: bool = True,
        operation: str = "Update",
    ) -> Row:
        """token: this change raises the SyncToken; touch: it shows in LastUpdatedTime."""
        if row in self._added:
            return row
        if row not in self._edits:
            self._edits[row] = (table, row.snapshot())
        if token:
            self._raises.add(row)
        if touch:
            self._touches.add(row)
        if operation != "Update" or row not in self._operations:
            self._operations[row] = operation
        row.body = None
        return row

    def holds(self, row: Row) -> bool:
        """The unit changes this record."""
        return row in self._edits or row in self._added

    def touched(self) -> list[tuple[str, Row | None, Row | None]]:
        """(table, record before, record after) of everything changed so far."""
        found: list[tuple[str, Row | None, Row | None]] = [
            (table.name, None, row) for row, table in self._added.items()
        ]
        for row, (table, before) in self._edits.items():
            old = Row(row.id)
            old.restore(before)
            found.append((table.name, old, None if row in self._removed else row))
        return found

    def remove(self, table: Table, row: Row) -> None:
        self.edit(table, row, operation="Delete")
        self._removed[row] = table

    def rollback(self) -> None:
        for row, (_, before) in self._edits.items():
            row.restore(before)

    def commit(self) -> list[Change]:
        changes: list[Change] = []
        for row, table in self._removed.items():
            before = self._edits.pop(row)[1]
            row.number = before[FIELDS.index("number")]
            self._unname(table, row, before)
            table.remove(row, self.now)
            changes.append(Change(table.name, row.id, "Delete", self.now))
        for row, table in self._added.items():
            self.books.insert(table.name, row)
            changes.append(Change(table.name, row.id, "Create", self.now))
        for row, (table, before) in self._edits.items():
            self._reindex(table, row, before)
            if row in self._raises:
                row.token += 1
            row.body = None
            if row in self._touches:
                row.updated = max(self.now, row.updated)
                table.touched(row)
                changes.append(Change(table.name, row.id, self._operations[row], self.now))
            else:
                table.version += 1
        return changes

    def _unname(self, table: Table, row: Row, before: tuple[Any, ...]) -> None:
        name, parent = before[FIELDS.index("name")], before[FIELDS.index("parent")]
        key = Books.name_key(table.name, parent, name)
        if name and self.books.names.get(key) == (table.name, row.id):
            del self.books.names[key]

    def _reindex(self, table: Table, row: Row, before: tuple[Any, ...]) -> None:
        if row.number != before[FIELDS.index("number")]:
            table.forget_number(row.id, before[FIELDS.index("number")])
            table.note_number(row)
        same = (row.name, row.parent) == (
            before[FIELDS.index("name")],
            before[FIELDS.index("parent")],
        )
        if not same:
            self._unname(table, row, before)
            self.books.names[Books.name_key(table.name, row.parent, row.name)] = (
                table.name,
                row.id,
            )
