"""A provider's limits, shared by all processes through one row of Postgres per limit.

The row holds a *theoretical arrival time* (GCRA): each call moves it on by one interval, and a
call may go when the row is not further ahead than the burst. The server's clock decides, so
that no two machines disagree. Writes go first: a write reserves its place at once and waits
for it; a read only takes a place that is free now, leaving the last ones of a burst to writes,
and asks again later. What must wait longer than its caller would is refused at once.

One round trip of about half a millisecond per call, against calls of 100 ms and more.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

import structlog

from sqlsync.database import EnginePool, errors
from sqlsync.errors import DatabaseUnavailable, RateLimited

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `burst` calls at once, and one more every `interval_seconds`.

    In any span of W seconds at most burst + W / interval_seconds calls go out.
    """

    interval_seconds: float
    burst: int


@dataclass(frozen=True, slots=True)
class Budget:
    """All limits of one connection. `concurrency` holds for one process."""

    calls: Rate
    batches: Rate
    concurrency: int = 10
    title: str = "QuickBooks"


# 500 a minute per company, 10 a second and 40 batches a minute per company and app. The
# burst is part of any minute: 2 + 8 in a second, 2 + 480 and 10 + 30 in a minute.
# Source: Intuit, "API call limits and throttles".
QUICKBOOKS_BUDGET = Budget(calls=Rate(1 / 8, 2), batches=Rate(2.0, 10))
# A simulator says 429 where it wants to; ours only keeps its processes from being flooded.
SIMULATOR_BUDGET = Budget(calls=Rate(1 / 1000, 200), batches=Rate(1 / 200, 100))

_TAKE = """
with taken as (
    insert into sqlsync.rate as r (key, tat)
    values (%(key)s, clock_timestamp() + make_interval(secs => %(interval)s))
    on conflict (key) do update
    set tat = greatest(r.tat, clock_timestamp()) + make_interval(secs => %(interval)s)
    where r.tat <= clock_timestamp() + make_interval(secs => %(ahead)s)
    returning extract(epoch from r.tat - clock_timestamp())::float8 as ahead
)
select true, ahead from taken
union all
select false, extract(epoch from tat - clock_timestamp())::float8 from sqlsync.rate
where key = %(key)s and not exists (select from taken)
"""
_PENALTY = """
insert into sqlsync.rate as r (key, tat)
values (%(key)s, clock_timestamp() + make_interval(secs => %(ahead)s))
on conflict (key) do update set tat = greatest(r.tat, excluded.tat)
"""


class Limiter:
    """One limit, shared through the row `key`."""

    def __init__(self, pool: EnginePool, key: str, rate: Rate, *, title: str) -> None:
        self._pool = pool
        self._key = key
        self._rate = rate
        self._title = title

    async def take(self, *, writes: bool, max_wait_seconds: float) -> None:
        """Returns when the call may go.

        Raises RateLimited where that would take too long, DatabaseUnavailable.
        """
        until = monotonic() + max_wait_seconds
        while True:
            left = max(0.0, until - monotonic())
            taken, wait = await self._try(writes=writes, wait_seconds=left if writes else 0.0)
            if taken:
                if wait > 0:
                    await asyncio.sleep(wait)
                return
            if wait > left:
                raise RateLimited(
                    f"[{self._title}] The call limit is used up for {wait:.0f} s more.",
                    retry_after=wait,
                    hint="Try again later; fewer statements with more rows each use fewer calls.",
                )
            # A little apart, so that those who wait do not all ask at the same moment.
            await asyncio.sleep(wait + random.uniform(0, self._rate.interval_seconds))  # noqa: S311

    async def keep_away(self, seconds: float) -> None:
        """Nobody goes for so long: the provider said that the limit is used up.

        Raises nothing: it comes after an answer, which must not be lost for it.
        """
        ahead = seconds + (self._rate.burst - 1) * self._rate.interval_seconds
        try:
            async with self._pool.connection() as connection:
                await connection.execute(_PENALTY, {"key": self._key, "ahead": ahead})
        except errors.OperationalError:
            log.warning("limit not moved", key=self._key, seconds=seconds)

    async def _try(self, *, writes: bool, wait_seconds: float) -> tuple[bool, float]:
        """(taken, seconds to wait): for the place taken, or before it is worth asking again."""
        interval, burst = self._rate.interval_seconds, self._rate.burst
        # Reads leave a part of the burst, at least one place, to writes.
        usable = burst if writes else max(1, burst - max(1, burst // 5))
        allowed = (usable - 1) * interval  # how far ahead the row may be for a call to go now
        values = {"key": self._key, "interval": interval, "ahead": allowed + wait_seconds}
        try:
            async with self._pool.connection() as connection:
                row = await (await connection.execute(_TAKE, values)).fetchone()
        except errors.OperationalError as error:
            raise DatabaseUnavailable(f"The call limits cannot be read: {error}") from error
        if row is None:  # the row was made between the two halves of the statement
            return False, interval
        taken, ahead = row
        before = ahead - interval if taken else ahead
        return taken, max(0.0, before - allowed)


class Limits:
    """All limits of one connection: `async with limits.slot(…)` around a call."""

    def __init__(
        self,
        pool: EnginePool,
        name: str,
        budget: Budget,
        *,
        read_wait_seconds: float = 120.0,
        write_wait_seconds: float = 30.0,
    ) -> None:
        self._calls = Limiter(pool, f"{name}:calls", budget.calls, title=budget.title)
        self._batches = Limiter(pool, f"{name}:batches", budget.batches, title=budget.title)
        # Reads cannot fill all places, so that a write always finds one.
        self._places = asyncio.Semaphore(budget.concurrency)
        self._read_places = asyncio.Semaphore(max(1, budget.concurrency - 2))
        self._read_wait_seconds = read_wait_seconds
        self._write_wait_seconds = write_wait_seconds

    @asynccontextmanager
    async def slot(self, *, writes: bool, batch: bool = False) -> AsyncIterator[None]:
        """Room for one call. Raises RateLimited where it would take too long."""
        if writes:
            await self._take(writes=True, batch=batch)
            async with self._places:
                yield
            return
        async with self._read_places:
            await self._take(writes=False, batch=batch)
            async with self._places:
                yield

    async def _take(self, *, writes: bool, batch: bool) -> None:
        longest = self._write_wait_seconds if writes else self._read_wait_seconds
        if batch:
            await self._batches.take(writes=writes, max_wait_seconds=longest)
        await self._calls.take(writes=writes, max_wait_seconds=longest)

    async def keep_away(self, seconds: float) -> None:
        """The provider refused a call for too many; all processes stay away for so long."""
        await self._calls.keep_away(seconds)
