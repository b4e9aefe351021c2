"""Owners that die, and owners that only lost their lock."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sqlsync.database import connect
from sqlsync.errors import SqlsyncError
from sqlsync.writes.journal import Lost
from sqlsync.writes.owner import LOCK_CLASS


async def held(world: Any, number: int) -> int:
    return int(
        await world.value(
            "select count(*) from pg_locks where locktype = 'advisory' and classid = %s"
            " and objid = %s and granted",
            LOCK_CLASS,
            number,
        )
    )


def cut_lock(world: Any, number: int) -> None:
    with connect(world.url) as administrator:
        administrator.execute(
            "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"
            " and classid = %s and objid = %s",
            [LOCK_CLASS, number],
        )


async def test_an_engine_holds_the_lock_of_its_number_while_it_lives(world: Any) -> None:
    engine = await world.make_engine(owner_number=77)
    assert await held(world, 77) == 1
    await engine.close()
    assert await held(world, 77) == 0


async def test_a_lost_lock_is_taken_again(world: Any) -> None:
    await world.make_engine(owner_number=77)
    cut_lock(world, 77)

    async def again() -> bool:
        return await held(world, 77) == 1

    await world.until(again)


async def test_entries_of_a_closed_engine_are_finished_by_the_next(world: Any) -> None:
    first = await world.make_client()
    await first.begin()
    await first.execute(await first.update("customer", "12", notes="new"))
    await first.engine.close()
    await first.session.execute("rollback")
    await world.make_engine()
    await world.until_states("undone")
    assert world.books.records["customer", "12"]["Notes"] == "old"


async def test_an_open_transaction_of_a_dead_owner_is_waited_for(world: Any) -> None:
    first = await world.make_client()
    await first.begin()
    await first.execute(await first.update("customer", "12", notes="new"))
    await first.engine.close()
    second = await world.make_engine()
    await second._recovery.once()
    await asyncio.wait_for(second._mirroring.idle(), 5)
    assert await world.states() == ["acknowledged"]
    await first.session.execute("commit")
    await world.until_states("mirrored")
    assert len(world.books.effects) == 1


async def test_who_was_adopted_by_mistake_steps_back_and_one_effect_remains(world: Any) -> None:
    """A process whose lock was lost while it waited for the provider."""
    client = await world.make_client(await world.make_engine(owner_number=77))
    await client.begin()
    world.books.gate = asyncio.Event()
    change = client.insert("customer", display_name="Dell")
    writing = asyncio.create_task(client.execute(change))

    async def sent() -> bool:
        return await world.states() == ["sent"]

    await world.until(sent)
    # Another process adopts it, as it would in the moment without a lock.
    await world.query("update sqlsync.journal set owner = 78")
    world.books.gate.set()
    with pytest.raises(SqlsyncError) as caught:
        await writing
    assert isinstance(caught.value, Lost)
    assert caught.value.sqlstate == "08007"
    await client.session.execute("rollback")
    await world.until_states("undone")
    assert [kind for kind, _, _ in world.books.effects] == ["create", "deactivate"]
