"""Two companies whose reports a script answers, their schemas, and workers, for tests.

The script is a real HTTP server on loopback; what it answers comes from the reference's samples
or is made for the test. Everything from the adapters to Postgres is the real thing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from integration.providers.conftest import Reply, Seen, loopback

from backfill.jobs import apply_job_schema
from backfill.options import Engine, SyncOptions
from backfill.worker import run_worker
from schema.loader import load_catalog
from schema.model import Catalog
from sqlsync.database import EngineConnection, connect_engine, engine_pool
from sqlsync.mirror.install import install
from sqlsync.providers.connect import Connector
from sqlsync.providers.directory import App, ProviderDirectory
from sqlsync.providers.http import HttpClient
from sqlsync.settings import QuickBooksSettings, XeroSettings
from sqlsync.vault import Vault, new_key

FEW = ("account", "customer", "contact", "invoice")  # tables are not what is tested


def _few(provider: str) -> Catalog:
    catalog = load_catalog(provider)
    return replace(catalog, objects=tuple(o for o in catalog.objects if o.table in FEW))


CATALOGS = {"quickbooks": _few("quickbooks"), "xero": _few("xero")}
REALM, TENANT = "9341", "8f2b6c1e-3d47-4a5e-9b0c-51a7d2e64f90"
KEY = new_key()
TIME = "2026-03-02T09:15:42.117-08:00"


def quickbooks_report(
    *rows: tuple[str, str, str],
    name: str = "ProfitAndLoss",
    start: str = "2026-01-01",
    end: str = "2026-01-31",
    basis: str = "Accrual",
    time: str = TIME,
) -> dict[str, Any]:
    """A summary report: (label, id, amount) a row, then the sum of them."""
    columns = [{"ColTitle": "", "ColType": "Account"}, {"ColTitle": "Total", "ColType": "Money"}]
    lines: list[dict[str, Any]] = [
        {"ColData": [{"value": label, "id": key}, {"value": amount}], "type": "Data"}
        for label, key, amount in rows
    ]
    total = f"{sum(float(amount) for _, _, amount in rows):.2f}"
    summary = {"ColData": [{"value": "TOTAL"}, {"value": total}]}
    lines.append({"Summary": summary, "type": "Section", "group": "GrandTotal"})
    return {
        "Header": {
            "Time": time,
            "ReportName": name,
            "ReportBasis": basis,
            "StartPeriod": start,
            "EndPeriod": end,
            "Currency": "USD",
            "Option": [{"Name": "NoReportData", "Value": "true" if not rows else "false"}],
        },
        "Columns": {"Column": columns},
        "Rows": {"Row": lines} if rows else {},
    }


def fault(code: str, detail: str, status: int = 400) -> Reply:
    error = {"Message": detail, "Detail": detail, "code": code, "element": ""}
    return Reply({"Fault": {"Error": [error], "type": "ValidationFault"}, "time": TIME}, status)


@dataclass
class Script:
    """Answers reports by endpoint; a list is given one by one, its last for ever."""

    answers: dict[str, list[Reply]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    held: asyncio.Event | None = None  # answers wait for it
    waiting: int = 0

    def will(self, endpoint: str, *replies: Reply | dict[str, Any]) -> None:
        self.answers[endpoint] = [r if isinstance(r, Reply) else Reply(r) for r in replies]

    def questions(self, endpoint: str) -> list[dict[str, str]]:
        return [query for name, query in self.asked if name == endpoint]

    async def __call__(self, seen: Seen) -> Reply:
        if seen.path.endswith(("/tokens/bearer", "/connect/token")):
            return Reply({"access_token": "a", "refresh_token": "r", "expires_in": 3600})
        if seen.path == "/connections":
            one = {"tenantId": TENANT, "tenantType": "ORGANISATION", "tenantName": "Kestrel"}
            return Reply(json.dumps([{"id": TENANT, **one}]).encode())
        place, _, endpoint = seen.path.lower().partition("/reports")
        if not place.endswith((f"/company/{REALM}", "/api.xro/2.0")):
            return Reply({"time": TIME})
        endpoint = seen.path[len(place) + len("/reports") :].strip("/")
        key = f"xero:{endpoint}" if place.endswith("2.0") else endpoint
        self.asked.append((key, seen.query))
        if self.held is not None:
            self.waiting += 1
            await self.held.wait()
        replies = self.answers.get(key)
        if not replies:
            return fault("5030", "This feature is not in the company's plan")
        return replies.pop(0) if len(replies) > 1 else replies[0]


@dataclass
class World:
    """Both schemas in one database, and what answers behind them: the script, or another."""

    url: str
    script: Script
    apps: dict[str, App]
    session: EngineConnection

    async def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return await (await self.session.execute(query.encode(), values or None)).fetchall()

    async def value(self, query: str, *values: object) -> Any:
        return (await self.rows(query, *values))[0][0]

    async def until(self, query: str, *values: object, seconds: float = 20.0) -> None:
        """Waits until the query's first value is true."""
        try:
            async with asyncio.timeout(seconds):
                while not await self.value(query, *values):  # noqa: ASYNC110 - Postgres has it
                    await asyncio.sleep(0.02)
        except TimeoutError:
            runs = "select report, parameters, state, error from {}._sync_report where not "
            runs += "(is_default and started_at is null)"
            standing = [await self.rows(runs.format(s)) for s in ("quickbooks", "xero")]
            raise AssertionError(f"never true: {query} {values}\n{standing}") from None

    async def ask(self, schema: str, report: str, **parameters: Any) -> int:
        return int(
            await self.value(
                "select sqlsync.refresh_report(%s, %s, %s)", schema, report, json.dumps(parameters)
            )
        )

    async def settled(self, schema: str, run: int) -> tuple[str, str | None]:
        """State and error of a run, when what was asked for last is done."""
        await self.until(
            f"select started_at > requested_at and state in ('ready', 'error')"
            f" from {schema}._sync_report where id = %s",
            run,
        )
        [row] = await self.rows(f"select state, error from {schema}._sync_report where id = {run}")
        return row[0], row[1]

    async def computed(self, schema: str, report: str, **parameters: Any) -> int:
        """Asks, and waits until it is stored."""
        run = await self.ask(schema, report, **parameters)
        assert await self.settled(schema, run) == ("ready", None)
        return run


