"""Objects, child tables and columns switched off and on, and what users built on them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest

from schema.loader import load_catalog
from schema.model import Catalog, ColumnType, ObjectSpec
from sqlsync.database import (
    Connection,
    EngineConnection,
    TupleRow,
    connect,
    connect_engine,
    conninfo_to_dict,
    errors,
)
from sqlsync.mirror.filling import Batch, fill_all, fill_batch
from sqlsync.mirror.ingest import ingest, remove
from sqlsync.mirror.install import install

WHOLE = load_catalog("quickbooks")
TABLES = ("customer", "invoice", "item")
CATALOG = replace(WHOLE, objects=tuple(s for s in WHOLE.objects if s.table in TABLES))
CUSTOMER, INVOICE = CATALOG.by_table["customer"], CATALOG.by_table["invoice"]


def customer(record_id: str, token: int = 0, **members: Any) -> bytes:
    record = {
        "Id": record_id,
        "SyncToken": str(token),
        "DisplayName": f"Customer {record_id}",
        "Notes": f"note {record_id}",
        "Balance": 10.5,
        "PrimaryEmailAddr": {"Address": f"{record_id}@mail.example"},
        "ParentRef": {"value": "77"},
        "MetaData": {"LastUpdatedTime": f"2026-03-01T10:00:{token:02}-08:00"},
    }
    return json.dumps(record | members).encode()


def invoice(record_id: str, token: int = 0, lines: int = 2) -> bytes:
    return json.dumps(
        {
            "Id": record_id,
            "SyncToken": str(token),
            "TotalAmt": 5.25 * lines,
            "MetaData": {"LastUpdatedTime": f"2026-03-01T10:00:{token:02}-08:00"},
            "Line": [
                {"Id": str(n), "Amount": 5.25, "Description": f"line {n}"}
                for n in range(1, lines + 1)
            ],
        }
    ).encode()


class Books:
    """A connection `books` with a few rows, its engine session, and its owner's session."""

    def __init__(self, engine: EngineConnection, person: Connection[TupleRow]) -> None:
        self.engine = engine
        self.person = person

    async def put(self, spec: ObjectSpec, *items: bytes, by: str = "poll") -> None:
        async with self.engine.transaction():
            await ingest(self.engine, "books", spec, items, noticed_by=by)

    async def value(self, query: str, *values: object) -> Any:
        row = await (await self.engine.execute(query.encode(), values or None)).fetchone()
        return row[0] if row else None

    async def columns(self, table: str) -> list[str]:
        found: list[str] = await self.value(
            "select array_agg(attname::text order by attnum) from pg_attribute"
            " where attrelid = %s::regclass and attnum > 0 and not attisdropped",
            f"books.{table}",
        )
        return found

    async def fill(self, catalog: Catalog = CATALOG) -> int:
        return await fill_all(self.engine, catalog, "books", 1)

    def say(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """As somebody who may choose, and nothing else."""
        with self.person.transaction():
            self.person.execute("set local role chooser")
            cursor = self.person.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []


Copies = Callable[[str], AbstractContextManager[str]]


@pytest.fixture(scope="module")
def template(database_copies: Copies, migrated_template: str) -> Iterator[str]:
    """Name of a database with the connection and its rows, to be copied."""

    async def prepare(url: str) -> None:
        async with await connect_engine(url) as engine:
            await engine.execute(
                "insert into sqlsync.connection (name, provider, schema_name, company_id, state)"
                " values ('acme', 'quickbooks', 'books', '1', 'live')"
            )
            await install(engine, CATALOG, "books", 1)
            for spec, *items in (
                (CUSTOMER, customer("1"), customer("2")),
                (INVOICE, invoice("10")),
            ):
                async with engine.transaction():
                    await ingest(engine, "books", spec, items, noticed_by="backfill")
            await engine.execute("update books._sync_cdc set state = 'live', finished_at = now()")

    with database_copies(migrated_template) as url:
        asyncio.run(prepare(url))
        yield str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
async def books(database_copies: Copies, template: str) -> AsyncIterator[Books]:
    with database_copies(template) as url:
        async with await connect_engine(url) as engine:
            with connect(url) as person:
                person.execute(
                    "do $$ begin create role chooser nologin; exception when duplicate_object"
                    " then null; end $$; grant sqlsync_admin to chooser"
                )
                yield Books(engine, person)


# -- columns ---------------------------------------------------------------------------------------


async def test_a_column_switched_off_is_gone_and_comes_back_filled_at_the_end(
    books: Books,
) -> None:
    books.say("select sqlsync.disable_columns('acme', 'customer', 'notes', 'parent_id')")
    assert not {"notes", "parent_id"} & set(await books.columns("customer"))
    with pytest.raises(errors.UndefinedColumn):
        await books.value("select notes from books.customer")
    off = "select array_agg(column_name order by column_name) from books._sync_column"
    assert await books.value(f"{off} where not enabled") == ["notes", "parent_id"]

    await books.put(CUSTOMER, customer("2", 1, Notes="changed"), customer("3"))
    assert await books.value("select count(*) from books.customer") == 3
    payload = {
        "schema": "books",
        "upserts": [
            {
                "table": "customer",
                "version": "sync_token",
                "rows": [
                    {"id": "4", "notes": "n", "sync_token": "0", "raw": {"Id": "4", "Notes": "n"}}
                ],
            }
        ],
    }
    await books.engine.execute("select sqlsync.apply_rows(%s)", [json.dumps(payload)])

    books.say("update books._sync_column set enabled = true where not enabled")
    assert await books.value(
        "select bool_and(filling) from books._sync_column where column_name"
        " in ('notes', 'parent_id') and table_name = 'customer'"
    )
    await books.put(CUSTOMER, customer("1", 2, Notes="newest"))  # while it is being filled
    await books.fill()
    assert (await books.columns("customer"))[-2:] == ["notes", "parent_id"]
    notes = await books.value("select array_agg(notes order by id) from books.customer")
    assert notes == ["newest", "changed", "note 3", "n"]
    assert await books.value("select to_regclass('books.customer_parent_id_idx') is not null")
    assert not await books.value("select bool_or(filling) from books._sync_column")
    comment = "select col_description('books.customer'::regclass, attnum) from pg_attribute where"
    assert await books.value(
        f"{comment} attrelid = 'books.customer'::regclass and attname = 'notes'"
    )


async def test_a_column_in_use_stays_and_what_uses_it_is_named(books: Books) -> None:
    for statement, column, what in [
        (
            "create view public.vip as select id, notes from books.customer",
            "notes",
            "view public.vip",
        ),
        (
            "create materialized view public.sums as select sum(balance) from books.customer",
            "balance",
            "materialized view public.sums",
        ),
        (
            "create view public.everything as select * from books.customer",
            "email",
            "view public.everything",
        ),
        ("create index mine on books.customer (lower(title))", "title", "index books.mine"),
        (
            "create policy local on books.customer using (company_name <> '')",
            "company_name",
            "policy local",
        ),
        (
            "create function total() returns int return (select sum(balance) from books.customer)",
            "balance",
            "function public.total()",
        ),
        ("grant select (phone) on books.customer to chooser", "phone", "privilege of chooser"),
    ]:
        books.person.execute(statement.encode())
        with pytest.raises(errors.DependentObjectsStillExist, match="used by") as refused:
            books.say("select sqlsync.disable_columns('acme', 'customer', %s)", column)
        assert what in str(refused.value), column
        assert refused.value.diag.column_name == column
        assert column in await books.columns("customer")
        assert await books.value("select count(*) from sqlsync.off") == 0
        if "everything" in statement:
            books.person.execute("drop view public.everything")


async def test_exactly_the_columns_that_were_chosen_are_left(books: Books) -> None:
    books.say("select sqlsync.choose_columns('acme', 'invoice_line', 'amount')")
    assert await books.columns("invoice_line") == ["invoice_id", "id", "position", "amount"]
    books.say("select sqlsync.choose_columns('acme', 'customer', 'display_name', 'email')")
    assert await books.columns("customer") == [
        *("id", "display_name", "email", "sync_token", "updated_at", "raw")
    ] or set(await books.columns("customer")) == {
        *("id", "display_name", "email", "sync_token", "updated_at", "raw")
    }
    await books.put(INVOICE, invoice("10", 1, lines=3), invoice("11"))
    assert await books.value("select count(*) from books.invoice_line") == 5
    books.say("select sqlsync.choose_columns('acme', 'invoice_line', 'description')")
    await books.fill()
    lines = await books.value(
        "select array_agg(description order by invoice_id, position) from books.invoice_line"
    )
    assert lines == ["line 1", "line 2", "line 3", "line 1", "line 2"]


async def test_bad_choices_say_what_is_wrong(books: Books) -> None:
    for statement, error, words in [
        (
            "select sqlsync.disable_columns('acme', 'customer', 'id')",
            errors.FeatureNotSupported,
            "syncing needs it",
        ),
        (
            "select sqlsync.disable_columns('acme', 'customer', 'nope')",
            errors.UndefinedColumn,
            "does not exist",
        ),
        (
            "select sqlsync.disable_columns('acme', 'nope', 'id')",
            errors.UndefinedObject,
            "no object",
        ),
        (
            "select sqlsync.disable_object('nope', 'customer')",
            errors.UndefinedObject,
            "There are: acme",
        ),
        ("update books._sync_column set table_name = 'x'", errors.InsufficientPrivilege, ""),
        (
            "update books._sync_object set enabled = false where name = 'Batch'",
            errors.ObjectNotInPrerequisiteState,
            "not an object",
        ),
        ("select sqlsync.switch_object(1, 'customer', false)", errors.InsufficientPrivilege, ""),
    ]:
        with pytest.raises(error) as refused:
            books.say(statement)
        assert words in f"{refused.value} {refused.value.diag.message_hint}", statement
    for statement in (
        "select sqlsync.disable_object('acme', 'customer')",
        "update books._sync_object set enabled = false",
        "update books._sync_column set enabled = false",
    ):
        with pytest.raises(errors.InsufficientPrivilege), books.person.transaction():
            books.person.execute("set local role sqlsync_writer")
            books.person.execute(statement.encode())


async def test_filling_goes_on_behind_the_last_batch_and_leaves_rows_held_by_a_write_to_the_end(
    books: Books,
) -> None:
    await books.put(CUSTOMER, *(customer(str(n)) for n in range(100, 150)), by="backfill")
    books.say("select sqlsync.disable_columns('acme', 'customer', 'notes')")
    books.say("select sqlsync.enable_columns('acme', 'customer', 'notes')")
    holder = books.person
    with holder.transaction():
        holder.execute("select from books.customer where id in ('100', '149') for update")
        for _ in range(6):  # and the holder still holds
            await fill_batch(books.engine, CATALOG, "books", 1, rows=10)
        missing = "select array_agg(id order by id) from books.customer where notes is null"
        assert await books.value(missing) == ["100", "149"]
        assert await books.value("select left_ids from sqlsync.fill") == ["100", "149"]
        assert await fill_batch(books.engine, CATALOG, "books", 1, rows=10) is Batch.BUSY
    for statement, error in (
        ("update books.customer set notes = null", errors.SerializationFailure),
        ("delete from books.customer where notes is null", errors.SerializationFailure),
        ("update books.customer set email = null", errors.ObjectNotInPrerequisiteState),
    ):
        with pytest.raises(error):  # what it says of columns that are not filled would be wrong
            holder.execute(statement.encode())
    await books.fill()
    with pytest.raises(errors.ObjectNotInPrerequisiteState, match="through the sqlsync proxy"):
        holder.execute("update books.customer set notes = null")
    assert await books.value(missing) is None
    assert await fill_batch(books.engine, CATALOG, "books", 1) is Batch.NOTHING


# -- objects ---------------------------------------------------------------------------------------


async def test_an_object_switched_off_keeps_its_rows_and_refuses_writes(books: Books) -> None:
    books.say("update books._sync_object set enabled = false where table_name = 'invoice'")
    assert await books.value("select state from books._sync_cdc where object = 'invoice'") == (
        "paused"
    )
    assert books.say("select id from books.invoice") == [("10",)]
    shown = "select enabled from books._sync_object where table_name = 'invoice'"
    assert books.say(shown) == [(False,)]
    for statement in ("delete from books.invoice", "update books.invoice_line set amount = 1"):
        with pytest.raises(errors.ObjectNotInPrerequisiteState, match="not synced") as refused:
            books.person.execute(statement.encode())
        assert "sqlsync.enable_object('acme', 'invoice" in str(refused.value.diag.message_hint)
    books.say("select sqlsync.enable_object('acme', 'invoice')")
    standing = "select row(state, finished_at)::text from books._sync_cdc where object = 'invoice'"
    assert await books.value(standing) == "(pending,)"
    with pytest.raises(errors.ObjectNotInPrerequisiteState, match="through the sqlsync proxy"):
        books.person.execute("delete from books.invoice")


async def test_a_child_table_switched_off_is_empty_and_comes_back_from_raw(books: Books) -> None:
    books.person.execute(
        "create view public.lines as select * from books.invoice_line;"
        " grant select on public.lines to public; grant usage on schema public to public"
    )
    books.say("select sqlsync.disable_object('acme', 'invoice_line')")
    await books.put(INVOICE, invoice("10", 1, lines=3), invoice("11", lines=1))
    payload = {
        "schema": "books",
        "upserts": [
            {
                "table": "invoice",
                "version": "sync_token",
                "rows": [{"id": "12", "sync_token": "0", "raw": json.loads(invoice("12"))}],
                "children": [
                    {
                        "table": "invoice_line",
                        "parent_column": "invoice_id",
                        "rows": [{"invoice_id": "12", "id": "1", "position": 1}],
                    }
                ],
            }
        ],
    }
    await books.engine.execute("select sqlsync.apply_rows(%s)", [json.dumps(payload)])
    assert await books.value("select count(*) from public.lines") == 0
    assert await books.value("select count(*) from books.invoice") == 3
    books.say("select sqlsync.enable_object('acme', 'invoice_line')")
    with pytest.raises(errors.SerializationFailure, match='"invoice_line" was just switched on'):
        books.person.execute("delete from books.invoice_line")
    await books.put(INVOICE, invoice("11", 2, lines=4))
    await books.fill()
    lines = "select count(*) from public.lines group by invoice_id order by invoice_id"
    rows = await (await books.engine.execute(lines.encode())).fetchall()
    assert [row[0] for row in rows] == [3, 4, 2]
    assert await books.value("select count(*) from sqlsync.fill") == 0


async def test_an_object_that_is_off_by_default_can_be_switched_on(books: Books) -> None:
    quiet = replace(CATALOG, objects=(*CATALOG.objects[:-1], replace(INVOICE, enabled=False)))
    await books.engine.execute(
        "insert into sqlsync.connection (name, provider, schema_name) values"
        " ('other', 'quickbooks', 'other')"
    )
    await install(books.engine, quiet, "other", 2)
    standing = (
        "select string_agg(object || ' ' || state, ', ' order by object) from other._sync_cdc"
    )
    assert await books.value(standing) == "customer pending, invoice paused, item pending"
    books.say("select sqlsync.enable_object('other', 'invoice')")
    await install(books.engine, replace(quiet, title="Renamed"), "other", 2)  # an upgrade
    assert await books.value(standing) == "customer pending, invoice pending, item pending"
    await install(books.engine, quiet, "books", 1)  # where it was on it stays on
    assert await books.value("select state from books._sync_cdc where object = 'invoice'") == "live"


# -- what users built, over upgrades ---------------------------------------------------------------


def older(catalog: Catalog, **types: ColumnType) -> Catalog:
    """The catalog of a version in which these columns of customer had other types."""
    fields = tuple(
        replace(f, type=types[f.column]) if f.column in types else f for f in CUSTOMER.fields
    )
    changed = replace(CUSTOMER, fields=fields)
    return replace(
        catalog,
        objects=tuple(changed if s.table == "customer" else s for s in catalog.objects),
    )


async def test_views_policies_and_grants_outlive_upgrades_that_change_types(
    books: Books,
) -> None:
    await books.engine.execute(
        "insert into sqlsync.connection (name, provider, schema_name) values"
        " ('before', 'quickbooks', 'before')"
    )
    text = ColumnType.TEXT
    before = older(CATALOG, balance=text, active=text, created_at=text)
    await install(books.engine, before, "before", 2)
    async with books.engine.transaction():
        await ingest(
            books.engine,
            "before",
            before.by_table["customer"],
            [customer("1", Active=True)],
            noticed_by="poll",
        )
    books.person.execute(
        "create view public.mine as select * from before.customer;"
        " create materialized view public.kept as select balance from before.customer;"
        " create view public.named as select id, display_name from before.customer;"
        " grant select on public.mine, public.named to sqlsync_engine;"
        " create schema together authorization sqlsync_engine;"
        " select sqlsync.make_union('quickbooks', 'together');"
        " create view public.over as select connection, balance from together.all_customer;"
        " grant select on public.over to sqlsync_engine"
    )
    # One company has numbers by now, the other texts: the view has what came first.
    over = "select array_agg(row(connection, balance)::text order by 1) from public.over"
    assert await books.value(over) == ["(acme,10.5)", "(acme,10.5)", "(before,10.5)"]
    assert await books.value("select pg_typeof(balance)::text from public.over") == "numeric"
    await books.engine.execute("update before.customer set balance = 'much'")
    assert await books.value(over) == ["(acme,10.5)", "(acme,10.5)", "(before,)"]
    report = await install(books.engine, CATALOG, "before", 2)
    assert len(report.warnings) == 3
    warning = next(w for w in report.warnings if '"balance"' in w)
    assert "stays text" in warning
    assert "materialized view public.kept, view public.mine" in warning
    # What comes is stored as the column is, and nothing breaks.
    async with books.engine.transaction():
        await ingest(
            books.engine, "before", CUSTOMER, [customer("1", 1, Balance=7.25)], noticed_by="poll"
        )
    assert await books.value("select balance from public.mine") == "7.25"

    books.person.execute("drop view public.mine")
    report = await install(books.engine, CATALOG, "before", 2)
    assert [w.split('"')[1] for w in report.warnings] == ["balance"]
    books.person.execute("drop materialized view public.kept")
    assert (await install(books.engine, CATALOG, "before", 2)).warnings == ()
    await fill_all(books.engine, CATALOG, "before", 2)
    found = await books.value(
        "select row(pg_typeof(balance), balance, pg_typeof(active))::text from before.customer"
    )
    assert found == "(numeric,7.25,boolean)"
    assert await books.value("select display_name from public.named") == "Customer 1"
    # The union view keeps the type it was made with, and so does what stands on it.
    assert await books.value(over) == ["(acme,10.5)", "(acme,10.5)", "(before,7.25)"]
    async with books.engine.transaction():
        await remove(books.engine, "before", CUSTOMER, ["1"], noticed_by="poll")
