"""While the provider is asked: limits, cancels, and whoever leaves meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from integration.proxy.twins import Client, Message, Q, S, Twins, run

from sqlsync.errors import DuplicateValue

W = "update vendor set phone = '9' where id = '1'"
WAYS = {"query": Q(W), "segment": run(W) + S, "string": Q(f"select 1; {W}")}
LONGER_THAN_LIMITS = 0.8


def eventually(claim: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.005)


@contextmanager
def slow_call(twins: Twins, client: Client, flight: bytes) -> Iterator[None]:
    """Sends the flight; the body runs while the provider is being asked."""
    twins.reset()
    hold = twins.writer.hold = threading.Event()
    client.send(flight)
    eventually(lambda: bool(twins.writer.calls))
    try:
        yield
    finally:
        hold.set()


def phone(twins: Twins) -> str:
    with psycopg.connect(twins.direct) as connection:
        row = connection.execute("select phone from vendor where id = '1'").fetchone()
    assert row is not None
    return str(row[0])


def codes(messages: list[Message]) -> list[str]:
    return [m[1]["C"] for m in messages if m[0] == "E"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("before", ["", "begin"])
def test_no_limit_of_the_client_ends_a_call(twins: Twins, way: str, before: str) -> None:
    with Client(twins.proxied) as client:
        for name in ("statement", "lock", "idle_in_transaction_session", "transaction"):
            client.ask(Q(f"set {name}_timeout = '600ms'"))
        if before:
            client.ask(Q("set transaction_timeout = '60s'") + Q(before))
        with slow_call(twins, client, WAYS[way]):
            time.sleep(LONGER_THAN_LIMITS)  # the limits must have passed
        assert codes(client.until_ready()) == []
        shown = [client.ask(Q(f"show {name}_timeout"))[1][1][0] for name in ("statement", "lock")]
        assert shown == [b"600ms", b"600ms"]
        if before:
            client.ask(Q("commit"))
    assert phone(twins) == "9"


@pytest.mark.parametrize("way", WAYS)
def test_a_slow_rehearsal_is_ended_by_the_clients_limit(twins: Twins, way: str) -> None:
    twins.reset()
    slow = "update vendor set phone = slow('9') where id = '1'"
    flight = {"query": Q(slow), "segment": run(slow) + S, "string": Q(f"select 1; {slow}")}[way]
    with Client(twins.proxied) as client:
        client.ask(Q("set statement_timeout = '100ms'"))
        assert codes(client.ask(flight)) == ["57014"]
        assert client.ask(Q("select 1"))[-1] == ("Z", b"I")
    assert twins.writer.calls == []


@pytest.mark.parametrize("way", WAYS)
def test_a_cancel_during_the_rehearsal_is_postgres_own(twins: Twins, way: str) -> None:
    twins.reset()
    slow = "update vendor set phone = slow('9') where id = '1'"
    flight = {"query": Q(slow), "segment": run(slow) + S, "string": Q(f"select 1; {slow}")}[way]
    with psycopg.connect(twins.direct, autocommit=True) as other, Client(twins.proxied) as client:
        client.send(flight)
        eventually(
            lambda: (
                other.execute(
                    "select 1 from pg_stat_activity where pid = %s and wait_event = 'PgSleep'",
                    [client.pid],
                ).fetchone()
                is not None
            )
        )
        client.cancel()
        assert codes(client.until_ready()) == ["57014"]
        assert client.ask(Q("select 1"))[-1] == ("Z", b"I")
    assert twins.writer.calls == []
    assert phone(twins) == "555-1"


@pytest.mark.parametrize("way", WAYS)
def test_a_cancel_after_the_request_went_out_is_too_late(twins: Twins, way: str) -> None:
    with Client(twins.proxied) as client:
        with slow_call(twins, client, WAYS[way]):
            client.cancel()
        assert codes(client.until_ready()) == []
    assert phone(twins) == "9"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("before", ["", "begin"])
def test_a_refusal_leaves_the_status_that_an_error_leaves(
    twins: Twins, way: str, before: str
) -> None:
    twins.reset()
    twins.writer.refuse_with = DuplicateValue("[QuickBooks] Vendor: Duplicate Name Exists")
    with Client(twins.proxied) as client:
        if before:
            client.ask(Q(before))
        found = client.ask(WAYS[way])
        assert codes(found) == ["23505"]
        assert found[-1] == ("Z", b"E" if before else b"I")
        twins.writer.refuse_with = None
        assert codes(client.ask(Q("rollback") + WAYS[way])) == []
    assert phone(twins) == "9"


@pytest.mark.parametrize("way", WAYS)
def test_an_upstream_that_dies_during_the_call_is_told_at_once(twins: Twins, way: str) -> None:
    with psycopg.connect(twins.direct, autocommit=True) as other, Client(twins.proxied) as client:
        with slow_call(twins, client, WAYS[way]):
            other.execute("select pg_terminate_backend(%s)", [client.pid])
            found = client.until_ready()
            assert codes(found) == ["57P01"]
            assert found[-1] == ("EOF", None)
            assert not twins.writer.settled
        eventually(lambda: len(twins.writer.settled) == 1)
    assert phone(twins) == "555-1"


def test_an_upstream_that_dies_in_a_block_with_writes_settles_them(twins: Twins) -> None:
    twins.reset()
    with psycopg.connect(twins.direct, autocommit=True) as other, Client(twins.proxied) as client:
        client.ask(Q("begin") + Q(W))
        other.execute("select pg_terminate_backend(%s)", [client.pid])
        assert codes(client.until_ready()) == ["57P01"]
        eventually(lambda: len(twins.writer.settled) == 1)
    assert phone(twins) == "555-1"


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_leaves_during_the_call_has_its_statement_finished(
    twins: Twins, way: str
) -> None:
    client = Client(twins.proxied)
    with slow_call(twins, client, WAYS[way]):
        client.close()
    eventually(lambda: len(twins.writer.settled) == 1)
    eventually(lambda: phone(twins) == "9")


def test_a_client_that_leaves_without_a_sync_has_nothing_committed(twins: Twins) -> None:
    client = Client(twins.proxied)
    with slow_call(twins, client, run(W)):
        client.close()
    eventually(lambda: len(twins.writer.settled) == 1)
    assert phone(twins) == "555-1"


def test_a_client_that_leaves_its_block_has_nothing_committed(twins: Twins) -> None:
    twins.reset()
    client = Client(twins.proxied)
    client.ask(Q("begin") + Q(W))
    client.close()
    eventually(lambda: len(twins.writer.settled) == 1)
    assert phone(twins) == "555-1"


def test_a_client_that_stops_sending_still_gets_its_answers(twins: Twins) -> None:
    twins.reset()
    with Client(twins.proxied) as client:
        client.send(Q("select 1") + run(W) + S + Q("select 2"))
        client.stop_sending()
        found = client.until_ready(4)
    assert [m[0] for m in found if m[0] in ("Z", "E", "EOF")] == ["Z", "Z", "Z", "EOF"]
    assert phone(twins) == "9"


def test_much_sent_ahead_of_a_slow_call_waits_its_turn(twins: Twins) -> None:
    ahead = 3000
    with Client(twins.proxied) as client:
        sender = threading.Thread(
            target=client.send, args=((run("select $1", "y" * 4000) + S) * ahead,)
        )
        with slow_call(twins, client, run(W) + S):
            sender.start()
        found = client.until_ready(ahead + 1)
        sender.join()
    assert sum(m[0] == "D" for m in found) == ahead
    assert codes(found) == []
