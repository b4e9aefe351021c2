"""The job queue: which tasks there are, and how each is carried out.

The queue (procrastinate) lives in a schema of its own, so that `\\dt` shows users their tables
only. Jobs carry out what rows ask for (`_sync_cdc`, sqlsync.refetch, sqlsync.inbox); a job that
is lost is made again by the leader from those rows. A task never raises for what a provider or
a record does wrong: that is written where users look, and tried again later.
"""

from __future__ import annotations

import logging
from typing import Any

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Status

from backfill.bookkeeping import lock_objects, note_error
from backfill.connections import Connection, find_connection
from backfill.fence import JOBS_SCHEMA, Fenced, Ownership, end_transactions, hold
from backfill.options import Engine
from backfill.outage import AWAY
from backfill.polling import poll_changes
from backfill.reading import read_history
from backfill.reports import compute_report, report_failed
from backfill.schedule import refused_wait, retry_delay
from sqlsync.channels import WORK_CHANNEL
from sqlsync.database import RECONNECT_SECONDS, connect, errors, sql
from sqlsync.errors import (
    NeedsReauth,
    ProviderError,
    ProviderRefusal,
    RateLimited,
    SqlsyncError,
)
from sqlsync.mirror.filling import fill_all
from sqlsync.providers.base import Provider
from sqlsync.providers.states import ACTIVE

log = logging.getLogger(__name__)

# What a provider, a record or Postgres can do wrong: noted, and tried again later.
_EXPECTED = (SqlsyncError, errors.Error, ArithmeticError, LookupError, ValueError, TypeError)

# Of these, what needs no traceback: it says itself what happened.
_PLAIN = (SqlsyncError, *AWAY)

REFUSED_WAIT_SECONDS = 3600.0  # a refusal stays one until somebody changes something there

HISTORY_QUEUE = "history"
PROMPT_QUEUE = "prompt"
REPORT_QUEUE = "report"  # one of its own: a report takes minutes, and a poll must not wait
ENGINE = "engine"  # key of the Engine in a job's additional context


def job_app(url: str, *, connections: int = 4) -> App:
    """The queue's application; open it with `open_async`. `url` is not used before that."""
    app = App(
        connector=PsycopgConnector(
            conninfo=url,
            min_size=1,
            max_size=connections,
            reconnect_timeout=RECONNECT_SECONDS,
            kwargs={
                "options": f"-c search_path={JOBS_SCHEMA} -c role=sqlsync_engine",
                "application_name": "sqlsync jobs",
            },
        )
    )
    app.task(name="backfill", queue=HISTORY_QUEUE, pass_context=True)(_backfill)
    app.task(name="fill", queue=HISTORY_QUEUE, pass_context=True)(_fill)
    app.task(name="poll", queue=PROMPT_QUEUE, pass_context=True)(_poll)
    app.task(name="report", queue=REPORT_QUEUE, pass_context=True)(_report)
    app.task(name="reap", queue=PROMPT_QUEUE, pass_context=True)(_reap)
    return app


def apply_job_schema(url: str) -> None:
    """Makes the queue's tables, unless they are there. To be called after the migrations."""
    with connect(url, autocommit=False) as session:
        session.execute("select pg_advisory_xact_lock(hashtext('sqlsync job schema'))")
        session.execute(
            sql.SQL("create schema if not exists {} authorization sqlsync_engine").format(
                sql.Identifier(JOBS_SCHEMA)
            )
        )
        session.execute("set local role sqlsync_engine")
        session.execute(f"set local search_path = {JOBS_SCHEMA}".encode())
        found = session.execute("select to_regclass('procrastinate_jobs')").fetchone()
        if found is None or found[0] is None:
            from procrastinate.schema import SchemaManager

            session.execute(SchemaManager.get_schema().encode())


