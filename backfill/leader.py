"""The clock of the sync engine: one elected worker that looks what is due, and enqueues it.

The leader renews a row as long as it works. Another takes over at once where the leader's
session (and with it its advisory lock) is gone, and after some seconds where it only hangs; one
that wakes up again finds that and resigns. It carries nothing out itself, and what is enqueued
twice is one job: two leaders for a moment do no harm.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from procrastinate import App

from backfill.bookkeeping import ObjectRow, object_rows, standings, want_history
from backfill.connections import Connection, active_connections, set_connection_state
from backfill.fence import JOBS_SCHEMA
from backfill.grants import keep_grants
from backfill.jobs import (
    end_lost_transactions,
    enqueue_backfill,
    enqueue_fill,
    enqueue_poll,
    enqueue_reap,
    enqueue_report,
    report_key,
)
from backfill.keeping import prune
from backfill.options import Engine
from backfill.outage import Outage
from backfill.report_schedule import reports_due
from backfill.reports import report_runs
from backfill.schedule import (
    ObjectState,
    backfills_due,
    connection_state,
    poll_interval,
    prompt_delay,
    reread_interval,
    rereads_due,
)
from sqlsync.database import EngineConnection
from sqlsync.errors import ConfigError
from sqlsync.mirror.install import install

log = logging.getLogger(__name__)

LEADER_LOCK_CLASS = 0x53514C44  # "SQLD": advisory lock (class, process) of a process that lives
LEASE_SECONDS = 10.0  # a leader that has not renewed for so long hangs
REAP_SECONDS = 5.0
CLEAN_AFTER = timedelta(minutes=1)  # of leading; then once an hour


async def announce(session: EngineConnection, process: int) -> None:
    """Lets this session's end, however it comes, be seen as the end of the process."""
    await session.execute("select pg_try_advisory_lock(%s, %s)", [LEADER_LOCK_CLASS, process])


async def take_lead(
    session: EngineConnection, process: int, lease_seconds: float = LEASE_SECONDS
) -> bool:
    """True where this process leads from now on; to be asked again well within the lease.

    process: a number of its own, from 1 to 2**31 - 1, that was announced.
    """
    done = await session.execute(
        "update sqlsync.leader set holder = %(me)s, renewed_at = clock_timestamp()"
        " where holder = %(me)s"
        " or renewed_at < clock_timestamp() - %(lease)s * interval '1 second'"
        " or not exists (select from pg_locks l where l.locktype = 'advisory' and l.granted"
        "  and l.database = (select oid from pg_database where datname = current_database())"
        "  and l.classid = %(class)s and l.objid = holder::oid and l.objsubid = 2)",
        {"me": process, "lease": lease_seconds, "class": LEADER_LOCK_CLASS},
    )
    return done.rowcount > 0


