"""The words a door and the write engine share: what a statement did, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Change:
    """One row that a rehearsed statement changed.

    table: a mirrored or a child table of the connection. old, new: column -> value as Postgres'
    to_jsonb gives it, numbers as Decimal; None where there was or is no row. `new` of an insert
    holds the provisional key ("new:…"). Both leave out `raw`.
    """

    table: str
    operation: str  # "insert" | "update" | "delete"
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """What one statement did, and on whose behalf."""

    schema_name: str  # the connection's schema
    changes: tuple[Change, ...]
    parents: Mapping[tuple[str, str], bytes]  # (object table, id) -> `raw` as locked just now
    role: str  # session_user of the client
    transaction: UUID  # one per client transaction
    xid: str | None  # the client's transaction in Postgres, as text of xid8
    explicit_block: bool  # True: steps without inverse wait for `commit_deferred`
    deadline: float | None = None  # on the event loop's clock; before sending only


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What the provider made of it, ready for sqlsync.apply() on the client's session.

    payload: UTF-8 JSON for `sqlsync.apply_rows`: {"schema", "entries": [uuid], "upserts": [...],
    "deletes": [...]} (see migration 0002). Empty bytes where nothing is to be applied.
    keys: (table, provisional key) -> the provider's id. For a child row the provisional key is
    the child's own "new:…" id, the value the id the provider gave that row.
    """

    entries: tuple[UUID, ...] = ()
    payload: bytes = b""
    keys: Mapping[tuple[str, str], str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


@dataclass(slots=True)
class CancelToken:
    """How a door stops a write that has not been sent. One a statement.

    The door sets `cancelled`; the engine sets `sent` at the moment the first request goes out,
    and after that a cancel is too late.
    """

    cancelled: bool = False
    sent: bool = False
