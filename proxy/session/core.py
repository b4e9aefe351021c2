"""The state of one client's session, and its books of upstream's messages.

A write is held and worked through by a script (see `effects`), which owns the session until
it returns; the client's messages wait meanwhile. Scripts are stepped here: each is given the
next message of upstream, or what came of the work it asked for. What scripts have in common
is in `runs` (own statements), `facts` (what holds upstream) and `blocks` (transactions).

Source: PostgreSQL documentation, "Message Flow", and observation of 15 and 18.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from proxy.protocol.framing import (
    COMMAND_COMPLETE,
    COPY_IN,
    ERROR,
    FAILED,
    IDLE,
    NOTICE,
    NOTIFICATION,
    PARAMETER_STATUS,
    QUERY,
    READY,
    SYNC,
    Replies,
)
from proxy.protocol.messages import error_response, notice_response
from proxy.session import wire
from proxy.session.effects import NEXT, Script, Settle, Work
from proxy.session.encodings import codec_of
from proxy.session.tickets import Tickets
from proxy.statements.classify import Classifier
from proxy.statements.model import Kind, MirrorNames, Statement, Verb
from sqlsync.errors import SqlsyncError
from sqlsync.writes.model import CancelToken


@dataclass(slots=True)
class Prepared:
    """A statement the client prepared that is no plain one."""

    statement: Statement
    parse: wire.ParseBody | None


@dataclass(slots=True)
class Portal:
    prepared: Prepared
    tail: bytes  # of the client's Bind
    ahead: int = 0  # ReadyForQuery to come before the one that ends its own segment
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
        self.segment_open = True  # for all we know: the client's messages since the last Sync
        self.open: OpenWrites | None = None
        self.token: CancelToken | None = None  # while the provider is asked
        self.applying = False
        self.held: dict[bytes, bytes] | None = None  # ParameterStatus that comes too early
        self.held_notifications: list[bytes] = []  # likewise
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
    def owes_answers(self) -> bool:
        """The client waits for what it has sent: a stop lets it have that first."""
        return bool(self._script or self.own_block or self.replies.due)

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
            or any(p.done for p in self.portals.values())
        )

    @property
    def needs_upstream(self) -> bool:
        """False: what upstream says may be relayed unread, though the client is listened to."""
        return bool(self._script or self.open or self.own_block or self.skipping)

    @property
    def in_failed_block(self) -> bool:
        """Nothing can be asked: upstream refuses all but the end of the block."""
        return self.status == FAILED and self.segment_block is None and not self.segment_unknown

    @property
    def write_in_flight(self) -> bool:
        return self.token is not None or self.applying

    @property
    def codec(self) -> str | None:
        return codec_of(self.encoding)

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

    # -- messages that go on ---------------------------------------------------------------

    def forward(self, message: bytes) -> None:
        self.to_upstream.append(message)
        self.segment_open = True

    def forward_sync(self, message: bytes) -> None:
        self.forward(message)
        self.replies.sent(SYNC)
        self._segment_begins()

    def forward_query(self, message: bytes) -> None:
        self.forward(message)
        self.replies.sent(QUERY)
        self._segment_begins()
        self.statements.pop(b"", None)
        self.portals.pop(b"", None)

    def _segment_begins(self) -> None:
        self.segment_block = None
        self.segment_unknown = False
        self.segment_open = False

    # -- names of prepared statements ------------------------------------------------------

    def note_transaction(self, statement: Statement) -> None:
        """A transaction command of the client is on its way inside a segment."""
        match statement.verb:
            case Verb.BEGIN:
                self.segment_block = True
            case Verb.COMMIT | Verb.ROLLBACK | Verb.PREPARE_TRANSACTION:
                self.segment_block = statement.chain
            case Verb.SAVEPOINT | Verb.RELEASE | Verb.ROLLBACK_TO:
                self.segment_block = True
            case _:
                pass

    def note_prepared(self, statement: Statement) -> None:
        """SQL PREPARE shares its names with the protocol's statements."""
        self.statements[self.statement_name(statement)] = Prepared(statement, None)

    def forget(self, statement: Statement) -> None:
        """DEALLOCATE or DISCARD; the unnamed statement survives ALL."""
        if statement.name is not None:
            self.statements.pop(self.statement_name(statement), None)
        else:
            for name in [n for n in self.statements if n]:
                del self.statements[name]

    def executed_by(self, statement: Statement) -> Prepared | None:
        """What SQL EXECUTE runs. A PREPARE that was prepared cannot be run by it."""
        found = self.statements.get(self.statement_name(statement))
        if found is not None and found.parse and found.statement.kind is Kind.PREPARE:
            return None
        return found

    def statement_name(self, statement: Statement) -> bytes:
        return (statement.name or "").encode(self.codec or "ascii", "replace")

    # -- messages of upstream --------------------------------------------------------------

    def upstream_message(self, kind: int, message: bytes) -> None:
        if kind == ERROR and wire.is_last_word(message):
            self.pass_on(message)  # whatever is under way: the connection ends
        elif self.relayed_head and kind in (NOTICE, NOTIFICATION, PARAMETER_STATUS):
            self.relay(kind, message)
        elif self._script is None:
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
            self.segment_ended(self.status)
        elif kind == PARAMETER_STATUS:
            self.parameter(message[5:])
            if self.held is not None:
                self.held[message[5 : message.index(b"\0", 5)]] = message
                return
        elif kind == NOTIFICATION and self.held is not None:
            self.held_notifications.append(message)
            return
        elif kind == COPY_IN:
            self.replies.copy_began()
        elif kind == COMMAND_COMPLETE:
            self.note_tag(message[5:-1])
        elif kind == ERROR and not self.replies.due:
            self.skipping = True
        self.pass_on(message)

    def segment_ended(self, status: int) -> None:
        """A ReadyForQuery passed: without a block, the portals of its segment are gone."""
        for name, portal in list(self.portals.items()):
            if portal.ahead:
                portal.ahead -= 1
            elif status == IDLE:
                del self.portals[name]

    def note_tag(self, tag: bytes) -> None:
        if self.open is not None:
            self.open.ended |= tag == b"COMMIT"
            self.open.rolled_back |= tag == b"ROLLBACK"

    def pass_on(self, message: bytes) -> None:
        """Gives a message of upstream to the client, less what has already been relayed."""
        if self.relayed_head:
            message = message[self.relayed_head :]
            self.relayed_head = 0
        self.to_client.append(message)

    # -- what scripts say to the client -------------------------------------------------------

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
