"""The worker process: runs jobs, follows webhooks, and leads where it is elected.

Any number of workers may run, on any number of machines. Each holds one session whose advisory
locks say that it lives (and that it leads), and one that listens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from secrets import randbelow
from typing import Any

from procrastinate import App, JobContext
from procrastinate.worker import Worker

from backfill.inbox import drain_inbox, drain_refetch
from backfill.jobs import (
    ENGINE,
    HISTORY_QUEUE,
    PROMPT_QUEUE,
    REPORT_QUEUE,
    WORKER_LOCK_CLASS,
    job_app,
)
from backfill.leader import LEASE_SECONDS, Leader, announce, take_lead
from backfill.options import Engine
from backfill.outage import AWAY, Outage
from sqlsync.channels import INBOX_CHANNEL, POLL_CHANNEL, WORK_CHANNEL
from sqlsync.database import EngineConnection, connect_engine, errors
from sqlsync.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

ELECTION_SECONDS = 0.5
REFETCH_SECONDS = 0.5
INBOX_SECONDS = 2.0  # how often the inbox is looked at though nothing was heard
DRAINERS = 2
RETRY_SECONDS = 1.0


async def run_worker(engine: Engine, *, on_ready: Callable[[], None] | None = None) -> None:
    """Works until `engine.stopping` is set; pages under way are finished first.

    on_ready is called once jobs can be taken. The pool must be open. Where Postgres goes away,
    everything waits for it and goes on.
    """
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)  # ours catch all
    logging.getLogger("procrastinate.utils").addFilter(_is_news)
    options = engine.options
    app = job_app(engine.url, connections=4)
    async with app.open_async():
        process = _Process(engine, app)
        duties: list[Awaitable[None]] = [
            process.work(HISTORY_QUEUE, options.histories),
            process.work(PROMPT_QUEUE, options.concurrency),
            process.work(REPORT_QUEUE, options.report_jobs),
            process.be_present(),
            process.listen(),
            process.refetch(),
        ]
        if options.webhooks:
            duties += [process.follow_webhooks() for _ in range(DRAINERS)]
        async with asyncio.TaskGroup() as group:
            for duty in duties:
                group.create_task(_run(duty))
            if on_ready is not None:
                on_ready()


def _is_news(record: logging.LogRecord) -> bool:
    """Not what a queue's own listener met because Postgres went away: Outage tells that."""
    error = record.exc_info[1] if record.exc_info else None
    return error is None or not isinstance(error.__cause__ or error, AWAY)


async def _run(duty: Awaitable[None]) -> None:
    await duty


