"""The session without I/O: messages of both sides in, bytes for both sides out."""

from __future__ import annotations

import pytest

from proxy.protocol.framing import IDLE, PARSE, QUERY, SYNC, Replies
from proxy.protocol.messages import error_response, message
from proxy.session import wire
from proxy.session.core import Host
from proxy.session.runs import NONCE
from proxy.session.session import Session
from proxy.session.tickets import Tickets
from proxy.statements.classify import Classifier
from proxy.statements.model import MirrorNames, Relation

NAMES = MirrorNames.of([Relation("books", "vendor", ("id", "name"), ("id",))])
WRITE = wire.parse(b"", b"update vendor set name = 'x'")
BIND = wire.bind(b"", b"")
EXECUTE = wire.execute(b"")
ERROR = error_response("ERROR", "42601", "no")
READY = b"Z\0\0\0\x05I"
CANCELLED = error_response("ERROR", "57014", "canceling statement due to user request")


@pytest.fixture
def session() -> Session:
    host = Host(Classifier(NAMES), Tickets(b"secret"), lambda: b"nonce")
    session = Session(host, Replies())
    session.status = IDLE
    return session


def said(outbox: list[bytes]) -> bytes:
    data = b"".join(outbox)
    outbox.clear()
    return data


def give(session: Session, *messages: bytes) -> None:
    for whole in messages:
        session.client_message(whole[0], whole)


def answer(session: Session, *messages: bytes) -> None:
    for whole in messages:
        session.upstream_message(whole[0], whole)


def facts(proven: bytes = b"t", read_only: bytes = b"off", name: bytes = b"vendor") -> list[bytes]:
    row: list[bytes | None] = [proven, read_only, b"notice", b"0", b"0", b"0", b"", b"7", b"me"]
    return [
        b"3\0\0\0\x04", b"3\0\0\0\x04", b"1\0\0\0\x04", message(b"t", b"\0\0"),
        message(b"T", b"\0\x01" + NONCE + b"\0" + bytes(18)), b"2\0\0\0\x04",
        wire.data_row([*row, b"books", name, b'["id", "notes"]', b"t"]),
        message(b"C", b"SELECT 1\0"), b"3\0\0\0\x04", b"3\0\0\0\x04",
    ]  # fmt: skip


def test_a_statement_of_no_concern_goes_on_as_it_came(session: Session) -> None:
    give(session, wire.parse(b"", b"select 1"), BIND, EXECUTE, wire.SYNC)
    assert said(session.to_upstream) == wire.parse(b"", b"select 1") + BIND + EXECUTE + wire.SYNC
    assert not session.busy
    assert session.replies.due == [SYNC]


def test_parse_and_bind_of_a_write_go_on_and_its_execute_is_held(session: Session) -> None:
    give(session, WRITE, BIND)
    assert said(session.to_upstream) == WRITE + BIND
    give(session, EXECUTE)
    assert session.busy
    assert EXECUTE not in said(session.to_upstream)


@pytest.mark.parametrize(
    "found",
    [facts(proven=b"f"), facts(read_only=b"on"), facts(name=b"temporary")],
    ids=["not proven", "read only", "not mirrored"],
)
def test_an_execute_that_is_none_of_ours_goes_on(session: Session, found: list[bytes]) -> None:
    give(session, WRITE, BIND, EXECUTE)
    said(session.to_upstream)
    answer(session, b"1\0\0\0\x04", b"2\0\0\0\x04", *found)
    assert said(session.to_upstream) == EXECUTE
    assert said(session.to_client) == b"1\0\0\0\x042\0\0\0\x04"
    assert not session.busy


