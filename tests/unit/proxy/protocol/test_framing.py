# ruff: noqa: E501
"""Literal bytes, cut anywhere."""

from __future__ import annotations

from itertools import pairwise
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.framing import (
    NO_MESSAGE,
    QUERY,
    STATEMENT_BYTES,
    SYNC,
    BackendFramer,
    FrontendFramer,
    Replies,
    Splitter,
    TooLong,
)

SELECT = b"Q\x00\x00\x00\x0dselect 1\x00"
SYNC_MESSAGE = b"S\x00\x00\x00\x04"
EXECUTE = b"E\x00\x00\x00\x09\x00\x00\x00\x00\x00"
READY = b"Z\x00\x00\x00\x05I"
READY_IN_BLOCK = b"Z\x00\x00\x00\x05T"


def frame(kind: bytes, body: bytes = b"") -> bytes:
    return kind + pack("!I", len(body) + 4) + body


def passing() -> FrontendFramer:
    return FrontendFramer(Replies(), lambda kind, whole: True, judging=True)


def stopping_at(word: bytes) -> FrontendFramer:
    return FrontendFramer(Replies(), lambda kind, whole: word not in whole, judging=True)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({p % (len(data) + 1) for p in places}), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


CLIENT_MESSAGES = st.lists(
    st.one_of(
        st.builds(
            frame, st.sampled_from([b"B", b"D", b"E", b"C", b"d", b"F"]), st.binary(max_size=40)
        ),
        st.builds(frame, st.sampled_from([b"Q", b"P"]), st.binary(max_size=60)),
        st.sampled_from([SYNC_MESSAGE, EXECUTE, frame(b"H")]),
    ),
    max_size=12,
)
SERVER_MESSAGES = st.lists(
    st.one_of(
        st.builds(frame, st.sampled_from([b"D", b"T", b"C", b"1", b"2", b"N", b"d", b"A"]), st.binary(max_size=60)),
        st.sampled_from([READY, READY_IN_BLOCK, frame(b"S", b"a\0b\0")]),
    ),
    max_size=12,
)  # fmt: skip


def test_a_message_split_over_two_reads_is_judged_once() -> None:
    seen: list[bytes] = []
    framer = FrontendFramer(Replies(), lambda kind, whole: not seen.append(whole), judging=True)
    assert framer.feed(SELECT[:7]) == (b"", None)
    assert framer.feed(SELECT[7:]) == (SELECT, None)
    assert seen == [SELECT]


def test_bytes_that_are_no_statement_pass_at_once() -> None:
    framer = passing()
    bind = frame(b"B", b"x" * 100)
    assert framer.feed(bind[:50]) == (bind[:50], None)
    assert framer.feed(bind[50:]) == (bind[50:], None)


def test_the_stream_stops_before_what_may_not_pass() -> None:
    framer = stopping_at(b"update")
    write = frame(b"P", b"\0update t\0\0\0")
    assert framer.feed(SELECT + write + SYNC_MESSAGE) == (SELECT, write + SYNC_MESSAGE)


def test_queries_syncs_and_function_calls_are_owed_an_answer() -> None:
    framer = passing()
    framer.feed(SELECT + EXECUTE + SYNC_MESSAGE + frame(b"F", b"x"))
    assert framer.replies.due == [QUERY, SYNC, ord("F")]
    backend = BackendFramer(framer.replies, lambda body: None, lambda body: None)
    backend.feed(READY + READY_IN_BLOCK)
    assert framer.replies.due == [ord("F")]
    assert backend.status == ord("T")


def test_a_sync_sent_ahead_of_a_copy_is_eaten_by_it() -> None:
    replies = Replies()
    replies.sent(SYNC)
    replies.copy_began()
    replies.sent(SYNC)
    assert replies.due == []
    replies.copying = False
    replies.sent(SYNC)
    assert replies.due == [SYNC]


def test_an_execute_is_remembered_up_to_the_sync() -> None:
    framer = passing()
    framer.feed(EXECUTE)
    assert framer.executed
    framer.feed(SYNC_MESSAGE)
    assert not framer.executed


