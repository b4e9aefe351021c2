"""When reports are computed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from backfill.report_schedule import ReportPace, ReportRun, reports_due

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PACE = ReportPace(every=24 * HOUR, after_change=HOUR)


def run(
    number: int = 1,
    *,
    state: str = "ready",
    scheduled: bool = True,
    refresh_every: timedelta | None = None,
    requested: timedelta | None = None,
    started: timedelta | None = None,
    next_run: timedelta | None = None,
) -> ReportRun:
    """Times are how long ago."""
    ago = [None if t is None else NOW - t for t in (requested, started, next_run)]
    return ReportRun(number, state, scheduled, refresh_every, *ago)


def due(*runs: ReportRun, live: bool = True, changed: timedelta | None = None) -> list[int]:
    last_change = None if changed is None else NOW - changed
    return reports_due(runs, NOW, PACE, live=live, last_change=last_change)


def test_a_scheduled_report_waits_for_the_histories_and_then_comes_first() -> None:
    assert due(run(state="pending"), live=False) == []
    assert due(run(state="pending")) == [1]


def test_what_somebody_asked_for_comes_at_once_and_before_all_others() -> None:
    asked = run(2, scheduled=False, requested=HOUR, state="pending")
    assert due(run(1, state="pending"), asked, live=True) == [2, 1]
    assert due(asked, live=False) == [2]


def test_a_report_is_computed_again_when_it_is_old() -> None:
    assert due(run(started=23 * HOUR)) == []
    assert due(run(started=24 * HOUR)) == [1]
    assert due(run(started=2 * HOUR, refresh_every=2 * HOUR)) == [1]
    assert due(run(started=48 * HOUR, scheduled=False)) == []


def test_a_change_makes_it_old_sooner_but_not_at_once() -> None:
    assert due(run(started=2 * HOUR), changed=HOUR) == [1]
    assert due(run(started=2 * HOUR), changed=3 * HOUR) == []
    assert due(run(started=HOUR / 2), changed=timedelta(minutes=1)) == []
    pace = ReportPace(after_change=None)
    runs = [run(started=2 * HOUR)]
    assert reports_due(runs, NOW, pace, live=True, last_change=NOW) == []


def test_after_a_failure_it_waits_its_time() -> None:
    assert due(run(state="error", started=HOUR, next_run=-HOUR)) == []
    assert due(run(state="error", started=HOUR, next_run=timedelta(0))) == [1]
    assert due(run(state="error", scheduled=False, started=HOUR)) == []


def test_a_request_that_came_while_it_was_computed_is_not_lost() -> None:
    assert due(run(scheduled=False, requested=HOUR, started=2 * HOUR)) == [1]
    assert due(run(scheduled=False, requested=2 * HOUR, started=HOUR)) == []


def test_a_run_whose_job_was_lost_is_taken_up_again() -> None:
    assert due(run(state="refreshing", scheduled=False, requested=HOUR, started=HOUR / 2)) == [1]