class Leader:
    """Enqueues what is due. Made by the worker that was elected."""

    def __init__(self, engine: Engine, app: App, outage: Outage) -> None:
        self._engine = engine
        self._app = app
        self._outage = outage
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._prompt: dict[int, float] = {}  # when a poll was last asked for, by connection
        self._known: dict[int, timedelta] = {}  # poll interval, by connection
        self._ticking = asyncio.Lock()

    def start(self) -> None:
        """From here on things are enqueued when they are due."""
        options = self._engine.options
        seconds = {"coalesce": True, "max_instances": 1, "misfire_grace_time": 60}
        self._scheduler.add_job(
            self.tick, "interval", seconds=options.tick_seconds, next_run_time=_now(), **seconds
        )
        self._scheduler.add_job(
            self._reap,
            "interval",
            seconds=min(REAP_SECONDS, options.stalled_after_seconds),
            next_run_time=_now(),
            **seconds,
        )
        self._scheduler.add_job(
            self._clean, "interval", hours=1, next_run_time=_now() + CLEAN_AFTER, **seconds
        )
        self._scheduler.start()
        log.info("This worker leads")

    def stop(self) -> None:
        """Nothing more is enqueued."""
        self._scheduler.shutdown(wait=False)

    async def tick(self) -> None:
        """Looks at every connection once: states, histories due, the pace of its polls."""
        async with self._ticking:
            try:
                await self._look()
            except Exception as error:
                # The next tick is the retry; the scheduler must live. After `stop` it does not.
                if self._scheduler.running and not self._outage.met(error.__cause__ or error):
                    log.exception("The leader could not look for work")

    async def _look(self) -> None:
        async with self._engine.pool.connection() as session:
            connections = await active_connections(session)
            busy = await self._busy(session)
            unfilled = await self._unfilled(session)
            for connection in connections:
                if connection.id in unfilled and f"fill:{connection.id}" not in busy:
                    await enqueue_fill(self._app, connection.id)
                rows = await object_rows(session, connection)
                if not rows:
                    # Who connected it may have died before its tables were made.
                    await self._install(session, connection)
                    continue
                state = await self._settle_state(session, connection, rows)
                await self._histories(connection, rows, busy)
                await self._rereads(session, connection, rows)
                await self._reports(session, connection, rows, state, busy)
                if state is not None:
                    self._pace(connection, rows)
        for gone in set(self._known) - {c.id for c in connections}:
            self._known.pop(gone)
            self._scheduler.remove_job(f"poll:{gone}")

    async def _install(self, session: EngineConnection, connection: Connection) -> None:
        catalog = self._engine.catalogs.get(connection.provider)
        if catalog is None:
            return
        try:
            await install(session, catalog, connection.schema_name, connection.id)
        except ConfigError as error:
            if await set_connection_state(
                session, connection.id, connection.state, f"No tables: {error}"
            ):
                log.error("The tables of %s cannot be made: %s", connection.name, error)

    async def _busy(self, session: EngineConnection) -> set[str]:
        found = await session.execute(
            f"select lock from {JOBS_SCHEMA}.procrastinate_jobs"
            " where status in ('todo', 'doing') and lock is not null".encode()
        )
        return {str(row[0]) for row in await found.fetchall()}

    async def _unfilled(self, session: EngineConnection) -> set[int]:
        """Connections in which something was switched on that is to be filled from `raw`."""
        found = await session.execute("select distinct connection_id from sqlsync.fill")
        return {int(row[0]) for row in await found.fetchall()}

    async def _settle_state(
        self, session: EngineConnection, connection: Connection, rows: list[ObjectRow]
    ) -> str:
        state = connection_state(ObjectState(row.state) for row in rows)
        if state != connection.state:
            await set_connection_state(session, connection.id, state)
            log.info("%s is %s", connection.name, state)
        return state

    async def _histories(
        self, connection: Connection, rows: list[ObjectRow], busy: set[str]
    ) -> None:
        catalog = self._engine.catalogs.get(connection.provider)
        if catalog is None:
            return
        for table in backfills_due(standings(rows, catalog), _now()):
            if f"backfill:{connection.id}:{table}" not in busy:
                await enqueue_backfill(self._app, connection, table, catalog.by_table[table].rank)

    async def _rereads(
        self, session: EngineConnection, connection: Connection, rows: list[ObjectRow]
    ) -> None:
        """Asks for the histories of objects whose deletions only a sweep can notice."""
        catalog = self._engine.catalogs.get(connection.provider)
        if catalog is None:
            return
        finished = {
            row.object: row.finished_at
            for row in rows
            if row.finished_at is not None and row.state == ObjectState.LIVE
        }
        rereading = self._engine.options.rereading
        done = {row.object: row.rows_done or 0 for row in rows}
        every = {
            spec.table: reread_interval(spec, done.get(spec.table, 0), rereading)
            for spec in catalog.objects
        }
        known = {table: wait for table, wait in every.items() if wait is not None}
        due = rereads_due(finished, _now(), every=known)
        if due:
            async with session.transaction():
                await want_history(session, connection, due)

    async def _reports(
        self,
        session: EngineConnection,
        connection: Connection,
        rows: list[ObjectRow],
        state: str,
        busy: set[str],
    ) -> None:
        """Enqueues what is due of the reports, or was asked for."""
        options = self._engine.options
        due = reports_due(
            await report_runs(session, connection),
            _now(),
            options.report_pace,
            live=options.reports and state == "live",
            last_change=max((r.last_change_at for r in rows if r.last_change_at), default=None),
        )
        wanted = [run_id for run_id in due if report_key(connection.id, run_id) not in busy]
        for place, run_id in enumerate(wanted):
            await enqueue_report(self._app, connection.id, run_id, place=place)

    def _pace(self, connection: Connection, rows: list[ObjectRow]) -> None:
        """Keeps the connection's regular poll at the interval its activity calls for."""
        last = max(
            (t for row in rows for t in (row.last_change_at, row.finished_at) if t is not None),
            default=None,
        )
        interval = poll_interval(_now(), last, self._engine.options.pace)
        before = self._known.get(connection.id)
        if before == interval:
            return
        self._known[connection.id] = interval
        job = f"poll:{connection.id}"
        if before is None:
            self._scheduler.add_job(
                self._poll,
                "interval",
                args=[connection.id],
                id=job,
                seconds=interval.total_seconds(),
                next_run_time=_now(),
                coalesce=True,
                max_instances=1,
                misfire_grace_time=60,
            )
        else:
            self._scheduler.reschedule_job(
                job, trigger="interval", seconds=interval.total_seconds()
            )

    async def prompt_poll(self, connection_id: int) -> None:
        """Somebody says that something changed at the provider: poll now, or very soon."""
        now = asyncio.get_running_loop().time()
        last = self._prompt.get(connection_id)
        if last is not None and last > now:
            return  # one is about to start; it will see this change too
        delay = prompt_delay(now, last, self._engine.options.prompt_spacing_seconds)
        self._prompt[connection_id] = now + delay
        self._scheduler.add_job(
            self._poll,
            "date",
            run_date=_now() + timedelta(seconds=delay),
            args=[connection_id],
            id=f"prompt:{connection_id}",
            replace_existing=True,
            misfire_grace_time=60,
        )

    async def _poll(self, connection_id: int) -> None:
        try:
            async with self._engine.pool.connection() as session:
                found = await session.execute(
                    "select next_run_at > clock_timestamp() from sqlsync.poll"
                    " where connection_id = %s",
                    [connection_id],
                )
                row = await found.fetchone()
            if not (row and row[0]):
                await enqueue_poll(self._app, connection_id)
        except Exception as error:
            if not self._outage.met(error.__cause__ or error):
                log.exception("A poll of connection %d could not be enqueued", connection_id)

    async def _reap(self) -> None:
        try:
            await end_lost_transactions(self._engine)
            await enqueue_reap(self._app)
        except Exception as error:
            if not self._outage.met(error.__cause__ or error):
                log.exception("The reaper could not be enqueued")

    async def _clean(self) -> None:
        try:
            async with self._engine.pool.connection() as session:
                gone = await prune(session, self._engine.options)
            if gone:
                log.info("%d old rows of the bookkeeping were deleted", gone)
            await keep_grants(self._engine)
        except Exception as error:
            if not self._outage.met(error.__cause__ or error):
                log.exception("Old rows of the bookkeeping could not be deleted")


def _now() -> datetime:
    return datetime.now(UTC)
