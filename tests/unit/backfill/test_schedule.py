from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.schedule import (
    Feed,
    ObjectStanding,
    ObjectState,
    Pace,
    Rereading,
    Written,
    affected,
    backfills_due,
    connection_state,
    feed_intervals,
    feeds_due,
    poll_interval,
    prompt_delay,
    refused_wait,
    reread_interval,
    rereads_due,
    retry_delay,
)
from schema.loader import load_catalog
from sqlsync.errors import NotPermitted

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
    often = timedelta(hours=6)
    finished = {
        "tax_rate": NOON - often,
        "tax_code": NOON - timedelta(days=2),
        "time_activity": NOON - often + timedelta(seconds=1),
        "customer": NOON - timedelta(days=90),
    }
    every = dict.fromkeys(("tax_rate", "tax_code", "time_activity"), often)
    assert rereads_due(finished, NOON, every=every) == ["tax_code", "tax_rate"]
    assert rereads_due({}, NOON, every=every) == []


@pytest.mark.parametrize(
    ("provider", "table", "days"),
    [
        ("quickbooks", "customer", None),  # CDC tells of deletions too
        ("quickbooks", "invoice", 7),  # not of a name in it that follows its customer's
        ("quickbooks", "recurring_transaction", 1),  # whether CDC tells of it is not documented
        ("quickbooks", "time_activity", 0.25),
        ("xero", "account", 1),  # deleted for good, and no feed says so
        ("xero", "item", 1),
        ("xero", "tax_rate", None),  # every poll reads all there are
        ("xero", "invoice", 7),  # voided ones come through the feed
        ("xero", "receipt", 7),  # a call for each
        ("xero", "attachment", 1),
    ],
)
def test_how_often_an_object_is_read_again(provider: str, table: str, days: float | None) -> None:
    wanted = None if days is None else timedelta(days=days)
    spec = load_catalog(provider).by_table[table]
    assert reread_interval(spec, 10_000, Rereading()) == wanted


def test_what_costs_few_calls_is_read_again_daily() -> None:
    contact = load_catalog("xero").by_table["contact"]
    assert reread_interval(contact, 5000, Rereading()) == timedelta(days=1)
    assert reread_interval(contact, 5001, Rereading()) == timedelta(days=7)


feeds = st.lists(
    st.builds(
        Feed,
        st.uuids().map(str),
        st.integers(1, 60),
        st.none() | st.timedeltas(timedelta(0), timedelta(days=9)).map(lambda ago: NOON - ago),
        st.none() | st.timedeltas(timedelta(0), timedelta(days=9)).map(lambda ago: NOON - ago),
        st.booleans(),
    ),
    min_size=1,
    max_size=33,
)


@given(feeds, st.integers(0, 5000))
def test_polls_of_a_day_stay_within_what_is_left_of_its_calls(feeds: list[Feed], left: int) -> None:
    every = feed_intervals(feeds, NOON, left, Pace())
    day = timedelta(days=1)
    planned = sum(feed.calls * (day / every[feed.table]) for feed in feeds)
    reserve = 200 if left <= 1000 else 1000
    assert planned <= max(left - reserve, 1) * 1.0001


def test_an_object_that_changes_is_asked_more_often_than_one_that_does_not() -> None:
    busy = Feed("invoice", 1, NOON, NOON - timedelta(minutes=5))
    told = Feed("contact", 1, NOON, NOON - timedelta(minutes=5), told=True)
    quiet = Feed("employee", 1, NOON, None)
    costly = Feed("contact_group", 21, NOON, None)
    every = feed_intervals([busy, told, quiet, costly], NOON, 1000, Pace())
    assert every["invoice"] < every["contact"] < every["employee"] < every["contact_group"]
    plenty = feed_intervals([busy, told, quiet], NOON, 5_000_000, Pace())
    assert set(plenty.values()) == {timedelta(seconds=30)}


def test_what_was_just_read_and_what_shares_a_call_is_asked_at_once() -> None:
    never = Feed("invoice", 1, None, NOON)
    shared = Feed("customer", 0, NOON, NOON)
    waiting = Feed("quote", 1, NOON - timedelta(seconds=29), NOON)
    due = Feed("payment", 1, NOON - timedelta(days=1), NOON)
    assert feeds_due([never, shared, waiting, due], NOON, None, Pace()) == [
        "invoice",
        "customer",
        "payment",
    ]


def test_what_needs_calls_of_its_own_is_not_asked_with_every_poll_where_days_are_unlimited() -> (
    None
):
    def due(seconds: float) -> list[str]:
        asked = NOON - timedelta(seconds=seconds)
        feeds = [Feed("invoice", 0, asked, NOON), Feed("tax_code", 1, asked, None)]
        return feeds_due(feeds, NOON, math.inf, Pace())

    assert due(1) == due(31) == ["invoice"]  # asked for by a write; the poll after
    assert due(59) == ["invoice", "tax_code"]


def test_a_payment_changes_what_it_pays_and_nothing_else() -> None:
    catalog = load_catalog("xero")
    written = [
        Written("payment", NOON, frozenset({"Invoice", "Amount"})),
        Written("batch_payment", NOON - timedelta(hours=1), frozenset({"Payments"})),
        Written("contact", NOON, frozenset({"Name", "Invoice"})),
    ]
    touched = affected(catalog.objects, written)
    assert touched == {"invoice": NOON, "payment": NOON - timedelta(hours=1)}


def test_what_a_catalog_says_is_affected_is_there() -> None:
    for provider in ("quickbooks", "xero"):
        catalog = load_catalog(provider)
        for spec in catalog.objects:
            pairs = [pair.partition(":") for pair in spec.extra.get("affects", "").split()]
            assert all(table in catalog.by_table and member for table, _, member in pairs)


def test_a_missing_scope_is_asked_for_once_a_day() -> None:
    assert refused_wait(NotPermitted("no", code="insufficient_scope"), 300.0) == 86_400
    assert refused_wait(NotPermitted("no", code="403"), 300.0) == 300
