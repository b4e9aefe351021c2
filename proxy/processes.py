"""Several proxy processes on one address, for machines with many cores.

`supervise` reserves the port, starts `command` that often, starts anew what dies, and
passes a stop and SIGHUP on. Each child runs `serve_proxy` as a member: it binds the same
address with SO_REUSEPORT, so that the kernel spreads clients over the processes, and finds
the others' cancel sockets in a directory that only they can enter. A socket pair ties child
to parent: the child says on it that it is ready, and stops when the parent is gone.

The children are separate programs, not forks: a fork of a process with a running loop
shares its descriptors and locks.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlsync.errors import SqlsyncError

MEMBER = "SQLSYNC_PROXY_MEMBER"  # descriptor and directory, for a child
RESTART_SECONDS = 1.0
STOP_SECONDS = 75.0  # longer than a child's own drain

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Member:
    """A child's part in the group: its line to the parent, and where the others listen."""

    line: int  # descriptor
    siblings: Path

    @classmethod
    def from_environment(cls) -> Member | None:
        """None in a process that serves alone."""
        word = os.environ.pop(MEMBER, None)
        if word is None:
            return None
        line, _, siblings = word.partition(":")
        return cls(int(line), Path(siblings))

    def watch(self, stop: asyncio.Event) -> None:
        """Tells the parent that this process is ready; sets `stop` when the parent is gone."""
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(self.line)
            stop.set()

        os.write(self.line, b".")
        loop.add_reader(self.line, gone)


async def supervise(
    command: Sequence[str],
    processes: int,
    sockets: Sequence[socket.socket],
    *,
    stop: asyncio.Event,
    environment: Mapping[str, str],
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Keeps `processes` children running until `stop` is set, then stops them.

    sockets: bound with SO_REUSEPORT and not listening; they keep the port ours while
    children come and go. environment: of the children, with the address they are to bind.
    Raises SqlsyncError where a child ends before it was ever ready.
    """
    with tempfile.TemporaryDirectory(prefix="sqlsync-proxy-") as siblings, _hangups() as serving:
        ready = [asyncio.Event() for _ in range(processes)]
        keepers = [
            asyncio.create_task(_keep(command, {**environment}, siblings, stop, started, serving))
            for started in ready
        ]
        all_ready = asyncio.gather(*(started.wait() for started in ready))
        try:
            waiting: set[asyncio.Future[Any]] = {all_ready, *keepers}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if all_ready.done() and on_ready is not None:
                on_ready()
            await asyncio.gather(*keepers)
        finally:
            all_ready.cancel()
            stop.set()
            await asyncio.gather(all_ready, *keepers, return_exceptions=True)
            for sock in sockets:
                sock.close()


@contextmanager
def _hangups() -> Iterator[set[asyncio.subprocess.Process]]:
    """Passes SIGHUP on to the children in the set: those that know what it means.

    On a terminal it keeps its meaning: the window was closed, so all ends.
    """
    serving: set[asyncio.subprocess.Process] = set()

    def pass_on() -> None:
        for child in serving:
            child.send_signal(signal.SIGHUP)

    if os.isatty(0):
        yield serving
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, pass_on)
    try:
        yield serving
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


async def _keep(
    command: Sequence[str],
    environment: dict[str, str],
    siblings: str,
    stop: asyncio.Event,
    started: asyncio.Event,
    serving: set[asyncio.subprocess.Process],
) -> None:
    while not stop.is_set():
        code = await _run_once(command, environment, siblings, stop, started, serving)
        if stop.is_set():
            return
        if not started.is_set():
            raise SqlsyncError(f"a proxy process ended with code {code} before it was ready")
        log.error("a proxy process ended with code %s; starting another", code)
        try:
            await asyncio.wait_for(stop.wait(), RESTART_SECONDS)
        except TimeoutError:
            continue


async def _run_once(
    command: Sequence[str],
    environment: dict[str, str],
    siblings: str,
    stop: asyncio.Event,
    started: asyncio.Event,
    serving: set[asyncio.subprocess.Process],
) -> int | None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        environment = {**environment, MEMBER: f"{theirs.fileno()}:{siblings}"}
        child = await asyncio.create_subprocess_exec(
            *command, env=environment, pass_fds=(theirs.fileno(),)
        )
        theirs.close()
        ended = asyncio.create_task(child.wait())
        stopping = asyncio.create_task(stop.wait())
        word = asyncio.create_task(loop.sock_recv(ours, 1))
        try:
            await asyncio.wait({word, ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if word.done() and not word.exception() and word.result():
                started.set()
                serving.add(child)
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            serving.discard(child)
            word.cancel()
            stopping.cancel()
            await _end(child, ended)
            (Path(siblings) / f"{child.pid}.sock").unlink(missing_ok=True)
    return child.returncode


async def _end(child: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
    if child.returncode is None:
        child.terminate()
        try:
            await asyncio.wait_for(ended, STOP_SECONDS)
        except TimeoutError:
            child.kill()
            await child.wait()