async def enqueue_backfill(app: App, connection: Connection, table: str, rank: int) -> bool:
    """False where the same job waits already. Parents (low rank) run first."""
    key = f"backfill:{connection.id}:{table}"
    return await _enqueue(
        app, "backfill", key, priority=-rank, connection_id=connection.id, table=table
    )


async def enqueue_fill(app: App, connection_id: int) -> bool:
    """Asks for what was switched on to be filled. False where the same job waits already."""
    return await _enqueue(
        app, "fill", f"fill:{connection_id}", priority=0, connection_id=connection_id
    )


async def enqueue_poll(app: App, connection_id: int) -> bool:
    """False where a poll of this connection waits already: it will bring all there is."""
    return await _enqueue(
        app, "poll", f"poll:{connection_id}", priority=0, connection_id=connection_id
    )


async def enqueue_report(app: App, connection_id: int, run_id: int, *, place: int = 0) -> bool:
    """False where the same run waits already. place: among those enqueued together."""
    key = report_key(connection_id, run_id)
    return await _enqueue(
        app, "report", key, priority=-place, connection_id=connection_id, run_id=run_id
    )


def report_key(connection_id: int, run_id: int) -> str:
    """The lock of a report's job."""
    return f"report:{connection_id}:{run_id}"


async def enqueue_reap(app: App) -> bool:
    """Asks for the jobs of dead workers. No `lock`: a killed reaper would block itself."""
    try:
        await app.configure_task("reap", queueing_lock="reap", priority=100).defer_async()
    except AlreadyEnqueued:
        return False
    return True


async def _enqueue(app: App, task: str, key: str, *, priority: int, **arguments: Any) -> bool:
    try:
        await app.configure_task(task, lock=key, queueing_lock=key, priority=priority).defer_async(
            **arguments
        )
    except AlreadyEnqueued:
        return False
    return True


def _owner(context: JobContext) -> Ownership:
    job = context.job
    if job.id is None or job.worker_id is None:
        raise AssertionError("a running job has an id and a worker")
    engine: Engine = context.additional_context[ENGINE]
    patience = min(20.0, engine.options.stalled_after_seconds)
    return Ownership(job.id, job.attempts, job.worker_id, patience)


async def _backfill(context: JobContext, connection_id: int, table: str) -> None:
    engine: Engine = context.additional_context[ENGINE]
    connection = await _active(engine, connection_id)
    if connection is None:
        return
    where = f"{connection.schema_name}.{table}"
    owner = _owner(context)
    try:
        provider = await _provider(engine, connection)
        if provider is not None and (spec := provider.catalog.by_table.get(table)) is not None:
            await read_history(engine, connection, provider, spec, owner)
    except Fenced as error:
        log.info("%s: %s", where, error)
    except NeedsReauth as error:
        await needs_reauth(engine, connection, error)
    except RateLimited as error:
        await _wait(engine, connection, table, error, error.retry_after)
    except _EXPECTED as error:
        if not isinstance(error, _PLAIN):
            log.exception("%s: reading its history failed", where)
        await _failed(engine, connection, table, error, owner)
    async with engine.pool.connection() as session:
        await session.execute("select pg_notify(%s, '')", [WORK_CHANNEL])


async def _report(context: JobContext, connection_id: int, run_id: int) -> None:
    engine: Engine = context.additional_context[ENGINE]
    connection = await _active(engine, connection_id)
    if connection is None:
        return
    owner = _owner(context)
    try:
        provider = await _provider(engine, connection)
        if provider is not None:
            await compute_report(engine, connection, provider, run_id, owner)
    except Fenced as error:
        log.info("%s: %s", connection.name, error)
    except _EXPECTED as error:
        if isinstance(error, NeedsReauth):
            await needs_reauth(engine, connection, error)
        elif not isinstance(error, _PLAIN):
            log.exception("%s: report %d failed", connection.name, run_id)
        try:
            await report_failed(engine, connection, run_id, error, owner)
        except Fenced:
            return  # another worker computes it
    async with engine.pool.connection() as session:
        await session.execute("select pg_notify(%s, '')", [WORK_CHANNEL])


