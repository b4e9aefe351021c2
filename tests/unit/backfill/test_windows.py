from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.windows import (
    Gone,
    HistoryNeeded,
    Question,
    Suspicious,
    Window,
    changes_window,
    halves,
    next_watermark,
    questions,
    sweep_decision,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MONTH = timedelta(days=30)


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        (MINUTE, Window(NOON - 6 * MINUTE, NOON)),
        (timedelta(0), Window(NOON - 5 * MINUTE, NOON)),
        (MONTH - 5 * MINUTE, Window(NOON - MONTH, NOON)),
        (MONTH, HistoryNeeded(since=NOON - MONTH - 5 * MINUTE)),
        (timedelta(days=400), HistoryNeeded(since=NOON - timedelta(days=400) - 5 * MINUTE)),
        (-MINUTE, Window(NOON - 4 * MINUTE, NOON + MINUTE)),
    ],
)
def test_window_starts_an_overlap_early_and_not_beyond_the_horizon(
    behind: timedelta, expected: Window | HistoryNeeded
) -> None:
    found = changes_window(NOON - behind, NOON, overlap=5 * MINUTE, horizon=MONTH)
    assert found == expected


@given(
    st.lists(st.timedeltas(timedelta(0), timedelta(hours=1)), min_size=1, max_size=20),
    st.timedeltas(timedelta(0), timedelta(minutes=10)),
)
def test_no_moment_falls_between_two_windows(steps: list[timedelta], overlap: timedelta) -> None:
    watermark, covered = NOON, NOON
    for step in steps:
        window = changes_window(watermark, watermark + step, overlap=overlap, horizon=MONTH)
        assert isinstance(window, Window)
        assert window.start <= covered
        covered = window.end
        watermark = next_watermark(watermark, window.end)


def test_watermark_never_goes_back() -> None:
    assert next_watermark(NOON, NOON - MINUTE) == NOON
    assert next_watermark(NOON, NOON + MINUTE) == NOON + MINUTE


@given(st.lists(st.integers()))
def test_halves_lose_nothing_and_end(asked: list[int]) -> None:
    split = halves(asked)
    if len(asked) < 2:
        assert split is None
        return
    assert split is not None
    left, right = split
    assert [*left, *right] == asked
    assert left and right


@pytest.mark.parametrize(
    ("mirrored", "missing", "seen", "counted", "outcome"),
    [
        (100, 0, 100, 100, Gone),
        (100, 3, 97, 97, Gone),
        (100, 3, 97, None, Gone),
        (100, 3, 97, 100, Suspicious),  # the reading ended early
        (100, 60, 40, 40, Suspicious),  # too much at once
        (100, 100, 0, 0, Suspicious),
        (100, 100, 0, None, Suspicious),
        (5, 5, 0, 0, Gone),  # a small list may really have been emptied
        (5, 5, 0, None, Suspicious),
        (20, 20, 0, 0, Gone),
    ],
)
def test_sweep_removes_only_what_a_believable_reading_lacks(
    mirrored: int, missing: int, seen: int, counted: int | None, outcome: type
) -> None:
    ids = [str(n) for n in range(missing)]
    found = sweep_decision(mirrored, ids, seen, counted)
    assert isinstance(found, outcome)
    if isinstance(found, Gone):
        assert found.ids == tuple(ids)


@given(st.integers(21, 10_000), st.integers(0, 10_000), st.integers(0, 20_000))
def test_a_sweep_never_takes_more_than_its_share(mirrored: int, missing: int, counted: int) -> None:
    missing = min(missing, mirrored)
    found = sweep_decision(mirrored, [str(n) for n in range(missing)], counted, counted)
    if isinstance(found, Gone):
        assert len(found.ids) <= mirrored / 2


@given(
    st.dictionaries(st.text("abc", min_size=1), st.timedeltas(timedelta(0), timedelta(days=1))),
    st.timedeltas(timedelta(0), timedelta(hours=2)),
)
def test_every_object_is_asked_once_and_never_from_too_late(
    lags: dict[str, timedelta], tolerance: timedelta
) -> None:
    starts = {table: NOON - lag for table, lag in lags.items()}
    asked = questions(starts, tolerance=tolerance)
    assert sorted(t for q in asked for t in q.tables) == sorted(starts)
    for question in asked:
        assert all(timedelta(0) <= starts[t] - question.since <= tolerance for t in question.tables)


def test_an_object_that_lags_is_asked_on_its_own() -> None:
    hour = timedelta(hours=1)
    starts = {"customer": NOON, "invoice": NOON - hour, "item": NOON - MINUTE}
    assert questions(starts, tolerance=2 * MINUTE) == [
        Question(("customer", "item"), NOON - MINUTE),
        Question(("invoice",), NOON - hour),
    ]
