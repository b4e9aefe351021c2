"""Limits in a real Postgres, shared by two pools as by two processes."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from sqlsync.database import EnginePool
from sqlsync.errors import RateLimited
from sqlsync.providers.limits import Budget, Limiter, Limits, Rate, Seats

from .conftest import until


async def calls_in(
    limiters: list[Limiter], seconds: float, *, writes: bool, tasks: int = 3
) -> list[int]:
    """How many calls each limiter let go in that time, several asking at once."""
    end = monotonic() + seconds
    counts = [0] * len(limiters)

    async def ask(index: int) -> None:
        while (left := end - monotonic()) > 0:
            try:
                await limiters[index].take(writes=writes, max_wait_seconds=left)
            except RateLimited:
                return
            if monotonic() <= end:
                counts[index] += 1

    await asyncio.gather(*(ask(i) for i in range(len(limiters)) for _ in range(tasks)))
    return counts


@pytest.mark.parametrize("writes", [True, False])
async def test_two_processes_share_one_limit(
    writes: bool, pool: EnginePool, other_pool: EnginePool
) -> None:
    rate = Rate(1 / 50, 5)
    limiters = [Limiter(p, "c:calls", rate, title="QuickBooks") for p in (pool, other_pool)]
    counts = await calls_in(limiters, 1.0, writes=writes)
    assert 5 <= sum(counts) <= 50 + 5 + 1  # a busy machine may let fewer go, never more
    assert min(counts) > 0


async def test_a_burst_goes_at_once_and_the_next_call_waits(pool: EnginePool) -> None:
    limiter = Limiter(pool, "c:calls", Rate(20.0, 3), title="QuickBooks")
    for _ in range(3):
        await limiter.take(writes=True, max_wait_seconds=0)
    with pytest.raises(RateLimited) as caught:
        await limiter.take(writes=True, max_wait_seconds=0)
    assert 0 < caught.value.retry_after <= 20


async def test_a_place_taken_ahead_is_waited_for(pool: EnginePool) -> None:
    limiter = Limiter(pool, "c:calls", Rate(0.2, 1), title="QuickBooks")
    started = monotonic()
    for _ in range(3):
        await limiter.take(writes=True, max_wait_seconds=30)
    assert monotonic() - started >= 0.39


async def test_reads_leave_the_last_places_of_a_burst_to_writes(pool: EnginePool) -> None:
    limiter = Limiter(pool, "c:calls", Rate(20.0, 3), title="QuickBooks")
    for _ in range(2):
        await limiter.take(writes=False, max_wait_seconds=0)
    with pytest.raises(RateLimited):
        await limiter.take(writes=False, max_wait_seconds=0)
    await limiter.take(writes=True, max_wait_seconds=0)


async def test_a_write_that_would_wait_too_long_is_refused_at_once(pool: EnginePool) -> None:
    limiter = Limiter(pool, "c:calls", Rate(10.0, 1), title="QuickBooks")
    await limiter.take(writes=True, max_wait_seconds=0)
    started = monotonic()
    with pytest.raises(RateLimited) as caught:
        await limiter.take(writes=True, max_wait_seconds=3)
    assert monotonic() - started < 0.5
    assert 9 < caught.value.retry_after <= 10
    assert caught.value.sqlstate == "53400"


async def test_waiting_reads_do_not_delay_a_write(pool: EnginePool) -> None:
    limiter = Limiter(pool, "c:calls", Rate(0.5, 1), title="QuickBooks")
    await limiter.take(writes=False, max_wait_seconds=0)
    reads = [
        asyncio.create_task(limiter.take(writes=False, max_wait_seconds=30)) for _ in range(20)
    ]
    await asyncio.sleep(0)
    started = monotonic()
    await limiter.take(writes=True, max_wait_seconds=9)
    assert monotonic() - started < 9  # twenty queued reads would be ten seconds
    for read in reads:
        read.cancel()
    await asyncio.gather(*reads, return_exceptions=True)


async def test_a_pause_the_provider_asks_for_holds_for_all(
    pool: EnginePool, other_pool: EnginePool
) -> None:
    budget = Budget(calls=Rate(0.01, 10), batches=Rate(0.01, 10))
    here, there = (Limits(p, "c", budget, write_wait_seconds=1) for p in (pool, other_pool))
    await here.keep_away(30)
    with pytest.raises(RateLimited) as caught:
        async with there.slot(writes=True):
            pass
    assert 28 < caught.value.retry_after <= 30


async def test_reads_leave_places_to_writes(pool: EnginePool) -> None:
    budget = Budget(calls=Rate(0.001, 100), batches=Rate(0.001, 100), concurrency=4)
    limits = Limits(pool, "c", budget)
    inside = 0
    done = asyncio.Event()

    async def read() -> None:
        nonlocal inside
        async with limits.slot(writes=False):
            inside += 1
            await done.wait()

    reads = [asyncio.create_task(read()) for _ in range(6)]
    await until(lambda: inside == 2)
    async with asyncio.timeout(5), limits.slot(writes=True):
        assert inside == 2
    done.set()
    await asyncio.gather(*reads)


async def test_a_batch_needs_room_in_both_limits(pool: EnginePool) -> None:
    budget = Budget(calls=Rate(0.001, 100), batches=Rate(60.0, 1))
    limits = Limits(pool, "c", budget, write_wait_seconds=0.2)
    async with limits.slot(writes=True, batch=True):
        pass
    with pytest.raises(RateLimited):
        async with limits.slot(writes=True, batch=True):
            pass
    async with limits.slot(writes=True):
        pass


# -- calls at once, over all processes; the day -------------------------------------------------

SHARED = Budget(
    calls=Rate(1e-6, 1000), batches=Rate(1e-6, 1000), concurrency=9, seats=3, day_reserve=50
)


async def test_seats_are_counted_over_all_processes_and_the_last_is_for_writes(
    pool: EnginePool, other_pool: EnginePool
) -> None:
    here = Limits(pool, "seats", SHARED, read_wait_seconds=0.2, write_wait_seconds=0.2)
    there = Limits(other_pool, "seats", SHARED, read_wait_seconds=0.2, write_wait_seconds=0.2)
    async with here.slot(writes=False), there.slot(writes=False):
        with pytest.raises(RateLimited):
            async with here.slot(writes=False):
                pass
        async with there.slot(writes=True):
            with pytest.raises(RateLimited):
                async with here.slot(writes=True):
                    pass
    async with here.slot(writes=False), here.slot(writes=True), there.slot(writes=True):
        pass


async def test_a_seat_of_a_process_that_died_comes_free_by_itself(pool: EnginePool) -> None:
    limits = Limits(pool, "dead", SHARED, read_wait_seconds=0.2, write_wait_seconds=0.2)
    async with limits.slot(writes=True), limits.slot(writes=True), limits.slot(writes=True):
        async with pool.connection() as connection:  # as if its lease had run out
            await connection.execute(
                "update sqlsync.rate set tat = clock_timestamp() where key like 'dead:seat:%'"
            )
        async with limits.slot(writes=True):
            pass


async def test_a_seat_is_kept_for_as_long_as_the_call_takes(
    pool: EnginePool, other_pool: EnginePool
) -> None:
    here, there = (
        Seats(p, "long", 1, title="Xero", lease_seconds=1.0, renewed_seconds=0.1)
        for p in (pool, other_pool)
    )
    async with here.seat(writes=True, max_wait_seconds=1):
        with pytest.raises(RateLimited):  # twice as long as one lease
            async with there.seat(writes=True, max_wait_seconds=2):
                pass
    async with there.seat(writes=True, max_wait_seconds=0.5):
        pass


async def test_what_is_left_of_the_day_is_left_to_writes(
    pool: EnginePool, other_pool: EnginePool
) -> None:
    here = Limits(pool, "day", SHARED, read_wait_seconds=0.1, write_wait_seconds=0.1)
    there = Limits(other_pool, "day", SHARED, read_wait_seconds=0.1, write_wait_seconds=0.1)
    await here.note_left(minute=30, day=50)
    async with there.slot(writes=False):
        pass
    await here.note_left(minute=30, day=49)
    with pytest.raises(RateLimited):
        async with there.slot(writes=False):
            pass
    async with there.slot(writes=True):
        pass


async def test_what_is_left_is_shown_with_its_connection_while_it_is_fresh(
    pool: EnginePool,
) -> None:
    async with pool.connection() as connection:
        await connection.execute(
            "insert into sqlsync.connection (name, provider, schema_name, company_id)"
            " values ('kestrel', 'xero', 'xero', 't-1')"
        )
        await Limits(pool, "xero:t-1", SHARED).note_left(minute=55, day=4900)
        shown = "select minute_calls_left, day_calls_left from sqlsync._sync_connection"
        assert await (await connection.execute(shown)).fetchone() == (55, 4900)
        await connection.execute("update sqlsync.calls_left set noted_at = now() - interval '2 h'")
        assert await (await connection.execute(shown)).fetchone() == (None, 4900)


async def test_a_minute_that_is_used_up_keeps_all_away_for_a_moment(pool: EnginePool) -> None:
    limits = Limits(pool, "minute", SHARED, write_wait_seconds=0.1)
    await limits.note_left(minute=0, day=None)
    with pytest.raises(RateLimited):
        async with limits.slot(writes=True):
            pass
