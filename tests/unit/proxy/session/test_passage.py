"""What goes the short way is what the long one would have passed on, and leaves the same state."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.bursts import ANSWERS, MISSES, REQUESTS
from proxy.protocol.framing import QUERY, SYNC
from proxy.protocol.messages import message
from proxy.session import wire
from proxy.session.core import Host
from proxy.session.passage import Passage
from proxy.session.tickets import Tickets
from proxy.statements.classify import Classifier
from proxy.statements.model import MirrorNames, Relation

NAMES = MirrorNames.of([Relation("books", "vendor", ("id", "name"), ("id",))])
READY, FAILED = b"Z\0\0\0\x05I", b"Z\0\0\0\x05E"
HELD = b"update vendor set name = 'x'"
TEXTS = [
    b"select 1",
    b"Select 1;",
    b"select 1; " + HELD,
    b"with a as (select 1) select 1",
    b"begin",
]
TAIL = wire.describe(b"P", b"") + wire.execute(b"") + wire.SYNC


class Unwatched(Passage):
    """A session that has been let in; `held` is what a write stopped."""

    def __init__(self, host: Host, *, short: bool = True) -> None:
        self.short = short
        self.to_upstream: list[bytes] = []
        self.to_client: list[bytes] = []
        self.long: list[bytes] = []  # what did not go the short way
        self.held: bytes | None = None
        super().__init__(host)
        self._to_upstream, self._to_client = self.to_upstream.append, self.to_client.append
        self.frontend.judging = True
        self.unread = True

    def settle(self) -> None:
        super().settle()
        if not self.short:
            self._requests_at_rest = self._answers_at_rest = False

    def unusual_request(self, data: bytes) -> None:
        self.long.append(data)
        if self.held is not None:
            self.held += data
            return
        self.held = self.frame_client(data)
        if self.held is not None:
            self.unread = False

    def unusual_answer(self, data: bytes) -> None:
        self.long.append(data)
        self.frame_upstream(data)

    def key_came(self, body: bytes) -> None:
        raise AssertionError("no key comes behind the greeting")

    @property
    def state(self) -> dict[str, object]:
        return {
            "to upstream": b"".join(self.to_upstream),
            "to client": b"".join(self.to_client),
            "held": self.held,
            "due": list(self.replies.due),
            "copying": self.replies.copying,
            "executed": self.frontend.executed,
            "status": self.backend.status,
            "failed": self.backend.failed,
            "session": self.judge.session is not None,
        }


@pytest.fixture
def host() -> Host:
    return new_host()


def new_host() -> Host:
    return Host(Classifier(NAMES), Tickets(b"secret"), lambda: b"nonce")


@pytest.fixture(autouse=True)
def nothing_learned() -> Iterator[None]:
    yield
    REQUESTS.by_size.clear()
    ANSWERS.by_size.clear()


def run(argument: bytes, text: bytes | None = None) -> bytes:
    """A statement is run: prepared before, or as `text`."""
    bound = wire.bind(b"", b"", wire.values(wire.Value(argument)))
    return (b"" if text is None else wire.parse(b"", text)) + bound + TAIL


def answered(row: bytes, status: bytes = READY) -> bytes:
    return message(b"2", b"") + message(b"D", row) + message(b"C", b"SELECT 1\0") + status


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({p % (len(data) + 1) for p in places}), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


@pytest.mark.parametrize("text", [None, b"select $1", b"with a as (select 1) select $1"])
def test_what_is_framed_as_before_goes_the_short_way_whatever_it_holds(
    host: Host, text: bytes | None
) -> None:
    passage = Unwatched(host)
    passage.from_client(run(b"1234", text))
    passage.from_upstream(answered(b"1234"))
    passage.long.clear()
    for argument in (b"9999", b"S\0\0\0", b"P\0\0\0"):
        passage.from_client(run(argument, text))
        passage.from_upstream(answered(argument, b"Z\0\0\0\x05T"))
        assert passage.backend.status == ord("T")
    assert passage.long == []
    assert passage.replies.due == []
    assert b"".join(passage.to_upstream) == b"".join(
        run(argument, text) for argument in (b"1234", b"9999", b"S\0\0\0", b"P\0\0\0")
    )


def test_a_select_goes_the_short_way_and_nothing_behind_it_does(host: Host) -> None:
    passage = Unwatched(host)
    for text in (b"select 1", b"SELECT 1;", b"selec"):
        passage.from_client(wire.query(text))
    assert passage.long == [wire.query(b"selec")]
    passage.from_client(wire.query(b"select 1; " + HELD))
    assert passage.held == wire.query(b"select 1; " + HELD)
    assert passage.replies.due == [QUERY] * 3


def test_a_write_in_the_same_bytes_as_a_select_is_judged(host: Host) -> None:
    passage = Unwatched(host)
    passage.from_client(wire.query(b"select 1") + wire.query(HELD))
    assert passage.held == wire.query(HELD)


def test_a_write_in_a_burst_of_a_known_size_is_judged(host: Host) -> None:
    passage = Unwatched(host)
    write = wire.parse(b"", HELD)
    hidden = message(b"B", bytes(3)) + write + message(b"H", b"") + wire.SYNC
    plain = message(b"B", bytes(len(hidden) - 10)) + wire.SYNC
    assert len(plain) == len(hidden)
    passage.from_client(plain)
    passage.from_client(plain)
    assert passage.long == [plain]
    passage.from_client(hidden)
    assert passage.held == write + message(b"H", b"") + wire.SYNC


def test_a_text_that_passed_is_judged_anew_when_its_table_is_mirrored(host: Host) -> None:
    passage = Unwatched(host)
    text = b"update note set text = $1"
    passage.from_client(run(b"1", text))
    passage.from_client(run(b"2", text))
    assert passage.long == [run(b"1", text)]
    host.classifier.set_names(MirrorNames.of([Relation("books", "note", ("id",), ("id",))]))
    passage.from_client(run(b"3", text))
    assert passage.held == run(b"3", text)


@pytest.mark.parametrize(
    "name", [b"client_encoding\0SJIS\0", b"standard_conforming_strings\0off\0"]
)
def test_a_text_is_judged_anew_where_it_may_mean_something_else(host: Host, name: bytes) -> None:
    passage = Unwatched(host)
    text = b"with a as (select '\\') select $1"
    passage.from_client(run(b"1", text))
    passage.from_upstream(message(b"S", name) + READY)
    passage.long.clear()
    passage.from_client(run(b"2", text))
    assert passage.long == [run(b"2", text)]


def test_what_begins_inside_a_message_is_no_burst(host: Host) -> None:
    passage = Unwatched(host)
    passage.from_client(run(b"1234"))
    size = len(run(b"1234"))
    long = message(b"B", bytes(2 * size))
    passage.from_client(long[:-size])
    passage.from_client(run(b"1234"))  # the rest of the Bind's body, though it looks like one
    assert passage.replies.due == [SYNC]
    row = message(b"D", bytes(2 * len(answered(b"1"))))
    passage.from_upstream(answered(b"1", FAILED))
    passage.from_upstream(row[: -len(answered(b"1"))])
    passage.from_upstream(answered(b"1"))
    assert passage.backend.status == FAILED[5]


def test_a_sync_during_a_copy_is_owed_nothing(host: Host) -> None:
    passage = Unwatched(host)
    passage.from_client(run(b"1234"))
    passage.from_upstream(answered(b"1"))
    passage.from_upstream(answered(b"1") + message(b"G", b"\0\0\0"))
    passage.from_client(run(b"1234"))
    assert passage.replies.due == []
    passage.from_upstream(answered(b"1"))
    passage.from_client(run(b"1234"))
    assert passage.replies.due == [SYNC]


def test_what_a_begun_segment_leaves_behind_ends_with_it(host: Host) -> None:
    passage = Unwatched(host)
    passage.from_client(run(b"1"))
    passage.from_upstream(answered(b"1"))
    passage.from_client(wire.execute(b"") + wire.FLUSH)
    passage.from_upstream(message(b"E", b"C42601\0\0"))
    assert (passage.frontend.executed, passage.backend.failed) == (True, True)
    passage.from_client(run(b"1"))
    passage.from_upstream(answered(b"1"))
    assert (passage.frontend.executed, passage.backend.failed) == (False, False)


def test_a_transaction_command_is_forgotten_with_its_statement(host: Host) -> None:
    passage = Unwatched(host)
    for text in (b"table pg_class", b"begin", b"table pg_class"):
        passage.from_client(run(b"1", text))
    assert passage.judge.session is not None
    assert passage.judge.session.statements == {}


def test_a_size_goes_to_another_burst_after_some_misses(host: Host) -> None:
    one = message(b"2", b"") + message(b"D", b"abcd") + READY
    other = message(b"D", b"abcd") + message(b"2", b"") + READY
    passage = Unwatched(host)
    passage.from_upstream(one)
    for _ in range(MISSES + 1):
        passage.from_upstream(other)
    passage.long.clear()
    passage.from_upstream(other)
    assert passage.long == []
    passage.from_upstream(one)
    assert passage.long == [one]


def test_errors_and_what_is_malformed_are_not_learned(host: Host) -> None:
    passage = Unwatched(host)
    passage.from_upstream(message(b"2", b"") + message(b"E", b"") + FAILED)
    passage.from_upstream(message(b"S", b"a\0b\0") + READY)
    passage.from_client(b"B\0\0\0\3" + wire.SYNC)
    assert ANSWERS.by_size == {}
    assert REQUESTS.by_size == {}


ARGUMENT = st.sampled_from([b"1", b"2222", b"S\0\0\0\x04", b"Z\0\0\0\x05E", b"x" * 600])
REQUEST = st.one_of(
    st.builds(run, ARGUMENT, st.sampled_from([None, *TEXTS[:4]])),
    st.builds(wire.query, st.sampled_from(TEXTS)),
    st.sampled_from([
        run(b"1", b"begin"), run(b"1", HELD), wire.query(HELD), wire.execute(b""), wire.SYNC,
        wire.FLUSH, message(b"d", b"1\n"), message(b"c", b""), message(b"F", b"\0\0"),
        b"Q\0\0\0\3", b"S\xff\xff\xff\xff",
    ]),
)  # fmt: skip
ANSWER = st.one_of(
    st.builds(answered, ARGUMENT, st.sampled_from([READY, FAILED, b""])),
    st.sampled_from([
        message(b"E", b"C40001\0\0"), message(b"E", b"C40001\0\0") + FAILED, READY,
        message(b"G", b"\0\0\0"), message(b"N", b"\0"), message(b"A", b"\0\0\0\1a\0b\0"),
        message(b"S", b"client_encoding\0LATIN1\0"), message(b"S", b"client_encoding\0UTF8\0"),
    ]),
)  # fmt: skip
PLACES = st.lists(st.integers(0, 10_000), max_size=6)


@given(
    flights=st.lists(
        st.tuples(st.lists(REQUEST, max_size=3), PLACES, st.lists(ANSWER, max_size=3), PLACES),
        max_size=8,
    )
)
def test_however_the_bytes_are_cut_both_ways_come_to_the_same(
    flights: list[tuple[list[bytes], list[int], list[bytes], list[int]]],
) -> None:
    REQUESTS.by_size.clear()
    ANSWERS.by_size.clear()
    short, long, bytewise = (Unwatched(new_host(), short=way) for way in (True, False, False))
    for requests, places, answers, other_places in flights * 2:
        sent, got = b"".join(requests), b"".join(answers)
        for piece in cut(sent, places):
            short.from_client(piece)
            long.from_client(piece)
        for n in range(len(sent)):
            bytewise.from_client(sent[n : n + 1])
        assert short.state == long.state
        if short.held is not None:
            assert b"".join(long.to_upstream) + long.held == b"".join(bytewise.to_upstream) + (
                bytewise.held or b""
            )
            return
        for piece in cut(got, other_places):
            short.from_upstream(piece)
            long.from_upstream(piece)
        for n in range(len(got)):
            bytewise.from_upstream(got[n : n + 1])
        assert short.state == long.state
        assert b"".join(short.to_client) == b"".join(bytewise.to_client)
        assert short.backend.status == bytewise.backend.status
        assert short.replies.due == bytewise.replies.due
