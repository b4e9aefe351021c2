"""Dates and numbers in Xero's forms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlsync.providers.xero.values import (
    ZERO_ID,
    as_sent,
    encode_json,
    instant_of,
    is_uuid,
    since_text,
)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("/Date(1792466047513+0000)/", datetime(2026, 10, 20, 3, 14, 7, 513000, UTC)),
        ("/Date(1792466047513)/", datetime(2026, 10, 20, 3, 14, 7, 513000, UTC)),
        ("/Date(1792466047513+1300)/", datetime(2026, 10, 20, 3, 14, 7, 513000, UTC)),
        ("/Date(-86400000+0000)/", datetime(1969, 12, 31, tzinfo=UTC)),
        ("2026-10-20T03:14:07", datetime(2026, 10, 20, 3, 14, 7, tzinfo=UTC)),
        ("2026-10-20T03:14:07Z", datetime(2026, 10, 20, 3, 14, 7, tzinfo=UTC)),
        ("2026-10-01T20:15:42.5165400", datetime(2026, 10, 1, 20, 15, 42, 516540, UTC)),
        ("soon", None),
        ("/Date(99999999999999999)/", None),
        (None, None),
        (7, None),
    ],
)
def test_a_moment_is_read_in_every_form(text: object, at: datetime | None) -> None:
    assert instant_of(text) == at


def test_a_date_is_sent_as_a_day_and_a_moment_as_a_moment() -> None:
    said = {"Date": "/Date(1791244800000+0000)/", "At": ["/Date(1792466047513)/"], "n": "x"}
    assert as_sent(said) == {"Date": "2026-10-06", "At": ["2026-10-20T03:14:07"], "n": "x"}


def test_if_modified_since_is_utc_in_whole_seconds_without_a_zone() -> None:
    at = datetime(2026, 10, 20, 16, 14, 7, 999999, timezone(timedelta(hours=13)))
    assert since_text(at) == "2026-10-20T03:14:07"


def test_the_same_members_are_the_same_bytes_in_any_order() -> None:
    one = encode_json({"b": Decimal("27.50"), "a": {"y": 1, "x": 2}})
    assert one == encode_json({"a": {"x": 2, "y": 1}, "b": Decimal("27.50")})
    assert one == b'{"a":{"x":2,"y":1},"b":27.50}'


def test_a_number_has_no_exponent() -> None:
    assert encode_json(as_sent(Decimal("1E+2"))) == b"100"


@given(st.text(max_size=40))
def test_what_is_no_guid_is_no_key(text: str) -> None:
    assert not is_uuid(text) or set(text.lower()) <= set("0123456789abcdef-")


@pytest.mark.parametrize("text", [ZERO_ID, "CRM-1042", "INV-0241", "", "new:" + ZERO_ID, "../x"])
def test_numbers_and_the_zero_id_are_no_keys(text: str) -> None:
    assert not is_uuid(text)
    assert is_uuid("c3a5f08d-1b96-47e2-8d40-5f6b92e7a3c1")
