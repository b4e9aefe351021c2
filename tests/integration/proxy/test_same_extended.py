# ruff: noqa: E501
"""Scripts of raw extended-protocol messages, through the proxy and directly on a twin."""

from __future__ import annotations

import pytest
from integration.proxy.conftest import since
from integration.proxy.twins import B, C, Client, D, E, H, P, Q, S, Twins, run

INSERT = "insert into vendor (display_name, phone) values ($1, $2)"
THREE = "insert into vendor (display_name) values ('N1'), ('N2'), ('N3') returning display_name"
BY_ID = "update vendor set phone = $1 where id = $2"
RETURNING = BY_ID + " returning id, phone, amount"
BROKEN = "insert into plain values (1, 'again')"  # 23505
INT4, TEXT, NUMERIC = 23, 25, 1700

SCRIPTS: dict[str, tuple[list[bytes], int | None]] = {
    # Describe and formats
    "insert": ([run(INSERT, "Dell", "5") + S], 1),
    "returning": ([run(RETURNING, "9", "1") + S], 1),
    "null parameter": ([run(BY_ID, None, "1") + S], 1),
    "describe statement": ([P(RETURNING) + D("", "S") + B("9", "1") + E() + S], 1),
    "describe only": ([P(RETURNING, "w") + D("w", "S") + S, P(BY_ID, "x") + D("x", "S") + S], 0),
    "described, then run": (
        [P(RETURNING, "w") + D("w", "S") + S, B("9", "1", name="w") + D() + E() + S], 1,
    ),
    "binary results": ([run(RETURNING, "9", "1", results=[1]) + S], 1),
    "results one by one": ([run(RETURNING, "9", "1", results=[1, 0, 1]) + S], 1),
    "wrong count of results": ([run(RETURNING, "9", "1", results=[1, 0]) + S], 0),
    "wrong count of results, none returned": ([run(BY_ID, "9", "1", results=[1, 0]) + S], 1),
    "binary parameters": ([run(BY_ID, b"9", b"1", formats=[1]) + S], 1),
    "formats one by one": ([run(BY_ID, b"9", b"1", formats=[1, 0]) + S], 1),
    "typed by the client": (
        [P("update vendor set amount = $1 where id = $2 returning amount", "", [INT4, TEXT])
         + B(b"\0\0\0\x07", b"1", formats=[1]) + D() + E() + S], 1,
    ),
    "typed in part": (
        [P("update vendor set amount = $1 + 1 where id = $2 returning amount", "", [INT4])
         + B(b"\0\0\0\x07", b"1", formats=[1]) + D() + E() + S], 1,
    ),
    "bad binary": ([run("update vendor set amount = $1", b"x", formats=[1]) + S], 0),
    "bad text": ([run("update vendor set amount = $1", "x") + S], 0),
    "too few parameters": ([run(BY_ID, "9") + S], 0),
    "parameter of two types": ([run("update vendor set phone = $1 where balance = $1", "1") + S], 0),
    "syntax error": ([run("update vendor sat phone = 1") + S], 0),
    "unknown column": ([run("update vendor set nothing = $1", "1") + S], 0),
    "several statements": ([run("update vendor set phone = '1'; select 1") + S], 0),
    "duplicate": ([run(INSERT, "Acme", "5") + S], 0),
    "no execute": ([P(BY_ID) + B("9", "1") + D() + S], 0),
    "empty": ([run("") + S + S + S], 0),
    "parameter in returning": (
        [run("update vendor set phone = $1 where id = $2 returning phone || $3, $4::int", "9", "1",
             "!", "4") + S], 1,
    ),
    "upsert": (
        [run(INSERT + " on conflict (display_name) do update set phone = excluded.phone"
             " returning id, phone", "Acme", "4") + S], 1,
    ),
    "local fed by mirrored": (
        [run("with w as (insert into vendor (display_name) values ($1) returning id, display_name)"
             " insert into memo (body, vendor_id) select display_name || $2, id from w"
             " returning body", "Dell", "!") + S], 1,
    ),
    # portals and row limits
    "row limits": ([P(THREE) + B() + E("", 1) + E("", 1) + E() + E() + S], 1),
    "limit of all": ([P(THREE) + B() + E("", 3) + E("", 3) + S], 1),
    "limit beyond": ([P(THREE) + B() + D() + E("", 5) + S], 1),
    "second execute": ([P(BY_ID) + B("9", "1") + E() + E() + S], 1),
    "second execute of a named portal": (
        [P(BY_ID) + B("9", "1", portal="c") + E("c") + E("c") + S], 1,
    ),
    "limit without returning": ([P(BY_ID) + B("9", "1") + E("", 1) + S], 1),
    "portal gone after sync": ([P(THREE) + B(portal="c") + E("c", 1) + S, E("c") + S], 1),
    "portal lives in a block": (
        [Q("begin"), P(THREE) + B(portal="c") + E("c", 1) + S, E("c", 1) + S, E("c") + S,
         Q("commit")], 1,
    ),
    "portal closed": (
        [Q("begin"), P(THREE) + B(portal="c") + E("c", 1) + C("c", "P") + E("c") + S,
         Q("rollback")], 1,
    ),
    "portal gone with its savepoint": (
        [Q("begin"), Q("savepoint s"), P(THREE) + B(portal="c") + E("c", 1) + S,
         Q("rollback to s"), E("c") + S, Q("commit")], 1,
    ),
    "portal name taken": ([P(BY_ID) + B("9", "1", portal="c") + B("8", "1", portal="c") + S], 0),
    "describe after execute": ([P(THREE) + B() + E("", 1) + D() + E() + S], 1),
    # prepared statements
    "prepared": ([P(BY_ID, "w") + S, B("9", "1", name="w") + E() + S,
                  B("8", "2", name="w") + E() + S], 2),
    "name taken": ([P(BY_ID, "w") + S, P("select 1", "w") + S, B("9", "1", name="w") + E() + S], 1),
    "prepared twice": ([P(BY_ID, "w") + S, C("w") + P("select 1", "w") + S,
                        B(name="w") + E() + S], 0),
    "read becomes write": ([P("select 1", "w") + S, C("w") + P(BY_ID, "w") + S,
                            B("9", "1", name="w") + E() + S], 1),
    "unnamed parsed again after bind": ([P(BY_ID) + B("9", "1") + P("select 1") + E() + S], 1),
    "unnamed read parsed over": ([P("select 1") + B() + P(BY_ID) + E() + S], 0),
    "statement closed after bind": ([P(BY_ID, "w") + B("9", "1", name="w") + C("w") + E() + S], 1),
    "failed parse drops unnamed": ([P(BY_ID) + S, P("selec") + S, B("9", "1") + E() + S], 0),
    "failed named parse keeps": ([P(BY_ID, "w") + S, P("selec", "w") + S,
                                  B("9", "1", name="w") + E() + S], 1),
    "unnamed survives sync": ([P(BY_ID) + S, B("9", "1") + E() + S, B("8", "1") + E() + S], 2),
    "query drops unnamed": ([P(BY_ID) + S, Q("select 1"), B("9", "1") + E() + S], 0),
    "written query drops unnamed": (
        [P(BY_ID) + S, Q("update vendor set phone = '3' where id = '2'"), B("9", "1") + E() + S], 1,
    ),
    "own names stay free": (
        [run(BY_ID, "9", "1") + S, Q("select name from pg_prepared_statements"),
         Q("select name from pg_cursors where name <> ''")], 1,
    ),
    "own names stay free after an error": (
        [run(INSERT, "Acme", "9") + S, Q("select name from pg_prepared_statements")], 0,
    ),
    "own names stay free in a failed block": (
        [Q("begin"), run(INSERT, "Acme", "9") + S, Q("rollback"),
         Q("select name from pg_prepared_statements")], 0,
    ),
    "own names stay free after a query's error": (
        [Q("begin"), Q("insert into vendor (display_name) values ('Acme')"), Q("rollback"),
         Q("select name from pg_prepared_statements")], 0,
    ),
    "own names stay free when refused by the commit": (
        [Q("insert into vendor (display_name, late) values ('x', '1'), ('y', '1')"),
         Q("select name from pg_prepared_statements")], None,
    ),
    "deallocate": ([P(BY_ID, "w") + S, Q("deallocate w"), B("9", "1", name="w") + E() + S], 0),
    "deallocate all": ([P(BY_ID, "w") + P(BY_ID) + S, Q("deallocate all"),
                        B("9", "1", name="w") + E() + S], 0),
    "deallocate all in a segment": (
        [P(BY_ID, "w") + run("deallocate all") + S, B("9", "1", name="w") + E() + S], 0,
    ),
    "discard all": ([P(BY_ID, "w") + S, Q("discard all"), B("9", "1", name="w") + E() + S], 0),
    "statement stays after rollback": (
        [Q("begin"), P(BY_ID, "w") + S, Q("rollback"), B("9", "1", name="w") + E() + S], 1,
    ),
    # SQL PREPARE and EXECUTE
    "sql prepared": ([Q("prepare w as " + BY_ID), Q("execute w ('9', '1')"),
                      Q("execute W('8', '2')")], 2),
    "sql prepared returning": ([Q("prepare w as " + RETURNING), Q("execute w ('9', '1')")], 1),
    "sql prepared, bound": ([Q("prepare w as " + BY_ID), B("9", "1", name="w") + D() + E() + S], 1),
    "sql prepared returning, bound": (
        [Q("prepare w as " + RETURNING), B("9", "1", name="w") + D() + E() + S], 1,
    ),
    "sql prepared with types": (
        [Q("prepare w (int, text) as update vendor set amount = $1 where id = $2"),
         Q("execute w (7, '1')"), B(b"\0\0\0\x08", b"1", name="w", formats=[1]) + E() + S], 2,
    ),
    "protocol prepared, executed by sql": ([P(BY_ID, "w") + S, Q("execute w ('9', '1')")], 1),
    "execute in a segment": (
        [Q("prepare w as " + BY_ID), run("execute w ('9', '1')") + S], 1,
    ),
    "prepare in a segment": (
        [run("prepare w as " + BY_ID) + run("execute w ('9', '1')") + S], 1,
    ),
    "execute of what is not there": ([Q("execute w ('9', '1')")], 0),
    "execute with an error": ([Q("prepare w as " + INSERT), Q("execute w ('Acme', '1')"),
                               Q("execute w ('Dell')")], 0),
    "prepare with a syntax error": ([Q("prepare w as update vendor sat x")], 0),
    "prepare and execute in a string": (
        [Q("prepare w as " + BY_ID + "; execute w ('9', '1'); deallocate w")], 1,
    ),
    "sql prepared is a read now": (
        [Q("prepare w as " + BY_ID), Q("deallocate w"), Q("prepare w as select 1"),
         Q("execute w")], 0,
    ),
    # segments
    "reads beside": ([run("select 1") + run(BY_ID, "9", "1") + run("select phone from vendor"
                      " where id = '1'") + S], 1),
    "several writes": ([run(BY_ID, "9", "1") + run(BY_ID, "8", "2") + run(INSERT, "D", "7") + S], 3),
    "error after a write": ([run(BY_ID, "9", "1") + run(BROKEN) + run(BY_ID, "8", "2") + S], 1),
    "error before a write": ([run(BROKEN) + run(BY_ID, "8", "2") + S], 0),
    "the write errs": ([run("insert into plain values (7, 'x')") + run(INSERT, "Acme", "1")
                        + run("select 1") + S], 0),
    "second write errs": ([run(BY_ID, "9", "1") + run(INSERT, "Acme", "1") + S,
                           Q("select phone from vendor where id = '1'")], 1),
    "local writes join": ([run("insert into plain values (7, 'x')") + run(BY_ID, "9", "1") + S], 1),
    "deferred constraint at sync": (
        [run(BY_ID, "9", "1") + run("insert into later values (1)") + S,
         Q("select phone from vendor where id = '1'")], 1,
    ),
    "begin behind a write": (
        [run(BY_ID, "9", "1") + run("begin") + run(BY_ID, "8", "2") + S, Q("rollback")], 2,
    ),
    "begin before a write": ([run("begin") + run(BY_ID, "8", "2") + run("commit") + S], 1),
    "begin twice": ([run("begin") + run("begin") + run(BY_ID, "8", "2") + run("commit") + S], 1),
    "write, begin, write, commit, write": (
        [run(BY_ID, "7", "1") + run("begin") + run(BY_ID, "8", "2") + run("commit")
         + run(BY_ID, "9", "3") + S], 3,
    ),
    "commit behind a write": ([run(BY_ID, "9", "1") + run("commit") + run(BY_ID, "8", "2") + S], 2),
    "rollback behind a write": (
        [run(BY_ID, "9", "1") + run("rollback") + run(BY_ID, "8", "2") + S], 2,
    ),
    "rollback and chain behind a write": ([run(BY_ID, "9", "1") + run("rollback and chain") + S], 1),
    "commit and chain behind a write": ([run(BY_ID, "9", "1") + run("commit and chain") + S], 1),
    "savepoint behind a write": ([run(BY_ID, "9", "1") + run("savepoint s") + S], 1),
    "release behind a write": ([run(BY_ID, "9", "1") + run("release s") + S], 1),
    "rollback to behind a write": ([run(BY_ID, "9", "1") + run("rollback to s") + S], 1),
    "select, begin, write": ([run("select 1") + run("begin") + run(BY_ID, "9", "1") + S,
                              Q("commit")], 1),
    "unknown before us": (
        [run("begin read write") + H + run(BY_ID, "9", "1") + S, Q("rollback")], 1,
    ),
    "block in one segment": (
        [run("begin") + run(BY_ID, "9", "1") + run("savepoint s") + run(BY_ID, "8", "1")
         + run("rollback to s") + run("commit") + S], 2,
    ),
    "commands prepared by name": (
        [P("begin", "b") + P("commit", "c") + P(BY_ID, "w") + S,
         B(name="b") + E() + B("9", "1", name="w") + E() + B(name="c") + E() + S,
         B("7", "1", name="w") + E() + B(name="b") + E() + S, Q("rollback")], 2,
    ),
    "sent ahead": ([run(BY_ID, "9", "1") + S + run(BY_ID, "8", "2") + S + run("select 1") + S], 2),
    "sent ahead behind an error": (
        [run(BROKEN) + S + run(BY_ID, "8", "2") + S + run(INSERT, "Acme", "1") + S
         + run(BY_ID, "7", "1") + S], 2,
    ),
    "queries sent ahead": (
        [Q("select 1/0") + Q("update vendor set phone = '9'") + Q("select phone from vendor"
         " order by id") + run(BY_ID, "8", "2") + S], 2,
    ),
    "error ahead in a block": (
        [Q("begin") + run(BROKEN) + S + run(BY_ID, "8", "2") + S + Q("commit")], 0,
    ),
    "flush": ([run(BY_ID, "9", "1") + H + run("select 1") + H + S], 1),
    "skipped to sync": ([run("selec") + run(BY_ID, "9", "1") + H + C("x") + S], 0),
    "syncs": ([S + S + run(BY_ID, "9", "1") + S + S], 1),
    "in a failed block": ([Q("begin"), Q(BROKEN), run(BY_ID, "9", "1") + S,
                           Q("update vendor set phone = '1'"), Q("commit")], 0),
    "prepared, in a failed block": (
        [P(BY_ID, "w") + S, Q("begin"), Q(BROKEN), B("9", "1", name="w") + E() + S, Q("commit")], 0,
    ),
    "read only block": ([Q("begin read only"), run(BY_ID, "9", "1") + S, Q("rollback")], 0),
    "read only by set in the segment": (
        [run("begin") + run("set transaction read only") + run(BY_ID, "9", "1") + S,
         Q("rollback")], 0,
    ),
    "read only query": ([Q("set default_transaction_read_only = on"),
                         Q("update vendor set phone = '9' where false")], 0),
    "isolation may be set": (
        [Q("begin") + run("set transaction isolation level serializable") + run(BY_ID, "9", "1")
         + S, Q("show transaction_isolation"), Q("commit")], 1,
    ),
    "set in the segment": (
        [run("set application_name = 'me'") + run(BY_ID, "9", "1") + run("select 1") + S], 1,
    ),
    "notify": ([run("listen x") + run(BY_ID, "9", "1") + run("notify x, 'y'") + S], 1),
    "notices": ([run("update vendor set phone = shout($1) where id = $2", "a", "1") + S], 1),
    "quiet notices": ([Q("set client_min_messages = error"), run("select 1") + run("begin")
                       + run(BY_ID, "9", "1") + S, Q("commit")], 1),
    "cursor": (
        [Q("begin"), Q("declare c cursor for select * from vendor order by id for update"),
         Q("fetch c"), run("update vendor set phone = $1 where current of c", "9") + S,
         Q("fetch c"), Q("commit")], 1,
    ),
    # names that mean something else than they seem to
    "execute of what was never parsed": (
        [E("none") + P(INSERT + " returning id", "w") + S, Q("execute w ('Dell', '1')"),
         run("execute w ('Dell', '1')") + S, Q("select 1; execute w ('Dell', '1')")], 0,
    ),
    "execute of a prepared prepare": (
        [P("prepare w as " + RETURNING, "w") + S, Q("execute w"), run("execute w") + S], 0,
    ),
    "executed in another encoding": (
        [P("update vendor set phone = '\u20ac' where id = '1'", "w") + S,
         Q("set client_encoding = latin1"), Q("set client_encoding = utf8"), Q("execute w")], 1,
    ),
    "portal of a failed write, sent ahead": (
        [Q("begin read only"), P(BY_ID) + B("9", "1", portal="q") + E("q") + S + E("q") + S,
         Q("rollback")], 0,
    ),
    "name taken, sent ahead behind an error": (
        [P("begin", "a") + B(name="a") + E() + S, E("none") + S + P("commit", "a") + S,
         Q("rollback")], 0,
    ),
    "back to a savepoint, then a write": (
        [Q("begin"), Q("savepoint s"), run(BROKEN) + S, run("rollback to s") + run(BY_ID, "9", "1")
         + S, Q("savepoint s"), run(BROKEN) + S, P("rollback to s", "r") + P(BY_ID, "w") + S,
         B(name="r") + E() + B("8", "1", name="w") + E() + S, Q("commit")], 1,
    ),
    "name of a failed parse": (
        [P(BY_ID.replace("phone", "nothing"), "a") + S,
         P("begin isolation level serializable", "a") + B(name="a") + E() + S,
         Q("show transaction_isolation"), run(BY_ID, "9", "1") + S, Q("commit")], 1,
    ),
    "name of a portal that ended, sent ahead": (
        [P(BY_ID) + B("9", "1", portal="p") + S + P("begin isolation level serializable")
         + B(portal="p") + E("p") + S, Q("rollback")], 0,
    ),
    "execute with too few arguments": (
        [P(RETURNING, "a") + S, Q("execute a"), run("execute a ('9')") + S, Q("select 1")], 0,
    ),
    "late option of a begin behind a write": (
        [run(BY_ID, "9", "1") + run("begin isolation level serializable") + run("select 1") + S,
         Q("select phone from vendor order by id")], 1,
    ),
    "lock table behind a write": ([run(BY_ID, "9", "1") + run("lock table plain") + S], 1),
}  # fmt: skip


