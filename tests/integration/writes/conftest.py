"""A mirror in real Postgres and books in memory, for what an engine does at its edges.

The books keep the promises of `sqlsync.providers.base.Provider` and nothing of QuickBooks'
arithmetic; `test_engine_quickbooks` has the adapter and the simulator, over HTTP.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from schema.loader import load_catalog
from schema.model import Catalog, ObjectSpec
from schema.rows import record_row
from sqlsync.database import (
    AsyncConnection,
    EnginePool,
    connect,
    connect_engine,
    engine_pool,
    sql,
)
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.errors import DuplicateValue, NotFound, OutcomeUnknown, StaleVersion, Unreachable
from sqlsync.mirror.install import install
from sqlsync.providers.base import Call, Outcome, Record, Step, StepKind, Tombstone
from sqlsync.writes.engine import WriteEngine
from sqlsync.writes.sending import Patience
from sqlsync.writes.values import decode, encode, merge

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/company_world.py
from company_world import Company, connected_company
from engine_client import Client
from xero_company import Company as XeroCompany
from xero_company import Standing, company_of, standing_at

SCHEMA = "quickbooks"
BRISK = Patience(
    doubt=0.4,
    first_pause=0.02,
    longest_pause=0.1,
    transaction=0.5,
    recovery=0.03,
    longest_recovery=0.2,
)


class Books:
    """An accounting system that does what it promises: versions, and one effect per key."""

    batch_limit = 3

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.records: dict[tuple[str, str], dict[str, Any]] = {}
        self.effects: list[tuple[str, str, str]] = []  # (kind, table, id): what really happened
        self.calls: list[Call] = []
        self.lose_answers = 0  # of the next calls: done, but no answer comes
        self.lose_requests = 0  # no answer either, and not done
        self.down = False
        self.next_id = 100
        self._answers: dict[str, list[Outcome]] = {}
        self.gate: asyncio.Event | None = None  # a call waits for it, once it has gone out

    def put(self, table: str, **members: Any) -> bytes:
        """A record somebody else made or changed."""
        record = self.records.setdefault((table, members["Id"]), {"SyncToken": "-1"})
        merge(record, members)
        self._saved(record)
        return encode(record)

    async def fetch(self, spec: ObjectSpec, record_id: str) -> Record | None:
        if self.down:
            raise Unreachable("[QuickBooks] QuickBooks is not available (503).")
        record = self.records.get((spec.table, record_id))
        return None if record is None else _record(spec, record)

    async def send(self, call: Call) -> list[Outcome]:
        assert len(call.key) <= 36
        assert len(call.steps) <= self.batch_limit
        if self.down:
            raise Unreachable("[QuickBooks] QuickBooks is not available (503).")
        self.calls.append(call)
        if self.gate is not None:
            await self.gate.wait()
        if self.lose_requests:
            self.lose_requests -= 1
            raise OutcomeUnknown("[QuickBooks] no answer came")
        if call.key not in self._answers:
            self._answers[call.key] = [self._carry_out(step) for step in call.steps]
        if self.lose_answers:
            self.lose_answers -= 1
            raise OutcomeUnknown("[QuickBooks] no answer came")
        return self._answers[call.key]

    def _carry_out(self, step: Step) -> Outcome:
        spec = step.spec
        name = step.fields.get("DisplayName")
        if name is not None and any(
            r.get("DisplayName") == name and r["Id"] != step.id for r in self.records.values()
        ):
            return DuplicateValue(f"[QuickBooks] {spec.title}: The name is used", code="6240")
        if step.kind is StepKind.CREATE:
            record: dict[str, Any] = {"Id": str(self.next_id), "SyncToken": "-1", "Active": True}
            self.next_id += 1
            self.records[spec.table, record["Id"]] = record
        else:
            assert step.id is not None
            assert step.base is not None
            found = self.records.get((spec.table, step.id))
            if found is None:
                return NotFound(f"[QuickBooks] {spec.title} `{step.id}` not found", code="610")
            if decode(step.base)["SyncToken"] != found["SyncToken"]:
                return StaleVersion(f"[QuickBooks] {spec.title} `{step.id}`: stale", code="5010")
            record = found
        self.effects.append((step.kind.value, spec.table, record["Id"]))
        if step.kind is StepKind.DELETE:
            del self.records[spec.table, record["Id"]]
            return Tombstone(spec.table, record["Id"])
        merge(record, step.fields)
        if step.kind in (StepKind.DEACTIVATE, StepKind.REACTIVATE):
            record["Active"] = step.kind is StepKind.REACTIVATE
        for number, line in enumerate(record.get("Line", []), start=1):
            line.setdefault("Id", str(1000 + number))
        self._saved(record)
        return _record(spec, record)

    def _saved(self, record: dict[str, Any]) -> None:
        record["SyncToken"] = str(int(record["SyncToken"]) + 1)
        record["MetaData"] = {"LastUpdatedTime": "2026-03-02T09:15:40-08:00"}


def _record(spec: ObjectSpec, record: dict[str, Any]) -> Record:
    return Record(spec.table, record["Id"], encode(record), record["SyncToken"])


@dataclass
class World:
    """Books, a mirror of them, and as many engines and clients as a test wants."""

    url: str
    pool: EnginePool
    books: Books
    catalog: Catalog
    make_engine: Callable[..., Awaitable[WriteEngine]]
    make_client: Callable[..., Awaitable[Client]]

    async def for_schema(self, schema_name: str) -> Books:
        return self.books

    async def for_connection(self, connection_id: int) -> Books:
        return self.books

    async def mirrored(self, table: str, **members: Any) -> None:
        """A record that books and mirror both hold."""
        raw = self.books.put(table, **members)
        spec = self.catalog.by_table[table]
        payload = {
            "schema": SCHEMA,
            "upserts": [{"table": table, "version": "sync_token", "rows": [record_row(spec, raw)]}],
        }
        await self.query("select sqlsync.apply_rows(%s::jsonb)", encode(payload).decode())

    async def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement.encode(), parameters or None)
            return await cursor.fetchall() if cursor.description else []

    async def value(self, statement: str, *parameters: Any) -> Any:
        rows = await self.query(statement, *parameters)
        return rows[0][0] if rows else None

    async def states(self) -> list[str]:
        rows = await self.query("select state from sqlsync.journal order by created_at, seq")
        return [row[0] for row in rows]

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 - the condition is in Postgres
                await asyncio.sleep(0.01)

    async def until_states(self, *states: str) -> None:
        try:
            await self.until(lambda: self._are(list(states)))
        except TimeoutError:
            rows = await self.query("select state, kind, error from sqlsync.journal order by seq")
            raise AssertionError(f"wanted {states}, journal is {rows}") from None

    async def _are(self, states: Sequence[str]) -> bool:
        return await self.states() == list(states)

    async def until_value(self, wanted: Any, statement: str, *parameters: Any) -> None:
        async def equal() -> bool:
            return bool(await self.value(statement, *parameters) == wanted)

        try:
            await self.until(equal)
        except TimeoutError:
            found = await self.value(statement, *parameters)
            raise AssertionError(f"wanted {wanted!r}, found {found!r}") from None


@pytest.fixture(scope="session")
def books_database(postgres_server: EmbeddedPostgres, migrated_template: str) -> str:
    """URL of a database with a connection `quickbooks` and all its tables, for all tests here."""
    with connect(postgres_server.url()) as connection:
        connection.execute(
            sql.SQL("create database writes_tests template {}").format(
                sql.Identifier(migrated_template)
            )
        )
    url = postgres_server.url("writes_tests")

    async def fill() -> None:
        connection = await connect_engine(url)
        cursor = await connection.execute(
            "insert into sqlsync.connection (name, provider, schema_name, company_id, state)"
            " values ('books', 'quickbooks', %s, '1', 'live') returning id",
            [SCHEMA],
        )
        (connection_id,) = await cursor.fetchone()  # type: ignore[misc]
        await install(connection, load_catalog("quickbooks"), SCHEMA, connection_id)
        await connection.close()

    asyncio.run(fill())
    return url


@pytest.fixture
def books_url(books_database: str) -> str:
    """The same database, emptied."""
    tables = [f"{SCHEMA}.{table}" for table in load_catalog("quickbooks").by_any_table]
    with connect(books_database) as connection:
        connection.execute("set role sqlsync_engine")
        for table in [*tables, "sqlsync.journal", "sqlsync.marker"]:
            connection.execute(f"delete from {table}".encode())
    return books_database


@pytest.fixture
async def world(books_url: str) -> AsyncIterator[World]:
    """A mirror with Acme in it, and the books that hold her."""
    catalog = load_catalog("quickbooks")
    engines: list[WriteEngine] = []
    sessions: list[AsyncConnection[Any]] = []
    async with engine_pool(books_url, min_size=1, max_size=6) as pool:

        async def make_engine(patience: Patience = BRISK, **options: Any) -> WriteEngine:
            engine = WriteEngine(pool, found, patience=patience, **options)  # type: ignore[arg-type]
            await engine.start()
            engines.append(engine)
            return engine

        async def make_client(engine: WriteEngine | None = None) -> Client:
            session = await connect_engine(books_url)
            sessions.append(session)
            return Client(engine or await make_engine(), session, catalog)

        found = World(books_url, pool, Books(catalog), catalog, make_engine, make_client)
        await found.mirrored(
            "customer", Id="12", DisplayName="Acme", Active=True, Notes="old", Title="Mr"
        )
        try:
            yield found
        finally:
            for session in sessions:
                await session.close()
            for engine in engines:
                await engine.close()


@pytest.fixture
async def company(books_url: str, client_class: Any) -> AsyncIterator[Company]:
    """A simulated company over HTTP, and a client that writes to it through the engine."""
    async with connected_company(books_url, client_class) as found:
        yield found


@pytest.fixture(scope="session")
def client_class() -> type[Client]:
    """What stands for the proxy, for tests that make their own engine."""
    return Client


@pytest.fixture(scope="session")
def xero_standing(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[Standing]:
    """A simulated Xero organisation, connected to a database of its own, for all tests here."""
    with connect(postgres_server.url()) as connection:
        connection.execute(
            sql.SQL("create database xero_writes template {}").format(
                sql.Identifier(migrated_template)
            )
        )
    with standing_at(postgres_server.url("xero_writes")) as found:
        yield found


@pytest.fixture
async def xero(xero_standing: Standing, client_class: Any) -> AsyncIterator[XeroCompany]:
    """A client that writes to the organisation through an engine of its own."""
    async with company_of(xero_standing, client_class) as found:
        yield found
