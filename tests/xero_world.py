"""A simulated Xero organisation, a database and a worker, for tests of the whole way.

The organisation is served by a thread of its own, and each request that our adapter sends to it
is kept. What the organisation holds is read over HTTP by `xero_reading`, which shares nothing
with the adapter.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import xero_openapi
import xero_reading
from web_door import web_door

from backfill.jobs import apply_job_schema
from backfill.options import Engine, SyncOptions
from backfill.worker import run_worker
from schema.loader import load_catalog
from schema.model import ObjectSpec
from schema.rows import record_row
from sqlsync.database import EngineConnection, EnginePool, connect_engine, engine_pool
from sqlsync.mirror.install import install
from sqlsync.providers.connect import Connector
from sqlsync.providers.directory import App, ProviderDirectory
from sqlsync.providers.http import HttpClient
from sqlsync.providers.xero.webhooks import SIGNATURE_HEADER, is_signed
from sqlsync.settings import XeroSettings
from sqlsync.simulators.controlled import served
from sqlsync.simulators.testing_xero import XeroSimulator
from sqlsync.simulators.xero.app import create_app, create_service
from sqlsync.simulators.xero.options import Options
from sqlsync.simulators.xero.service import OrganisationSpec, Service
from sqlsync.vault import Vault, new_key

CATALOG = load_catalog("xero")
CATALOGS = {"xero": CATALOG}
SCHEMA = "xero"
KEY = new_key()
SIGNING_KEY = "a key for tests"
# Each costs a call per record, so they are off until somebody wants them.
PER_RECORD = ("attachment", "history_record")
# What follows other records, and moves no time of change of its own.
FOLLOWS = (
    "balances_accounts_payable_outstanding balances_accounts_payable_overdue is_customer"
    " balances_accounts_receivable_outstanding balances_accounts_receivable_overdue is_supplier"
    " contact_name contact_groups line_items bank_account_name account_name journal_lines options"
)


@dataclass
class Asked:
    """Requests of our adapter to the Accounting API, as the service got them."""

    requests: list[tuple[str, str, dict[str, str], dict[str, str], bytes]] = field(
        default_factory=list
    )

    def of(self, method: str, path: str = "") -> list[dict[str, str]]:
        """The queries of requests whose address begins so."""
        start = f"{xero_openapi.PREFIX}/{path}"
        return [q for m, p, q, _, _ in self.requests if m == method and p.startswith(start)]

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [
            (m, p.removeprefix(xero_openapi.PREFIX)) for m, p, *_ in self.requests if m != "GET"
        ]


class _Watching:
    """An application around another: keeps what our adapter asks."""

    def __init__(self, app: Any, asked: Asked) -> None:
        self.app = app
        self._asked = asked

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(xero_openapi.PREFIX):
            await self.app(scope, receive, send)
            return
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        if headers.get("user-agent") != "sqlsync":
            await self.app(scope, receive, send)
            return
        body = b""

        async def heard() -> Any:
            nonlocal body
            message = await receive()
            body += message.get("body", b"")
            return message

        query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        try:
            await self.app(scope, heard, send)
        finally:
            self._asked.requests.append((scope["method"], scope["path"], query, headers, body))


@contextmanager
def watched_xero(
    *, customers: int = 6, invoices: int = 12, seed: int = 1, **options: Any
) -> Iterator[tuple[XeroSimulator, Service, Asked]]:
    """A simulated organisation, its inside, and what our adapter asked it.

    The inside belongs to another thread: look, do not touch.
    """
    # The old expense claims have no scope of the new kind.
    given = Options(**{"broad_scopes": True, **options})
    service = create_service([OrganisationSpec(customers, invoices, seed)], given)
    asked = Asked()
    with served(_Watching(create_app(service), asked), "127.0.0.1:0") as listening:  # type: ignore[arg-type]
        yield XeroSimulator(listening, dict(service.refresh_tokens)), service, asked


def furnish(sim: XeroSimulator) -> None:
    """What a generated organisation lacks: a file, a batch, a link, a claim."""
    invoices = {i["InvoiceID"]: i for i in _listed(sim.call("GET", "/Invoices", page="1"))}
    open_bill = next(
        i for i in invoices.values() if i["Type"] == "ACCPAY" and i["Status"] == "AUTHORISED"
    )
    bank = next(a for a in _listed(sim.call("GET", "/Accounts")) if a["Type"] == "BANK")
    done = [
        sim.call("PUT", f"/Invoices/{open_bill['InvoiceID']}/Attachments/bill.pdf", b"%PDF-1.4"),
        sim.call(
            "PUT",
            "/BatchPayments",
            {
                "BatchPayments": [
                    {
                        "Account": {"AccountID": bank["AccountID"]},
                        "Date": "2026-11-20",
                        "Reference": "Friday run",
                        "Payments": [
                            {"Invoice": {"InvoiceID": open_bill["InvoiceID"]}, "Amount": 1.25}
                        ],
                    }
                ]
            },
        ),
    ]
    receipt = next(iter(_listed(sim.call("GET", "/Receipts"))))
    user = receipt["User"]["UserID"]
    claim = {"User": {"UserID": user}, "Receipts": [{"ReceiptID": receipt["ReceiptID"]}]}
    done.append(sim.call("PUT", "/ExpenseClaims", {"ExpenseClaims": [claim]}))
    assert [status for status, _ in done] == [200] * len(done), done


def _listed(answered: tuple[int, Any]) -> list[dict[str, Any]]:
    status, answer = answered
    assert status == 200, answer
    return next(list(v) for v in answer.values() if isinstance(v, list))


@dataclass
class Mirror:
    """The tables of one organisation and the organisation, to be compared."""

    sim: XeroSimulator
    session: EngineConnection

    async def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return await (await self.session.execute(query.encode(), values or None)).fetchall()

    async def value(self, query: str, *values: Any) -> Any:
        rows = await self.rows(query, *values)
        return rows[0][0] if rows else None

    async def until(self, query: str, *, seconds: float = 40.0) -> None:
        """Waits until the query's first value is true."""
        try:
            async with asyncio.timeout(seconds):
                while not await self.value(query):  # noqa: ASYNC110 - Postgres has the condition
                    await asyncio.sleep(0.02)
        except TimeoutError:
            standing = await self.rows(
                f"select object, state, rows_done, watermark, error from {SCHEMA}._sync_cdc"
            )
            raise AssertionError(f"never true: {query}\nobjects: {standing}") from None

    async def held(self, table: str) -> dict[str, bytes]:
        """All records of the organisation, as its lists show them: id -> JSON text."""
        return await asyncio.to_thread(xero_reading.listed, self.sim, table)

    async def whole(self, table: str, record_id: str) -> bytes | None:
        """One record, as its own address shows it."""
        return await asyncio.to_thread(xero_reading.single, self.sim, table, record_id)

    async def mirrored(self, table: str, columns: str = "*") -> dict[str, dict[str, Any]]:
        rows = await self.rows(f"select id, to_jsonb(t)::text from {SCHEMA}.{table} t")
        return {row[0]: json.loads(row[1], parse_float=Decimal) for row in rows}

    async def assert_same(self, tables: Iterable[str] | None = None, **how: Any) -> None:
        """The mirror holds what the organisation holds: each record, column and child row."""
        for spec in CATALOG.objects:
            if spec.table in (tables if tables is not None else CATALOG.by_table):
                held = await self.held(spec.table)
                await self._assert_table(spec, held, **how)

    async def _assert_table(
        self, spec: ObjectSpec, held: Mapping[str, bytes], *, raw: bool = False, but: str = ""
    ) -> None:
        """raw: byte for byte the same JSON. but: columns that are not compared."""
        found = {
            row[0]: row[1:]
            for row in await self.rows(
                f"select id, to_jsonb(t)::text, raw::text from {SCHEMA}.{spec.table} t"
            )
        }
        assert found.keys() == held.keys(), spec.table
        left_out = {"raw", *but.split()}
        for record_id, text in held.items():
            image, mirrored_raw = found[record_id]
            if raw:
                assert values(mirrored_raw) == values(text), f"{spec.table} {record_id}"
            wanted = comparable(record_row(spec, text), left_out)
            shown = comparable(values(image), left_out)
            different = {
                column: (shown.get(column), wanted[column])
                for column in wanted
                if shown.get(column) != wanted[column]
            }
            assert not different, f"{spec.table} {record_id}: {different}"
        for child in spec.children:
            if child.list_column in left_out:
                continue
            rows = await self.rows(
                f"select {child.parent_column}, count(*) from {SCHEMA}.{child.table} group by 1"
            )
            wanted_rows = {
                record_id: len(members)
                for record_id, text in held.items()
                if (members := _list_at(values(text), child.path))
            }
            assert dict(rows) == wanted_rows, child.table


