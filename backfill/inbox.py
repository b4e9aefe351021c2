"""Works off the webhook deliveries that the web process stored.

A worker listens for them, so a change stands in its table a moment after the provider told of
it. Deliveries are taken with SKIP LOCKED and marked done in the same transaction, which is
held while their records are fetched: a worker that dies leaves them as they were.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backfill.bookkeeping import object_rows
from backfill.connections import Connection, connection_of_company, find_connection
from backfill.fence import be_mortal
from backfill.jobs import needs_reauth
from backfill.options import Engine
from backfill.refresh import refresh
from backfill.schedule import retry_delay
from schema.model import Catalog
from sqlsync.database import EngineConnection
from sqlsync.errors import NeedsReauth, SqlsyncError
from sqlsync.providers.quickbooks.webhooks import read_events
from sqlsync.providers.states import ACTIVE
from sqlsync.providers.xero import webhooks as xero_webhooks

log = logging.getLogger(__name__)

DELIVERIES = 50  # taken at once
GIVE_UP_AFTER = 12  # attempts; polling has brought the changes long before


@dataclass(frozen=True, slots=True)
class Named:
    """A record that a delivery names: something happened to it."""

    company_id: str
    table: str
    id: str


def named_records(provider: str, body: bytes, catalogs: Mapping[str, Catalog]) -> list[Named]:
    """The records a delivery is about, each once; a merge names both, the one gone too.

    Raises SqlsyncError where the body cannot be read.
    """
    if provider not in catalogs:
        return []
    found: dict[Named, None] = {}
    if provider == "xero":
        for change in xero_webhooks.read_events(body, catalogs[provider]):
            found[Named(change.tenant_id, change.table, change.id)] = None
        return list(found)
    for event in read_events(body, catalogs[provider]):
        found[Named(event.realm_id, event.table, event.id)] = None
        if event.deleted_id is not None:
            found[Named(event.realm_id, event.table, event.deleted_id)] = None
    return list(found)


async def drain_inbox(engine: Engine) -> int:
    """Handles what is stored and due. Returns how many deliveries were done."""
    done = 0
    while not engine.stopping.is_set():
        async with engine.pool.connection() as session, session.transaction():
            await be_mortal(session, idle_seconds=300, whole_seconds=600)  # calls are made in it
            found = await session.execute(
                "select id, provider, body, attempts from sqlsync.inbox"
                " where state = 'new' and due_at <= clock_timestamp()"
                " order by id limit %s for update skip locked",
                [DELIVERIES],
            )
            rows = await found.fetchall()
            if not rows:
                return done
            done += await _handle(engine, session, rows)
    return done


async def _handle(
    engine: Engine, session: EngineConnection, rows: Sequence[tuple[int, str, bytes, int]]
) -> int:
    """Deliveries of one kind are read together: ten events of one invoice are one fetch."""
    wanted: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    users: dict[tuple[str, str], set[int]] = defaultdict(set)
    failed: dict[int, str] = {}
    hopeless: set[int] = set()
    for row_id, provider, body, _ in rows:
        try:
            records = named_records(provider, bytes(body), engine.catalogs)
        except SqlsyncError as error:
            failed[row_id] = str(error)
            hopeless.add(row_id)
            log.warning("Webhook delivery %d cannot be read: %s", row_id, error)
            continue
        for record in records:
            company = (provider, record.company_id)
            wanted[company][record.table].add(record.id)
            users[company].add(row_id)
    companies = list(wanted)
    outcomes = await asyncio.gather(
        *(_refresh_company(engine, company, wanted[company]) for company in companies)
    )
    for company, problem in zip(companies, outcomes, strict=True):
        if problem is not None:
            failed.update(dict.fromkeys(users[company], problem))
    done = [row[0] for row in rows if row[0] not in failed]
    await session.execute(
        "update sqlsync.inbox set state = 'done', handled_at = clock_timestamp(), error = null"
        " where id = any(%s)",
        [done],
    )
    for row_id, _, _, attempts in rows:
        if row_id in failed:
            over = row_id in hopeless or attempts + 1 >= GIVE_UP_AFTER
            await session.execute(
                "update sqlsync.inbox set state = %s, attempts = attempts + 1, error = %s,"
                " handled_at = clock_timestamp(),"
                " due_at = clock_timestamp() + %s * interval '1 second' where id = %s",
                ["failed" if over else "new", failed[row_id], retry_delay(attempts + 1), row_id],
            )
    return len(done)


async def _refresh_company(
    engine: Engine, company: tuple[str, str], tables: Mapping[str, set[str]]
) -> str | None:
    """Brings one company's records up to date. Returns what went wrong, None where nothing.

    A company that is not connected, or must be connected anew, is no error: once it is,
    polling brings what was missed.
    """
    async with engine.pool.connection() as session:
        connection = await connection_of_company(session, *company)
        if connection is not None:
            await session.execute(
                "insert into sqlsync.observed (connection_id, last_webhook_at)"
                " values (%s, clock_timestamp()) on conflict (connection_id)"
                " do update set last_webhook_at = excluded.last_webhook_at",
                [connection.id],
            )
    if connection is None:
        log.info("A webhook names company %s of %s, which is not connected", company[1], company[0])
        return None
    try:
        provider = await engine.providers.for_connection(connection.id)
        enabled = await _enabled(engine, connection)
        for spec in provider.catalog.objects:
            if spec.table in tables and spec.table in enabled:
                await refresh(
                    engine,
                    connection,
                    provider,
                    spec,
                    sorted(tables[spec.table]),
                    noticed_by="webhook",
                )
    except NeedsReauth as error:
        await needs_reauth(engine, connection, error)
        return None
    except SqlsyncError as error:
        log.error("%s: a webhook could not be followed: %s", connection.name, error)
        return str(error)
    return None


async def _enabled(engine: Engine, connection: Connection) -> set[str]:
    """Objects mirrored and not paused."""
    async with engine.pool.connection() as session:
        rows = await object_rows(session, connection)
    return {row.object for row in rows if row.state != "paused"}


async def drain_refetch(engine: Engine) -> int:
    """Fetches again what was passed over and is due. Returns how many ids were asked for."""
    async with engine.pool.connection() as session:
        found = await session.execute(
            "update sqlsync.refetch r set due_at = clock_timestamp() + interval '30 seconds'"
            " from (select connection_id, table_name, record_id from sqlsync.refetch"
            "       where due_at <= clock_timestamp() order by due_at limit 1000"
            "       for update skip locked) due"
            " where r.connection_id = due.connection_id and r.table_name = due.table_name"
            " and r.record_id = due.record_id"
            " returning r.connection_id, r.table_name, r.record_id, r.noticed_by"
        )
        rows = await found.fetchall()
    groups: dict[tuple[int, str, str], list[str]] = defaultdict(list)
    for connection_id, table, record_id, noticed_by in rows:
        groups[(connection_id, table, noticed_by)].append(record_id)
    for (connection_id, table, noticed_by), ids in groups.items():
        await _refetch(engine, connection_id, table, noticed_by, ids)
    return len(rows)


async def _forget(engine: Engine, connection: Connection, table: str, ids: Sequence[str]) -> None:
    async with engine.pool.connection() as session:
        await session.execute(
            "delete from sqlsync.refetch where connection_id = %s and table_name = %s"
            " and record_id = any(%s)",
            [connection.id, table, list(ids)],
        )


async def _refetch(
    engine: Engine, connection_id: int, table: str, noticed_by: str, ids: Sequence[str]
) -> None:
    async with engine.pool.connection() as session:
        connection = await find_connection(session, connection_id)
    if connection is None or connection.state not in ACTIVE:
        return
    try:
        provider = await engine.providers.for_connection(connection_id)
        spec = provider.catalog.by_table.get(table)
        if table not in await _enabled(engine, connection):  # switched off meanwhile
            await _forget(engine, connection, table, ids)
        elif spec is not None:
            await refresh(engine, connection, provider, spec, ids, noticed_by=noticed_by)
    except NeedsReauth as error:
        await needs_reauth(engine, connection, error)
    except SqlsyncError as error:
        log.warning("%s.%s: %s Tried again in 30 s.", connection.schema_name, table, error)
