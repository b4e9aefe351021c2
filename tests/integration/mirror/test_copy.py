"""Postgres takes every blob the codec makes, and then holds what `schema.rows` says."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.codec import copy_encoder, copy_statement
from schema.ddl import quote, table_plans
from schema.loader import load_catalog
from schema.model import ObjectSpec
from schema.rows import child_rows, record_row
from sqlsync.database import Connection, TupleRow, connect, connect_engine
from sqlsync.errors import ProviderFault
from sqlsync.mirror.install import install

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/nasty.py
from nasty import records

CATALOGS = {provider: load_catalog(provider) for provider in ("quickbooks", "xero")}
INVOICE = CATALOGS["quickbooks"].by_table["invoice"]
BILL = CATALOGS["xero"].by_table["invoice"]
_encode = msgspec.json.Encoder(decimal_format="number").encode


@pytest.fixture
async def mirror(migrated_url: str) -> AsyncIterator[Connection[TupleRow]]:
    engine = await connect_engine(migrated_url)
    for provider, catalog in CATALOGS.items():
        cursor = await engine.execute(
            "insert into sqlsync.connection (name, provider, schema_name)"
            " values (%s, %s, %s) returning id",
            [provider, provider, provider],
        )
        row = await cursor.fetchone()
        assert row is not None
        await install(engine, catalog, provider, row[0])
    await engine.close()
    with connect(migrated_url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("set role sqlsync_engine")
        yield connection


def copy(connection: Connection[TupleRow], spec: ObjectSpec, items: list[bytes]) -> None:
    encoder = copy_encoder(spec)
    page = encoder.rows(items)
    blobs = [(spec.table, encoder.columns, page.blob)]
    blobs += [(t, encoder.child_columns[t], b) for t, b in page.children.items()]
    for table, columns, blob in blobs:
        statement = copy_statement(quote(spec.provider, table), columns)
        with connection.cursor() as cursor, cursor.copy(statement.encode()) as stream:
            stream.write(blob)


def differences(
    connection: Connection[TupleRow], provider: str, table: str, rows: list[dict[str, Any]]
) -> Any:
    """What `rows` has and the table lacks, and the other way round, by Postgres' own eyes."""
    target = quote(provider, table)
    wanted = _encode(rows).decode()
    query = (
        "with wanted as (select to_jsonb(r) r"
        f" from jsonb_populate_recordset(null::{target}, %s) r),"
        f" held as (select to_jsonb(t) r from {target} t)"
        " select (select jsonb_agg(r) from (select * from wanted except all select * from held) x),"
        " (select jsonb_agg(r) from (select * from held except all select * from wanted) x)"
    )
    return connection.execute(query.encode(), [wanted]).fetchone()


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(data=st.data())
def test_no_record_is_refused_and_every_value_arrives(
    mirror: Connection[TupleRow], data: st.DataObject
) -> None:
    every = [spec for catalog in CATALOGS.values() for spec in catalog.objects]
    spec = data.draw(st.sampled_from(every))
    items = data.draw(st.lists(records(spec), min_size=1, max_size=4))
    wanted: dict[str, dict[str, Any]] = {}
    below: dict[str, dict[str, list[dict[str, Any]]]] = {c.table: {} for c in spec.children}
    for item in items:
        try:
            row = record_row(spec, item)
        except ProviderFault:
            continue
        wanted[row["id"]] = row
        for child in spec.children:
            below[child.table][row["id"]] = child_rows(spec, child, item)
    with mirror.transaction(force_rollback=True):
        copy(mirror, spec, items)
        expected = list(wanted.values())
        assert differences(mirror, spec.provider, spec.table, expected) == (None, None)
        for table, rows in below.items():
            expected = [row for of_one in rows.values() for row in of_one]
            assert differences(mirror, spec.provider, table, expected) == (None, None)


def test_the_sample_invoice_arrives_as_it_is(mirror: Connection[TupleRow]) -> None:
    item = json.dumps(
        {
            "Id": "145",
            "SyncToken": "1",
            "MetaData": {"LastUpdatedTime": "2026-03-02T09:15:40-08:00"},
            "TxnDate": "2026-02-20",
            "PrivateNote": 'tab\there, back\\slash, "quotes", 😀, nul\x00',
            "BillEmail": {"Address": "mara@ostrowcycling.example"},
            "Line": [{"Id": "1", "LineNum": 1, "Amount": 225.0}, {"Amount": 345.0}],
        }
    ).encode()
    copy(mirror, INVOICE, [item])
    row = mirror.execute(
        "select id, txn_date::text, private_note, bill_email_address, updated_at,"
        " line -> 0 ->> 'Amount', raw ->> 'Id' from quickbooks.invoice"
    ).fetchone()
    assert row == (
        "145",
        "2026-02-20",
        'tab\there, back\\slash, "quotes", 😀, nul\ufffd',
        "mara@ostrowcycling.example",
        datetime.fromisoformat("2026-03-02T09:15:40-08:00"),
        "225.0",
        "145",
    )
    lines = mirror.execute(
        "select id, position, amount::text from quickbooks.invoice_line order by position"
    ).fetchall()
    assert lines == [("1", 1, "225.0"), ("pos:2", 2, "345.0")]


def test_the_times_of_xero_arrive_as_they_are_meant(mirror: Connection[TupleRow]) -> None:
    item = (
        rb'{"InvoiceID":"c3a5","Date":"\/Date(1791244800000+0000)\/","DateString":"x","Total":779.70,'
        rb'"CurrencyRate":1.0000000000,"UpdatedDateUTC":"\/Date(1792466047513+0000)\/",'
        rb'"RepeatingInvoiceID":"00000000-0000-0000-0000-000000000000",'
        rb'"Contact":{"ContactID":"4be0","Name":"Tui Street Caf\u00e9","Addresses":[]},'
        rb'"LineItems":[{"LineItemID":"11f0","Quantity":24.0000,"UnitAmount":"27.5000"}]}'
    )
    copy(mirror, BILL, [item])
    row = mirror.execute(
        "select id, date::text, updated_at, total::text, currency_rate::text, contact_id,"
        " contact_name, repeating_invoice_id, raw ->> 'Date' from xero.invoice"
    ).fetchone()
    assert row == (
        "c3a5",
        "2026-10-06",
        datetime.fromisoformat("2026-10-20T03:14:07.513+00:00"),
        "779.70",
        "1.0000000000",
        "4be0",
        "Tui Street Café",
        None,
        "/Date(1791244800000+0000)/",
    )
    lines = mirror.execute(
        "select invoice_id, id, position, quantity::text, unit_amount::text"
        " from xero.invoice_line_item"
    ).fetchall()
    assert lines == [("c3a5", "11f0", 1, "24.0000", "27.5000")]


def test_no_table_and_no_column_is_called_by_a_word_of_sql(mirror: Connection[TupleRow]) -> None:
    """Unquoted, `user` would name the role and not the column."""
    found = mirror.execute("select word from pg_get_keywords() where catcode in ('R', 'T')")
    reserved = {word for (word,) in found}
    names = set()
    for catalog in CATALOGS.values():
        for spec in catalog.objects:
            for plan in table_plans(spec):
                names |= {plan.name, *(column.name for column in plan.columns)}
    assert not names & reserved
