"""The leader of the workers, when it is told to stop."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from backfill.jobs import job_app
from backfill.leader import Leader
from backfill.outage import Outage

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/sync_world.py
from sync_world import KEY, SCHEMA, hands, world


async def test_a_leader_stopped_while_it_looks_for_work_does_not_complain(
    quickbooks_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        world(quickbooks_url, customers=1, invoices=1) as w,
        hands(w.url, w.api_url, KEY) as engine,
        job_app(w.url).open_async() as app,
    ):
        leader = Leader(engine, app, Outage())
        leader.start()
        await leader.tick()  # polls at the pace of a quiet company
        await w.session.execute(f"update {SCHEMA}._sync_cdc set last_change_at = now()".encode())
        leader.stop()
        await asyncio.sleep(0)  # the scheduler stops in the loop's next turn
        await leader.tick()  # would change the pace
        said = [r.getMessage() for r in caplog.records if r.name == "backfill.leader"]
        assert "The leader could not look for work" not in said
