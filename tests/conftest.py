"""One temporary Postgres per test process; a fresh database per test."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import uuid4

import pytest
from recorded import Recorded, unchecked

from backfill.jobs import apply_job_schema
from schema.loader import load_catalog
from sqlsync.database import connect, connect_engine, sql
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.migrations import migrate
from sqlsync.mirror.install import install
from sqlsync.simulators.recording import VARIABLE

TEMPLATE = "sqlsync_template"


@pytest.fixture(scope="session", autouse=True)
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """What all simulated services are asked, those in processes of their own included."""
    for name in unchecked():
        warnings.warn(f"NOT CHECKED: requests against {name}, which is not there", stacklevel=1)
    found = Recorded(tmp_path_factory.mktemp("requests") / "requests.jsonl")
    os.environ[VARIABLE] = str(found.file)
    yield found
    wrong = found.problems()
    assert not wrong, "\n".join(wrong)


@pytest.fixture(autouse=True)
def requests_fit_the_references(recorded: Recorded) -> Iterator[None]:
    """Whatever our adapters ask of a simulated service is as the vendors' own files say.

    Those lie beside the project; without them nothing is checked, and a warning says so.
    """
    yield
    wrong = recorded.problems()
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """A server of this test process' own; gone at the end."""
    with EmbeddedPostgres.temporary() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: EmbeddedPostgres) -> str:
    """URL of the superuser, database postgres."""
    return postgres_server.url()


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A fresh, empty database."""
    yield from _database(postgres_server)


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    """Name of a database with all migrations, to be copied."""
    with connect(postgres_server.url()) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(TEMPLATE)))
    migrate(postgres_server.url(TEMPLATE))
    return TEMPLATE


@pytest.fixture
def migrated_url(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """A fresh database with all migrations applied."""
    yield from _database(postgres_server, template=migrated_template)


@pytest.fixture(scope="session")
def quickbooks_template(postgres_server: EmbeddedPostgres, migrated_template: str) -> str:
    """Name of a database with all tables of a connection `books`; its company is still open."""
    return _installed(postgres_server, migrated_template, "quickbooks", "books")


@pytest.fixture
def quickbooks_url(postgres_server: EmbeddedPostgres, quickbooks_template: str) -> Iterator[str]:
    """A fresh database to which a QuickBooks company can be connected as `books`."""
    yield from _database(postgres_server, template=quickbooks_template)


@pytest.fixture(scope="session")
def xero_template(postgres_server: EmbeddedPostgres, migrated_template: str) -> str:
    """Name of a database with all tables of a connection `kestrel`, still without organisation."""
    return _installed(postgres_server, migrated_template, "xero", "kestrel")


@pytest.fixture
def xero_url(postgres_server: EmbeddedPostgres, xero_template: str) -> Iterator[str]:
    """A fresh database to which a Xero organisation can be connected as `kestrel`."""
    yield from _database(postgres_server, template=xero_template)


@pytest.fixture(scope="session")
def database_copies(
    postgres_server: EmbeddedPostgres,
) -> Callable[[str], AbstractContextManager[str]]:
    """Gives a fresh copy of the database of that name, to which nobody may be connected."""
    return lambda template: contextmanager(_database)(postgres_server, template)


def _installed(server: EmbeddedPostgres, template: str, provider: str, name: str) -> str:
    """Making the tables takes far longer than copying them."""
    database = f"{provider}_template"
    with connect(server.url()) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(
                sql.Identifier(database), sql.Identifier(template)
            )
        )
    url = server.url(database)
    apply_job_schema(url)

    async def make_tables() -> None:
        async with await connect_engine(url) as session:
            cursor = await session.execute(
                "insert into sqlsync.connection (name, provider, schema_name)"
                " values (%s, %s, %s) returning id",
                [name, provider, provider],
            )
            row = await cursor.fetchone()
            assert row is not None
            await install(session, load_catalog(provider), provider, row[0])

    asyncio.run(make_tables())
    return database


def _database(server: EmbeddedPostgres, template: str = "template1") -> Iterator[str]:
    name = f"test_{uuid4().hex[:12]}"
    with connect(server.url()) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        try:
            yield server.url(name)
        finally:
            connection.execute(
                sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
            )
