"""A provider's limits, shared by all processes through one row of Postgres per limit.

The row holds a *theoretical arrival time* (GCRA): each call moves it on by one interval, and a
call may go when the row is not further ahead than the burst. The server's clock decides, so
that no two machines disagree. Writes go first: a write reserves its place at once and waits
for it; a read only takes a place that is free now, leaving the last ones of a burst to writes,
and asks again later. What must wait longer than its caller would is refused at once.

Where a provider limits how many calls run at once over all of an app's processes, each call
holds a *seat*: a row leased for some seconds, and again while the call goes on, so that the
seats of a process that dies come free by themselves, and soon.

One round trip of about half a millisecond per call, against calls of 100 ms and more.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
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
    """All limits of one connection. `concurrency` holds for one process.

    seats: how many calls run at once over all processes, where the provider counts those.
    day_reserve: how many of a day's calls are left to writes, where the provider limits days
    and tells what is left; reads then stay away.
    """

    calls: Rate
    batches: Rate
    concurrency: int = 10
    title: str = "QuickBooks"
    seats: int | None = None
    day_reserve: int = 0


# 500 a minute per company, 10 a second and 40 batches a minute per company and app. The
# burst is part of any minute: 2 + 8 in a second, 2 + 480 and 10 + 30 in a minute.
# Source: Intuit, "API call limits and throttles".
QUICKBOOKS_BUDGET = Budget(calls=Rate(1 / 8, 2), batches=Rate(2.0, 10))
# A simulator says 429 where it wants to; ours only keeps its processes from being flooded.
SIMULATOR_BUDGET = Budget(calls=Rate(1 / 1000, 200), batches=Rate(1 / 200, 100))
# 60 a minute and 5 at once per organisation: 10 + 50 in any minute. Batches have no limit of
# their own. The limit of a day (1,000 or 5,000, by the app's tier) is known from the answers.
# Source: Xero, "Limits".
XERO_BUDGET = Budget(
    calls=Rate(1.2, 10),
    batches=Rate(1.2, 10),
    concurrency=5,
    title="Xero",
    seats=5,
    day_reserve=50,
)
XERO_SIMULATOR_BUDGET = Budget(
    calls=SIMULATOR_BUDGET.calls,
    batches=SIMULATOR_BUDGET.calls,
    concurrency=5,
    title="Xero",
    seats=5,
    day_reserve=50,
)

_SEAT_SECONDS = 15.0  # how long a process that died keeps a seat
_SEAT_RENEWED_SECONDS = 5.0
_READS_AWAY_SECONDS = 1800.0  # then one read looks whether the day is over
_MINUTE_USED_UP_SECONDS = 5.0  # what is left of the minute is not told; a refusal tells it

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

_MAKE_SEATS = """
insert into sqlsync.rate (key, tat) select key, '-infinity' from unnest(%(keys)s::text[]) key
on conflict do nothing
"""
_TAKE_SEAT = """
update sqlsync.rate set tat = clock_timestamp() + make_interval(secs => %(lease)s)
where key = (
    select key from sqlsync.rate where key = any(%(keys)s) and tat <= clock_timestamp()
    order by key limit 1 for update skip locked
)
returning key, tat
"""
_RENEW_SEAT = """
update sqlsync.rate set tat = clock_timestamp() + make_interval(secs => %s)
where key = %s and tat = %s returning tat
"""
_LEAVE_SEAT = "update sqlsync.rate set tat = clock_timestamp() where key = %s and tat = %s"


class Seats:
    """So many calls at once, over all processes. Reads leave the last seat to writes.

    lease_seconds, renewed_seconds: for how long a seat is taken at a time, and how often anew.
    """

    def __init__(
        self,
        pool: EnginePool,
        key: str,
        count: int,
        *,
        title: str,
        lease_seconds: float = _SEAT_SECONDS,
        renewed_seconds: float = _SEAT_RENEWED_SECONDS,
    ) -> None:
        self._pool = pool
        self._lease_seconds = lease_seconds
        self._renewed_seconds = renewed_seconds
        self._keys = [f"{key}:{number}" for number in range(count)]
        self._title = title

    @asynccontextmanager
    async def seat(self, *, writes: bool, max_wait_seconds: float) -> AsyncIterator[None]:
        """Raises RateLimited where none becomes free in time, DatabaseUnavailable."""
        lease = _Lease(*await self._take(writes, max_wait_seconds), asyncio.Event())
        keeping = asyncio.create_task(self._keep(lease))
        try:
            yield
        finally:
            lease.over.set()
            await asyncio.shield(self._leave(keeping, lease))

    async def _take(self, writes: bool, max_wait_seconds: float) -> tuple[str, datetime]:
        keys = self._keys if writes else self._keys[: max(1, len(self._keys) - 1)]
        give_up = monotonic() + max_wait_seconds
        while True:
            try:
                async with self._pool.connection() as connection:
                    row = await (
                        await connection.execute(
                            _TAKE_SEAT, {"keys": keys, "lease": self._lease_seconds}
                        )
                    ).fetchone()
                    if row is None:
                        made = await connection.execute(_MAKE_SEATS, {"keys": self._keys})
                        if made.rowcount:
                            continue
            except errors.OperationalError as error:
                raise DatabaseUnavailable(f"The call limits cannot be read: {error}") from error
            if row is not None:
                return row[0], row[1]
            if monotonic() >= give_up:
                raise RateLimited(
                    f"[{self._title}] All {len(self._keys)} calls at once are in use.",
                    retry_after=1.0,
                )
            await asyncio.sleep(random.uniform(0.02, 0.1))  # noqa: S311

    async def _keep(self, lease: _Lease) -> None:
        """Takes the seat for longer while the call goes on."""
        while not lease.over.is_set():
            try:
                async with asyncio.timeout(self._renewed_seconds):
                    await lease.over.wait()
            except TimeoutError:
                await self._renew(lease)

    async def _renew(self, lease: _Lease) -> None:
        """Where that fails another may take it: one call too many, which the provider refuses."""
        try:
            async with self._pool.connection() as connection:
                done = await connection.execute(
                    _RENEW_SEAT, [self._lease_seconds, lease.key, lease.until]
                )
                row = await done.fetchone()
        except errors.OperationalError:
            log.info("seat not taken for longer", key=lease.key)
            return
        if row is not None:
            lease.until = row[0]

    async def _leave(self, keeping: asyncio.Task[None], lease: _Lease) -> None:
        """Raises nothing: it comes after an answer, which must not be lost for it."""
        await keeping
        try:
            async with self._pool.connection() as connection:
                await connection.execute(_LEAVE_SEAT, [lease.key, lease.until])
        except errors.OperationalError:
            log.warning("seat not given back; it comes free by itself", key=lease.key)


@dataclass(slots=True)
class _Lease:
    """A seat that is ours until a time, by the server's clock."""

    key: str
    until: datetime
    over: asyncio.Event  # the call has ended


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