class _Process:
    """One worker process: its sessions, its queues, and what it was elected to."""

    def __init__(self, engine: Engine, app: App) -> None:
        self._engine = engine
        self._app = app
        self._stopping = engine.stopping
        self._inbox = asyncio.Event()
        self._workers: set[int] = set()
        self._presence: EngineConnection | None = None
        self._presence_lock = asyncio.Lock()
        self._leader: Leader | None = None
        self._outage = Outage()
        self._number = 1 + randbelow(2**31 - 1)  # of this process, among the living

    async def work(self, queue: str, concurrency: int) -> None:
        """Runs the jobs of a queue, as a worker of the queue's own."""
        options = self._engine.options
        while not self._stopping.is_set():
            worker = Worker(
                app=self._app,
                queues=[queue],
                name=queue,
                concurrency=concurrency,
                fetch_job_polling_interval=2.0,
                shutdown_graceful_timeout=options.stop_within_seconds,
                delete_jobs="successful",
                additional_context={ENGINE: self._engine},
                install_signal_handlers=False,
                update_heartbeat_interval=options.heartbeat_seconds,
                stalled_worker_timeout=options.stalled_after_seconds,
                worker_middleware=[self._announce],
            )
            stopper = asyncio.create_task(self._stop_with_process(worker))
            try:
                await worker.run()  # type: ignore[no-untyped-call]
            except Exception as error:
                # Where Postgres went away the queue's own connections fail in many ways.
                if not self._outage.met(error.__cause__ or error):
                    log.error("The %s queue stopped: %s", queue, error)
            finally:
                stopper.cancel()
            await self._pause(RETRY_SECONDS)

    async def _stop_with_process(self, worker: Worker) -> None:
        await self._stopping.wait()
        worker.stop()  # type: ignore[no-untyped-call]

    async def _announce(
        self, call_next: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker
    ) -> Any:
        """Before a job runs, its worker is known to live."""
        if worker.worker_id is not None and worker.worker_id not in self._workers:
            async with self._presence_lock:
                self._workers.add(worker.worker_id)
                if self._presence is not None:
                    await _lock_worker(self._presence, worker.worker_id)
        return await call_next()

    async def be_present(self) -> None:
        """Holds the locks that say: this process lives; and leads, where it is elected."""
        while not self._stopping.is_set():
            try:
                async with await connect_engine(
                    self._engine.url, application_name="sqlsync worker"
                ) as session:
                    await self._hold_locks(session)
            except (errors.Error, DatabaseUnavailable) as error:
                if not self._outage.met(error):
                    log.error("This worker's locks are lost: %s", error)
            finally:
                self._presence = None
                self._lead(False)
            await self._pause(RETRY_SECONDS)

    async def _hold_locks(self, session: EngineConnection) -> None:
        async with self._presence_lock:
            for worker_id in self._workers:
                await _lock_worker(session, worker_id)
            await announce(session, self._number)
            self._presence = session
        self._outage.over()
        lease = min(LEASE_SECONDS, self._engine.options.stalled_after_seconds)
        while not self._stopping.is_set():
            async with self._presence_lock:
                leads = await take_lead(session, self._number, lease)
            self._lead(leads)
            await self._pause(ELECTION_SECONDS)

    def _lead(self, leads: bool) -> None:
        if leads and self._leader is None:
            self._leader = Leader(self._engine, self._app, self._outage)
            self._leader.start()
        elif not leads and self._leader is not None:
            self._leader.stop()
            self._leader = None

    async def listen(self) -> None:
        """Hears of deliveries, of writes, and of work."""
        while not self._stopping.is_set():
            try:
                async with await connect_engine(
                    self._engine.url, application_name="sqlsync listener"
                ) as session:
                    for channel in (INBOX_CHANNEL, POLL_CHANNEL, WORK_CHANNEL):
                        await session.execute(f"listen {channel}".encode())
                    self._inbox.set()  # what was stored while nobody listened
                    while not self._stopping.is_set():
                        async for heard in session.notifies(timeout=ELECTION_SECONDS):
                            await self._hear(heard.channel, heard.payload)
            except (errors.Error, DatabaseUnavailable):
                await self._pause(RETRY_SECONDS)

    async def _hear(self, channel: str, payload: str) -> None:
        if channel == INBOX_CHANNEL:
            self._inbox.set()
        elif self._leader is not None:
            if channel == WORK_CHANNEL:
                await self._leader.tick()
            elif payload.isdigit():
                await self._leader.prompt_poll(int(payload))

    async def follow_webhooks(self) -> None:
        while not self._stopping.is_set():
            try:
                await drain_inbox(self._engine)
            except Exception as error:
                # Whatever a delivery did, those after it must still be followed.
                if not self._outage.met(error):
                    log.exception("Webhooks could not be followed")
                await self._pause(RETRY_SECONDS)
            self._inbox.clear()
            await self._wait_for(self._inbox, INBOX_SECONDS)

    async def refetch(self) -> None:
        while not self._stopping.is_set():
            try:
                await drain_refetch(self._engine)
            except Exception as error:
                if not self._outage.met(error):
                    log.exception("Records could not be fetched again")
            await self._pause(REFETCH_SECONDS)

    async def _pause(self, seconds: float) -> None:
        await self._wait_for(self._stopping, seconds)

    async def _wait_for(self, event: asyncio.Event, seconds: float) -> None:
        stop = asyncio.create_task(self._stopping.wait())
        heard = asyncio.create_task(event.wait())
        try:
            await asyncio.wait({stop, heard}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            heard.cancel()


async def _lock_worker(session: EngineConnection, worker_id: int) -> None:
    await session.execute(
        "select pg_try_advisory_lock(%s, %s::int)", [WORKER_LOCK_CLASS, worker_id]
    )
