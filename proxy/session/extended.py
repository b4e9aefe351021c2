"""Execute of a portal that may write: the extended protocol's way into a write.

The client's Parse, Bind and Describe went on as they came, so errors, types and descriptions
are Postgres' own; its portal is never run. What it would have returned is kept with the
portal and served, also by later Executes with a row limit.
"""

from __future__ import annotations

from proxy.session import wire
from proxy.session.core import Facts, Portal, SessionCore
from proxy.session.effects import (
    NEXT,
    CommitDeferred,
    Refused,
    Script,
    SegmentFailed,
    UpstreamError,
)
from proxy.session.write import Answer, Held, run_write
from proxy.statements.model import Kind, Statement, Verb
from sqlsync.errors import SqlsyncError, Unsupported

SUSPENDED = b"s\0\0\0\x04"


def execute_script(session: SessionCore, message: bytes) -> Script | None:
    """The script that this Execute starts, or None where it just goes on."""
    name, limit = wire.read_execute(message[5:])
    portal = session.portals.get(name)
    if portal is None:
        return None
    statement = portal.prepared.statement
    if statement.kind is Kind.EXECUTE:
        named = session.executed_by(statement)
        if named is None or named.statement.kind is Kind.PASS:
            return None
        statement = named.statement
    match statement.kind:
        case Kind.WRITE | Kind.PREPARE if statement.write is not None and (
            statement.kind is Kind.WRITE or portal.prepared.statement.kind is Kind.EXECUTE
        ):
            return _execute_write(session, portal, name, limit, message, statement)
        case Kind.REFUSE:
            return _execute_refused(session, statement, message)
        case Kind.PREPARE:
            if portal.prepared.statement.kind is Kind.EXECUTE:
                return _execute_refused(session, statement, message)
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
    try:
        yield from session.drained()
        yield from session.facts(None)
    except SegmentFailed:
        return
    except UpstreamError as error:
        yield from session.failed(error.message)
        return
    yield from session.refused(refusal_of(statement))
    session.skipping = True


def _execute_write(
    session: SessionCore,
    portal: Portal,
    name: bytes,
    limit: int,
    message: bytes,
    statement: Statement,
) -> Script:
    if portal.done:
        yield from _again(session, portal, name, limit)
        return
    assert statement.write is not None
    parsed = portal.prepared.parse
    by_name = portal.prepared.statement.kind is Kind.EXECUTE
    text = parsed.sql if parsed else portal.prepared.statement.text.encode()
    try:
        yield from session.drained()
        facts: Facts = yield from session.facts(statement.write, name, text)
        if not facts.proven or facts.read_only or facts.relation is None:
            session.forward(message)
            return
        yield from session.begun(facts)
        yield from session.undo_lost()
        outcome = yield from run_write(
            session,
            Held(
                statement.write,
                text,
                portal.prepared.statement.end,
                parsed.oids if parsed else wire.NO_PARAMETERS,
                portal.tail,
                by_name,
            ),
            facts,
        )
    except SegmentFailed:
        return
    except UpstreamError as error:
        yield from session.failed(error.message)
        session.skipping = True
        return
    except Refused as refused:
        yield from session.refused(refused.error)
        session.skipping = True
        return
    if not isinstance(outcome, Answer):
        session.forward(message)
        return
    portal.done = True
    portal.returns = statement.write.returns or statement.write.around
    portal.rows, portal.tag = outcome.rows, outcome.tag
    _serve(session, portal, limit, first=True)


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
    try:
        yield from session.drained()
        yield from session.facts(None)
    except SegmentFailed:
        return
    if portal.returns:
        _serve(session, portal, limit, first=False)
        return
    error = SqlsyncError(f'portal "{name.decode("utf-8", "replace")}" cannot be run')
    error.sqlstate = "55000"
    yield from session.refused(error)
    session.skipping = True


def _execute_transaction(
    session: SessionCore, statement: Statement, message: bytes
) -> Script | None:
    if not session.own_block and session.open is None:
        session.note_transaction(statement)
        return None
    return _transaction_script(session, statement, message)


def _transaction_script(session: SessionCore, statement: Statement, message: bytes) -> Script:
    """A transaction command behind a write: the own block must not show through."""
    if session.own_block:
        yield from _in_own_block(session, statement, message)
        return
    if statement.verb is Verb.PREPARE_TRANSACTION:
        yield from session.refused(cannot_prepare())
        session.skipping = True
        return
    if statement.verb is Verb.COMMIT:
        try:
            yield from session.facts(None)
            yield from commit_deferred(session)
        except SegmentFailed:
            return
        except UpstreamError as error:
            yield from session.failed(error.message)
            session.skipping = True
            return
        except Refused as refused:
            yield from session.run(b"ROLLBACK")
            session.say_error(refused.error)
            session.segment_block = False
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
    yield from session.undo_lost()
    live = frozenset(session.open.entries)
    try:
        yield CommitDeferred(session.open.transaction, live)
    except SqlsyncError as error:
        raise Refused(error) from error


def _in_own_block(session: SessionCore, statement: Statement, message: bytes) -> Script:
    """Our BEGIN stands where natively the segment was no block yet."""
    try:
        yield from session.facts(None)
    except SegmentFailed:
        return
    match statement.verb:
        case Verb.BEGIN:
            # The client's BEGIN makes the block its own; natively it does not warn here.
            session.own_block = False
            session.segment_block = True
            yield from _swallowing_notice(session, message, b"C25001\0")
        case Verb.COMMIT | Verb.ROLLBACK if not statement.chain:
            session.own_block = False
            session.segment_block = False
            session.say_notice("WARNING", "25P01", "there is no transaction in progress")
            session.forward(message)
        case Verb.PREPARE_TRANSACTION:
            yield from session.refused(cannot_prepare())
            session.skipping = True
        case Verb.OTHER:
            session.forward(message)
        case _:
            words = (
                f"{statement.verb.value if statement.verb else ''}"
                f"{' AND CHAIN' if statement.chain else ''} can only be used in transaction blocks"
            )
            error = SqlsyncError(words)
            error.sqlstate = "25P01"
            yield from session.refused(error)
            session.skipping = True


def _swallowing_notice(session: SessionCore, message: bytes, code: bytes) -> Script:
    session.forward(message + wire.FLUSH)
    while True:
        kind, reply = yield NEXT
        if kind == 78 and code in reply:  # NoticeResponse
            continue
        session.relay(kind, reply)
        if kind in (67, 69):  # CommandComplete, ErrorResponse
            return
