"""One HTTP server for a simulator: a free port when asked, and the power to hang up.

With `SQLSYNC_SIMULATE_RECORD` in the environment, or a file given, all requests are kept there.

uvicorn serves; its protocol class is extended so that an application can close the connection
without an answer (`hang_up`), which is what a lost reply looks like to a client.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sqlsync.simulators.recording import VARIABLE, Recorder

Scope = MutableMapping[str, Any]
AsgiApp = Callable[[Scope, Any, Any], Awaitable[None]]

_TRANSPORT = "sqlsync.transport"


class _Protocol(HttpToolsProtocol):
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_TRANSPORT: {"transport": self.transport}}


async def hang_up(scope: Scope) -> None:
    """Closes the request's connection at once; nothing more reaches the client.

    Raises ConnectionAbortedError in place where no connection stands behind the request.
    """
    extension = scope.get("extensions", {}).get(_TRANSPORT)
    if extension is None:
        raise ConnectionAbortedError("the simulated service hung up")
    extension["transport"].abort()
    await asyncio.sleep(0.01)  # lets the server notice that the connection is gone


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class HttpServer:
    """An ASGI application on one address, from `start` to `stop`."""

    def __init__(self, app: AsgiApp, address: str, record: str | Path | None = None) -> None:
        """record: the file that keeps its requests. Raises OSError: no such address or file."""
        record = record or os.environ.get(VARIABLE)
        if record:
            app = Recorder(app, record)
        host, _, port = address.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # The protocol is named so that asyncio switches Nagle's algorithm off (TCP_NODELAY).
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((host.strip("[]") or "127.0.0.1", int(port or 0)))
        bound = self._socket.getsockname()
        self.host, self.port = bound[0], bound[1]
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="on",
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    async def start(self) -> None:
        """Returns once requests are served."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise RuntimeError("the simulator's server stopped while starting")
            await asyncio.sleep(0.005)

    async def wait(self) -> None:
        """Returns when the server has stopped (a signal, or `stop`)."""
        if self._task is not None:
            await self._task

    async def stop(self) -> None:
        self._server.should_exit = True
        await self.wait()
        self._socket.close()
