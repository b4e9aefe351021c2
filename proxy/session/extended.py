"""Execute of a portal that may write: the extended protocol's way into a write.

The client's Parse, Bind and Describe went on as they came, so errors, types and descriptions
are Postgres' own; its portal is never run. What it would have returned is kept with the
portal and served, also by later Executes with a row limit.
"""

from __future__ import annotations

from proxy.protocol.framing import COMMAND_COMPLETE, ERROR, FAILED, NOTICE
from proxy.session import wire
from proxy.session.answer import Answer
from proxy.session.blocks import begun, failed, refused, rolled_back, undo_lost
from proxy.session.core import Portal, SessionCore
from proxy.session.effects import (
    NEXT,
    CommitDeferred,
    OwnResult,
    Refused,
    Script,
    SegmentFailed,
    UpstreamError,
)
from proxy.session.facts import ByName, Facts, ask_facts, by_name_of
from proxy.session.rehearsal import Held
from proxy.session.runs import result
from proxy.session.write import run_write
from proxy.statements.model import Kind, Statement, Verb
from proxy.statements.returning import printed
from sqlsync.errors import SqlsyncError, Unsupported

SUSPENDED = b"s\0\0\0\x04"


def execute_script(session: SessionCore, message: bytes) -> Script | None:
    """The script that this Execute starts, or None where it just goes on."""
    try:
        name, limit = wire.read_execute(message[5:])
    except ValueError:
        return None  # upstream says what is wrong with it
    portal = session.portals.get(name)
    if portal is None:
        return None
    statement = portal.prepared.statement
    by_name = None
    if statement.kind is Kind.EXECUTE:
        named = session.executed_by(statement)
        if named is None or not named.statement.may_write:
            return None
        by_name = by_name_of(session, statement, named)
        statement = named.statement
    runs_it = by_name is not None or portal.prepared.parse is None
    if statement.refusal is not None and (statement.kind is Kind.REFUSE or runs_it):
        return _execute_refused(session, statement, message)
    if statement.write is not None and (statement.kind is Kind.WRITE or runs_it):
        return _execute_write(session, portal, name, limit, message, statement, by_name)
    match statement.kind:
        case Kind.PREPARE:
            session.note_prepared(statement)
        case Kind.FORGET:
            session.forget(statement)
        case Kind.TRANSACTION:
            return _execute_transaction(session, statement, message)
        case _:
            pass
    return None


def refusal_of(statement: Statement) -> SqlsyncError:
    assert statement.refusal is not None
    error = Unsupported(statement.refusal.message, hint=statement.refusal.hint)
    error.sqlstate = statement.refusal.sqlstate
    return error


def _execute_refused(session: SessionCore, statement: Statement, message: bytes) -> Script:
    assert statement.refusal is not None
    place = statement.refusal.place
    try:
        yield from session.drained()
        if session.in_failed_block:
            session.forward(message)
            return
        facts: Facts = yield from ask_facts(session, place)
    except SegmentFailed:
        return
    except UpstreamError as error:
        yield from failed(session, error.message)
        session.skipping = True
        return
    if place is not None and facts.relation is None:
        session.forward(message)  # the name means something else on this session
        return
    yield from refused(session, refusal_of(statement))
    session.skipping = True


def _execute_write(
    session: SessionCore,
    portal: Portal,
    name: bytes,
    limit: int,
    message: bytes,
    statement: Statement,
    by_name: ByName | None,
) -> Script:
    write, parsed = statement.write, portal.prepared.parse
    assert write is not None
    codec = session.codec or "ascii"
    text = parsed.sql if parsed else portal.prepared.statement.text.strip().encode(codec, "replace")
    try:
        yield from session.drained()
        if session.in_failed_block:
            session.forward(message)
            return
        facts: Facts = yield from ask_facts(
            session, write.place, name, text, inside=not parsed, by_name=by_name
        )
        if portal.done and facts.proven:
            yield from _again(session, portal, name, limit)
            return
        is_there = facts.proven and facts.is_prepared
        if not is_there or facts.read_only or facts.relation is None:
            session.forward(message)
            return
        yield from begun(session, facts)
        yield from undo_lost(session)
        if parsed:
            end = portal.prepared.statement.end
            held = Held(write, text, end, parsed.oids, portal.tail, by_name)
        else:
            held = yield from _sql_prepared(session, portal, statement)
        outcome = yield from run_write(session, held, facts)
    except SegmentFailed:
        return
    except UpstreamError as error:
        yield from failed(session, error.message)
        session.skipping = True
        return
    except Refused as refusal:
        yield from refused(session, refusal.error)
        session.skipping = True
        return
    if not isinstance(outcome, Answer):
        session.forward(message)
        return
    portal.done = True
    portal.returns = write.shows
    portal.rows, portal.tag = outcome.rows, outcome.tag
    _serve(session, portal, limit, first=True)


