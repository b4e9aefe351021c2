"""When to do what: how often to poll, how long to wait after a failure, what is due.

Pure: the clock's time comes in. The leader's scheduler asks and enqueues; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the change feed of a connection is asked.

    steps: (quiet for at least, interval); the last step that applies counts. The first one
    holds for companies active within the last hour. Quiet time costs calls and shows nothing,
    so it is asked less; a webhook or a write of ours wakes it up at once.
    monthly_calls: what the provider's plan allows us for polling; None: no limit.
    """

    steps: tuple[tuple[timedelta, timedelta], ...] = (
        (timedelta(0), timedelta(seconds=30)),
        (timedelta(hours=1), timedelta(minutes=2)),
        (timedelta(hours=6), timedelta(minutes=5)),
        (timedelta(days=1), timedelta(minutes=15)),
    )
    monthly_calls: int | None = None


def poll_interval(now: datetime, last_activity: datetime | None, pace: Pace) -> timedelta:
    """Returns the time from one poll of a connection to the next.

    last_activity: when its records last changed; None: never, so as quiet as can be. A time
    in the future (clocks differ) counts as now.
    """
    quiet = timedelta.max if last_activity is None else max(now - last_activity, timedelta(0))
    interval = pace.steps[0][1]
    for least, step in pace.steps:
        if quiet >= least:
            interval = step
    if pace.monthly_calls is not None:
        interval = max(interval, timedelta(days=30) / max(pace.monthly_calls, 1))
    return interval


def retry_delay(failures: int, *, least: float = 2.0, most: float = 300.0) -> float:
    """Returns the seconds to wait after the given number of failures in a row (from 1)."""
    exponent = min(max(failures, 1) - 1, 30)
    return min(most, least * 2.0**exponent)


def prompt_delay(now: float, last: float | None, spacing: float) -> float:
    """Returns how long (seconds) a poll asked for right now has to wait.

    Many writes in a row ask for many polls; those closer than `spacing` seconds share one.
    """
    if last is None:
        return 0.0
    return max(0.0, last + spacing - now)


class ObjectState(StrEnum):
    """`_sync_cdc.state`."""

    PENDING = "pending"
    BACKFILLING = "backfilling"
    LIVE = "live"
    PAUSED = "paused"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class ObjectStanding:
    """What decides whether an object needs a backfill job now."""

    table: str
    rank: int
    state: ObjectState
    finished: bool  # its history has been read once, completely, since it was last asked for
    next_run_at: datetime | None  # not before; set after a failure


def backfills_due(objects: Iterable[ObjectStanding], now: datetime) -> list[str]:
    """Returns the tables whose history is to be read, parents first.

    The rows of `_sync_cdc` are the truth, jobs only carry it out: a job that was lost, in
    whatever way, is made again from here.
    """
    due = [
        o
        for o in objects
        if o.state in (ObjectState.PENDING, ObjectState.BACKFILLING, ObjectState.ERROR)
        and not o.finished
        and (o.next_run_at is None or o.next_run_at <= now)
    ]
    return [o.table for o in sorted(due, key=lambda o: (o.rank, o.table))]


def rereads_due(finished: Mapping[str, datetime], now: datetime, *, every: timedelta) -> list[str]:
    """Returns the tables whose history is to be read again, though nothing is wrong.

    finished: of the tables whose deletions no feed reports, when each was last read whole. A
    reading of a table that holds rows sweeps: what it lacks leaves.
    """
    return sorted(table for table, at in finished.items() if at + every <= now)


def connection_state(states: Iterable[ObjectState]) -> str:
    """Returns the state of a connection whose objects stand so: backfilling until all are read.

    An object in error does not hold the others back: it says so in its own row.
    """
    known = set(states)
    if known & {ObjectState.PENDING, ObjectState.BACKFILLING}:
        return "backfilling"
    return "live"
