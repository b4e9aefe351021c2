"""sqlsync verify: the mirror damaged in many ways is found out, to the field, and repaired."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from backfill.connections import find_connection
from backfill.verdicts import ObjectReport
from backfill.verify import verify
from sqlsync.cli import run
from sqlsync.database import connect_engine

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/sync_world.py
from sync_world import KEY, SCHEMA, World, hands, working, world


async def only(w: World, *tables: str) -> None:
    """The rest is switched off: reading it would cost time and show nothing."""
    await w.session.execute(
        f"update {SCHEMA}._sync_object set enabled = false"
        " where enabled and not table_name = any(%s)".encode(),
        [list(tables)],
    )


async def compared(w: World, *tables: str, repair: bool = False) -> dict[str, ObjectReport]:
    async with hands(w.url, w.api_url, KEY) as engine, await connect_engine(w.url) as session:
        connection = await find_connection(session, w.connection_id)
        assert connection is not None
        provider = await engine.providers.for_connection(connection.id)
        reports = await verify(session, connection, provider, tables=tables or None, repair=repair)
    return {report.table: report for report in reports}


def told(reports: dict[str, ObjectReport]) -> dict[tuple[str, str], tuple[str, tuple[str, ...]]]:
    return {
        (fault.table, fault.id): (fault.kind, fault.fields)
        for report in reports.values()
        for fault in report.faults
    }


async def damage(w: World, *statements: str) -> None:
    """As a superuser, past every guard."""
    tables = ("customer", "invoice", "invoice_line", "item", "payment", "vendor")
    guard = '"00_sqlsync_guard"'

    async def alter(table: str, what: str) -> None:
        await w.session.execute(f"alter table {SCHEMA}.{table} {what}".encode())

    await w.session.execute("reset role")
    try:
        async with w.session.transaction():
            for table in tables:
                await alter(table, "disable trigger all")
            for statement in statements:
                done = await w.session.execute(statement.replace("@", f"{SCHEMA}.").encode())
                assert done.rowcount > 0, statement
            for table in tables:
                await alter(table, "enable trigger all")
                await alter(table, f"enable always trigger {guard}")
    finally:
        await w.session.execute("set role sqlsync_engine")


@pytest.mark.timeout(240)
async def test_every_kind_of_damage_is_named_and_repaired(
    quickbooks_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with world(quickbooks_url, customers=8, invoices=14) as w:
        await only(w, "customer", "invoice", "item", "vendor")
        async with working(w):
            await w.live(seconds=90)
        assert told(await compared(w)) == {}

        customers = sorted(await w.books_of("customer"), key=int)
        invoices = sorted(await w.books_of("invoice"), key=int)
        a, b, c, d, e, f = invoices[:6]
        await damage(
            w,
            f"delete from @invoice where id = '{a}'",  # its lines stay behind
            f"update @invoice set total_amt = total_amt + 1, doc_number = 'x' where id = '{b}'",
            f"""update @invoice set raw = raw || '{{"PrivateNote": "forged"}}' where id = '{c}'""",
            f"update @invoice set sync_token = '999', balance = null where id = '{d}'",
            f"update @invoice_line set amount = -1 where invoice_id = '{e}' and position = 1",
            f"delete from @invoice_line where invoice_id = '{f}' and position = 1",
            f"insert into @invoice_line (invoice_id, id, position) values ('{f}', '77', 9)",
            "insert into @invoice_line (invoice_id, id, position) values ('nobody', '1', 1)",
            "insert into @customer (id, display_name) values ('4711', 'forged')",
            f"update @customer set updated_at = updated_at + interval '1 year', notes = 'later'"
            f" where id = '{customers[0]}'",
            "update @item set name = name || '!'",
            "delete from @vendor",
        )
        items = await w.value(f"select count(*) from {SCHEMA}.item")
        vendors = len(await w.books_of("vendor"))
        line = await w.value(
            f"select raw -> 'Line' -> 0 ->> 'Id' from {SCHEMA}.invoice where id = '{f}'"
        )
        first = await w.value(
            f"select raw -> 'Line' -> 0 ->> 'Id' from {SCHEMA}.invoice where id = '{e}'"
        )
        reports = await compared(w)
        found = told(reports)
        assert found.pop(("invoice", a)) == ("missing", ())
        assert found.pop(("invoice", b)) == ("different", ("doc_number", "total_amt"))
        assert found.pop(("invoice", c)) == ("different", ("raw",))
        kind, fields = found.pop(("invoice", d))
        assert (kind, set(fields)) == ("different", {"balance", "sync_token"})
        assert found.pop(("invoice", e)) == ("different", (f"invoice_line[{first}].amount",))
        kind, fields = found.pop(("invoice", f))
        assert (kind, set(fields)) == (
            "different",
            {f"invoice_line[{line}]", "invoice_line[77]"},
        )
        assert found.pop(("invoice_line", "nobody")) == ("extra", ())
        # The lines of the invoice that is missing have nobody either.
        assert found.pop(("invoice_line", a)) == ("extra", ())
        found.pop(("invoice_linked_txn", a), None)
        assert found.pop(("customer", "4711")) == ("extra", ())
        kind, fields = found.pop(("customer", customers[0]))
        assert (kind, set(fields)) == ("different", {"notes", "updated_at"})
        assert (reports["item"].different, reports["vendor"].missing) == (items, vendors)
        assert {table for table, _ in found} == {"item", "vendor"}
        assert await w.rows(f"select * from {SCHEMA}._sync_change") == []  # nothing was changed

        monkeypatch.chdir(tmp_path)
        for key, value in {
            "SQLSYNC_DATABASE_URL": w.url,
            "SQLSYNC_STATE_DIR": str(tmp_path),
            "SQLSYNC_SECRET_KEY": KEY,
            "SQLSYNC_PROVIDERS__QUICKBOOKS__API_URL": w.api_url,
        }.items():
            monkeypatch.setenv(key, value)
        capsys.readouterr()
        assert await asyncio.to_thread(run, ["verify", "books", "--object", "item"]) == 1
        out = capsys.readouterr().out
        assert "differences were found" in out
        assert f"item: {items - 20} more" in out
        assert await asyncio.to_thread(run, ["verify", "books", "--repair", "--json"]) == 1
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert document["equal"] is False
        for report in document["objects"]:
            repaired = report["missing"] + report["extra"] + report["different"]
            assert report["repaired"] == repaired, report
        assert await asyncio.to_thread(run, ["verify", "books", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["equal"] is True
        assert await asyncio.to_thread(run, ["verify", "books", "--object", "nope"]) == 2
        assert await asyncio.to_thread(run, ["verify", "nobody"]) == 2
        await w.assert_same(["customer", "invoice", "item", "vendor"])
        logged = await w.rows(
            f"select operation, noticed_by, count(*) from {SCHEMA}._sync_change"
            " where table_name in ('invoice', 'customer') group by 1, 2 order by 1"
        )
        assert logged == [("delete", "verify", 1), ("insert", "verify", 1), ("update", "verify", 6)]


async def test_changes_that_race_with_it_are_no_differences(quickbooks_url: str) -> None:
    """Books that change all the time, and a worker that follows: never a fault."""
    random = Random(7)
    async with world(quickbooks_url, customers=6, invoices=12) as w, working(w):
        await only(w, "customer", "invoice")
        await w.live(seconds=90)
        customers = sorted(await w.books_of("customer"), key=int)
        invoices = sorted(await w.books_of("invoice"), key=int)
        stop = asyncio.Event()

        async def keep_changing() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                await w.change("customer", "update", Id=random.choice(customers), Notes=f"{number}")
                if number % 4 == 0 and len(invoices) > 5:
                    await w.change("invoice", "delete", Id=invoices.pop())
                await w.change("customer", "create", DisplayName=f"new {number}")
                await asyncio.sleep(0.1)

        changing = asyncio.create_task(keep_changing())
        try:
            for _ in range(2):
                assert told(await compared(w, "customer", "invoice")) == {}
        finally:
            stop.set()
            await changing


async def test_what_was_not_polled_yet_is_behind_and_what_is_off_is_not_compared(
    quickbooks_url: str,
) -> None:
    async with world(quickbooks_url, customers=6, invoices=6) as w:
        await only(w, "customer", "invoice", "item", "term", "vendor")
        async with working(w):
            await w.live(seconds=90)
        customer = min(await w.books_of("customer"), key=int)
        invoice = min(await w.books_of("invoice"), key=int)
        await w.change("customer", "update", Id=customer, Notes="not polled yet")
        await w.change("customer", "create", DisplayName="not polled yet")
        await w.change("invoice", "delete", Id=invoice)
        await w.session.execute("select sqlsync.disable_object('books', 'vendor')")
        await w.session.execute("select sqlsync.disable_columns('books', 'customer', 'notes')")
        await w.session.execute("select sqlsync.disable_object('books', 'invoice_line')")
        reports = await compared(w)
        assert told(reports) == {}
        assert reports["customer"].behind >= 2  # and whose invoice was deleted
        assert reports["invoice"].behind == 1
        assert "switched off" in (reports["vendor"].skipped or "")
        await w.session.execute(f"delete from {SCHEMA}.item".encode())
        assert (await compared(w, "item", repair=True))["item"].repaired > 0
        # A mirror of which most is not at the provider: named, and left alone.
        await w.session.execute(
            f"insert into {SCHEMA}.term (id) select 'x' || n from generate_series(1, 40) n".encode()
        )
        report = (await compared(w, "term", repair=True))["term"]
        assert (report.extra, report.repaired) == (40, 0)
        assert "Nothing was removed" in (report.skipped or "")
