"""What is recognised as framed like before is what reading each header would have found."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol import framing
from proxy.protocol.bursts import MISSES, Bursts
from proxy.protocol.framing import SYNC, BackendFramer, FrontendFramer, Replies


def messages(kinds: bytes) -> st.SearchStrategy[bytes]:
    kind = st.sampled_from([bytes([kind]) for kind in kinds])
    one = st.tuples(kind, st.binary(max_size=6)).map(lambda parts: frame(*parts))
    return st.lists(one, max_size=4).map(b"".join)


def frame(kind: bytes, body: bytes = b"") -> bytes:
    return kind + pack("!I", len(body) + 4) + body


REQUEST = messages(b"BDECPQdF").map(lambda inner: frame(b"B", b"\0\0") + inner + frame(b"S"))
ANSWER = messages(b"2TDCEGA").map(lambda inner: inner + frame(b"Z", b"I"))


def run(argument: bytes) -> bytes:
    """A prepared statement is run."""
    return b"".join(
        [frame(b"B", b"\0p\0" + argument), frame(b"D", b"P\0"), frame(b"E", bytes(5)), frame(b"S")]
    )


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> tuple[Bursts, Bursts]:
    """What framers of this test learn is their own."""
    requests, answers = Bursts(b"BDECH", b"S"), Bursts(b"123tTnDCIs", b"Z")
    monkeypatch.setattr(framing, "REQUESTS", requests)
    monkeypatch.setattr(framing, "ANSWERS", answers)
    monkeypatch.setattr(framing, "_request_of", requests.by_size.get)
    monkeypatch.setattr(framing, "_answer_of", answers.by_size.get)
    return requests, answers


def frontend(judged: list[bytes] | None = None) -> FrontendFramer:
    seen = judged if judged is not None else []
    return FrontendFramer(Replies(), lambda kind, whole: not seen.append(whole), judging=True)


def backend(replies: Replies) -> BackendFramer:
    return BackendFramer(replies, lambda body: None, lambda body: None)


def test_a_burst_framed_as_before_is_recognised_whatever_its_bodies_hold(
    learned: tuple[Bursts, Bursts],
) -> None:
    framer = frontend()
    framer.feed(run(b"1234"))
    known = learned[0].by_size[len(run(b"1234"))]
    for argument in (b"9999", b"S\0\0\0", b"P\0\0\0"):
        assert known.unpack(run(argument)) == known.headers
        assert framer.feed(run(argument)) == (run(argument), None)
    assert framer.replies.due == [SYNC] * 4
    assert framer.executed is False


def test_a_statement_in_a_burst_of_a_known_size_is_judged(learned: tuple[Bursts, Bursts]) -> None:
    judged: list[bytes] = []
    framer = frontend(judged)
    plain = frame(b"B", bytes(20)) + frame(b"E", bytes(5)) + frame(b"S")
    write = frame(b"P", b"\0update t\0\0")
    hidden = frame(b"B", bytes(4)) + write + frame(b"E", bytes(5)) + frame(b"S")
    assert len(hidden) == len(plain)
    framer.feed(plain)
    assert len(plain) in learned[0].by_size
    framer.feed(hidden)
    assert judged == [write]


def test_a_burst_that_begins_inside_a_message_is_not_one(learned: tuple[Bursts, Bursts]) -> None:
    framer = frontend()
    framer.feed(run(b"1234"))
    size = len(run(b"1234"))
    long = frame(b"B", bytes(2 * size))
    framer.feed(long[:-size])
    framer.feed(run(b"1234"))  # the rest of the Bind's body, though it looks like a burst
    assert framer.replies.due == [SYNC]


def test_a_sync_during_a_copy_is_owed_nothing(learned: tuple[Bursts, Bursts]) -> None:
    framer = frontend()
    framer.feed(run(b"1234"))
    framer.replies.due.clear()
    framer.replies.copying = True
    framer.feed(run(b"1234"))
    assert framer.replies.due == []


def test_a_size_goes_to_another_burst_after_some_misses(learned: tuple[Bursts, Bursts]) -> None:
    one = frame(b"2") + frame(b"D", b"abcd") + frame(b"Z", b"I")
    other = frame(b"D", b"abcd") + frame(b"2") + frame(b"Z", b"T")
    framer = backend(Replies())
    framer.feed(one)
    for _ in range(MISSES + 1):
        assert learned[1].by_size[len(one)].unpack(other) != learned[1].by_size[len(one)].headers
        framer.feed(other)
        assert framer.status == ord("T")
    assert learned[1].by_size[len(one)].unpack(other) == learned[1].by_size[len(one)].headers


def test_errors_and_what_is_malformed_are_not_learned(learned: tuple[Bursts, Bursts]) -> None:
    framer = backend(Replies())
    framer.feed(frame(b"2") + frame(b"E", b"") + frame(b"Z", b"E"))
    framer.feed(b"2\0\0\0\3" + frame(b"Z", b"E"))
    assert learned[1].by_size == {}


@given(bursts=st.lists(st.tuples(REQUEST, ANSWER), max_size=12))
def test_known_bursts_and_single_headers_lead_to_the_same_state(
    bursts: list[tuple[bytes, bytes]],
) -> None:
    judged: list[list[bytes]] = [[], []]
    whole, slow = frontend(judged[0]), frontend(judged[1])
    answers, slow_answers = backend(whole.replies), backend(slow.replies)
    for request, answer in bursts * 2:
        assert whole.feed(request) == (request, None)
        passed = [slow.feed(request[i : i + 1]) for i in range(len(request))]
        assert b"".join(data for data, _ in passed) == request
        answers.feed(answer)
        for i in range(len(answer)):
            slow_answers.feed(answer[i : i + 1])
        assert (whole.replies.due, whole.replies.copying, whole.executed) == (
            slow.replies.due,
            slow.replies.copying,
            slow.executed,
        )
        assert (answers.status, answers.failed) == (slow_answers.status, slow_answers.failed)
    assert judged[0] == judged[1]
