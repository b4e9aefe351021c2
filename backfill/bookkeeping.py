"""The engine's own record of where each object stands: `_sync_cdc` and the rows behind it.

Callers pass a connection and keep the transaction. Who locks more than one row takes them in
this order, or two processes wait for each other: objects' rows by name (`lock_objects`), then
their rows of sqlsync.reading.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from backfill.connections import Connection
from backfill.schedule import ObjectStanding, ObjectState, Written
from schema.model import Catalog
from sqlsync.channels import WORK_CHANNEL
from sqlsync.database import EngineConnection, class_row, sql
from sqlsync.mirror.ingest import IngestResult


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """A row of `_sync_cdc`."""

    object: str
    state: str
    cursor: str | None
    rows_done: int | None
    rows_total: int | None
    finished_at: datetime | None
    watermark: datetime | None
    last_poll_at: datetime | None
    last_webhook_at: datetime | None
    last_change_at: datetime | None
    error: str | None
    next_run_at: datetime | None


def on_cdc(connection: Connection, statement: str) -> bytes:
    """Puts the name of the connection's `_sync_cdc` where `{cdc}` stands."""
    name = sql.Identifier(connection.schema_name, "_sync_cdc").as_string(None)
    return statement.replace("{cdc}", name).encode()


async def database_time(session: EngineConnection) -> datetime:
    """Postgres' clock. What happened after it, happened after this call began."""
    row = await (await session.execute("select clock_timestamp()")).fetchone()
    if row is None:
        raise AssertionError("a select without a table gives one row")
    moment: datetime = row[0]
    return moment


async def object_rows(session: EngineConnection, connection: Connection) -> list[ObjectRow]:
    """All objects of a connection; empty where its tables are not made yet."""
    found = await session.execute(
        "select to_regclass(format('%%I.%%I', %s::text, '_sync_cdc')) is not null",
        [connection.schema_name],
    )
    row = await found.fetchone()
    if row is None or not row[0]:
        return []
    async with session.cursor(row_factory=class_row(ObjectRow)) as cursor:
        await cursor.execute(
            on_cdc(
                connection,
                "select object, state, cursor, rows_done, rows_total, finished_at, watermark,"
                " last_poll_at, last_webhook_at, last_change_at, error, next_run_at"
                " from {cdc} order by object",
            )
        )
        return await cursor.fetchall()


def standings(rows: Collection[ObjectRow], catalog: Catalog) -> list[ObjectStanding]:
    """The rows as the scheduler judges them; objects the catalog does not know are left out."""
    return [
        ObjectStanding(
            row.object,
            catalog.by_table[row.object].rank,
            ObjectState(row.state),
            row.finished_at is not None,
            row.next_run_at,
        )
        for row in rows
        if row.object in catalog.by_table
    ]


async def lock_objects(
    session: EngineConnection, connection: Connection, tables: Collection[str] | None
) -> None:
    """Takes the rows of these objects (None: all), until the transaction ends."""
    await session.execute(
        on_cdc(
            connection,
            "select from {cdc} where %(all)s or object = any(%(tables)s)"
            " order by object for no key update",
        ),
        {"all": tables is None, "tables": list(tables or [])},
    )


async def note_changes(
    session: EngineConnection,
    connection: Connection,
    table: str,
    result: IngestResult,
    *,
    removed: int = 0,
    newest: datetime | None = None,
    webhook: bool = False,
) -> None:
    """After changes of one object arrived. newest: when the latest of them was made."""
    await session.execute(
        on_cdc(
            connection,
            "update {cdc} set"
            " last_change_at = case when %(changed)s then clock_timestamp()"
            " else last_change_at end,"
            " lag_seconds = case when %(changed)s and %(newest)s::timestamptz is not null then"
            " greatest(0, round(extract(epoch from clock_timestamp() - %(newest)s), 3))"
            " else lag_seconds end,"
            " last_webhook_at = case when %(webhook)s then clock_timestamp()"
            " else last_webhook_at end,"
            " updated_at = clock_timestamp() where object = %(object)s",
        ),
        {
            "changed": bool(result.changed or removed),
            "newest": newest,
            "webhook": webhook,
            "object": table,
        },
    )


async def note_polled(
    session: EngineConnection,
    connection: Connection,
    tables: Collection[str],
    watermark: datetime,
    asked_at: datetime,
) -> None:
    """All changes of these objects before `watermark` are mirrored.

    watermark: by the provider's clock. asked_at: by ours, before it was asked.
    """
    await lock_objects(session, connection, tables)
    await session.execute(
        on_cdc(
            connection,
            "update {cdc} set watermark = greatest(watermark, %(at)s),"
            " last_poll_at = %(asked_at)s, updated_at = clock_timestamp(),"
            " state = case when state = 'error' and finished_at is not null then 'live'"
            " else state end,"
            " error = case when finished_at is not null then null else error end,"
            " next_run_at = case when finished_at is not null then null else next_run_at end"
            " where object = any(%(tables)s)",
        ),
        {"at": watermark, "asked_at": asked_at, "tables": list(tables)},
    )


