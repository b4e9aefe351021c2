"""The simulated company, connected, and a client that writes to it through the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from schema.loader import load_catalog
from sqlsync.database import connect_engine, engine_pool
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

CATALOG = load_catalog("quickbooks")


@dataclass
class Company:
    """The simulated company as a person would look at it, and a client of ours."""

    control: httpx.AsyncClient
    client: Any

    async def get(self, path: str) -> Any:
        return (await self.control.get(f"/_control/{path}".rstrip("/"))).json()

    async def post(self, path: str, body: Any) -> None:
        answer = await self.control.post(f"/_control/{path}", json=body)
        assert answer.status_code == 200, answer.text

    async def fetch(self, table: str, record_id: str) -> None:
        payload = await self.client.engine.fetch_missing("quickbooks", table, record_id)
        await self.client.session.execute(
            "select sqlsync.apply_rows(%s::jsonb)", [payload.decode()]
        )

    async def column(self, table: str, column: str, record_id: str) -> Any:
        cursor = await self.client.session.execute(
            f"select {column} from quickbooks.{table} where id = %s", [record_id]
        )
        row = await cursor.fetchone()
        return row[0] if row else None

    async def states(self) -> list[str]:
        cursor = await self.client.session.execute(
            "select state from sqlsync.journal order by created_at, seq"
        )
        return [row[0] for row in await cursor.fetchall()]


@asynccontextmanager
async def connected_company(books_url: str, client_class: Any) -> AsyncIterator[Company]:
    """`books_url`: a database with a connection `quickbooks` and its tables."""
    server = HttpServer(create_app(CompanySpec(customers=5, invoices=5)), "127.0.0.1:0")
    await server.start()
    api = f"http://{server.address}"
    endpoints = quickbooks_endpoints("simulator", api_url=api)
    vault, http = Vault([new_key()]), HttpClient()
    async with (
        engine_pool(books_url, max_size=6) as pool,
        httpx.AsyncClient(base_url=api) as control,
    ):
        (known,) = (await control.get("/_control")).json()["companies"]
        async with pool.connection() as connection:
            await connection.execute(
                "update sqlsync.connection set company_id = %s", [known["realm_id"]]
            )
        await Connector(
            pool, vault, OAuthClient(http, endpoints, "id", "secret")
        ).connect_with_refresh_token(
            name="books",
            schema_name="quickbooks",
            company_id=known["realm_id"],
            refresh_token=known["refresh_token"],
        )
        app = App(endpoints, "id", "secret", SIMULATOR_BUDGET)
        directory = ProviderDirectory(pool, vault, {"quickbooks": CATALOG}, app, http=http)
        engine = WriteEngine(pool, directory)
        await engine.start()
        session = await connect_engine(books_url)
        found = Company(control, client_class(engine, session, CATALOG))
        for customer in (await found.get("books/customer"))[:2]:
            await found.fetch("customer", customer["Id"])
        try:
            yield found
        finally:
            await session.close()
            await engine.close()
            await http.aclose()
    await server.stop()
