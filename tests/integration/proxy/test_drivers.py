# ruff: noqa: ISC004
"""psycopg, asyncpg and psql: what they give through the proxy is what they give without."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import asyncpg
import psycopg
import pytest
from integration.proxy.conftest import since
from integration.proxy.twins import B, Client, E, P, Q, S, Twins, message
from psycopg.conninfo import conninfo_to_dict

from sqlsync.embedded_binaries import find_binaries

INSERT = "insert into vendor (display_name, amount) values (%s, %s)"
UPDATE = "update vendor set phone = %s, amount = %s where id = %s"


def normal(value: Any) -> str:
    return re.sub(r"new:[0-9a-f-]{36}|\b9\d\d\b", "<id>", repr(value))


def tried(action: Callable[[], Any]) -> Any:
    """What it gives, or the error as a client sees it."""
    try:
        return action()
    except psycopg.Error as error:
        return type(error).__name__, error.sqlstate, error.diag.message_primary
    except asyncpg.PostgresError as error:
        return type(error).__name__, error.sqlstate, error.message


def same(twins: Twins, session: Callable[[str], Any]) -> Any:
    results = []
    twins.reset()
    for conninfo in (twins.native, twins.proxied):
        results.append(normal(session(conninfo)))
    assert results[1] == results[0]
    twins.assert_same_contents()
    return results[0]


@pytest.mark.parametrize("cursor", [psycopg.Cursor, psycopg.ClientCursor, psycopg.RawCursor])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("prepare", [None, 0])
@pytest.mark.parametrize("autocommit", [False, True])
def test_psycopg(
    twins: Twins, cursor: Any, binary: bool, prepare: int | None, autocommit: bool
) -> None:
    if cursor is psycopg.ClientCursor and binary:
        pytest.skip("its protocol has no binary results")

    def text(sql: str) -> str:
        if cursor is not psycopg.RawCursor:
            return sql
        numbers = iter(range(1, 9))
        return re.sub("%s", lambda _: f"${next(numbers)}", sql)

    def session(conninfo: str) -> Any:
        found: list[Any] = []
        with psycopg.connect(
            conninfo, cursor_factory=cursor, autocommit=autocommit, prepare_threshold=prepare
        ) as connection:
            cur = (
                connection.cursor(binary=binary)
                if cursor is not psycopg.ClientCursor
                else connection.cursor()
            )
            cur.execute(text(UPDATE), ["9", Decimal("7.5"), "1"])
            found.append((cur.rowcount, cur.statusmessage))
            cur.execute(text(INSERT + " returning id, display_name, amount, active"), ["Dell", 3])
            found.append((cur.fetchall(), [c.type_code for c in cur.description or ()]))
            cur.executemany(text(INSERT), [("A", 1), ("B", 2), ("C", 3)])
            found.append(cur.rowcount)
            cur.executemany(
                text(INSERT + " returning display_name"), [("D", 1), ("E", 2)], returning=True
            )
            found.append([result.fetchall() for result in cur.results()])
            connection.commit()
            found.append(tried(lambda: cur.execute(text(INSERT), ["Acme", 1]).rowcount))
            connection.rollback()
            with connection.transaction():
                found.append(cur.execute(text(UPDATE), ["8", 1, "2"]).rowcount)
                try:
                    with connection.transaction():
                        cur.execute(text(UPDATE), ["7", 1, "2"])
                        raise psycopg.Rollback
                except psycopg.Rollback:
                    pass
            found.append(cur.execute("select phone from vendor order by display_name").fetchall())
            found.append(cur.execute("delete from vendor where id = '3'").rowcount)
            connection.commit()
        return found

    same(twins, session)


def test_psycopg_pipeline(twins: Twins) -> None:
    def session(conninfo: str) -> Any:
        found: list[Any] = []
        with psycopg.connect(conninfo, autocommit=True) as connection:
            with connection.pipeline():
                first = connection.execute(UPDATE + " returning phone", ["9", 1, "1"])
                second = connection.execute("select phone from vendor where id = '1'")
                found += [first.fetchall(), second.fetchall()]
                third = connection.execute(INSERT, ["Dell", 1])
            found.append(third.rowcount)

            def failing() -> Any:
                with connection.pipeline():
                    connection.execute(UPDATE, ["8", 1, "2"])
                    connection.execute(INSERT, ["Acme", 1])
                    connection.execute(UPDATE, ["8", 1, "3"])

            found.append(tried(failing))
            found.append(connection.execute("select phone from vendor order by 1").fetchall())
            with connection.pipeline(), connection.transaction():
                connection.execute(UPDATE, ["5", 1, "2"])
            found.append(connection.execute("select phone from vendor order by 1").fetchall())
        return found

    same(twins, session)


def test_psycopg_cursors_and_copy(twins: Twins) -> None:
    def session(conninfo: str) -> Any:
        found: list[Any] = []
        with psycopg.connect(conninfo) as connection:
            connection.execute(UPDATE, ["9", 1, "1"])
            with connection.cursor("named") as cur:
                cur.execute("select id, phone from vendor order by id")
                found += [cur.fetchmany(2), cur.fetchall()]
            with connection.cursor() as cur:
                with cur.copy("copy plain from stdin") as copy:
                    copy.write_row((7, "seven"))
                with cur.copy("copy (select phone from vendor order by id) to stdout") as copy:
                    found.append(list(copy.rows()))
                cur.execute(UPDATE, ["8", 1, "2"])
        return found

    same(twins, session)


async def _asyncpg(conninfo: str) -> Any:
    parts: Any = conninfo_to_dict(conninfo)
    return await asyncpg.connect(
        host=parts["host"], port=parts["port"], user=parts["user"],
        password=parts["password"], database=parts["dbname"],
    )  # fmt: skip


def test_asyncpg(twins: Twins) -> None:
    async def talk(conninfo: str) -> Any:
        connection = await _asyncpg(conninfo)
        found: list[Any] = []

        async def attempt(running: Any) -> Any:
            try:
                return await running
            except asyncpg.PostgresError as error:
                return type(error).__name__, error.sqlstate, error.message

        try:
            found.append(await connection.execute("update vendor set phone = 'q' where id = '1'"))
            found.append(
                await connection.fetch(
                    "insert into vendor (display_name, amount, tags, ratio)"
                    " values ($1, $2, $3, $4) returning id, amount, tags, ratio, place, mood",
                    "Dell", Decimal("2.50"), ["x", "y"], 0.25,
                )
            )  # fmt: skip
            statement = await connection.prepare(
                "update vendor set amount = $1 where id = $2 returning amount"
            )
            found += [await statement.fetchval(Decimal(3), "1"), statement.get_statusmsg()]
            found += [await statement.fetchval(Decimal(4), "2"), statement.get_attributes()]
            await connection.executemany(
                "insert into vendor (display_name, amount) values ($1, $2)",
                [("A", Decimal(1)), ("B", Decimal(2))],
            )
            found.append(
                await attempt(
                    connection.executemany(
                        "insert into vendor (display_name) values ($1)", [("C",), ("Acme",)]
                    )
                )
            )
            async with connection.transaction():
                await connection.execute("update vendor set phone = $1 where id = $2", "t", "2")
                async for record in connection.cursor("select id from vendor order by id"):
                    found.append(record)
                try:
                    async with connection.transaction():
                        await connection.execute("delete from vendor where id = '2'")
                        raise LookupError
                except LookupError:
                    pass
            found.append(await connection.copy_records_to_table("plain", records=[(8, "e")]))
            found.append(await attempt(connection.fetch("update vendor set nothing = 1")))
            found.append(await connection.fetch("select phone from vendor order by display_name"))
        finally:
            await connection.close()
        return found

    same(twins, lambda conninfo: asyncio.run(talk(conninfo)))


COPY_REFUSED = ("0A000", 'COPY into the mirrored table "vendor" is not supported')


def test_copy_into_a_mirrored_table_is_refused_and_the_session_goes_on(twins: Twins) -> None:
    """Whichever way the driver sends it; no row arrives, and INSERT is named as the way."""
    twins.reset()
    before = twins.contents(twins.direct)
    data = message("d", b"Dell\n") + message("c", b"")
    for statement in (
        "copy vendor (display_name) from stdin",
        "COPY books.vendor (display_name) FROM STDIN WITH (FORMAT csv, HEADER)",
        "copy binary vendor from stdin",
        "copy nameless (display_name) from stdin",
    ):
        with Client(twins.proxied) as client:
            # sent ahead, as well as one after the other
            for flight in (Q(statement) + data, P(statement) + B() + E() + data + S):
                found = client.ask(flight)
                assert [m[1]["C"] for m in found if m[0] == "E"] == ["0A000"], statement
                assert found[-1] == ("Z", b"I")
                assert client.ask(Q("select 1"))[-2:] == [("C", b"SELECT 1\0"), ("Z", b"I")]
    with psycopg.connect(twins.proxied) as connection:
        connection.execute("savepoint s")
        with (
            pytest.raises(psycopg.errors.FeatureNotSupported) as refused,
            connection.cursor().copy("copy vendor (display_name) from stdin") as copy,
        ):
            copy.write_row(("Dell",))
        assert (refused.value.sqlstate, refused.value.diag.message_primary) == COPY_REFUSED
        assert "INSERT" in str(refused.value.diag.message_hint)
        connection.execute("rollback to s")
        assert connection.execute("select count(*) from vendor").fetchone() == (3,)
    asyncio.run(_copied_by_asyncpg(twins.proxied))
    assert twins.writer.calls == []
    assert twins.contents(twins.direct) == before


async def _copied_by_asyncpg(conninfo: str) -> None:
    connection = await _asyncpg(conninfo)
    try:
        with pytest.raises(asyncpg.FeatureNotSupportedError, match="COPY into the mirrored"):
            await connection.copy_records_to_table(
                "vendor", records=[("Dell",)], columns=["display_name"]
            )
        assert await connection.fetchval("select 1") == 1
    finally:
        await connection.close()


PSQL = [
    r"\d plain",
    "update vendor set phone = '9' where id = '1' returning display_name, phone;",
    "update vendor set phone = '8' where id = '1'\\; select phone from vendor where id = '1'\\; "
    "update vendor set phone = '7' where id = '2';",
    "update vendor set phone = $1 where id = $2 \\bind 'b' 2 \\g",
    "update vendor set phone = $1 where id = $2 \\parse w\n\\bind_named w 'n' 3 \\g",
    "\\startpipeline\nupdate vendor set phone = $1 where id = '1' \\bind 'p' \\sendpipeline\n"
    "select phone from vendor where id = '1' \\bind \\sendpipeline\n\\endpipeline",
    "\\set ON_ERROR_ROLLBACK on\nbegin;\nupdate vendor set phone = 'r' where id = '1';\n"
    "insert into vendor (display_name) values ('Acme');\n"
    "update vendor set nothing = 1;\nupdate vendor set phone = 's' where id = '2';\ncommit;",
    "insert into vendor (display_name) values ('Acme');\nselect phone from vendor order by id;",
    "update vendor set phone = 'é' || nothing;",
    "\\set FETCH_COUNT 1\nupdate vendor set phone = 'f' where active returning display_name;",
    "copy plain from stdin;\n9\tnine\n\\.\ntable plain;",
    "begin; update vendor set phone = 'x' where id = '1'; rollback; table memo;",
    "\\gdesc\nupdate vendor set phone = 'g' returning phone \\gdesc",
    pytest.param(
        "update vendor set phone = 'w' where id = '1' returning phone \\watch c=2 i=0.01",
        marks=since(16),
    ),
]


@pytest.mark.parametrize("script", PSQL)
def test_psql(twins: Twins, script: str) -> None:
    psql = find_binaries().directory / "psql"
    program = str(psql) if psql.exists() else shutil.which("psql")
    if program is None:
        pytest.skip("no psql here")

    def session(conninfo: str) -> Any:
        done = subprocess.run(
            [program, "-X", "-a", conninfo],
            input=script,
            capture_output=True,
            text=True,
            timeout=20,
        )
        times = re.compile(r"\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4}")
        return done.returncode, times.sub("<now>", done.stdout), done.stderr

    assert "not connected" not in same(twins, session)