@dataclass
class World(Mirror):
    """One organisation, connected; its mirror; and what works on both."""

    url: str
    service: Service
    asked: Asked
    connection_id: int
    providers: ProviderDirectory
    pool: EnginePool

    async def live(self, *, seconds: float = 60.0) -> None:
        """Every object that is not switched off has been read."""
        await self.until(
            "select bool_and(state in ('live', 'paused')) and bool_or(state = 'live')"
            f" from {SCHEMA}._sync_cdc",
            seconds=seconds,
        )

    async def settled(self) -> None:
        """Every object has been read, and then asked for what changed meanwhile."""
        await self.live()
        await self.until(
            "select bool_and(coalesce(last_poll_at > finished_at, false))"
            f" from {SCHEMA}._sync_cdc where state = 'live' and not object = any("
            "'{" + ",".join(PER_RECORD) + "}')"
        )


def values(text: str | bytes) -> Any:
    return json.loads(text, parse_float=Decimal)


def comparable(row: Mapping[str, Any], left_out: set[str]) -> dict[str, Any]:
    """Columns as one can compare them: no list is the same as an empty one."""
    return {column: _plain(value) for column, value in row.items() if column not in left_out}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value] or None
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, str) and value.endswith("+00:00") and "T" in value:
        text = value.removesuffix("+00:00")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return value


