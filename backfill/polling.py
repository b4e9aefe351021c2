"""Asks a connection's change feed what is new, and mirrors it.

All objects share one call where they can. Where the feed does not reach back to an object's
watermark its history is read anew, with a sweep. Each object's rows and watermark are one
transaction, so that an error of one leaves the others as they should be.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from backfill.bookkeeping import (
    ObjectRow,
    database_time,
    note_changes,
    note_error,
    note_polled,
    object_rows,
    poll_wanted_at,
    postpone,
    want_history,
    written_lately,
)
from backfill.connections import Connection
from backfill.fence import Ownership, hold
from backfill.options import Engine
from backfill.refresh import refresh
from backfill.schedule import Feed, affected, feeds_due, refused_wait
from backfill.windows import (
    HistoryNeeded,
    Question,
    Suspicious,
    changes_window,
    halves,
    questions,
    sweep_decision,
)
from schema.model import ObjectSpec
from sqlsync.database import sql
from sqlsync.errors import HistoryTooOld, ProviderRefusal
from sqlsync.mirror.ingest import ingest, remove
from sqlsync.providers.base import Changes, Provider, Record, Tombstone

log = logging.getLogger(__name__)

ERROR_WAIT_SECONDS = 300.0
_TOLD_LATELY = timedelta(hours=6)


async def poll_changes(
    engine: Engine, connection: Connection, provider: Provider, owner: Ownership
) -> int:
    """Brings the connection's objects up to date. Returns how many rows changed.

    Raises ProviderUnavailable (and its kin) where the provider cannot be asked at all, Fenced
    where the job is no longer ours.
    """
    async with engine.pool.connection() as session:
        rows = await object_rows(session, connection)
        now = await database_time(session)  # good enough for a horizon of weeks
        wanted = await poll_wanted_at(session, connection)
        written = await written_lately(session, connection, _affecting(provider))
    touched = affected(provider.catalog.objects, written)
    rows = [row for row in rows if _polled(row, provider, now)]
    feeds = [_feed(row, provider, now, wanted, touched.get(row.object)) for row in rows]
    due = set(feeds_due(feeds, now, provider.calls_left(), engine.options.pace))
    starts: dict[str, datetime] = {}
    too_old: list[str] = []
    for row in rows:
        if row.object not in due or row.watermark is None:
            continue
        window = changes_window(
            row.watermark, now, overlap=engine.options.overlap, horizon=engine.options.horizon
        )
        if isinstance(window, HistoryNeeded):
            too_old.append(row.object)
        else:
            starts[row.object] = window.start
    if too_old:
        await _read_anew(engine, connection, too_old, "its watermark is older than the feed")
    changed = 0
    for question in questions(starts, tolerance=engine.options.overlap):
        changed += await _ask(engine, connection, provider, owner, question)
    return changed


def _polled(row: ObjectRow, provider: Provider, now: datetime) -> bool:
    """Not while it waits after a refusal: asking would split the question for all others."""
    spec = provider.catalog.by_table.get(row.object)
    return (
        spec is not None
        and spec.change_feed != "none"
        and row.finished_at is not None
        and row.state in ("live", "error")
        and (row.next_run_at is None or row.next_run_at <= now)
    )


def _affecting(provider: Provider) -> list[str]:
    return [spec.table for spec in provider.catalog.objects if "affects" in spec.extra]


def _feed(
    row: ObjectRow,
    provider: Provider,
    now: datetime,
    wanted: datetime | None,
    touched: datetime | None,
) -> Feed:
    """touched: when a write of ours to another table changed records of this one."""
    spec = provider.catalog.by_table[row.object]
    told = row.last_webhook_at is not None and row.last_webhook_at > now - _TOLD_LATELY
    # A poll from before its history was read says nothing of what changed since; nor does one
    # from before somebody asked for a poll, or from before a write, unless webhooks tell of it.
    since = (row.finished_at, wanted, None if told else touched)
    polled = row.last_poll_at
    if polled is not None and any(at and polled <= at for at in since):
        polled = None
    return Feed(
        row.object,
        provider.poll_calls(spec, row.rows_done or 0),
        polled,
        row.last_change_at,
        told=told,
    )


async def _read_anew(
    engine: Engine, connection: Connection, tables: Sequence[str], why: str
) -> None:
    async with engine.pool.connection() as session, session.transaction():
        await want_history(session, connection, tables)
    for table in tables:
        log.warning("%s.%s is read anew: %s", connection.schema_name, table, why)


async def _ask(
    engine: Engine,
    connection: Connection,
    provider: Provider,
    owner: Ownership,
    question: Question,
) -> int:
    """One question, or its halves where one of its objects is refused. Returns rows changed."""
    specs = [provider.catalog.by_table[table] for table in question.tables]
    async with engine.pool.connection() as session:
        fetched_at = await database_time(session)
    try:
        answer = await provider.changes(specs, question.since)
    except HistoryTooOld as error:
        await _read_anew(engine, connection, question.tables, str(error))
        return 0
    except ProviderRefusal as refusal:
        return await _refused(engine, connection, provider, owner, question, refusal)
    for table, reason in answer.refused.items():
        await _tell_refusal(engine, connection, table, reason)
    told = [spec for spec in specs if spec.table not in answer.refused]
    changed = await _apply(engine, connection, owner, told, answer, fetched_at)
    for spec in told:
        if spec.table in answer.incomplete_tables:
            await _check_count(engine, connection, provider, spec)
        if spec.table in answer.whole_tables:
            changed += await _drop_missing(engine, connection, provider, spec, answer)
    return changed


async def _refused(
    engine: Engine,
    connection: Connection,
    provider: Provider,
    owner: Ownership,
    question: Question,
    refusal: ProviderRefusal,
) -> int:
    """Finds the object that the provider will not tell about; the others go on."""
    parts = halves(question.tables)
    if parts is None:
        await _tell_refusal(engine, connection, question.tables[0], refusal)
        return 0
    changed = 0
    for tables in parts:
        part = Question(tuple(tables), question.since)
        changed += await _ask(engine, connection, provider, owner, part)
    return changed


async def _tell_refusal(
    engine: Engine, connection: Connection, table: str, refusal: ProviderRefusal
) -> None:
    """In `_sync_cdc`, and once in the log: it is asked again and again, mostly in vain."""
    wait = refused_wait(refusal, ERROR_WAIT_SECONDS)
    async with engine.pool.connection() as session:
        news = await note_error(session, connection, table, str(refusal), wait_seconds=wait)
    level = logging.ERROR if news else logging.DEBUG
    log.log(level, "%s.%s: %s", connection.schema_name, table, refusal)


async def _drop_missing(
    engine: Engine,
    connection: Connection,
    provider: Provider,
    spec: ObjectSpec,
    answer: Changes,
) -> int:
    """The answer held every record there is: rows it lacks are asked for by id, and leave.

    A suspiciously short answer drops nothing: the history is read anew, with its own sweep.
    """
    seen = [record.id for record in answer.records if record.table == spec.table]
    async with engine.pool.connection() as session:
        found = await session.execute(
            sql.SQL(
                "select (select count(*) from {table}),"
                " (select coalesce(array_agg(id order by id), '{{}}') from {table}"
                "  where not id = any(%s))"
            ).format(table=sql.Identifier(connection.schema_name, spec.table)),
            [seen],
        )
        row = await found.fetchone()
    if row is None or not row[1]:
        return 0
    decision = sweep_decision(row[0], row[1], len(seen), len(seen))
    if isinstance(decision, Suspicious):
        await _read_anew(engine, connection, [spec.table], decision.reason)
        return 0
    done = await refresh(engine, connection, provider, spec, decision.ids, noticed_by="poll")
    return done.changed + done.removed


async def _check_count(
    engine: Engine, connection: Connection, provider: Provider, spec: ObjectSpec
) -> None:
    """After more changes than the feed can hold: were there deletions it did not tell of?

    The records that changed have been asked for by time and are mirrored. If we hold as many
    as the provider counts, none is missing; else the history is read anew, with a sweep.
    """
    counted = await provider.count(spec)
    async with engine.pool.connection() as session:
        found = await session.execute(
            sql.SQL("select count(*) from {}").format(
                sql.Identifier(connection.schema_name, spec.table)
            )
        )
        row = await found.fetchone()
    if counted is None or row is None or row[0] != counted:
        why = "more changed than the change feed can tell, and the numbers of records differ"
        await _read_anew(engine, connection, [spec.table], why)


async def _apply(
    engine: Engine,
    connection: Connection,
    owner: Ownership,
    specs: Sequence[ObjectSpec],
    answer: Changes,
    fetched_at: datetime,
) -> int:
    records: dict[str, list[Record]] = defaultdict(list)
    tombstones: dict[str, list[Tombstone]] = defaultdict(list)
    for record in answer.records:
        records[record.table].append(record)
    for tombstone in answer.tombstones:
        tombstones[tombstone.table].append(tombstone)
    changed = 0
    quiet: list[str] = []
    for spec in sorted(specs, key=lambda s: (s.rank, s.table)):
        if records[spec.table] or tombstones[spec.table]:
            changed += await _apply_one(
                engine,
                connection,
                owner,
                spec,
                records[spec.table],
                tombstones[spec.table],
                answer.at,
                fetched_at,
            )
        else:
            quiet.append(spec.table)
    if quiet:
        async with engine.pool.connection() as session, session.transaction():
            await hold(session, owner)
            await note_polled(session, connection, quiet, answer.at, fetched_at)
    return changed


async def _apply_one(
    engine: Engine,
    connection: Connection,
    owner: Ownership,
    spec: ObjectSpec,
    records: Sequence[Record],
    tombstones: Sequence[Tombstone],
    answered_at: datetime,
    fetched_at: datetime,
) -> int:
    gone = {t.id for t in tombstones}
    newest = max((r.updated_at for r in records if r.updated_at is not None), default=None)
    async with engine.pool.connection() as session, session.transaction():
        await hold(session, owner)
        result = await ingest(
            session,
            connection.schema_name,
            spec,
            [r.raw for r in records if r.id not in gone],
            noticed_by="poll",
            fetched_at=fetched_at,
            children=engine.options.children,
        )
        removal = await remove(
            session,
            connection.schema_name,
            spec,
            gone,
            noticed_by="poll",
            children=engine.options.children,
        )
        skipped = (*result.skipped_ids, *removal.skipped_ids)
        await postpone(session, connection, spec.table, skipped, "poll")
        await note_changes(
            session, connection, spec.table, result, removed=len(removal.removed), newest=newest
        )
        await note_polled(session, connection, [spec.table], answered_at, fetched_at)
    return result.changed + len(removal.removed)
