"""Insert, read, update and delete of every Xero object, by the engine and over HTTP.

What the catalog says an object can do is done; what it says it cannot do is refused as a
read-only table, and nothing is sent. The organisation is looked at by a reading of our own.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from schema.model import DeleteMeans, ObjectSpec
from schema.rows import record_row
from sqlsync.database import connect, connect_engine, engine_pool, sql
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.errors import ReadOnlyTable
from sqlsync.providers.directory import ProviderDirectory
from sqlsync.vault import Vault
from sqlsync.writes.engine import WriteEngine
from sqlsync.writes.model import Change, WriteResult
from sqlsync.writes.payload import Payload

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/xero_world.py
import xero_reading
from xero_world import (
    CATALOG,
    CATALOGS,
    KEY,
    SCHEMA,
    Asked,
    app_of,
    comparable,
    connected,
    values,
    watched_xero,
)
from xero_writes import WRITES, Columns, Refs

from sqlsync.simulators.testing_xero import XeroSimulator


@dataclass
class Standing:
    """An organisation and a database that all tests here share."""

    url: str
    sim: XeroSimulator
    asked: Asked
    refs: Refs


@pytest.fixture(scope="module")
def standing(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[Standing]:
    with connect(postgres_server.url()) as connection:
        connection.execute(
            sql.SQL("create database xero_writes template {}").format(
                sql.Identifier(migrated_template)
            )
        )
    url = postgres_server.url("xero_writes")
    with watched_xero(customers=4, invoices=4) as (sim, _, asked):
        asyncio.run(connected(url, sim))
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


@pytest.fixture
async def company(standing: Standing, client_class: Any) -> AsyncIterator[Company]:
    async with engine_pool(standing.url, max_size=6) as pool:
        async with pool.connection() as connection:
            await connection.execute("delete from sqlsync.marker")
            await connection.execute("delete from sqlsync.journal")
        providers = ProviderDirectory(pool, Vault([KEY]), CATALOGS, None, xero=app_of(standing.sim))
        engine = WriteEngine(pool, providers)
        await engine.start()
        session = await connect_engine(standing.url)
        client = client_class(engine, session, CATALOG, schema=SCHEMA)
        try:
            yield Company(standing.sim, standing.refs, standing.asked, client)
        finally:
            await session.close()
            await engine.close()
            await providers.close()


writable = [s for s in CATALOG.objects if s.can("create")]
read_only = [s for s in CATALOG.objects if not s.can("create") and not s.can("update")]
NOT_MADE = {"overpayment", "prepayment"}  # born as bank transactions; see allocations


def test_the_table_names_every_object_that_can_be_written() -> None:
    assert set(WRITES) == {spec.table for spec in writable}
    rest = {s.table for s in CATALOG.objects} - set(WRITES) - {s.table for s in read_only}
    assert rest == NOT_MADE


@pytest.mark.parametrize("spec", writable, ids=lambda s: s.table)
async def test_an_object_is_inserted_read_updated_and_deleted(
    company: Company, spec: ObjectSpec
) -> None:
    given, changes = WRITES[spec.table][0](company.refs), WRITES[spec.table][1]
    record_id = await company.insert(spec.table, given)
    await company.assert_same(spec, record_id)

    client = company.client
    if not spec.can("update"):
        old = await client.image(spec.table, record_id)
        column = next(c for c in old if c != "id")
        await refused(company, Change(spec.table, "update", old, {**old, column: "x"}))
    elif changes:
        await company.write(await client.update(spec.table, record_id, **changes))
        await company.assert_same(spec, record_id)
        after = await client.image(spec.table, record_id)
        plain = {c: v for c, v in changes.items() if not isinstance(v, list)}
        assert {column: after[column] for column in plain} == plain

    if spec.delete_means is DeleteMeans.NONE:
        await refused(company, await client.delete(spec.table, record_id))
        return
    result = await company.write(await client.delete(spec.table, record_id))
    assert result.notices
    await client.engine._mirroring.idle()
    held = xero_reading.single(company.sim, spec.table, record_id)
    if spec.delete_means is DeleteMeans.DELETE:
        assert held is None or values(held).get("Status") == "DELETED"
        assert await company.row(spec.table, record_id) is None
    else:
        status = values(held)[spec.extra["status_member"]]
        assert status in ("DELETED", "VOIDED", "ARCHIVED")
        await company.assert_same(spec, record_id)
    assert set(await company.states()) == {"mirrored"}


@pytest.mark.parametrize("spec", read_only, ids=lambda s: s.table)
async def test_a_read_only_object_takes_no_write(company: Company, spec: ObjectSpec) -> None:
    if spec.table == "attachment":
        invoice = company.refs.document("ACCREC")["InvoiceID"]
        company.sim.call("PUT", f"/Invoices/{invoice}/Attachments/note.txt", b"hello")
    record_id, raw = min(xero_reading.listed(company.sim, spec.table).items())
    payload = Payload(SCHEMA, upserts=[(spec, raw)]).to_json().decode()
    await company.client.session.execute("select sqlsync.apply_rows(%s::jsonb)", [payload])
    await company.assert_same(spec, record_id)
    asked = len(company.asked.writes)
    old = await company.client.image(spec.table, record_id)
    column = next(c for c in old if c != "id")
    await refused(company, company.client.insert(spec.table, **{column: "x"}))
    await refused(company, Change(spec.table, "update", old, {**old, column: "x"}))
    await refused(company, Change(spec.table, "delete", old, None))
    for child in spec.children:
        row = {child.parent_column: record_id, "id": "new:1", child.fields[0].column: "x"}
        await refused(company, Change(child.table, "insert", None, row))
    assert await company.states() == []
    assert len(company.asked.writes) == asked


async def refused(company: Company, change: Change) -> None:
    await company.client.begin()
    with pytest.raises(ReadOnlyTable) as caught:
        await company.client.execute(change)
    assert caught.value.sqlstate == "55000"
    assert caught.value.message.startswith("[Xero] ")
    await company.client.rollback()