def _list_at(record: Any, path: tuple[str, ...]) -> list[Any]:
    for name in path:
        record = record.get(name) if isinstance(record, dict) else None
    return record if isinstance(record, list) else []


def app_of(sim: XeroSimulator) -> App:
    return App.from_settings(
        XeroSettings.model_validate({"environment": "simulator", "api_url": sim.base_url})
    )


async def connected(url: str, sim: XeroSimulator) -> int:
    """Connects the first organisation, and makes its tables; returns the connection's id."""
    app = app_of(sim)
    async with HttpClient() as http, engine_pool(url) as pool, await connect_engine(url) as session:
        made = await Connector(
            pool, Vault([KEY]), app.oauth(http), "xero", app.companies(http)
        ).connect_with_refresh_token(
            name="kestrel",
            schema_name=SCHEMA,
            company_id=sim.tenant_id,
            refresh_token=sim.new_refresh_token(),
        )
        await install(session, CATALOG, SCHEMA, made.connection_id)
    return made.connection_id


@asynccontextmanager
async def world(url: str, **settings: Any) -> AsyncIterator[World]:
    """An organisation generated, served and connected to the migrated database at `url`.

    settings: customers, invoices, seed and the simulator's options.
    """
    apply_job_schema(url)
    with watched_xero(**settings) as (sim, service, asked):
        connection_id = await connected(url, sim)
        async with await connect_engine(url) as session, engine_pool(url, max_size=12) as pool:
            providers = ProviderDirectory(pool, Vault([KEY]), CATALOGS, None, xero=app_of(sim))
            try:
                yield World(sim, session, url, service, asked, connection_id, providers, pool)
            finally:
                await providers.close()


@asynccontextmanager
async def working(world: World, **options: Any) -> AsyncIterator[Engine]:
    """A worker in this process, stopped at the end. options: fields of SyncOptions."""
    settled = SyncOptions(**{"tick_seconds": 0.2, **options})
    engine = Engine(world.url, world.pool, world.providers, CATALOGS, settled)
    task = asyncio.create_task(run_worker(engine))
    try:
        yield engine
    finally:
        engine.stopping.set()
        await asyncio.wait_for(task, 20)


@asynccontextmanager
async def receiving(world: World) -> AsyncIterator[str]:
    """The web door; the organisation's deliveries go there. Gives the door's address."""

    def is_theirs(body: bytes, headers: Mapping[str, str]) -> bool:
        return is_signed(body, headers.get(SIGNATURE_HEADER), SIGNING_KEY)

    async with web_door(world.url, "xero", is_theirs) as address:
        world.sim.webhooks(address, SIGNING_KEY)
        try:
            yield address.removesuffix("/webhooks/xero")
        finally:
            world.sim.webhooks(None)
