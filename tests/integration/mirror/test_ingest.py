from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from schema.loader import load_catalog
from schema.model import ObjectSpec
from sqlsync.database import EngineConnection, connect_engine
from sqlsync.mirror.ingest import IngestResult, ingest, remove
from sqlsync.mirror.install import install

INVOICE = load_catalog("quickbooks").by_table["invoice"]


def invoice(
    record_id: str, token: int = 0, *, at: int = 0, lines: int = 2, note: str = ""
) -> bytes:
    """at: seconds of LastUpdatedTime."""
    record = {
        "Id": record_id,
        "SyncToken": str(token),
        "MetaData": {
            "CreateTime": "2026-03-01T10:00:00-08:00",
            "LastUpdatedTime": f"2026-03-01T10:00:{at:02}-08:00",
        },
        "PrivateNote": note,
        "TotalAmt": 10.50,
        "Line": [{"Id": str(n + 1), "LineNum": n + 1, "Amount": 5.25} for n in range(lines)],
    }
    return json.dumps(record).encode()


@pytest.fixture
async def session(migrated_url: str) -> AsyncIterator[EngineConnection]:
    async with await connect_engine(migrated_url) as connection:
        await connection.execute(
            "insert into sqlsync.connection (name, provider, schema_name, company_id, state)"
            " values ('books', 'quickbooks', 'books', '1', 'live')"
        )
        await install(connection, load_catalog("quickbooks"), "books", 1, objects=["invoice"])
        yield connection


async def put(
    session: EngineConnection,
    *items: bytes,
    by: str = "poll",
    spec: ObjectSpec = INVOICE,
    fetched_at: datetime | None = None,
) -> IngestResult:
    async with session.transaction():
        return await ingest(session, "books", spec, items, noticed_by=by, fetched_at=fetched_at)


async def rows(session: EngineConnection, query: str) -> list[tuple[Any, ...]]:
    return await (await session.execute(query.encode())).fetchall()


async def test_the_newer_version_wins_in_whatever_order_they_come(
    session: EngineConnection,
) -> None:
    versions = [
        invoice("1", 9, at=1, note="old", lines=1),
        invoice("1", 10, at=1, note="newest", lines=3),  # 10 > 9 as numbers, not as text
        invoice("1", 9, at=5, note="touched", lines=2),
    ]
    for order in itertools.permutations(versions):
        await session.execute("delete from books.invoice")
        await session.execute("delete from books.invoice_line")
        for item in order:
            await put(session, item)
        assert await rows(session, "select sync_token, private_note from books.invoice") == [
            ("10", "newest")
        ]
        assert await rows(session, "select count(*) from books.invoice_line") == [(3,)]


async def test_an_unchanged_record_changes_nothing_and_leaves_no_trace(
    session: EngineConnection,
) -> None:
    assert (await put(session, invoice("1"))).inserted == ("1",)
    assert (await put(session, invoice("1"))).changed == 0
    assert (await put(session, invoice("1"), by="backfill")).changed == 0
    assert await rows(session, "select operation from books._sync_change") == [("insert",)]


async def test_of_two_answers_of_one_version_the_later_stands(session: EngineConnection) -> None:
    await put(session, invoice("1", note="before"))
    assert (await put(session, invoice("1", note="after"))).updated == ("1",)


async def test_first_load_and_guarded_load_give_the_same_rows(session: EngineConnection) -> None:
    items = [invoice(str(n), n % 3, lines=n % 4) for n in range(50)]
    query = (
        "select (select array_agg(i order by i.id) from books.invoice i)::text,"
        " (select array_agg(l order by l.invoice_id, l.id) from books.invoice_line l)::text"
    )
    assert (await put(session, *items, by="backfill")).changed == 50
    fresh = await rows(session, query)
    await session.execute("delete from books.invoice")
    await session.execute("delete from books.invoice_line")
    await put(session, *items)
    assert await rows(session, query) == fresh
    assert await rows(session, "select count(*) from books._sync_change") == [(50,)]


async def test_of_one_record_twice_in_a_page_the_last_counts(session: EngineConnection) -> None:
    result = await put(session, invoice("1", 1, lines=1), invoice("1", 2, lines=4), by="backfill")
    assert result.inserted == ("1",)
    assert await rows(session, "select sync_token from books.invoice") == [("2",)]
    assert await rows(session, "select count(*) from books.invoice_line") == [(4,)]


async def test_what_is_no_record_is_told_and_stops_nothing(session: EngineConnection) -> None:
    result = await put(session, b"{}", invoice("1"), b"not json")
    assert result.inserted == ("1",)
    assert len(result.rejected) == 2


async def test_a_first_load_that_meets_an_odd_record_in_the_midst_still_brings_all(
    session: EngineConnection,
) -> None:
    items = [*(invoice(str(n)) for n in range(150)), b'{"Id":"odd\\u0000"}', invoice("last")]
    result = await put(session, *items, by="backfill")
    assert set(result.ids) == set(result.inserted)
    assert {"0", "149", "odd\ufffd", "last"} < set(result.ids)
    assert await rows(session, "select count(*) from books.invoice") == [(152,)]
    assert await rows(session, "select count(*) from books.invoice_line") == [(302,)]


