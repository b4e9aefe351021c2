"""One client and its upstream connection: bytes in, the same bytes out.

A pair of asyncio protocols. While nothing of ours is under way both streams are framed by
header and passed on as they came; when a statement may write a mirrored table the session
is handed whole messages of both sides until it has done with them. Back-pressure runs both
ways: who writes too fast is not read.

Life: startup packet → connect upstream → relay authentication → ready. Authentication is
upstream's own; the proxy knows no passwords.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, cast

from proxy.cancel import CancelRegistry
from proxy.protocol.framing import (
    QUERY,
    SYNC,
    BackendFramer,
    FrontendFramer,
    Replies,
    Splitter,
    TooLong,
)
from proxy.protocol.greeting import Greeting
from proxy.protocol.messages import backend_key, error_response
from proxy.protocol.startup import Capped, StartupMessage, cap, parse_first_packet
from proxy.session.judge import Judge
from proxy.session.session import Session
from proxy.upstream import connect_upstream
from proxy.working import ProxyContext, perform
from sqlsync.errors import DatabaseUnavailable, SqlsyncError

HIGH_WATER = 256 * 1024  # bytes waiting to be written before the other side is not read
EARLY_BYTES = 64 * 1024  # of the client, while upstream is being connected
QUEUED_BYTES = 8 * 1024 * 1024  # of the client, while a write is under way

log = logging.getLogger(__name__)


class ClientSide(asyncio.Protocol):
    """The client's connection, and the one who knows the state of the session."""

    __slots__ = (
        "_backend",
        "_choked",
        "_client_gone",
        "_early",
        "_frontend",
        "_greeting",
        "_in",
        "_judge",
        "_key",
        "_out",
        "_queue",
        "_queued",
        "_raw_left",
        "_registry",
        "_replies",
        "_stage",
        "_stopping",
        "_task",
        "_tls",
        "_unread",
        "_upstream_gone",
        "context",
        "transport",
        "upstream",
    )

    def __init__(self, context: ProxyContext, tls: bool, registry: CancelRegistry) -> None:
        self.context = context
        self.transport: asyncio.Transport | None = None
        self.upstream: asyncio.Transport | None = None
        self._registry = registry
        self._tls = tls
        self._stage = _Stage.FIRST_PACKET
        self._early = b""
        self._greeting: Greeting | None = None  # until upstream is ready
        self._key: tuple[int, bytes] | None = None
        self._replies = Replies()
        self._judge = Judge(context.host_for(None), self._replies)
        self._frontend = FrontendFramer(self._replies, self._judge.may_pass)
        self._backend = BackendFramer(self._replies, self._judge.parameter, self._backend_key)
        self._in: Splitter | None = None  # client's messages, while a session looks
        self._out: Splitter | None = None  # upstream's
        self._queue: deque[tuple[int, bytes]] | None = None
        self._queued = 0  # bytes in it
        self._raw_left = 0  # bytes of a message that was being relayed when we began to look
        self._unread = False  # ready, and nobody looks: bytes go straight through
        self._choked = False  # the client does not read, so upstream is not read either
        self._client_gone = False
        self._upstream_gone = False
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    # -- the client's connection -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        self._registry.join(self)

    def data_received(self, data: bytes) -> None:
        if self._stage is _Stage.RELAYING:
            self._from_client(data)
        elif self._stage is not _Stage.CLOSED:
            self._early += data
            if self._stage is _Stage.FIRST_PACKET:
                self._first_packet()
            elif len(self._early) > EARLY_BYTES and self.transport is not None:
                self.transport.pause_reading()  # until upstream is there

    def eof_received(self) -> bool:
        """The client sends no more; what it sent before is still carried out, as natively."""
        self._client_gone = True
        if self._stage is not _Stage.RELAYING:
            self._close()
            return False
        self._client_left()
        return not self._tls

    def connection_lost(self, exc: Exception | None) -> None:
        self._client_gone = True
        self._unread = False
        self._registry.leave(self)
        if self._key is not None:
            self._registry.unregister(*self._key)
        if self._choked and self.upstream is not None:
            # It waits to send what nobody will read. Without us it would have failed to.
            self.upstream.abort()
        elif self._stage is _Stage.RELAYING:
            self._client_left()
        elif self.upstream is not None:
            self.upstream.close()
        self.transport = None

    def pause_writing(self) -> None:
        self._choked = True
        if self.upstream is not None:
            self.upstream.pause_reading()

    def resume_writing(self) -> None:
        self._choked = False
        if self.upstream is not None and not self.upstream.is_closing():
            self.upstream.resume_reading()

    # -- startup ---------------------------------------------------------------------------

    def _first_packet(self) -> None:
        first = parse_first_packet(self._early, ssl_done=True, gss_done=True)
        if first is None:
            return
        if not isinstance(first, StartupMessage):
            self._close()
            return
        self._stage = _Stage.CONNECTING
        self._early = self._early[len(first.packet) :]
        replication = first.parameters.get("replication", "")
        database = first.parameters.get("database") or first.parameters.get("user", "")
        if replication.lower() not in ("", "0", "false", "off", "no"):
            self._judge.host = None  # its commands are not SQL; the guard stands
        else:
            self._judge.host = self.context.host_for(database)
        self._task = asyncio.create_task(self._connect(cap(first)))

    async def _connect(self, capped: Capped) -> None:
        try:
            upstream, _ = await connect_upstream(self.context.upstream, lambda: UpstreamSide(self))
        except DatabaseUnavailable as error:
            self._say_fatal("08006", error.message)
            return
        finally:
            self._task = None
        if self._client_gone or self._stage is _Stage.CLOSED:
            upstream.close()
            return
        upstream.set_write_buffer_limits(high=HIGH_WATER)
        self.upstream = upstream
        upstream.write(capped.packet)
        self._greeting = Greeting(
            capped,
            hides_plus=self.context.upstream.is_tls and not self._tls,
            on_parameter=self._judge.parameter,
            on_key=self._backend_key,
        )
        self._stage = _Stage.RELAYING
        early, self._early = self._early, b""
        if early:
            self._from_client(early)
        if self.transport is not None:
            self.transport.resume_reading()

    def _greet(self, greeting: Greeting, data: bytes) -> None:
        """Upstream's messages up to the first ReadyForQuery."""
        shown, behind = greeting.feed(data)
        self._write(shown)
        if greeting.status:
            self._greeting = None
            self._backend.status = greeting.status
            self._frontend.judging = self._judge.host is not None
            self._unread = self._in is None and not self._client_gone
            if behind:
                self.from_upstream(behind)

    def _backend_key(self, body: bytes) -> None:
        self._key = backend_key(body)
        self._registry.register(*self._key, self)

    # -- from the client -------------------------------------------------------------------

    def _from_client(self, data: bytes) -> None:
        if self._in is not None:
            self._queue_client(data)
            return
        try:
            passed, rest = self._frontend.feed(data)
        except TooLong:
            self._say_too_long()
            return
        if passed and self.upstream is not None:
            self.upstream.write(passed)
        if rest is not None:
            self._look(rest)

    def _look(self, rest: bytes) -> None:
        """From here on the session is handed whole messages of the client."""
        session = self._judge.session
        assert session is not None
        session.segment_block = None
        session.segment_unknown = self._frontend.executed
        self._frontend.executed = False
        self._unread = False
        self._in = Splitter(bounded=True)
        self._queue = deque()
        self._backend.on_ready = session.segment_ended
        self._queue_client(rest)

    def _catch_up(self, session: Session) -> None:
        """What upstream has said unread, as far as the session must know it."""
        session.status = self._backend.status
        self._judge.tell(session)
        session.skipping |= self._backend.failed
        self._backend.failed = False

    def _look_upstream(self) -> None:
        """From here on the session is handed upstream's messages too."""
        assert self._judge.session is not None
        self._out = Splitter()
        self._raw_left = self._backend.take_skip()
        head = self._backend.take_tail()
        self._judge.session.relayed_head = len(head)
        if head:
            self._out.feed(head)

    def _queue_client(self, data: bytes) -> None:
        assert self._in is not None
        assert self._queue is not None
        try:
            found = self._in.feed(data)
        except TooLong:
            self._say_too_long()
            return
        self._queue.extend(found)
        self._queued += sum(len(whole) for _, whole in found)
        self._pump()
        if self._queue and self._queued > QUEUED_BYTES and self.transport is not None:
            self.transport.pause_reading()

    def _pump(self) -> None:
        """Gives the session what waits, as long as it takes it; then sends what it said."""
        session = self._judge.session
        while self._queue and session is not None and not session.busy:
            kind, whole = self._queue.popleft()
            self._queued -= len(whole)
            if self._out is None:
                self._catch_up(session)
            session.client_message(kind, whole)
            if self._out is None and session.needs_upstream:
                self._look_upstream()
        self._send()
        if session is None or session.busy:
            return
        if self._out is not None and not session.needs_upstream:
            self._look_away_upstream()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
        if self._client_gone:
            self._end_upstream()
        elif self._stopping and not session.owes_answers:
            self._say_fatal("57P01", "terminating connection due to administrator command")
        elif not session.needs_all_messages:
            self._look_away()

    def _send(self) -> None:
        session = self._judge.session
        if session is None:
            return
        if session.to_upstream:
            data = b"".join(session.to_upstream)
            session.to_upstream.clear()
            if self.upstream is not None and not self._upstream_gone:
                self.upstream.write(data)
        if session.to_client:
            data = b"".join(session.to_client)
            session.to_client.clear()
            self._write(data)
        if session.work is not None and self._task is None:
            work, session.work = session.work, None
            self._task = asyncio.create_task(self._perform(work))

    def _look_away_upstream(self) -> None:
        """Nothing of ours is under way: what upstream says is relayed unread again."""
        assert self._out is not None
        assert self._judge.session is not None
        if self._raw_left or self._judge.session.relayed_head:
            return
        self._backend.status = self._judge.session.status
        self._judge.learn(self._judge.session)
        begun, self._out = self._out.take_rest(), None
        if begun:
            self.from_upstream(begun)

    def _look_away(self) -> None:
        """The client has nothing of ours at hand: its bytes are relayed unread again."""
        assert self._in is not None
        assert self._judge.session is not None
        if self._out is not None:
            return
        begun = self._in.take_rest()
        self._in = self._queue = None
        self._unread = not self._client_gone
        self._backend.on_ready = None
        self._judge.session.portals.clear()
        if not self._judge.session.statements:
            self._judge.session = None
        if begun:
            self._from_client(begun)

    # -- from upstream ---------------------------------------------------------------------

    def from_upstream(self, data: bytes) -> None:
        if self._unread:
            self._backend.feed(data)
            self.transport.write(data)  # type: ignore[union-attr]  # it is there while unread
            return
        if self._greeting is not None:
            self._greet(self._greeting, data)
            return
        if self._out is None:
            self._backend.feed(data)
            self._write(data)
            if self._in is not None:
                self._pump()
            return
        if self._raw_left:
            part, data = data[: self._raw_left], data[self._raw_left :]
            self._raw_left -= len(part)
            self._write(part)
        assert self._judge.session is not None
        for kind, whole in self._out.feed(data):
            self._judge.session.upstream_message(kind, whole)
        self._pump()

    def upstream_lost(self) -> None:
        """Upstream's last words are relayed already; then nothing but the end.

        A provider that is being asked is waited for, without the client: what it did is
        settled when it answers. Behind other work wait messages that the client is owed.
        """
        self._upstream_gone = True
        if self._judge.session is not None:
            self._send()
        if self._task is None:
            self._abandon()
        elif self._judge.session is not None and self._judge.session.token is not None:
            self._judge.session.token.cancelled = True
            self._close()

    def _abandon(self) -> None:
        session, self._judge.session = self._judge.session, None
        if session is not None and session.open is not None:
            self.context.settle_later(session.open.transaction, session.open.xid)
        self._close()

    # -- work ------------------------------------------------------------------------------

    async def _perform(self, work: Any) -> None:
        session = self._judge.session
        assert session is not None
        result: Any = None
        failure: SqlsyncError | None = None
        try:
            result = await perform(self.context, work)
        except SqlsyncError as error:
            failure = error
        except Exception as error:  # a bug must not leave a client waiting for ever
            log.exception("a write failed inside the proxy")
            failure = SqlsyncError(f"sqlsync: internal error: {error}")
        finally:
            self._task = None
        if self._stage is _Stage.CLOSED:
            self._abandon()
            return
        if failure is not None:
            session.work_failed(failure)
        else:
            session.work_done(result)
        self._pump()
        if self._upstream_gone and self._task is None:
            self._abandon()

    @property
    def write_in_flight(self) -> bool:
        return self._judge.session is not None and self._judge.session.write_in_flight

    def cancel(self) -> None:
        """The client wants its statement no more; too late once the provider is asked."""
        if self._judge.session is not None and self._judge.session.token is not None:
            self._judge.session.token.cancelled = True

    def shut_down(self) -> None:
        self._stopping = True
        if self._judge.session is None or not self._judge.session.owes_answers:
            self._say_fatal("57P01", "terminating connection due to administrator command")

    # -- ends ------------------------------------------------------------------------------

    def _client_left(self) -> None:
        session = self._judge.session
        if session is None or self._in is None:
            self._end_upstream()
            return
        if session.busy:
            finishes = any(kind in (SYNC, QUERY) for kind, _ in self._queue or ())
            if session.token is not None and not session.in_query and not finishes:
                session.token.cancelled = True
            return
        self._pump()

    def _end_upstream(self) -> None:
        """Upstream carries out what it has received, then sees the end."""
        if self.upstream is None or self.upstream.is_closing():
            return
        if self.upstream.can_write_eof():
            self.upstream.write_eof()
        else:
            self.upstream.close()

    def _write(self, data: bytes) -> None:
        if data and self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def _say_too_long(self) -> None:
        self._say_fatal("54000", "statement is longer than the proxy reads (64 MB)")

    def _say_fatal(self, sqlstate: str, words: str) -> None:
        self._write(error_response("FATAL", sqlstate, words))
        self._close()

    def _close(self) -> None:
        self._stage = _Stage.CLOSED
        self._unread = False
        if self.transport is not None:
            self.transport.close()
        if self.upstream is not None:
            self.upstream.close()


class _Stage:
    FIRST_PACKET = "first packet"
    CONNECTING = "connecting"
    RELAYING = "relaying"
    CLOSED = "closed"


class UpstreamSide(asyncio.Protocol):
    """The connection to the real Postgres."""

    __slots__ = ("client",)

    def __init__(self, client: ClientSide) -> None:
        self.client = client

    def data_received(self, data: bytes) -> None:
        self.client.from_upstream(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.client.upstream_lost()

    def pause_writing(self) -> None:
        if self.client.transport is not None:
            self.client.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.client.transport is not None and not self.client.transport.is_closing():
            self.client.transport.resume_reading()