def _sql_prepared(session: SessionCore, portal: Portal, statement: Statement) -> Script:
    """A portal bound to a statement of SQL PREPARE: only its inner text can be run by itself."""
    assert statement.write is not None
    name = session.statement_name(statement)
    session.to_upstream.append(wire.describe(b"S", name) + wire.close(b"S", wire.OWN) + wire.FLUSH)
    found: OwnResult = yield from result(session, closes=1)
    text = printed(statement.write)
    oids = wire.typed(*wire.parameter_oids(found.parameters))
    return Held(
        statement.write, text.encode(session.codec or "ascii"), len(text), oids, portal.tail
    )


def _serve(session: SessionCore, portal: Portal, limit: int, *, first: bool) -> None:
    count = len(portal.rows) if limit == 0 else min(limit, len(portal.rows))
    session.to_client.extend(portal.rows.popleft() for _ in range(count))
    if limit and count == limit and portal.returns:
        session.to_client.append(SUSPENDED)
        return
    tag = portal.tag
    if portal.returns and not (first and limit == 0):
        tag = wire.with_count(tag, count)
    session.to_client.append(wire.message(b"C", tag + b"\0"))


def _again(session: SessionCore, portal: Portal, name: bytes, limit: int) -> Script:
    """A later Execute of a portal that has been answered."""
    if portal.returns:
        _serve(session, portal, limit, first=False)
        return
    shown = name.decode(session.codec or "ascii", "replace")
    error = SqlsyncError(f'portal "{shown}" cannot be run')
    error.sqlstate = "55000"
    yield from refused(session, error)
    session.skipping = True


def _execute_transaction(
    session: SessionCore, statement: Statement, message: bytes
) -> Script | None:
    ends_writes = (
        session.open is not None
        and session.status != FAILED
        and statement.verb in (Verb.COMMIT, Verb.PREPARE_TRANSACTION)
    )
    if not session.own_block and not ends_writes:
        session.note_transaction(statement)
        return None
    return _transaction_script(session, statement, message)


def _transaction_script(session: SessionCore, statement: Statement, message: bytes) -> Script:
    """A transaction command behind a write: the own block must not show through."""
    try:
        yield from session.drained()
        facts: Facts = yield from ask_facts(session)
        if session.own_block:
            yield from _in_own_block(session, statement, message, facts)
            return
        if statement.verb is Verb.PREPARE_TRANSACTION:
            raise Refused(cannot_prepare())
        if statement.verb is Verb.COMMIT:
            yield from commit_deferred(session)
    except SegmentFailed:
        return
    except UpstreamError as error:
        yield from failed(session, error.message)
        session.skipping = True
        return
    except Refused as refusal:
        if statement.verb is Verb.COMMIT:
            yield from rolled_back(session)
            session.say_error(refusal.error)
        else:
            yield from refused(session, refusal.error)
        session.skipping = True
        return
    session.note_transaction(statement)
    session.forward(message)


def cannot_prepare() -> SqlsyncError:
    return Unsupported(
        "PREPARE TRANSACTION after a write to a mirrored table is not supported",
        hint="COMMIT instead; nobody would see how a prepared transaction ends.",
    )


def commit_deferred(session: SessionCore) -> Script:
    """Before the client's COMMIT goes out: what has no inverse runs now. Raises Refused."""
    if session.open is None or not session.open.entries:
        return
    yield from undo_lost(session)
    live = frozenset(session.open.entries)
    try:
        yield CommitDeferred(session.open.transaction, live)
    except SqlsyncError as error:
        raise Refused(error) from error


def _in_own_block(
    session: SessionCore, statement: Statement, message: bytes, facts: Facts
) -> Script:
    """Our BEGIN stands where natively the segment was no block yet. Raises Refused."""
    match statement.verb:
        case Verb.BEGIN:
            # The client's BEGIN makes the block its own; natively it does not warn here.
            if (yield from _swallowing_notice(session, message, b"\0C25001\0")):
                session.own_block = False
                session.segment_block = True
            else:  # an option came too late; natively no block is left
                session.skipping = True
        case Verb.COMMIT | Verb.ROLLBACK if not statement.chain:
            session.own_block = False
            session.segment_block = False
            if facts.client_min_messages != "error":
                session.say_notice("WARNING", "25P01", "there is no transaction in progress")
            session.forward(message)
        case Verb.PREPARE_TRANSACTION:
            raise Refused(cannot_prepare())
        case Verb.OTHER:
            session.forward(message)
        case _:
            raise Refused(outside_block(statement))


def outside_block(statement: Statement) -> SqlsyncError:
    """Postgres' own words for a command that wants a block."""
    assert statement.verb is not None
    chain = " AND CHAIN" if statement.chain else ""
    error = SqlsyncError(f"{statement.verb.value}{chain} can only be used in transaction blocks")
    error.sqlstate = "25P01"
    return error


def _swallowing_notice(session: SessionCore, message: bytes, code: bytes) -> Script:
    """Returns whether upstream carried the message out."""
    session.forward(message + wire.FLUSH)
    while True:
        kind, reply = yield NEXT
        if kind == NOTICE and code in reply:
            continue
        session.relay(kind, reply)
        if kind in (COMMAND_COMPLETE, ERROR):
            return kind == COMMAND_COMPLETE
