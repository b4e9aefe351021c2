"""What a script of the session asks of the world, and how it is told what came of it.

A script is a generator: it puts bytes into the session's two outboxes and yields when it
needs something: NEXT for the next message of upstream, or a piece of Work for the write
engine. It never waits, opens or reads anything itself.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlsync.errors import SqlsyncError
from sqlsync.writes.model import CancelToken, WriteRequest

NEXT = object()

Script = Generator[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Execute:
    """Carry the changes out at the provider. Gives a WriteResult."""

    request: WriteRequest
    token: CancelToken
    timeout_seconds: float | None  # the client's own, up to the moment the call goes out


@dataclass(frozen=True, slots=True)
class FetchMissing:
    """Ask the provider for a row the mirror lacks. Gives a payload for apply, or None."""

    schema_name: str
    table: str
    record_id: str


@dataclass(frozen=True, slots=True)
class CommitDeferred:
    """The client commits: run what has no inverse."""

    transaction: UUID
    live: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Settle:
    """The client's transaction has ended. Gives notices about what could not be undone."""

    transaction: UUID
    xid: str | None


@dataclass(frozen=True, slots=True)
class Undo:
    """ROLLBACK TO took these writes away. Gives notices."""

    entries: frozenset[UUID]


Work = Execute | FetchMissing | CommitDeferred | Settle | Undo


class UpstreamError(Exception):
    """Upstream answered an own run with an ErrorResponse; `message` is the whole message."""

    def __init__(self, message: bytes) -> None:
        super().__init__("upstream refused")
        self.message = message


class Refused(Exception):
    """The write is refused, with this error for the client."""

    def __init__(self, error: SqlsyncError) -> None:
        super().__init__(error.message)
        self.error = error


class SegmentFailed(Exception):
    """Upstream reported an error of the client's own segment; it has been relayed."""


@dataclass(slots=True)
class OwnResult:
    """What an own run gave: DataRow messages, command tag, the notices and descriptions."""

    rows: list[bytes] = field(default_factory=list)
    tag: bytes = b""
    notices: list[bytes] = field(default_factory=list)
    parameters: bytes = b""  # body of ParameterDescription
    description: bytes = b""  # whole RowDescription message; empty for NoData