async def _fill(context: JobContext, connection_id: int) -> None:
    """New columns and child tables, from `raw`. Needs no fence: a batch is right whoever did it."""
    engine: Engine = context.additional_context[ENGINE]
    connection = await _active(engine, connection_id)
    catalog = engine.catalogs.get(connection.provider) if connection is not None else None
    if connection is None or catalog is None:
        return
    try:
        async with engine.pool.connection() as session:
            await fill_all(
                session,
                catalog,
                connection.schema_name,
                connection.id,
                stopping=engine.stopping,
            )
    except _EXPECTED as error:
        log.exception("%s: new columns could not be filled: %s", connection.name, error)


async def _poll(context: JobContext, connection_id: int) -> None:
    engine: Engine = context.additional_context[ENGINE]
    connection = await _active(engine, connection_id)
    if connection is None:
        return
    try:
        provider = await _provider(engine, connection)
        if provider is None:
            return
        await poll_changes(engine, connection, provider, _owner(context))
        await _poll_outcome(engine, connection, None)
    except Fenced as error:
        log.info("%s: %s", connection.name, error)
    except NeedsReauth as error:
        await needs_reauth(engine, connection, error)
    except _EXPECTED as error:
        if not isinstance(error, _PLAIN):
            log.exception("%s: polling failed", connection.name)
        await _poll_outcome(engine, connection, error)


async def lost_jobs(engine: Engine, own: int | None = None) -> list[int]:
    """Jobs of workers that are gone or silent. own: the job that asks."""
    async with engine.pool.connection() as session:
        found = await session.execute(
            f"""
            select j.id from {JOBS_SCHEMA}.procrastinate_jobs j
            left join {JOBS_SCHEMA}.procrastinate_workers w on w.id = j.worker_id
            where j.status = 'doing' and j.id is distinct from %(own)s and (
                w.id is null
                or w.last_heartbeat < clock_timestamp() - %(silent)s * interval '1 second'
                or (not exists (
                        select from pg_locks l where l.locktype = 'advisory'
                        and l.database = (select oid from pg_database
                                          where datname = current_database())
                        and l.classid = %(class)s and l.objid = j.worker_id::int::oid
                        and l.objsubid = 2 and l.granted)
                    and not exists (
                        select from {JOBS_SCHEMA}.procrastinate_events e where e.job_id = j.id
                        and e.type = 'started' and e.at > clock_timestamp() - interval '2 s')))
            """.encode(),
            {
                "own": own,
                "silent": engine.options.stalled_after_seconds,
                "class": WORKER_LOCK_CLASS,
            },
        )
        return [int(row[0]) for row in await found.fetchall()]


async def end_lost_transactions(engine: Engine) -> None:
    """Frees what lost workers hold. Not a job: a worker that begins waits for the rows of jobs
    before it takes one, so the reaper itself would wait for what it is to end."""
    for job_id in await lost_jobs(engine):
        async with engine.pool.connection() as session:
            await end_transactions(session, job_id)


