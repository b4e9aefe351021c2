"""kill -9 while writing to Xero: afterwards exactly one effect there, or none.

Xero has no versions and forgets keys after minutes, so what a lost write has done is looked for.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import schema
from sqlsync.database import EnginePool, connect, engine_pool, sql
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.providers.directory import ProviderDirectory
from sqlsync.vault import Vault
from sqlsync.writes.engine import WriteEngine
from sqlsync.writes.payload import Payload
from sqlsync.writes.sending import Patience

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/xero_world.py
from xero_company import Standing, standing_at
from xero_reading import single
from xero_world import CATALOG, CATALOGS, KEY, SCHEMA, app_of

CHILD = Path(__file__).with_name("writing_child.py")
BRISK = Patience(doubt=0.3, first_pause=0.05, transaction=1.0, recovery=0.05, longest_recovery=0.5)


@dataclass
class Town:
    """An organisation, a mirror of one of its invoices, and children that write and die."""

    standing: Standing
    pool: EnginePool
    directory: ProviderDirectory
    invoice: str

    async def child(self, point: str, operation: str, table: str, **more: Any) -> None:
        """Lets a child write until it is at `point`, and kills it there."""
        order = {
            "url": self.standing.url,
            "api": self.standing.sim.base_url,
            "key": KEY,
            "provider": "xero",
            "point": point,
            "operation": operation,
            "table": table,
            "id": self.invoice,
            **more,
        }
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            str(CHILD),
            json.dumps(order),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(schema.__file__).parent.parent)},
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

    async def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement.encode(), parameters or None)
            return await cursor.fetchall() if cursor.description else []

    async def recovered(self, *states: str) -> None:
        """A new engine starts and brings the journal to `states`."""
        engine = WriteEngine(self.pool, self.directory, patience=BRISK)
        await engine.start()
        try:
            async with asyncio.timeout(20):
                while await self.states() != list(states):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await asyncio.wait_for(engine._mirroring.idle(), 5)
        except TimeoutError:
            pytest.fail(str(await self.rows("select state, kind, error from sqlsync.journal")))
        finally:
            await engine.close()

    async def states(self) -> list[str]:
        return [s for (s,) in await self.rows("select state from sqlsync.journal order by seq")]

    def held(self, member: str) -> Any:
        record = self.standing.sim.record("invoice", self.invoice)
        assert record is not None
        return record[member]

    def made(self, name: str) -> list[dict[str, Any]]:
        return [c for c in self.standing.sim.records("contact") if c["Name"] == name]


@pytest.fixture(scope="module")
def standing(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[Standing]:
    with connect(postgres_server.url()) as connection:
        connection.execute(
            sql.SQL("create database xero_crashes template {}").format(
                sql.Identifier(migrated_template)
            )
        )
    with standing_at(postgres_server.url("xero_crashes")) as found:
        yield found


@pytest.fixture
async def town(standing: Standing) -> AsyncIterator[Town]:
    async with engine_pool(standing.url, max_size=6) as pool:
        directory = ProviderDirectory(pool, Vault([KEY]), CATALOGS, None, xero=app_of(standing.sim))
        invoice = standing.refs.document("ACCREC")["InvoiceID"]
        raw = single(standing.sim, "invoice", invoice)
        assert raw is not None
        payload = Payload(SCHEMA, upserts=[(CATALOG.by_table["invoice"], raw)]).to_json().decode()
        found = Town(standing, pool, directory, invoice)
        for table in ("sqlsync.journal", "sqlsync.marker"):
            await found.rows(f"delete from {table}")
        await found.rows("select sqlsync.apply_rows(%s::jsonb)", payload)
        standing.sim.reset()
        try:
            yield found
        finally:
            await directory.close()
            standing.sim.reset()


@pytest.mark.parametrize(
    ("point", "state", "reference"),
    [
        ("planned", "dropped", ""),
        ("done", "undone", ""),
        ("committed", "mirrored", "mine"),
        ("undo decided", "undone", ""),
    ],
)
async def test_an_update_killed_is_done_once_or_not_at_all(
    town: Town, point: str, state: str, reference: str
) -> None:
    await town.child(point, "update", "invoice", columns={"reference": "mine"})
    await town.recovered(state)
    assert town.held("Reference") == reference
    [(mirrored,)] = await town.rows(
        f"select coalesce(reference, '') from {SCHEMA}.invoice where id = %s", town.invoice
    )
    assert mirrored == reference


@pytest.mark.parametrize(("point", "state"), [("done", "undone"), ("committed", "mirrored")])
async def test_an_insert_killed_is_done_once_or_archived(
    town: Town, point: str, state: str
) -> None:
    name = town.standing.refs.new("Crash")
    await town.child(point, "insert", "contact", rows=[{"name": name}])
    await town.recovered(state)
    [contact] = town.made(name)
    assert contact["ContactStatus"] == ("ACTIVE" if state == "mirrored" else "ARCHIVED")


async def test_an_insert_in_doubt_when_its_writer_died_is_found_and_taken_back(town: Town) -> None:
    name = town.standing.refs.new("Doubt")
    town.standing.sim.trouble("drop", entity="contact", operation="create", times=60)
    # Nor can be looked what came of it.
    town.standing.sim.trouble("status", entity="contact", operation="query", times=60)
    await town.child("in doubt", "insert", "contact", rows=[{"name": name}])
    assert await town.states() == ["in_doubt"]
    town.standing.sim.reset()  # and with it the keys: by now they would be forgotten
    await town.recovered("undone")
    [contact] = town.made(name)
    assert contact["ContactStatus"] == "ARCHIVED"


@pytest.mark.parametrize(
    ("point", "state", "status"),
    [("applied", "dropped", "AUTHORISED"), ("deferred sent", "mirrored", "VOIDED")],
)
async def test_a_status_that_waits_for_commit_is_set_once_or_never(
    town: Town, point: str, state: str, status: str
) -> None:
    await town.child(point, "update", "invoice", columns={"status": "VOIDED"})
    await town.recovered(state)
    assert town.held("Status") == status
    [(mirrored,)] = await town.rows(
        f"select status from {SCHEMA}.invoice where id = %s", town.invoice
    )
    assert mirrored == status
