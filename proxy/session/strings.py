"""Query with several statements, one of them a write: one implicit block, natively.

It becomes a hidden BEGIN, each plain piece as a Query of its own, the write by rehearsal, and
a hidden COMMIT; of the inner ReadyForQuery only the last is shown. What natively comes with
it alone (ParameterStatus, notifications, a deferred error) waits until then.
"""

from __future__ import annotations

from proxy.protocol.framing import COMMAND_COMPLETE, COPY_IN, ERROR, IDLE, NOTICE, QUERY, READY
from proxy.session import wire
from proxy.session.blocks import cleaned, refused
from proxy.session.core import SessionCore
from proxy.session.effects import NEXT, Refused, Script, SegmentFailed, UpstreamError
from proxy.session.extended import cannot_prepare, commit_deferred, outside_block
from proxy.session.facts import Facts, ask_facts
from proxy.session.runs import synced
from proxy.session.simple import (
    Piece,
    behind_open_segment,
    described_write,
    end_of_block,
    one_statement,
    piece_of,
)
from proxy.statements.model import Kind, Statement, Verb

_NO_COPY = b"COPY FROM STDIN cannot stand in a string that writes a mirrored table\0"
_MISSING_BLOCK = ("WARNING", "25P01", "there is no transaction in progress")


def query_script(
    session: SessionCore, message: bytes, found: tuple[Statement, ...]
) -> Script | None:
    """The script that a Query starts, or None where it just goes on."""
    pieces = [piece_of(session, statement) for statement in found]
    if len(pieces) == 1 and pieces[0].is_ours:
        return one_statement(session, message, pieces[0])
    kinds = {statement.kind for statement in found}
    prepares = {Kind.PREPARE, Kind.EXECUTE} <= kinds
    if prepares or any(piece.is_ours for piece in pieces):
        return _String(session, found).script()
    for statement in found:
        if statement.kind is Kind.PREPARE:
            session.note_prepared(statement)
        elif statement.kind is Kind.FORGET:
            session.forget(statement)
    if session.own_block:
        return behind_open_segment(session, message)
    if session.open is not None and Kind.TRANSACTION in kinds:
        if len(found) > 1:
            return _String(session, found).script()
        if found[0].verb in (Verb.COMMIT, Verb.PREPARE_TRANSACTION):
            return end_of_block(session, message, found[0].verb)
    return None


class _Stop(Exception):
    """A piece failed; the client has its error."""


