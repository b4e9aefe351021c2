"""Query with one statement: the simple protocol's way into a write.

The write goes through an own statement, which gives syntax errors, positions and the row
description as Query would.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.protocol.framing import FAILED
from proxy.session import wire
from proxy.session.answer import Answer
from proxy.session.blocks import (
    begun,
    block_left,
    cleaned,
    failed,
    own_commit,
    refused,
    rolled_back,
    undo_lost,
)
from proxy.session.core import SessionCore
from proxy.session.effects import OwnResult, Refused, Script, SegmentFailed, UpstreamError
from proxy.session.extended import cannot_prepare, commit_deferred, refusal_of
from proxy.session.facts import ByName, Facts, ask_facts, by_name_of
from proxy.session.rehearsal import Held
from proxy.session.runs import result, run, synced
from proxy.session.write import run_write
from proxy.statements.model import Kind, Statement, Verb, Write

_UNNAMED = wire.close(b"S", b"") + wire.close(b"P", b"")


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement of a Query and what it comes to.

    said_by: the statement itself, or the one that an EXECUTE names. Of ours it has a write or
    a refusal.
    """

    statement: Statement
    said_by: Statement
    by_name: ByName | None = None

    @property
    def is_ours(self) -> bool:
        if self.by_name is not None:
            return True
        return self.statement.kind in (Kind.WRITE, Kind.REFUSE)


def piece_of(session: SessionCore, statement: Statement) -> Piece:
    if statement.kind is Kind.EXECUTE:
        named = session.executed_by(statement)
        if named is not None and named.statement.may_write:
            return Piece(statement, named.statement, by_name_of(session, statement, named))
    return Piece(statement, statement)


def end_of_block(session: SessionCore, message: bytes, verb: Verb) -> Script:
    """COMMIT (or PREPARE TRANSACTION) of a block with writes."""
    yield from session.drained()
    if session.status == FAILED:
        session.forward_query(message)
        return
    try:
        if verb is Verb.PREPARE_TRANSACTION:
            raise Refused(cannot_prepare())
        yield from commit_deferred(session)
    except UpstreamError as error:
        yield from failed(session, error.message)
        yield from cleaned(session)
        session.forward_sync(wire.SYNC)
        return
    except Refused as refusal:
        if verb is Verb.PREPARE_TRANSACTION:
            yield from refused(session, refusal.error)
            yield from cleaned(session)
        else:
            yield from rolled_back(session)
            session.say_error(refusal.error)
        session.forward_sync(wire.SYNC)
        return
    yield from synced(session)
    session.forward_query(message)


def behind_open_segment(session: SessionCore, message: bytes) -> Script:
    """A Query where a segment with a write has not been ended by Sync."""
    yield from own_commit(session)
    if not session.skipping:  # otherwise it is dropped, as natively
        session.forward_query(message)


def one_statement(session: SessionCore, message: bytes, piece: Piece) -> Script:
    """A single statement: W, or one to be refused."""
    yield from session.drained()
    session.statements.pop(b"", None)
    session.portals.pop(b"", None)
    try:
        outcome = yield from described_write(session, message[5:-1], piece.statement.end, piece)
        if outcome is None:
            yield from _native(session, message)
            return
        description, answer = outcome
        session.to_client.extend((description, *answer.rows) if description else answer.rows)
        if session.own_block:
            session.own_block = False
            session.leftover = True  # should it fail
            yield from run(session, b"COMMIT")
            session.leftover = False
        session.to_client.append(wire.message(b"C", answer.tag + b"\0"))
    except UpstreamError as error:
        yield from failed(session, error.message)
    except Refused as refusal:
        yield from refused(session, refusal.error)
    except SegmentFailed:
        session.skipping = False  # the segment is this Query, and ends here
        yield from block_left(session)
    yield from cleaned(session)
    session.forward_sync(wire.SYNC)


def described_write(session: SessionCore, text: bytes, end: int, piece: Piece) -> Script:
    """Runs W. end: characters of the text up to the statement's end.

    Returns (RowDescription, Answer), or None where the statement is none of ours. Raises
    UpstreamError with native words, Refused, or SegmentFailed (a cancel can hit the marker).
    """
    session.to_upstream.append(
        _UNNAMED
        + wire.close(b"S", wire.OWN_WRITE)
        + wire.parse(wire.OWN_WRITE, text)
        + wire.describe(b"S", wire.OWN_WRITE)
        + wire.close(b"S", wire.OWN_WRITE)
        + wire.FLUSH
    )
    described: OwnResult = yield from result(session)
    refusal, write = piece.said_by.refusal, piece.said_by.write
    facts: Facts = yield from ask_facts(session, _place(piece), by_name=piece.by_name)
    if not facts.is_prepared:
        return None
    if refusal is not None:
        if refusal.place is None or facts.relation is not None:
            raise Refused(refusal_of(piece.said_by))
        return None
    assert write is not None
    if facts.read_only or facts.relation is None:
        return None
    if write.parameters and not piece.by_name:
        return None
    yield from begun(session, facts)
    yield from undo_lost(session)
    held = Held(write, text, end, by_name=piece.by_name)
    outcome = yield from run_write(session, held, facts)
    return (described.description, outcome) if isinstance(outcome, Answer) else None


def _place(piece: Piece) -> tuple[str | None, str] | None:
    said: Write | None = piece.said_by.write
    if said is not None:
        return said.place
    return piece.said_by.refusal.place if piece.said_by.refusal else None


def _native(session: SessionCore, message: bytes) -> Script:
    """Ends what we opened, without a trace, and lets the Query go on as it came."""
    if session.own_block:
        yield from run(session, b"ROLLBACK")
        session.own_block = False
    yield from synced(session)
    session.forward_query(message)
