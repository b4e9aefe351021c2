"""One client and its upstream connection: a pair of asyncio protocols.

Bytes come in on one side and go out on the other: at first as `Entry` has it, then unread by
the `Passage` that the client's side is, and by `Attention` while a session must look at them.
Back-pressure runs both ways: who writes too fast is not read.
"""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from proxy.attention import Attention
from proxy.cancel import CancelRegistry
from proxy.entry import Entry
from proxy.protocol.framing import TooLong
from proxy.protocol.messages import backend_key, error_response
from proxy.session.passage import Passage
from proxy.working import ProxyContext

HIGH_WATER = 256 * 1024  # bytes waiting to be written before the other side is not read
DISCARDED_BYTES = 4 * 1024 * 1024  # more than Postgres itself could send to a client that is gone

log = logging.getLogger(__name__)


class ClientSide(Passage, asyncio.Protocol):
    """The client's connection, and the one who knows how far the session is."""

    __slots__ = (
        "_attention",
        "_discarded",
        "_entry",
        "_key",
        "_registry",
        "_tls",
        "client_gone",
        "context",
        "is_closed",
        "stopping",
        "transport",
        "upstream",
        "upstream_gone",
    )

    def __init__(self, context: ProxyContext, tls: bool, registry: CancelRegistry) -> None:
        super().__init__(context.host_for(None))
        self.context = context
        self.transport: asyncio.Transport | None = None
        self.upstream: asyncio.Transport | None = None
        self.client_gone = False
        self.upstream_gone = False
        self.is_closed = False
        self.stopping = False
        self._discarded = 0  # bytes for a client that is gone
        self._registry = registry
        self._tls = tls
        self._key: tuple[int, bytes] | None = None
        self._entry: Entry | None = Entry(self, tls=tls)  # until upstream is ready
        self._attention: Attention | None = None  # while a session looks

    # -- the client's connection -----------------------------------------------------------

    data_received = Passage.from_client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        self._to_client = self.transport.write
        self._registry.join(self)

    def eof_received(self) -> bool:
        """The client sends no more; what it sent before is still carried out, as natively."""
        self.client_gone = True
        if not self._is_relaying:
            self.close()
            return False
        self._client_left()
        return not self._tls

    def connection_lost(self, exc: Exception | None) -> None:
        self.client_gone = True
        self.unread = False
        self._to_client = self._discard
        self._registry.leave(self)
        if self._key is not None:
            self._registry.unregister(*self._key)
        if self._is_relaying:
            self._client_left()
            self.resume_writing()  # what is still to come is read, so that upstream can end
        elif self.upstream is not None:
            self.upstream.close()
        self.transport = None

    def _discard(self, data: bytes) -> None:
        """The client is gone. A long answer to nobody ends as natively: it cannot be sent."""
        self._discarded += len(data)
        if self._discarded > DISCARDED_BYTES and self.upstream is not None:
            self.upstream.abort()

    def pause_writing(self) -> None:
        if self.upstream is not None:
            self.upstream.pause_reading()

    def resume_writing(self) -> None:
        if self.upstream is not None and not self.upstream.is_closing():
            self.upstream.resume_reading()

    # -- what comes --------------------------------------------------------------------------

    def unusual_request(self, data: bytes) -> None:
        try:
            if self._attention is not None:
                self._attention.from_client(data)
            elif self._entry is not None:
                self._entry.from_client(data)
            else:
                self.relay_client(data)
        except Exception as error:
            self.broke(error)

    def unusual_answer(self, data: bytes) -> None:
        try:
            if self._attention is not None:
                self._attention.from_upstream(data)
            elif self._entry is not None:
                self._entry.from_upstream(data)
            else:
                self.frame_upstream(data)
        except Exception as error:
            self.broke(error)

    def broke(self, error: Exception) -> None:
        """What neither side could foresee: nobody knows the session's state, so it ends."""
        log.error("a session failed inside the proxy", exc_info=error)
        self.say_fatal("XX000", "sqlsync: internal error; the proxy's log says more")
        self.abandon()

    def relay_client(self, data: bytes) -> None:
        """Passes on what may pass; from the first message that may not, a session looks."""
        if self.is_closed:
            return
        try:
            rest = self.frame_client(data)
        except TooLong:
            self.say_too_long()
            return
        if rest is not None:
            session = self.judge.session
            assert session is not None
            self.unread = False
            self._attention = Attention(self, session)
            self._attention.from_client(rest)

    def look_away(self, begun: bytes) -> None:
        """The client has nothing of ours at hand: its bytes are relayed unread again.

        begun: the beginning of a message, which nobody has seen yet.
        """
        self._attention = None
        self.backend.on_ready = None
        session = self.judge.session
        assert session is not None
        session.portals.clear()
        if not session.statements:
            self.judge.session = None
        self.unread = self._entry is None and not self.client_gone
        if begun:
            self.relay_client(begun)

    # -- the way in --------------------------------------------------------------------------

    @property
    def is_wanted(self) -> bool:
        """Somebody still waits for what upstream will say."""
        return not (self.client_gone or self.is_closed)

    def make_upstream(self) -> UpstreamSide:
        return UpstreamSide(self)

    def connected(self, upstream: asyncio.Transport) -> None:
        upstream.set_write_buffer_limits(high=HIGH_WATER)
        self.upstream = upstream
        self._to_upstream = upstream.write

    def key_came(self, body: bytes) -> None:
        self._key = backend_key(body)
        self._registry.register(*self._key, self)

    def ready(self, status: int, behind: bytes) -> None:
        """The first ReadyForQuery has passed. behind: what upstream said after it."""
        self._entry = None
        self.backend.status = status
        self.frontend.judging = self.judge.host is not None
        self.unread = self._attention is None and self.is_wanted
        if behind:
            self.from_upstream(behind)

    # -- what a stop, or another connection of the client, may ask -------------------------------

    @property
    def write_in_flight(self) -> bool:
        return self.judge.session is not None and self.judge.session.write_in_flight

    def cancel(self) -> None:
        """The client wants its statement no more; too late once the provider is asked."""
        if self.judge.session is not None and self.judge.session.token is not None:
            self.judge.session.token.cancelled = True

    def shut_down(self) -> None:
        self.stopping = True
        if self.judge.session is None or not self.judge.session.owes_answers:
            self.say_stopping()

    def give_up(self) -> None:
        if self.is_closed and self.transport is not None:
            self.transport.abort()

    # -- to either side ----------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if data and self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def write_upstream(self, data: bytes) -> None:
        if self.upstream is not None and not self.upstream_gone:
            self.upstream.write(data)

    def pause_client(self) -> None:
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_client(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def say_too_long(self) -> None:
        self.say_fatal("54000", "statement is longer than the proxy reads (64 MB)")

    def say_stopping(self) -> None:
        self.say_fatal("57P01", "terminating connection due to administrator command")

    def say_fatal(self, sqlstate: str, words: str) -> None:
        self.write(error_response("FATAL", sqlstate, words))
        self.close()

    # -- ends --------------------------------------------------------------------------------

    @property
    def _is_relaying(self) -> bool:
        return not self.is_closed and (self._entry is None or self._entry.is_relaying)

    def _client_left(self) -> None:
        if self._attention is None:
            self.end_upstream()
        else:
            self._attention.client_left()

    def end_upstream(self) -> None:
        """Upstream carries out what it has received, then sees the end."""
        if self.upstream is None or self.upstream.is_closing():
            return
        if self.upstream.can_write_eof():
            self.upstream.write_eof()
        else:
            self.upstream.close()

    def upstream_lost(self) -> None:
        """Upstream's last words are relayed already; then nothing but the end."""
        self.upstream_gone = True
        if self._attention is not None:
            self._attention.upstream_lost()
        elif self._entry is None or self._entry.is_relaying:
            self.abandon()

    def abandon(self) -> None:
        session, self.judge.session = self.judge.session, None
        if session is not None and session.open is not None:
            self.context.settle_later(session.open.transaction, session.open.xid)
        self.close()

    def close(self) -> None:
        self.is_closed = True
        self.unread = False
        if self.transport is not None:
            self.transport.close()
        if self.upstream is not None:
            self.upstream.close()


class UpstreamSide(asyncio.Protocol):
    """The connection to the real Postgres."""

    __slots__ = ("client", "data_received")

    def __init__(self, client: ClientSide) -> None:
        self.client = client
        self.data_received = client.from_upstream  # type: ignore[method-assign]  # no call more

    def connection_lost(self, exc: Exception | None) -> None:
        self.client.upstream_lost()

    def pause_writing(self) -> None:
        if self.client.transport is not None:
            self.client.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.client.transport is not None and not self.client.transport.is_closing():
            self.client.transport.resume_reading()
