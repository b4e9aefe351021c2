"""A client on its way in: startup packet → upstream connected → authentication relayed → ready.

Authentication is upstream's own; the proxy knows no passwords.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxy.protocol.greeting import Greeting
from proxy.protocol.startup import Capped, StartupMessage, cap, parse_first_packet
from proxy.upstream import connect_upstream
from sqlsync.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from proxy.relay import ClientSide

EARLY_BYTES = 64 * 1024  # of the client, while upstream is being connected
_OFF = ("", "0", "false", "off", "no")


class Entry:
    """Given up by the client's side once upstream is ready for queries."""

    __slots__ = ("_early", "_greeting", "_side", "_task", "_tls")

    def __init__(self, side: ClientSide, *, tls: bool) -> None:
        self._side = side
        self._tls = tls
        self._early = b""
        self._greeting: Greeting | None = None  # once upstream is there
        self._task: asyncio.Task[None] | None = None  # connects

    @property
    def is_relaying(self) -> bool:
        """Upstream is there: what the client sends goes to it."""
        return self._greeting is not None

    def from_client(self, data: bytes) -> None:
        if self._greeting is not None:
            self._side.relay_client(data)
            return
        self._early += data
        if self._task is None:
            self._first_packet()
        elif len(self._early) > EARLY_BYTES:
            self._side.pause_client()  # until upstream is there

    def from_upstream(self, data: bytes) -> None:
        """Upstream's messages up to the first ReadyForQuery."""
        if self._greeting is None:
            return
        shown, behind = self._greeting.feed(data)
        self._side.write(shown)
        if self._greeting.status:
            self._side.ready(self._greeting.status, behind)

    def _first_packet(self) -> None:
        first = parse_first_packet(self._early, ssl_done=True, gss_done=True)
        if first is None:
            return
        if not isinstance(first, StartupMessage):
            self._side.close()
            return
        self._early = self._early[len(first.packet) :]
        context, judge = self._side.context, self._side.judge
        replication = first.parameters.get("replication", "")
        database = first.parameters.get("database") or first.parameters.get("user", "")
        if replication.lower() not in _OFF:
            judge.host = None  # its commands are not SQL; the guard stands
        else:
            judge.host = context.host_for(database)
        self._task = asyncio.create_task(self._connect(cap(first)))

    async def _connect(self, capped: Capped) -> None:
        side = self._side
        target = side.context.upstream
        try:
            transport, _ = await connect_upstream(target, side.make_upstream)
        except DatabaseUnavailable as error:
            side.say_fatal("08006", error.message)
            return
        except Exception as error:  # a bug must not leave a client waiting for ever
            side.broke(error)
            return
        if not side.is_wanted or transport.is_closing():
            transport.close()
            side.close()
            return
        self._greeting = Greeting(
            capped,
            hides_plus=target.is_tls and not self._tls,
            on_parameter=side.judge.parameter,
            on_key=side.key_came,
        )
        side.connected(transport)
        transport.write(capped.packet)
        early, self._early = self._early, b""
        if early:
            side.relay_client(early)
        side.resume_client()
