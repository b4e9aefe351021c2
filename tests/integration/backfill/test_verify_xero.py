"""Two Xero organisations side by side, kept in step, compared to the field, kept apart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Any

import pytest

from backfill.connections import find_connection
from backfill.jobs import apply_job_schema
from backfill.options import Engine, SyncOptions
from backfill.requests import request_poll
from backfill.verdicts import ObjectReport
from backfill.verify import verify
from backfill.worker import run_worker
from schema.loader import load_catalog
from sqlsync.database import EngineConnection, connect_engine, engine_pool
from sqlsync.mirror.install import install
from sqlsync.providers.connect import Connector
from sqlsync.providers.directory import App, ProviderDirectory
from sqlsync.providers.http import HttpClient
from sqlsync.settings import XeroSettings
from sqlsync.simulators.testing_xero import XeroSimulator, xero_simulator
from sqlsync.vault import Vault, new_key

CATALOG = load_catalog("xero")
NAMES = ("kauri", "rimu")


@dataclass
class Pair:
    sim: XeroSimulator
    tenants: dict[str, str]
    session: EngineConnection
    engine: Engine

    async def value(self, query: str) -> Any:
        row = await (await self.session.execute(query.encode())).fetchone()
        return row[0] if row else None

    async def compared(
        self, name: str, *tables: str, repair: bool = False
    ) -> dict[str, ObjectReport]:
        async with await connect_engine(self.engine.url) as session:
            connection = await find_connection(session, name)
            assert connection is not None
            provider = await self.engine.providers.for_connection(connection.id)
            reports = await verify(
                session, connection, provider, tables=tables or None, repair=repair
            )
        return {report.table: report for report in reports}

    async def until_equal(self, name: str, *tables: str) -> None:
        found: list[Any] = []
        for _ in range(40):
            # Whoever leads may not have listened yet, so it is asked again.
            for connection_id in await self.value("select array_agg(id) from sqlsync.connection"):
                await request_poll(self.session, connection_id)
            reports = await self.compared(name, *tables)
            found = [f for report in reports.values() for f in report.faults]
            behind = sum(report.behind for report in reports.values())
            if not found and not behind:
                return
            await asyncio.sleep(0.5)
        raise AssertionError(f"{name} is never equal: {found[:5]}")


@asynccontextmanager
async def side_by_side(url: str, sim: XeroSimulator) -> AsyncIterator[Pair]:
    apply_job_schema(url)
    tenants = dict(zip(NAMES, sim.tenants, strict=True))
    async with (
        HttpClient() as http,
        engine_pool(url, max_size=12) as pool,
        await connect_engine(url) as session,
    ):
        app = App.from_settings(
            XeroSettings.model_validate({"environment": "simulator", "api_url": sim.base_url})
        )
        vault = Vault([new_key()])
        connector = Connector(pool, vault, app.oauth(http), "xero", app.companies(http))
        for name, tenant in tenants.items():
            connected = await connector.connect_with_refresh_token(
                name=name,
                schema_name=name,
                company_id=tenant,
                refresh_token=sim.refresh_tokens[tenant],
            )
            await install(session, CATALOG, name, connected.connection_id)
            # Of the second, the contacts alone: the rest would show nothing more.
            await session.execute(
                f"update {name}._sync_object set enabled = false where enabled"
                " and table_name <> 'contact' and (%s = 'rimu' or kind = 'report')".encode(),
                [name],
            )
        catalogs = {"xero": CATALOG}
        providers = ProviderDirectory(pool, vault, catalogs, None, xero=app, http=http)
        options = SyncOptions(tick_seconds=0.2, reports=False)
        engine = Engine(url, pool, providers, catalogs, options)
        task = asyncio.create_task(run_worker(engine))
        try:
            yield Pair(sim, tenants, session, engine)
        finally:
            engine.stopping.set()
            await asyncio.wait_for(task, 30)


async def live(pair: Pair) -> None:
    async with asyncio.timeout(150):
        live = "select bool_and(state = 'live') from sqlsync.connection"
        while not await pair.value(live):  # noqa: ASYNC110 - Postgres has the condition
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_two_organisations_are_equal_to_their_own_books_and_know_nothing_of_each_other(
    migrated_url: str,
) -> None:
    random = Random(7)
    with xero_simulator(customers=5, invoices=8, organisations=2) as sim:
        async with side_by_side(migrated_url, sim) as pair:
            await live(pair)
            for name in NAMES:
                reports = await pair.compared(name)
                faults = [f for report in reports.values() for f in report.faults]
                assert faults == [], name
                assert reports["contact"].compared > 0
                assert "switched off" in (reports["history_record"].skipped or "")
            contacts = {
                n: [r["ContactID"] for r in sim.records("contact", t)]
                for n, t in pair.tenants.items()
            }
            for step in range(16):
                name = random.choice(NAMES)
                other = NAMES[1 - NAMES.index(name)]
                tenant, mark = pair.tenants[name], f"of {name} {step}"
                if step % 2:
                    key = random.choice(contacts[name])
                    sim.person("contact", "update", tenant=tenant, ContactID=key, FirstName=mark)
                else:
                    sim.person("contact", "create", tenant=tenant, Name=mark)
                # An event that names a record of the other organisation as this one's.
                body = json.dumps(
                    {
                        "events": [
                            {
                                "resourceUrl": "",
                                "resourceId": random.choice(contacts[whose]),
                                "eventDateUtc": "2026-11-22T00:00:00.000",
                                "eventType": "UPDATE",
                                "eventCategory": "CONTACT",
                                "tenantId": tenant,
                                "tenantType": "ORGANISATION",
                            }
                            for whose in (name, other)
                        ],
                        "firstEventSequence": step,
                        "lastEventSequence": step,
                        "entropy": "",
                    }
                ).encode()
                await pair.session.execute(
                    "insert into sqlsync.inbox (provider, body, body_hash) values ('xero', %s, %s)",
                    [body, sha256(body).digest()],
                )
            await pair.session.execute("notify sqlsync_inbox")
            for name in NAMES:
                await pair.until_equal(name, "contact")
            for name in NAMES:
                other = NAMES[1 - NAMES.index(name)]
                for table in ("contact", "_sync_change"):
                    query = (
                        f"select count(*) from {name}.{table} t where t::text like '%of {other} %'"
                    )
                    assert await pair.value(query) == 0, (name, table)
                mine = f"select count(*) from {name}.contact t where t::text like '%of {name} %'"
                assert await pair.value(mine) > 0

            await pair.session.execute(
                "update kauri.contact set first_name = 'forged';"
                " delete from kauri.invoice_line_item where position = 1;"
                " delete from kauri.tax_rate"
            )
            damaged = ("contact", "invoice", "tax_rate")
            reports = await pair.compared("kauri", *damaged, repair=True)
            assert reports["contact"].different == len(sim.records("contact", sim.tenants[0]))
            assert reports["invoice"].different > 0
            assert reports["tax_rate"].missing > 0
            assert all(r.repaired == r.found for r in reports.values())
            await pair.until_equal("kauri", *damaged)
