"""A client's side between two transports that only remember: nothing a client sends breaks it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.cancel import CancelRegistry
from proxy.protocol.messages import error_response, message
from proxy.protocol.startup import startup_packet
from proxy.relay import ClientSide, UpstreamSide
from proxy.session import wire
from proxy.session.core import Host, OpenWrites
from proxy.session.runs import NONCE
from proxy.session.tickets import Tickets
from proxy.statements.classify import Classifier
from proxy.statements.model import MirrorNames, Relation
from proxy.upstream import Upstream
from proxy.working import ProxyContext

NAMES = MirrorNames.of([Relation("books", "vendor", ("id", "name"), ("id",))])
HELD = b"update vendor set name = 'x'"
GREETING = message(b"R", bytes(4)) + message(b"K", bytes(8)) + message(b"Z", b"I")
UPSTREAM = Upstream.from_url("postgresql://u@127.0.0.1/books")


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = self.ended = False

    def write(self, data: bytes) -> None:
        assert not self.ended, "written behind the end"
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def set_write_buffer_limits(self, high: int) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Pair:
    """Both sides of one session, let in, and what they wrote."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.to_client, self.to_upstream = Wire(), Wire()

    async def enter(self) -> None:
        host = Host(Classifier(NAMES), Tickets(b"secret"), lambda: b"nonce")
        context = ProxyContext(UPSTREAM, "books", host)
        self.client = ClientSide(context, False, CancelRegistry(UPSTREAM))
        self._patch.setattr("proxy.entry.connect_upstream", self._connect)
        self.client.connection_made(cast("asyncio.Transport", self.to_client))
        self.client.data_received(startup_packet({"user": "u", "database": "books"}))
        for _ in range(3):  # the task that connects
            await asyncio.sleep(0)
        self.upstream.data_received(GREETING)
        self.to_client.written = self.to_upstream.written = b""

    async def _connect(self, target: Upstream, make: Any) -> tuple[Wire, UpstreamSide]:
        self.upstream: UpstreamSide = make()
        self.upstream.connection_made(cast("asyncio.Transport", self.to_upstream))
        return self.to_upstream, self.upstream


CLOSED, PARSED, BOUND = (message(kind, b"") for kind in (b"3", b"1", b"2"))
NO_PARAMETERS = message(b"t", b"\0\0")
READY = message(b"Z", b"I")


def refusal() -> list[bytes]:
    """What Postgres says, flight by flight, while a TRUNCATE of a mirrored table is refused."""
    described = [*[CLOSED] * 3, PARSED, NO_PARAMETERS, message(b"n", b""), CLOSED]
    row = [b"f", b"off", b"notice", b"0", b"0", b"0", b"", b"7", b"me", b"books", b"vendor"]
    asked = [CLOSED, CLOSED, PARSED, NO_PARAMETERS]
    asked += [message(b"T", b"\0\x01" + NONCE + b"\0" + bytes(18)), BOUND]
    asked += [wire.data_row([*row, b"[]", b"t"]), message(b"C", b"SELECT 1\0"), CLOSED, CLOSED]
    raised = [CLOSED, CLOSED, PARSED, BOUND, error_response("ERROR", "0A000", "refused")]
    return [b"".join(said) for said in (described, asked, raised, [READY], [CLOSED] * 5)]


def test_half_a_notice_behind_what_was_looked_at_is_relayed_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notice = message(b"N", b"SNOTICE\0C00000\0Mafter\0\0")

    async def scenario() -> None:
        pair = Pair(monkeypatch)
        await pair.enter()
        pair.client.data_received(wire.query(b"truncate vendor"))
        assert pair.client.judge.session is not None
        pair.client.judge.session.open = OpenWrites()  # the block that now fails had a write
        for said in refusal():
            pair.upstream.data_received(said)
        assert pair.to_upstream.written.endswith(wire.SYNC)
        pair.upstream.data_received(READY + notice[:9])
        pair.upstream.data_received(notice[9:])
        assert pair.to_client.written.endswith(READY + notice)
        assert not pair.to_client.is_closed
        pair.client.data_received(wire.query(b"select 1"))
        assert pair.to_upstream.written.endswith(wire.query(b"select 1"))

    asyncio.run(scenario())


NAME = st.sampled_from([b"", b"p", b"__sqlsync"])
TEXT = st.sampled_from([
    b"select 1", HELD, HELD + b" returning *", b"begin", b"deallocate all", b"execute p",
    b"prepare p as " + HELD, b"select 1; " + HELD, b"truncate vendor", b"\xff update vendor", b"",
])  # fmt: skip
KIND = st.sampled_from([bytes([kind]) for kind in b"QPBDECHSFdcfpX"])
SENT = st.one_of(
    st.builds(wire.query, TEXT),
    st.builds(wire.parse, NAME, TEXT),
    st.builds(wire.bind, NAME, NAME),
    st.builds(wire.execute, NAME, st.integers(0, 2)),
    st.builds(wire.describe, st.sampled_from([b"S", b"P"]), NAME),
    st.builds(wire.close, st.sampled_from([b"S", b"P"]), NAME),
    st.builds(message, KIND, st.binary(max_size=9)),
    st.sampled_from([wire.SYNC, wire.FLUSH]),
    st.binary(max_size=9),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(flights=st.lists(st.lists(SENT, min_size=1, max_size=5), max_size=4), cut=st.integers(1, 60))
def test_whatever_a_client_sends_the_proxy_has_an_answer(
    flights: list[list[bytes]], cut: int
) -> None:
    failures: list[str] = []

    class Failures(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            failures.append(self.format(record))

    async def scenario(patch: pytest.MonkeyPatch) -> None:
        pair = Pair(patch)
        await pair.enter()
        for flight in flights:
            sent = b"".join(flight)
            for at in range(0, len(sent), cut):
                pair.client.data_received(sent[at : at + cut])
        pair.client.eof_received()
        pair.upstream.connection_lost(None)
        pair.client.connection_lost(None)
        assert pair.to_upstream.is_closed or pair.to_upstream.ended

    handler = Failures()
    logging.getLogger("proxy.relay").addHandler(handler)
    try:
        with pytest.MonkeyPatch.context() as patch:
            asyncio.run(scenario(patch))
    finally:
        logging.getLogger("proxy.relay").removeHandler(handler)
    assert failures == []
