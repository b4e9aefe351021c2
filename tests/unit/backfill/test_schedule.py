from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.schedule import (
    ObjectStanding,
    ObjectState,
    Pace,
    backfills_due,
    connection_state,
    poll_interval,
    prompt_delay,
    rereads_due,
    retry_delay,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("quiet", "seconds"),
    [
        (timedelta(0), 30),
        (timedelta(minutes=59), 30),
        (timedelta(hours=1), 120),
        (timedelta(hours=7), 300),
        (timedelta(days=3), 900),
        (timedelta(seconds=-20), 30),
        (None, 900),
    ],
)
def test_poll_interval_grows_with_the_quiet(quiet: timedelta | None, seconds: int) -> None:
    last = None if quiet is None else NOON - quiet
    assert poll_interval(NOON, last, Pace()) == timedelta(seconds=seconds)


@given(st.timedeltas(timedelta(0), timedelta(minutes=59)))
def test_a_company_active_in_the_last_hour_is_asked_every_minute_or_oftener(
    quiet: timedelta,
) -> None:
    assert poll_interval(NOON, NOON - quiet, Pace()) <= timedelta(seconds=60)


def test_a_monthly_budget_slows_polling_down() -> None:
    pace = Pace(monthly_calls=720)
    assert poll_interval(NOON, NOON, pace) == timedelta(hours=1)


@given(st.integers(0, 10_000))
def test_retries_wait_longer_each_time_up_to_a_limit(failures: int) -> None:
    assert 2.0 <= retry_delay(failures) <= retry_delay(failures + 1) <= 300.0


@pytest.mark.parametrize(
    ("now", "last", "delay"),
    [(10.0, None, 0.0), (10.0, 9.5, 1.5), (10.0, 8.0, 0.0), (10.0, 1, 0.0)],
)
def test_polls_asked_for_in_a_row_share_one(now: float, last: float | None, delay: float) -> None:
    assert prompt_delay(now, last, 2.0) == delay


def standing(
    table: str,
    state: ObjectState,
    *,
    rank: int = 10,
    finished: bool = False,
    next_run_at: datetime | None = None,
) -> ObjectStanding:
    return ObjectStanding(table, rank, state, finished, next_run_at)


def test_backfills_that_are_due_come_parents_first() -> None:
    objects = [
        standing("invoice", ObjectState.PENDING, rank=50),
        standing("customer", ObjectState.PENDING, rank=10),
        standing("account", ObjectState.BACKFILLING, rank=10),
        standing("item", ObjectState.LIVE, finished=True),
        standing("vendor", ObjectState.PAUSED),
        standing("payment", ObjectState.ERROR, rank=60, next_run_at=NOON),
        standing("employee", ObjectState.ERROR, next_run_at=NOON + timedelta(seconds=1)),
        standing("bill", ObjectState.ERROR, finished=True),
    ]
    assert backfills_due(objects, NOON) == ["account", "customer", "invoice", "payment"]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([ObjectState.LIVE, ObjectState.PENDING], "backfilling"),
        ([ObjectState.LIVE, ObjectState.BACKFILLING], "backfilling"),
        ([ObjectState.LIVE, ObjectState.ERROR, ObjectState.PAUSED], "live"),
        ([], "live"),
    ],
)
def test_a_connection_is_live_when_every_history_has_been_read(
    states: list[ObjectState], expected: str
) -> None:
    assert connection_state(states) == expected


def test_what_no_feed_reports_deletions_of_is_read_again_after_a_while() -> None:
    every = timedelta(hours=6)
    finished = {
        "tax_rate": NOON - every,
        "tax_code": NOON - timedelta(days=2),
        "time_activity": NOON - every + timedelta(seconds=1),
    }
    assert rereads_due(finished, NOON, every=every) == ["tax_code", "tax_rate"]
    assert rereads_due({}, NOON, every=every) == []
