"""The door to Postgres: connections, the engine's role, clear errors."""

from __future__ import annotations

import asyncio
import socket

import pytest

from sqlsync.database import (
    PoolTimeout,
    connect,
    connect_engine,
    conninfo_to_dict,
    engine_pool,
    ensure_database,
    make_conninfo,
    query_value,
    safe_url,
)
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.errors import ConfigError, DatabaseUnavailable


async def test_an_engine_connection_acts_as_the_engine_and_skips_triggers(
    migrated_url: str,
) -> None:
    connection = await connect_engine(migrated_url)
    async with connection:
        cursor = await connection.execute(
            "select current_user, current_setting('session_replication_role')"
        )
        assert await cursor.fetchone() == ("sqlsync_engine", "replica")


async def test_a_pool_hands_out_engine_connections_in_autocommit(migrated_url: str) -> None:
    async with engine_pool(migrated_url, max_size=2) as pool, pool.connection() as connection:
        await connection.execute("create temporary table t (x int)")
        assert connection.info.transaction_status.name == "IDLE"
        cursor = await connection.execute("select current_user")
        assert await cursor.fetchone() == ("sqlsync_engine",)


async def test_what_the_engine_commits_survives_a_crash_whatever_the_database_is_set_to(
    migrated_url: str,
) -> None:
    with connect(migrated_url) as admin:
        name = admin.info.dbname
        admin.execute(f'alter database "{name}" set synchronous_commit = off'.encode())
        try:
            async with engine_pool(migrated_url) as pool, pool.connection() as connection:
                cursor = await connection.execute("show synchronous_commit")
                assert await cursor.fetchone() == ("on",)
        finally:
            admin.execute(f'alter database "{name}" reset synchronous_commit'.encode())


async def test_a_pool_survives_a_server_that_closed_its_connection(migrated_url: str) -> None:
    async with engine_pool(migrated_url, max_size=1) as pool:
        async with pool.connection() as connection:
            pid = connection.info.backend_pid
        with connect(migrated_url) as other:
            other.execute("select pg_terminate_backend(%s, 5000)", [pid])
        async with pool.connection() as connection:
            assert connection.info.backend_pid != pid


async def test_a_pool_is_back_as_soon_as_the_server_is(migrated_url: str) -> None:
    """Behind an address that refuses for a while, as a server does that is started anew."""
    port = int(conninfo_to_dict(migrated_url)["port"])

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()[1]
    server = await asyncio.start_server(accept, "127.0.0.1", address)
    async with engine_pool(make_conninfo(migrated_url, port=address), max_size=1) as pool:
        async with pool.connection() as connection:
            server.close()
            with connect(migrated_url) as admin:
                admin.execute("select pg_terminate_backend(%s)", [connection.info.backend_pid])
        away_until = asyncio.get_running_loop().time() + 3.5
        while asyncio.get_running_loop().time() < away_until:
            with pytest.raises(PoolTimeout):
                await pool.getconn(timeout=0.3)
        server = await asyncio.start_server(accept, "127.0.0.1", address)
        async with pool.connection(timeout=2.5) as connection:
            await connection.execute("select 1")
    server.close()


async def test_an_ordinary_member_of_the_role_becomes_the_engine_too(
    migrated_url: str, postgres_server: EmbeddedPostgres
) -> None:
    with connect(migrated_url) as admin:
        admin.execute("drop role if exists plain_member")
        admin.execute("create role plain_member login password 'x' in role sqlsync_engine")
    url = make_conninfo(migrated_url, user="plain_member", password="x")
    connection = await connect_engine(url)
    async with connection:
        cursor = await connection.execute(
            "select current_user, current_setting('session_replication_role')"
        )
        assert await cursor.fetchone() == ("sqlsync_engine", "origin")


async def test_a_database_that_is_not_set_up_or_a_foreign_user_is_told_so(
    migrated_url: str,
) -> None:
    with connect(migrated_url) as admin:
        admin.execute("drop role if exists stranger")
        admin.execute("create role stranger login password 'x'")
    with pytest.raises(ConfigError, match="not a member of sqlsync_engine") as caught:
        await connect_engine(make_conninfo(migrated_url, user="stranger", password="x"))
    assert "grant sqlsync_engine to stranger" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "wrong"}, "password authentication failed"),
        ({"dbname": "nowhere"}, "does not exist"),
    ],
)
def test_a_wrong_url_is_a_config_error_without_the_password(
    postgres_url: str, change: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        query_value(make_conninfo(postgres_url, **change), "select 1")
    assert "\n" not in caught.value.message
    assert "wrong" not in caught.value.message


def test_a_silent_address_is_unavailable() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(DatabaseUnavailable, match="cannot be reached") as caught:
        query_value(f"postgresql://u:secret@127.0.0.1:{port}/d", "select 1")
    assert "secret" not in str(caught.value)
    assert f"u@127.0.0.1:{port}/d" in str(caught.value)


def test_what_is_no_url_is_told_so() -> None:
    with pytest.raises(ConfigError, match="not a Postgres URL"):
        query_value("mysql://u:secret@h/d", "select 1")
    assert safe_url("mysql://u:secret@h/d") == "database_url"
    assert safe_url("postgresql://u:secret@h:1/d") == "u@h:1/d"


def test_a_database_is_made_once(postgres_server: EmbeddedPostgres) -> None:
    for _ in range(2):
        ensure_database(postgres_server.url(), 'odd "name"')
    assert query_value(postgres_server.url('odd "name"'), "select 1") == 1
    with connect(postgres_server.url()) as connection:
        connection.execute('drop database "odd ""name"""')
