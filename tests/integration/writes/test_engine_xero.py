"""What is particular to writing to Xero: lines, allocations, statuses, keys, limits, races."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sqlsync.errors import (
    DuplicateValue,
    NotPermitted,
    ProviderRefusal,
    RateLimited,
    ReadOnlyColumn,
    RuleBroken,
    StaleVersion,
)
from sqlsync.writes.model import Change

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/xero_world.py
from xero_company import Company
from xero_reading import single
from xero_world import CATALOG, SCHEMA, values
from xero_writes import LATER, TODAY, WRITES, Columns, sold

INVOICE = CATALOG.by_table["invoice"]


async def draft(xero: Company, **columns: Any) -> str:
    """A draft invoice of two lines."""
    given: Columns = {
        **WRITES["invoice"][0](xero.refs),
        "line_items": [sold(), sold("7.00")],
        **columns,
    }
    return await xero.insert("invoice", given)


async def lines(xero: Company, invoice: str) -> list[dict[str, Any]]:
    cursor = await xero.client.session.execute(
        f"select to_jsonb(t)::text from {SCHEMA}.invoice_line_item t"
        " where invoice_id = %s order by position",
        [invoice],
    )
    return [values(row[0]) for row in await cursor.fetchall()]


def line_change(old: dict[str, Any], **columns: Any) -> Change:
    return Change("invoice_line_item", "update", old, {**old, **columns})


async def test_lines_keep_their_ids_whatever_is_done_to_one_of_them(xero: Company) -> None:
    invoice = await draft(xero)
    first, second = await lines(xero, invoice)
    await xero.write(line_change(first, quantity=Decimal(5)))
    changed, same = await lines(xero, invoice)
    assert (changed["id"], changed["line_amount"]) == (first["id"], Decimal("100.00"))
    assert same == second
    new = {"invoice_id": invoice, "id": "new:1", "description": "Courier", "quantity": Decimal(1)}
    new |= {"unit_amount": Decimal(9), "account_code": "200", "position": None}
    result = await xero.write(Change("invoice_line_item", "insert", None, new))
    assert [line["id"] for line in await lines(xero, invoice)][:2] == [first["id"], second["id"]]
    assert result.keys["invoice_line_item", "new:1"] == (await lines(xero, invoice))[2]["id"]
    await xero.write(Change("invoice_line_item", "delete", same, None))
    assert [line["description"] for line in await lines(xero, invoice)] == [
        "House blend",
        "Courier",
    ]
    await xero.assert_same(INVOICE, invoice)


async def test_insert_is_a_put_and_an_update_a_post_to_the_records_own_address(
    xero: Company,
) -> None:
    already = len(xero.asked.writes)
    invoice = await draft(xero)
    await xero.write(await xero.client.update("invoice", invoice, reference="mine"))
    assert xero.asked.writes[already:] == [
        ("PUT", "/Invoices"),
        ("POST", f"/Invoices/{invoice}"),
    ]


async def test_several_rows_travel_together_and_one_refused_takes_all_back(
    xero: Company,
) -> None:
    taken = await xero.row("contact", await xero.insert("contact", {"name": xero.refs.new("A")}))
    assert taken is not None
    names = [xero.refs.new("Together") for _ in range(3)]
    already = len(xero.asked.writes)
    rows = [xero.client.insert("contact", name=name) for name in names]
    await xero.write(*rows)
    assert xero.asked.writes[already:] == [("PUT", "/Contacts")]

    others = [xero.refs.new("Alone"), taken["name"], xero.refs.new("Alone")]
    await xero.client.begin()
    with pytest.raises(DuplicateValue) as caught:
        rows = [xero.client.insert("contact", name=name) for name in others]
        await xero.client.execute(*rows)
    assert caught.value.column == "name"
    assert "row 2 of 3" in str(caught.value.detail)
    assert "2 rows of the statement had been written and were undone" in str(caught.value.detail)
    await xero.client.rollback()
    left = {c["Name"]: c["ContactStatus"] for c in xero.sim.records("contact")}
    # Nothing deletes a contact: what was made is archived.
    assert {left[name] for name in (others[0], others[2])} == {"ARCHIVED"}


@pytest.mark.parametrize(
    ("table", "status", "column"),
    [("invoice", "AUTHORISED", "VOIDED"), ("invoice", "DRAFT", "DELETED")],
)
async def test_a_status_that_ends_a_record_waits_for_commit(
    xero: Company, table: str, status: str, column: str
) -> None:
    invoice = await draft(xero, status=status)
    client = xero.client
    await client.begin()
    already = len(xero.asked.writes)
    await client.execute(await client.update(table, invoice, status=column))
    row = await xero.row(table, invoice)
    assert row is not None
    assert row["status"] == column
    await client.rollback()
    assert len(xero.asked.writes) == already
    row = await xero.row(table, invoice)
    assert row is not None
    assert row["status"] == status
    assert (await xero.states())[-1] == "dropped"

    await client.begin()
    await client.execute(await client.update(table, invoice, status=column))
    assert await client.commit() == []
    await client.engine._mirroring.idle()
    held = xero.sim.record(table, invoice)
    assert held is not None
    assert held["Status"] == column
    await xero.assert_same(INVOICE, invoice)

    with pytest.raises(RuleBroken, match="cannot become DRAFT"):
        await xero.write(await client.update(table, invoice, status="DRAFT"))
    await client.rollback()


async def test_such_a_status_stands_alone(xero: Company) -> None:
    invoice = await draft(xero, status="AUTHORISED")
    change = await xero.client.update("invoice", invoice, status="VOIDED", reference="gone")
    with pytest.raises(RuleBroken, match="status VOIDED must be set alone"):
        await xero.write(change)
    await xero.client.rollback()


async def test_allocations_are_rows_with_calls_of_their_own(xero: Company) -> None:
    note = await xero.insert(
        "credit_note", {**WRITES["credit_note"][0](xero.refs), "status": "AUTHORISED"}
    )
    invoice = xero.refs.document("ACCREC")["InvoiceID"]
    await xero.mirror("invoice", invoice)
    row = {"credit_note_id": note, "id": "new:1", "invoice_id": invoice}
    row |= {"amount": Decimal("10.00"), "date": TODAY}
    await xero.write(Change("credit_note_allocation", "insert", None, row))
    cursor = await xero.client.session.execute(
        f"select to_jsonb(t)::text from {SCHEMA}.credit_note_allocation t"
        " where credit_note_id = %s",
        [note],
    )
    [(text,)] = await cursor.fetchall()
    old = values(text)
    assert (old["amount"], old["invoice_id"]) == (Decimal("10.00"), invoice)
    await xero.assert_same(CATALOG.by_table["credit_note"], note)
    await xero.write(Change("credit_note_allocation", "delete", old, None))
    held = xero.sim.record("credit_note", note)
    assert held is not None
    assert [a for a in held["Allocations"] if not a["IsDeleted"]] == []


async def test_members_of_a_group_come_and_go_one_by_one(xero: Company) -> None:
    group = await xero.insert("contact_group", {"name": xero.refs.new("Club")})
    row = {"contact_group_id": group, "position": None, "contact_id": xero.refs.contact}
    await xero.write(Change("contact_group_contact", "insert", None, row))
    held = xero.sim.record("contact_group", group)
    assert held is not None
    assert [c["ContactID"] for c in held["Contacts"]] == [xero.refs.contact]
    await xero.assert_same(CATALOG.by_table["contact_group"], group)
    member = {**row, "position": 1, "name": held["Contacts"][0]["Name"]}
    await xero.write(Change("contact_group_contact", "delete", member, None))
    held = xero.sim.record("contact_group", group)
    assert held is not None
    assert held["Contacts"] == []


UNDONE = (
    "invoice",
    "bank_transaction",
    "credit_note",
    "payment",
    "batch_payment",
    "item",
    "account",
    "bank_transfer",
    "manual_journal",
    "purchase_order",
    "quote",
    "repeating_invoice",
    "tax_rate",
    "contact_group",
    "linked_transaction",
    "tracking_option",
)


@pytest.mark.parametrize("table", UNDONE)
async def test_a_rolled_back_insert_is_deleted_or_voided(xero: Company, table: str) -> None:
    given = WRITES[table][0](xero.refs)
    await xero.client.begin()
    change = xero.client.insert(table, **given)
    result = await xero.client.execute(change)
    record_id = result.keys[table, change.new["id"]]
    assert await xero.client.rollback() == []
    spec = CATALOG.by_table[table]
    text = single(xero.sim, table, record_id)
    held = values(text) if text is not None else None
    ended = ("DELETED", "VOIDED")
    assert held is None or held.get(spec.extra.get("status_member", "Status")) in ended


async def test_a_rolled_back_update_restores_the_lines_with_their_ids(xero: Company) -> None:
    invoice = await draft(xero)
    before = await lines(xero, invoice)
    await xero.client.begin()
    await xero.client.execute(line_change(before[0], quantity=Decimal(9), description="other"))
    await xero.client.execute(await xero.client.update("invoice", invoice, reference="other"))
    assert await xero.client.rollback() == []
    await xero.client.engine._mirroring.idle()
    assert await lines(xero, invoice) == before
    held = xero.sim.record("invoice", invoice)
    assert held is not None
    assert held["Reference"] == ""
    await xero.assert_same(INVOICE, invoice)


async def test_a_record_changed_in_xero_meanwhile_is_merged_or_stale(xero: Company) -> None:
    invoice = await draft(xero)
    xero.sim.person("invoice", "update", InvoiceID=invoice, DueDate=LATER[:-2] + "31")
    await xero.write(await xero.client.update("invoice", invoice, reference="mine"))
    await xero.assert_same(INVOICE, invoice)  # both changes are there
    row = await xero.row("invoice", invoice)
    assert row is not None
    assert (row["reference"], row["due_date"]) == ("mine", "2026-12-31")

    xero.sim.person("invoice", "update", InvoiceID=invoice, Reference="theirs")
    with pytest.raises(StaleVersion) as caught:
        await xero.write(await xero.client.update("invoice", invoice, reference="mine again"))
    assert caught.value.sqlstate == "40001"
    await xero.client.rollback()
    await xero.client.engine._mirroring.idle()
    await xero.assert_same(INVOICE, invoice)


@pytest.mark.parametrize("table", ["invoice", "contact", "payment", "item"])
async def test_a_create_whose_answer_is_lost_is_done_once(xero: Company, table: str) -> None:
    given = WRITES[table][0](xero.refs)
    before = len(xero.sim.records(table))
    xero.sim.trouble("drop", entity=table, operation="create", times=2)
    record_id = await xero.insert(table, given)
    assert len(xero.sim.records(table)) == before + 1
    await xero.assert_same(CATALOG.by_table[table], record_id)


@pytest.mark.parametrize("table", ["receipt", "contact_group", "payment_service"])
async def test_a_create_that_stays_unanswered_is_looked_for_and_not_sent_again(
    xero: Company, table: str
) -> None:
    """Xero keeps a key for six minutes only: sent again after them, it would make a second."""
    given = WRITES[table][0](xero.refs)
    before, already = len(xero.sim.records(table)), len(xero.asked.writes)
    xero.sim.trouble("drop", entity=table, operation="create", times=3)  # all tries of one call
    record_id = await xero.insert(table, given)
    assert len(xero.sim.records(table)) == before + 1
    assert len(xero.asked.writes) == already + 3
    await xero.assert_same(CATALOG.by_table[table], record_id)


async def _states(xero: Company) -> list[str]:
    async with xero.client.engine._journal._pool.connection() as connection:
        cursor = await connection.execute("select state from sqlsync.journal")
        return [row[0] for row in await cursor.fetchall()]


async def test_a_refused_minute_is_waited_for_and_a_refused_day_is_told(xero: Company) -> None:
    xero.sim.trouble("throttle", entity="contact", operation="create", seconds=1)
    xero.sim.trouble("throttle", entity="contact", operation="create", body="concurrent")
    await xero.insert("contact", {"name": xero.refs.new("Patient")})

    xero.sim.trouble("throttle", entity="contact", operation="create", body="day", seconds=7200)
    await xero.client.begin()
    with pytest.raises(RateLimited) as caught:
        await xero.client.execute(xero.client.insert("contact", name=xero.refs.new("Late")))
    assert caught.value.sqlstate == "53400"
    assert caught.value.retry_after > 3600
    assert (await _states(xero))[-1] == "refused"
    await xero.client.rollback()
    async with xero.client.engine._journal._pool.connection() as connection:
        await connection.execute("delete from sqlsync.rate")


async def test_a_missing_scope_refuses_writes_to_its_table_alone(xero: Company) -> None:
    given = WRITES["item"][0](xero.refs)
    problem = (
        '{"Type":null,"Title":"Unauthorized","Status":401,"Detail":"AuthorizationUnsuccessful"}'
    )
    xero.sim.trouble("status", status=401, body=problem, entity="item", operation="create", times=9)
    await xero.client.begin()
    with pytest.raises(NotPermitted) as caught:
        await xero.client.execute(xero.client.insert("item", **given))
    assert caught.value.sqlstate == "42501"
    assert "accounting.settings" in str(caught.value.hint)
    await xero.client.rollback()
    await xero.insert("contact", {"name": xero.refs.new("Still here")})


async def test_two_rows_that_say_the_same_are_two_records(xero: Company) -> None:
    """Receipts travel one by one, and the same words under one key would be one record."""
    given = WRITES["receipt"][0](xero.refs)
    rows = [xero.client.insert("receipt", **given) for _ in range(2)]
    result = await xero.write(*rows)
    assert len({result.keys["receipt", row.new["id"]] for row in rows}) == 2


async def test_documents_in_another_currency_keep_its_rate_to_the_last_digit(
    xero: Company,
) -> None:
    """A rate is foreign units for one at home; the bank's amount is worked out by it."""
    client = xero.client
    contact = await xero.insert(
        "contact", {"name": xero.refs.new("Sydney"), "default_currency": "AUD"}
    )
    rate = Decimal("0.9132456789")
    given = {
        "contact_id": contact,
        "currency_code": "AUD",
        "currency_rate": rate,
        "status": "AUTHORISED",
        "line_items": [sold("33.3333"), sold("0.0050")],
    }
    invoice = await draft(xero, **given)
    made = await client.image("invoice", invoice)
    assert (made["currency_code"], made["currency_rate"]) == ("AUD", rate)
    # Each line is rounded to cents, its tax too: 66.67 + 0.01, 10.00 + 0.00.
    assert (made["sub_total"], made["total_tax"], made["total"]) == (
        Decimal("66.68"),
        Decimal("10.00"),
        Decimal("76.68"),
    )
    assert [line["unit_amount"] for line in await lines(xero, invoice)] == [
        Decimal("33.3333"),
        Decimal("0.0050"),
    ]
    changed = await client.update("invoice", invoice, currency_code="NZD")
    await client.begin()
    with pytest.raises(ReadOnlyColumn) as refused:
        await client.execute(changed)
    assert refused.value.sqlstate == "428C9"
    await client.rollback()

    columns = {"invoice_id": invoice, "account_id": xero.refs.bank, "date": TODAY}
    await client.begin()
    result = await client.execute(client.insert("payment", **columns, amount=Decimal("50.00")))
    [payment] = result.keys.values()
    assert (await client.image("payment", payment))["bank_amount"] == Decimal("54.75")
    assert await client.rollback() == []
    held = single(xero.sim, "invoice", invoice)
    assert held is not None
    assert values(held)["AmountDue"] == Decimal("76.68")

    await xero.mirror("invoice", invoice)
    await xero.write(await client.update("invoice", invoice, currency_rate=Decimal("0.9")))
    payment = await xero.insert("payment", {**columns, "amount": Decimal("76.68")})
    assert (await client.image("payment", payment))["bank_amount"] == Decimal("85.20")
    await xero.assert_same(CATALOG.by_table["payment"], payment)
    await client.begin()
    with pytest.raises(ProviderRefusal, match="currency CHF"):
        await client.execute(
            client.insert("invoice", **{**WRITES["invoice"][0](xero.refs), "currency_code": "CHF"})
        )
    await client.rollback()
