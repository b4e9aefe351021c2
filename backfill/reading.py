"""Reads the whole history of one object, page by page, into the mirror.

The next page is asked for when the one before is stored and the cursor has moved behind it.
So a reading that was killed goes on behind its last page, and at most one is fetched twice.
The watermark is the provider's clock from before the first page: what changes meanwhile is
brought by the first poll.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from backfill.bookkeeping import database_time, lock_objects, on_cdc
from backfill.connections import Connection
from backfill.fence import Fenced, Ownership, hold
from backfill.options import Engine
from backfill.refresh import refresh
from backfill.storing import store_page
from backfill.windows import Gone, Suspicious, sweep_decision
from schema.model import ObjectSpec
from sqlsync.channels import POLL_CHANNEL
from sqlsync.database import EngineConnection, class_row, sql
from sqlsync.errors import SqlsyncError
from sqlsync.mirror.ingest import BACKFILL
from sqlsync.providers.base import Provider

log = logging.getLogger(__name__)


class SweepStopped(SqlsyncError):
    """A reading lacked so much that it is not believed. Nothing was removed."""

    def __init__(self, reason: str, connection: Connection, table: str) -> None:
        super().__init__(
            f"{reason} Nothing was removed. If it is true:"
            f" sqlsync backfill {connection.name} --object {table} --accept-missing"
        )


@dataclass(frozen=True, slots=True)
class _Reading:
    """A row of sqlsync.reading, with the cursor of its object."""

    number: int
    sweeping: bool
    counted: int | None
    rows_seen: int
    paged: bool
    cursor: str | None


async def read_history(
    engine: Engine, connection: Connection, provider: Provider, spec: ObjectSpec, owner: Ownership
) -> None:
    """Reads `spec` to the end, or until the worker is told to stop.

    Raises ProviderError, SweepStopped, or Fenced where the job is no longer ours. What was
    committed stands.
    """
    reading = await _load(engine, connection, spec)
    if reading is None:
        reading = await _begin(engine, connection, provider, spec, owner)
    # Where there is no feed at all, only a reading notices changes: then it says so.
    noticed_by = "sweep" if reading.sweeping and spec.change_feed == "none" else BACKFILL
    cursor, paged = reading.cursor, reading.paged
    while not paged:
        if engine.stopping.is_set():
            return
        async with engine.pool.connection() as session:
            fetched_at = await database_time(session)
        page = await provider.fetch_page(spec, cursor)
        await store_page(
            engine,
            connection,
            spec,
            owner,
            page.items,
            noticed_by=noticed_by,
            fetched_at=fetched_at,
            finish=partial(_advance, connection, spec, reading, page.next_cursor),
        )
        cursor, paged = page.next_cursor, page.next_cursor is None
    if reading.sweeping:
        await _sweep(engine, connection, provider, spec, owner, reading.number)


async def _load(engine: Engine, connection: Connection, spec: ObjectSpec) -> _Reading | None:
    async with (
        engine.pool.connection() as session,
        session.cursor(row_factory=class_row(_Reading)) as cursor,
    ):
        await cursor.execute(
            on_cdc(
                connection,
                "select r.number, r.sweeping, r.counted, r.rows_seen, r.paged, c.cursor"
                " from sqlsync.reading r join {cdc} c on c.object = r.table_name"
                " where r.connection_id = %s and r.table_name = %s",
            ),
            [connection.id, spec.table],
        )
        return await cursor.fetchone()


async def _begin(
    engine: Engine, connection: Connection, provider: Provider, spec: ObjectSpec, owner: Ownership
) -> _Reading:
    watermark = await provider.now()
    counted = await provider.count(spec)
    async with engine.pool.connection() as session, session.transaction():
        await hold(session, owner)
        await lock_objects(session, connection, [spec.table])
        found = await session.execute(
            sql.SQL(
                "insert into sqlsync.reading (connection_id, table_name, sweeping, counted)"
                " values (%s, %s, exists (select from {table}), %s) returning number, sweeping"
            ).format(table=sql.Identifier(connection.schema_name, spec.table)),
            [connection.id, spec.table, counted],
        )
        row = await found.fetchone()
        if row is None:
            raise AssertionError("an insert of one row returns it")
        await session.execute(
            "delete from sqlsync.seen where connection_id = %s and table_name = %s",
            [connection.id, spec.table],
        )
        begun = await session.execute(
            on_cdc(
                connection,
                "update {cdc} set state = 'backfilling', cursor = null, rows_done = 0,"
                " rows_total = %s, started_at = clock_timestamp(), finished_at = null,"
                " watermark = %s, error = null, next_run_at = null,"
                " updated_at = clock_timestamp() where object = %s and state <> 'paused'",
            ),
            [counted, watermark, spec.table],
        )
        if begun.rowcount == 0:
            raise Fenced(f"{spec.table} was switched off.")
    return _Reading(row[0], row[1], counted, 0, False, None)


async def _advance(
    connection: Connection,
    spec: ObjectSpec,
    reading: _Reading,
    next_cursor: str | None,
    session: EngineConnection,
    ids: Sequence[str],
) -> None:
    """Moves the cursor behind a page, whose records are `ids`."""
    last = next_cursor is None
    await lock_objects(session, connection, [spec.table])
    moved = await session.execute(
        "update sqlsync.reading set rows_seen = rows_seen + %s, paged = %s, failures = 0"
        " where connection_id = %s and table_name = %s and number = %s",
        [len(ids), last, connection.id, spec.table, reading.number],
    )
    if moved.rowcount == 0:
        raise Fenced(f"The history of {spec.table} was asked for anew.")
    if reading.sweeping:
        await session.execute(
            "insert into sqlsync.seen (connection_id, table_name, record_id)"
            " select %s, %s, id from unnest(%s::text[]) id on conflict do nothing",
            [connection.id, spec.table, list(ids)],
        )
    await session.execute(
        on_cdc(
            connection,
            "update {cdc} set state = 'backfilling', rows_done = coalesce(rows_done, 0) + %s,"
            " rows_total = greatest(rows_total, coalesce(rows_done, 0) + %s), cursor = %s,"
            " error = null, next_run_at = null, updated_at = clock_timestamp()"
            " where object = %s",
        ),
        [len(ids), len(ids), next_cursor, spec.table],
    )
    if last and not reading.sweeping:
        await _finish(session, connection, spec)


async def _finish(session: EngineConnection, connection: Connection, spec: ObjectSpec) -> None:
    await session.execute(
        on_cdc(
            connection,
            "update {cdc} set state = 'live', cursor = null, finished_at = clock_timestamp(),"
            " error = null, next_run_at = null, updated_at = clock_timestamp() where object = %s",
        ),
        [spec.table],
    )
    # Changes made meanwhile come at once, not at the next regular poll.
    await session.execute("select pg_notify(%s, %s)", [POLL_CHANNEL, str(connection.id)])


async def _sweep(
    engine: Engine,
    connection: Connection,
    provider: Provider,
    spec: ObjectSpec,
    owner: Ownership,
    number: int,
) -> None:
    """Removes the rows that a complete reading lacked and the provider does not know by id."""
    async with engine.pool.connection() as session:
        found = await session.execute(
            sql.SQL(
                "select (select count(*) from {table}),"
                " (select r.rows_seen from sqlsync.reading r"
                "  where r.connection_id = %(id)s and r.table_name = %(table)s"
                "  and r.number = %(number)s),"
                " (select coalesce(array_agg(t.id order by t.id), '{{}}') from {table} t"
                "  where not exists (select from sqlsync.seen s where s.connection_id = %(id)s"
                "  and s.table_name = %(table)s and s.record_id = t.id)),"
                " exists (select from sqlsync.accepted_sweep a where a.connection_id = %(id)s"
                "  and a.table_name = %(table)s)"
            ).format(table=sql.Identifier(connection.schema_name, spec.table)),
            {"id": connection.id, "table": spec.table, "number": number},
        )
        row = await found.fetchone()
    if row is None or row[1] is None:
        raise Fenced(f"The history of {spec.table} was asked for anew.")
    mirrored, seen, missing, accepted = row
    counted = await provider.count(spec) if missing else None
    decision = sweep_decision(mirrored, missing, seen, counted)
    if isinstance(decision, Suspicious):
        if not accepted:
            raise SweepStopped(decision.reason, connection, spec.table)
        log.warning("%s.%s: accepted: %s", connection.schema_name, spec.table, decision.reason)
        decision = Gone(tuple(missing))
    for start in range(0, len(decision.ids), 500):
        await refresh(
            engine,
            connection,
            provider,
            spec,
            decision.ids[start : start + 500],
            noticed_by="sweep",
        )
    async with engine.pool.connection() as session, session.transaction():
        await hold(session, owner)
        await session.execute(
            "delete from sqlsync.seen where connection_id = %s and table_name = %s",
            [connection.id, spec.table],
        )
        await session.execute(
            "delete from sqlsync.accepted_sweep where connection_id = %s and table_name = %s",
            [connection.id, spec.table],
        )
        await _finish(session, connection, spec)
    if decision.ids:
        log.info(
            "%s.%s: the sweep looked at %d records no longer listed",
            connection.schema_name,
            spec.table,
            len(decision.ids),
        )
