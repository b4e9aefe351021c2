"""The one door to Postgres for the engine: connections, pools and their errors.

Every engine connection acts as `sqlsync_engine`, the role that owns the mirror. Other rooms
take their driver types, SQL composition and error classes from here, so that the driver is
named in one place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg import AsyncConnection, AsyncCursor, Connection, errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow, class_row, dict_row, scalar_row, tuple_row
from psycopg.types.json import Json, Jsonb
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from sqlsync.errors import ConfigError, DatabaseUnavailable

__all__ = [
    "RECONNECT_SECONDS",
    "AsyncConnection",
    "AsyncConnectionPool",
    "AsyncCursor",
    "Connection",
    "EngineConnection",
    "EnginePool",
    "Json",
    "Jsonb",
    "PoolClosed",
    "PoolTimeout",
    "TupleRow",
    "class_row",
    "connect",
    "connect_engine",
    "conninfo_to_dict",
    "dict_row",
    "engine_pool",
    "ensure_database",
    "errors",
    "make_conninfo",
    "query_value",
    "safe_url",
    "scalar_row",
    "sql",
    "translated",
    "tuple_row",
]

EngineConnection: TypeAlias = AsyncConnection[TupleRow]
EnginePool: TypeAlias = AsyncConnectionPool[EngineConnection]

ENGINE_ROLE = "sqlsync_engine"
OLDEST_SERVER = 15
CONNECT_SECONDS = 10
# A pool tries a lost connection again after 1, 2, 4 … 64 seconds and so would still wait when
# the server is long back. After so many it gives it up, and whoever asks next tries at once.
RECONNECT_SECONDS = 2.0


def connect(
    url: str, *, timeout_seconds: int = CONNECT_SECONDS, autocommit: bool = True
) -> Connection[TupleRow]:
    """A plain connection as the user of `url`, for set-up work. Not the engine's role.

    Raises ConfigError (wrong password, no such user or database, malformed URL, server too
    old) or DatabaseUnavailable (nobody answers).
    """
    with translated(url):
        connection = psycopg.connect(
            url,
            autocommit=autocommit,
            connect_timeout=timeout_seconds,
            application_name="sqlsync",
        )
    _check_version(connection.info.server_version, url, connection.close)
    return connection


async def connect_engine(url: str, *, application_name: str = "sqlsync") -> EngineConnection:
    """A connection of its own that acts as the engine, in autocommit. Raises as `connect`."""
    with translated(url):
        connection = await AsyncConnection.connect(
            url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name=application_name,
        )
    try:
        await become_engine(connection)
    except BaseException:
        await connection.close()
        raise
    return connection


def engine_pool(
    url: str,
    *,
    min_size: int = 1,
    max_size: int = 8,
    application_name: str = "sqlsync",
) -> EnginePool:
    """A pool of engine connections in autocommit, not yet open: `async with engine_pool(…)`.

    A caller that needs a transaction opens one with `connection.transaction()`.
    """
    return AsyncConnectionPool(
        url,
        min_size=min_size,
        max_size=max_size,
        open=False,
        configure=become_engine,
        reset=None,
        check=AsyncConnectionPool.check_connection,
        reconnect_timeout=RECONNECT_SECONDS,
        kwargs={
            "autocommit": True,
            "connect_timeout": CONNECT_SECONDS,
            "application_name": application_name,
        },
    )


async def become_engine(connection: EngineConnection) -> None:
    """Makes the session the engine's: role sqlsync_engine, durable commits, triggers asleep.

    A commit of the engine goes before a call (the journal, a rotated token), so it must survive
    a crash even where the database trades that for speed. The capture triggers would only cost
    the worker time: what it writes came from the provider. Where the login user may not silence
    them, they fire and find no rehearsal.
    """
    await connection.execute(
        "select set_config('synchronous_commit', 'on', false)"
        " where current_setting('synchronous_commit') = 'off'"
    )
    try:
        await connection.execute("set session_replication_role = replica")
    except errors.InsufficientPrivilege:
        pass
    try:
        await connection.execute(f"set role {ENGINE_ROLE}")
    except (errors.UndefinedObject, errors.InvalidParameterValue) as error:
        raise ConfigError(
            "The database is not set up for sqlsync.", hint="Run: sqlsync migrate"
        ) from error
    except errors.InsufficientPrivilege as error:
        raise ConfigError(
            f"The user {connection.info.user} of database_url is not a member of {ENGINE_ROLE}.",
            hint=f"As a superuser: grant {ENGINE_ROLE} to {connection.info.user}",
        ) from error


def query_value(url: str, query: str, *, timeout_seconds: int = CONNECT_SECONDS) -> Any:
    """The first value of a query's first row, over a connection of its own. Raises as `connect`."""
    with connect(url, timeout_seconds=timeout_seconds) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def ensure_database(url: str, name: str) -> None:
    """Makes the database unless it is there. Raises as `connect`."""
    with connect(url) as connection:
        found = connection.execute("select 1 from pg_database where datname = %s", [name])
        if found.fetchone() is None:
            try:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            except (errors.DuplicateDatabase, errors.UniqueViolation):
                pass  # another process was faster


def safe_url(url: str) -> str:
    """Where a URL leads, without its password: for messages and logs."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "database_url"
    host = str(parts.get("host") or "localhost")
    port = str(parts.get("port") or 5432)
    return f"{parts.get('user') or ''}@{host}:{port}/{parts.get('dbname') or ''}"


# libpq gives no SQLSTATE for a connection that was refused, only the server's words.
_CONFIGURATION = re.compile(
    r"(password authentication failed|no password supplied|role \"[^\"]*\" does not exist"
    r"|database \"[^\"]*\" does not exist|is not permitted to log in|no pg_hba\.conf entry"
    r"|permission denied for database|could not translate host name|root certificate"
    r"|certificate verify failed|server does not support SSL)"
)


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turns the driver's complaints about a connection into ours, in one line."""
    try:
        yield
    except psycopg.ProgrammingError as error:
        raise ConfigError(
            f"database_url is not a Postgres URL: {_one_line(error)}",
            hint="It looks like postgresql://user:password@host:5432/database",
        ) from error
    except psycopg.OperationalError as error:
        words = _one_line(error)
        found = _CONFIGURATION.search(words)
        if found:
            raise ConfigError(
                f"Postgres at {safe_url(url)} refused the connection: {words}",
                hint="Check database_url.",
            ) from error
        raise DatabaseUnavailable(
            f"Postgres at {safe_url(url)} cannot be reached: {words}",
            hint="Check that it runs, and database_url.",
        ) from error


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text.removeprefix("connection failed: ")


def _check_version(version: int, url: str, close: Any) -> None:
    if version < OLDEST_SERVER * 10000:
        close()
        raise ConfigError(
            f"Postgres at {safe_url(url)} is version {version // 10000};"
            f" sqlsync needs {OLDEST_SERVER} or newer."
        )
