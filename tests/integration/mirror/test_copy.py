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
from schema.ddl import quote
from schema.loader import load_catalog
from schema.model import ObjectSpec
from schema.rows import child_rows, record_row
from sqlsync.database import Connection, TupleRow, connect, connect_engine
from sqlsync.errors import ProviderFault
from sqlsync.mirror.install import install

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/nasty.py
from nasty import records

CATALOG = load_catalog("quickbooks")
INVOICE = CATALOG.by_table["invoice"]
_encode = msgspec.json.Encoder(decimal_format="number").encode


@pytest.fixture
async def mirror(migrated_url: str) -> AsyncIterator[Connection[TupleRow]]:
    engine = await connect_engine(migrated_url)
    cursor = await engine.execute(
        "insert into sqlsync.connection (name, provider, schema_name)"
        " values ('q', 'quickbooks', 'quickbooks') returning id"
    )
    row = await cursor.fetchone()
    assert row is not None
    await install(engine, CATALOG, "quickbooks", row[0])
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
        statement = copy_statement(quote("quickbooks", table), columns)
        with connection.cursor() as cursor, cursor.copy(statement.encode()) as stream:
            stream.write(blob)


def differences(connection: Connection[TupleRow], table: str, rows: list[dict[str, Any]]) -> Any:
    """What `rows` has and the table lacks, and the other way round, by Postgres' own eyes."""
    target = quote("quickbooks", table)
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
    max_examples=40,
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
    spec = data.draw(st.sampled_from(CATALOG.objects))
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
        assert differences(mirror, spec.table, list(wanted.values())) == (None, None)
        for table, rows in below.items():
            expected = [row for of_one in rows.values() for row in of_one]
            assert differences(mirror, table, expected) == (None, None)


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
