"""The state of one client's session, upstream's messages, and the primitives of its scripts.

A write is held and worked through by a script (see `effects`), which owns the session until
it returns; the client's messages wait meanwhile. What scripts have in common is here: own
runs inside the client's segment, the marker that tells its replies from ours, the own block,
refusals that upstream raises too, and the settling of writes when a transaction ends.

Source: PostgreSQL documentation, "Message Flow", and observation of 15 and 18.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from proxy.protocol.framing import (
    COMMAND_COMPLETE,
    COPY_IN,
    ERROR,
    IDLE,
    NOTIFICATION,
    PARAMETER_STATUS,
    QUERY,
    READY,
    SYNC,
    Replies,
)
from proxy.protocol.messages import error_response, notice_response
from proxy.session import wire
from proxy.session.effects import (
    NEXT,
    OwnResult,
    Script,
    SegmentFailed,
    Settle,
    Undo,
    UpstreamError,
    Work,
)
from proxy.session.encodings import codec_of
from proxy.session.tickets import Tickets
from proxy.statements.classify import Classifier
from proxy.statements.model import Kind, MirrorNames, Relation, Statement, Verb, Write
from sqlsync.errors import SqlsyncError
from sqlsync.writes.model import CancelToken

# Names the marker's answer; one a process, so that statement statistics do not grow.
NONCE = b"__sqlsync_" + secrets.token_hex(8).encode()
OWN_WRITE = wire.OWN + b"_w"

FACTS = (
    b"/* sqlsync */ select exists(select from pg_catalog.pg_cursors c"
    b' where c.name = $1 and c.statement = $2) as "' + NONCE + b'",'
    b" pg_catalog.current_setting('transaction_read_only'),"
    b" pg_catalog.current_setting('client_min_messages'),"
    b" pg_catalog.current_setting('statement_timeout'),"
    b" pg_catalog.current_setting('lock_timeout'),"
    b" coalesce(pg_catalog.current_setting('transaction_timeout', true), '0'),"
    b" coalesce(pg_catalog.current_setting('sqlsync.on_missing', true), ''),"
    b" pg_catalog.pg_backend_pid(), session_user,"
    b" (select n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n"
    b" on n.oid = c.relnamespace where c.oid = pg_catalog.to_regclass($3)),"
    b" (select c.relname from pg_catalog.pg_class c where c.oid = pg_catalog.to_regclass($3))"
)
_FACTS_TYPES = wire.typed(wire.TEXT_OID, wire.TEXT_OID, wire.TEXT_OID)


@dataclass(frozen=True, slots=True)
class Facts:
    """What holds on upstream's side at the moment a write is held."""

    proven: bool  # the client's portal is there and would run this very text
    read_only: bool
    client_min_messages: str
    statement_timeout: str
    lock_timeout: str
    transaction_timeout: str
    on_missing: str
    pid: int
    user: str
    relation: Relation | None  # None: the name means something that is not mirrored


@dataclass(slots=True)
class Prepared:
    """A statement the client prepared that is no plain one."""

    statement: Statement
    parse: wire.ParseBody | None


@dataclass(slots=True)
class Portal:
    prepared: Prepared
    tail: bytes  # of the client's Bind
    done: bool = False
    returns: bool = False
    rows: deque[bytes] = field(default_factory=deque)
    tag: bytes = b""


@dataclass(slots=True)
class OpenWrites:
    """The writes of the client's transaction that has not ended yet."""

    transaction: UUID = field(default_factory=uuid4)
    xid: str | None = None
    entries: set[UUID] = field(default_factory=set)
    rolled_back: bool = False  # perhaps to a savepoint: some entries may be gone
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Host:
    """What a session shares with the others of its process."""

    classifier: Classifier
    tickets: Tickets
    nonce: Callable[[], bytes]

    @property
    def names(self) -> MirrorNames:
        return self.classifier.names


