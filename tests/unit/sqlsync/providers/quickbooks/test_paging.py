"""Paging over a list that shrinks and grows while it is read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlsync.errors import ConfigError
from sqlsync.providers.quickbooks.paging import ANCHORS, Cursor, ask, take


def identity(row: bytes) -> str:
    return row.decode()


def read_all(
    rows: list[bytes], size: int, between: Callable[[int], None] = lambda page: None
) -> tuple[list[bytes], int]:
    """All rows as a reader gets them, and the number of questions it asked."""
    found: list[bytes] = []
    questions = 0
    cursor: Cursor | None = Cursor()
    page = 0
    while cursor is not None:
        steps = 0
        while True:
            asked = ask(cursor, steps, size)
            questions += 1
            answer = rows[asked.start - 1 : asked.start - 1 + asked.size]
            taken = take(cursor, asked, answer, identity)
            if taken is not None:
                break
            steps += 1
        found += taken.rows
        cursor = Cursor.parse(taken.cursor.text()) if taken.cursor is not None else None
        page += 1
        between(page)
    return found, questions


def numbered(first: int, last: int) -> list[bytes]:
    return [str(n).encode() for n in range(first, last + 1)]


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 18, 19, 20, 100])
def test_a_list_at_rest_is_read_once_each(count: int) -> None:
    rows = numbered(1, count)
    found, questions = read_all(rows, 10)
    assert found == rows
    assert questions <= count // 9 + 1


def test_rows_deleted_before_the_position_do_not_hide_others() -> None:
    rows = numbered(1, 40)

    def delete(page: int) -> None:
        if page == 1:
            del rows[2:6]

    found, _ = read_all(rows, 10, delete)
    assert found == numbered(1, 40)


def test_the_last_seen_row_itself_may_be_deleted() -> None:
    rows = numbered(1, 40)

    def delete(page: int) -> None:
        if page == 1:
            rows.remove(b"10")

    assert read_all(rows, 10, delete)[0] == numbered(1, 40)


def test_when_nothing_that_was_seen_is_left_all_is_read_again() -> None:
    rows = numbered(1, 60)

    def delete(page: int) -> None:
        if page == 3:
            del rows[: 27 + 1]

    found, _ = read_all(rows, 10, delete)
    assert set(numbered(1, 60)) <= set(found)


def test_new_rows_at_the_end_are_read() -> None:
    rows = numbered(1, 25)

    def grow(page: int) -> None:
        if page == 1:
            rows.extend(numbered(26, 30))

    assert read_all(rows, 10, grow)[0] == numbered(1, 30)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 60), st.integers(2, 12), st.data())
def test_whatever_is_deleted_meanwhile_every_row_that_stays_is_read(
    count: int, size: int, data: st.DataObject
) -> None:
    rows = numbered(1, count)

    def delete(page: int) -> None:
        gone = data.draw(st.sets(st.sampled_from(rows), max_size=8) if rows else st.just(set()))
        rows[:] = [row for row in rows if row not in gone]

    found, _ = read_all(rows, size, delete)
    assert set(rows) <= set(found)


def test_a_cursor_keeps_few_anchors() -> None:
    rows = numbered(1, 100)
    taken = take(Cursor(), ask(Cursor(), 0, 100), rows, identity)
    assert taken is not None and taken.cursor is not None
    assert taken.cursor.seen == tuple(identity(r) for r in rows[-ANCHORS:])


@pytest.mark.parametrize("text", ["", "7", "{}", "[7]", '[-1,["1"]]', "[5,[]]", '["a",[]]'])
def test_a_foreign_cursor_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Cursor.parse(text)
