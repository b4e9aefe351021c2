"""Fills what was switched on, or came with a new version, from `raw`: no call is made.

sqlsync.fill says what is wanted and how far it is. Each batch is a transaction of its own, so
that rows are held for a moment only, and whoever goes on after a kill goes on behind the last
batch. Any number of processes may fill at once. A row that a client's write holds is left for
the end: what the write brings is whole anyway, and if it is undone the row is still there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

from schema.codec import copy_encoder, copy_statement
from schema.ddl import TablePlan, index_ddl, quote, table_plans
from schema.drift import Fill, fill_from_raw
from schema.model import Catalog, ObjectSpec
from sqlsync.database import EngineConnection, class_row, errors, sql
from sqlsync.mirror.columns import read_shape

BATCH_ROWS = 1000
_BUSY_SECONDS = 0.3

OnProgress = Callable[[str, int, int], None]  # what ("customer.notes"), rows done, rows in all


class Batch(Enum):
    """What came of an attempt."""

    DONE = "done"
    BUSY = "busy"  # others have it, or hold the rows; try again soon
    NOTHING = "nothing"  # nothing is wanted


@dataclass(frozen=True, slots=True)
class _Wish:
    """A row of sqlsync.fill."""

    id: int
    object_name: str
    table_name: str
    columns: list[str] | None
    after_id: str | None
    left_ids: list[str]
    rows_done: int
    rows_total: int

    @property
    def what(self) -> str:
        if self.columns is None:
            return self.table_name
        first, *others = self.columns
        return f"{self.table_name}.{first}" + (f" and {len(others)} more" if others else "")


async def fill_all(
    connection: EngineConnection,
    catalog: Catalog,
    schema_name: str,
    connection_id: int,
    *,
    on_progress: OnProgress | None = None,
    stopping: asyncio.Event | None = None,
) -> int:
    """Fills until nothing is wanted, or `stopping` is set. Returns how many batches that took.

    connection: in the engine's role, in autocommit.
    """
    batches = 0
    while stopping is None or not stopping.is_set():
        outcome = await fill_batch(
            connection, catalog, schema_name, connection_id, on_progress=on_progress
        )
        if outcome is Batch.NOTHING:
            break
        if outcome is Batch.BUSY:
            await asyncio.sleep(_BUSY_SECONDS)
        else:
            batches += 1
    return batches


async def fill_batch(
    connection: EngineConnection,
    catalog: Catalog,
    schema_name: str,
    connection_id: int,
    *,
    rows: int = BATCH_ROWS,
    on_progress: OnProgress | None = None,
) -> Batch:
    """Fills the next `rows` rows of what is wanted first."""
    try:
        async with connection.transaction():
            await connection.execute("set local lock_timeout = '5s'")
            wish = await _take(connection, connection_id)
            if wish is None:
                return await _wanted(connection, connection_id)
            spec = catalog.by_table.get(wish.object_name)
            if spec is None:
                await _finish(connection, schema_name, connection_id, wish, None)
                return Batch.DONE
            outcome = await _go_on(connection, spec, schema_name, connection_id, wish, rows)
    except errors.LockNotAvailable:
        return Batch.BUSY
    if on_progress is not None and outcome is Batch.DONE:
        on_progress(wish.what, min(wish.rows_done + rows, wish.rows_total), wish.rows_total)
    return outcome


async def _take(connection: EngineConnection, connection_id: int) -> _Wish | None:
    async with connection.cursor(row_factory=class_row(_Wish)) as cursor:
        await cursor.execute(
            "select id, object_name, table_name, columns, after_id, left_ids, rows_done,"
            " rows_total from sqlsync.fill where connection_id = %s order by id limit 1"
            " for update skip locked",
            [connection_id],
        )
        return await cursor.fetchone()


async def _wanted(connection: EngineConnection, connection_id: int) -> Batch:
    found = await connection.execute(
        "select exists (select from sqlsync.fill where connection_id = %s)", [connection_id]
    )
    row = await found.fetchone()
    return Batch.BUSY if row and row[0] else Batch.NOTHING


async def _go_on(
    connection: EngineConnection,
    spec: ObjectSpec,
    schema_name: str,
    connection_id: int,
    wish: _Wish,
    rows: int,
) -> Batch:
    table = sql.Identifier(schema_name, spec.table)
    found = await connection.execute(
        sql.SQL("select id from {} where id > %s order by id limit %s").format(table),
        [wish.after_id or "", rows],
    )
    ids = [row[0] for row in await found.fetchall()]
    after, left = (ids[-1], wish.left_ids) if ids else (wish.after_id, wish.left_ids[rows:])
    ids = ids or wish.left_ids[:rows]
    if not ids:
        await _finish(connection, schema_name, connection_id, wish, spec)
        return Batch.DONE
    # Locks the table against a change of its columns, and the rows against a newer record.
    found = await connection.execute(
        sql.SQL(
            "select id, raw::text from {} where id = any(%s) order by id"
            " for no key update skip locked"
        ).format(table),
        [ids],
    )
    held: dict[str, str | None] = dict(await found.fetchall())
    found = await connection.execute(
        sql.SQL("select coalesce(array_agg(id), '{{}}') from {} where id = any(%s)").format(table),
        [[record_id for record_id in ids if record_id not in held]],
    )
    row = await found.fetchone()
    busy = row[0] if row else []
    if raws := [raw.encode() for raw in held.values() if raw is not None]:
        await _put(connection, spec, schema_name, wish, raws, list(held))
    await connection.execute(
        "update sqlsync.fill set after_id = %s, left_ids = %s, rows_done = rows_done + %s"
        " where id = %s",
        [after, [*left, *busy], len(held), wish.id],
    )
    return Batch.DONE if held or not busy else Batch.BUSY


async def _put(
    connection: EngineConnection,
    spec: ObjectSpec,
    schema_name: str,
    wish: _Wish,
    raws: list[bytes],
    ids: list[str],
) -> None:
    """The batch's values, by way of a temporary table."""
    shape = await read_shape(connection, schema_name, spec)
    there = shape.narrow(spec)
    plan = _plan(there, wish.table_name)
    if plan is None:  # the child table was switched off, or is no more
        return
    encoder = copy_encoder(there)
    page = encoder.rows(raws, children=plan.child is not None)
    columns = encoder.columns if plan.child is None else encoder.child_columns[plan.name]
    blob = page.blob if plan.child is None else page.children[plan.name]
    wanted = None
    if wish.columns is not None:
        wanted = tuple(c for c in wish.columns if c in columns)
        if not wanted:
            return
    table = sql.Identifier(schema_name, plan.name)
    name = (
        f"sqlsync_fill_{sha256(repr((schema_name, plan.name, columns)).encode()).hexdigest()[:16]}"
    )
    staging = sql.Identifier("pg_temp", name)
    await connection.execute(
        sql.SQL(
            "create temporary table if not exists {s} on commit delete rows as"
            " select {columns} from {t} limit 0"
        ).format(s=staging, t=table, columns=sql.SQL(", ").join(sql.Identifier(c) for c in columns))
    )
    if blob:
        statement = copy_statement(staging.as_string(None), columns).encode()
        async with connection.cursor() as cursor, cursor.copy(statement) as copy:
            await copy.write(blob)
    if wanted is None and plan.child is not None:
        await connection.execute(
            sql.SQL("delete from {} where {} = any(%s)").format(
                table, sql.Identifier(plan.child.parent_column)
            ),
            [ids],
        )
    await connection.execute(
        fill_from_raw(Fill(plan, wanted), staging.as_string(None), columns, schema_name).encode()
    )


