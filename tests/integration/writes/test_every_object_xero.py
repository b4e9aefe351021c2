"""Insert, read, update and delete of every Xero object, by the engine and over HTTP.

What the catalog says an object can do is done; what it says it cannot do is refused as a
read-only table, and nothing is sent. The organisation is looked at by a reading of our own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from schema.model import DeleteMeans, ObjectSpec
from sqlsync.errors import ReadOnlyTable
from sqlsync.writes.model import Change
from sqlsync.writes.payload import Payload

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/xero_world.py
import xero_reading
from xero_company import Company
from xero_world import CATALOG, SCHEMA, values
from xero_writes import WRITES

writable = [s for s in CATALOG.objects if s.can("create")]
read_only = [s for s in CATALOG.objects if not s.can("create") and not s.can("update")]
NOT_MADE = {"overpayment", "prepayment"}  # born as bank transactions; see allocations


def test_the_table_names_every_object_that_can_be_written() -> None:
    assert set(WRITES) == {spec.table for spec in writable}
    rest = {s.table for s in CATALOG.objects} - set(WRITES) - {s.table for s in read_only}
    assert rest == NOT_MADE


@pytest.mark.parametrize("spec", writable, ids=lambda s: s.table)
async def test_an_object_is_inserted_read_updated_and_deleted(
    xero: Company, spec: ObjectSpec
) -> None:
    given, changes = WRITES[spec.table][0](xero.refs), WRITES[spec.table][1]
    record_id = await xero.insert(spec.table, given)
    await xero.assert_same(spec, record_id)

    client = xero.client
    if not spec.can("update"):
        old = await client.image(spec.table, record_id)
        column = next(c for c in old if c != "id")
        await refused(xero, Change(spec.table, "update", old, {**old, column: "x"}))
    elif changes:
        await xero.write(await client.update(spec.table, record_id, **changes))
        await xero.assert_same(spec, record_id)
        after = await client.image(spec.table, record_id)
        plain = {c: v for c, v in changes.items() if not isinstance(v, list)}
        assert {column: after[column] for column in plain} == plain

    if spec.delete_means is DeleteMeans.NONE:
        await refused(xero, await client.delete(spec.table, record_id))
        return
    result = await xero.write(await client.delete(spec.table, record_id))
    assert result.notices
    await client.engine._mirroring.idle()
    held = xero_reading.single(xero.sim, spec.table, record_id)
    if spec.delete_means is DeleteMeans.DELETE:
        assert held is None or values(held).get("Status") == "DELETED"
        assert await xero.row(spec.table, record_id) is None
    else:
        status = values(held)[spec.extra["status_member"]]
        assert status in ("DELETED", "VOIDED", "ARCHIVED")
        await xero.assert_same(spec, record_id)
    assert set(await xero.states()) == {"mirrored"}


@pytest.mark.parametrize("spec", read_only, ids=lambda s: s.table)
async def test_a_read_only_object_takes_no_write(xero: Company, spec: ObjectSpec) -> None:
    if spec.table == "attachment":
        invoice = xero.refs.document("ACCREC")["InvoiceID"]
        xero.sim.call("PUT", f"/Invoices/{invoice}/Attachments/note.txt", b"hello")
    record_id, raw = min(xero_reading.listed(xero.sim, spec.table).items())
    payload = Payload(SCHEMA, upserts=[(spec, raw)]).to_json().decode()
    await xero.client.session.execute("select sqlsync.apply_rows(%s::jsonb)", [payload])
    await xero.assert_same(spec, record_id)
    asked = len(xero.asked.writes)
    old = await xero.client.image(spec.table, record_id)
    column = next(c for c in old if c != "id")
    await refused(xero, xero.client.insert(spec.table, **{column: "x"}))
    await refused(xero, Change(spec.table, "update", old, {**old, column: "x"}))
    await refused(xero, Change(spec.table, "delete", old, None))
    for child in spec.children:
        row = {child.parent_column: record_id, "id": "new:1", child.fields[0].column: "x"}
        await refused(xero, Change(child.table, "insert", None, row))
    assert await xero.states() == []
    assert len(xero.asked.writes) == asked


async def refused(xero: Company, change: Change) -> None:
    await xero.client.begin()
    with pytest.raises(ReadOnlyTable) as caught:
        await xero.client.execute(change)
    assert caught.value.sqlstate == "55000"
    assert caught.value.message.startswith("[Xero] ")
    await xero.client.rollback()
