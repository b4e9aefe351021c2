"""A simulated company, a database and workers, for tests of the sync engine.

Run as a program it is one worker process: python tests/sync_world.py URL API_URL KEY OPTIONS.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx
import msgspec
from web_door import web_door

from backfill.jobs import apply_job_schema
from backfill.options import Engine, SyncOptions
from backfill.worker import run_worker
from schema.codec import copy_encoder
from schema.loader import load_catalog
from schema.model import ObjectSpec
from sqlsync.database import EngineConnection, connect_engine, engine_pool
from sqlsync.mirror.install import install
from sqlsync.providers.connect import Connector
from sqlsync.providers.directory import App, ProviderDirectory
from sqlsync.providers.http import HttpClient
from sqlsync.providers.oauth import OAuthClient
from sqlsync.providers.quickbooks.shapes import presented
from sqlsync.providers.quickbooks.webhooks import SIGNATURE_HEADER, is_signed
from sqlsync.settings import QuickBooksSettings
from sqlsync.vault import Vault, new_key

CATALOG = load_catalog("quickbooks")
RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
CATALOGS = {"quickbooks": CATALOG}
SCHEMA = "quickbooks"
KEY = new_key()
VERIFIER_TOKEN = "a token for tests"
BRISK = {"tick_seconds": 0.2, "reports": False}


@dataclass
class World:
    """One company, connected; its mirror; and how to look at both."""

    url: str
    api_url: str
    realm: str
    connection_id: int
    session: EngineConnection
    http: httpx.AsyncClient  # the simulator's `/_control`
    queries: list[str] = field(default_factory=list)  # statements the simulator was asked

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        return await (await self.session.execute(query.encode())).fetchall()

    async def value(self, query: str) -> Any:
        return (await self.rows(query))[0][0]

    async def until(self, query: str, *, seconds: float = 40.0) -> None:
        """Waits until the query's first value is true."""
        try:
            async with asyncio.timeout(seconds):
                while not await self.value(query):  # noqa: ASYNC110 - Postgres has the condition
                    await asyncio.sleep(0.02)
        except TimeoutError:
            standing = await self.rows(
                f"select object, state, rows_done, error from {SCHEMA}._sync_cdc"
            )
            jobs = await self.rows(
                "select id, task_name, args, status, worker_id from sqlsync_jobs.procrastinate_jobs"
            )
            sessions = await self.rows(
                "select application_name, state, wait_event, left(query, 60), pg_blocking_pids(pid)"
                " from pg_stat_activity where datname = current_database()"
                " and (state <> 'idle' or pg_blocking_pids(pid) <> '{}')"
            )
            raise AssertionError(
                f"never true: {query}\nobjects: {standing}\njobs: {jobs}\nsessions: {sessions}"
            ) from None

    async def live(self, *, seconds: float = 60.0) -> None:
        await self.until(
            f"select state = 'live' from sqlsync.connection where id = {self.connection_id}",
            seconds=seconds,
        )

    async def control(self, path: str, **given: Any) -> Any:
        answer = await self.http.post(f"/_control/{path}", json=given)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def change(self, entity: str, operation: str, **body: Any) -> Any:
        """A person's change in the company's books; returns the record."""
        return await self.control("books", entity=entity, operation=operation, body=body)

    async def books(self, spec: ObjectSpec) -> dict[str, bytes]:
        """All records the company holds of an object: id -> JSON."""
        answer = await self.http.get(f"/_control/books/{spec.resource}")
        assert answer.status_code == 200, answer.text
        found = [presented(spec, bytes(raw)) for raw in RAW_LIST.decode(answer.content)]
        return {json.loads(raw)["Id"]: raw for raw in found}

    async def books_of(self, table: str) -> dict[str, bytes]:
        return await self.books(CATALOG.by_table[table])

    def pages_asked(self) -> list[str]:
        return [q for q in self.queries if "startposition" in q and "orderby Id " in q]

    async def assert_same(self, tables: Sequence[str] | None = None) -> None:
        """The mirror holds what the company holds: each record, each column, each child row."""
        for spec in CATALOG.objects:
            if tables is not None and spec.table not in tables:
                continue
            books = await self.books(spec)
            await self._assert_table(spec, books)

    async def _assert_table(self, spec: ObjectSpec, books: dict[str, bytes]) -> None:
        """Puts the books through the codec into tables of the same shape, and compares there."""
        encoder = copy_encoder(spec)
        page = encoder.rows(list(books.values()))
        wanted = {spec.table: (encoder.columns, page.blob)}
        for child in spec.children:
            wanted[child.table] = (encoder.child_columns[child.table], page.children[child.table])
        for table, (columns, blob) in wanted.items():
            names = ", ".join(f'"{column}"' for column in columns)
            async with self.session.transaction(force_rollback=True):
                await self.session.execute(
                    f"create temporary table books (like {SCHEMA}.{table}) on commit drop".encode()
                )
                async with (
                    self.session.cursor() as cursor,
                    cursor.copy(f"copy books ({names}) from stdin".encode()) as copy,
                ):
                    await copy.write(blob)
                differences = await self.rows(
                    f"(select 'only mirrored', m::text from (select {names} from {SCHEMA}.{table}"
                    f" except select {names} from books) m limit 3) union all"
                    f" (select 'only in the books', b::text from (select {names} from books"
                    f" except select {names} from {SCHEMA}.{table}) b limit 3)"
                )
                counts = await self.rows(
                    f"select (select count(*) from {SCHEMA}.{table}), (select count(*) from books)"
                )
            assert differences == [], f"{table}: {differences}"
            assert counts[0][0] == counts[0][1], f"{table}: {counts}"