def test_an_error_before_the_marker_fails_the_segment_up_to_its_sync(session: Session) -> None:
    give(session, WRITE, BIND, EXECUTE)
    said(session.to_upstream)
    answer(session, ERROR)
    assert said(session.to_client) == ERROR
    give(session, WRITE, BIND, EXECUTE, wire.query(b"select 1"), wire.FLUSH)
    assert said(session.to_upstream) == b""
    give(session, wire.SYNC)
    assert said(session.to_upstream) == wire.SYNC
    answer(session, READY)
    assert said(session.to_client) == READY
    assert not session.skipping


@pytest.mark.parametrize("text", [b"update vendor set name = 'x'", b"select 1; delete from vendor"])
def test_a_cancel_that_hits_our_own_question_ends_the_query_alone(
    session: Session, text: bytes
) -> None:
    give(session, wire.query(text))
    if b";" in text:  # hidden BEGIN, select
        answer(session, message(b"C", b"BEGIN\0"), b"Z\0\0\0\x05T")
        answer(session, message(b"C", b"SELECT 1\0"), b"Z\0\0\0\x05T")
    # what is said of our Parse and Describe, then the cancel in place of the marker's answer
    answer(session, *[b"3\0\0\0\x04"] * 3, b"1\0\0\0\x04", message(b"t", b"\0\0"))
    answer(session, b"n\0\0\0\x04", b"3\0\0\0\x04", CANCELLED)
    for _ in range(12):  # ends what is open, as often as it asks
        if said(session.to_upstream) and session.busy:
            answer(session, *[b"3\0\0\0\x04"] * 9, message(b"C", b"ROLLBACK\0"), READY)
    assert not session.busy
    assert CANCELLED in said(session.to_client)
    give(session, wire.query(b"select 2"))
    assert said(session.to_upstream) == wire.query(b"select 2")


def test_a_malformed_execute_is_left_to_postgres(session: Session) -> None:
    for malformed in (message(b"E", b"no end"), message(b"E", b"\0\0"), message(b"E", b"")):
        give(session, WRITE, BIND, malformed)
        assert said(session.to_upstream) == WRITE + BIND + malformed
        assert not session.busy


def test_an_execute_of_what_is_no_write_goes_on(session: Session) -> None:
    for text in (b"deallocate all", b"begin", b"execute other"):
        give(session, wire.parse(b"p", text), wire.close(b"S", b"q"), wire.query(b"execute p"))
        assert said(session.to_upstream).endswith(wire.query(b"execute p"))
        assert not session.busy
        answer(session, b"1\0\0\0\x04", b"3\0\0\0\x04", READY)
        give(session, wire.close(b"S", b"p"))


def test_an_error_of_an_earlier_segment_does_not_fail_this_one(session: Session) -> None:
    give(session, wire.query(b"selec"), WRITE, BIND, EXECUTE)
    answer(session, ERROR, READY)
    assert session.busy
    assert not session.skipping
    answer(session, b"1\0\0\0\x04", b"2\0\0\0\x04", *facts())
    assert b"BEGIN" in said(session.to_upstream)


def test_the_last_words_of_upstream_pass_whatever_is_under_way(session: Session) -> None:
    give(session, WRITE, BIND, EXECUTE)
    fatal = error_response("FATAL", "57P01", "terminating")
    answer(session, fatal)
    assert said(session.to_client) == fatal


def test_a_write_is_judged_before_it_passes(session: Session) -> None:
    assert session.may_pass(QUERY, wire.query(b"select 1; begin"))
    assert session.may_pass(PARSE, wire.parse(b"", b"select 1"))
    assert not session.may_pass(PARSE, WRITE)
    assert not session.may_pass(QUERY, wire.query(b"begin; delete from vendor"))
    assert not session.may_pass(QUERY, wire.query(b"deallocate all"))


def test_a_mac_is_bound_to_purpose_backend_and_payload() -> None:
    tickets = Tickets(b"secret")
    macs = {
        tickets.mac(purpose, pid, payload)
        for purpose in ("lock", "apply")
        for pid in (1, 11)
        for payload in (b"", b"1")
    }
    assert len(macs) == 8
