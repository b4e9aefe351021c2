# ruff: noqa: E501
"""Others at work on the same rows, and clients who try to get round the engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from integration.proxy.twins import PASSWORD, Client, Q, S, Twins, run

from sqlsync.errors import SqlsyncError
from sqlsync.writes.model import CancelToken, WriteRequest, WriteResult

HALF = "update vendor set amount = amount * 2 where id = '1' returning amount"


@pytest.fixture
def other(twins: Twins) -> Any:
    """A session of the engine's, past the proxy."""
    twins.reset()
    with psycopg.connect(twins.direct) as connection:
        connection.execute("set role sqlsync_engine")
        yield connection


def rows(conninfo: str, query: str) -> list[Any]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return connection.execute(query).fetchall()


def waits_for_lock(twins: Twins, pid: int) -> Callable[[], bool]:
    def claim() -> bool:
        query = f"select 1 from pg_stat_activity where pid = {pid} and wait_event_type = 'Lock'"
        return bool(rows(twins.direct, query))

    return claim


def eventually(claim: Callable[[], bool]) -> None:
    limit = threading.Event()
    for _ in range(2000):
        if claim():
            return
        limit.wait(0.005)
    raise AssertionError("it did not become true in time")


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_a_change_that_commits_while_we_wait_is_built_upon_or_refused(
    twins: Twins, other: psycopg.Connection[Any], isolation: str
) -> None:
    with Client(twins.proxied) as client:
        client.ask(Q(f"set default_transaction_isolation = '{isolation}'"))
        other.execute("update books.vendor set amount = 100 where id = '1'")
        client.send(Q(HALF))
        eventually(waits_for_lock(twins, client.pid))
        other.commit()
        found = client.until_ready()
    if isolation == "read committed":
        assert [m[1] for m in found if m[0] == "D"] == [[b"200.00"]]
        assert len(twins.writer.calls) == 1
    else:
        assert [m[1]["C"] for m in found if m[0] == "E"] == ["40001"]
        assert twins.writer.calls == []


def test_two_clients_on_one_row_lose_no_update(twins: Twins) -> None:
    twins.reset()
    failures: list[Any] = []

    def add() -> None:
        with Client(twins.proxied) as client:
            for _ in range(8):
                found = client.ask(run("update vendor set amount = amount + 1 where id = '1'") + S)
                failures.extend(m for m in found if m[0] == "E")

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert rows(twins.direct, "select amount::int from books.vendor where id = '1'") == [(25,)]


def test_a_deadlock_in_a_rehearsal_is_rehearsed_once_more(
    twins: Twins, other: psycopg.Connection[Any]
) -> None:
    free = "select 1 from books.vendor where id = '1' for update skip locked"
    with Client(twins.proxied) as client:
        client.ask(Q("set deadlock_timeout = '30ms'"))
        other.execute("reset role; set deadlock_timeout = '20s'; set role sqlsync_engine")
        other.execute("update books.vendor set phone = 'o' where id = '2'")
        slow = "update vendor set phone = slow(phone) || '!' where id in ('1', '2')"
        client.send(run(slow) + S)
        eventually(lambda: not rows(twins.direct, free))
        other.execute("update books.vendor set phone = 'o' where id = '1'")
        other.commit()
        found = client.until_ready()
    assert [m[1] for m in found if m[0] in "EC"] == [b"UPDATE 2\0"]
    assert rows(twins.direct, "select phone from books.vendor where id in ('1', '2')") == [
        ("o!",),
        ("o!",),
    ]


def test_the_answer_shows_what_the_provider_made_of_it(twins: Twins) -> None:
    twins.reset()
    twins.writer.changes = {"display_name": "Trimmed", "balance": 42}
    with Client(twins.proxied) as client:
        found = client.ask(
            run(
                "insert into vendor (display_name, phone) values ($1, '1')"
                " returning display_name, balance, phone, length(display_name)",
                " Trimmed ",
            )
            + S
        )
    assert [m[1] for m in found if m[0] == "D"] == [[b"Trimmed", b"42", b"1", b"7"]]


