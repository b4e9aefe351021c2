"""The engine with the real adapter and the simulated QuickBooks, over HTTP."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sqlsync.errors import DuplicateValue, StaleVersion
from sqlsync.writes.model import Change
from sqlsync.writes.values import decode

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/company_world.py
from company_world import Company


def line(item: str, quantity: int, price: str) -> dict[str, Any]:
    return {
        "DetailType": "SalesItemLineDetail",
        "Amount": quantity * Decimal(price),
        "SalesItemLineDetail": {
            "ItemRef": {"value": item},
            "Qty": quantity,
            "UnitPrice": Decimal(price),
        },
    }


async def an_item(company: Company) -> str:
    items = await company.get("books/item")
    return next(i["Id"] for i in items if i["Type"] == "Service" and i["Active"])


async def test_an_invoice_comes_back_with_the_providers_totals(company: Company) -> None:
    client, item = company.client, await an_item(company)
    await client.begin()
    change = client.insert(
        "invoice", customer_id="1", line=[line(item, 2, "10.25"), line(item, 1, "0.50")]
    )
    result = await client.execute(change)
    invoice_id = result.keys["invoice", change.new["id"]]
    assert await company.column("invoice", "total_amt", invoice_id) == Decimal("21.00")
    await client.commit()
    assert await company.states() == ["mirrored"]
    held = await company.get(f"books/invoice/{invoice_id}")
    assert held["TotalAmt"] == 21.0


async def test_lines_are_edited_through_their_table(company: Company) -> None:
    client, item = company.client, await an_item(company)
    await client.begin()
    change = client.insert(
        "invoice", customer_id="1", line=[line(item, 2, "10.00"), line(item, 1, "5.00")]
    )
    invoice_id = (await client.execute(change)).keys["invoice", change.new["id"]]
    cursor = await client.session.execute(
        "select (to_jsonb(l))::text from quickbooks.invoice_line l where invoice_id = %s"
        " and detail_type = 'SalesItemLineDetail' order by position",
        [invoice_id],
    )
    first, second = [decode(row[0]) for row in await cursor.fetchall()]
    new = client.insert(
        "invoice_line",
        invoice_id=invoice_id,
        amount=Decimal("7.00"),
        detail_type="SalesItemLineDetail",
        sales_item_line_detail_item_id=item,
    )
    result = await client.execute(
        _changed("invoice_line", first, description="Wheels"),
        _gone("invoice_line", second),
        new,
    )
    await client.commit()
    held = await company.get(f"books/invoice/{invoice_id}")
    assert held["TotalAmt"] == 27.0
    sold = [row for row in held["Line"] if row["DetailType"] == "SalesItemLineDetail"]
    assert [row.get("Description") for row in sold] == ["Wheels", None]
    assert sold[0]["Id"] == first["id"]
    assert result.keys["invoice_line", new.new["id"]] == sold[1]["Id"]


def _changed(table: str, old: dict[str, Any], **columns: Any) -> Any:
    return Change(table, "update", old, {**old, **columns})


def _gone(table: str, old: dict[str, Any]) -> Any:
    return Change(table, "delete", old, None)


async def test_a_rolled_back_invoice_and_its_payment_leave_the_books_as_they_were(
    company: Company,
) -> None:
    client, item = company.client, await an_item(company)
    before = await company.get("books/customer/1")
    counts = await company.get("books")
    await client.begin()
    invoice = client.insert("invoice", customer_id="1", line=[line(item, 2, "10.00")])
    invoice_id = (await client.execute(invoice)).keys["invoice", invoice.new["id"]]
    links = [{"TxnId": invoice_id, "TxnType": "Invoice"}]
    await client.execute(
        client.insert(
            "payment",
            customer_id="1",
            total_amt=Decimal("20.00"),
            line=[{"Amount": Decimal("20.00"), "LinkedTxn": links}],
        )
    )
    assert await client.rollback() == []
    assert await company.get("books") == counts
    assert (await company.get("books/customer/1"))["Balance"] == before["Balance"]
    assert await company.states() == ["undone", "undone"]
    assert await company.column("invoice", "id", invoice_id) is None


async def test_a_duplicate_name_is_23505_and_changes_nothing(company: Company) -> None:
    client = company.client
    other = (await company.get("books/customer/2"))["DisplayName"]
    await client.begin()
    with pytest.raises(DuplicateValue) as caught:
        await client.execute(await client.update("customer", "1", display_name=other))
    assert (caught.value.sqlstate, caught.value.column) == ("23505", "display_name")
    assert caught.value.message.startswith("[QuickBooks] Customer `1`: ")
    await client.rollback()
    assert await company.states() == ["refused"]


async def test_a_customer_deleted_and_rolled_back_has_its_name_again(company: Company) -> None:
    client = company.client
    await client.begin()
    new = client.insert("customer", display_name="Brand New")
    customer_id = (await client.execute(new)).keys["customer", new.new["id"]]
    await client.commit()
    await client.begin()
    await client.execute(await client.delete("customer", customer_id))
    assert (await company.get(f"books/customer/{customer_id}"))["Active"] is False
    await client.rollback()
    held = await company.get(f"books/customer/{customer_id}")
    assert (held["Active"], held["DisplayName"]) == (True, "Brand New")


async def test_a_stale_write_is_merged_or_refused(company: Company) -> None:
    client = company.client
    await client.begin()
    change = await client.update("customer", "1", notes="mine")
    body = {"Id": "1", "Title": "Prof"}
    await company.post("books", {"entity": "customer", "operation": "update", "body": body})
    await client.execute(change)
    await client.commit()
    held = await company.get("books/customer/1")
    assert (held["Notes"], held["Title"]) == ("mine", "Prof")
    await client.begin()
    change = await client.update("customer", "1", notes="mine again")
    body = {"Id": "1", "Notes": "theirs"}
    await company.post("books", {"entity": "customer", "operation": "update", "body": body})
    with pytest.raises(StaleVersion):
        await client.execute(change)
    await client.rollback()
    assert (await company.get("books/customer/1"))["Notes"] == "theirs"


async def test_a_reply_dropped_after_the_write_is_one_record(company: Company) -> None:
    client = company.client
    await company.post("trouble", {"kind": "drop", "times": 1, "match": {"entity": "customer"}})
    await client.begin()
    await client.execute(client.insert("customer", display_name="Only Once"))
    await client.commit()
    found = [c for c in await company.get("books/customer") if c["DisplayName"] == "Only Once"]
    assert len(found) == 1
    assert await company.states() == ["mirrored"]


async def test_forty_rows_travel_in_two_batches(company: Company) -> None:
    client = company.client
    await client.begin()
    await client.execute(*(client.insert("customer", display_name=f"Batch {n}") for n in range(40)))
    await client.commit()
    counts = (await company.get("requests"))["counts"]
    assert counts["batch"] == 2
    assert await company.states() == ["mirrored"] * 40
