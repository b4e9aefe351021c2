"""After hundreds of random writes on both sides the mirror is what the provider holds."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/workload.py
import pytest
import sync_world
import xero_world
from quickbooks_writes import WRITES as QUICKBOOKS_WRITES
from workload import Columns, Workload, seed, wanted
from xero_writes import WRITES as XERO_WRITES
from xero_writes import Refs

from schema.model import Catalog, DeleteMeans, ObjectSpec
from sqlsync.database import EngineConnection
from sqlsync.writes.values import encode


@dataclass
class XeroScene:
    world: xero_world.World
    refs: Refs

    @property
    def url(self) -> str:
        return self.world.url

    @property
    def connection_id(self) -> int:
        return self.world.connection_id

    @property
    def session(self) -> EngineConnection:
        return self.world.session

    @property
    def providers(self) -> Any:
        return self.world.providers

    schema = xero_world.SCHEMA
    catalog: Catalog = xero_world.CATALOG

    async def given(self, spec: ObjectSpec, random: Random) -> Columns | None:
        entry = XERO_WRITES.get(spec.table)
        if entry is None or spec.table in ("currency", "tracking_category"):
            return None
        return await asyncio.to_thread(entry[0], self.refs)

    def changes(self, spec: ObjectSpec, random: Random) -> Columns:
        entry = XERO_WRITES.get(spec.table)
        return _varied(spec, entry[1], random) if entry is not None else {}

    async def ids(self, spec: ObjectSpec) -> Sequence[str]:
        if spec.table not in XERO_WRITES or spec.table == "tracking_option":
            return []
        records = await asyncio.to_thread(self.world.sim.records, spec.table)
        return [record[spec.by_column["id"].path[-1]] for record in records]

    async def person(
        self, spec: ObjectSpec, operation: str, record_id: str | None, fields: Mapping[str, Any]
    ) -> bool:
        body = dict(fields)
        if record_id is not None:
            body[spec.by_column["id"].path[-1]] = record_id
        if operation == "delete" and spec.table == "contact":
            operation = "archive"
        try:
            await asyncio.to_thread(self.world.sim.person, spec.table, operation, **body)
        except ValueError:
            return False
        return True

    async def mischief(self, random: Random) -> None:
        kind = random.choice(("drop", "duplicate", "reverse"))
        await asyncio.to_thread(
            self.world.sim.mischief, **{kind: 1}, delay_seconds=random.choice((0, 0.05))
        )

    async def delivered(self) -> bool:
        return not (await asyncio.to_thread(self.world.sim.status))["webhooks"]["waiting"]

    async def assert_same(self, *, whole: bool) -> None:
        for spec in self.catalog.objects:
            # What vanishes, or is marked, without a trace in the feed: the sweep brings it.
            swept = spec.change_feed == "modified_since" and spec.extra.get("sweep") == "yes"
            if spec.enabled and (whole or not swept):
                await self.world.assert_same([spec.table], but="" if whole else xero_world.FOLLOWS)


def _varied(spec: ObjectSpec, columns: Columns, random: Random) -> Columns:
    """The same columns with other values: free text gets a word of its own."""
    found: Columns = {}
    for column, value in columns.items():
        field = spec.by_column[column]
        is_free = isinstance(value, str) and not field.enum and field.type.value == "text"
        found[column] = f"{value} {random.randrange(1000)}" if is_free else value
    return found


@dataclass
class QuickBooksScene:
    world: sync_world.World
    providers: Any

    @property
    def url(self) -> str:
        return self.world.url

    @property
    def connection_id(self) -> int:
        return self.world.connection_id

    @property
    def session(self) -> EngineConnection:
        return self.world.session

    schema = sync_world.SCHEMA
    catalog: Catalog = sync_world.CATALOG

    async def given(self, spec: ObjectSpec, random: Random) -> Columns | None:
        given, _ = QUICKBOOKS_WRITES.get(spec.table, ({}, {}))
        if not given or spec.table in _ONCE:
            return None
        own = {column: f"{given[column]} {random.randrange(10**6)}" for column in _NAMES & {*given}}
        return {**deepcopy(given), **own}

    def changes(self, spec: ObjectSpec, random: Random) -> Columns:
        return _varied(spec, QUICKBOOKS_WRITES.get(spec.table, ({}, {}))[1], random)

    async def ids(self, spec: ObjectSpec) -> Sequence[str]:
        if spec.table not in QUICKBOOKS_WRITES or spec.table == "exchange_rate":
            return []
        return list(await self.world.books(spec))

    async def person(
        self, spec: ObjectSpec, operation: str, record_id: str | None, fields: Mapping[str, Any]
    ) -> bool:
        body = {**fields, **({"Id": record_id} if record_id is not None else {})}
        if operation == "delete" and spec.delete_means is DeleteMeans.DEACTIVATE:
            operation = "deactivate"
        given = {"entity": spec.api_name, "operation": operation, "body": body}
        answer = await self.world.http.post(
            "/_control/books",
            content=encode(given),
            headers={"content-type": "application/json"},
        )
        assert answer.status_code in (200, 400), answer.text
        return answer.status_code == 200

    async def mischief(self, random: Random) -> None:
        kind = random.choice(("drop", "duplicate", "reverse"))
        await self.world.control("webhooks", **{kind: 1, "delay_seconds": 0.05})

    async def delivered(self) -> bool:
        return not (await self.world.http.get("/_control")).json()["webhooks"]["waiting"]

    async def assert_same(self, *, whole: bool) -> None:
        if whole:
            await self.world.assert_same()
            return
        for spec in self.catalog.objects:
            if spec.version_column is None or spec.change_feed == "none":
                continue
            books = await self.world.books(spec)
            held = {key: str(json.loads(raw).get("SyncToken")) for key, raw in books.items()}
            rows = await self.world.rows(f"select id, sync_token from {self.schema}.{spec.table}")
            assert dict(rows) == held, spec.table


_NAMES = {"name", "display_name", "given_name", "recurring_info_name"}
_ONCE = ("company_currency", "journal_code", "budget")  # few of a kind may be there


@pytest.mark.timeout(400)
async def test_quickbooks(quickbooks_url: str) -> None:
    async with (
        sync_world.world(quickbooks_url, customers=6, invoices=8) as w,
        sync_world.working(w) as worker,
        sync_world.receiving(w),
    ):
        await w.live()
        run = Workload(QuickBooksScene(w, worker.providers), Random(seed()))
        await run.run(wanted())
    assert_busy(run)


@pytest.mark.timeout(400)
async def test_xero(xero_url: str) -> None:
    async with xero_world.world(xero_url, customers=4, invoices=8) as w:
        scene = XeroScene(w, Refs(w.sim))
        async with xero_world.working(w), xero_world.receiving(w):
            await w.settled()
            run = Workload(scene, Random(seed()))
            await run.run(wanted())
    assert_busy(run)


def assert_busy(run: Workload) -> None:
    """Most of what was tried was done: else the comparison would say little."""
    done = sum(run.done[kind] for kind in ("insert", "update", "delete"))
    assert done > wanted() / 3, run.done
    assert run.done["person update"] + run.done["person create"] > wanted() / 20, run.done