# Behind a statement of the same segment LOCK TABLE was refused by older servers; ours has a block.
NEWER = {"lock table behind a write": since(18)}


@pytest.mark.parametrize("name", [pytest.param(n, marks=NEWER.get(n, ())) for n in SCRIPTS])
def test_a_script_is_answered_as_by_postgres(twins: Twins, name: str) -> None:
    flights, calls = SCRIPTS[name]
    twins.compare(*flights, calls=calls)


def test_a_write_sent_after_the_segment_has_failed_is_dropped(twins: Twins) -> None:
    """The error was flushed and relayed unread; upstream skips to the Sync, and so do we."""
    twins.reset()
    answers = []
    for conninfo in (twins.native, twins.proxied):
        with Client(conninfo) as client:
            client.send(run("select 1 / $1::int", "0") + H)
            seen = client.until_error()
            assert seen[-1][0] == "E"
            seen += client.ask(run(BY_ID, "9", "1") + S)
            seen += client.ask(run(BY_ID, "8", "1") + S)
            answers.append(seen)
    native, proxied = answers
    assert proxied == native
    assert len(twins.writer.calls) == 1


def test_a_write_sent_right_behind_the_sync_of_a_failed_segment_is_carried_out(
    twins: Twins,
) -> None:
    """The error has been seen, the Sync's ReadyForQuery not yet: what follows is not skipped."""
    twins.reset()
    answers = []
    for conninfo in (twins.native, twins.proxied):
        with Client(conninfo) as client:
            seen = []
            for write in (run(BY_ID, "9", "1") + S, Q("update vendor set phone = '8'")):
                client.send(P("selec"))
                seen += client.until_error()
                seen += client.ask(S + write)
            answers.append(seen)
    native, proxied = answers
    assert proxied == native
    assert len(twins.writer.calls) == 2


