"""The database of the engine: opened, brought up to date, filled with tables."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

from sqlsync.app.running import run
from sqlsync.database import EngineConnection, connect_engine
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.errors import SqlsyncError
from sqlsync.migrations import migrate
from sqlsync.settings import Settings

log = logging.getLogger(__name__)

OpenDatabase: TypeAlias = AbstractContextManager[str]
WATCH_SECONDS = 1.0
CATALOGS = ("quickbooks", "xero")  # providers whose objects we know


@contextmanager
def open_database(settings: Settings, *, prepare_embedded: bool = False) -> Iterator[str]:
    """The URL of the database: the user's, or one of our own, running for this long.

    prepare_embedded: bring our own up to date; a user's server is only changed by a command
    that says so. Raises ConfigError, DatabaseUnavailable.
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    with EmbeddedPostgres.under(settings.state_dir) as server, _kept_running(server):
        if prepare_embedded:
            prepare(server.database_url)
        yield server.database_url


@contextmanager
def _kept_running(server: EmbeddedPostgres) -> Iterator[None]:
    """Starts the server again where it ends by itself (a full disk), until the block ends."""
    done = threading.Event()

    def watch() -> None:
        said = ""
        while not done.wait(WATCH_SECONDS):
            try:
                if server.revive():
                    log.warning("the embedded Postgres had ended and was started again")
                said = ""
            except SqlsyncError as error:
                if str(error) != said:  # once for each reason: it is tried every second
                    said = str(error)
                    log.error("%s It is tried again.", said)

    watching = threading.Thread(target=watch, name="embedded Postgres", daemon=True)
    watching.start()
    try:
        yield
    finally:
        done.set()
        watching.join()


def prepare(url: str) -> list[str]:
    """Brings the database up to this version: control tables, job queue, connections' tables.

    Returns what was new, in words. May be repeated; raises ConfigError, DatabaseUnavailable.
    """
    return [*migrate(url), *after_migrations(url)]


def after_migrations(url: str) -> list[str]:
    """What rooms keep in the database besides our own migrations."""
    from backfill.jobs import apply_job_schema

    apply_job_schema(url)
    return run(_install_all(url))


async def _install_all(url: str) -> list[str]:
    """A new version's catalog may have more tables and columns than those there are."""
    done = []
    async with await connect_engine(url) as connection:
        rows = await connection.execute("select name from sqlsync.connection order by id")
        for (name,) in await rows.fetchall():
            done += await install_tables(connection, name)
    return done


async def install_tables(connection: EngineConnection, name: str) -> list[str]:
    """Makes the tables of a connection, or what they lack; returns that in words."""
    from schema.loader import load_catalog
    from sqlsync.mirror.install import install

    row = await (
        await connection.execute(
            "select id, provider, schema_name from sqlsync.connection where name = %s", [name]
        )
    ).fetchone()
    if row is None or row[1] not in CATALOGS:
        return []
    connection_id, provider, schema_name = row
    report = await install(connection, load_catalog(provider), schema_name, connection_id)
    for warning in report.warnings:
        log.warning("%s", warning)
    return [
        *(f"table {schema_name}.{table}" for table in report.tables_made),
        *(f"column {schema_name}.{column}" for column in report.columns_added),
    ]
