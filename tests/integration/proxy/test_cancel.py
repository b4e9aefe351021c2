"""A cancel finds the session it means: here, upstream, or in a sibling process."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from proxy.cancel import CancelRegistry
from proxy.protocol.startup import CancelRequest, parse_first_packet
from proxy.upstream import Upstream

CANCEL = bytes.fromhex("04d2162e")


def through(proxy: Any, url: str, **options: object) -> dict[str, Any]:
    own = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    own |= {"host": proxy.host, "port": str(proxy.port), "sslmode": "disable"}
    return own | {"autocommit": True, "connect_timeout": 10} | options


def wait_until_asleep(url: str, pid: int) -> None:
    with psycopg.connect(url, autocommit=True) as watcher:
        query = "select wait_event = 'PgSleep' from pg_stat_activity where pid = %s"
        for _ in range(1000):
            row = watcher.execute(query, [pid]).fetchone()
            if row == (True,):
                return
            watcher.execute("select pg_sleep(0.01)")
    raise AssertionError("it did not fall asleep in time")


@pytest.mark.parametrize("version", ["3.0", "3.2"])
@pytest.mark.parametrize("sslmode", ["disable", "require"])
@pytest.mark.parametrize("how", ["safe", "old"])
def test_a_running_statement_is_cancelled_upstream(
    start_proxy: Any, authority: Any, postgres_url: str, sslmode: str, version: str, how: str
) -> None:
    proxy = start_proxy(tls=authority.files)
    options = {"sslmode": sslmode, "max_protocol_version": version}
    with psycopg.connect(**through(proxy, postgres_url, **options)) as client:

        def interrupt() -> None:
            wait_until_asleep(postgres_url, client.info.backend_pid)
            if how == "safe":  # PQcancelStart: over TLS where the session is
                client.cancel_safe(timeout=10)
            else:  # as PQcancel, whatever the session: in the clear
                [session] = proxy.sessions
                cancel_in_the_clear(proxy, *session.key)

        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            client.execute("select pg_sleep(30)")
        interrupter.join()
        assert client.execute("select 1").fetchone() == (1,)


def test_a_cancel_in_the_clear_is_taken_where_tls_is_required(
    start_proxy: Any, authority: Any, postgres_url: str
) -> None:
    proxy = start_proxy(tls=authority.files, tls_required=True)
    with psycopg.connect(**through(proxy, postgres_url, sslmode="require")):
        [session] = proxy.sessions
        session.holds_a_write = True
        cancel_in_the_clear(proxy, *session.key)
        assert session.cancelled == 1


def test_while_a_write_is_in_flight_the_session_is_told_and_upstream_is_not(
    start_proxy: Any, postgres_url: str
) -> None:
    proxy = start_proxy()
    with psycopg.connect(**through(proxy, postgres_url)) as client:
        [session] = proxy.sessions
        session.holds_a_write = True
        client.cancel_safe(timeout=10)
        assert session.cancelled == 1
        # Upstream would have noted the cancel for the statement that comes next.
        assert client.execute("select pg_sleep(0.05), 1").fetchone() == ("", 1)


def test_a_wrong_key_cancels_nothing_and_is_answered_by_closing(
    start_proxy: Any, postgres_url: str
) -> None:
    proxy = start_proxy()
    with psycopg.connect(**through(proxy, postgres_url)) as client:
        [session] = proxy.sessions
        session.holds_a_write = True
        pid, secret = session.key
        wrong = bytes(byte ^ 1 for byte in secret)
        cancel_in_the_clear(proxy, pid, wrong)
        assert session.cancelled == 0
        assert client.execute("select 1").fetchone() == (1,)


class Writing:
    """A session that holds a write."""

    write_in_flight = True
    cancelled = 0

    def cancel(self) -> None:
        self.cancelled += 1

    def shut_down(self) -> None:
        raise AssertionError

    def give_up(self) -> None:
        raise AssertionError


async def test_a_cancel_that_lands_in_another_process_reaches_the_owner(tmp_path: Path) -> None:
    nowhere = Upstream("127.0.0.1", 1)
    owner, other = CancelRegistry(nowhere, tmp_path), CancelRegistry(nowhere, tmp_path)
    await owner.open()
    (tmp_path / "999999999.sock").touch()  # left behind by a process that was killed
    # Both live in this process, which alone names the socket: the other only asks.
    (own_socket,) = (path for path in tmp_path.iterdir() if path.name != "999999999.sock")
    own_socket.rename(tmp_path / "owner.sock")
    session = Writing()
    owner.register(7, b"secret of any length", session)
    request = request_for(7, b"secret of any length")
    await asyncio.wait_for(other.cancel(request), 10)
    assert session.cancelled == 1
    owner.unregister(7, b"secret of any length")
    await asyncio.wait_for(other.cancel(request), 10)
    assert session.cancelled == 1
    await owner.close()


def cancel_in_the_clear(proxy: Any, pid: int, secret: bytes) -> None:
    """What PQcancel does. (psycopg's `cancel` keeps the interpreter to itself meanwhile,
    and the proxy of these tests lives in it.)"""
    with socket.create_connection((proxy.host, proxy.port), timeout=10) as sock:
        sock.sendall(packet_for(pid, secret))
        assert sock.recv(1) == b""


def packet_for(pid: int, secret: bytes) -> bytes:
    return (12 + len(secret)).to_bytes(4) + CANCEL + pid.to_bytes(4) + secret


def request_for(pid: int, secret: bytes) -> CancelRequest:
    request = parse_first_packet(packet_for(pid, secret))
    assert isinstance(request, CancelRequest)
    return request