_NOTE_LEFT = """
insert into sqlsync.calls_left as l (key, minute_left, day_left, noted_at)
values (%(key)s, %(minute)s, %(day)s, clock_timestamp())
on conflict (key) do update set minute_left = excluded.minute_left,
    day_left = coalesce(excluded.day_left, l.day_left), noted_at = excluded.noted_at
"""
_NOTE_EVERY_SECONDS = 5.0  # what is left is shown to people; this old it may be


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
        self._day_reserve = budget.day_reserve
        # Every read passes it, and it only ever holds them up when the day's calls run out.
        self._reads = (
            Limiter(pool, f"{name}:reads", Rate(1e-6, 1), title=budget.title)
            if budget.day_reserve
            else None
        )
        self._seats = (
            Seats(pool, f"{name}:seat", budget.seats, title=budget.title) if budget.seats else None
        )
        # Reads cannot fill all places, so that a write always finds one.
        self._places = asyncio.Semaphore(budget.concurrency)
        self._read_places = asyncio.Semaphore(max(1, budget.concurrency - 2))
        self.day_left: int | None = None  # as the provider told this process last
        self._pool = pool
        self._name = name
        self._noted_at = -_NOTE_EVERY_SECONDS  # monotonic
        self._read_wait_seconds = read_wait_seconds
        self._write_wait_seconds = write_wait_seconds

    @asynccontextmanager
    async def slot(self, *, writes: bool, batch: bool = False) -> AsyncIterator[None]:
        """Room for one call. Raises RateLimited where it would take too long."""
        async with AsyncExitStack() as stack:
            if not writes:
                await stack.enter_async_context(self._read_places)
            await self._take(writes=writes, batch=batch)
            await stack.enter_async_context(self._places)
            if self._seats is not None:
                longest = self._write_wait_seconds if writes else self._read_wait_seconds
                seat = self._seats.seat(writes=writes, max_wait_seconds=longest)
                await stack.enter_async_context(seat)
            yield

    async def _take(self, *, writes: bool, batch: bool) -> None:
        longest = self._write_wait_seconds if writes else self._read_wait_seconds
        if self._reads is not None and not writes:
            await self._reads.take(writes=False, max_wait_seconds=longest)
        if batch:
            await self._batches.take(writes=writes, max_wait_seconds=longest)
        await self._calls.take(writes=writes, max_wait_seconds=longest)

    async def keep_away(self, seconds: float) -> None:
        """The provider refused a call for too many; all processes stay away for so long."""
        await self._calls.keep_away(seconds)

    async def note_left(self, *, minute: int | None, day: int | None) -> None:
        """What the provider's answer says is left of this minute and this day; None: unsaid."""
        self.day_left = day if day is not None else self.day_left
        if self._reads is not None and day is not None and day < self._day_reserve:
            log.warning("reads stay away: the day's calls run out", left=day)
            await self._reads.keep_away(_READS_AWAY_SECONDS)
        if minute == 0:
            await self._calls.keep_away(_MINUTE_USED_UP_SECONDS)
        if (minute, day) != (None, None) and monotonic() >= self._noted_at + _NOTE_EVERY_SECONDS:
            self._noted_at = monotonic()
            await self._note(minute, day)

    async def _note(self, minute: int | None, day: int | None) -> None:
        """Shows what is left. Raises nothing: it comes after an answer."""
        values = {"key": self._name, "minute": minute, "day": day}
        try:
            async with self._pool.connection() as connection:
                await connection.execute(_NOTE_LEFT, values)
        except errors.OperationalError:
            log.warning("calls left not noted", key=self._name)
