"""An organisation at Xero and a client of ours that writes to it through the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import xero_reading
from xero_world import (
    CATALOG,
    CATALOGS,
    KEY,
    PER_RECORD,
    SCHEMA,
    Asked,
    app_of,
    comparable,
    connected,
    values,
    watched_xero,
)
from xero_writes import Columns, Refs

from schema.model import ObjectSpec
from schema.rows import record_row
from sqlsync.database import connect_engine, engine_pool
from sqlsync.providers.directory import ProviderDirectory
from sqlsync.simulators.testing_xero import XeroSimulator
from sqlsync.vault import Vault
from sqlsync.writes.engine import WriteEngine
from sqlsync.writes.model import Change, WriteResult
from sqlsync.writes.sending import Patience

BRISK = Patience(
    doubt=0.4,
    first_pause=0.02,
    longest_pause=0.1,
    transaction=0.5,
    recovery=0.03,
    longest_recovery=0.2,
)


@dataclass
class Standing:
    """An organisation and a database that all tests here share."""

    url: str
    sim: XeroSimulator
    asked: Asked
    refs: Refs


async def _prepare(url: str, sim: XeroSimulator) -> None:
    await connected(url, sim)
    async with await connect_engine(url) as session:
        for table in PER_RECORD:
            await session.execute("select sqlsync.enable_object('kestrel', %s)", [table])


@contextmanager
def standing_at(url: str) -> Iterator[Standing]:
    """url: a migrated database."""
    with watched_xero(customers=4, invoices=4) as (sim, _, asked):
        asyncio.run(_prepare(url, sim))
        yield Standing(url, sim, asked, Refs(sim))


@dataclass
class Company:
    """A client of ours, and the organisation as others see it."""

    sim: XeroSimulator
    refs: Refs
    asked: Asked
    client: Any

    async def mirror(self, table: str, record_id: str) -> None:
        payload = await self.client.engine.fetch_missing(SCHEMA, table, record_id)
        assert payload is not None, (table, record_id)
        await self.client.session.execute(
            "select sqlsync.apply_rows(%s::jsonb)", [payload.decode()]
        )

    async def row(self, table: str, record_id: str) -> dict[str, Any] | None:
        cursor = await self.client.session.execute(
            f'select to_jsonb(t)::text from {SCHEMA}."{table}" t where id = %s', [record_id]
        )
        found = await cursor.fetchone()
        return values(found[0]) if found else None

    async def states(self) -> list[str]:
        cursor = await self.client.session.execute(
            "select state from sqlsync.journal order by created_at, seq"
        )
        return [row[0] for row in await cursor.fetchall()]

    async def write(self, *changes: Change) -> WriteResult:
        """In a transaction of its own, committed."""
        await self.client.begin()
        result: WriteResult = await self.client.execute(*changes)
        await self.client.commit()
        return result

    async def insert(self, table: str, columns: Columns) -> str:
        change = self.client.insert(table, **columns)
        result = await self.write(change)
        return str(result.keys[table, change.new["id"]])

    async def assert_same(self, spec: ObjectSpec, record_id: str) -> None:
        """Every column of the mirrored row holds what the organisation's record says."""
        held = xero_reading.single(self.sim, spec.table, record_id)
        assert held is not None
        row = await self.row(spec.table, record_id)
        assert row is not None
        shown, wanted = comparable(row, {"raw"}), comparable(record_row(spec, held), {"raw"})
        different = {c: (shown[c], wanted[c]) for c in wanted if shown[c] != wanted[c]}
        assert not different, different


@asynccontextmanager
async def company_of(standing: Standing, client_class: Any) -> AsyncIterator[Company]:
    async with engine_pool(standing.url, max_size=6) as pool:
        async with pool.connection() as connection:
            await connection.execute("delete from sqlsync.marker")
            await connection.execute("delete from sqlsync.journal")
        providers = ProviderDirectory(pool, Vault([KEY]), CATALOGS, None, xero=app_of(standing.sim))
        engine = WriteEngine(pool, providers, patience=BRISK)
        await engine.start()
        session = await connect_engine(standing.url)
        client = client_class(engine, session, CATALOG, schema=SCHEMA)
        try:
            yield Company(standing.sim, standing.refs, standing.asked, client)
        finally:
            await session.close()
            await engine.close()
            await providers.close()
            standing.sim.reset()
