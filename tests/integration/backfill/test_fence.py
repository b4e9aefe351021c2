"""A worker that stops in the middle of a COPY does not keep its locks."""

from __future__ import annotations

import asyncio

import pytest

from backfill.fence import end_transactions
from sqlsync.database import connect_engine, errors


async def test_a_transaction_that_hangs_in_a_copy_is_ended(migrated_url: str) -> None:
    name = "select set_config('application_name', 'sqlsync worker job 7', true)"
    async with (
        await connect_engine(migrated_url) as hanging,
        await connect_engine(migrated_url) as working,
        await connect_engine(migrated_url) as reaper,
    ):
        await working.execute(name.replace("job 7", "job 77").replace("true", "false"))
        with pytest.raises((errors.AdminShutdown, errors.OperationalError)):
            async with hanging.transaction(), hanging.cursor() as cursor:
                await cursor.execute("create temp table t (a text)")
                await cursor.execute(name)
                async with cursor.copy("copy t from stdin") as copy:
                    await copy.write("begun\n")
                    await end_transactions(reaper, 7)
        async with asyncio.timeout(10):
            while await (  # noqa: ASYNC110 - nobody is told when a backend has ended
                await reaper.execute(
                    "select 1 from pg_stat_activity where application_name = 'sqlsync worker job 7'"
                )
            ).fetchone():
                await asyncio.sleep(0.02)
        assert await (await working.execute("select 1")).fetchone() == (1,)
