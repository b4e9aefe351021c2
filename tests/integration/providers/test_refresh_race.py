"""Many processes, one grant: two workers and a proxy whose every call needs a new token."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psycopg

from sqlsync.cli.background import background
from sqlsync.cli.supervisor import child_command
from sqlsync.database import connect, make_conninfo

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/sync_world.py
from sync_world import KEY, SCHEMA, World, worker_process, world

WRITES = 12


def write_through(url: str, address: str) -> None:
    """A client's writes, one after the other, through the proxy process."""
    host, _, port = address.rpartition(":")
    with psycopg.connect(make_conninfo(url, host=host, port=port), autocommit=True) as client:
        ids = client.execute(f"select id from {SCHEMA}.customer order by id limit 3").fetchall()
        for number in range(WRITES):
            client.execute(
                f"update {SCHEMA}.customer set notes = %s where id = %s",
                [f"note {number}", ids[number % len(ids)][0]],
            )


async def refreshes(w: World) -> int:
    counts = (await w.http.get("/_control/requests")).json()["counts"]
    return int(counts.get("token.refresh_token", 0))


async def test_a_rotating_token_is_never_spent_twice_by_real_processes(quickbooks_url: str) -> None:
    # A token that ends within the margin is refreshed before every call, and the old one is
    # refused at once: two who refresh from the same token would end the grant.
    async with world(
        quickbooks_url,
        customers=10,
        invoices=20,
        access_token_seconds=60,
        rotation_overlap_seconds=0,
    ) as w:
        environment = {
            **os.environ,
            "SQLSYNC_DATABASE_URL": quickbooks_url,
            "SQLSYNC_SECRET_KEY": KEY,
            "SQLSYNC_PROVIDERS__QUICKBOOKS__API_URL": w.api_url,
            "SQLSYNC_PROXY__LISTEN": "127.0.0.1:0",
            "SQLSYNC_LOG__LEVEL": "error",
        }
        async with worker_process(w), worker_process(w):
            await w.until(f"select count(*) >= 3 from {SCHEMA}.customer")
            with background("proxy", child_command("proxy", None), environment) as proxy:
                before = await refreshes(w)
                await asyncio.to_thread(write_through, quickbooks_url, proxy.ready["proxy"])
                assert await refreshes(w) > before + WRITES  # all of them needed tokens
            await w.live(seconds=60)
        assert await w.rows("select state, state_reason from sqlsync.connection") == [
            ("live", None)
        ]
        with connect(quickbooks_url) as database:
            done = database.execute(
                "select count(*) from sqlsync.journal where state = 'mirrored'"
            ).fetchone()
        assert done == (WRITES,)
        await w.assert_same(["invoice"])
