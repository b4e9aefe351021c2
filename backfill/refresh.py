"""Brings single records up to date, whatever was said about them.

A webhook, a tombstone, a sweep and a record passed over before all end here: the provider is
asked for the records by id; those it has are mirrored, those it has not leave the mirror. So
events may come twice, late, in any order, or be wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backfill.bookkeeping import database_time, note_changes, postpone
from backfill.connections import Connection
from backfill.fence import be_mortal
from backfill.options import Engine
from schema.model import ObjectSpec
from sqlsync.mirror.ingest import ingest, remove
from sqlsync.providers.base import Provider


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How many rows came, changed or left; and the ids that have to be fetched once more."""

    changed: int = 0
    removed: int = 0
    skipped_ids: tuple[str, ...] = ()


async def refresh(
    engine: Engine,
    connection: Connection,
    provider: Provider,
    spec: ObjectSpec,
    record_ids: Sequence[str],
    *,
    noticed_by: str,
) -> Refreshed:
    """Mirrors the records as the provider holds them now. Raises ProviderError.

    Those passed over are remembered in sqlsync.refetch, those dealt with are taken from it.
    """
    wanted = sorted(set(record_ids))
    if not wanted:
        return Refreshed()
    async with engine.pool.connection() as session:
        fetched_at = await database_time(session)
    records = await provider.fetch_many(spec, wanted)
    gone = sorted(set(wanted) - {record.id for record in records})
    newest = max((r.updated_at for r in records if r.updated_at is not None), default=None)
    async with engine.pool.connection() as session, session.transaction():
        await be_mortal(session)
        result = await ingest(
            session,
            connection.schema_name,
            spec,
            [record.raw for record in records],
            noticed_by=noticed_by,
            fetched_at=fetched_at,
            children=engine.options.children,
        )
        removal = await remove(
            session,
            connection.schema_name,
            spec,
            gone,
            noticed_by=noticed_by,
            children=engine.options.children,
        )
        skipped = (*result.skipped_ids, *removal.skipped_ids)
        await session.execute(
            "delete from sqlsync.refetch where connection_id = %s and table_name = %s"
            " and record_id = any(%s) and not record_id = any(%s)",
            [connection.id, spec.table, wanted, list(skipped)],
        )
        await postpone(session, connection, spec.table, skipped, noticed_by)
        await note_changes(
            session,
            connection,
            spec.table,
            result,
            removed=len(removal.removed),
            newest=newest,
            webhook=noticed_by == "webhook",
        )
    return Refreshed(result.changed, len(removal.removed), skipped)
