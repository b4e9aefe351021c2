"""A Postgres that trusts the proxy's address keeps the proxy's listener shut."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.gate import Fetch, Login, check_gate, find_open, lets_in, logins
from proxy.upstream import Upstream
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.errors import ConfigError


def fetch_from(url: str) -> Fetch:
    async def fetch(query: str) -> Sequence[Sequence[Any]]:
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
        async with connection:
            return await (await connection.execute(query.encode())).fetchall()

    return fetch


@pytest.fixture
def trusting_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """The server with a line that lets role `guest` in without a password."""
    url = postgres_server.url()
    with psycopg.connect(url, autocommit=True) as connection:
        [(path,)] = connection.execute("show hba_file").fetchall()
        before = Path(path).read_text()
        connection.execute("create role guest login")
        Path(path).write_text("host postgres guest 127.0.0.1/32 trust\n" + before)
        connection.execute("select pg_reload_conf()")
        wait_for_line(connection, "guest")
        try:
            yield url
        finally:
            Path(path).write_text(before)
            connection.execute("select pg_reload_conf()")
            connection.execute("drop role guest")


def wait_for_line(connection: psycopg.Connection[Any], role: str) -> None:
    """The postmaster reads the file a moment after the reload was asked for."""
    url = connection.info
    for _ in range(500):
        try:
            psycopg.connect(
                host=url.host, port=url.port, user=role, dbname="postgres", password=""
            ).close()
        except psycopg.OperationalError:
            connection.execute("select pg_sleep(0.02)")
        else:
            return
    raise AssertionError("the new line did not take effect in time")


async def test_a_server_that_asks_for_passwords_lets_nobody_in(postgres_url: str) -> None:
    upstream = Upstream.from_url(postgres_url)
    assert not await lets_in(upstream, Login("postgres", "postgres"))
    assert not await lets_in(upstream, Login("nobody", "postgres"))
    assert not await lets_in(upstream, Login("postgres", "", is_replication=True))
    await check_gate(False, upstream, fetch_from(postgres_url))


async def test_superusers_and_our_own_database_are_tried_first(postgres_url: str) -> None:
    ways = await logins(fetch_from(postgres_url))
    assert ways[0] == Login("postgres", "postgres")
    assert Login("postgres", "", is_replication=True) in ways


async def test_a_listener_that_others_reach_does_not_open_before_a_trusting_server(
    trusting_url: str,
) -> None:
    upstream = Upstream.from_url(trusting_url)
    assert await find_open(upstream, [Login("guest", "postgres")]) is not None
    with pytest.raises(ConfigError) as caught:
        await check_gate(False, upstream, fetch_from(trusting_url))
    assert 'lets role "guest" into database "postgres"' in str(caught.value)
    assert "line 1: host postgres guest 127.0.0.1 trust" in str(caught.value)
    assert "scram-sha-256" in str(caught.value.hint)


async def test_a_listener_on_this_machine_opens_with_a_warning(
    trusting_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await check_gate(True, Upstream.from_url(trusting_url), fetch_from(trusting_url))
    assert "without a password" in caplog.text
