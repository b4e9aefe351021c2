"""One temporary Postgres per test process; a fresh database per test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import uuid4

import pytest
import quickbooks_xsd

from sqlsync.database import connect, sql
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.migrations import migrate
from sqlsync.simulators.quickbooks.watching import WATCHERS

TEMPLATE = "sqlsync_template"


@pytest.fixture(autouse=True)
def bodies_fit_the_schemas() -> Iterator[None]:
    """Whatever our adapter writes to a simulated QuickBooks of this process fits Intuit's XSDs.

    They lie beside the project; without them nothing is checked (test_quickbooks_xsd.py says so).
    """
    if not quickbooks_xsd.is_there():
        yield
        return
    wrong: list[str] = []

    def watch(agent: str, entity: str, body: Any) -> None:
        if agent.startswith(quickbooks_xsd.OURS):
            wrong.extend(quickbooks_xsd.problems(entity, body))

    WATCHERS.append(watch)
    yield
    WATCHERS.remove(watch)
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
def database_copies(
    postgres_server: EmbeddedPostgres,
) -> Callable[[str], AbstractContextManager[str]]:
    """Gives a fresh copy of the database of that name, to which nobody may be connected."""
    return lambda template: contextmanager(_database)(postgres_server, template)


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
