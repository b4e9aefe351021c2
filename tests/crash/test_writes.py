"""kill -9 at each journal state: afterwards exactly one effect at the provider, or none."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import schema
from schema.loader import load_catalog
from schema.rows import record_row
from sqlsync.database import EnginePool, connect, connect_engine, engine_pool, sql
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.mirror.install import install
from sqlsync.providers.connect import Connector
from sqlsync.providers.directory import App, ProviderDirectory
from sqlsync.providers.endpoints import quickbooks_endpoints
from sqlsync.providers.http import HttpClient
from sqlsync.providers.limits import SIMULATOR_BUDGET
from sqlsync.providers.oauth import OAuthClient
from sqlsync.simulators.quickbooks.app import create_app
from sqlsync.simulators.quickbooks.service import CompanySpec
from sqlsync.simulators.server import HttpServer
from sqlsync.vault import Vault, new_key
from sqlsync.writes.engine import WriteEngine
from sqlsync.writes.sending import Patience
from sqlsync.writes.values import encode

CHILD = Path(__file__).with_name("writing_child.py")
BRISK = Patience(doubt=0.3, first_pause=0.05, transaction=1.0, recovery=0.05, longest_recovery=0.5)
CATALOG = load_catalog("quickbooks")


@dataclass
class Town:
    """A simulated company over HTTP, a mirror of some of it, and what a child needs to write."""

    url: str
    pool: EnginePool
    directory: ProviderDirectory
    order: dict[str, Any]
    control: httpx.AsyncClient

    async def child(self, point: str, operation: str, table: str, **more: Any) -> None:
        """Lets a child write until it is at `point`, and kills it there."""
        order = {
            **self.order,
            "point": point,
            "operation": operation,
            "table": table,
            "id": None,
            "columns": {"notes": "mine"},
            **more,
        }
        root = str(Path(schema.__file__).parent.parent)
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            str(CHILD),
            json.dumps(order),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": root},
        )
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            line = b"?"
            while line and not line.startswith(b"at "):
                line = await asyncio.wait_for(child.stdout.readline(), 30)
            if line.decode().strip() != f"at {point}":
                child.kill()
                pytest.fail(f"{line!r} {(await child.stderr.read()).decode()[-2000:]}")
        finally:
            if child.returncode is None:
                os.kill(child.pid, signal.SIGKILL)
            await child.wait()

    async def get(self, path: str) -> Any:
        return (await self.control.get(f"/_control/{path}".rstrip("/"))).json()

    async def post(self, path: str, body: Any) -> None:
        answer = await self.control.post(f"/_control/{path}", json=body)
        assert answer.status_code == 200, answer.text

    async def effects(self) -> list[str]:
        return [write["operation"] for write in await self.get("applied")]

    async def mirror(self, table: str, record: dict[str, Any]) -> None:
        spec = CATALOG.by_table[table]
        rows = [record_row(spec, encode(record))]
        payload = {
            "schema": "quickbooks",
            "upserts": [{"table": table, "version": "sync_token", "rows": rows}],
        }
        await self.rows("select sqlsync.apply_rows(%s::jsonb)", encode(payload).decode())

    async def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement.encode(), parameters or None)
            return await cursor.fetchall() if cursor.description else []

    async def states(self) -> list[str]:
        return [s for (s,) in await self.rows("select state from sqlsync.journal order by seq")]

    async def recovered(self, *states: str) -> None:
        """A new engine starts and brings the journal to `states`."""
        engine = WriteEngine(self.pool, self.directory, patience=BRISK)
        await engine.start()
        try:
            await until(lambda: self._are(list(states)), self._journal)
            await asyncio.wait_for(engine._mirroring.idle(), 5)
        finally:
            await engine.close()

    async def _are(self, states: list[str]) -> bool:
        return await self.states() == states

    async def _journal(self) -> str:
        return str(await self.rows("select state, kind, error from sqlsync.journal order by seq"))


async def until(
    condition: Callable[[], Awaitable[bool]], tell: Callable[[], Awaitable[str]]
) -> None:
    try:
        async with asyncio.timeout(20):
            while not await condition():  # noqa: ASYNC110 - the condition is in Postgres
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(await tell())


@pytest.fixture(scope="session")
def town_database(postgres_server: EmbeddedPostgres, migrated_template: str) -> str:
    """URL of a database that all tests here share; `town` empties it."""
    with connect(postgres_server.url()) as connection:
        connection.execute(
            sql.SQL("create database crash_tests template {}").format(
                sql.Identifier(migrated_template)
            )
        )
    return postgres_server.url("crash_tests")


async def emptied(pool: EnginePool) -> None:
    async with pool.connection() as connection:
        tables = [f"quickbooks.{table}" for table in CATALOG.by_any_table]
        for table in [*tables, "sqlsync.journal", "sqlsync.marker"]:
            await connection.execute(f"delete from {table}".encode())


@pytest.fixture
async def town(town_database: str) -> AsyncIterator[Town]:
    """A company of five customers, with one customer and one invoice mirrored."""
    server = HttpServer(create_app(CompanySpec(customers=5, invoices=5)), "127.0.0.1:0")
    await server.start()
    key = new_key()
    api = f"http://{server.address}"
    endpoints = quickbooks_endpoints("simulator", api_url=api)
    async with (
        engine_pool(town_database, max_size=6) as pool,
        httpx.AsyncClient(base_url=api) as control,
    ):
        http = HttpClient()
        app = App(endpoints, "id", "secret", SIMULATOR_BUDGET)
        directory = ProviderDirectory(pool, Vault([key]), {"quickbooks": CATALOG}, app, http=http)
        order = {"url": town_database, "api": api, "key": key}
        found = Town(town_database, pool, directory, order, control)
        (company,) = (await found.get(""))["companies"]
        connected = await Connector(
            pool, Vault([key]), OAuthClient(http, endpoints, "id", "secret")
        ).connect_with_refresh_token(
            name="books",
            schema_name="quickbooks",
            company_id=company["realm_id"],
            refresh_token=company["refresh_token"],
        )
        setup = await connect_engine(town_database)
        await install(setup, CATALOG, "quickbooks", connected.connection_id)
        await setup.close()
        await emptied(pool)
        for table in ("customer", "invoice"):
            record = (await found.get(f"books/{table}"))[0]
            await found.mirror(table, record)
            order[table] = record["Id"]
        try:
            yield found
        finally:
            await http.aclose()
    await server.stop()


async def customer(town: Town) -> tuple[Any, Any]:
    """Notes of the customer at the provider and in the mirror."""
    held = await town.get(f"books/customer/{town.order['customer']}")
    ((mirrored,),) = await town.rows(
        "select notes from quickbooks.customer where id = %s", town.order["customer"]
    )
    return held.get("Notes"), mirrored


@pytest.mark.parametrize(
    ("point", "state", "effects"),
    [
        ("planned", "dropped", []),
        ("sent", "undone", ["update", "update"]),
        ("done", "undone", ["update", "update"]),
        ("acknowledged", "undone", ["update", "update"]),
        ("applied", "undone", ["update", "update"]),
        ("committed", "mirrored", ["update"]),
        ("undoing", "undone", ["update", "update"]),
        ("undo decided", "undone", ["update", "update"]),
        ("undo done", "undone", ["update", "update"]),
    ],
)
async def test_an_update_killed_at_each_state_is_done_once_or_not_at_all(
    town: Town, point: str, state: str, effects: list[str]
) -> None:
    before, _ = await customer(town)
    await town.child(point, "update", "customer", id=town.order["customer"])
    await town.recovered(state)
    held, mirrored = await customer(town)
    assert (held or None) == ("mine" if state == "mirrored" else before)
    assert (mirrored or None) == (held or None)
    assert await town.effects() == effects


@pytest.mark.parametrize(
    ("point", "state"),
    [
        ("planned", "dropped"),
        ("sent", "undone"),
        ("done", "undone"),
        ("acknowledged", "undone"),
        ("committed", "mirrored"),
    ],
)
async def test_a_batch_killed_at_each_state_is_done_once_or_not_at_all(
    town: Town, point: str, state: str
) -> None:
    names = ["Crash One", "Crash Two", "Crash Three"]
    rows = [{"display_name": name} for name in names]
    await town.child(point, "insert", "customer", rows=rows)
    await town.recovered(state, state, state)
    made = [c for c in await town.get("books/customer") if c["DisplayName"].startswith("Crash")]
    assert len(made) == (0 if point == "planned" else 3)
    assert [c["Active"] for c in made] == [state == "mirrored"] * len(made)
    rows = await town.rows(
        "select display_name, active from quickbooks.customer where display_name like 'Crash%%'"
        " order by id::int"
    )
    assert rows == [(c["DisplayName"], c["Active"]) for c in made]


async def test_a_lost_answer_and_then_a_crash_leave_nothing_in_doubt(town: Town) -> None:
    await town.post("trouble", {"kind": "drop", "times": 60, "match": {"operation": "update"}})
    await town.child("in doubt", "update", "customer", id=town.order["customer"])
    assert await town.states() == ["in_doubt"]
    await town.post("reset", {})
    before, _ = await customer(town)
    assert before == "mine"
    await town.recovered("undone")
    held, mirrored = await customer(town)
    assert (held or None) == (mirrored or None) != "mine"


async def test_a_deferred_delete_killed_before_it_was_sent_never_is(town: Town) -> None:
    await town.child("applied", "delete", "invoice", id=town.order["invoice"])
    await town.recovered("dropped")
    assert await town.effects() == []
    assert await town.rows("select count(*) from quickbooks.invoice") == [(1,)]


async def test_a_deferred_delete_killed_before_commit_is_rolled_forward(town: Town) -> None:
    await town.child("deferred sent", "delete", "invoice", id=town.order["invoice"])
    await town.recovered("mirrored")
    assert await town.effects() == ["delete"]
    assert await town.rows("select count(*) from quickbooks.invoice") == [(0,)]
    ((error,),) = await town.rows("select error from sqlsync.journal")
    assert "cannot be undone; the client's transaction did not commit" in error


async def test_two_engines_that_recover_at_once_do_it_once(town: Town) -> None:
    await town.child("acknowledged", "update", "customer", id=town.order["customer"])
    other = WriteEngine(town.pool, town.directory, patience=BRISK)
    await other.start()
    try:
        await town.recovered("undone")
    finally:
        await other.close()
    assert await town.effects() == ["update", "update"]
