"""A connection's schema in a real Postgres: made, made again, brought up to a newer catalog."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from schema.codec import copy_encoder, copy_statement
from schema.ddl import table_plans
from schema.loader import load_catalog
from schema.model import Catalog, ObjectSpec
from sqlsync.database import EngineConnection, connect, connect_engine, errors
from sqlsync.errors import ConfigError
from sqlsync.mirror.filling import fill_all
from sqlsync.mirror.install import InstallReport, install

CATALOG = load_catalog("quickbooks")
INVOICE = (
    b'{"Id":"145","SyncToken":"1","DocNumber":"1048","CustomerRef":{"value":"58","name":"Acme"},'
    b'"MetaData":{"LastUpdatedTime":"2026-03-02T09:15:40-08:00"},"TotalAmt":10.50,'
    b'"CustomField":[{"DefinitionId":"2","StringValue":"blue"}],'
    b'"Line":[{"Id":"1","Amount":10.50,"Description":"Bell"},{"Amount":10.50},{"Id":"1"}],'
    b'"LinkedTxn":[{"TxnId":"151","TxnType":"Payment"}]}'
)


@pytest.fixture
async def engine(migrated_url: str) -> AsyncIterator[EngineConnection]:
    connection = await connect_engine(migrated_url)
    try:
        yield connection
    finally:
        await connection.close()


async def register(engine: EngineConnection, schema_name: str = "quickbooks") -> int:
    row = await value(
        engine,
        "insert into sqlsync.connection (name, provider, schema_name) values (%s, 'quickbooks', %s)"
        " returning id",
        schema_name,
        schema_name,
    )
    return int(row)


async def value(engine: EngineConnection, query: str, *values: object) -> Any:
    row = await (await engine.execute(query.encode(), values or None)).fetchone()
    return row[0] if row else None


async def load(engine: EngineConnection, spec: ObjectSpec, *items: bytes) -> None:
    encoder = copy_encoder(spec)
    rows = encoder.rows(items)
    for table, columns, blob in [
        (spec.table, encoder.columns, rows.blob),
        *((t, encoder.child_columns[t], b) for t, b in rows.children.items()),
    ]:
        statement = copy_statement(f'quickbooks."{table}"', columns).encode()
        async with engine.cursor() as cursor, cursor.copy(statement) as copy:
            await copy.write(blob)


def without(catalog: Catalog, table: str, *columns: str, children: bool = True) -> Catalog:
    """The catalog as it was before these columns (or the child tables) came."""

    def older(spec: ObjectSpec) -> ObjectSpec:
        if spec.table != table:
            return spec
        return replace(
            spec,
            fields=tuple(f for f in spec.fields if f.column not in columns),
            custom_fields=tuple(f for f in spec.custom_fields if f.column not in columns),
            children=tuple(
                replace(c, fields=tuple(f for f in c.fields if f.column not in columns))
                for c in spec.children
                if children
            ),
        )

    return replace(catalog, objects=tuple(older(s) for s in catalog.objects))


async def test_every_table_and_column_of_the_catalog_is_there(engine: EngineConnection) -> None:
    report = await install(engine, CATALOG, "quickbooks", await register(engine))
    reports = {spec.table for spec in CATALOG.reports}
    assert set(report.tables_made) == set(CATALOG.by_any_table) | reports
    for spec in CATALOG.objects:
        for plan in table_plans(spec):
            cursor = await engine.execute(
                "select column_name from information_schema.columns where table_schema ="
                " 'quickbooks' and table_name = %s order by ordinal_position",
                [plan.name],
            )
            assert [r[0] for r in await cursor.fetchall()] == [c.name for c in plan.columns]
    described = await value(engine, "select count(*) from quickbooks._sync_column")
    assert described == sum(len(p.columns) for s in CATALOG.objects for p in table_plans(s))
    objects = await value(
        engine, "select array_agg(object order by object) from quickbooks._sync_cdc"
    )
    assert objects == sorted(CATALOG.by_table)
    comment = "select obj_description('quickbooks.customer'::regclass)"
    assert await value(engine, comment) == CATALOG.by_table["customer"].comment


async def test_a_second_install_changes_nothing(engine: EngineConnection) -> None:
    connection_id = await register(engine)
    await install(engine, CATALOG, "quickbooks", connection_id)
    await engine.execute("update quickbooks._sync_cdc set state = 'live'")
    before = await value(engine, "select max(oid::bigint) from pg_class")
    report = await install(engine, CATALOG, "quickbooks", connection_id)
    assert report == InstallReport()
    assert await value(engine, "select max(oid::bigint) from pg_class") == before
    assert await value(
        engine, "select count(*) from quickbooks._sync_cdc where state = 'live'"
    ) == len(CATALOG.objects)


async def test_the_first_connection_is_found_first_and_the_others_after_what_is_the_users_own(
    engine: EngineConnection, migrated_url: str
) -> None:
    first, second = await register(engine), await register(engine, "other")
    assert (await install(engine, CATALOG, "quickbooks", first)).search_path_set
    assert (await install(engine, CATALOG, "other", second)).search_path_set
    assert await value(engine, "select current_user::text") == "sqlsync_engine"
    with connect(migrated_url) as fresh:
        assert fresh.execute("show search_path").fetchone() == ("quickbooks, public, other",)
        assert fresh.execute("select count(*) from invoice").fetchone() == (0,)
        name = fresh.info.dbname
        fresh.execute(f"alter database {name} set search_path = quickbooks, public".encode())
        assert not (await install(engine, CATALOG, "other", second)).search_path_set
        fresh.execute(f"alter database {name} set search_path = mine, quickbooks".encode())
    third = await register(engine, "third")
    assert not (await install(engine, CATALOG, "third", third)).search_path_set


async def test_a_schema_that_is_there_already_can_be_used(engine: EngineConnection) -> None:
    await install(engine, CATALOG, "public", await register(engine, "public"))
    assert await value(engine, "select count(*) from public.invoice") == 0


async def test_new_columns_come_last_are_filled_and_leave_views_working(
    engine: EngineConnection,
) -> None:
    connection_id = await register(engine)
    older = without(CATALOG, "invoice", "total_amt", "doc_number", "custom_field_2", "description")
    await install(engine, older, "quickbooks", connection_id)
    await load(engine, older.by_table["invoice"], INVOICE)
    await engine.execute("alter table quickbooks.invoice add column my_own text default 'mine'")
    await engine.execute("create view quickbooks.mine as select * from quickbooks.invoice")

    report = await install(engine, CATALOG, "quickbooks", connection_id)
    assert await value(engine, "select bool_or(filling) from quickbooks._sync_column")
    await fill_all(engine, CATALOG, "quickbooks", connection_id)

    assert not await value(engine, "select bool_or(filling) from quickbooks._sync_column")
    assert set(report.columns_added) == {
        *("invoice.total_amt", "invoice.doc_number", "invoice.custom_field_2"),
        "invoice_line.description",
    }
    row = "select row(total_amt, doc_number, custom_field_2, my_own)::text from quickbooks.invoice"
    assert await value(engine, row) == "(10.50,1048,blue,mine)"
    assert await value(engine, "select my_own from quickbooks.mine") == "mine"
    assert (
        await value(engine, "select description from quickbooks.invoice_line where id = '1'")
        == "Bell"
    )
    described = "select count(*) from quickbooks._sync_column where column_name = 'total_amt'"
    assert await value(engine, described) > 0


async def test_a_new_child_table_is_filled_from_raw(engine: EngineConnection) -> None:
    connection_id = await register(engine)
    older = without(CATALOG, "invoice", children=False)
    await install(engine, older, "quickbooks", connection_id)
    await load(engine, older.by_table["invoice"], INVOICE)
    await install(engine, CATALOG, "quickbooks", connection_id)
    await fill_all(engine, CATALOG, "quickbooks", connection_id)
    lines = "select array_agg(id order by position) from quickbooks.invoice_line"
    assert await value(engine, lines) == ["1", "pos:2", "pos:3"]
    assert await value(engine, "select txn_id from quickbooks.invoice_linked_txn") == "151"


async def test_lost_triggers_and_indexes_come_back(engine: EngineConnection) -> None:
    connection_id = await register(engine)
    await install(engine, CATALOG, "quickbooks", connection_id)
    await engine.execute('drop trigger "00_sqlsync_guard" on quickbooks.item')
    await engine.execute('drop trigger "00_sqlsync_report" on quickbooks.cash_flow')
    await engine.execute('alter table quickbooks.vendor enable trigger "00_sqlsync_guard"')
    await engine.execute("drop trigger zz_sqlsync_update on quickbooks.item")
    await engine.execute("alter table quickbooks.vendor disable trigger zz_sqlsync_insert")
    await engine.execute("drop index quickbooks.invoice_customer_id_idx")
    await install(engine, CATALOG, "quickbooks", connection_id)
    wrong = (
        "select count(*) from pg_trigger t join pg_class c on c.oid = tgrelid"
        " where tgname like '%sqlsync%' and tgenabled <> case when tgname like '00%' then 'A' else"
        " 'O' end::\"char\""
    )
    assert await value(engine, wrong) == 0
    assert await value(engine, "select to_regclass('quickbooks.invoice_customer_id_idx')::text")
    triggers = "select count(*) from pg_trigger where tgname like '%sqlsync%'"
    expected = 4 * len(CATALOG.by_any_table) + len(CATALOG.reports)
    assert await value(engine, triggers) == expected


async def test_a_key_of_another_type_is_refused_and_nothing_is_changed(
    engine: EngineConnection,
) -> None:
    connection_id = await register(engine)
    await install(engine, without(CATALOG, "customer", "notes"), "quickbooks", connection_id)
    await engine.execute("alter table quickbooks.customer alter column sync_token type varchar")
    with pytest.raises(ConfigError, match=r'"sync_token".*is character varying; the catalog says'):
        await install(engine, CATALOG, "quickbooks", connection_id)
    notes = "select count(*) from pg_attribute where attrelid = 'quickbooks.customer'::regclass and"
    assert await value(engine, f"{notes} attname = 'notes'") == 0


async def test_a_table_of_somebody_else_is_left_alone(
    engine: EngineConnection, migrated_url: str
) -> None:
    with connect(migrated_url) as owner:
        owner.execute("create table public.customer (id int)")
    connection_id = await register(engine, "public")
    with pytest.raises(ConfigError, match="is not a table of sqlsync"):
        await install(engine, CATALOG, "public", connection_id)
    assert await value(engine, "select to_regclass('public._sync_cdc')::text") is None


async def test_a_direct_write_is_refused_even_for_a_superuser(
    engine: EngineConnection, migrated_url: str
) -> None:
    await install(engine, CATALOG, "quickbooks", await register(engine))
    with connect(migrated_url) as superuser:
        for statement in (
            "insert into quickbooks.customer (display_name) values ('x')",
            "update quickbooks.invoice_line set amount = 1",
            "delete from quickbooks.payment",
            "truncate quickbooks.item",
        ):
            with pytest.raises(errors.ObjectNotInPrerequisiteState, match="mirrored table"):
                superuser.execute(statement.encode())


async def test_readers_read_and_writers_may_ask_to_write(engine: EngineConnection) -> None:
    await install(engine, CATALOG, "quickbooks", await register(engine))
    for role, privilege, expected in [
        ("sqlsync_reader", "select", True),
        ("sqlsync_reader", "insert", False),
        ("sqlsync_writer", "insert", True),
        ("sqlsync_writer", "delete", True),
        ("sqlsync_writer", "truncate", False),
        ("sqlsync_writer", "trigger", False),
        ("sqlsync_writer", "references", False),
    ]:
        for table in ("customer", "invoice_line"):
            query = "select has_table_privilege(%s, %s, %s)"
            granted = await value(engine, query, role, f"quickbooks.{table}", privilege)
            assert granted is expected, (role, table, privilege)
    assert await value(
        engine, "select has_table_privilege('sqlsync_reader', 'quickbooks._sync_write', 'select')"
    )


async def test_a_row_without_a_key_gets_a_provisional_one(engine: EngineConnection) -> None:
    await install(engine, CATALOG, "quickbooks", await register(engine))
    insert = "insert into quickbooks.customer (display_name) values ('x') returning id"
    assert (await value(engine, insert)).startswith("new:")
    insert = "insert into quickbooks.payment_line (payment_id) values ('1') returning position"
    first, second = await value(engine, insert), await value(engine, insert)
    assert 1_000_000_000 <= first < second


async def test_whole_records_cost_no_slow_compression(engine: EngineConnection) -> None:
    await install(engine, CATALOG, "quickbooks", await register(engine))
    kept = await value(
        engine,
        "select array[attstorage::text, attcompression::text] from pg_attribute"
        " where attrelid = 'quickbooks.invoice'::regclass and attname = 'raw'",
    )
    has_lz4 = await value(
        engine,
        "select 'lz4' = any(enumvals) from pg_settings where name = 'default_toast_compression'",
    )
    assert kept == (["x", "l"] if has_lz4 else ["e", ""])
