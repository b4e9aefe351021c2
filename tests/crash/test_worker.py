"""Workers that are killed, stopped and woken in the middle of a backfill."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/sync_world.py
from sync_world import SCHEMA, World, worker_process, working, world

from backfill.fence import JOBS_SCHEMA, Ownership, hold
from sqlsync.database import connect_engine, errors

INVOICES = f"select coalesce(sum(rows_done), 0) from {SCHEMA}._sync_cdc where object = 'invoice'"
DONE = f"select state = 'live' from {SCHEMA}._sync_cdc where object = '{{}}'"


def asked_twice(w: World) -> dict[str, int]:
    """Pages of invoices that were asked for more than once."""
    pages = Counter(page for page in w.pages_asked() if "from Invoice" in page)
    return {page: times for page, times in pages.items() if times > 1}


async def test_a_backfill_goes_on_behind_its_last_page_after_kill_9(quickbooks_url: str) -> None:
    async with world(quickbooks_url, customers=50, invoices=6_000) as w:
        async with worker_process(w) as first:
            await w.until(f"select ({INVOICES}) >= 1990", seconds=40)
            await first.kill()
        done = await w.value(INVOICES)
        assert done < 6_000, "the worker was killed too late to show anything"
        async with worker_process(w):
            await w.live(seconds=60)
        assert sum(times - 1 for times in asked_twice(w).values()) <= 1
        await w.assert_same(["customer", "invoice"])
        assert await w.value(INVOICES) == len(await w.books_of("invoice"))


async def test_a_worker_that_was_given_up_and_wakes_writes_nothing(quickbooks_url: str) -> None:
    brisk = {"heartbeat_seconds": 0.3, "stalled_after_seconds": 1.5}
    async with world(quickbooks_url, customers=50, invoices=5_000) as w:
        async with worker_process(w, **brisk) as sleeper:
            await w.until(f"select ({INVOICES}) >= 1990", seconds=40)
            sleeper.send(signal.SIGSTOP)
            async with worker_process(w, **brisk):
                await w.until(f"select ({INVOICES}) >= 2990", seconds=40)
                sleeper.send(signal.SIGCONT)
                await w.live(seconds=60)
                await asyncio.sleep(0.5)  # time for the woken one to do harm
        assert await w.value(INVOICES) == len(await w.books_of("invoice"))
        await w.assert_same(["invoice"])
        assert sum(times - 1 for times in asked_twice(w).values()) <= 2


async def test_a_worker_told_to_stop_ends_its_page_and_leaves_the_rest(quickbooks_url: str) -> None:
    async with world(quickbooks_url, customers=50, invoices=6_000) as w:
        async with worker_process(w) as worker:
            await w.until(f"select ({INVOICES}) >= 1990", seconds=40)
            worker.send(signal.SIGTERM)
            assert await asyncio.wait_for(worker.process.wait(), 15) == 0
        assert await w.value(INVOICES) == await w.value(f"select count(*) from {SCHEMA}.invoice")
        async with worker_process(w):
            await w.live(seconds=60)
        assert asked_twice(w) == {}
        await w.assert_same(["invoice"])


async def test_a_worker_stopped_in_the_middle_of_a_page_holds_nobody_up(
    quickbooks_url: str,
) -> None:
    """Its COPY waits for more and no time limit counts; it holds the row of its job, which each
    worker that begins must touch before it takes any job, that of the reaper too."""
    async with (
        world(quickbooks_url, customers=3, invoices=3) as w,
        await connect_engine(w.url) as it,
    ):
        worker_id = await w.value(
            f"insert into {JOBS_SCHEMA}.procrastinate_workers (last_heartbeat)"
            " values (now() - interval '1 hour') returning id"
        )
        job_id = await w.value(
            f"insert into {JOBS_SCHEMA}.procrastinate_jobs (queue_name, task_name, lock, args,"
            f" status, worker_id) values ('history', 'backfill',"
            f" 'backfill:{w.connection_id}:invoice', '{{}}', 'doing', {worker_id}) returning id"
        )
        with pytest.raises(errors.OperationalError):
            async with it.transaction(), it.cursor() as cursor:
                await hold(it, Ownership(job_id, 0, worker_id))
                copy = f"copy {SCHEMA}.invoice (id) from stdin".encode()
                async with cursor.copy(copy), working(w):
                    await w.until(DONE.format("invoice"), seconds=40)
        await w.assert_same(["customer", "invoice"])
