"""Generated companies: the same seed, the same books; balances follow from documents."""

from __future__ import annotations

import time
from datetime import date
from decimal import Decimal
from typing import Any

from sqlsync.simulators.quickbooks import documents
from sqlsync.simulators.quickbooks.generate import generate
from sqlsync.simulators.quickbooks.store import Books
from sqlsync.simulators.quickbooks.values import decode

TODAY, NOW = date(2026, 3, 2), 1772471742


def every(books: Books, entity: str) -> list[dict[str, Any]]:
    rows = books.table(entity).rows.values()
    return [decode(documents.render(books, entity, row)) for row in rows]


def test_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    def text(seed: int) -> bytes:
        books = generate(20, 200, seed, TODAY, NOW)
        return b"".join(
            documents.render(books, name, row)
            for name, table in books.tables.items()
            for row in table.rows.values()
        )

    assert text(5) == text(5)
    assert text(5) != text(6)


def test_generated_documents_add_up_as_their_json_says() -> None:
    books = generate(50, 600, 3, TODAY, NOW)
    applied: dict[str, Decimal] = {}
    owed: dict[str, Decimal] = {}
    for payment in every(books, "Payment"):
        party = payment["CustomerRef"]["value"]
        owed[party] = owed.get(party, Decimal(0)) - payment["UnappliedAmt"]
        lines = sum(Decimal(line["Amount"]) for line in payment["Line"])
        assert payment["TotalAmt"] == lines + payment["UnappliedAmt"]
        for line in payment["Line"]:
            number = line["LinkedTxn"][0]["TxnId"]
            applied[number] = applied.get(number, Decimal(0)) + line["Amount"]
    for invoice in every(books, "Invoice"):
        amounts = {line["DetailType"]: Decimal(line["Amount"]) for line in invoice["Line"]}
        rows = [i for i in invoice["Line"] if i["DetailType"] == "SalesItemLineDetail"]
        for row in rows:
            detail = row["SalesItemLineDetail"]
            assert row["Amount"] == Decimal(detail["Qty"]) * detail["UnitPrice"]
        assert amounts["SubTotalLineDetail"] == sum(Decimal(row["Amount"]) for row in rows)
        total = amounts["SubTotalLineDetail"] - amounts.get("DiscountLineDetail", Decimal(0))
        assert invoice["TotalAmt"] == total + invoice["TxnTaxDetail"]["TotalTax"]
        assert invoice["Balance"] == invoice["TotalAmt"] - applied.get(invoice["Id"], Decimal(0))
        party = invoice["CustomerRef"]["value"]
        owed[party] = owed.get(party, Decimal(0)) + invoice["Balance"]
    for memo in every(books, "CreditMemo"):
        assert memo["RemainingCredit"] == memo["Balance"] == memo["TotalAmt"]
        party = memo["CustomerRef"]["value"]
        owed[party] = owed.get(party, Decimal(0)) - memo["Balance"]
    for customer in every(books, "Customer"):
        assert customer["Balance"] == owed.get(customer["Id"], Decimal(0))
    assert any(i["Balance"] == 0 for i in every(books, "Invoice"))
    assert any(0 < i["Balance"] < i["TotalAmt"] for i in every(books, "Invoice"))


def test_rewriting_a_generated_record_keeps_every_member(make_world: Any) -> None:
    world = make_world(customers=60, invoices=30)
    for entity in ("Customer", "Invoice", "Payment", "Vendor", "Item", "PurchaseOrder"):
        for number in world.books.table(entity).ids[:20]:
            before = world.read(entity, str(number))
            if before.get("Active") is False:
                continue
            after = world.sparse(entity, before, domain="QBO")
            for changing in ("SyncToken", "MetaData"):
                before.pop(changing), after.pop(changing)
            assert after == before


def test_changes_are_kept_in_the_order_they_happened() -> None:
    books = generate(50, 600, 3, TODAY, NOW)
    for table in books.tables.values():
        updated = [row.updated for row in table.rows.values()]
        assert updated == sorted(updated)
        assert table.ids == sorted(table.rows)
        assert all(at <= NOW for at in updated)


def test_ten_thousand_invoices_take_little_time() -> None:
    started = time.process_time()
    books = generate(1000, 10_000, 1, TODAY, NOW)
    assert len(books.table("Invoice").ids) == 10_000
    assert time.process_time() - started < 3