async def _finish(
    connection: EngineConnection,
    schema_name: str,
    connection_id: int,
    wish: _Wish,
    spec: ObjectSpec | None,
) -> None:
    await connection.execute("delete from sqlsync.fill where id = %s", [wish.id])
    await connection.execute(
        sql.SQL(
            "update {}._sync_column c set filling = false where c.table_name = %s and c.filling"
            " and not exists (select from sqlsync.fill f where f.connection_id = %s"
            " and f.table_name = c.table_name"
            " and (f.columns is null or c.column_name = any(f.columns)))"
        ).format(sql.Identifier(schema_name)),
        [wish.table_name, connection_id],
    )
    if spec is None or wish.columns is None:
        return
    # The index that belongs to a column is quicker made once its values are there.
    there = (await read_shape(connection, schema_name, spec)).narrow(spec)
    plan = _plan(there, wish.table_name)
    for name, column in plan.indexes if plan is not None else ():
        if column not in wish.columns or plan is None:
            continue
        found = await connection.execute(
            "select to_regclass(%s) is not null", [quote(schema_name, name)]
        )
        row = await found.fetchone()
        if row is not None and not row[0]:
            await connection.execute(index_ddl(plan, column, schema_name).encode())


def _plan(spec: ObjectSpec, table: str) -> TablePlan | None:
    return next((plan for plan in table_plans(spec) if plan.name == table), None)
