"""Workers that are killed, stopped and woken in the middle of a backfill."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/sync_world.py
from sync_world import SCHEMA, World, worker_process, world

INVOICES = f"select coalesce(sum(rows_done), 0) from {SCHEMA}._sync_cdc where object = 'invoice'"


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
