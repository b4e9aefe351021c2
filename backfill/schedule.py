"""When to do what: how often to poll, how long to wait after a failure, what is due.

Pure: the clock's time comes in. The leader's scheduler asks and enqueues; it decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from schema.model import ObjectSpec
from sqlsync.errors import ProviderRefusal


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


@dataclass(frozen=True, slots=True)
class Feed:
    """What decides how often an object is polled that needs calls of its own.

    calls: that a poll needs. told: webhooks tell of its changes, and have lately. polled: never
    since its history was read, where None.
    """

    table: str
    calls: int
    polled_at: datetime | None
    changed_at: datetime | None
    told: bool = False


_DAY_SECONDS = 86_400.0
_SMALL_DAY, _LARGE_DAY = 1000, 5000  # calls a day; Xero, "Limits": Starter, Core and above
_RESERVED = 0.2  # of a day's calls: for writes, webhooks and histories
_UNLIMITED = 1.5  # of the first step: more than one poll, less than two
_TOLD = 4  # an object that webhooks tell of is asked for so many times more rarely


def feed_intervals(
    feeds: Iterable[Feed], now: datetime, calls_left: float, pace: Pace
) -> dict[str, timedelta]:
    """Returns how long after a poll each object is polled again, by table.

    calls_left: inf where days are not limited: then an object with calls of its own is asked
    with every second poll of a busy company, and polls that our writes ask for leave it out.
    Otherwise what is left of the day, as the provider told last. When its day ends is not
    known, so the polls of a whole day never plan with more than what is left now, less the
    reserve: as it goes down they become rarer, and it is never used up. Within that, an object
    that changes often is asked often, and one that needs many calls rarely. Where there is
    plenty, nobody is asked more often than the pace's first step says.
    Source: Xero, "Limits"; reference/xero/README.md section 7.
    """
    least = pace.steps[0][1]
    if math.isinf(calls_left):
        return {feed.table: least * _UNLIMITED for feed in feeds}
    wanted = {
        feed.table: poll_interval(now, feed.changed_at, pace)
        * max(feed.calls, 1)
        * (_TOLD if feed.told else 1)
        for feed in feeds
    }
    costs = {feed.table: max(feed.calls, 1) for feed in feeds}
    planned = sum(costs[table] / every.total_seconds() for table, every in wanted.items())
    day = _SMALL_DAY if calls_left <= _SMALL_DAY else max(_LARGE_DAY, calls_left)
    allowed = max(calls_left - day * _RESERVED, 1.0) / _DAY_SECONDS
    stretch = planned / allowed
    return {
        table: timedelta(seconds=max(least.total_seconds(), every.total_seconds() * stretch))
        for table, every in wanted.items()
    }


def feeds_due(
    feeds: Iterable[Feed], now: datetime, calls_left: float | None, pace: Pace
) -> list[str]:
    """Returns the tables to ask for now. calls_left: None where the provider told nothing yet."""
    feeds = list(feeds)
    every = feed_intervals(feeds, now, _SMALL_DAY if calls_left is None else calls_left, pace)
    return [
        feed.table
        for feed in feeds
        if feed.calls == 0  # shares a call with others
        or feed.polled_at is None
        or feed.polled_at + every[feed.table] <= now
    ]


@dataclass(frozen=True, slots=True)
class Written:
    """The last write of ours to a table. members: those that its records were sent or show."""

    table: str
    at: datetime
    members: frozenset[str]


def affected(objects: Iterable[ObjectSpec], written: Iterable[Written]) -> dict[str, datetime]:
    """Returns when other tables were changed by writes to these, by table: a payment changes its
    invoice, of which no answer tells (catalog: `affects`)."""
    by_table = {spec.table: spec.extra.get("affects", "").split() for spec in objects}
    found: dict[str, datetime] = {}
    for write in written:
        for pair in by_table.get(write.table, ()):
            table, _, member = pair.partition(":")
            if member in write.members:
                found[table] = max(write.at, found.get(table, write.at))
    return found


def retry_delay(failures: int, *, least: float = 2.0, most: float = 300.0) -> float:
    """Returns the seconds to wait after the given number of failures in a row (from 1)."""
    exponent = min(max(failures, 1) - 1, 30)
    return min(most, least * 2.0**exponent)


def refused_wait(refusal: ProviderRefusal, otherwise: float) -> float:
    """Returns the seconds until what the provider refused to show is asked for again.

    A scope that the consent lacks comes with a new consent alone, and that has everything asked
    for at once.
    """
    return _DAY_SECONDS if refusal.code == "insufficient_scope" else otherwise


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


@dataclass(frozen=True, slots=True)
class Rereading:
    """How often histories are read again, though nothing is wrong. Each reading sweeps.

    often: objects of which no feed tells at all, or not of deletions, where that is cheap.
    daily: those with a feed that passes over deletions; those that are off until somebody wants
    them; and those of at most `few` records, which cost few calls.
    rarely: others with a feed, for what changes without a word in it: balances, and the name of
    a renamed customer in the documents that refer to it.
    """

    often: timedelta = timedelta(hours=6)
    daily: timedelta = timedelta(days=1)
    rarely: timedelta = timedelta(days=7)
    few: int = 5000


def reread_interval(spec: ObjectSpec, rows: int, rereading: Rereading) -> timedelta | None:
    """None: never; every poll reads it whole, or its feed tells everything.

    rows: how many records of it there are.
    """
    if spec.change_feed == "whole":
        return None
    if spec.extra.get("sweep") == "yes":
        return rereading.daily
    if spec.change_feed == "cdc":
        return rereading.rarely if spec.kind == "transaction" else None
    if not spec.enabled:
        return rereading.daily
    if spec.change_feed != "modified_since":
        return rereading.often
    by_pages = "lists_lack" not in spec.extra
    return rereading.daily if by_pages and rows <= rereading.few else rereading.rarely


def rereads_due(
    finished: Mapping[str, datetime], now: datetime, *, every: Mapping[str, timedelta]
) -> list[str]:
    """Returns the tables whose history is to be read again, though nothing is wrong.

    finished: when each was last read whole. every: how long after that it is due, by table. A
    reading of a table that holds rows sweeps: what it lacks leaves.
    """
    return sorted(t for t, at in finished.items() if t in every and at + every[t] <= now)


def connection_state(states: Iterable[ObjectState]) -> str:
    """Returns the state of a connection whose objects stand so: backfilling until all are read.

    An object in error does not hold the others back: it says so in its own row.
    """
    known = set(states)
    if known & {ObjectState.PENDING, ObjectState.BACKFILLING}:
        return "backfilling"
    return "live"
