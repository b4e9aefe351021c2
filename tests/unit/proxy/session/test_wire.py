"""Frontend messages, Bind tails and errors as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.messages import error_response, parse_error_fields
from proxy.session import wire

CODES = st.lists(st.sampled_from([0, 1]), max_size=4).map(tuple)


def test_a_run_of_close_parse_bind_execute_has_these_bytes() -> None:
    assert wire.close(b"S", b"x") == b"C\0\0\0\x07Sx\0"
    assert wire.parse(b"x", b"select 1") == b"P\0\0\0\x11x\0select 1\0\0\0"
    assert wire.bind(b"", b"x") == b"B\0\0\0\x0d\0x\0\0\0\0\0\0\0"
    assert wire.execute(b"x", 2) == b"E\0\0\0\x0ax\0\0\0\0\x02"
    assert wire.describe(b"P", b"") == b"D\0\0\0\x06P\0"


@given(st.lists(st.tuples(st.none() | st.binary(max_size=9), st.booleans()), max_size=5), CODES)
def test_a_bind_tail_is_read_as_it_was_written(
    given_values: list[tuple[bytes | None, bool]], results: tuple[int, ...]
) -> None:
    values = [wire.Value(data, binary) for data, binary in given_values]
    read = wire.BindTail.read(wire.values(*values, results=results))
    assert read.parameters() == values
    assert read.results == results


@pytest.mark.parametrize(
    ("results", "wanted"),
    [((), ()), ((1,), (1,)), ((0, 1), (0, 1, 0, 0)), ((1, 1, 1), (1, 1, 1, 0, 0))],
)
def test_hidden_outputs_are_text_where_formats_are_given_one_by_one(
    results: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    tail = wire.BindTail.read(wire.values(results=results)).with_hidden(2)
    assert wire.BindTail.read(tail).results == wanted


@given(st.lists(st.none() | st.binary(max_size=20), max_size=6))
def test_a_data_row_is_read_as_it_was_written(columns: list[bytes | None]) -> None:
    assert wire.columns_of(wire.data_row(columns)) == columns


def test_an_array_quotes_what_would_end_an_item() -> None:
    assert wire.text_array(['a"b', "c\\d", "", "NULL"]) == rb'{"a\"b","c\\d","","NULL"}'
    # the second byte of this character is a backslash, which must stay alone
    assert wire.text_array(["表"], "cp932") == '{"表"}'.encode("cp932")
    assert wire.text_array([None, "x"]) == b'{NULL,"x"}'


def test_a_position_is_moved_or_taken_away() -> None:
    error = error_response("ERROR", "42601", "at P7", position=3)
    assert parse_error_fields(wire.moved(error, 10)[5:])["P"] == "13"
    assert "P" not in parse_error_fields(wire.moved(error, None)[5:])
    assert wire.moved(error, 0) == error


@pytest.mark.parametrize(("severity", "last"), [("ERROR", False), ("FATAL", True), ("PANIC", True)])
def test_the_last_word_is_told_by_its_severity_alone(severity: str, last: bool) -> None:
    assert wire.is_last_word(error_response(severity, "57P01", "VFATAL")) is last


def test_a_tag_is_counted_for_the_rows_of_one_execute() -> None:
    assert wire.with_count(b"INSERT 0 3", 1) == b"INSERT 0 1"
    assert wire.tag_count(b"INSERT 0 3") == 3
    assert wire.tag_count(b"CREATE TABLE") == 0
