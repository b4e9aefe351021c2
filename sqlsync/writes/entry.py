"""A write's entry in the journal, as a value. Pure; `sqlsync.writes.journal` keeps it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from schema.model import Catalog
from sqlsync.providers.base import Record, Step, StepKind, Tombstone
from sqlsync.writes.transitions import State
from sqlsync.writes.values import decode, storable


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of sqlsync.journal. JSON columns are held as text."""

    id: UUID
    connection_id: int
    state: State
    transaction: UUID
    xid: str | None
    seq: int
    role: str
    table: str
    kind: StepKind
    record_id: str | None
    provisional_id: str | None
    call_key: str
    call_item: int
    deferred: bool
    fields: str
    before: str | None
    answer: str | None = None
    undo_key: str | None = None
    undo: str | None = None
    age_seconds: float = 0.0  # since the last change of state
    journaled_seconds: float = 0.0  # since it was planned

    def step(self, catalog: Catalog) -> Step:
        """The step as it was sent, to be sent again under the same key."""
        return Step(
            kind=self.kind,
            spec=catalog.by_table[self.table],
            fields=decode(self.fields),
            id=None if self.kind is StepKind.CREATE else self.record_id,
            base=self.before.encode() if self.before is not None else None,
        )

    def with_outcome(self, outcome: Record | Tombstone) -> Entry:
        """The entry as acknowledged by this answer."""
        answer = storable(outcome.raw) if isinstance(outcome, Record) else None
        return replace(self, state=State.ACKNOWLEDGED, record_id=outcome.id, answer=answer)


@dataclass(frozen=True, slots=True)
class Closing:
    """An open entry of a transaction that has ended, and whether its marker was committed."""

    entry: Entry
    marked: bool
