"""The listener: from an accepted socket to a session that the relay takes over.

What comes before the first real packet is settled on the bare socket, byte for byte and
never more than was asked for: requests to encrypt are answered, a TLS handshake is left
unread for the TLS layer. Then the socket gets a transport (behind TLS or not), a
`Vestibule` collects the first packet, and a startup message is handed, as its first data,
to the protocol that `make_client` returns. Cancel requests end here; so does everything
that is not a Postgres client, quietly.

Bounds: one time limit from accept to the complete first packet, a number of connections
that may be on the way at once (at the bound the oldest is closed: slow strangers must not
keep new clients out), and 10 kB per connection.

Source: PostgreSQL documentation, "SSL Session Encryption"; backend_startup.c of 18.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from proxy.cancel import CancelRegistry
from proxy.protocol.startup import (
    HEADER_BYTES,
    CancelRequest,
    Encryption,
    Rejected,
    StartupMessage,
    encrypted_too_late,
    parse_first_packet,
    tls_required,
)
from proxy.tls import ALPN
from proxy.upstream import prepare_socket

TLS_HANDSHAKE = 0x16  # first byte of a TLS record; no startup packet is that long
BACKLOG = 1024
ACCEPTS_PER_TURN = 64  # a flood of clients must not starve those already in
ACCEPT_PAUSE_SECONDS = 0.5  # when the system is out of descriptors

log = logging.getLogger(__name__)

ClientFactory = Callable[[bool, CancelRegistry], asyncio.Protocol]


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """What a stranger may cost before upstream has let him in."""

    startup_seconds: float = 60.0  # as Postgres' authentication_timeout
    half_open: int = 1000  # connections on the way to their first packet
    goodbye_seconds: float = 5.0  # for the other side of TLS to say that it ends too


class Door:
    """A listening socket and everyone between it and the relay."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        make_client: ClientFactory,
        registry: CancelRegistry,
        *,
        tls: ssl.SSLContext | None = None,
        tls_required: bool = False,
        limits: DoorLimits | None = None,
    ) -> None:
        """sockets: bound, not yet listening. tls_required: sessions in the clear are refused,
        cancel requests are not (libpq's PQcancel always comes in the clear)."""
        self.tls = tls  # may be replaced at any time: new connections use the new one
        self.tls_required = tls_required
        self.registry = registry
        self.make_client = make_client
        self.limits = limits or DoorLimits()
        self._sockets = list(sockets)
        # Oldest first; the socket until the task has taken it over.
        self._entering: dict[asyncio.Task[None], socket.socket | None] = {}
        self._loop = asyncio.get_running_loop()

    def open(self) -> None:
        for sock in self._sockets:
            sock.setblocking(False)
            sock.listen(BACKLOG)
        self._listen()

    async def close(self) -> None:
        """Stops listening and ends those who are not in yet. Sessions are left alone."""
        self._deafen()
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()
        entering = list(self._entering)
        for task in entering:
            task.cancel()
        await asyncio.gather(*entering, return_exceptions=True)

    def _listen(self) -> None:
        for sock in self._sockets:
            self._loop.add_reader(sock.fileno(), self._accept, sock)

    def _deafen(self) -> None:
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            sock.setblocking(False)
            if len(self._entering) >= self.limits.half_open:
                next(iter(self._entering)).cancel()
            self._track(sock, address)

    def _pause(self, error: OSError) -> None:
        """Out of descriptors: the backlog keeps clients waiting until some are free."""
        log.error("cannot accept a client: %s", error.strerror)
        self._deafen()
        self._loop.call_later(ACCEPT_PAUSE_SECONDS, self._listen)

    def _track(self, sock: socket.socket, address: object) -> None:
        task = self._loop.create_task(self._enter(sock, address))
        self._entering[task] = sock
        task.add_done_callback(self._entered)

    def _entered(self, task: asyncio.Task[None]) -> None:
        sock = self._entering.pop(task)
        if sock is not None:  # cancelled before its first step
            sock.close()

    async def _enter(self, sock: socket.socket, address: object) -> None:
        """One client, from accept to the first packet dealt with, within the time limit."""
        vestibule: Vestibule | None = None
        if (task := asyncio.current_task()) is not None:
            self._entering[task] = None
        try:
            async with asyncio.timeout(self.limits.startup_seconds):
                prepare_socket(sock)
                first = await _negotiate(self._loop, sock, offers_tls=self.tls is not None)
                if isinstance(first, Rejected):
                    raise _TurnedAway(first)
                vestibule = Vestibule(self, first)
                await self._loop.connect_accepted_socket(
                    lambda: vestibule,
                    sock,
                    ssl=self.tls if first.wants_tls else None,
                    ssl_handshake_timeout=self.limits.startup_seconds if first.wants_tls else None,
                    # An idle client does not read, and a stop would wait for it.
                    ssl_shutdown_timeout=self.limits.goodbye_seconds if first.wants_tls else None,
                )
                await vestibule.left
        except _TurnedAway as turned_away:
            log.info("turned away %s: %s", address, turned_away.rejected.reason)
            if turned_away.rejected.response:
                _last_words(sock, turned_away.rejected.response)
            sock.close()
        except TimeoutError:
            log.info("turned away %s: no startup packet in time", address)
            _abandon(vestibule, sock)
        except (OSError, ssl.SSLError) as error:
            log.info("lost %s before its startup packet: %s", address, error)
            _abandon(vestibule, sock)
        except BaseException:
            _abandon(vestibule, sock)
            raise