async def poll_wanted_at(session: EngineConnection, connection: Connection) -> datetime | None:
    """When somebody asked for a poll of every object last."""
    found = await session.execute(
        "select wanted_at from sqlsync.poll where connection_id = %s", [connection.id]
    )
    row = await found.fetchone()
    return row[0] if row is not None else None


async def written_lately(
    session: EngineConnection, connection: Connection, tables: Collection[str]
) -> list[Written]:
    """The last write to each of these tables, of the last quarter of an hour."""
    found = await session.execute(
        "select j.table_name, max(j.updated_at), array_agg(distinct m.name) from sqlsync.journal j,"
        " lateral (select e.key as name"
        "   from jsonb_each(coalesce(j.before, '{}') || coalesce(j.answer, '{}')) e"
        "   where e.value not in ('null', '[]', '\"\"')"
        "   union all select jsonb_object_keys(j.fields)) m"
        " where j.connection_id = %s and j.table_name = any(%s)"
        " and j.created_at > clock_timestamp() - interval '15 minutes'"
        " and j.state in ('mirrored', 'undone', 'parked') group by j.table_name",
        [connection.id, list(tables)],
    )
    return [Written(row[0], row[1], frozenset(row[2])) for row in await found.fetchall()]


async def note_error(
    session: EngineConnection,
    connection: Connection,
    table: str,
    message: str,
    *,
    wait_seconds: float,
    state: ObjectState | None = ObjectState.ERROR,
) -> bool:
    """The object could not be read. It is tried again after `wait_seconds`.

    state None: nothing is wrong with it, it only has to wait (the provider's limits). Returns
    whether this is news: the same was not said of it before.
    """
    found = await session.execute(
        on_cdc(
            connection,
            "with before as (select error from {cdc} where object = %(object)s)"
            " update {cdc} set state = coalesce(%(state)s, state), error = %(message)s,"
            " next_run_at = clock_timestamp() + %(wait)s * interval '1 second',"
            " updated_at = clock_timestamp() where object = %(object)s and state <> 'paused'"
            " returning (select b.error is distinct from %(message)s from before b)",
        ),
        {
            "state": None if state is None else state.value,
            "message": message,
            "wait": wait_seconds,
            "object": table,
        },
    )
    row = await found.fetchone()
    return row is None or bool(row[0])


async def postpone(
    session: EngineConnection,
    connection: Connection,
    table: str,
    record_ids: Collection[str],
    noticed_by: str,
) -> None:
    """Remembers records that were passed over, to be fetched again soon."""
    if not record_ids:
        return
    await session.execute(
        "insert into sqlsync.refetch as r"
        " (connection_id, table_name, record_id, noticed_by, due_at)"
        " select %s, %s, id, %s, clock_timestamp() + interval '0.3 seconds'"
        " from unnest(%s::text[]) id"
        " on conflict (connection_id, table_name, record_id) do update set"
        " attempts = r.attempts + 1, due_at = clock_timestamp()"
        " + least(30, 0.3 * 2 ^ least(r.attempts + 1, 10)) * interval '1 second'",
        [connection.id, table, noticed_by, sorted(record_ids)],
    )


async def want_history(
    session: EngineConnection, connection: Connection, tables: Collection[str] | None
) -> list[str]:
    """Asks for the history of these objects (None: all) to be read anew, from the start.

    A reading under way is given up at its next page. The tables stay readable meanwhile.
    Returns the objects asked for. To be called in a transaction.
    """
    await lock_objects(session, connection, tables)
    rows = await session.execute(
        on_cdc(
            connection,
            "update {cdc} set state = 'pending', cursor = null, rows_done = 0, rows_total = null,"
            " started_at = null, finished_at = null, error = null, next_run_at = null,"
            " updated_at = clock_timestamp()"
            " where (%(all)s or object = any(%(tables)s)) and state <> 'paused' returning object",
        ),
        {"all": tables is None, "tables": list(tables or [])},
    )
    wanted = sorted(str(row[0]) for row in await rows.fetchall())
    await session.execute(
        "delete from sqlsync.reading where connection_id = %s and table_name = any(%s)",
        [connection.id, wanted],
    )
    await session.execute("select pg_notify(%s, '')", [WORK_CHANNEL])
    return wanted