@asynccontextmanager
async def world(
    url: str, *, customers: int = 20, invoices: int = 60, country: str = "US", **options: Any
) -> AsyncIterator[World]:
    """A company generated, served and connected to the migrated database at `url`.

    options: fields of the simulator's Options.
    """
    from sqlsync.simulators.quickbooks.app import create_app, create_service
    from sqlsync.simulators.quickbooks.options import Options
    from sqlsync.simulators.quickbooks.service import CompanySpec
    from sqlsync.simulators.server import HttpServer

    apply_job_schema(url)
    company = CompanySpec(customers, invoices, country=country)
    service = create_service([company], Options(**options))
    app = create_app(service)
    queries: list[str] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/query"):
            queries.extend(parse_qs(scope["query_string"].decode()).get("query", []))
        await app(scope, receive, send)

    server = HttpServer(watched, "127.0.0.1:0")
    await server.start()
    try:
        realm, token = next(iter(service.refresh_tokens.items()))
        api_url = f"http://{server.address}"
        async with (
            await connect_engine(url) as session,
            httpx.AsyncClient(base_url=api_url, timeout=30) as http,
        ):
            connection_id = await _connect(url, api_url, realm, token)
            await install(session, CATALOG, SCHEMA, connection_id)
            yield World(url, api_url, realm, connection_id, session, http, queries)
    finally:
        await server.stop()


def _app(api_url: str) -> App:
    return App.from_settings(QuickBooksSettings(environment="simulator", api_url=api_url))


async def _connect(url: str, api_url: str, realm: str, token: str) -> int:
    client = HttpClient()
    app = _app(api_url)
    try:
        async with engine_pool(url) as pool:
            oauth = OAuthClient(client, app.endpoints, app.client_id, app.client_secret)
            connected = await Connector(pool, Vault([KEY]), oauth).connect_with_refresh_token(
                name="books", schema_name=SCHEMA, company_id=realm, refresh_token=token
            )
    finally:
        await client.aclose()
    return connected.connection_id


@asynccontextmanager
async def hands(url: str, api_url: str, key: str, **options: Any) -> AsyncIterator[Engine]:
    """What a worker works with. options: fields of SyncOptions."""
    async with engine_pool(url, max_size=12) as pool:
        providers = ProviderDirectory(pool, Vault([key]), CATALOGS, _app(api_url))
        try:
            yield Engine(url, pool, providers, CATALOGS, SyncOptions(**{**BRISK, **options}))
        finally:
            await providers.close()


@asynccontextmanager
async def working(world: World, **options: Any) -> AsyncIterator[Engine]:
    """A worker in this process, stopped at the end."""
    async with hands(world.url, world.api_url, KEY, **options) as engine:
        task = asyncio.create_task(run_worker(engine))
        try:
            yield engine
        finally:
            engine.stopping.set()
            await asyncio.wait_for(task, 20)


@asynccontextmanager
async def receiving(world: World) -> AsyncIterator[str]:
    """The web door; the simulator sends its webhooks there. Gives the door's address."""

    def is_theirs(body: bytes, headers: Mapping[str, str]) -> bool:
        return is_signed(body, headers.get(SIGNATURE_HEADER), VERIFIER_TOKEN)

    async with web_door(world.url, "quickbooks", is_theirs) as address:
        await world.control("webhooks", url=address, verifier_token=VERIFIER_TOKEN)
        yield address.removesuffix("/webhooks/quickbooks")


@dataclass
class WorkerProcess:
    """A worker in a process of its own, to be stopped, continued or killed."""

    process: asyncio.subprocess.Process

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    async def kill(self) -> None:
        self.send(signal.SIGKILL)
        await self.process.wait()


@asynccontextmanager
async def worker_process(world: World, **options: Any) -> AsyncIterator[WorkerProcess]:
    """Ready when the block begins; killed at its end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        world.url,
        world.api_url,
        KEY,
        json.dumps(options),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        assert line == b"ready\n"
        yield WorkerProcess(process)
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGCONT)
            process.kill()
            await process.wait()


async def _main(url: str, api_url: str, key: str, options: dict[str, Any]) -> None:
    async with hands(url, api_url, key, **options) as engine:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, engine.stopping.set)
        await run_worker(engine, on_ready=lambda: print("ready", flush=True))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])))
