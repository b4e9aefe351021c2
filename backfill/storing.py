"""Puts a page of a history into the mirror: in parts, at the same time.

Postgres takes longer to make jsonb of a record than all else takes together, and a session of
its keeps to one core. So the parts of a page are stored by sessions of their own, each in a
transaction under the job's fence. The last one waits for the others' commits and moves the
cursor in its own: where that commits, the page is there whole; where it does not, the page is
stored again, and what is there already is not newer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from backfill.bookkeeping import postpone
from backfill.connections import Connection
from backfill.fence import Ownership, hold
from backfill.options import Engine
from schema.codec import copy_encoder
from schema.model import ObjectSpec
from sqlsync.database import EngineConnection
from sqlsync.mirror.ingest import BACKFILL, ingest

PARTS = 2
PART_RECORDS = 100  # at least: below, a second transaction costs more than it saves

# Called in the last transaction of a page, with the ids of its records.
Finish = Callable[[EngineConnection, Sequence[str]], Awaitable[None]]


async def store_page(
    engine: Engine,
    connection: Connection,
    spec: ObjectSpec,
    owner: Ownership,
    items: Sequence[bytes],
    *,
    noticed_by: str,
    fetched_at: datetime,
    finish: Finish,
) -> None:
    """Stores the records and calls `finish` in the transaction that commits last.

    Raises Fenced where the job is no longer ours; parts of the page may be stored then.
    """

    async def store(session: EngineConnection, part: Sequence[bytes]) -> tuple[str, ...]:
        await hold(session, owner)
        # A crash of Postgres may lose the last commits: never one before the one behind it.
        await session.execute("set local synchronous_commit = off")
        result = await ingest(
            session,
            connection.schema_name,
            spec,
            part,
            noticed_by=noticed_by,
            fetched_at=fetched_at,
            children=engine.options.children,
        )
        await postpone(session, connection, spec.table, result.skipped_ids, BACKFILL)
        return result.ids

    async def store_and_commit(part: Sequence[bytes]) -> tuple[str, ...]:
        async with engine.pool.connection() as session, session.transaction():
            return await store(session, part)

    *parts, last = _parts(spec, items)
    others = [asyncio.create_task(store_and_commit(part)) for part in parts]
    try:
        async with engine.pool.connection() as session, session.transaction():
            ids = await store(session, last)
            for other in others:
                ids += await other
            await finish(session, ids)
    finally:
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _parts(spec: ObjectSpec, items: Sequence[bytes]) -> list[Sequence[bytes]]:
    """One or more of about the same size. An id is in one of them only, or they would wait
    for each other.
    """
    records, rejected = copy_encoder(spec).by_id(items)
    distinct = [*records.values(), *(item for item, _ in rejected)]
    size = max(PART_RECORDS, -(-len(distinct) // PARTS))
    return [distinct[start : start + size] for start in range(0, max(1, len(distinct)), size)]
