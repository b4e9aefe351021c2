"""A process that writes one statement through the engine, and stops where it is told to.

Run by test_writes.py and test_writes_xero.py, which kill it there with -9. Argument: JSON with
database, vault key, provider, simulator's address, operation, table, record id, columns and
point. Prints "at <point>" and then waits.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any
from uuid import uuid4

from schema.loader import load_catalog
from schema.model import Catalog
from sqlsync.database import EnginePool, connect_engine, engine_pool
from sqlsync.errors import OutcomeUnknown
from sqlsync.logs import configure_logging
from sqlsync.providers.directory import App, ProviderDirectory
from sqlsync.providers.endpoints import quickbooks_endpoints
from sqlsync.providers.limits import SIMULATOR_BUDGET
from sqlsync.settings import XeroSettings
from sqlsync.vault import Vault
from sqlsync.writes.engine import WriteEngine
from sqlsync.writes.model import CancelToken, Change, WriteRequest
from sqlsync.writes.sending import Patience
from sqlsync.writes.transitions import State
from sqlsync.writes.values import decode

BRISK = Patience(doubt=0.3, first_pause=0.05, transaction=1.0, recovery=0.05)


async def stop(point: str) -> None:
    print(f"at {point}", flush=True)
    await asyncio.Event().wait()


def stop_in_journal(journal: Any, point: str) -> None:
    """Makes one of the journal's methods stop before or after its work."""
    where = {
        "planned": ("plan", "after", None),
        "sent": ("send", "after", None),
        "done": ("answered", "before", None),
        "acknowledged": ("answered", "after", None),
        "undoing": ("move", "after", State.UNDOING),
        "undo decided": ("set_undo", "after", None),
        "undo done": ("move", "before", State.UNDONE),
    }.get(point)
    if where is None:
        return
    name, when, state = where
    method = getattr(journal, name)

    async def stopping(*args: Any, **options: Any) -> Any:
        if state is not None and args[1] is not state:
            return await method(*args, **options)
        if when == "before":
            await stop(point)
        result = await method(*args, **options)
        await stop(point)
        return result

    setattr(journal, name, stopping)


async def main(order: dict[str, Any]) -> None:
    configure_logging(level="warning")
    provider = order.get("provider", "quickbooks")
    catalogs = {provider: load_catalog(provider)}
    point = order["point"]
    session = await connect_engine(order["url"])
    async with engine_pool(order["url"], max_size=4) as pool:
        directory = directory_of(provider, order["api"], pool, Vault([order["key"]]), catalogs)
        engine = WriteEngine(pool, directory, patience=BRISK)
        await engine.start()
        stop_in_journal(engine._journal, point)

        await session.execute("begin")
        cursor = await session.execute("select pg_current_xact_id()::text")
        (xid,) = await cursor.fetchone()  # type: ignore[misc]
        request = await statement(session, order, xid)
        try:
            result = await engine.execute(request, CancelToken())
        except OutcomeUnknown:
            await stop("in doubt")
            return
        await session.execute("select sqlsync.apply_rows(%s::jsonb)", [result.payload.decode()])
        if point == "applied":
            await stop(point)
        if point.startswith("undo"):
            await session.execute("rollback")
            await engine.settle(request.transaction, xid)
        await engine.commit_deferred(request.transaction, result.entries)
        if point == "deferred sent":
            await stop(point)
        await session.execute("commit")
        if point == "committed":
            await stop(point)
        await engine.settle(request.transaction, xid)
        await stop("settled")


def directory_of(
    provider: str, api: str, pool: EnginePool, vault: Vault, catalogs: dict[str, Catalog]
) -> ProviderDirectory:
    if provider == "xero":
        settings = XeroSettings.model_validate({"environment": "simulator", "api_url": api})
        xero = App.from_settings(settings)
        return ProviderDirectory(pool, vault, catalogs, None, xero=xero)
    endpoints = quickbooks_endpoints("simulator", api_url=api)
    app = App(endpoints, "id", "secret", SIMULATOR_BUDGET)
    return ProviderDirectory(pool, vault, catalogs, app)


async def statement(session: Any, order: dict[str, Any], xid: str) -> WriteRequest:
    operation, table, record_id = order["operation"], order["table"], order["id"]
    schema_name = order.get("provider", "quickbooks")
    parents: dict[tuple[str, str], bytes] = {}
    if operation == "insert":
        changes = tuple(
            Change(table, "insert", None, {"id": f"new:{uuid4()}", **columns})
            for columns in order["rows"]
        )
    else:
        cursor = await session.execute(
            f"select (to_jsonb(t) - 'raw')::text, raw::text from {schema_name}.{table} t"
            " where id = %s for update",
            [record_id],
        )
        image, raw = await cursor.fetchone()
        old = decode(image)
        new = {**old, **order["columns"]} if operation == "update" else None
        changes = (Change(table, operation, old, new),)
        parents[table, record_id] = raw.encode()
    return WriteRequest(schema_name, changes, parents, "joe", uuid4(), xid, True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