@dataclass(frozen=True, slots=True)
class _Arrival:
    """How far the bare socket came: what was read of the first packet, and what is next."""

    data: bytes = b""
    wants_tls: bool = False
    is_direct: bool = False  # TLS without SSLRequest
    ssl_done: bool = False
    gss_done: bool = False


class _TurnedAway(Exception):
    def __init__(self, rejected: Rejected) -> None:
        super().__init__(rejected.reason)
        self.rejected = rejected


class Vestibule(asyncio.Protocol):
    """Collects the first packet, then hands the transport over or closes it.

    `left` is done when the connection is no longer the door's: handed over, turned away,
    its cancel carried out, or lost.
    """

    def __init__(self, door: Door, arrival: _Arrival) -> None:
        self.left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self._door = door
        self._arrival = arrival
        self._data = bytearray(arrival.data)
        self._cancelling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do all this without being subclasses.
        self.transport = transport = cast(asyncio.Transport, transport)
        if self._arrival.is_direct:
            session = transport.get_extra_info("ssl_object")
            if session is None or session.selected_alpn_protocol() != ALPN:
                self._turn_away(Rejected("direct TLS without ALPN"))
                return
        if self._data:
            self._look()

    def data_received(self, data: bytes) -> None:
        if self.left.done() or self._cancelling:
            return
        self._data += data
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def _look(self) -> None:
        arrival = self._arrival
        first = parse_first_packet(self._data, ssl_done=arrival.ssl_done, gss_done=arrival.gss_done)
        match first:
            case None:
                return
            case StartupMessage() if self._door.tls_required and not arrival.wants_tls:
                self._turn_away(tls_required())
            case StartupMessage():
                self._hand_over()
            case CancelRequest():
                self._cancelling = asyncio.create_task(self._cancel(first))
            case Rejected():
                self._turn_away(first)
            case Encryption():
                # The bare socket has answered both; parse_first_packet was told so.
                self._turn_away(Rejected("encryption requested twice"))

    def _hand_over(self) -> None:
        assert self.transport is not None
        client = self._door.make_client(self._arrival.wants_tls, self._door.registry)
        transport, data = self.transport, bytes(self._data)
        self._data.clear()
        transport.set_protocol(client)
        client.connection_made(transport)
        client.data_received(data)
        self.transport = None
        self._leave()

    async def _cancel(self, request: CancelRequest) -> None:
        assert self.transport is not None
        try:
            await self._door.registry.cancel(request)
        finally:
            self.transport.close()  # behind TLS with close_notify, which libpq 17 waits for
            self._leave()

    def _turn_away(self, rejected: Rejected) -> None:
        assert self.transport is not None
        peer = self.transport.get_extra_info("peername")
        log.info("turned away %s: %s", peer, rejected.reason)
        if rejected.response:
            self.transport.write(rejected.response)
        self.transport.close()
        self._leave()

    def _leave(self) -> None:
        if not self.left.done():
            self.left.set_result(None)


async def _negotiate(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, *, offers_tls: bool
) -> _Arrival | Rejected:
    """Answers requests to encrypt, each once and in either order; stops at anything else."""
    ssl_done = gss_done = False
    while True:
        start = await _peek(loop, sock)
        if not start:
            return Rejected("closed without a word")
        if start[0] == TLS_HANDSHAKE and not ssl_done:
            if not offers_tls:
                return Rejected("direct TLS, and no certificate is set")
            return _Arrival(wants_tls=True, is_direct=True, ssl_done=True, gss_done=True)
        header = await _read_header(loop, sock)
        request = parse_first_packet(header, ssl_done=ssl_done, gss_done=gss_done)
        if not isinstance(request, Encryption):
            return _Arrival(header, ssl_done=ssl_done, gss_done=gss_done)
        if _waiting(sock):
            return encrypted_too_late()
        if request is Encryption.SSL and offers_tls:
            await loop.sock_sendall(sock, b"S")
            return _Arrival(wants_tls=True, ssl_done=True, gss_done=True)
        await loop.sock_sendall(sock, b"N")
        ssl_done = ssl_done or request is Encryption.SSL
        gss_done = gss_done or request is Encryption.GSS


async def _peek(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> bytes:
    """Returns the first byte without taking it: a TLS handshake is not ours to read."""
    while True:
        try:
            return sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            await _readable(loop, sock)


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    arrived = asyncio.Event()
    loop.add_reader(sock.fileno(), arrived.set)
    try:
        await arrived.wait()
    finally:
        loop.remove_reader(sock.fileno())


async def _read_header(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> bytes:
    """Returns up to 8 bytes, fewer where the stream ends or its length word is impossible."""
    header = b""
    while len(header) < HEADER_BYTES:
        if isinstance(parse_first_packet(header), Rejected):
            break
        piece = await loop.sock_recv(sock, HEADER_BYTES - len(header))
        if not piece:
            break
        header += piece
    return header


def _waiting(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except (BlockingIOError, InterruptedError):
        return False


def _last_words(sock: socket.socket, response: bytes) -> None:
    """Says why, as far as it can be said at once; what is unread is taken first, because
    closing with bytes unread resets the connection and the words are lost."""
    try:
        sock.recv(65536)
        sock.send(response)
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # nobody is listening any more


def _abandon(vestibule: Vestibule | None, sock: socket.socket) -> None:
    """Closes without a word. A socket that a transport was being made for is the loop's to
    close; one handed over is no longer ours."""
    if vestibule is None:
        sock.close()
    elif vestibule.transport is not None:
        vestibule.transport.abort()
