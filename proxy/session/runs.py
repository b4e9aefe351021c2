"""Own runs: the proxy's statements inside the client's segment, and how their replies are told.

An own run is named, never a Query (which would destroy the client's unnamed statement), and
closes its names first, since after an own error they may still be taken. Runs are ended by
Flush; a Sync of ours only skips what upstream skips after an error.
"""

from __future__ import annotations

import secrets

from proxy.protocol.framing import (
    CLOSE_COMPLETE,
    COMMAND_COMPLETE,
    DATA_ROW,
    ERROR,
    NOTICE,
    NOTIFICATION,
    PARAMETER_DESCRIPTION,
    PARAMETER_STATUS,
    PARSE_COMPLETE,
    READY,
    ROW_DESCRIPTION,
)
from proxy.session import wire
from proxy.session.core import SessionCore
from proxy.session.effects import NEXT, OwnResult, Script, SegmentFailed, UpstreamError

# Names the marker's answer; one a process, so that statement statistics do not grow.
NONCE = b"__sqlsync_" + secrets.token_hex(8).encode()

_PASSING = (PARAMETER_STATUS, NOTIFICATION)
_BEGINNING = (CLOSE_COMPLETE, PARSE_COMPLETE, PARAMETER_DESCRIPTION)
_BEGINNING_REPLIES = 4  # of a run that describes itself, before its RowDescription


def own(
    sql: bytes,
    tail: bytes = wire.NO_BIND,
    types: bytes = wire.NO_PARAMETERS,
    *,
    name: bytes = wire.OWN,
    described: bool = False,
) -> bytes:
    """The messages of one run, without a Flush."""
    return b"".join(
        (
            wire.close(b"P", name),
            wire.close(b"S", name),
            wire.parse(name, sql, types),
            wire.describe(b"S", name) if described else b"",
            wire.bind(name, name, tail),
            wire.execute(name),
            wire.close(b"P", name),
            wire.close(b"S", name),
        )
    )


def own_of(statement: bytes, tail: bytes, *, name: bytes) -> bytes:
    """A run of a statement that the client has prepared, by a portal of ours."""
    return b"".join(
        (
            wire.close(b"P", name),
            wire.close(b"S", name),
            wire.describe(b"S", statement),
            wire.bind(name, statement, tail),
            wire.execute(name),
            wire.close(b"P", name),
            wire.close(b"S", name),
        )
    )


def result(session: SessionCore, closes: int = 4) -> Script:
    """Reads the replies to one own run. Raises UpstreamError."""
    found = OwnResult()
    while closes:
        kind, message = yield NEXT
        if kind == CLOSE_COMPLETE:
            closes -= 1
        elif kind == DATA_ROW:
            found.rows.append(message)
        elif kind == COMMAND_COMPLETE:
            found.tag = message[5:-1]
        elif kind == NOTICE:
            found.notices.append(message)
        elif kind == PARAMETER_DESCRIPTION:
            found.parameters = message[5:]
        elif kind == ROW_DESCRIPTION:
            found.description = message
        elif kind == ERROR:
            raise UpstreamError(message)
        elif kind in _PASSING:
            session.relay(kind, message)
    return found


def run(
    session: SessionCore,
    sql: bytes,
    tail: bytes = wire.NO_BIND,
    types: bytes = wire.NO_PARAMETERS,
) -> Script:
    """One own run by itself."""
    session.to_upstream.append(own(sql, tail, types) + wire.FLUSH)
    return (yield from result(session))


def synced(session: SessionCore) -> Script:
    """An own Sync: upstream skips to it after an error. Its ReadyForQuery is swallowed."""
    session.to_upstream.append(wire.SYNC)
    while True:
        kind, message = yield NEXT
        if kind == READY:
            session.status = message[5]
            return
        if kind in _PASSING:
            session.relay(kind, message)


def separated(session: SessionCore, sql: bytes, tail: bytes, types: bytes) -> Script:
    """A run whose first column is called NONCE; what comes before its answer is relayed.

    Raises SegmentFailed where an error of the client's own segment came first: then upstream
    skips and the run never answers.
    """
    session.to_upstream.append(own(sql, tail, types, described=True) + wire.FLUSH)
    waiting: list[bytes] = []  # may be replies to the beginning of our run
    while True:
        kind, message = yield NEXT
        if kind in _BEGINNING:
            waiting.append(message)
            continue
        if kind == ROW_DESCRIPTION and message[7 : 7 + len(NONCE)] == NONCE:
            for early in waiting[:-_BEGINNING_REPLIES]:
                session.pass_on(early)
            break
        for early in waiting:
            session.pass_on(early)
        waiting.clear()
        session.relay(kind, message)
        if kind == ERROR:
            raise SegmentFailed
    return (yield from result(session, closes=2))
