"""Insert, read, update and delete of every object, by the engine and over HTTP.

What the catalog says an object can do is done; what it says it cannot do is refused as a
read-only table, and nothing is sent.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from schema.loader import load_catalog
from schema.model import DeleteMeans, ObjectSpec
from schema.rows import record_row
from sqlsync.errors import ReadOnlyTable
from sqlsync.providers.quickbooks.shapes import presented
from sqlsync.writes.model import Change

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/company_world.py
from company_world import Company
from quickbooks_writes import BANK, BOUGHT, VENDOR, WRITES, Columns, linked

CATALOG = load_catalog("quickbooks")


async def a_bill_to_pay(company: Company) -> Columns:
    bill = await inserted(company, "bill", BOUGHT)
    return {
        "vendor_id": VENDOR,
        "pay_type": "Check",
        "check_payment_bank_account_id": BANK,
        "total_amt": Decimal("8.80"),
        "line": [linked("Bill", bill, "8.80")],
    }


NEEDING: dict[str, tuple[Callable[[Company], Awaitable[Columns]], Columns]] = {
    "bill_payment": (a_bill_to_pay, {"private_note": "by hand"}),
}

writable = [s for s in CATALOG.objects if s.can("create") or s.can("update")]
read_only = [s for s in CATALOG.objects if s not in writable]


def test_the_table_names_every_object_that_can_be_written() -> None:
    assert {*WRITES, *NEEDING} == {spec.table for spec in writable}


@pytest.mark.parametrize("spec", writable, ids=lambda s: s.table)
async def test_an_object_is_inserted_read_updated_and_deleted(
    company: Company, spec: ObjectSpec
) -> None:
    if spec.table in NEEDING:
        given, changes = await NEEDING[spec.table][0](company), NEEDING[spec.table][1]
    else:
        given, changes = WRITES[spec.table]
    if spec.can("create"):
        record_id = await inserted(company, spec.table, given)
    else:
        await refused(company, company.client.insert(spec.table, **_any_columns(spec)))
        record_id = min(await records(company, spec))
        await company.fetch(spec.table, record_id)
    await assert_same(company, spec, record_id)

    client = company.client
    if not spec.can("update"):
        old = await client.image(spec.table, record_id)
        column = next(c for c in old if c not in ("id", "sync_token"))
        await refused(company, Change(spec.table, "update", old, {**old, column: "x"}))
    elif changes:
        await client.begin()
        await client.execute(await client.update(spec.table, record_id, **changes))
        await client.commit()
        await assert_same(company, spec, record_id)
        after = await client.image(spec.table, record_id)
        assert {column: after[column] for column in changes} == changes

    if spec.delete_means is DeleteMeans.NONE:
        await refused(company, await client.delete(spec.table, record_id))
        return
    await client.begin()
    result = await client.execute(await client.delete(spec.table, record_id))
    await client.commit()
    if spec.delete_means is DeleteMeans.DEACTIVATE:
        assert result.notices
        await assert_same(company, spec, record_id)
        assert await company.column(spec.table, "active", record_id) is False
    else:
        assert record_id not in await records(company, spec)
        assert await company.column(spec.table, "id", record_id) is None
    assert set(await company.states()) == {"mirrored"}


@pytest.mark.parametrize("spec", read_only, ids=lambda s: s.table)
async def test_a_read_only_object_takes_no_write(company: Company, spec: ObjectSpec) -> None:
    record_id = min(await records(company, spec))
    await company.fetch(spec.table, record_id)
    await assert_same(company, spec, record_id)
    old = await company.client.image(spec.table, record_id)
    column = next(c for c in old if c != "id")
    await refused(company, company.client.insert(spec.table, **_any_columns(spec)))
    await refused(company, Change(spec.table, "update", old, {**old, column: "x"}))
    await refused(company, Change(spec.table, "delete", old, None))
    for child in spec.children:
        row = {child.parent_column: record_id, "id": "new:1", child.fields[0].column: "x"}
        await refused(company, Change(child.table, "insert", None, row))
    assert await company.states() == []


@pytest.mark.parametrize("table", ["journal_entry", "deposit", "transfer", "recurring_transaction"])
async def test_a_rolled_back_insert_leaves_nothing(company: Company, table: str) -> None:
    before = await records(company, CATALOG.by_table[table])
    await company.client.begin()
    await company.client.execute(company.client.insert(table, **WRITES[table][0]))
    assert await company.client.rollback() == []
    assert await records(company, CATALOG.by_table[table]) == before


async def test_a_template_without_a_type_is_refused_before_anything_is_sent(
    company: Company,
) -> None:
    given, _ = WRITES["recurring_transaction"]
    await company.client.begin()
    with pytest.raises(Exception, match="which type of transaction it makes") as caught:
        columns = {name: value for name, value in given.items() if name != "type"}
        await company.client.execute(company.client.insert("recurring_transaction", **columns))
    assert caught.value.sqlstate == "23502"  # type: ignore[attr-defined]
    await company.client.rollback()


def _any_columns(spec: ObjectSpec) -> Columns:
    return {next(f.column for f in spec.fields if f.column != "id"): "x"}


async def inserted(company: Company, table: str, columns: Columns) -> str:
    client = company.client
    await client.begin()
    change = client.insert(table, **columns)
    result = await client.execute(change)
    await client.commit()
    return str(result.keys[table, change.new["id"]])


async def refused(company: Company, change: Change) -> None:
    await company.client.begin()
    with pytest.raises(ReadOnlyTable) as caught:
        await company.client.execute(change)
    assert caught.value.sqlstate == "55000"
    assert caught.value.message.startswith("[QuickBooks] ")
    await company.client.rollback()


async def records(company: Company, spec: ObjectSpec) -> dict[str, bytes]:
    """All that the company holds of an object: id -> JSON, as it is mirrored."""
    answer = await company.control.get(f"/_control/books/{spec.resource}")
    assert answer.status_code == 200, answer.text
    found = json.loads(answer.content, parse_float=Decimal)
    texts = [presented(spec, json.dumps(r, default=str).encode()) for r in found]
    return {json.loads(text)["Id"]: text for text in texts}


async def assert_same(company: Company, spec: ObjectSpec, record_id: str) -> None:
    """Every column of the mirrored row holds what the company's record says."""
    held = record_row(spec, (await records(company, spec))[record_id])
    cursor = await company.client.session.execute(
        f'select to_jsonb(t)::text from quickbooks."{spec.table}" t where id = %s', [record_id]
    )
    (text,) = await cursor.fetchone()
    mirrored = json.loads(text, parse_float=Decimal)
    for field in spec.fields:
        if field.type.value in ("text", "boolean", "date", "numeric"):
            assert mirrored[field.column] == held[field.column], field.column
