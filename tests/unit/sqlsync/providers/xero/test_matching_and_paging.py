"""Whether a record shows what was wanted; and reading in pages while records change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlsync.errors import ProviderFault
from sqlsync.providers.xero.matching import differs, same, shows
from sqlsync.providers.xero.paging import BEGINNING, Numbered, Walk, is_last, next_walk
from sqlsync.providers.xero.responses import Envelope, Pagination
from sqlsync.providers.xero.values import FOUR_DECIMALS

AT = datetime(2026, 10, 20, 3, 14, 7, tzinfo=UTC)

RECORD = {
    "InvoiceID": "c3",
    "Reference": "PO 1",
    "Contact": {"ContactID": "4b", "Name": "Tui"},
    "DueDate": "/Date(1795132800000+0000)/",
    "LineItems": [
        {"LineItemID": "a", "Description": "x", "Quantity": Decimal("2.0000"), "TaxAmount": 1},
        {"LineItemID": "b", "Description": "y", "UnitAmount": Decimal("12.35")},
    ],
    "Url": "",
    "SentToContact": False,
}


def test_a_price_changed_by_less_than_half_a_cent_is_another_price() -> None:
    """Else a write would count as done that never was."""
    before = {"LineItems": [{"LineItemID": "a", "UnitAmount": Decimal("1.0000")}]}
    wanted = {"LineItems": [{"LineItemID": "a", "UnitAmount": Decimal("1.0040")}]}
    assert not shows(before, wanted, fine=FOUR_DECIMALS)
    assert shows(before, wanted)  # where Xero rounds to cents it is what became of it
    assert differs(before, wanted, {"LineItems": []}, lists=True)


@pytest.mark.parametrize(("one", "other"), [("007", "7"), ("1e2", "100"), ("10", "10.00")])
def test_texts_of_digits_are_texts(one: str, other: str) -> None:
    assert not same(one, other) and same("1.50", "1.5000") and same(one, Decimal(one))


@pytest.mark.parametrize(
    "wanted",
    [
        {"Reference": "PO 1 ", "Contact": {"ContactID": "4b"}, "DueDate": "2026-11-20"},
        {"LineItems": [{"Description": "y", "UnitAmount": Decimal("12.346")}, {"Quantity": 2}]},
        {"Url": None, "Nothing": ""},
        {"SentToContact": False},
    ],
)
def test_a_record_shows_what_it_holds_in_other_words(wanted: dict[str, Any]) -> None:
    assert shows(RECORD, wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        {"Reference": "PO 2"},
        {"DueDate": "2026-11-21"},
        {"LineItems": [{"Description": "x"}]},
        {"LineItems": [{"Description": "x"}, {"Description": "x"}]},
        {"Contact": {"ContactID": "4c"}},
        {"SentToContact": True},
        {"Reference": None},
    ],
)
def test_and_nothing_else(wanted: dict[str, Any]) -> None:
    assert not shows(RECORD, wanted)


def test_slots_may_be_more_than_were_given() -> None:
    slots = [{"AddressType": "STREET", "City": ""}, {"AddressType": "POBOX", "City": "Dunedin"}]
    assert shows({"Addresses": slots}, {"Addresses": [slots[1]]})


def test_only_the_members_that_are_written_are_compared() -> None:
    other = {**RECORD, "Reference": "PO 9", "AmountDue": 5}
    assert differs(RECORD, other, {"Reference": "x"}, lists=True)
    assert not differs(RECORD, other, {"Contact": {"ContactID": "z"}}, lists=True)
    fewer = {**RECORD, "LineItems": RECORD["LineItems"][:1]}  # type: ignore[index]
    assert differs(RECORD, fewer, {"LineItems": []}, lists=True)
    assert not differs(RECORD, fewer, {"LineItems": []}, lists=False)


@given(st.decimals(-(10**10), 10**10, places=2))
def test_a_number_is_the_same_as_its_text(number: Decimal) -> None:
    assert same(number, str(number)) and same(number, float(number))


# -- pages ---------------------------------------------------------------------------------


def envelope(pagination: Pagination | None) -> Envelope:
    return Envelope({}, AT, pagination)


@pytest.mark.parametrize(
    ("pagination", "rows", "last"),
    [
        (Pagination(1, 3, 250), 100, False),
        (Pagination(3, 3, 250), 50, True),
        (Pagination(1, 0, 0), 0, True),
        (None, 99, True),
        (None, 100, False),  # an endpoint that does not know our page size
        (None, 1000, False),
        (None, 0, True),
    ],
)
def test_the_last_page_is_known(pagination: Pagination | None, rows: int, last: bool) -> None:
    assert is_last(envelope(pagination), rows) is last


def test_cursors_come_back_as_they_went() -> None:
    assert Numbered.parse(Numbered(7, 1000).text(), 50) == Numbered(7, 1000)
    assert Numbered.parse(None, 50) == Numbered(1, 50)
    for walk in (Walk(AT), Walk(AT, 3), Walk(BEGINNING)):
        assert Walk.parse(walk.text()) == walk
    assert Walk.parse(None) == Walk(BEGINNING)
    for parse in (lambda: Numbered.parse("x", 1), lambda: Walk.parse("1/1000")):
        with pytest.raises(ProviderFault):
            parse()


@dataclass
class Books:
    """A list as Xero keeps it: times of change to the millisecond, pages by offset."""

    rows: dict[str, datetime]

    def page(self, walk: Walk, size: int) -> tuple[list[tuple[str, datetime]], bool]:
        since = [(k, at) for k, at in self.rows.items() if at.replace(microsecond=0) >= walk.since]
        since.sort(key=(lambda row: row[0]) if walk.by_key else (lambda row: (row[1], row[0])))
        start = (walk.by_key - 1) * size if walk.by_key else 0
        return since[start : start + size], start + size >= len(since)


@given(
    times=st.lists(st.integers(0, 8_000), min_size=1, max_size=60),
    size=st.integers(2, 9),
    touched=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 20)), max_size=8),
)
def test_a_walk_misses_no_record_however_they_change_meanwhile(
    times: list[int], size: int, touched: list[tuple[int, int]]
) -> None:
    books = Books({f"{n:03}": AT + timedelta(milliseconds=ms) for n, ms in enumerate(times)})
    by_page = {page: f"{n % len(times):03}" for n, page in touched}
    seen: dict[str, datetime] = {}
    walk: Walk | None = Walk(AT)
    for number in range(500):
        if walk is None:
            break
        rows, last = books.page(walk, size)
        seen.update(rows)
        walk = next_walk(walk, [at for _, at in rows], last=last)
        if number in by_page:  # somebody changes a record between two pages
            books.rows[by_page[number]] = AT + timedelta(seconds=60 + number)
    assert walk is None
    assert set(seen) == set(books.rows)


def test_a_second_with_more_than_a_page_is_read_by_key() -> None:
    assert next_walk(Walk(AT), [AT, AT], last=False) == Walk(AT, 1)
    assert next_walk(Walk(AT, 1), [AT, AT], last=False) == Walk(AT, 2)
    assert next_walk(Walk(AT, 2), [AT], last=True) is None


def test_an_order_we_do_not_know_is_not_relied_on() -> None:
    later = AT + timedelta(seconds=5)
    assert next_walk(Walk(AT), [later, AT], last=False) == Walk(AT, 1)
    assert next_walk(Walk(AT), [None, later], last=False) == Walk(AT, 1)
    assert next_walk(Walk(AT), [AT, later], last=False) == Walk(later)
