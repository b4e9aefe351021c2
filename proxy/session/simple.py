"""Query: the simple protocol's way into a write.

A single write goes through an own statement, which gives syntax errors, positions and the row
description as Query would. A string of several statements with a write among them is one
implicit block natively; it becomes a hidden BEGIN, each plain piece as a Query of its own, the
write by rehearsal, and a hidden COMMIT.
"""

from __future__ import annotations

from proxy.protocol.framing import COMMAND_COMPLETE, COPY_IN, ERROR, IDLE, NOTICE, READY
from proxy.session import wire
from proxy.session.core import OWN_WRITE, Facts, SessionCore
from proxy.session.effects import NEXT, Refused, Script, UpstreamError
from proxy.session.extended import cannot_prepare, commit_deferred, refusal_of
from proxy.session.write import Answer, Held, run_write
from proxy.statements.model import Kind, Statement, Verb
from sqlsync.errors import SqlsyncError

_UNNAMED = wire.close(b"S", b"") + wire.close(b"P", b"")
_OURS = (Kind.WRITE, Kind.REFUSE)


def query_script(
    session: SessionCore, message: bytes, found: tuple[Statement, ...]
) -> Script | None:
    """The script that a Query starts, or None where it just goes on."""
    pieces = tuple(_resolved(session, s) for s in found)
    if any(kind in _OURS for kind, _, _ in pieces):
        if len(pieces) == 1:
            return _one(session, message, *pieces[0])
        return _string(session, message, pieces)
    for _, statement, _ in pieces:
        if statement.kind is Kind.PREPARE:
            session.note_prepared(statement)
        elif statement.kind is Kind.FORGET:
            session.forget(statement)
    if session.own_block:
        return _behind_open_segment(session, message)
    if session.open is not None:
        verbs = [s.verb for _, s, _ in pieces if s.kind is Kind.TRANSACTION]
        if len(pieces) > 1 and verbs:
            return _string(session, message, pieces)
        if verbs and verbs[0] in (Verb.COMMIT, Verb.PREPARE_TRANSACTION):
            return _end_of_block(session, message, verbs[0])
    return None


def _resolved(session: SessionCore, statement: Statement) -> tuple[Kind, Statement, bool]:
    """(what it comes to, the statement that says so, whether by SQL EXECUTE)."""
    if statement.kind is Kind.EXECUTE:
        named = session.executed_by(statement)
        if named is not None and named.statement.refusal is not None:
            return Kind.REFUSE, named.statement, True
        if named is not None and named.statement.write is not None:
            inner = named.statement
            return (
                Kind.WRITE,
                Statement(
                    Kind.WRITE, statement.text, statement.start, statement.end, write=inner.write
                ),
                True,
            )
    return statement.kind, statement, False


def _behind_open_segment(session: SessionCore, message: bytes) -> Script:
    yield from session.own_commit()
    if session.skipping:
        # Upstream skips up to a Sync; a Query is none, so it is dropped, as natively.
        return
    session.forward_query(message)


def _end_of_block(session: SessionCore, message: bytes, verb: Verb) -> Script:
    yield from session.drained()
    try:
        if verb is Verb.PREPARE_TRANSACTION:
            raise Refused(cannot_prepare())
        yield from commit_deferred(session)
    except UpstreamError as error:
        session.to_client.append(error.message)
        session.forward_sync(wire.SYNC)
        return
    except Refused as refused:
        if verb is Verb.PREPARE_TRANSACTION:
            yield from session.refused(refused.error)
        else:
            yield from session.run(b"ROLLBACK")
            session.say_error(refused.error)
        session.forward_sync(wire.SYNC)
        return
    yield from session.synced()
    session.forward_query(message)


def _one(
    session: SessionCore, message: bytes, kind: Kind, statement: Statement, by_name: bool
) -> Script:
    """A single statement: W, or one to be refused."""
    yield from session.drained()
    session.statements.pop(b"", None)
    session.portals.pop(b"", None)
    try:
        outcome = yield from _described_write(session, message[5:-1], kind, statement, by_name)
    except UpstreamError as error:
        yield from session.failed(error.message)
    except Refused as refused:
        yield from session.refused(refused.error)
    else:
        if outcome is None:
            yield from _native(session, message)
            return
        description, answer = outcome
        if description:
            session.to_client.append(description)
        session.to_client.extend(answer.rows)
        if session.own_block:
            try:
                yield from session.run(b"COMMIT")
            except UpstreamError as error:
                session.own_block = False
                session.to_client.append(error.message)
                session.forward_sync(wire.SYNC)
                return
            session.own_block = False
        session.to_client.append(wire.message(b"C", answer.tag + b"\0"))
    yield from _cleaned(session)
    session.forward_sync(wire.SYNC)


