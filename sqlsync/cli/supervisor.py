"""Keeps the service processes running, restarts what dies, stops them in order.

A child says `ready NAME=HOST:PORT` on its stdout when it listens; a child that asked for any
free port keeps, when it is started again, the one it got at first. What else children print
goes to our stderr. Children notice our end by the end of their stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlsync.errors import ConfigError, SqlsyncError

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0  # as long as clients are turned away once Postgres is back
HEALTHY_SECONDS = 10.0  # after so long, an end counts as the first one again
STOP_SECONDS = 80.0  # the proxy lets writes in flight finish
BAD_INPUT = 2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChildPlan:
    """One process to keep: its name, what to run, and the variable that sets where it listens."""

    name: str
    command: Sequence[str]
    listens: str | None = None
    reloads: bool = False  # SIGHUP is passed on to it


def child_command(command: str, config: Path | None, *arguments: str) -> list[str]:
    """`sqlsync COMMAND` in a process of its own. -P: no modules from the current directory."""
    options = [] if config is None else ["--config", str(config)]
    return [
        sys.executable,
        "-P",
        "-m",
        "sqlsync.cli",
        command,
        "--supervised",
        *options,
        *arguments,
    ]


def pause_before_restart(failures: int) -> float:
    """Seconds to wait before a child that died `failures` times in a row is started again."""
    return float(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 10)))


class Supervisor:
    """Runs the children of a plan until told to stop. `addresses`: name -> HOST:PORT."""

    def __init__(self, plans: Sequence[ChildPlan], *, environment: Mapping[str, str]) -> None:
        """plans: started together, stopped one after the other in this order."""
        self.addresses: dict[str, str] = {}
        self.when_ready: Callable[[], None] = lambda: None
        self._plans = plans
        self._environment = dict(environment)
        self._stop = asyncio.Event()
        self._ready = {plan.name: asyncio.Event() for plan in plans}
        self._children: dict[str, asyncio.subprocess.Process] = {}

    def stop(self) -> None:
        """May be called from any callback of the loop."""
        self._stop.set()

    def reload(self) -> None:
        """Lets the children that can take up renewed certificates."""
        for plan in self._plans:
            child = self._children.get(plan.name)
            if plan.reloads and child is not None and self._ready[plan.name].is_set():
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(signal.SIGHUP)

    async def run(self, *, signals: bool = True) -> None:
        """Returns after a stop. Raises SqlsyncError where a child ends before it was ready.

        signals: SIGTERM and SIGINT stop, SIGHUP reloads (on a terminal it stops).
        """
        if signals:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop)
            on_terminal = os.isatty(0)  # there it says that the window was closed
            loop.add_signal_handler(signal.SIGHUP, self.stop if on_terminal else self.reload)
        keepers = [asyncio.create_task(self._keep(plan)) for plan in self._plans]
        all_ready = asyncio.create_task(self._wait_until_ready())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            # A keeper ends by itself only with an error; all_ready's end is not the end.
            await asyncio.wait({*keepers, all_ready, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if all_ready.done() and not self._stop.is_set():
                self.when_ready()
            await asyncio.wait({*keepers, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for keeper in keepers:
                if keeper.done():
                    keeper.result()
        finally:
            self._stop.set()
            all_ready.cancel()
            stopping.cancel()
            for plan in self._plans:
                await self._end(plan.name)
            await asyncio.gather(*keepers, return_exceptions=True)

    async def _wait_until_ready(self) -> None:
        for event in self._ready.values():
            await event.wait()

    async def _keep(self, plan: ChildPlan) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._stop.is_set():
            began = loop.time()
            code = await self._run_once(plan)
            if self._stop.is_set():
                return
            if not self._ready[plan.name].is_set():
                if code == BAD_INPUT:  # it has said why, in one line
                    raise ConfigError(f"{plan.name} could not start with these settings.")
                raise SqlsyncError(f"{plan.name} ended with code {code} before it was ready.")
            failures = 1 if loop.time() - began > HEALTHY_SECONDS else failures + 1
            pause = pause_before_restart(failures)
            log.error("%s ended with code %s; starting it again in %.1f s", plan.name, code, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)

    async def _run_once(self, plan: ChildPlan) -> int:
        environment = dict(self._environment)
        if plan.listens and plan.name in self.addresses:
            environment[plan.listens] = self.addresses[plan.name]
        child = await asyncio.create_subprocess_exec(
            *plan.command,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is ours to pass on, in order
        )
        self._children[plan.name] = child
        assert child.stdout is not None
        async for line in child.stdout:
            self._heed(plan, line.decode(errors="replace").rstrip())
        return await child.wait()

    def _heed(self, plan: ChildPlan, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word != "ready":
            print(line, file=sys.stderr, flush=True)
            return
        for part in rest.split():
            name, separator, where = part.partition("=")
            if separator:
                self.addresses[name] = where
        self._ready[plan.name].set()

    async def _end(self, name: str) -> None:
        child = self._children.get(name)
        if child is None or child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        try:
            await asyncio.wait_for(child.wait(), STOP_SECONDS)
        except TimeoutError:
            log.error("%s did not stop in %d s and is killed", name, STOP_SECONDS)
            child.kill()
            await child.wait()