def test_a_row_that_the_mirror_lacks_is_fetched_or_not_found(twins: Twins) -> None:
    twins.reset()
    twins.writer.missing["77"] = {"id": "77", "display_name": "Late", "phone": "0", "note": "n"}
    with Client(twins.proxied) as client:
        found = client.ask(
            run("update vendor set phone = '1' where id = $1 returning display_name", "77") + S
        )
        assert [m[1] for m in found if m[0] in "DC"] == [[b"Late"], b"UPDATE 1\0"]
        found = client.ask(Q("delete from vendor where id = '78'"))
        assert found[0][1]["M"] == "[QuickBooks] Vendor `78` not found"
        assert found[-1] == ("Z", b"I")
        client.ask(Q("set sqlsync.on_missing = 'zero'"))
        assert client.ask(Q("delete from vendor where id = '78'"))[0] == ("C", b"DELETE 0\0")
        client.ask(Q("reset sqlsync.on_missing"))
        found = client.ask(Q("begin") + Q("update vendor set phone = '1' where id = '78'"))
        assert found[-1] == ("Z", b"E")


# -- getting round the engine --------------------------------------------------------------

DIRECT = "update books.vendor set phone = 'forged' where id = '1'"
ATTACKS = [
    f"do $$ begin {DIRECT}; end $$",
    f"explain analyze {DIRECT}",
    "set session_replication_role = replica",
    f"create function pg_temp.f() returns int language sql as $$ {DIRECT} returning 1 $$; select pg_temp.f()",
    "select sqlsync.open_rehearsal('\\x00', '\\x00')",
    "select sqlsync.apply('{}', '\\x00')",
    "select sqlsync.apply_rows('{}')",
    "select sqlsync.lock_rows('{}', '\\x00')",
    "insert into sqlsync.rehearsal values (pg_backend_pid(), pg_current_xact_id())",
    "insert into sqlsync.captured (pid, schema_name, table_name, operation) values (1, '', '', '')",
    "select key from sqlsync.secret",
    "set role sqlsync_engine",
    "set session authorization sqlsync_engine",
    "create trigger t after update on books.vendor for each row execute function public.kept()",
    "alter table books.vendor disable trigger all",
    "alter table books.vendor rename to other",
    "alter table books.vendor set schema public",
    "drop table books.vendor",
    "truncate books.vendor",
    "create table books.fake (a int)",
    "create or replace function sqlsync.rehearsing() returns boolean language sql as 'select true'",
    "copy books.vendor (phone) from stdin",
]


@pytest.mark.parametrize("text", ATTACKS)
@pytest.mark.parametrize("door", ["proxy", "direct"])
def test_a_client_cannot_write_round_the_engine(twins: Twins, text: str, door: str) -> None:
    twins.reset()
    conninfo = twins.proxied if door == "proxy" else twins.direct
    with Client(conninfo, user="wire_writer", password=PASSWORD) as client:
        found = client.ask(Q(text))
        if found[0][0] == "G":
            found += client.ask(b"d\0\0\0\x06x\nc\0\0\0\x04" + Q("select 1"))
        assert "E" in [m[0] for m in found]
        client.ask(Q("rollback"))
        if door == "direct":
            assert [m[1]["C"] for m in client.ask(Q(DIRECT)) if m[0] == "E"] == ["55000"]
    assert twins.writer.calls == []
    assert rows(twins.direct, "select phone from books.vendor where id = '1'") == [("555-1",)]


def test_a_superuser_past_the_proxy_is_refused_too(twins: Twins) -> None:
    twins.reset()
    with Client(twins.direct) as client:
        for before in ("select 1", "set session_replication_role = replica"):
            client.ask(Q(before))
            assert [m[1]["C"] for m in client.ask(Q(DIRECT)) if m[0] == "E"] == ["55000"]


@pytest.mark.parametrize("belt", ["commit", "set constraints all immediate", "release __sqlsync"])
def test_a_rehearsal_cannot_be_committed(twins: Twins, belt: str) -> None:
    """A function of the client's is run inside the rehearsal, and finds no way out."""
    twins.reset()
    with psycopg.connect(twins.direct, autocommit=True) as admin:
        admin.execute(
            "create or replace function public.attack() returns text language plpgsql as"
            f" $$ begin execute '{belt}'; return 'x'; end $$"
        )
    with Client(twins.proxied) as client:
        found = client.ask(Q("update vendor set phone = public.attack() where id = '1'"))
        assert "E" in [m[0] for m in found]
        assert found[-1] == ("Z", b"I")
    assert twins.writer.calls == []
    assert rows(twins.direct, "select phone from books.vendor where id = '1'") == [("555-1",)]
    assert rows(twins.direct, "select 1 from sqlsync.rehearsal") == []


