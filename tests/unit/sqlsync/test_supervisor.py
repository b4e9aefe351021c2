"""The supervisor, with small programs in place of the services."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sqlsync.cli.supervisor import ChildPlan, Supervisor, pause_before_restart
from sqlsync.errors import ConfigError, SqlsyncError

SERVICE = """
import os, signal, sys, time
name, folder = sys.argv[1:3]
def stop(*_):
    with open(folder + "/stopped", "a") as file:
        file.write(name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
with open(f"{folder}/{name}.pid", "a") as file:
    file.write(f"{os.getpid()}\\n")
print(f"ready {name}={os.environ.get('LISTEN_' + name, '127.0.0.1:7777')}", flush=True)
while True:
    time.sleep(0.05)
"""


def plan(name: str, folder: Path, script: str = SERVICE) -> ChildPlan:
    return ChildPlan(name, [sys.executable, "-c", script, name, str(folder)], f"LISTEN_{name}")


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


async def test_it_is_ready_when_all_are_and_stops_them_in_order(tmp_path: Path) -> None:
    names = ["proxy", "web", "worker"]
    supervisor = Supervisor([plan(name, tmp_path) for name in names], environment=os.environ)
    ready = asyncio.Event()
    supervisor.when_ready = ready.set
    running = asyncio.create_task(supervisor.run(signals=False))
    await asyncio.wait_for(ready.wait(), 20)
    assert supervisor.addresses == dict.fromkeys(names, "127.0.0.1:7777")
    supervisor.stop()
    await asyncio.wait_for(running, 20)
    assert lines(tmp_path / "stopped") == names


async def test_a_child_that_dies_comes_back_at_the_same_address(tmp_path: Path) -> None:
    script = SERVICE.replace("127.0.0.1:7777", "127.0.0.1:' + str(os.getpid()) + '")
    supervisor = Supervisor([plan("proxy", tmp_path, script)], environment=os.environ)
    running = asyncio.create_task(supervisor.run(signals=False))
    pids = tmp_path / "proxy.pid"
    await until(lambda: supervisor.addresses)
    address = supervisor.addresses["proxy"]
    supervisor.addresses.clear()
    supervisor.addresses["proxy"] = address
    os.kill(int(lines(pids)[0]), signal.SIGKILL)
    await until(lambda: len(lines(pids)) == 2)
    await until(lambda: supervisor.addresses["proxy"] == address)
    supervisor.stop()
    await asyncio.wait_for(running, 20)


async def test_bad_settings_of_a_child_end_everything(tmp_path: Path) -> None:
    supervisor = Supervisor(
        [plan("web", tmp_path), plan("proxy", tmp_path, "raise SystemExit(2)")],
        environment=os.environ,
    )
    with pytest.raises(ConfigError, match="proxy could not start"):
        await asyncio.wait_for(supervisor.run(signals=False), 20)


async def test_a_child_that_ends_before_it_was_ready_ends_everything(tmp_path: Path) -> None:
    supervisor = Supervisor([plan("proxy", tmp_path, "pass")], environment=os.environ)
    with pytest.raises(SqlsyncError, match="before it was ready"):
        await asyncio.wait_for(supervisor.run(signals=False), 20)


def test_pauses_grow_to_a_limit() -> None:
    assert [pause_before_restart(n) for n in (1, 2, 3, 20)] == [0.5, 1.0, 2.0, 10.0]