async def test_a_row_that_a_client_has_locked_is_passed_over(
    session: EngineConnection, migrated_url: str
) -> None:
    await put(session, invoice("1"), invoice("2"), invoice("3"))
    async with await connect_engine(migrated_url) as client, client.transaction():
        await client.execute("select 1 from books.invoice where id = '2' for update")
        result = await put(session, *(invoice(i, 1) for i in "321"))
        assert result.skipped_ids == ("2",)
        assert set(result.updated) == {"1", "3"}
        async with session.transaction():
            gone = await remove(session, "books", INVOICE, ["1", "2"], noticed_by="poll")
        assert (gone.removed, gone.skipped_ids) == (("1",), ("2",))
    assert (await put(session, invoice("2", 1))).updated == ("2",)


@pytest.mark.parametrize(
    ("state", "record_id", "skipped"),
    [
        ("sent", None, ("8", "9")),  # which of them it made is not known
        ("acknowledged", "9", ("9",)),
        ("mirrored", "9", ()),
        ("refused", None, ()),
    ],
)
async def test_a_new_record_waits_while_a_create_of_ours_is_on_its_way(
    session: EngineConnection, state: str, record_id: str | None, skipped: tuple[str, ...]
) -> None:
    await put(session, invoice("1"))
    await session.execute(
        "insert into sqlsync.journal (id, connection_id, state, owner, transaction_id, seq,"
        " role_name, table_name, kind, record_id, call_key, call_item, fields)"
        " values (%s, 1, %s, 1, %s, 1, 'me', 'invoice', 'create', %s, 'k', 0, '{}')",
        [uuid4(), state, uuid4(), record_id],
    )
    for by in ("poll", "backfill"):
        await session.execute("delete from books.invoice where id in ('8', '9')")
        result = await put(session, *(invoice(i, 1) for i in "189"), by=by)
        assert result.skipped_ids == skipped
        mirrored = [row[0] for row in await rows(session, "select id from books.invoice")]
        assert sorted(mirrored) == sorted({"1", "8", "9"} - set(skipped))


async def test_a_record_removed_meanwhile_is_not_brought_back_by_an_older_answer(
    session: EngineConnection,
) -> None:
    await put(session, invoice("1"))
    [(asked_at,)] = await rows(session, "select clock_timestamp()")
    async with session.transaction():
        await remove(session, "books", INVOICE, ["1"], noticed_by="webhook")
    assert (await put(session, invoice("1", 5), fetched_at=asked_at)).changed == 0
    assert await rows(session, "select id from books.invoice") == []
    [(later,)] = await rows(session, "select clock_timestamp()")
    assert (await put(session, invoice("1", 5), fetched_at=later)).inserted == ("1",)


async def test_what_leaves_takes_its_child_rows_and_leaves_its_image(
    session: EngineConnection,
) -> None:
    await put(session, invoice("1", note="kept"), invoice("2"))
    async with session.transaction():
        gone = await remove(session, "books", INVOICE, ["1", "7"], noticed_by="sweep")
    assert gone.removed == ("1",)
    assert await rows(session, "select distinct invoice_id from books.invoice_line") == [("2",)]
    assert await rows(
        session,
        "select table_name, record_id, noticed_by, image ->> 'PrivateNote'"
        " from books._sync_change where operation = 'delete'",
    ) == [("invoice", "1", "sweep", "kept")]


async def test_child_tables_can_be_left_alone(session: EngineConnection) -> None:
    async with session.transaction():
        await ingest(
            session, "books", INVOICE, [invoice("1")], noticed_by="backfill", children=False
        )
    assert await rows(session, "select count(*) from books.invoice_line") == [(0,)]


async def test_without_a_version_number_the_later_time_wins(session: EngineConnection) -> None:
    xero = load_catalog("xero")
    await session.execute(
        "insert into sqlsync.connection (name, provider, schema_name, company_id, state)"
        " values ('org', 'xero', 'org', '2', 'live')"
    )
    await install(session, xero, "org", 2, objects=["invoice"])
    spec = xero.by_table["invoice"]

    def version(milliseconds: int, note: str) -> bytes:
        return json.dumps(
            {"InvoiceID": "i", "UpdatedDateUTC": f"/Date({milliseconds}+0000)/", "Reference": note}
        ).encode()

    async def put_in(item: bytes) -> None:
        async with session.transaction():
            await ingest(session, "org", spec, [item], noticed_by="poll")

    # As numbers of milliseconds 1e12 follows 999e9; as text it would come before it.
    await put_in(version(999_999_999_999, "older"))
    await put_in(version(1_000_000_000_000, "newer"))
    await put_in(version(999_999_999_998, "oldest"))
    assert await rows(session, "select reference from org.invoice") == [("newer",)]
    await put_in(version(1_000_000_000_000, "the same moment, read later"))
    assert await rows(session, "select reference from org.invoice") == [
        ("the same moment, read later",)
    ]
