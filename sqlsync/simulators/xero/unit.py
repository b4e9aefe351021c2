"""One request's writing: changes that are kept together or not at all.

The rules write through a Unit. It remembers how to undo each step, so that one bad element of
many, or the whole request, leaves no trace; and it says afterwards what changed, for webhooks
and the journals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlsync.simulators.xero.store import Books, Noted, Row
from sqlsync.simulators.xero.values import Doc


@dataclass(frozen=True, slots=True)
class Change:
    """A record that is new, or no longer as it was. `before`: None for a new one."""

    table: str
    row: Row
    before: Doc | None
    is_gone: bool = False

    @property
    def operation(self) -> str:
        return "CREATE" if self.before is None else "UPDATE"


class Unit:
    """Writing into `books` at one moment (`now`, milliseconds)."""

    def __init__(self, books: Books, now: int, user: str) -> None:
        self.books = books
        self.now = now
        self.user = user
        self._undo: list[Callable[[], None]] = []
        self._touched: dict[tuple[str, str], tuple[Row, Doc | None, bool]] = {}

    def mark(self) -> int:
        return len(self._undo)

    def rollback(self, mark: int = 0) -> None:
        while len(self._undo) > mark:
            self._undo.pop()()

    def add(self, table: str, doc: Doc, record_id: str | None = None) -> Row:
        row = Row(record_id or self.books.new_id(), self.now, self.now, doc)
        found = self.books.table(table)
        self.books.put(found, row)
        key = (table, row.id)
        self._touched[key] = (row, None, False)

        def undo() -> None:
            self.books.drop(found, row)
            del self._touched[key]

        self._undo.append(undo)
        return row

    def replace(self, table: str, row: Row, doc: Doc, *, moves: bool = True) -> None:
        """moves: whether UpdatedDateUTC does."""
        found = self.books.table(table)
        old, updated, held = found.doc(row), row.updated, row.doc
        key = (table, row.id)
        seen = self._touched.get(key)
        self.books.swap(found, row, doc, self.now if moves else updated)
        if seen is None:
            self._touched[key] = (row, old, False)

        def undo() -> None:
            self.books.swap(found, row, old, updated)
            row.doc = held  # a seeded row goes back to its seed
            if seen is None:
                del self._touched[key]

        self._undo.append(undo)

    def remove(self, table: str, row: Row) -> None:
        """The record leaves without a trace."""
        found = self.books.table(table)
        old = found.doc(row)
        self.books.drop(found, row)
        key = (table, row.id)
        seen = self._touched.get(key)
        self._touched[key] = (row, old if seen is None else seen[1], True)

        def undo() -> None:
            self.books.put(found, row)
            if seen is None:
                del self._touched[key]
            else:
                self._touched[key] = seen

        self._undo.append(undo)

    def note(self, record_id: str, changes: str, details: str = "") -> None:
        """Writes into a record's history."""
        entries = self.books.history.setdefault(record_id, [])
        entries.append(Noted(self.now, changes, self.user, details))
        self._undo.append(lambda: _pop(entries))

    def next_number(self, prefix: str) -> str:
        """`INV-0042`, the next of its kind; numbers skipped by a refusal are used again."""
        numbers, last = self.books.numbers, self.books.numbers.get(prefix, 0)
        numbers[prefix] = last + 1

        def undo() -> None:
            if last:
                numbers[prefix] = last
            else:
                del numbers[prefix]

        self._undo.append(undo)
        return f"{prefix}{last + 1:04d}"

    def changes(self) -> list[Change]:
        """Every record touched, once, in the order of the first touch."""
        return [
            Change(table, row, before, is_gone)
            for (table, _), (row, before, is_gone) in self._touched.items()
            if not (before is None and is_gone)
        ]


def _pop(entries: list[Noted]) -> None:
    entries.pop()
