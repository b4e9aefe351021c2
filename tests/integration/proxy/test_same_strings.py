# ruff: noqa: E501, ISC004
"""Strings of several statements, blocks and settings: the same through the proxy as without."""

from __future__ import annotations

import pytest
from integration.proxy.twins import B, Client, E, P, Q, S, Twins, run

W1 = "update vendor set phone = '9' where id = '1'"
W2 = "update vendor set phone = '8' where id = '2' returning phone"
BAD = "insert into vendor (display_name) values ('Acme')"
LOCAL = "insert into plain values (7, 'x')"

STRINGS: list[tuple[str, int | None]] = [
    (f"{W1}; {W2}", 2),
    (f"select 1; {W1}; select phone from vendor where id = '1'", 1),
    (f"{LOCAL}; {W1}; select 1/0; {W2}", 1),
    (f"{LOCAL}; {BAD}; {W2}", 0),
    (f"{W1}; {BAD}; select 1", 1),
    (f"{W1}; selec; {W2}", 0),
    (f" ; {W1} ; ; {W2} ; -- end\n", 2),
    (f"/* ä€ */ select 'é'; {W1}; select nothing", 1),
    (f"select 'é€'; update vendor set nothing = 1; {W1}", 0),
    ("select 'é€'; update vendor set phone = 'é' || nothing where id = '1'", 0),
    (f"begin; {W1}; commit", 1),
    (f"begin; {W1}; rollback", 1),
    (f"begin; {W1}; select 1/0; commit", 1),
    (f"{W1}; begin; {W2}; rollback", 2),
    (f"{LOCAL}; begin; {W1}; rollback", 1),
    (f"begin read only; {W1}; commit", 0),
    (f"begin isolation level serializable; {W1}; show transaction_isolation; commit", 1),
    (f"{W1}; begin; begin; {W2}; commit", 2),
    (f"{W1}; begin isolation level serializable; {W2}; commit", 1),
    (f"{W1}; commit; {W2}", 2),
    (f"{W1}; rollback; {W2}", 2),
    (f"{W1}; commit; {W2}; select 1/0", 2),
    (f"{W1}; commit and chain", 1),
    (f"{W1}; rollback and chain", 1),
    (f"{W1}; savepoint s; {W2}", 1),
    (f"{W1}; rollback to s", 1),
    (f"{W1}; release s", 1),
    (f"begin; savepoint s; {W1}; rollback to s; {W2}; commit", 2),
    (f"begin; {W1}; commit and chain; {W2}; rollback", 2),
    (f"begin; {W1}; commit; begin; {W2}; rollback", 2),
    (f"commit; {W1}", 1),
    (f"{W1}; vacuum plain", 1),
    (f"vacuum plain; {W1}", 0),
    (f"{W1}; create table made (a int); drop table made", 1),
    (f"{W1}; insert into later values (1)", 1),
    (f"insert into later values (1); {W1}; select 1", 1),
    (f"{W1}; lock table plain; declare c cursor for select 1; fetch c; set local work_mem = '1MB'", 1),
    (f"{W1}; declare c cursor with hold for select a from plain order by a; {W2}", 2),
    (f"set application_name = 'inside'; {W1}; show application_name", 1),
    (f"set application_name = 'undone'; {W1}; select 1/0", 1),
    (f"begin; set application_name = 'kept'; commit; {W1}; set application_name = 'b'; select 1/0", 1),
    (f"set client_min_messages = error; {W1}; commit", 1),
    (f"listen x; notify x; {W1}; select 1", 1),
    (f"{W1}; copy plain to stdout; select 1", 1),
    (f"do $$ begin raise notice 'hello'; end $$; {W1}; select shout('a')", 1),
    (f"prepare w as {W2}; execute w; {W1}; execute w; deallocate w", 3),
    (f"insert into vendor (display_name) values ('Dell') returning id; {W1}; delete from vendor where display_name = 'Dell'", 3),
    (f"{W1}; update vendor set phone = phone || '!' where id = '1' returning phone", 2),
    ("select $1; " + W1, 0),
    (W1 + "; update vendor set phone = $1", 1),
    ("update plain set b = 'x'; update vendor set phone = '1' where false; select 1", 0),
    ("truncate plain; copy plain to stdout; select 'vendor'", 0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "calls"), STRINGS, ids=[text[:80] for text, _ in STRINGS])
def test_a_string_is_answered_as_by_postgres(twins: Twins, text: str, calls: int | None) -> None:
    twins.compare(Q(text), calls=calls)


