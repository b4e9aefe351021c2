"""What is over is pruned; what a sweep is not believed about can be accepted."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backfill.connections import pause
from backfill.grants import keep_grants
from backfill.keeping import prune
from backfill.options import SyncOptions
from backfill.requests import request_backfill
from sqlsync.database import EngineConnection, connect_engine
from sqlsync.errors import ConfigError
from sqlsync.writes.transitions import State

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/sync_world.py
from sync_world import KEY, SCHEMA, hands, working, world


@pytest.fixture
async def session(quickbooks_url: str) -> AsyncIterator[EngineConnection]:
    """A database with a connection and its tables."""
    async with await connect_engine(quickbooks_url) as session:
        await session.execute("update sqlsync.connection set state = 'live', company_id = '1'")
        yield session


async def rows(session: EngineConnection, query: str) -> list[tuple[Any, ...]]:
    return await (await session.execute(query.encode())).fetchall()


async def journal(
    session: EngineConnection, state: State, days: int, transaction: str = "gen_random_uuid()"
) -> None:
    await session.execute(
        "with made as (insert into sqlsync.journal (id, connection_id, state, owner,"
        " transaction_id, seq, role_name, table_name, kind, call_key, call_item, fields,"
        f" created_at, updated_at) select gen_random_uuid(), 1, %s, 1, {transaction}, 1, 'ann',"
        " 'customer', 'update', 'k', 0, '{}', now() - %s, now() - %s returning id)"
        " insert into sqlsync.marker (entry_id) select id from made".encode(),
        [state.value, timedelta(days=days), timedelta(days=days)],
    )


async def test_finished_writes_go_after_their_time_and_all_others_stay(
    session: EngineConnection,
) -> None:
    for state in State:
        await journal(session, state, 91)
    await journal(session, State.MIRRORED, 89)
    for state in (State.UNDONE, State.UNDOING):  # a transaction goes as a whole
        await journal(session, state, 91, "'00000000-0000-0000-0000-000000000001'::uuid")
    assert await prune(session, SyncOptions()) == 4
    left = await rows(session, "select state, count(*)::int from sqlsync.journal group by 1")
    assert dict(left) == {
        "planned": 1,
        "sent": 1,
        "in_doubt": 1,
        "acknowledged": 1,
        "undoing": 2,
        "parked": 1,
        "mirrored": 1,
        "undone": 1,
    }
    assert await rows(session, "select count(*)::int from sqlsync.marker") == [(9,)]
    assert await prune(session, SyncOptions(keep_writes=None)) == 0


async def test_old_changes_go_in_steps_and_young_ones_stay(
    session: EngineConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill.keeping.STEP_ROWS", 10)
    await session.execute(
        "insert into quickbooks._sync_change (table_name, record_id, operation, noticed_by, at)"
        " select 'customer', n::text, 'update', 'poll', now() - interval '400 days'"
        " + n * interval '10 days' from generate_series(1, 36) n"
    )
    assert await prune(session, SyncOptions()) == 3
    assert await prune(session, SyncOptions(keep_changes=timedelta(days=105))) == 26
    assert await prune(session, SyncOptions(keep_changes=None)) == 0
    assert await rows(session, "select count(*)::int from quickbooks._sync_change") == [(7,)]


async def test_the_grant_of_a_paused_company_is_used_once_a_week(quickbooks_url: str) -> None:
    async with world(quickbooks_url) as w, hands(w.url, w.api_url, KEY) as engine:
        assert await keep_grants(engine) == 0
        await pause(w.session, "books")
        assert await keep_grants(engine) == 0
        await w.session.execute(
            "update sqlsync.token set refreshed_at = now() - interval '8 days',"
            " access_expires_at = now() - interval '8 days'"
        )
        assert await keep_grants(engine) == 1
        assert await w.value("select refreshed_at > now() - interval '1 minute' from sqlsync.token")
        await w.session.execute(
            "update sqlsync.token set refreshed_at = now() - interval '8 days',"
            " access_expires_at = now() - interval '8 days'"
        )
        await w.control("tokens", expire=True, revoke=True)
    async with hands(w.url, w.api_url, KEY) as engine:
        assert await keep_grants(engine) == 0  # nobody answers, and nothing is raised


async def test_what_a_sweep_is_not_believed_about_can_be_accepted(quickbooks_url: str) -> None:
    async with world(quickbooks_url) as w:
        async with working(w):
            await w.live()
        await w.session.execute(
            f"insert into {SCHEMA}.customer (id, display_name)"
            " select (900000 + n)::text, 'Never There ' || n from generate_series(1, 60) n".encode()
        )
        with pytest.raises(ConfigError, match="one object only"):
            await request_backfill(w.session, "books", accept_missing=True)
        async with working(w):
            await request_backfill(w.session, "books", "customer")
            standing = f"from {SCHEMA}._sync_cdc where object = 'customer'"
            await w.until(
                "select state = 'error' and error like '%would be removed at once. Nothing was"
                " removed. If it is true: sqlsync backfill books --object customer"
                f" --accept-missing' {standing}"
            )
            assert (
                await w.value(f"select count(*) from {SCHEMA}.customer where id like '9000%'") == 60
            )
            await request_backfill(w.session, "books", "customer", accept_missing=True)
            await w.until(f"select state = 'live' and error is null {standing}")
            await w.assert_same(["customer"])
            assert await w.value("select count(*) from sqlsync.accepted_sweep") == 0
