"""Puts what a provider holds into the mirrored tables: the newer version wins.

A page of records becomes COPY text (`schema.codec`), lands in temporary tables of the session,
and from there in the mirror by one guarded upsert in key order. Child rows are replaced only
for records that really became newer. Everything happens in the caller's transaction, on a
connection of the engine's, at READ COMMITTED.

A record is passed over (`skipped_ids`), to be fetched and given again later, where
- a client's write has its row locked: waiting could deadlock, and the write brings it anyway;
- it is not mirrored yet and a create of ours is on its way: the client's own session must be
  the one that inserts it, or its transaction would fail after the provider has said yes.

What is stored goes by the tables as they are: columns and child tables that are switched off
are left out. Looking at the rows locks the table against a change of its columns.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from schema.codec import CopyRows, copy_encoder
from schema.model import ObjectSpec
from schema.rows import record_row
from sqlsync.database import EngineConnection, errors
from sqlsync.mirror.columns import Shape
from sqlsync.mirror.statements import IngestStatements, ingest_statements

log = logging.getLogger(__name__)

BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What a page changed. A record that is in none of the three was not newer.

    ids: of all records given, each once. rejected: what was given and is no record, with the
    reason.
    """

    inserted: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    skipped_ids: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()

    @property
    def changed(self) -> int:
        return len(self.inserted) + len(self.updated)


@dataclass(frozen=True, slots=True)
class RemoveResult:
    """`removed`: rows that left the mirror. `skipped_ids`: locked by a client's write."""

    removed: tuple[str, ...] = ()
    skipped_ids: tuple[str, ...] = ()


async def ingest(
    connection: EngineConnection,
    schema_name: str,
    spec: ObjectSpec,
    items: Sequence[bytes],
    *,
    noticed_by: str,
    fetched_at: datetime | None = None,
    children: bool = True,
) -> IngestResult:
    """Mirrors the records whose JSON texts are `items`; of one id twice, the last one counts.

    noticed_by: backfill | poll | webhook | write | sweep | verify; all but backfill leave rows
    in `_sync_change`. fetched_at: by Postgres' clock, before the provider was asked; a record
    removed since then is not brought back by an older answer.
    children: False leaves the child tables alone.
    """
    if not items:
        return IngestResult()
    whole, spec = spec, _last_shape(schema_name, spec)
    encoder = copy_encoder(spec)
    page = encoder.rows(items, children=children)
    known = await _look(
        connection, ingest_statements(schema_name, whole, children), page.ids, fetched_at
    )
    if (there := known.shape.narrow(whole)) is not spec:
        _shapes[schema_name, id(whole)] = spec = there
        encoder = copy_encoder(spec)
        page = encoder.rows(items, children=children)
    statements = ingest_statements(schema_name, spec, children)
    result = IngestResult(
        skipped_ids=tuple(sorted(known.skipped)),
        ids=page.ids,
        rejected=tuple(reason for _, reason in page.rejected),
    )
    for reason in result.rejected:
        log.warning("%s.%s: an item of a page is left out: %s", schema_name, spec.table, reason)
    if unwanted := known.skipped | known.removed:
        bad = {index for index, _ in page.rejected}
        wanted = [
            item
            for index, item in enumerate(items)
            if index not in bad and record_row(spec, item)["id"] not in unwanted
        ]
        page = encoder.rows(wanted, children=children)
    if not page.ids:
        return result
    fresh = noticed_by == BACKFILL and not known.present
    if fresh and await _load_fresh(connection, statements, page):
        return replace(result, inserted=page.ids)
    changed = await _upsert(connection, statements, page)
    result = replace(
        result,
        inserted=tuple(i for i in changed if i not in known.present),
        updated=tuple(i for i in changed if i in known.present),
    )
    if changed and noticed_by != BACKFILL:
        await _log(connection, statements, result, noticed_by)
    return result


async def remove(
    connection: EngineConnection,
    schema_name: str,
    spec: ObjectSpec,
    record_ids: Collection[str],
    *,
    noticed_by: str,
    children: bool = True,
) -> RemoveResult:
    """Takes records out of the mirror, child rows too; `_sync_change` keeps the last image.

    Ids the mirror does not hold are ignored.
    """
    if not record_ids:
        return RemoveResult()
    statements = ingest_statements(schema_name, spec, children)
    known = await _look(connection, statements, sorted(record_ids), None)
    gone = sorted(known.present - known.skipped)
    if gone:
        for statement in statements.delete_children:
            await connection.execute(statement, [gone])
        await connection.execute(statements.delete, [gone, spec.table, noticed_by])
    return RemoveResult(tuple(gone), tuple(sorted(known.skipped & known.present)))


# By schema and object: the object as its tables held it when last looked at. A guess, so that
# most pages are encoded once; each transaction looks again.
_shapes: dict[tuple[str, int], ObjectSpec] = {}


def _last_shape(schema_name: str, spec: ObjectSpec) -> ObjectSpec:
    return _shapes.get((schema_name, id(spec)), spec)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database says about the ids of a page, before anything is written."""

    present: frozenset[str]  # mirrored; those not skipped are locked now, in key order
    skipped: frozenset[str]
    removed: frozenset[str]  # left the mirror after the provider was asked
    shape: Shape


async def _look(
    connection: EngineConnection,
    statements: IngestStatements,
    ids: Sequence[str],
    fetched_at: datetime | None,
) -> _Known:
    found = await connection.execute(statements.look, {"ids": list(ids), "at": fetched_at})
    row = await found.fetchone()
    if row is None:
        raise AssertionError("a select of aggregates gives one row")
    present, locked, any_create, created, removed, tables, off = row
    here = frozenset(present)
    new = frozenset(ids) - here
    held = new if any_create else new & frozenset(created)
    return _Known(
        here,
        (here - frozenset(locked)) | held,
        frozenset(removed) & new,
        Shape(tables, frozenset(off)),
    )


async def _load_fresh(
    connection: EngineConnection, statements: IngestStatements, page: CopyRows
) -> bool:
    """COPY straight into the table, where no id of the page was mirrored a moment ago.

    False, and nothing done, where another session was faster with one of them.
    """
    try:
        async with connection.transaction():
            await _copy(connection, statements.copy_fresh, page.blob)
            for table, statement in statements.copy_fresh_children:
                await _copy(connection, statement, page.children.get(table, b""))
    except errors.UniqueViolation:
        return False
    return True


async def _upsert(
    connection: EngineConnection, statements: IngestStatements, page: CopyRows
) -> list[str]:
    """Returns the ids of the records that were newer, or new."""
    await connection.execute(statements.stage)
    await _copy(connection, statements.copy_staged, page.blob)
    rows = await (await connection.execute(statements.upsert)).fetchall()
    changed = [str(row[0]) for row in rows]
    if changed:
        for (table, copy), (clear, insert) in zip(
            statements.copy_staged_children, statements.replace_children, strict=True
        ):
            await connection.execute(clear, [changed])
            if blob := page.children.get(table, b""):
                await _copy(connection, copy, blob)
                await connection.execute(insert, [changed])
    return changed


async def _copy(connection: EngineConnection, statement: bytes, blob: bytes) -> None:
    if not blob:
        return
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        await copy.write(blob)


async def _log(
    connection: EngineConnection,
    statements: IngestStatements,
    result: IngestResult,
    noticed_by: str,
) -> None:
    await connection.execute(
        statements.log,
        {
            "inserted": list(result.inserted),
            "updated": list(result.updated),
            "by": noticed_by,
        },
    )
