"""The proxy as a service: addresses, stop, several processes."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from proxy.door import DoorLimits
from proxy.processes import supervise
from proxy.server import bind, is_loopback
from sqlsync.errors import ConfigError, SqlsyncError


def through(proxy: Any, url: str) -> dict[str, Any]:
    own = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    own |= {"host": "127.0.0.1", "port": str(proxy.port), "sslmode": "disable"}
    return own | {"autocommit": True, "connect_timeout": 10}


LONG_ANSWER = b"select repeat('x', 1000) from generate_series(1, 3000000)"


def waits_for(watcher: psycopg.Connection[Any], backend: int) -> Any:
    query = "select wait_event from pg_stat_activity where pid = %s"
    return watcher.execute(query, [backend]).fetchone()


def eventually(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not claim():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.01)


def test_a_stop_tells_the_clients_and_closes_the_door(start_proxy: Any, postgres_url: str) -> None:
    proxy = start_proxy()
    client = psycopg.connect(**through(proxy, postgres_url))
    proxy.stop()
    with pytest.raises(psycopg.errors.AdminShutdown):
        client.execute("select 1")
    with pytest.raises(psycopg.OperationalError, match="Connection refused"):
        psycopg.connect(**through(proxy, postgres_url))


def test_a_stop_does_not_wait_for_a_client_that_does_not_read(
    start_proxy: Any, postgres_url: str, authority: Any
) -> None:
    proxy = start_proxy(tls=authority.files, limits=DoorLimits(goodbye_seconds=0.2))
    client = psycopg.connect(**through(proxy, postgres_url) | {"sslmode": "require"})
    proxy.stop()  # within 20 s; a TLS connection would wait 30 s for the client's own end
    with pytest.raises(psycopg.errors.AdminShutdown):
        client.execute("select 1")


def test_a_stop_gives_up_a_client_that_leaves_a_long_answer_unread(
    start_proxy: Any, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.server.GOODBYE_SECONDS", 0.2)
    proxy = start_proxy()
    client = psycopg.connect(**through(proxy, postgres_url))
    backend = client.info.backend_pid
    client.pgconn.send_query(LONG_ANSWER)
    with psycopg.connect(postgres_url, autocommit=True) as watcher:
        eventually(lambda: waits_for(watcher, backend) == ("ClientWrite",))
        proxy.stop()  # within 20 s, not the 60 s that a write may take
        eventually(lambda: waits_for(watcher, backend) is None)
    client.close()


@pytest.mark.parametrize("sslmode", ["disable", "require"])
def test_a_client_lost_before_it_has_read_a_long_answer_leaves_no_backend(
    start_proxy: Any, postgres_url: str, authority: Any, sslmode: str
) -> None:
    proxy = start_proxy(tls=authority.files, tls_required=False)
    client = psycopg.connect(**through(proxy, postgres_url) | {"sslmode": sslmode})
    backend = client.info.backend_pid
    client.pgconn.send_query(LONG_ANSWER)
    with psycopg.connect(postgres_url, autocommit=True) as watcher:
        # Nobody reads, so nobody is read.
        eventually(lambda: waits_for(watcher, backend) == ("ClientWrite",))
        with socket.socket(fileno=os.dup(client.pgconn.socket)) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()  # by a reset
        eventually(lambda: waits_for(watcher, backend) is None)


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
