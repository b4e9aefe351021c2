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
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from schema.codec import copy_encoder
from schema.model import ObjectSpec
from sqlsync.database import EngineConnection, errors
from sqlsync.mirror.columns import Shape
from sqlsync.mirror.statements import IngestStatements, ingest_statements

log = logging.getLogger(__name__)

BACKFILL = "backfill"
BLOCK_RECORDS = 50  # become COPY text at a time


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
    as_seen: Mapping[str, str | None] | None = None,
) -> IngestResult:
    """Mirrors the records whose JSON texts are `items`; of one id twice, the last one counts.

    noticed_by: backfill | poll | webhook | write | sweep | verify; all but backfill leave rows
    in `_sync_change`. fetched_at: by Postgres' clock, before the provider was asked; a record
    removed since then is not brought back by an older answer.
    children: False leaves the child tables alone.
    as_seen: to repair: what is given was fetched after the mirror held these versions of its
    rows (xmin; None: no row). A row that still is that version is overwritten whatever its own
    columns say; one that is not is passed over.
    """
    if not items:
        return IngestResult()
    records, rejected = copy_encoder(spec).by_id(items)
    whole = ingest_statements(schema_name, spec, children)
    known = await _look(connection, whole, list(records), fetched_at)
    spec = known.shape.narrow(spec)
    statements = ingest_statements(schema_name, spec, children)
    skipped = known.skipped
    if as_seen is not None:
        found = await connection.execute(statements.seen, {"ids": list(records)})
        now: dict[str, str] = dict(await found.fetchall())
        skipped |= {i for i in records if now.get(i) != as_seen.get(i)}
    unwanted = skipped | known.removed
    page = _Page(spec, {i: r for i, r in records.items() if i not in unwanted}, children)
    inserted: Collection[str] = ()
    updated: Collection[str] = ()
    if (
        noticed_by == BACKFILL
        and not known.present
        and await _load_fresh(connection, statements, page)
    ):
        inserted = page.ids
    elif page.records:
        upsert = statements.upsert if as_seen is None else statements.overwrite
        changed = await _upsert(connection, statements, page, upsert)
        inserted = [i for i in changed if i not in known.present]
        updated = [i for i in changed if i in known.present]
        if changed and noticed_by != BACKFILL:
            await _log(connection, statements, inserted, updated, noticed_by)
    reasons = [*(reason for _, reason in rejected), *page.rejected.values()]
    for reason in reasons:
        log.warning("%s.%s: an item of a page is left out: %s", schema_name, spec.table, reason)
    return IngestResult(
        tuple(inserted),
        tuple(updated),
        skipped_ids=tuple(sorted(skipped)),
        ids=tuple(i for i in records if i not in page.rejected),
        rejected=tuple(reasons),
    )


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
    # Planned each time: a plan kept from when the table was small would read all of it.
    found = await connection.execute(
        statements.look, {"ids": list(ids), "at": fetched_at}, prepare=False
    )
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


class _Page:
    """The records to be stored, turned into COPY text block by block: Postgres reads one block
    while the next is made, and a page is in memory once.
    """

    def __init__(self, spec: ObjectSpec, records: Mapping[str, bytes], children: bool) -> None:
        self.records = records
        self.rejected: dict[str, str] = {}  # id -> why the record turned out to be none
        self._encoder = copy_encoder(spec)
        self._children = children

    @property
    def ids(self) -> list[str]:
        return [i for i in self.records if i not in self.rejected]

    async def copy(self, connection: EngineConnection, statement: bytes) -> Mapping[str, bytes]:
        """COPYs the records; returns the text of their child rows, by child table."""
        ids = list(self.records)
        below: dict[str, list[bytes]] = defaultdict(list)
        async with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for start in range(0, len(ids), BLOCK_RECORDS):
                block = ids[start : start + BLOCK_RECORDS]
                rows = self._encoder.rows([self.records[i] for i in block], children=self._children)
                self.rejected |= {block[index]: reason for index, reason in rows.rejected}
                await copy.write(rows.blob)
                for table, blob in rows.children.items():
                    below[table].append(blob)
        return {table: b"".join(blobs) for table, blobs in below.items()}


async def _load_fresh(
    connection: EngineConnection, statements: IngestStatements, page: _Page
) -> bool:
    """COPY straight into the table, where no id of the page was mirrored a moment ago.

    False, and nothing done, where another session was faster with one of them.
    """
    try:
        async with connection.transaction():
            children = await page.copy(connection, statements.copy_fresh)
            for table, statement in statements.copy_fresh_children:
                await _copy(connection, statement, children.get(table, b""))
    except errors.UniqueViolation:
        return False
    return True


async def _upsert(
    connection: EngineConnection, statements: IngestStatements, page: _Page, upsert: bytes
) -> list[str]:
    """Returns the ids of the records that were newer, or new."""
    await connection.execute(statements.stage)
    children = await page.copy(connection, statements.copy_staged)
    rows = await (await connection.execute(upsert)).fetchall()
    changed = [str(row[0]) for row in rows]
    if changed:
        for (table, copy), (clear, insert) in zip(
            statements.copy_staged_children, statements.replace_children, strict=True
        ):
            await connection.execute(clear, [changed])
            if blob := children.get(table, b""):
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
    inserted: Collection[str],
    updated: Collection[str],
    noticed_by: str,
) -> None:
    await connection.execute(
        statements.log, {"inserted": list(inserted), "updated": list(updated), "by": noticed_by}
    )