@pytest.mark.parametrize(("text", "calls"), STRINGS, ids=[text[:80] for text, _ in STRINGS])
def test_a_string_inside_a_block_is_answered_as_by_postgres(
    twins: Twins, text: str, calls: int | None
) -> None:
    twins.compare(Q("begin"), Q(text), Q("select 1"), Q("commit"))


BLOCKS: dict[str, tuple[list[bytes], int | None]] = {
    "commit": ([Q("begin"), Q(W1), Q(W2), Q("commit")], 2),
    "rollback": ([Q("begin"), Q(W1), Q("rollback"), Q(W2)], 2),
    "savepoints": (
        [Q("begin"), Q(W1), Q("savepoint s"), Q(W2), Q("rollback to s"), Q(W2), Q("release s"),
         Q("commit")], 3,
    ),
    "savepoint of our name": (
        [Q("begin"), Q("savepoint __sqlsync"), Q(W1), Q("rollback to __sqlsync"), Q(W2),
         Q("commit")], 2,
    ),
    "error, back to the savepoint": (
        [Q("begin"), Q("savepoint s"), Q(BAD), Q("rollback to s"), Q(W1), Q("commit")], 1,
    ),
    "extended error, back to the savepoint": (
        [Q("begin"), Q("savepoint s"), run(BAD) + S, Q("rollback to s"), run(W1) + S,
         Q("commit")], 1,
    ),
    "chain": ([Q("begin"), Q(W1), Q("commit and chain"), Q(W2), Q("rollback and chain"),
               Q("rollback")], 2),
    "commit fails": ([Q("begin"), Q(W1), Q("insert into later values (1)"), Q("commit"),
                      Q("select 1")], 1),
    "commit of a failed block": ([Q("begin"), Q(W1), Q("select 1/0"), Q("commit")], 1),
    "extended commit of a failed block": (
        [Q("begin"), Q(W1), Q("select 1/0"), run("commit") + S, Q("select 1")], 1,
    ),
    "extended commit": ([run("begin") + S, run(W1) + S, run("commit") + S], 1),
    "settings in the block": (
        [Q("begin"), Q("set local statement_timeout = '5s'"), Q("set lock_timeout = '6s'"), Q(W1),
         Q("show statement_timeout"), Q("show lock_timeout"), Q("commit"),
         Q("show statement_timeout"), Q("show lock_timeout")], 1,
    ),
    "settings undone": (
        [Q("set lock_timeout = '3s'"), Q("begin"), Q("set lock_timeout = '6s'"), Q(W1),
         Q("rollback"), Q("show lock_timeout")], 1,
    ),
    "temporary table of the same name": (
        [Q("create temp table vendor (id text, phone text)"), Q("insert into vendor values ('1')"),
         Q(W1), run(W1) + S, Q("truncate vendor"), Q("copy vendor to stdout"),
         Q("explain (analyze, costs off, timing off, summary off, buffers off) delete from vendor"),
         run("truncate vendor") + S,
         Q("with a as (delete from vendor returning 1), b as (delete from vendor returning 1)"
           " select 1"),
         Q("drop table pg_temp.vendor"), Q(W1)], 1,
    ),
    "another schema first": (
        [Q("create schema other create table vendor (id text, phone text)"),
         Q("set search_path = other, books"), Q("insert into vendor values ('1', '2')"), Q(W1),
         Q("update books." + W1[7:]), Q("reset search_path"), Q("drop schema other cascade")], 1,
    ),
    "constraints immediate": (
        [Q("begin"), Q("set constraints all immediate"), Q(W1), Q("commit")], 1,
    ),
    "copy before and after": (
        [Q("copy plain from stdin") + b"d\0\0\0\x0a8\teight\n"[:1]
         + (4 + len(b"8\teight\n")).to_bytes(4, "big") + b"8\teight\n" + b"c\0\0\0\x04",
         Q(W1), Q("copy plain to stdout"), run("copy plain to stdout") + S, run(W1) + S], 2,
    ),
    "extended copy in": (
        [P(W1, "w") + S,
         P("copy plain from stdin") + B() + E() + b"d" + (4 + len(b"8\teight\n")).to_bytes(4, "big")
         + b"8\teight\n" + b"c\0\0\0\x04" + S, B(name="w") + E() + S], 1,
    ),
    "serializable": (
        [Q("begin isolation level serializable"), Q(W1), Q("select phone from vendor where"
         " id = '1'"), run(W2) + S, Q("commit")], 2,
    ),
    "repeatable read sees its own": (
        [Q("begin isolation level repeatable read"), Q("select 1"), Q(W1),
         Q("insert into vendor (display_name) values ('Dell')"),
         Q("select display_name, phone from vendor order by 1"), Q("commit")], 2,
    ),
    "prepare transaction without a write": (
        [Q("begin"), Q("select 1"), Q("prepare transaction 'x'"), Q("rollback prepared 'x'")], 0,
    ),
    "notices off": (
        [Q("set client_min_messages = error"), Q(W1 + "; commit; " + W2),
         run(W1) + run("commit") + S, Q("update vendor set phone = shout('b')")], 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_is_answered_as_by_postgres(twins: Twins, name: str) -> None:
    flights, calls = BLOCKS[name]
    twins.compare(*flights, calls=calls)


@pytest.mark.parametrize(
    "prepare",
    [Q("prepare transaction 'x'"), run("prepare transaction 'x'") + S,
     Q("select 1; prepare transaction 'x'")],
    ids=["query", "extended", "in a string"],
)  # fmt: skip
def test_prepare_transaction_behind_a_write_is_refused_and_fails_the_block(
    twins: Twins, prepare: bytes
) -> None:
    """Nobody would see how it ends. The write is settled as undone, and nothing stays prepared."""
    twins.reset()
    before = twins.contents(twins.direct)
    with Client(twins.proxied) as client:
        client.ask(Q("begin"))
        client.ask(Q(W1))
        found = client.ask(prepare)
        assert [m[1]["C"] for m in found if m[0] == "E"] == ["0A000"]
        if found[-1] == ("Z", b"E"):
            assert [m[1]["C"] for m in client.ask(Q("select 1")) if m[0] == "E"] == ["25P02"]
            found = client.ask(Q("commit"))
            assert ("C", b"ROLLBACK\0") in found
        assert found[-1] == ("Z", b"I")
        shown = client.ask(Q("select count(*) from pg_prepared_xacts where gid = 'x'"))
        assert ("D", [b"0"]) in shown
    assert len(twins.writer.settled) == 1
    assert twins.contents(twins.direct) == before


USERS: list[tuple[str, str, int | None]] = [
    ("wire_writer", "update vendor set phone = '9' where id = '1' returning phone", 1),
    ("wire_writer", "insert into vendor (display_name) values ('Dell') returning display_name", 1),
    ("wire_writer", "delete from vendor where id = '1'", 1),
    ("wire_writer", "update customer set phone = '9'", 0),
    ("wire_writer", "create trigger mine before update on vendor for each row execute function kept()", 0),
    ("wire_writer", "alter table vendor disable trigger all", 0),
    ("wire_writer", "drop table vendor", 0),
    ("wire_columns", "update vendor set phone = '9' where id = '1'", 1),
    ("wire_columns", "update vendor set phone = '9' where id = '1' returning display_name", 1),
    ("wire_columns", "update vendor set phone = '9' where id = '1' returning phone", 0),
    ("wire_columns", "update vendor set phone = '9'", 1),
    ("wire_columns", "update vendor set phone = phone || '9'", 0),
    ("wire_columns", "update vendor set display_name = '9'", 0),
    ("wire_columns", "insert into vendor (display_name) values ('Dell')", 0),
    ("wire_deleter", "delete from vendor where id = '2'", 1),
    ("wire_deleter", "update vendor set phone = '9'", 0),
    ("wire_policies", "update customer set phone = '9' where id = '11' returning phone", 1),
    ("wire_policies", "update customer set phone = '9'", 1),
    ("wire_policies", "update customer set phone = '9' where id = '12'", 0),
    ("wire_policies", "update customer set display_name = 'forbidden' where id = '11'", 0),
    ("wire_policies", "insert into customer (display_name) values ('forbidden')", 0),
    ("wire_policies", "insert into customer (display_name) values ('fine') returning display_name", 1),
    ("wire_policies", "delete from customer", 1),
    ("wire_policies", "delete from customer where id = '11'", 0),
    ("wire_policies", "merge into customer c using (values ('11'), ('13')) v(id) on c.id = v.id"
     " when matched then update set phone = 'm'", 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("user", "text", "calls"), USERS, ids=[f"{u} {t[:60]}" for u, t, _ in USERS]
)
def test_privileges_and_policies_are_postgres_own(
    twins: Twins, user: str, text: str, calls: int | None
) -> None:
    twins.compare(Q(text), calls=calls, user=user)
    twins.compare(run(text) + S, calls=calls, user=user)
