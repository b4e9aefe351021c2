"""Transactions: the own block around a write in autocommit, refusals, ends of segments.

Every status byte that the client sees is upstream's own. A write in autocommit needs a
savepoint, hence an own BEGIN; its COMMIT goes out just before the client's Sync. A refusal is
raised upstream too, so that the client's block is left failed as natively.
"""

from __future__ import annotations

from uuid import UUID

from proxy.protocol.framing import IDLE
from proxy.session import wire
from proxy.session.core import SessionCore
from proxy.session.effects import OwnResult, Script, SegmentFailed, Undo, UpstreamError
from proxy.session.facts import Facts
from proxy.session.runs import NONCE, own, result, run, separated, synced
from sqlsync.errors import SqlsyncError

_QUIET = b"/* sqlsync */ select pg_catalog.set_config('client_min_messages', $1, true)"
_OWN_NAMES = wire.close(b"S", wire.OWN_PREPARED) + b"".join(
    wire.close(what, name) for name in (wire.OWN, wire.OWN_WRITE) for what in (b"P", b"S")
)


def begun(session: SessionCore, facts: Facts) -> Script:
    """Opens the own block where the client has no block open."""
    if session.own_block:
        return
    if not session.segment_unknown:
        known = session.segment_block
        if session.status != IDLE if known is None else known:
            return
        session.own_block = True
        yield from run(session, b"BEGIN")
        return
    # What ran before we looked may have been a BEGIN: a second one warns.
    quiet = facts.client_min_messages == "error"
    if quiet:
        yield from _set_messages(session, b"warning")
    began: OwnResult = yield from run(session, b"BEGIN")
    warned = any(b"C25001\0" in notice for notice in began.notices)
    if quiet:
        yield from _set_messages(session, b"error")
    session.own_block = not warned
    session.segment_block = warned or None
    session.segment_unknown = False


def _set_messages(session: SessionCore, level: bytes) -> Script:
    return run(session, _QUIET, wire.values(wire.Value(level)), wire.typed(wire.TEXT_OID))


def block_left(session: SessionCore) -> Script:
    """After an error: ends the own block, or leaves the client's failed as natively."""
    session.leftover = True
    if session.own_block:
        yield from synced(session)
        session.to_upstream.append(own(b"ROLLBACK") + _OWN_NAMES + wire.FLUSH)
        yield from result(session, closes=9)
        session.own_block = False
        session.leftover = False


def cleaned(session: SessionCore) -> Script:
    """Takes back own names that an error left behind."""
    if session.leftover:
        yield from synced(session)
        session.to_upstream.append(_OWN_NAMES + wire.FLUSH)
        yield from result(session, closes=5)
        session.leftover = False


def refused(session: SessionCore, error: SqlsyncError) -> Script:
    """Raises upstream too, so that the transaction's state is upstream's own."""
    try:
        yield from run(session, b"/* sqlsync */ select sqlsync.refuse()")
    except UpstreamError:
        pass
    session.say_error(error)
    yield from block_left(session)


def failed(session: SessionCore, message: bytes) -> Script:
    """An own run failed natively: the client gets upstream's words."""
    session.to_client.append(message)
    yield from block_left(session)


def rolled_back(session: SessionCore) -> Script:
    """Ends the client's block where its COMMIT is refused."""
    yield from run(session, b"ROLLBACK")
    session.segment_block = False


# -- what ROLLBACK TO took away ------------------------------------------------------------


def undo_lost(session: SessionCore) -> Script:
    """ROLLBACK TO may have taken writes away; undoes those at the provider."""
    writes = session.open
    if writes is None or not writes.rolled_back or not writes.entries:
        return
    live = yield from _live_entries(session, writes.entries)
    lost = frozenset(writes.entries - live)
    writes.rolled_back = False
    if lost:
        writes.entries -= lost
        notices = yield Undo(lost)
        session.say_notices(notices, "WARNING")


def _live_entries(session: SessionCore, entries: set[UUID]) -> Script:
    """Which of the transaction's writes it still carries."""
    ids = wire.text_array([str(entry) for entry in sorted(entries)])
    found: OwnResult = yield from run(
        session,
        b"/* sqlsync */ select array_to_string(sqlsync.live_entries($1), ',')",
        wire.values(wire.Value(ids)),
        wire.typed(wire.UUID_ARRAY_OID),
    )
    (text,) = wire.columns_of(found.rows[0])
    return {UUID(part) for part in (text or b"").decode().split(",") if part}


# -- ends of segments ----------------------------------------------------------------------


def end_segment(session: SessionCore, sync: bytes) -> Script:
    """The client's Sync behind a write: the own COMMIT goes out just before it."""
    yield from own_commit(session)
    yield from end_failed_segment(session, sync)


def own_commit(session: SessionCore) -> Script:
    """Ends the own block by COMMIT; a failing one is the client's error."""
    try:
        yield from separated(
            session,
            b'/* sqlsync */ select true as "' + NONCE + b'"',
            wire.NO_BIND,
            wire.NO_PARAMETERS,
        )
    except SegmentFailed:
        session.skipping = True
        return
    session.own_block = False
    try:
        yield from run(session, b"COMMIT")
    except UpstreamError as error:
        session.skipping = True
        session.to_client.append(error.message)
        session.leftover = True


def end_failed_segment(session: SessionCore, sync: bytes) -> Script:
    """Passes the Sync; before it, ends the own block and takes back own names."""
    if session.own_block:
        yield from block_left(session)
    yield from cleaned(session)
    session.skipping = False
    session.forward_sync(sync)
