"""Two companies side by side: nothing of the one ever appears in the other's tables or books.

Their records have the same ids on purpose. Changes are made at the provider and by SQL through
the proxy, at random; webhooks name the records of both, and of the one as the other's.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from backfill.jobs import apply_job_schema
from backfill.worker import run_worker
from proxy.service import serve
from sqlsync.database import (
    AsyncConnection,
    EngineConnection,
    connect_engine,
    engine_pool,
    errors,
    make_conninfo,
)
from sqlsync.errors import SqlsyncError
from sqlsync.mirror.compare import compare
from sqlsync.mirror.install import install
from sqlsync.providers.connect import Connector
from sqlsync.providers.http import HttpClient
from sqlsync.providers.oauth import OAuthClient
from sqlsync.settings import ProxySettings
from sqlsync.simulators.quickbooks.app import create_app, create_service
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.service import CompanySpec
from sqlsync.simulators.server import HttpServer
from sqlsync.vault import Vault
from sqlsync.writes.engine import WriteEngine

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/sync_world.py
from sync_world import CATALOG, CATALOGS, KEY, RAW_LIST, _app, hands, presented

NAMES = ("north", "south")
TABLES = ("customer", "invoice")
STEPS = 30


@dataclass
class Pair:
    """Two connections, north and south, each in the schema of its name."""

    url: str
    api_url: str
    realms: dict[str, str]
    session: EngineConnection
    http: httpx.AsyncClient
    through: Any  # a session through the proxy

    async def books(self, name: str, table: str) -> list[bytes]:
        spec = CATALOG.by_table[table]
        found = await self.http.get(
            f"/_control/books/{spec.resource}", params={"realm": self.realms[name]}
        )
        assert found.status_code == 200, found.text
        return [presented(spec, bytes(raw)) for raw in RAW_LIST.decode(found.content)]

    async def change(self, name: str, entity: str, operation: str, **body: Any) -> None:
        answer = await self.http.post(
            "/_control/books",
            json={
                "entity": entity,
                "operation": operation,
                "body": body,
                "realm": self.realms[name],
            },
        )
        assert answer.status_code == 200, answer.text

    async def deliver(self, *events: tuple[str, str, str]) -> None:
        """A webhook: (company, entity, id) of each event, whoever has such a record."""
        body = json.dumps(
            {
                "eventNotifications": [
                    {
                        "realmId": self.realms[name],
                        "dataChangeEvent": {
                            "entities": [{"name": entity, "id": key, "operation": "Update"}]
                        },
                    }
                    for name, entity, key in events
                ]
            }
        ).encode()
        await self.session.execute(
            "insert into sqlsync.inbox (provider, body, body_hash) values ('quickbooks', %s, %s)"
            " on conflict do nothing",
            [body, sha256(body).digest()],
        )
        await self.session.execute("notify sqlsync_inbox")

    async def differences(self) -> list[str]:
        """What of each mirror is not what its own company holds."""
        found = []
        for name in NAMES:
            for table in TABLES:
                books = await self.books(name, table)
                async with self.session.transaction():
                    compared = await compare(self.session, name, CATALOG.by_table[table], books)
                    rows = await self.session.execute(f"select id from {name}.{table}".encode())
                    mirrored = {row[0] for row in await rows.fetchall()}
                found += [f"{name}.{table} {d.id} {d.fields}" for d in compared.differences]
                found += [f"{name}.{table} {i} extra" for i in mirrored - set(compared.ids)]
        return found


@asynccontextmanager
async def side_by_side(url: str) -> AsyncIterator[Pair]:
    apply_job_schema(url)
    # No webhooks but ours, so that most of what happens is left to polls.
    service = create_service([CompanySpec(5, 6, 1), CompanySpec(5, 6, 2)], Options())
    server = HttpServer(create_app(service), "127.0.0.1:0")
    await server.start()
    api_url = f"http://{server.address}"
    realms = dict(zip(NAMES, service.refresh_tokens, strict=True))
    try:
        async with (
            await connect_engine(url) as session,
            httpx.AsyncClient(base_url=api_url, timeout=30) as http,
            hands(url, api_url, KEY) as engine,
        ):
            await _connect(engine.pool, api_url, service.refresh_tokens)
            for number, name in enumerate(NAMES, 1):
                await install(session, CATALOG, name, number)
                await session.execute(
                    f"update {name}._sync_object set enabled = false"
                    " where enabled and not table_name = any(%s)".encode(),
                    [list(TABLES)],
                )
            working = asyncio.create_task(run_worker(engine))
            stop, ready = asyncio.Event(), asyncio.Queue[int]()
            async with engine_pool(url, max_size=6) as pool:
                writer = WriteEngine(pool, engine.providers)  # type: ignore[arg-type]
                await writer.start()
                serving = asyncio.create_task(
                    serve(
                        ProxySettings(listen="127.0.0.1:0"),  # type: ignore[arg-type]
                        url,
                        pool,
                        CATALOGS,
                        writer,
                        stop=stop,
                        on_ready=lambda host, port: ready.put_nowait(port),
                    )
                )
                port = await asyncio.wait_for(ready.get(), 20)
                address = make_conninfo(url, host="127.0.0.1", port=port)
                through = await AsyncConnection.connect(address, autocommit=True)
                try:
                    yield Pair(url, api_url, realms, session, http, through)
                finally:
                    await through.close()
                    stop.set()
                    engine.stopping.set()
                    await asyncio.wait_for(asyncio.gather(serving, working), 40)
                    await writer.close()
    finally:
        await server.stop()


async def _connect(pool: Any, api_url: str, tokens: dict[str, str]) -> None:
    client = HttpClient()
    app = _app(api_url)
    oauth = OAuthClient(client, app.endpoints, app.client_id, app.client_secret)
    try:
        for name, (realm, token) in zip(NAMES, tokens.items(), strict=True):
            await Connector(pool, Vault([KEY]), oauth).connect_with_refresh_token(
                name=name, schema_name=name, company_id=realm, refresh_token=token
            )
    finally:
        await client.aclose()


async def until_equal(pair: Pair, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while True:
            states = await pair.session.execute(
                "select bool_and(state = 'live') from sqlsync.connection"
            )
            if await states.fetchone() == (True,) and not await pair.differences():
                return
            await asyncio.sleep(0.3)


@pytest.mark.timeout(240)
async def test_nothing_of_one_company_appears_in_another(migrated_url: str) -> None:
    random = Random(20261122)
    async with side_by_side(migrated_url) as pair:
        await until_equal(pair)
        ids = {
            n: sorted(json.loads(r)["Id"] for r in await pair.books(n, "customer")) for n in NAMES
        }
        assert ids["north"] == ids["south"]  # so that a mix-up would have where to go
        await pair.session.execute("reset role")
        await pair.session.execute("create schema together authorization sqlsync_engine")
        await pair.session.execute("select sqlsync.make_union('quickbooks', 'together')")
        await pair.session.execute("set role sqlsync_engine")
        for step in range(STEPS):
            name = random.choice(NAMES)
            other = NAMES[1 - NAMES.index(name)]
            key, mark = random.choice(ids[name]), f"of {name} {step}"
            match random.randrange(6):
                case 0:
                    await pair.change(name, "customer", "update", Id=key, Notes=mark)
                case 1:
                    await pair.change(name, "customer", "create", DisplayName=mark, Notes=mark)
                case 2:
                    await pair.through.execute(
                        f"update {name}.customer set notes = %s where id = %s", [mark, key]
                    )
                case 3:
                    await pair.through.execute(
                        f"insert into {name}.customer (display_name, notes) values (%s, %s)",
                        [mark, mark],
                    )
                case 4:
                    async with pair.through.transaction(force_rollback=random.random() < 0.5):
                        await pair.through.execute(
                            f"update {name}.invoice set private_note = %s where id ="
                            f" (select min(id) from {name}.invoice)",
                            [mark],
                        )
                case _:
                    theirs = [json.loads(r)["Id"] for r in await pair.books(other, "customer")]
                    await pair.deliver(
                        (name, "Customer", random.choice(theirs)),
                        (other, "Customer", key),
                        (name, "Invoice", "999999"),
                    )
        # One statement for both companies is refused: it could not be undone as one.
        with pytest.raises(errors.FeatureNotSupported):
            await pair.through.execute(
                "with a as (update north.customer set notes = 'x' returning id)"
                " update south.customer set notes = 'x' where id in (select id from a)"
            )
        await pair.session.execute("notify sqlsync_poll, '1'")
        await pair.session.execute("notify sqlsync_poll, '2'")
        await until_equal(pair)
        for name in NAMES:
            other = NAMES[1 - NAMES.index(name)]
            for table in (*TABLES, "_sync_change"):
                rows = await pair.session.execute(
                    f"select count(*) from {name}.{table} t where t::text like %s".encode(),
                    [f"%of {other} %"],
                )
                assert await rows.fetchone() == (0,), (name, table)
            for table in TABLES:
                assert f"of {other} ".encode() not in b"".join(await pair.books(name, table))
        await pair.session.execute("reset role")
        rows = await pair.session.execute(
            "select count(*) from together.all_customer where notes like 'of %'"
            " and notes not like 'of ' || connection || ' %'"
        )
        assert await rows.fetchone() == (0,)

        # Should a company and a token ever be mixed up, the provider's refusal is an error.
        await pair.session.execute("update sqlsync.connection set company_id = null where id = 2")
        await pair.session.execute(
            "update sqlsync.connection set company_id = %s where id = 1", [pair.realms["south"]]
        )
        async with hands(migrated_url, pair.api_url, KEY) as mixed:
            provider = await mixed.providers.for_connection(1)
            with pytest.raises(SqlsyncError, match="another company"):
                await provider.fetch_page(CATALOG.by_table["customer"], None)