def _cleaned(session: SessionCore) -> Script:
    """Takes back own names that an error left behind in the client's block."""
    if not session.leftover:
        return
    yield from session.synced()
    names = (wire.OWN, OWN_WRITE)
    session.forward(b"".join(wire.close(b"P", n) + wire.close(b"S", n) for n in names) + wire.FLUSH)
    for _ in range(4):
        yield NEXT
    session.leftover = False


def _described_write(
    session: SessionCore, text: bytes, kind: Kind, statement: Statement, by_name: bool
) -> Script:
    """Returns (RowDescription, Answer), or None where the statement is none of ours.

    Raises UpstreamError with native words, or Refused.
    """
    session.forward(
        _UNNAMED
        + wire.close(b"S", OWN_WRITE)
        + wire.parse(OWN_WRITE, text)
        + wire.describe(b"S", OWN_WRITE)
        + wire.close(b"S", OWN_WRITE)
        + wire.FLUSH
    )
    description = b""
    closed = 0
    while closed < 4:
        reply, message = yield NEXT
        if reply == 51:  # CloseComplete
            closed += 1
        elif reply == 84:  # RowDescription
            description = message
        elif reply == ERROR:
            raise UpstreamError(message)
    if kind is Kind.REFUSE:
        raise Refused(refusal_of(statement))
    assert statement.write is not None
    facts: Facts = yield from session.facts(statement.write)
    if facts.read_only or facts.relation is None:
        return None
    yield from session.begun(facts)
    yield from session.undo_lost()
    outcome = yield from run_write(
        session,
        Held(statement.write, text, statement.end, by_name=by_name),
        facts,
    )
    if not isinstance(outcome, Answer):
        return None
    return description, outcome


def _native(session: SessionCore, message: bytes) -> Script:
    """Ends what we opened, without a trace, and lets the Query go on as it came."""
    if session.own_block:
        yield from session.run(b"ROLLBACK")
        session.own_block = False
    yield from session.synced()
    session.forward_query(message)


# -- strings of several statements ---------------------------------------------------------


class _Stop(Exception):
    """A piece failed; the client has its error."""


def _string(
    session: SessionCore,
    message: bytes,
    pieces: tuple[tuple[Kind, Statement, bool], ...],
) -> Script:
    yield from session.drained()
    session.statements.pop(b"", None)
    session.portals.pop(b"", None)
    hidden = False
    if session.status == IDLE:
        yield from _own_query(session, b"BEGIN")
        hidden = True
    held_tag = b""  # the last CommandComplete comes after the commit it reports
    ready = b""
    try:
        for kind, statement, by_name in pieces:
            if held_tag:
                session.to_client.append(held_tag)
                held_tag = b""
            if statement.kind is Kind.TRANSACTION:
                hidden, held_tag, ready = yield from _transaction_piece(session, statement, hidden)
            elif kind in _OURS:
                held_tag = yield from _write_piece(session, kind, statement, by_name)
            else:
                held_tag, ready = yield from _plain_piece(session, statement)
            if not hidden and session.status == IDLE and statement is not pieces[-1][1]:
                yield from _own_query(session, b"BEGIN")
                hidden = True
        if hidden:
            held_tag, ready = yield from _hidden_commit(session, held_tag)
    except _Stop:
        held_tag = b""
        if hidden:
            ready = yield from _own_query(session, b"ROLLBACK")
        else:
            ready = b"Z\0\0\0\x05" + bytes([session.status])
    if held_tag:
        session.to_client.append(held_tag)
    if not ready:
        ready = b"Z\0\0\0\x05" + bytes([session.status])
    session.replies.sent(81)
    yield from session.passing(READY, ready)


def _own_query(session: SessionCore, sql: bytes) -> Script:
    """A Query of ours where the client's own Query has dropped the unnamed ones anyway.

    Returns its ReadyForQuery. Raises UpstreamError after it.
    """
    session.forward(wire.query(sql))
    failure = b""
    while True:
        kind, message = yield NEXT
        if kind == ERROR:
            failure = message
        elif kind == READY:
            session.status = message[5]
            if failure:
                raise UpstreamError(failure)
            return message
        elif kind in (83, 65):  # ParameterStatus, NotificationResponse
            session.relay(kind, message)