async def _reap(context: JobContext) -> None:
    """Gives up the jobs of workers that are gone or silent. The leader enqueues them anew.

    A worker holds an advisory lock while it lives, so one that was killed is known at once;
    one that hangs is known by its heartbeat.
    """
    engine: Engine = context.additional_context[ENGINE]
    jobs = await lost_jobs(engine, context.job.id)
    for job_id in jobs:
        log.warning("Job %d lost its worker; its work is given to another", job_id)
        async with engine.pool.connection() as session:
            await end_transactions(session, job_id)
        await context.app.job_manager.finish_job_by_id_async(
            job_id=job_id, status=Status.FAILED, delete_job=False
        )
    await context.app.job_manager.delete_old_jobs(
        nb_hours=int(engine.options.keep_failed_jobs.total_seconds() // 3600),
        include_failed=True,
        include_cancelled=True,
        include_aborted=True,
    )
    if jobs:
        async with engine.pool.connection() as session:
            await session.execute("select pg_notify(%s, '')", [WORK_CHANNEL])


WORKER_LOCK_CLASS = 0x5351574B  # "SQWK": advisory lock (class, worker id) of a living worker


async def _active(engine: Engine, connection_id: int) -> Connection | None:
    async with engine.pool.connection() as session:
        connection = await find_connection(session, connection_id)
    return connection if connection is not None and connection.state in ACTIVE else None


async def _provider(engine: Engine, connection: Connection) -> Provider | None:
    """None where the grant is gone; the connection says so then."""
    return await engine.providers.for_connection(connection.id)


async def needs_reauth(engine: Engine, connection: Connection, error: NeedsReauth) -> None:
    """The connection stops; the others go on. A new consent starts it again.

    Whoever found the grant gone has noted it, unless a person connected again meanwhile.
    """
    log.error("%s needs a new consent: %s", connection.name, error)


async def _wait(
    engine: Engine, connection: Connection, table: str, error: ProviderError, seconds: float
) -> None:
    async with engine.pool.connection() as session:
        await note_error(session, connection, table, str(error), wait_seconds=seconds, state=None)


async def _failed(
    engine: Engine, connection: Connection, table: str, error: Exception, owner: Ownership
) -> None:
    try:
        wait, news = await _note_failure(engine, connection, table, error, owner)
    except Fenced:
        return  # the other worker goes on; this one's failure means nothing
    # A refusal stays what it is: once in the log, and in `_sync_cdc` as long as it lasts.
    level = logging.DEBUG if isinstance(error, ProviderRefusal) and not news else logging.ERROR
    text = "%s.%s: %s Tried again in %.0f s."
    log.log(level, text, connection.schema_name, table, error, wait)


async def _note_failure(
    engine: Engine, connection: Connection, table: str, error: Exception, owner: Ownership
) -> tuple[float, bool]:
    """Seconds until it is tried again, and whether the same was not said of it before."""
    async with engine.pool.connection() as session, session.transaction():
        await hold(session, owner)
        await lock_objects(session, connection, [table])
        found = await session.execute(
            "update sqlsync.reading set failures = failures + 1"
            " where connection_id = %s and table_name = %s returning failures",
            [connection.id, table],
        )
        row = await found.fetchone()
        wait = retry_delay(row[0] if row else 1)
        if isinstance(error, ProviderRefusal):  # the plan lacks the feature, or a right does
            wait = max(wait, refused_wait(error, REFUSED_WAIT_SECONDS))
        news = await note_error(session, connection, table, str(error), wait_seconds=wait)
    return wait, news


async def _poll_outcome(engine: Engine, connection: Connection, error: Exception | None) -> None:
    """Remembers how the last poll went, so that the next one waits longer after a failure."""
    async with engine.pool.connection() as session:
        if error is None:
            await session.execute(
                "insert into sqlsync.poll (connection_id) values (%s) on conflict (connection_id)"
                " do update set failures = 0, next_run_at = null, last_error = null"
                " where poll.failures > 0",
                [connection.id],
            )
            return
        found = await session.execute(
            "insert into sqlsync.poll as p (connection_id, failures, last_error)"
            " values (%s, 1, %s) on conflict (connection_id) do update"
            " set failures = p.failures + 1, last_error = excluded.last_error returning failures",
            [connection.id, str(error)],
        )
        row = await found.fetchone()
        wait = retry_delay(row[0] if row else 1)
        if isinstance(error, RateLimited):
            wait = max(wait, error.retry_after)
        await session.execute(
            "update sqlsync.poll set next_run_at = clock_timestamp() + %s * interval '1 second'"
            " where connection_id = %s",
            [wait, connection.id],
        )
    log.error("%s: polling failed: %s Tried again in %.0f s.", connection.name, error, wait)
