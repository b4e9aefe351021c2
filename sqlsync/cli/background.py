"""A sqlsync command running beside this one for a while: a worker, the web side, a simulator."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlsync.cli.supervisor import BAD_INPUT, STOP_SECONDS
from sqlsync.errors import ConfigError, SqlsyncError


class Background:
    """A child process that has said where it listens. `ready`: name -> HOST:PORT."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self.process = process
        self.ready: dict[str, str] = {}

    def check(self) -> None:
        """Raises where it has ended, for those who wait for what it does."""
        code = self.process.poll()
        if code == BAD_INPUT:
            raise ConfigError(f"{self.name} could not start with these settings.")
        if code is not None:
            raise SqlsyncError(f"{self.name} ended with code {code}.")


@contextmanager
def background(
    name: str, command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[Background]:
    """Starts it, waits for its `ready` line, and stops it at the end. Raises as `check`."""
    process = subprocess.Popen(
        command,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,  # its end tells the child of ours
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    child = Background(name, process)
    try:
        _await_ready(child)
        yield child
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(child: Background) -> None:
    assert child.process.stdout is not None
    for line in child.process.stdout:
        word, _, rest = line.strip().partition(" ")
        if word == "ready":
            parts = (part.partition("=") for part in rest.split())
            child.ready = {name: where for name, separator, where in parts if separator}
            threading.Thread(target=_pass_on, args=[child], daemon=True).start()
            return
        print(line, end="", file=sys.stderr)
    child.process.wait()
    child.check()


def _pass_on(child: Background) -> None:
    """What it prints later goes to stderr; unread, it would block the child."""
    assert child.process.stdout is not None
    for line in child.process.stdout:
        print(line, end="", file=sys.stderr, flush=True)