def _hidden_commit(session: SessionCore, held_tag: bytes) -> Script:
    try:
        if session.open is not None:
            yield from commit_deferred(session)
            yield from session.synced()
        ready = yield from _own_query(session, b"COMMIT")
    except Refused as refused:
        session.say_error(refused.error)
        yield from session.synced()
        raise _Stop from refused
    except UpstreamError as error:
        session.to_client.append(error.message)
        return b"", b"Z\0\0\0\x05" + bytes([session.status])
    return held_tag, ready


def _plain_piece(
    session: SessionCore, statement: Statement, drop: bytes = b"", add: bytes = b""
) -> Script:
    """Sends one piece as a Query; returns (its last CommandComplete, its ReadyForQuery).

    drop: the code of a notice that natively does not come. Raises _Stop after an error.
    """
    if statement.kind is Kind.PREPARE:
        session.note_prepared(statement)
    elif statement.kind is Kind.FORGET:
        session.forget(statement)
    # Leading blanks keep positions in errors what they are in the client's string.
    text = " " * statement.start + statement.text
    session.forward(wire.query(text.encode(session.codec or "ascii", "replace")))
    tag = b""
    failed = False
    while True:
        kind, message = yield NEXT
        if kind == READY:
            session.status = message[5]
            if failed:
                raise _Stop
            return tag, message
        if kind == COMMAND_COMPLETE:
            if tag:
                session.to_client.append(tag)
            tag = message
            if session.open is not None:
                session.open.ended |= message[5:-1] == b"COMMIT"
                session.open.rolled_back |= message[5:-1] == b"ROLLBACK"
            continue
        if kind == NOTICE and drop and drop in message:
            continue
        if kind == COPY_IN:
            session.forward(
                wire.message(
                    b"f", b"COPY FROM STDIN cannot stand in a string that writes a mirrored table\0"
                )
            )
            continue
        failed |= kind == ERROR
        if kind == ERROR and tag:
            session.to_client.append(tag)
            tag = b""
        session.to_client.append(message)
        if kind == 83:
            session.parameter(message[5:])


def _transaction_piece(session: SessionCore, statement: Statement, hidden: bool) -> Script:
    """Returns (hidden, held tag, ready). The table of the handbook, section 2."""
    verb = statement.verb
    if hidden and verb is Verb.BEGIN:
        tag, ready = yield from _plain_piece(session, statement, drop=b"C25001\0")
        return False, tag, ready
    if hidden and (statement.chain or verb in (Verb.SAVEPOINT, Verb.RELEASE, Verb.ROLLBACK_TO)):
        chain = " AND CHAIN" if statement.chain else ""
        error = SqlsyncError(
            f"{verb.value if verb else ''}{chain} can only be used in transaction blocks"
        )
        error.sqlstate = "25P01"
        session.say_error(error)
        raise _Stop
    if session.open is not None and verb in (Verb.COMMIT, Verb.PREPARE_TRANSACTION):
        try:
            if verb is Verb.PREPARE_TRANSACTION:
                raise Refused(cannot_prepare())
            yield from commit_deferred(session)
        except Refused as refused:
            session.say_error(refused.error)
            yield from session.synced()
            yield from _own_query(session, b"ROLLBACK")
            yield from session.settle()
            raise _Stop from refused
        yield from session.synced()
    if hidden and verb in (Verb.COMMIT, Verb.ROLLBACK):
        session.say_notice("WARNING", "25P01", "there is no transaction in progress")
    tag, ready = yield from _plain_piece(session, statement)
    if session.status == IDLE:
        yield from session.settle()
        hidden = False
    return hidden, tag, ready


def _write_piece(session: SessionCore, kind: Kind, statement: Statement, by_name: bool) -> Script:
    """Returns the held CommandComplete. Raises _Stop after an error."""
    text = " " * statement.start + statement.text
    placed = Statement(
        statement.kind,
        text,
        statement.start,
        len(text),
        write=statement.write,
        refusal=statement.refusal,
    )
    session.segment_block = True
    try:
        outcome = yield from _described_write(
            session, text.encode(session.codec or "ascii"), kind, placed, by_name
        )
    except UpstreamError as error:
        session.to_client.append(error.message)
        yield from session.synced()
        raise _Stop from error
    except Refused as refused:
        yield from session.refused(refused.error)
        yield from session.synced()
        raise _Stop from refused
    finally:
        session.segment_block = None
    yield from session.synced()
    if outcome is None:
        tag, _ = yield from _plain_piece(session, statement)
        return tag
    description, answer = outcome
    if description:
        session.to_client.append(description)
    session.to_client.extend(answer.rows)
    return wire.message(b"C", answer.tag + b"\0")
