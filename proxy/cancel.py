"""Whose statement a CancelRequest means, and who acts on it.

A cancel comes on a connection of its own, carrying the key that Postgres gave the session
it means. While that session has a write in flight only the proxy can act (upstream is
waiting for us and swallows the request without a trace), so the key is looked up first;
otherwise the same bytes go upstream, and the client's connection is closed when upstream
has closed ours, which is how a client knows that the request was taken.

Several processes may share one listener, and the kernel hands the cancel to any of them.
Each listens on a unix socket in a directory that they share (`siblings`, made by their
parent, 0700), and a process that does not know a key asks the others before it forwards.
A stream socket needs no numbering of answers, and a process that died refuses at once.

Source: PostgreSQL documentation, "Canceling Requests in Progress".
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Protocol

from proxy.protocol.startup import CancelRequest, parse_first_packet
from proxy.upstream import Upstream, connect_upstream
from sqlsync.errors import DatabaseUnavailable

FORWARD_SECONDS = 10.0  # a cancel nobody answers is given up
_INT = Struct(">I")
_OURS, _NOT_OURS = b"Y", b"N"

log = logging.getLogger(__name__)


class Session(Protocol):
    """One client's session, as those see it who may end or interrupt it."""

    @property
    def write_in_flight(self) -> bool:
        """True from the moment a write is held until its answer is on its way."""
        ...

    def cancel(self) -> None:
        """The client asked to cancel; called only while a write is in flight."""
        ...

    def shut_down(self) -> None:
        """The proxy stops: FATAL 57P01 and close now, or after the write in flight."""
        ...

    def give_up(self) -> None:
        """Some time after `shut_down`: who has been told and does not read is not waited for."""
        ...


class CancelRegistry:
    """The sessions of this process and the keys by which they can be cancelled.

    A session joins when its client connects and leaves when it is gone; `register` is
    called when upstream's BackendKeyData passes. Belongs to one event loop.
    """

    def __init__(self, upstream: Upstream, siblings: Path | None = None) -> None:
        self._upstream = upstream
        self._siblings = siblings
        self._by_key: dict[bytes, Session] = {}
        self._sessions: set[Session] = set()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._ear: asyncio.Server | None = None

    def join(self, session: Session) -> None:
        """Counts the session among those that a stop must end."""
        self._sessions.add(session)
        self._emptied.clear()

    def leave(self, session: Session) -> None:
        """Forgets the session; its key is taken back by `unregister`."""
        self._sessions.discard(session)
        if not self._sessions:
            self._emptied.set()

    def register(self, pid: int, secret: bytes, session: Session) -> None:
        """Notes the key that upstream gave the session; both parts are opaque."""
        self._by_key[_INT.pack(pid) + secret] = session

    def unregister(self, pid: int, secret: bytes) -> None:
        """Takes the key back; no error where there is none."""
        self._by_key.pop(_INT.pack(pid) + secret, None)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions))

    def __len__(self) -> int:
        return len(self._sessions)

    async def emptied(self) -> None:
        """Returns when no session is left."""
        await self._emptied.wait()

    async def open(self) -> None:
        """Starts to listen to the sibling processes, if there are any."""
        if self._siblings is not None:
            self._ear = await asyncio.start_unix_server(
                self._answer_sibling, self._siblings / f"{os.getpid()}.sock"
            )

    async def close(self) -> None:
        if self._ear is not None and self._siblings is not None:
            self._ear.close()
            await self._ear.wait_closed()
            (self._siblings / f"{os.getpid()}.sock").unlink(missing_ok=True)

    async def cancel(self, request: CancelRequest) -> None:
        """Returns when the request was carried out as far as Postgres itself would say.

        Never raises: the client is told nothing, whatever happens.
        """
        if not await self._cancel_here(request) and not await self._cancel_elsewhere(request):
            # Nobody's: perhaps of a proxy on another machine before the same Postgres.
            await self._forward(request)

    async def _cancel_here(self, request: CancelRequest) -> bool:
        session = self._by_key.get(request.packet[8:])
        if session is None:
            return False
        if session.write_in_flight:
            session.cancel()
        else:
            await self._forward(request)
        return True

    async def _forward(self, request: CancelRequest) -> None:
        try:
            async with asyncio.timeout(FORWARD_SECONDS):
                transport, messenger = await connect_upstream(self._upstream, _Messenger)
                try:
                    transport.write(request.packet)
                    await messenger.closed
                finally:
                    transport.close()
        except (DatabaseUnavailable, TimeoutError) as error:
            log.warning("cancel for backend %d not delivered: %s", request.pid, error or "timeout")

    # -- between the processes of one listener ---------------------------------------------

    async def _cancel_elsewhere(self, request: CancelRequest) -> bool:
        if self._siblings is None:
            return False
        own = f"{os.getpid()}.sock"
        others = [path for path in self._siblings.glob("*.sock") if path.name != own]
        return any(await asyncio.gather(*(_ask(path, request) for path in others)))

    async def _answer_sibling(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            async with asyncio.timeout(FORWARD_SECONDS * 2):
                length = await reader.readexactly(4)
                rest = await reader.readexactly(min(_INT.unpack(length)[0], 512) - 4)
                request = parse_first_packet(length + rest)
                ours = isinstance(request, CancelRequest) and await self._cancel_here(request)
                writer.write(_OURS if ours else _NOT_OURS)
                await writer.drain()
        except (OSError, EOFError, TimeoutError) as error:
            log.warning("a sibling process was not answered: %r", error)
        finally:
            writer.close()


async def _ask(path: Path, request: CancelRequest) -> bool:
    """Returns whether the process at `path` owns the session, and so has dealt with it."""
    try:
        async with asyncio.timeout(FORWARD_SECONDS * 2):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(request.packet)
                return await reader.read(1) == _OURS
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False  # that process is gone or going, and its sessions with it


class _Messenger(asyncio.Protocol):
    """Carries one request upstream; Postgres answers by closing."""

    def __init__(self) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
