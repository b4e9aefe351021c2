"""After hundreds of random writes on both sides the mirror is what the provider holds."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/workload.py
import pytest
import xero_world
from workload import Columns, Workload, seed, wanted
from xero_writes import WRITES as XERO_WRITES
from xero_writes import Refs

from schema.model import Catalog, ObjectSpec
from sqlsync.database import EngineConnection

# What follows other records in Xero, and moves no time of change of its own.
_FOLLOWS = (
    "balances_accounts_payable_outstanding balances_accounts_payable_overdue is_customer"
    " balances_accounts_receivable_outstanding balances_accounts_receivable_overdue is_supplier"
    " contact_name contact_groups line_items bank_account_name account_name options invoice_number"
)


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
        tables = [spec.table for spec in self.catalog.objects if spec.enabled]
        await self.world.assert_same(tables, but="" if whole else _FOLLOWS)


def _varied(spec: ObjectSpec, columns: Columns, random: Random) -> Columns:
    """The same columns with other values: free text gets a word of its own."""
    found: Columns = {}
    for column, value in columns.items():
        field = spec.by_column[column]
        is_free = isinstance(value, str) and not field.enum and field.type.value == "text"
        found[column] = f"{value} {random.randrange(1000)}" if is_free else value
    return found


@pytest.mark.timeout(400)
async def test_xero(migrated_url: str) -> None:
    async with xero_world.world(migrated_url, customers=4, invoices=8) as w:
        scene = XeroScene(w, Refs(w.sim))
        async with xero_world.working(w), xero_world.receiving(w):
            await w.settled()
            run = Workload(scene, Random(seed()))
            await run.run(wanted())
    print(dict(run.done))
    assert sum(run.done[kind] for kind in ("insert", "update", "delete")) > wanted() / 3
    assert run.done["person update"] > wanted() / 20
