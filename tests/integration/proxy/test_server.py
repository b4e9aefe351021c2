"""The proxy as a service: addresses, stop, several processes."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from proxy.processes import supervise
from proxy.server import bind, is_loopback
from sqlsync.errors import ConfigError, SqlsyncError


def through(proxy: Any, url: str) -> dict[str, Any]:
    own = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    own |= {"host": "127.0.0.1", "port": str(proxy.port), "sslmode": "disable"}
    return own | {"autocommit": True, "connect_timeout": 10}


def test_a_stop_tells_the_clients_and_closes_the_door(start_proxy: Any, postgres_url: str) -> None:
    proxy = start_proxy()
    client = psycopg.connect(**through(proxy, postgres_url))
    proxy.stop()
    with pytest.raises(psycopg.errors.AdminShutdown):
        client.execute("select 1")
    with pytest.raises(psycopg.OperationalError, match="Connection refused"):
        psycopg.connect(**through(proxy, postgres_url))


def test_a_client_that_left_without_reading_leaves_no_session_behind(
    start_proxy: Any, postgres_url: str
) -> None:
    """Upstream waits to send what nobody takes, and would wait for ever."""
    client = psycopg.connect(**through(start_proxy(), postgres_url))
    pid = client.info.backend_pid
    client.pgconn.send_query(b"select repeat('x', 1000) from generate_series(1, 100000)")
    with psycopg.connect(postgres_url, autocommit=True) as direct:

        def found(what: str) -> bool:
            query = f"select count(*) = 1 from pg_stat_activity where pid = {pid} and {what}"
            row = direct.execute(query.encode()).fetchone()
            return row == (True,)

        # Again and again: all that buffers take is taken.
        wait_for(lambda: all(found("wait_event = 'ClientWrite'") for _ in range(1000)))
        client.close()
        wait_for(lambda: not found("true"))


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def test_tls_cannot_be_required_without_a_certificate(start_proxy: Any) -> None:
    with pytest.raises(ConfigError, match="tls_cert is not set"):
        start_proxy(tls_required=True)


def test_a_port_in_use_is_said_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"proxy\.listen 127\.0\.0\.1:{port} .*in use"):
            bind("127.0.0.1", port)


def test_all_addresses_of_a_name_share_one_free_port() -> None:
    sockets = bind("localhost", 0)
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
    finally:
        for sock in sockets:
            sock.close()


@pytest.mark.parametrize(
    ("host", "answer"),
    [(host, True) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost")]
    + [(host, False) for host in ("0.0.0.0", "*", "10.0.0.1", "books.example")],
)
def test_loopback_is_told_from_the_rest(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer


CHILD = """
import asyncio, os, sys
from pathlib import Path
from proxy.processes import Member
from proxy.server import run, serve_proxy, stop_on_signals
from proxy.upstream import Upstream

class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(str(os.getpid()).encode())
        transport.close()

async def main():
    stop = asyncio.Event()
    stop_on_signals(stop)
    await serve_proxy("127.0.0.1", int(sys.argv[1]), Upstream("127.0.0.1", 1),
                      lambda tls, registry: Echo(), stop=stop, member=Member.from_environment())

run(main())
"""
STARTUP = bytes.fromhex("0000000800030000")


async def ask_pid(port: int) -> int:
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(STARTUP)
            pid = await reader.read()
            writer.close()
            if pid:
                return int(pid)
        except OSError:
            pass
        await asyncio.sleep(0.01)


async def test_several_processes_share_one_address_and_the_dead_are_replaced() -> None:
    sockets = bind("127.0.0.1", 0, reuse_port=True)
    port = sockets[0].getsockname()[1]
    stop, ready = asyncio.Event(), asyncio.Event()
    parent = asyncio.create_task(
        supervise(
            [sys.executable, "-c", CHILD, str(port)],
            2,
            sockets,
            stop=stop,
            environment={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
            on_ready=ready.set,
        )
    )
    async with asyncio.timeout(60):
        await ready.wait()
        first: set[int] = set()
        while len(first) < 2:
            first.add(await ask_pid(port))
        os.kill(min(first), 9)
        while (replaced := await ask_pid(port)) in first:
            pass
        stop.set()
        await parent
    for pid in (*first, replaced):
        assert not Path(f"/proc/{pid}").exists()


async def test_a_child_that_cannot_start_ends_the_group() -> None:
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    with pytest.raises(SqlsyncError, match="ended with code 3 before it was ready"):
        await supervise(command, 2, [], stop=asyncio.Event(), environment=os.environ)
