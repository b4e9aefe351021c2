"""Which reports are to be computed now. Pure: the clock's time comes in.

A report is a call that the provider counts, and nothing tells that its answer would be another
than last time; so it is computed when somebody asks, once in a while, and sooner where the
company's records have changed since.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class ReportPace:
    """every: how old a scheduled report may become. after_change: how old where records have
    changed since it was computed; None: that makes no difference."""

    every: timedelta = timedelta(days=1)
    after_change: timedelta | None = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ReportRun:
    """A row of `_sync_report`, as far as it decides when it is computed."""

    id: int
    state: str
    scheduled: bool
    refresh_every: timedelta | None  # of its own
    requested_at: datetime | None
    started_at: datetime | None
    next_run_at: datetime | None  # set after a failure


def reports_due(
    runs: Iterable[ReportRun],
    now: datetime,
    pace: ReportPace,
    *,
    live: bool,
    last_change: datetime | None,
) -> list[int]:
    """Returns the ids of the runs to compute, those that somebody waits for first.

    live: the connection's histories are read. Until then the provider's limits are for those,
    and only what was asked for is computed.
    """
    asked: list[ReportRun] = []
    others: list[ReportRun] = []
    for run in runs:
        if run.next_run_at is not None:
            waits = run.next_run_at > now
            if not waits:
                (asked if _is_asked(run) else others).append(run)
        elif _is_asked(run):
            asked.append(run)
        elif run.state == "refreshing" or (
            live and run.scheduled and _is_old(run, now, pace, last_change)
        ):
            # One whose job was lost stands in "refreshing" for ever.
            others.append(run)
    asked.sort(key=lambda run: (run.requested_at or now, run.id))
    others.sort(key=lambda run: (run.started_at is not None, run.started_at or now, run.id))
    return [run.id for run in (*asked, *others)]


def _is_asked(run: ReportRun) -> bool:
    if run.requested_at is None:
        return False
    return run.started_at is None or run.requested_at > run.started_at


def _is_old(run: ReportRun, now: datetime, pace: ReportPace, last_change: datetime | None) -> bool:
    if run.started_at is None:
        return True
    age = now - run.started_at
    if age >= (run.refresh_every or pace.every):
        return True
    changed = last_change is not None and last_change > run.started_at
    return changed and pace.after_change is not None and age >= pace.after_change
