"""Many processes, one grant: two workers and a proxy whose token ends every few seconds."""

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

REFRESHES = 3
WAIT_SECONDS = 60.0


async def write_until_refreshed(w: World, url: str, address: str, wanted: int) -> int:
    """A client's writes through the proxy process until so many refreshes were seen.

    Returns how many writes there were.
    """
    host, _, port = address.rpartition(":")
    ends = asyncio.get_running_loop().time() + WAIT_SECONDS
    async with await psycopg.AsyncConnection.connect(
        make_conninfo(url, host=host, port=port), autocommit=True
    ) as client:
        found = await client.execute(f"select id from {SCHEMA}.customer order by id limit 3")
        ids = [row[0] for row in await found.fetchall()]
        writes = 0
        while await refreshes(w) < wanted:
            assert asyncio.get_running_loop().time() < ends, f"{await refreshes(w)} refreshes"
            await client.execute(
                f"update {SCHEMA}.customer set notes = %s where id = %s",
                [f"note {writes}", ids[writes % len(ids)]],
            )
            writes += 1
            await asyncio.sleep(0.2)
    return writes


async def refreshes(w: World) -> int:
    counts = (await w.http.get("/_control/requests")).json()["counts"]
    return int(counts.get("token.refresh_token", 0))


async def test_a_rotating_token_is_never_spent_twice_by_real_processes(quickbooks_url: str) -> None:
    # All of them find the token old at the same time, every few seconds, and the old pair is
    # refused at once: two who refresh from the same token would end the grant.
    async with world(
        quickbooks_url,
        customers=10,
        invoices=20,
        access_token_seconds=4,
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
                wanted = await refreshes(w) + REFRESHES
                writes = await write_until_refreshed(
                    w, quickbooks_url, proxy.ready["proxy"], wanted
                )
            await w.live(seconds=60)
        assert await w.rows("select state, state_reason from sqlsync.connection") == [
            ("live", None)
        ]
        with connect(quickbooks_url) as database:
            done = database.execute(
                "select count(*) from sqlsync.journal where state = 'mirrored'"
            ).fetchone()
        assert done == (writes,)
        await w.assert_same(["invoice"])