@dataclass(frozen=True)
class Grant:
    """A company, and a token for it."""

    company: str
    token: str


def set_up(url: str, apps: dict[str, App] | None = None, **grants: Grant) -> None:
    """Both connections with their schemas, whose tables have nothing to read.

    apps, grants: by provider; without them the script's.
    """
    apply_job_schema(url)
    asyncio.run(_connect(url, apps, grants))


async def _connect(url: str, apps: dict[str, App] | None, grants: dict[str, Grant]) -> None:
    scripted = {"quickbooks": Grant(REALM, "r"), "xero": Grant(TENANT, "r")}
    async with loopback(Script()) as server, HttpClient() as http, engine_pool(url) as pool:
        for provider, app in (apps or apps_at(server.url)).items():
            grant = (grants or scripted)[provider]
            connector = Connector(
                pool, Vault([KEY]), app.oauth(http), provider, app.companies(http)
            )
            connected = await connector.connect_with_refresh_token(
                name=f"the {provider}",
                schema_name=provider,
                company_id=grant.company,
                refresh_token=grant.token,
            )
            async with pool.connection() as session:
                await install(session, CATALOGS[provider], provider, connected.connection_id)
                await session.execute(f"update {provider}._sync_cdc set state = 'paused'".encode())


def apps_at(quickbooks: str, xero: str | None = None, **given: str) -> dict[str, App]:
    """Our apps at simulated services."""
    given = {"environment": "simulator", **given}
    return {
        "quickbooks": App.from_settings(
            QuickBooksSettings.model_validate({**given, "api_url": quickbooks})
        ),
        "xero": App.from_settings(
            XeroSettings.model_validate({**given, "api_url": xero or quickbooks})
        ),
    }


@asynccontextmanager
async def world(url: str, apps: dict[str, App] | None = None) -> AsyncIterator[World]:
    """No report is stored, and only what is asked for is computed. Without apps, the script
    answers."""
    script = Script()
    async with loopback(script) as server, await connect_engine(url) as session:
        await session.execute("update sqlsync.connection set state = 'live', state_reason = null")
        for schema in CATALOGS:
            await session.execute(
                f"delete from {schema}._sync_report where not is_default;"
                f" update {schema}._sync_report set state = 'pending', fetched_at = null,"
                " started_at = null, requested_at = null, next_run_at = null, error = null,"
                " failures = 0, scheduled = true".encode()
            )
        yield World(url, script, apps or apps_at(server.url), session)


@asynccontextmanager
async def working(world: World, **options: Any) -> AsyncIterator[Engine]:
    """A worker in this process, stopped at the end."""
    given = {"tick_seconds": 0.2, "reports": False, "report_jobs": 4, **options}
    async with engine_pool(world.url, max_size=12) as pool:
        providers = ProviderDirectory(
            pool, Vault([KEY]), CATALOGS, world.apps["quickbooks"], xero=world.apps["xero"]
        )
        engine = Engine(world.url, pool, providers, CATALOGS, SyncOptions(**given))
        task = asyncio.create_task(run_worker(engine))
        try:
            yield engine
        finally:
            engine.stopping.set()
            await asyncio.wait_for(task, 20)
            await providers.close()
