"""A page that is stored in parts at once is there whole when the cursor moves, or comes again."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backfill.connections import Connection, find_connection
from backfill.fence import Fenced, Ownership
from backfill.jobs import apply_job_schema
from backfill.options import Engine
from backfill.storing import PART_RECORDS, store_page
from sqlsync.database import EngineConnection, connect_engine
from sqlsync.mirror.install import install

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/sync_world.py
from sync_world import CATALOG, KEY, SCHEMA, hands

CUSTOMER = CATALOG.by_table["customer"]
MANY = 2 * PART_RECORDS + 51
COUNT = f"select count(*), count(distinct id) from {SCHEMA}.customer".encode()


def customers(*ids: int, note: str = "") -> list[bytes]:
    return [b'{"Id":"%d","SyncToken":"0","Notes":"%b"}' % (i, note.encode()) for i in ids]


@dataclass
class Store:
    """A connection, and a job of ours that stores its pages."""

    engine: Engine
    connection: Connection
    owner: Ownership
    session: EngineConnection
    finished: list[Sequence[str]] = field(default_factory=list)
    rows_before_finish: int = 0

    async def __call__(self, items: Sequence[bytes], *, fails: bool = False) -> None:
        async def finish(session: EngineConnection, ids: Sequence[str]) -> None:
            row = await (await session.execute(COUNT)).fetchone()
            assert row is not None
            self.rows_before_finish = row[0]
            if fails:
                raise Fenced("asked for anew")
            self.finished.append(ids)

        await store_page(
            self.engine,
            self.connection,
            CUSTOMER,
            self.owner,
            items,
            noticed_by="backfill",
            fetched_at=datetime.now(UTC),
            finish=finish,
        )

    async def counts(self) -> tuple[int, int]:
        row = await (await self.session.execute(COUNT)).fetchone()
        assert row is not None
        return row[0], row[1]


@asynccontextmanager
async def storing(url: str) -> AsyncIterator[Store]:
    apply_job_schema(url)
    async with (
        await connect_engine(url) as session,
        hands(url, "http://127.0.0.1:9", KEY) as engine,
    ):
        await session.execute(
            "insert into sqlsync.connection (name, provider, schema_name, company_id, state)"
            " values ('books', 'quickbooks', %s, '1', 'backfilling')",
            [SCHEMA],
        )
        await install(session, CATALOG, SCHEMA, 1, objects=["customer"])
        connection = await find_connection(session, 1)
        assert connection is not None
        await session.execute("insert into sqlsync_jobs.procrastinate_workers default values")
        await session.execute(
            "insert into sqlsync_jobs.procrastinate_jobs"
            " (queue_name, task_name, status, attempts, worker_id)"
            " select 'history', 'backfill', 'doing', 0, id from sqlsync_jobs.procrastinate_workers"
        )
        found = await session.execute(
            "select id, attempts, worker_id from sqlsync_jobs.procrastinate_jobs"
        )
        row = await found.fetchone()
        assert row is not None
        yield Store(engine, connection, Ownership(*row), session)


async def test_all_parts_are_there_before_the_cursor_moves(migrated_url: str) -> None:
    async with storing(migrated_url) as store:
        await store(customers(*range(MANY)))
        assert store.rows_before_finish == MANY
        assert sorted(store.finished[0]) == sorted(str(n) for n in range(MANY))
        assert await store.counts() == (MANY, MANY)


async def test_one_record_at_both_ends_of_a_page_is_stored_once_as_it_was_last(
    migrated_url: str,
) -> None:
    async with storing(migrated_url) as store:
        await store([*customers(*range(MANY)), *customers(0, note="last")])
        assert await store.counts() == (MANY, MANY)
        row = await (
            await store.session.execute(
                f"select notes from {SCHEMA}.customer where id='0'".encode()
            )
        ).fetchone()
        assert row == ("last",)


async def test_a_page_whose_cursor_did_not_move_is_stored_again_without_harm(
    migrated_url: str,
) -> None:
    async with storing(migrated_url) as store:
        with pytest.raises(Fenced):
            await store(customers(*range(MANY)), fails=True)
        assert 0 < (await store.counts())[0] < MANY, "one part of the two was committed"
        await store(customers(*range(MANY)))
        assert len(store.finished[0]) == MANY
        assert await store.counts() == (MANY, MANY)


async def test_a_job_that_is_no_longer_ours_stores_no_part(migrated_url: str) -> None:
    async with storing(migrated_url) as store:
        await store.session.execute("update sqlsync_jobs.procrastinate_jobs set attempts = 1")
        with pytest.raises(Fenced):
            await store(customers(*range(MANY)))
        assert await store.counts() == (0, 0)


async def test_an_empty_page_still_moves_the_cursor(migrated_url: str) -> None:
    async with storing(migrated_url) as store:
        await store([])
        assert store.finished == [()]


async def test_what_is_no_record_does_not_keep_the_others(migrated_url: str) -> None:
    async with storing(migrated_url) as store:
        await store([b"null", *customers(*range(MANY)), b"{"])
        assert len(store.finished[0]) == MANY
        assert await store.counts() == (MANY, MANY)