def test_a_temporary_table_and_functions_of_the_clients_do_not_stand_in_for_ours(
    twins: Twins,
) -> None:
    twins.reset()
    with Client(twins.proxied) as client:
        client.ask(
            Q("create temp table captured (pid int); create temp table rehearsal (pid int);"
              " create temp table secret (key bytea); create temp table marker (entry_id uuid)")
            + Q("create function pg_temp.pg_backend_pid() returns int language sql as 'select 1'")
            + Q("set search_path = pg_temp, books, public, pg_catalog")
        )  # fmt: skip
        found = client.ask(Q("update vendor set phone = '9' where id = '1' returning phone"))
        assert [m[1] for m in found if m[0] in "DE"] == [[b"9"]]
    assert len(twins.writer.calls) == 1


def test_a_ticket_is_good_for_one_backend_and_one_payload(twins: Twins) -> None:
    from proxy.session.tickets import Tickets

    twins.reset()
    [(key,)] = rows(twins.direct, "select key from sqlsync.secret")
    payload = b'{"schema": "books", "deletes": [{"table": "vendor", "ids": ["1"]}]}'
    with psycopg.connect(twins.direct, autocommit=True) as session:
        mac = Tickets(key).mac("apply", session.info.backend_pid, payload)
        other_pid = Tickets(key).mac("apply", session.info.backend_pid + 1, payload)
        other_purpose = Tickets(key).mac("lock", session.info.backend_pid, payload)
        for forged, of in ((other_pid, payload), (other_purpose, payload), (mac, payload + b" ")):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("select sqlsync.apply(%b, %b)", [of, forged])
    assert rows(twins.direct, "select count(*)::int from books.vendor") == [(3,)]


def test_what_fails_inside_the_engine_reaches_the_client_as_an_error(twins: Twins) -> None:
    twins.reset()

    async def broken(request: WriteRequest, cancel: CancelToken) -> WriteResult:
        raise KeyError("surprise")

    working = twins.writer.execute
    twins.writer.execute = broken  # type: ignore[method-assign]
    try:
        with Client(twins.proxied) as client:
            found = client.ask(run(HALF) + S)
            assert [m[1]["C"] for m in found if m[0] == "E"] == [SqlsyncError.sqlstate]
            assert found[-1] == ("Z", b"I")
    finally:
        twins.writer.execute = working  # type: ignore[method-assign]


@pytest.mark.parametrize("block", [False, True])
def test_a_bug_in_the_proxy_ends_the_session_with_a_word_and_what_was_written_is_settled(
    twins: Twins, block: bool
) -> None:
    """The engine answers with nothing a session could read."""
    twins.reset()

    async def broken(request: WriteRequest, cancel: CancelToken) -> WriteResult:
        return None  # type: ignore[return-value]

    working = twins.writer.execute
    session = psycopg.connect(twins.proxied, autocommit=not block)
    try:
        if block:
            session.execute("update vendor set phone = 'kept' where id = '1'")
        twins.writer.execute = broken  # type: ignore[method-assign]
        with pytest.raises(psycopg.Error, match="internal error") as told:
            session.execute("update vendor set phone = 'lost' where id = '1'")
        assert told.value.sqlstate == SqlsyncError.sqlstate
    finally:
        twins.writer.execute = working  # type: ignore[method-assign]
        session.close()
    phones = rows(twins.direct, "select phone from books.vendor where id = '1'")
    assert phones[0][0] not in ("kept", "lost")
    if block:
        waited = time.monotonic() + 10
        while not twins.writer.settled and time.monotonic() < waited:
            time.sleep(0.01)
        assert twins.writer.settled
    with psycopg.connect(twins.proxied) as other:
        assert other.execute("select 1").fetchone() == (1,)
