"""Computing a stored report: one call to the provider, its rows replaced in one transaction.

What goes wrong is written into the report's own row of `_sync_report`, where its earlier rows
stay readable; no other report and no table is held up by it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from backfill.connections import Connection
from backfill.fence import Ownership, hold
from backfill.options import Engine
from backfill.report_schedule import ReportRun
from backfill.schedule import retry_delay
from schema.report_model import ReportSpec
from sqlsync.database import EngineConnection, class_row, sql
from sqlsync.errors import ProviderRefusal, RateLimited
from sqlsync.mirror.reports import store_report
from sqlsync.providers.base import Provider

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A stored run and what it is asked with."""

    id: int
    report: str
    parameters: Mapping[str, Any]
    scheduled: bool


def _on(connection: Connection, statement: str) -> bytes:
    """Puts the name of the connection's `_sync_report` where `{runs}` stands."""
    name = sql.Identifier(connection.schema_name, "_sync_report").as_string(None)
    return statement.replace("{runs}", name).encode()


async def report_runs(session: EngineConnection, connection: Connection) -> list[ReportRun]:
    """All stored runs of a connection; empty where its tables are not made yet."""
    if not await _has_tables(session, connection):
        return []
    async with session.cursor(row_factory=class_row(ReportRun)) as cursor:
        await cursor.execute(
            _on(
                connection,
                "select id, state, scheduled, refresh_every, requested_at, started_at,"
                " next_run_at from {runs}",
            )
        )
        return await cursor.fetchall()


async def _has_tables(session: EngineConnection, connection: Connection) -> bool:
    found = await session.execute(
        "select to_regclass(format('%%I.%%I', %s::text, '_sync_report')) is not null",
        [connection.schema_name],
    )
    row = await found.fetchone()
    return row is not None and bool(row[0])


async def compute_report(
    engine: Engine, connection: Connection, provider: Provider, run_id: int, owner: Ownership
) -> None:
    """Has the run's report computed and stores it. Raises what the provider raises, Fenced."""
    async with engine.pool.connection() as session, session.transaction():
        await hold(session, owner)
        asked = await _begin(session, connection, run_id)
    spec = provider.catalog.by_report.get(asked.report) if asked is not None else None
    if asked is None or spec is None:
        return  # it was removed meanwhile
    report = await provider.report(spec, _known(spec, asked.parameters))
    async with engine.pool.connection() as session, session.transaction():
        await hold(session, owner)
        count = await store_report(
            session, connection.schema_name, spec, run_id, asked.parameters, report
        )
    log.info("%s.%s: %d rows", connection.schema_name, spec.table, count)


async def _begin(session: EngineConnection, connection: Connection, run_id: int) -> Asked | None:
    async with session.cursor(row_factory=class_row(Asked)) as cursor:
        await cursor.execute(
            _on(
                connection,
                "update {runs} set state = 'refreshing', started_at = clock_timestamp(),"
                " next_run_at = null where id = %s returning id, report, parameters, scheduled",
            ),
            [run_id],
        )
        return await cursor.fetchone()


def _known(spec: ReportSpec, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """In the order of the catalog, so that the same question is the same request."""
    return {p.name: parameters[p.name] for p in spec.parameters if p.name in parameters}


async def report_failed(
    engine: Engine, connection: Connection, run_id: int, error: Exception, owner: Ownership
) -> None:
    """Notes why a run could not be computed, and when it is tried again.

    What the provider's limits hold up only waits. A refusal stays one until somebody changes
    something there: what was asked once is not asked again, what is scheduled is tried as the
    schedule says. Raises Fenced.
    """
    refused = isinstance(error, ProviderRefusal)
    limited = error.retry_after if isinstance(error, RateLimited) else None
    async with engine.pool.connection() as session, session.transaction():
        await hold(session, owner)
        found = await session.execute(
            _on(
                connection,
                "update {runs} set error = %(error)s, failures = failures + 1,"
                " state = case when %(limited)s then case when fetched_at is null then 'pending'"
                " else 'ready' end else 'error' end where id = %(id)s returning failures",
            ),
            {"id": run_id, "error": str(error), "limited": limited is not None},
        )
        row = await found.fetchone()
        failures = row[0] if row else 1
        if refused:
            wait: timedelta | None = engine.options.report_pace.every
        else:
            wait = timedelta(seconds=limited or retry_delay(failures))
        await session.execute(
            _on(
                connection,
                "update {runs} set next_run_at = clock_timestamp() + %(wait)s::interval"
                " where id = %(id)s and (scheduled or not %(refused)s)",
            ),
            {"id": run_id, "wait": wait, "refused": refused},
        )
    log.warning("%s: report %d: %s", connection.name, run_id, error)


async def forget_old_reports(
    session: EngineConnection, connection: Connection, keep: timedelta
) -> int:
    """Removes runs that nothing refreshes and nobody has asked for in so long a time."""
    if not await _has_tables(session, connection):
        return 0
    async with session.transaction():
        found = await session.execute(
            _on(
                connection,
                "delete from {runs} where not scheduled and not is_default"
                " and state <> 'refreshing' and requested_at < clock_timestamp() - %s"
                " returning id, table_name",
            ),
            [keep],
        )
        gone: dict[str, list[int]] = {}
        for run_id, table in await found.fetchall():
            gone.setdefault(table, []).append(run_id)
        for table, ids in gone.items():
            await session.execute(
                sql.SQL("delete from {} where run_id = any(%s)").format(
                    sql.Identifier(connection.schema_name, table)
                ),
                [ids],
            )
    return sum(len(ids) for ids in gone.values())
