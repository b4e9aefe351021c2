"""A Xero organisation kept in step by a real worker, against the adapter's own loopback service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from integration.providers.conftest import loopback
from integration.providers.test_xero import TENANT, Books

from backfill.inbox import Named, named_records
from backfill.jobs import apply_job_schema
from backfill.options import Engine, SyncOptions
from backfill.requests import request_poll
from backfill.worker import run_worker
from schema.loader import load_catalog
from sqlsync.database import EngineConnection, connect_engine, engine_pool
from sqlsync.mirror.install import install
from sqlsync.providers.connect import Connector
from sqlsync.providers.directory import App, ProviderDirectory
from sqlsync.providers.http import HttpClient
from sqlsync.settings import XeroSettings
from sqlsync.vault import Vault, new_key

CATALOG = load_catalog("xero")


@dataclass
class World:
    books: Books
    session: EngineConnection
    connection_id: int

    async def value(self, query: str) -> Any:
        row = await (await self.session.execute(query.encode())).fetchone()
        assert row is not None
        return row[0]

    async def until(self, query: str, seconds: float = 25.0) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not await self.value(query):  # noqa: ASYNC110 - Postgres has the condition
                    await asyncio.sleep(0.02)
        except TimeoutError:
            standing = await self.value(
                "select jsonb_agg(jsonb_build_array(object, state, error)) from xero._sync_cdc"
            )
            raise AssertionError(f"{query} never held: {json.dumps(standing)}") from None


@asynccontextmanager
async def world(url: str, books: Books) -> AsyncIterator[World]:
    apply_job_schema(url)
    async with (
        loopback(books) as server,
        HttpClient() as http,
        engine_pool(url, max_size=12) as pool,
        await connect_engine(url) as session,
    ):
        app = App.from_settings(
            XeroSettings.model_validate({"environment": "simulator", "api_url": server.url})
        )
        vault = Vault([new_key()])
        connected = await Connector(
            pool, vault, app.oauth(http), "xero", app.companies(http)
        ).connect_with_refresh_token(name="kestrel", company_id=TENANT, refresh_token="r")
        await install(session, CATALOG, "xero", connected.connection_id)
        catalogs = {"xero": CATALOG}
        providers = ProviderDirectory(pool, vault, catalogs, None, xero=app, http=http)
        engine = Engine(url, pool, providers, catalogs, SyncOptions(tick_seconds=0.2))
        task = asyncio.create_task(run_worker(engine))
        try:
            yield World(books, session, connected.connection_id)
        finally:
            engine.stopping.set()
            await asyncio.wait_for(task, 20)


async def test_an_organisation_is_mirrored_and_followed_and_one_missing_scope_hurts_one_table(
    migrated_url: str,
) -> None:
    books = Books()
    contact = books.add("Contacts", Name="Tui Street Café")
    books.add("Contacts", Name="Gone", ContactStatus="ARCHIVED")
    lines = [{"LineItemID": "l-1", "Description": "Blend", "Quantity": 2}]
    books.add("Invoices", Type="ACCREC", Contact={"ContactID": contact}, LineItems=lines)
    for name in ("OUTPUT2", "INPUT2"):
        books.add("TaxRates", key=name, Name=name, Status="ACTIVE")
    books.add("Payments", Amount=5, Status="AUTHORISED")
    books.no_scope = {"Payments"}
    async with world(migrated_url, books) as w:
        await w.until("select count(*) filter (where state = 'live') >= 32 from xero._sync_cdc")
        await w.until(
            "select state = 'error' and error like '%does not cover it%' from xero._sync_cdc"
            " where object = 'payment'"
        )
        assert await w.value("select count(*) from xero.contact") == 2
        assert await w.value("select quantity from xero.invoice_line_item where id = 'l-1'") == 2
        assert await w.value("select state from sqlsync.connection") == "live"

        books.touch("Contacts", contact, FirstName="Mere")
        del books.rows["TaxRates"]["INPUT2"]
        await request_poll(w.session, w.connection_id)
        await w.until("select exists (select from xero.contact where first_name = 'Mere')")
        await w.until("select array_agg(id) = '{OUTPUT2}' from xero.tax_rate")
        assert (
            await w.value(
                "select noticed_by from xero._sync_change where table_name = 'tax_rate'"
                " and operation = 'delete'"
            )
            == "poll"
        )


def test_a_delivery_of_xero_names_tenants_tables_and_ids() -> None:
    event = {
        "resourceId": "c3a5f08d-1b96-47e2-8d40-5f6b92e7a3c1",
        "tenantId": TENANT,
        "tenantType": "ORGANISATION",
        "eventCategory": "INVOICE",
        "eventType": "UPDATE",
        "eventDateUtc": "2026-10-20T03:14:07.513",
    }
    body = json.dumps({"events": [event, event]}).encode()
    found = named_records("xero", body, {"xero": CATALOG})
    assert found == [Named(TENANT, "invoice", event["resourceId"])]
    assert named_records("xero", b'{"events":[]}', {"xero": CATALOG}) == []