def test_an_execute_that_runs_an_execute_of_a_write_is_refused(twins: Twins) -> None:
    with Client(twins.proxied) as client:
        client.ask(P(BY_ID, "w") + P("execute w ('9', '1')", "x") + S)
        for flight in (Q("execute x"), run("execute x") + S):
            assert [m[1]["C"] for m in client.ask(flight) if m[0] == "E"] == ["55000"]
        assert client.ask(B("9", "1", name="w") + E() + S)[-2:] == [
            ("C", b"UPDATE 1\0"),
            ("Z", b"I"),
        ]


def test_a_portal_bound_ahead_outlives_the_segment_before_it(twins: Twins) -> None:
    twins.reset()
    answers = []
    for conninfo in (twins.native, twins.proxied):
        with Client(conninfo) as client:
            client.send(run(BY_ID, "9", "1") + S + P(BY_ID) + B("8", "1", portal="c"))
            seen = client.until_ready()
            answers.append(seen + client.ask(E("c") + S))
    native, proxied = answers
    assert proxied == native
    assert len(twins.writer.calls) == 2


def test_reads_beside_a_prepared_write_are_relayed_as_they_come(twins: Twins) -> None:
    """The client is listened to, upstream is not: rows of any size, errors, and then a write."""
    flights = (
        P(BY_ID, "w") + S,
        Q("select repeat('x', 100000) from generate_series(1, 50)"),
        run("select 1 / $1::int", "0") + S,
        B("9", "1", name="w") + E() + S,
        Q("begin") + run("select 2") + S,
        run("select 1 / $1::int", "0") + B("7", "1", name="w") + E() + S,
        Q("rollback"),
        Q("set application_name = 'z'"),
        B("6", "1", name="w") + E() + S,
    )
    twins.compare(*flights, calls=2)