def test_a_statement_beyond_the_limit_is_not_collected() -> None:
    with pytest.raises(TooLong):
        passing().feed(b"Q" + pack("!I", STATEMENT_BYTES + 1) + b"select")
    with pytest.raises(TooLong):
        Splitter(bounded=True).feed(b"B" + pack("!I", STATEMENT_BYTES + 1) + b"select")


@pytest.mark.parametrize(
    "header",
    [b"Q\x00\x00\x00\x03", b"S\x00\x00\x27\x11", b"B\xff\xff\xff\xff", b"d\x7f\xff\xff\xff"],
)
def test_a_header_that_postgres_refuses_goes_on_unread(header: bytes) -> None:
    splitter = Splitter(bounded=True)
    assert splitter.feed(SYNC_MESSAGE + header + b"x") == [
        (SYNC, SYNC_MESSAGE),
        (NO_MESSAGE, header + b"x"),
    ]
    assert splitter.feed(b"more") == [(NO_MESSAGE, b"more")]


@given(CLIENT_MESSAGES, st.lists(st.integers(0, 10_000), max_size=20))
def test_every_byte_passes_once_and_in_order(messages: list[bytes], places: list[int]) -> None:
    data = b"".join(messages)
    judged: list[bytes] = []
    framer = FrontendFramer(Replies(), lambda kind, whole: not judged.append(whole), judging=True)
    out = b""
    for piece in cut(data, places):
        passed, rest = framer.feed(piece)
        assert rest is None
        out += passed
    assert out == data
    assert judged == [m for m in messages if m[:1] in (b"Q", b"P")]
    assert framer.replies.due == [m[0] for m in messages if m[:1] in (b"Q", b"S", b"F")]


@given(CLIENT_MESSAGES, st.lists(st.integers(0, 10_000), max_size=20), st.integers(0, 11))
def test_a_stop_in_the_middle_loses_and_doubles_nothing(
    messages: list[bytes], places: list[int], stop: int
) -> None:
    messages.insert(min(stop, len(messages)), frame(b"P", b"\0STOP\0\0\0"))
    data = b"".join(messages)
    framer = stopping_at(b"STOP")
    out, pieces = b"", cut(data, places)
    for n, piece in enumerate(pieces):
        passed, rest = framer.feed(piece)
        out += passed
        if rest is not None:
            held = rest + b"".join(pieces[n + 1 :])
            break
    else:
        raise AssertionError("it did not stop")
    assert out + held == data
    assert held.startswith(frame(b"P", b"\0STOP\0\0\0"))


@given(CLIENT_MESSAGES, st.lists(st.integers(0, 10_000), max_size=20))
def test_a_splitter_gives_whole_messages(messages: list[bytes], places: list[int]) -> None:
    splitter = Splitter(bounded=True)
    data = b"".join(messages)
    found = [whole for piece in cut(data, places) for _, whole in splitter.feed(piece)]
    assert found == messages
    assert splitter.take_rest() == b""


@given(SERVER_MESSAGES, st.lists(st.integers(0, 10_000), max_size=20), st.integers(0, 10_000))
def test_looking_away_from_a_stream_and_back_finds_the_same_messages(
    messages: list[bytes], places: list[int], turn: int
) -> None:
    """The relay's change from unread to looked at, at any byte."""
    data = b"".join(messages)
    turn %= len(data) + 1
    framer = BackendFramer(Replies(), lambda body: None, lambda body: None)
    for piece in cut(data[:turn], places):
        framer.feed(piece)
    skip, head = framer.take_skip(), framer.take_tail()
    splitter = Splitter()
    rest = data[turn:]
    found = [whole for _, whole in splitter.feed(head)] if head else []
    for piece in cut(rest[skip:], places):
        found += [whole for _, whole in splitter.feed(piece)]
    relayed = data[:turn] + rest[:skip]
    assert relayed[: len(relayed) - len(head)] + b"".join(found) == data
    assert found == messages[len(messages) - len(found) :]


def test_before_it_judges_a_framer_collects_nothing() -> None:
    framer = FrontendFramer(Replies(), lambda kind, whole: False)
    begun = b"Q" + (1 << 29).to_bytes(4, "big") + b"select"
    assert framer.feed(begun) == (begun, None)
    assert framer.feed(b"x" * 1000) == (b"x" * 1000, None)
