"""Several proxy processes on one address, as `sqlsync up` runs them."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest
from integration.proxy.conftest import Authority

from sqlsync.cli.background import background
from sqlsync.cli.supervisor import child_command
from sqlsync.embedded import EmbeddedPostgres


@pytest.fixture(scope="module")
def services(
    postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    """`sqlsync up` with two proxy processes, TLS and no connection."""
    directory = tmp_path_factory.mktemp("processes")
    authority = Authority(directory)
    with psycopg.connect(postgres_server.url(), autocommit=True) as admin:
        admin.execute("create database processes")
    environment = {
        **os.environ,
        "SQLSYNC_DATABASE_URL": postgres_server.url("processes"),
        "SQLSYNC_STATE_DIR": str(directory),
        "SQLSYNC_PROXY__LISTEN": "127.0.0.1:0",
        "SQLSYNC_PROXY__PROCESSES": "2",
        "SQLSYNC_PROXY__TLS_CERT": str(authority.files.certificate),
        "SQLSYNC_PROXY__TLS_KEY": str(authority.files.key),
        "SQLSYNC_WEB__LISTEN": "127.0.0.1:0",
        "SQLSYNC_LOG__LEVEL": "warning",
    }
    with background("up", child_command("up", None), environment) as running:
        yield Services(postgres_server, authority, running.ready["proxy"], running.process.pid)


class Services:
    def __init__(
        self, server: EmbeddedPostgres, authority: Authority, proxy: str, pid: int
    ) -> None:
        self.authority = authority
        self.pid = pid
        self.host, _, port = proxy.rpartition(":")
        self.port = int(port)
        own = psycopg.conninfo.conninfo_to_dict(server.url("processes"))
        self.url = psycopg.conninfo.make_conninfo(
            "",
            **{**own, "host": self.host, "port": port},
            sslmode="verify-full",
            sslrootcert=str(authority.root),
        )

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url, autocommit=True)

    def certificate(self) -> str:
        """SHA-256 of the certificate a new client is shown."""
        context = ssl.create_default_context(cafile=str(self.authority.root))
        with socket.create_connection((self.host, self.port), 5) as plain:
            plain.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
            assert plain.recv(1) == b"S"
            with context.wrap_socket(plain, server_hostname="localhost") as client:
                shown = client.getpeercert(binary_form=True)
        assert shown is not None
        return hashlib.sha256(shown).hexdigest()

    def members(self) -> list[int]:
        """The proxy processes that serve, found as the children of `up`'s proxy."""
        lines = subprocess.run(
            ["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        rows = [line.split(None, 2) for line in lines]
        proxies = {pid for pid, parent, _ in rows if parent == str(self.pid)}
        return [int(pid) for pid, parent, args in rows if parent in proxies and " proxy" in args]


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def test_a_cancel_finds_the_session_whichever_process_it_reaches(services: Services) -> None:
    """The kernel deals connections out, so of ten cancels some reach the other process."""
    assert len(services.members()) == 2
    with ExitStack() as stack:
        sessions = [stack.enter_context(services.connect()) for _ in range(10)]
        outcomes: list[str | None] = []

        def sleep(session: psycopg.Connection[tuple[object, ...]]) -> None:
            try:
                session.execute("select pg_sleep(60)")
                outcomes.append(None)
            except psycopg.Error as error:
                outcomes.append(error.sqlstate)

        threads = [threading.Thread(target=sleep, args=[session]) for session in sessions]
        for thread in threads:
            thread.start()
        with services.connect() as watching:
            wait_for(
                lambda: (
                    watching.execute(
                        "select count(*) = 10 from pg_stat_activity"
                        " where query = 'select pg_sleep(60)' and state = 'active'"
                    ).fetchone()
                    == (True,)
                )
            )
        for session in sessions:
            session.cancel_safe(timeout=10)
        for thread in threads:
            thread.join(20)
        assert outcomes == ["57014"] * 10
        assert [s.execute("select 1").fetchone() for s in sessions] == [(1,)] * 10


def test_a_renewed_certificate_is_taken_up_by_all_processes_on_sighup(services: Services) -> None:
    before = services.certificate()
    with services.connect() as session:
        renewed = services.authority.sign("renewed")
        shutil.copy(renewed.certificate, services.authority.files.certificate)
        shutil.copy(renewed.key, services.authority.files.key)
        assert services.certificate() == before
        os.kill(services.pid, signal.SIGHUP)
        wait_for(lambda: before not in {services.certificate() for _ in range(8)})
        assert session.execute("select 1").fetchone() == (1,)
    kept = services.certificate()
    services.authority.files.key.write_text("not a key")
    os.kill(services.pid, signal.SIGHUP)
    assert {services.certificate() for _ in range(8)} == {kept}


def test_a_killed_process_is_replaced_and_the_others_sessions_go_on(services: Services) -> None:
    shutil.copy(services.authority.directory / "renewed.key", services.authority.files.key)
    with ExitStack() as stack:
        sessions = [stack.enter_context(services.connect()) for _ in range(10)]
        victim = services.members()[0]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: len(services.members()) == 2 and victim not in services.members())
        answers = []
        for session in sessions:
            try:
                answers.append(session.execute("select 1").fetchone())
            except psycopg.OperationalError:
                answers.append(None)
        assert set(answers) == {(1,), None}
    wait_for(lambda: all(_answers(services) for _ in range(8)))


def _answers(services: Services) -> bool:
    try:
        with services.connect() as session:
            return session.execute("select 1").fetchone() == (1,)
    except psycopg.OperationalError:  # the new process does not listen yet
        return False