class _String:
    """The working through of one string.

    `tag`: the last CommandComplete, held because it comes after the commit that it reports.
    """

    def __init__(self, session: SessionCore, statements: tuple[Statement, ...]) -> None:
        self.session = session
        self.statements = statements
        self.hidden = False
        self.tag = b""
        self.lasting: dict[bytes, bytes] = {}  # ParameterStatus of what has been committed

    def script(self) -> Script:
        session = self.session
        yield from session.drained()
        session.statements.pop(b"", None)
        session.portals.pop(b"", None)
        session.held = {}
        try:
            for statement in self.statements:
                yield from self._hide()
                self._say_tag()
                yield from self._piece(statement)
            if self.hidden:
                yield from self._commit()
        except _Stop:
            self.tag = b""
            if self.hidden:
                yield from self._query(b"ROLLBACK")
            session.held.clear()
        self._say_tag()
        session.to_client.extend(session.held_notifications)
        session.to_client.extend({**self.lasting, **session.held}.values())
        session.held_notifications.clear()
        session.held = None
        session.replies.sent(QUERY)
        yield from session.passing(READY, b"Z\0\0\0\x05" + bytes([session.status]))

    def _hide(self) -> Script:
        """Opens the hidden block where none is open."""
        if self.session.status == IDLE:
            self._ended()
            try:
                yield from self._query(b"BEGIN")
            except UpstreamError as error:  # a cancel
                self.session.to_client.append(error.message)
                raise _Stop from error
            self.hidden = True

    def _ended(self) -> None:
        """A transaction has been committed inside the string: its settings stay."""
        assert self.session.held is not None
        self.lasting.update(self.session.held)
        self.session.held.clear()

    def _say_tag(self) -> None:
        if self.tag:
            self.session.to_client.append(self.tag)
            self.tag = b""

    def _piece(self, statement: Statement) -> Script:
        piece = piece_of(self.session, statement)
        if statement.kind is Kind.TRANSACTION:
            yield from self._transaction(statement)
        elif piece.is_ours:
            yield from self._write(piece)
        else:
            yield from self._plain(statement)

    def _query(self, sql: bytes) -> Script:
        """A Query of ours: the client's own has dropped the unnamed ones anyway.

        Raises UpstreamError after its ReadyForQuery.
        """
        session = self.session
        session.forward(wire.query(sql))
        failure = b""
        while True:
            kind, message = yield NEXT
            if kind == READY:
                session.status = message[5]
                if failure:
                    raise UpstreamError(failure)
                return
            if kind == ERROR:
                failure = message
            elif kind not in (COMMAND_COMPLETE, NOTICE):
                session.relay(kind, message)

    def _commit(self) -> Script:
        """The hidden COMMIT."""
        try:
            if self.session.open is not None:
                yield from commit_deferred(self.session)
                yield from synced(self.session)
            yield from self._query(b"COMMIT")
        except Refused as refusal:
            self.session.say_error(refusal.error)
            yield from synced(self.session)
            raise _Stop from refusal
        except UpstreamError as error:
            self.session.to_client.append(error.message)
            self.hidden = False
            raise _Stop from error

    def _plain(self, statement: Statement, drop: bytes = b"") -> Script:
        """Sends one piece as a Query. drop: the code of a notice that natively does not come."""
        session = self.session
        if statement.kind is Kind.PREPARE:
            session.note_prepared(statement)
        elif statement.kind is Kind.FORGET:
            session.forget(statement)
        session.forward(wire.query(statement.text.encode(session.codec or "ascii", "replace")))
        failed = False
        while True:
            kind, message = yield NEXT
            if kind == READY:
                session.status = message[5]
                if failed:
                    raise _Stop
                return
            if kind == COMMAND_COMPLETE:
                self._say_tag()
                self.tag = message
                session.note_tag(message[5:-1])
            elif kind == COPY_IN:
                session.forward(wire.message(b"f", _NO_COPY))
            elif kind == ERROR:
                failed = True
                self._say_tag()
                session.to_client.append(wire.moved(message, statement.start))
            elif kind == NOTICE:
                if not drop or drop not in message:
                    session.to_client.append(wire.moved(message, statement.start))
            else:
                session.relay(kind, message)

    def _transaction(self, statement: Statement) -> Script:
        """A transaction command inside the string: our BEGIN must not show in what it does."""
        session, verb = self.session, statement.verb
        if self.hidden and verb is Verb.BEGIN:
            yield from self._plain(statement, drop=b"\0C25001\0")
            self.hidden = False  # not where it failed, by an option that comes too late
            return
        nests = verb in (Verb.SAVEPOINT, Verb.RELEASE, Verb.ROLLBACK_TO)
        if self.hidden and (statement.chain or nests):
            session.say_error(outside_block(statement))
            raise _Stop
        if session.open is not None and verb in (Verb.COMMIT, Verb.PREPARE_TRANSACTION):
            yield from self._deferred(verb)
        if self.hidden and verb in (Verb.COMMIT, Verb.ROLLBACK):
            try:
                facts: Facts = yield from ask_facts(session)
            except SegmentFailed as failure:
                yield from self._left()
                raise _Stop from failure
            yield from synced(session)
            if facts.client_min_messages != "error":
                session.say_notice(*_MISSING_BLOCK)
            self.hidden = False
        yield from self._plain(statement)
        if session.status == IDLE or statement.chain:
            yield from session.settle()

    def _deferred(self, verb: Verb) -> Script:
        session = self.session
        try:
            if verb is Verb.PREPARE_TRANSACTION:
                raise Refused(cannot_prepare())
            yield from commit_deferred(session)
        except Refused as refusal:
            session.say_error(refusal.error)
            yield from synced(session)
            yield from self._query(b"ROLLBACK")
            self.hidden = False
            raise _Stop from refusal
        yield from synced(session)

    def _write(self, piece: Piece) -> Script:
        session, start = self.session, piece.statement.start
        text = piece.statement.text
        session.segment_block = True
        try:
            outcome = yield from described_write(
                session, text.encode(session.codec or "ascii"), len(text), piece
            )
        except UpstreamError as error:
            session.to_client.append(wire.moved(error.message, start))
            yield from self._left()
            raise _Stop from error
        except Refused as refusal:
            yield from refused(session, refusal.error)
            yield from self._left()
            raise _Stop from refusal
        except SegmentFailed as failure:
            yield from self._left()
            raise _Stop from failure
        finally:
            session.segment_block = None
        yield from synced(session)
        if outcome is None:
            yield from self._plain(piece.statement)
            return
        description, answer = outcome
        session.to_client.extend((description, *answer.rows) if description else answer.rows)
        self.tag = wire.message(b"C", answer.tag + b"\0")

    def _left(self) -> Script:
        """After an error in a write: upstream skips to a Sync, and own names may be left."""
        self.session.skipping = False
        self.session.leftover = True
        yield from cleaned(self.session)
