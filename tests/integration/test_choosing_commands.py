"""sqlsync objects and sqlsync union, as a person runs them; union views as people read them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import structlog

from schema.loader import load_catalog
from sqlsync.cli import run
from sqlsync.database import Connection, TupleRow, connect, connect_engine, conninfo_to_dict, errors
from sqlsync.mirror.ingest import ingest
from sqlsync.mirror.install import install

CATALOG = load_catalog("quickbooks")
TABLES = ("customer", "invoice")


async def connect_books(url: str, name: str, schema_name: str) -> None:
    """A connection with a customer and an invoice; ids are the same in every company."""
    async with await connect_engine(url) as engine:
        row = await (
            await engine.execute(
                "insert into sqlsync.connection (name, provider, schema_name, company_id, state)"
                " values (%s, 'quickbooks', %s, %s, 'live') returning id",
                [name, schema_name, name],
            )
        ).fetchone()
        assert row is not None
        await install(engine, CATALOG, schema_name, row[0], objects=TABLES)
        for table, record in (
            ("customer", {"Id": "1", "DisplayName": f"of {name}", "Notes": f"note of {name}"}),
            ("invoice", {"Id": "7", "TotalAmt": 5, "Line": [{"Id": "1", "Amount": 5}]}),
        ):
            async with engine.transaction():
                await ingest(
                    engine,
                    schema_name,
                    CATALOG.by_table[table],
                    [json.dumps(record).encode()],
                    noticed_by="backfill",
                )


Copies = Callable[[str], AbstractContextManager[str]]


@pytest.fixture(scope="module")
def template(database_copies: Copies, migrated_template: str) -> Iterator[str]:
    """Two companies, `north` in schema north and `south east` in public; to be copied."""
    with database_copies(migrated_template) as url:
        asyncio.run(connect_books(url, "north", "north"))
        asyncio.run(connect_books(url, "south east", "public"))
        yield str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
def books_url(database_copies: Copies, template: str) -> Iterator[str]:
    with database_copies(template) as url:
        yield url


@pytest.fixture
def database(
    books_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Connection[TupleRow]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQLSYNC_DATABASE_URL", books_url)
    monkeypatch.setenv("SQLSYNC_STATE_DIR", str(tmp_path))
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with connect(books_url) as connection:
        yield connection
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_objects_are_listed_and_switched_by_command(
    database: Connection[TupleRow], capsys: pytest.CaptureFixture[str]
) -> None:
    choice = ["--disable", "customer.notes", "--disable", "invoice", "--disable", "invoice_line"]
    assert run(["objects", "north", *choice, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["connection"] == "north"
    customer, invoice = told["objects"]
    assert (customer["table"], customer["enabled"], customer["rows"]) == ("customer", True, 1)
    assert customer["columns_off"] == ["notes"]
    assert (invoice["enabled"], invoice["state"], invoice["rows"]) == (False, "paused", 1)
    lines = next(c for c in invoice["children"] if c["table"] == "invoice_line")
    assert (lines["enabled"], lines["state"], lines["rows"]) == (False, "off", 0)

    choice = ["--enable", "customer.notes", "--enable", "invoice", "--enable", "invoice_line"]
    assert run(["objects", "north", *choice]) == 0
    out, _ = capsys.readouterr()
    assert "sqlsync backfill north --object invoice" in out
    filled = database.execute(
        "select notes, (select count(*) from north.invoice_line) from north.customer"
    ).fetchone()
    assert filled == ("note of north", 1)


def test_a_choice_that_cannot_be_made_is_one_line_and_changes_nothing(
    database: Connection[TupleRow], capsys: pytest.CaptureFixture[str]
) -> None:
    database.execute("create view public.notes as select notes from north.customer")
    for arguments, words in [
        (["--disable", "invoice", "--disable", "customer.notes"], "used by view public.notes"),
        (["--disable", "nope"], 'no object "nope"'),
        (["--disable", "customer.nope"], '"nope"'),
        (["--enable", "customer", "--disable", "customer"], "--enable and to --disable"),
    ]:
        assert run(["objects", "north", *arguments]) == 2
        err = capsys.readouterr().err
        assert len(err.splitlines()) == 1, err
        assert words in err
    assert database.execute("select count(*) from sqlsync.off").fetchone() == (0,)
    assert run(["objects", "west"]) == 2


def test_union_views_show_every_company_and_follow_what_is_chosen(
    database: Connection[TupleRow], books_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows(query: str) -> list[tuple[object, ...]]:
        return database.execute(query.encode()).fetchall()

    assert run(["union", "quickbooks"]) == 0
    assert "views in quickbooks_all" in capsys.readouterr().out
    database.execute("create view public.mine as select * from quickbooks_all.all_customer")
    both = "select connection, display_name, notes from public.mine order by 1"
    north, south = ("north", "of north"), ("south east", "of south east")
    assert rows(both) == [(*north, "note of north"), (*south, "note of south east")]
    assert rows("select count(*) from quickbooks_all.all_invoice_line") == [(2,)]

    # A column that one company gives up is NULL there; nothing that stands on it breaks.
    assert run(["objects", "north", "--disable", "customer.notes"]) == 0
    assert rows(both) == [(*north, None), (*south, "note of south east")]
    # A third company joins by itself, with a column that the others never had.
    asyncio.run(connect_books(books_url, "third", "third"))
    assert [row[0] for row in rows(both)] == ["north", "south east", "third"]
    assert run(["objects", "north", "--enable", "customer.notes"]) == 0
    assert rows(both)[0] == (*north, "note of north")

    # Who may read one company only does not read the others through the view.
    database.execute(
        "do $$ begin create role half nologin; exception when duplicate_object then null; end $$;"
        " grant usage on schema north, quickbooks_all to half;"
        " grant select on north.customer, quickbooks_all.all_customer to half"
    )
    with pytest.raises(errors.InsufficientPrivilege), database.transaction():
        database.execute("set local role half")
        rows("select * from quickbooks_all.all_customer")

    for statement in (
        "insert into quickbooks_all.all_customer (display_name) values ('x')",
        "update quickbooks_all.all_customer set display_name = 'x'",
        "delete from quickbooks_all.all_customer where false",
    ):
        with pytest.raises(errors.ObjectNotInPrerequisiteState, match="several companies") as no:
            rows(statement)
        assert "north.customer or public.customer" in str(no.value.diag.message_hint)

    assert run(["union", "quickbooks", "--drop"]) == 2  # a view stands on one of them
    assert "all_customer" in capsys.readouterr().err
    database.execute("drop view public.mine")
    assert run(["union", "quickbooks", "--drop"]) == 0
    assert rows("select count(*) from pg_views where schemaname = 'quickbooks_all'") == [(0,)]
    for arguments, words in [
        (["union", "xero"], "no connection"),
        (["union", "quickbooks", "--schema", "pg_x"], "pg_x"),
        (["union", "quickbooks", "--schema", "sqlsync"], "reserved"),
        (["union", "quickbooks", "--drop"], "no union views"),
    ]:
        assert run(arguments) == 2
        assert words in capsys.readouterr().err


def test_a_union_view_never_takes_the_place_of_something_else(
    database: Connection[TupleRow], capsys: pytest.CaptureFixture[str]
) -> None:
    database.execute("create schema shared authorization sqlsync_engine")
    database.execute("create table shared.all_customer (id int)")
    assert run(["union", "quickbooks", "--schema", "shared"]) == 2
    assert '"shared"."all_customer" exists' in capsys.readouterr().err
    assert database.execute("select count(*) from sqlsync.union_schema").fetchone() == (0,)