class SessionCore:
    """Everything of a session but the reading of the client's messages."""

    def __init__(self, host: Host, replies: Replies) -> None:
        self.host = host
        self.replies = replies
        self.to_client: list[bytes] = []
        self.to_upstream: list[bytes] = []
        self.work: Work | None = None  # the relay takes it and reports what came of it
        self.status = IDLE
        self.encoding = "UTF8"
        self.conforming = True
        self.statements: dict[bytes, Prepared] = {}
        self.portals: dict[bytes, Portal] = {}
        self.own_block = False
        self.skipping = False  # the segment failed: drop messages up to its Sync
        self.leftover = False  # own names may still be taken after an error
        self.segment_block: bool | None = None  # after a transaction command of this segment
        self.segment_unknown = False  # something ran in this segment before we looked
        self.open: OpenWrites | None = None
        self.token: CancelToken | None = None  # while the provider is asked
        self.applying = False
        self.in_query = False  # the script began with a Query, which is a whole segment
        self.relayed_head = 0  # bytes of the next message that the client has already
        self._script: Script | None = None
        self._waits_for_work = False
        self._backlog: deque[tuple[int, bytes]] = deque()

    # -- what the relay asks ---------------------------------------------------------------

    @property
    def busy(self) -> bool:
        return self._script is not None

    @property
    def needs_all_messages(self) -> bool:
        """False: the streams may be relayed unread again."""
        return bool(
            self._script
            or self.open
            or self.own_block
            or self.skipping
            or self.replies.due
            or any(p.statement.kind is not Kind.TRANSACTION for p in self.statements.values())
        )

    @property
    def write_in_flight(self) -> bool:
        return self.token is not None or self.applying

    @property
    def codec(self) -> str | None:
        return codec_of(self.encoding)

    def nonce(self) -> bytes:
        return self.host.nonce()

    def parameter(self, body: bytes) -> None:
        """A ParameterStatus passed."""
        name, _, rest = body.partition(b"\0")
        value = rest.rstrip(b"\0").decode("ascii", "replace")
        if name == b"client_encoding":
            self.encoding = value
        elif name == b"standard_conforming_strings":
            self.conforming = value == "on"

    def read(self, sql: bytes) -> tuple[Statement, ...]:
        return self.host.classifier.read(sql, self.codec, self.conforming)

    def may_pass(self, kind: int, message: bytes) -> bool:
        """Judges a Query or Parse while nothing is held; remembers transaction commands."""
        if kind == QUERY:
            return not any(
                s.kind not in (Kind.PASS, Kind.TRANSACTION) for s in self.read(message[5:-1])
            )
        try:
            body = wire.ParseBody.read(message[5:])
        except ValueError:
            return True
        found = self.read(body.sql)
        if not found:
            if self.statements:
                self.statements.pop(body.name, None)
            return True
        if found[0].kind is Kind.TRANSACTION:
            self.statements[body.name] = Prepared(found[0], body)
            return True
        return False

    # -- messages that go on ---------------------------------------------------------------

    def forward(self, message: bytes) -> None:
        self.to_upstream.append(message)

    def forward_sync(self, message: bytes) -> None:
        self.forward(message)
        self.replies.sent(SYNC)
        self.segment_block = None
        self.segment_unknown = False

    def forward_query(self, message: bytes) -> None:
        self.forward(message)
        self.replies.sent(QUERY)
        self.segment_block = None
        self.segment_unknown = False
        self.statements.pop(b"", None)
        self.portals.pop(b"", None)

    # -- names of prepared statements ------------------------------------------------------

    def note_transaction(self, statement: Statement) -> None:
        """A transaction command of the client is on its way inside a segment."""
        match statement.verb:
            case Verb.BEGIN:
                self.segment_block = True
            case Verb.COMMIT | Verb.ROLLBACK | Verb.PREPARE_TRANSACTION:
                self.segment_block = statement.chain
            case _:
                pass

    def note_prepared(self, statement: Statement) -> None:
        """SQL PREPARE shares its names with the protocol's statements."""
        self.statements[self._name(statement)] = Prepared(statement, None)

    def forget(self, statement: Statement) -> None:
        """DEALLOCATE or DISCARD; the unnamed statement survives ALL."""
        if statement.name is not None:
            self.statements.pop(self._name(statement), None)
        else:
            for name in [n for n in self.statements if n]:
                del self.statements[name]

    def executed_by(self, statement: Statement) -> Prepared | None:
        return self.statements.get(self._name(statement))

    def _name(self, statement: Statement) -> bytes:
        return (statement.name or "").encode(self.codec or "ascii", "replace")

    # -- messages of upstream --------------------------------------------------------------

    def upstream_message(self, kind: int, message: bytes) -> None:
        if self._script is None:
            if kind == READY and self._ends_writes(message):
                self.start(self.passing(kind, message))
            else:
                self.relay(kind, message)
        elif self._waits_for_work:
            self._backlog.append((kind, message))
        else:
            self._advance((kind, message))

    def work_done(self, result: Any) -> None:
        self._waits_for_work = False
        self._advance(result)

    def work_failed(self, error: SqlsyncError) -> None:
        self._waits_for_work = False
        self._advance(None, error)

    def start(self, script: Script) -> None:
        assert self._script is None
        self._script = script
        self._advance(None)

    def _advance(self, value: Any, error: Exception | None = None) -> None:
        script = self._script
        assert script is not None
        while True:
            try:
                effect = script.throw(error) if error else script.send(value)
            except StopIteration:
                self._script = None
                self.in_query = False
                self._drain_backlog()
                return
            error = None
            if effect is not NEXT:
                self.work = effect
                self._waits_for_work = True
                return
            if not self._backlog:
                return
            value = self._backlog.popleft()

    def _drain_backlog(self) -> None:
        while self._backlog and self._script is None:
            kind, message = self._backlog.popleft()
            self.upstream_message(kind, message)

    def _ends_writes(self, ready: bytes) -> bool:
        return self.open is not None and (ready[5] == IDLE or self.open.ended)

    def relay(self, kind: int, message: bytes) -> None:
        """Relays one message of upstream and keeps the books of the session."""
        if kind == READY:
            self.status = message[5]
            self.replies.ready()
            if self.status == IDLE:
                self.portals.clear()
        elif kind == PARAMETER_STATUS:
            self.parameter(message[5:])
        elif kind == COPY_IN:
            self.replies.copy_began()
        elif kind == COMMAND_COMPLETE and self.open is not None:
            tag = message[5:-1]
            self.open.ended |= tag == b"COMMIT"
            self.open.rolled_back |= tag == b"ROLLBACK"
        elif kind == ERROR and not self.replies.due:
            self.skipping = True
        self.pass_on(message)

    def pass_on(self, message: bytes) -> None:
        """Gives a message of upstream to the client, less what has already been relayed."""
        if self.relayed_head:
            message = message[self.relayed_head :]
            self.relayed_head = 0
        self.to_client.append(message)

    # -- primitives of scripts -------------------------------------------------------------

    def passing(self, kind: int, message: bytes) -> Script:
        """Relays one message; at the end of a transaction with writes, settles them first."""
        if kind == READY and self._ends_writes(message):
            yield from self.settle()
        self.relay(kind, message)

    def settle(self) -> Script:
        """The transaction has ended one way or the other: the markers say which."""
        done, self.open = self.open, None
        if done is not None and done.entries:
            notices = yield Settle(done.transaction, done.xid)
            self.say_notices(notices, "WARNING")

    def say_notices(self, notices: Iterable[str], severity: str = "NOTICE") -> None:
        for words in notices:
            self.say_notice(severity, "00000" if severity == "NOTICE" else "01000", words)

    def say_notice(self, severity: str, sqlstate: str, words: str) -> None:
        self.to_client.append(
            notice_response(severity, sqlstate, words, encoding=self.codec or "ascii")
        )

    def say_error(self, error: SqlsyncError) -> None:
        self.to_client.append(
            error_response(
                "ERROR",
                error.sqlstate,
                error.message,
                detail=error.detail,
                hint=error.hint,
                table=error.table,
                column=error.column,
                constraint=error.constraint,
                encoding=self.codec or "ascii",
            )
        )

    def drained(self) -> Script:
        """Relays until the replies to all earlier segments have come."""
        while self.replies.due:
            kind, message = yield NEXT
            yield from self.passing(kind, message)

    @staticmethod
    def own(
        sql: bytes,
        tail: bytes = wire.NO_BIND,
        types: bytes = wire.NO_PARAMETERS,
        *,
        name: bytes = wire.OWN,
        described: bool = False,
    ) -> bytes:
        """An own run. Close first: after an own error the names may still be taken."""
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

    def result(self) -> Script:
        """Reads the replies to one own run. Raises UpstreamError."""
        found = OwnResult()
        closed = 0
        while closed < 4:
            kind, message = yield NEXT
            match kind:
                case 51:  # CloseComplete
                    closed += 1
                case 68:  # DataRow
                    found.rows.append(message)
                case 67:  # CommandComplete
                    found.tag = message[5:-1]
                case 78:  # NoticeResponse
                    found.notices.append(message)
                case 116:  # ParameterDescription
                    found.parameters = message[5:]
                case 84:  # RowDescription
                    found.description = message
                case 69:  # ErrorResponse
                    raise UpstreamError(message)
                case 83 | 65:
                    self.relay(kind, message)
                case _:
                    pass
        return found

    def run(
        self, sql: bytes, tail: bytes = wire.NO_BIND, types: bytes = wire.NO_PARAMETERS
    ) -> Script:
        """One own run by itself."""
        self.to_upstream.append(self.own(sql, tail, types) + wire.FLUSH)
        return (yield from self.result())

    def synced(self) -> Script:
        """An own Sync: upstream skips to it after an error. Its ReadyForQuery is swallowed."""
        self.to_upstream.append(wire.SYNC)
        while True:
            kind, message = yield NEXT
            if kind == READY:
                self.status = message[5]
                return
            if kind in (PARAMETER_STATUS, NOTIFICATION):
                self.relay(kind, message)

    def separated(self, own: bytes) -> Script:
        """Sends an own run that describes itself by NONCE, and relays what comes before it.

        Returns its OwnResult. Raises SegmentFailed where an error of the client's own
        segment came first: then upstream skips and the run never answers.
        """
        self.to_upstream.append(own + wire.FLUSH)
        waiting: list[bytes] = []  # may be replies to the beginning of our run
        while True:
            kind, message = yield NEXT
            if kind in (51, 49, 116):  # CloseComplete, ParseComplete, ParameterDescription
                waiting.append(message)
                continue
            if kind == 84 and message[7 : 7 + len(NONCE)] == NONCE:
                for early in waiting[:-4]:
                    self.pass_on(early)
                break
            for early in waiting:
                self.pass_on(early)
            waiting.clear()
            self.relay(kind, message)
            if kind == ERROR:
                raise SegmentFailed
        found = OwnResult(description=message)
        closed = 0
        while closed < 2:
            kind, message = yield NEXT
            if kind == 51:
                closed += 1
            elif kind == 68:
                found.rows.append(message)
            elif kind == ERROR:
                raise UpstreamError(message)
        return found

    def facts(self, write: Write | None, portal: bytes = b"", text: bytes = b"") -> Script:
        """Asks upstream what holds just now, behind the replies that the client is owed."""
        name = b""
        if write is not None:
            parts = [write.schema, write.name] if write.schema else [write.name]
            quoted = ".".join('"' + p.replace('"', '""') + '"' for p in parts)
            name = quoted.encode(self.codec or "ascii", "replace")
        found: OwnResult = yield from self.separated(
            self.own(
                FACTS,
                wire.values(wire.Value(portal), wire.Value(text), wire.Value(name or None)),
                _FACTS_TYPES,
                described=True,
            )
        )
        row = [
            None if c is None else c.decode(self.codec or "ascii", "replace")
            for c in wire.columns_of(found.rows[0])
        ]
        schema, relation = row[9], row[10]
        return Facts(
            proven=row[0] == "t",
            read_only=row[1] == "on",
            client_min_messages=row[2] or "",
            statement_timeout=row[3] or "0",
            lock_timeout=row[4] or "0",
            transaction_timeout=row[5] or "0",
            on_missing=row[6] or "",
            pid=int(row[7] or 0),
            user=row[8] or "",
            relation=self.host.names.relations.get((schema or "", relation or "")),
        )

    def begun(self, facts: Facts) -> Script:
        """Opens the own block where the client has no block open."""
        if self.own_block:
            return
        if not self.segment_unknown:
            in_block = self.status != IDLE if self.segment_block is None else self.segment_block
            if in_block:
                return
            self.to_upstream.append(self.own(b"BEGIN"))
            self.own_block = True
            yield from self.result_after_flush()
            return
        # What ran before we looked may have been a BEGIN: a second one warns.
        if facts.client_min_messages == "error":
            yield from self.run(
                b"/* sqlsync */ select"
                b" pg_catalog.set_config('client_min_messages', 'warning', true)"
            )
        began: OwnResult = yield from self.run(b"BEGIN")
        warned = any(b"C25001\0" in notice for notice in began.notices)
        if facts.client_min_messages == "error":
            yield from self.run(
                b"/* sqlsync */ select pg_catalog.set_config('client_min_messages', 'error', true)"
            )
        self.own_block = not warned
        self.segment_block = warned or None
        self.segment_unknown = False

    def result_after_flush(self) -> Script:
        self.to_upstream.append(wire.FLUSH)
        return (yield from self.result())

    def block_left(self) -> Script:
        """After an error: ends the own block, or leaves the client's failed as natively."""
        self.leftover = True
        if self.own_block:
            yield from self.synced()
            self.to_upstream.append(self.own(b"ROLLBACK"))
            self.to_upstream.append(wire.close(b"P", OWN_WRITE) + wire.close(b"S", OWN_WRITE))
            yield from self.result_after_flush()
            for _ in range(2):
                yield NEXT
            self.own_block = False
            self.leftover = False

    def refused(self, error: SqlsyncError) -> Script:
        """Raises upstream too, so that the transaction's state is upstream's own."""
        try:
            yield from self.run(b"/* sqlsync */ select sqlsync.refuse()")
        except UpstreamError:
            pass
        self.say_error(error)
        yield from self.block_left()

    def failed(self, message: bytes) -> Script:
        """An own run failed natively: the client gets upstream's words."""
        self.to_client.append(message)
        yield from self.block_left()

    def undo_lost(self) -> Script:
        """ROLLBACK TO may have taken writes away; undoes those at the provider."""
        writes = self.open
        if writes is None or not writes.rolled_back or not writes.entries:
            return
        live = yield from self.live_entries()
        lost = frozenset(writes.entries - live)
        writes.rolled_back = False
        if lost:
            writes.entries -= lost
            notices = yield Undo(lost)
            self.say_notices(notices, "WARNING")

    def live_entries(self) -> Script:
        """Which of the transaction's writes it still carries."""
        assert self.open is not None
        ids = wire.text_array([str(e) for e in sorted(self.open.entries)])
        found: OwnResult = yield from self.run(
            b"/* sqlsync */ select array_to_string(sqlsync.live_entries($1), ',')",
            wire.values(wire.Value(ids)),
            wire.typed(wire.UUID_ARRAY_OID),
        )
        (text,) = wire.columns_of(found.rows[0])
        return {UUID(part) for part in (text or b"").decode().split(",") if part}

    # -- ends of segments ------------------------------------------------------------------

    def end_segment(self, sync: bytes) -> Script:
        """The client's Sync behind a write: the own COMMIT goes out just before it."""
        yield from self.own_commit()
        if not self.skipping:
            self.forward_sync(sync)
        else:
            yield from self.end_failed_segment(sync)

    def own_commit(self) -> Script:
        """Ends the own block by COMMIT; a failing one is the client's error."""
        try:
            yield from self.separated(
                self.own(b'/* sqlsync */ select true as "' + NONCE + b'"', described=True)
            )
            yield from self.run(b"COMMIT")
            self.own_block = False
        except SegmentFailed:
            self.skipping = True
        except UpstreamError as error:
            self.own_block = False
            self.skipping = True
            self.to_client.append(error.message)

    def end_failed_segment(self, sync: bytes) -> Script:
        if self.own_block:
            yield from self.block_left()
        elif self.leftover:
            yield from self.synced()
            names = (wire.OWN, OWN_WRITE)
            self.to_upstream.append(
                b"".join(wire.close(b"P", n) + wire.close(b"S", n) for n in names) + wire.FLUSH
            )
            for _ in range(4):
                yield NEXT
            self.leftover = False
        self.skipping = False
        self.forward_sync(sync)
