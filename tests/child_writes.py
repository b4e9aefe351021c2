"""What can be written to the rows inside records, by child table: for tests that write to all.

Rows are told apart by what stands in them, since a provider orders its lists itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import quickbooks_writes as qb
import xero_writes as xero

Columns = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChildWrites:
    """rows: inserted by one statement; those but the last `kept` are deleted again.

    changes: what the last row is then given. refused: SQLSTATE of a provider that takes none.
    """

    rows: list[Columns]
    changes: Columns = field(default_factory=dict)
    kept: int = 1
    refused: str | None = None


def _two(columns: Columns, **changes: Any) -> ChildWrites:
    """Two rows, told apart by their description."""
    rows = [{**columns, "description": word} for word in ("for a moment", "to stay")]
    return ChildWrites(rows, changes)


_SALE = {
    "detail_type": "SalesItemLineDetail",
    "amount": Decimal("7.25"),
    "sales_item_line_detail_item_id": qb.ITEM,
}
_COST = {
    "detail_type": "AccountBasedExpenseLineDetail",
    "amount": Decimal("7.25"),
    "account_based_expense_line_detail_account_id": qb.RENT,
}


def _postings(word: str) -> list[Columns]:
    return [
        {
            "detail_type": "JournalEntryLineDetail",
            "amount": Decimal("3.10"),
            "journal_entry_line_detail_posting_type": kind,
            "journal_entry_line_detail_account_id": account,
            "description": f"{word}, {kind}",
        }
        for kind, account in (("Debit", qb.RENT), ("Credit", qb.BANK))
    ]


QUICKBOOKS: dict[str, ChildWrites] = {
    "company_info_name_value": ChildWrites(
        [{"name": "Colour", "value": "blue"}, {"name": "Mood", "value": "good"}], {"value": "fine"}
    ),
    "preferences_other_prefs_name_value": ChildWrites(
        [{"name": "Colour", "value": "blue"}, {"name": "Mood", "value": "good"}], {"value": "fine"}
    ),
    "vendor_other_contact_info": ChildWrites(
        [
            {"type": "TelephoneNumber", "telephone_free_form_number": "555-0101"},
            {"type": "TelephoneNumber", "telephone_free_form_number": "555-0102"},
        ],
        {"telephone_free_form_number": "555-0103"},
    ),
    "attachable_attachable_ref": ChildWrites(
        [
            {"entity_type": "Vendor", "entity_id": "1", "include_on_send": False},
            {"entity_type": "Customer", "entity_id": "2", "include_on_send": False},
        ],
        {"include_on_send": True},
    ),
    **{
        f"{sale}_line": _two(_SALE, amount=Decimal("8.15"))
        for sale in ("estimate", "invoice", "credit_memo", "refund_receipt", "sales_receipt")
    },
    **{
        f"{cost}_line": _two(_COST, amount=Decimal("8.15"))
        for cost in ("bill", "vendor_credit", "purchase", "purchase_order")
    },
    "journal_entry_line": ChildWrites(
        _postings("for a moment") + _postings("to stay"), {"description": "changed"}, kept=2
    ),
    "deposit_line": _two(
        {
            "detail_type": "DepositLineDetail",
            "amount": Decimal("7.25"),
            "deposit_line_detail_account_id": "92",
        },
        amount=Decimal("8.15"),
    ),
}


def quickbooks(made: Callable[..., Columns]) -> dict[str, ChildWrites]:
    """All of QuickBooks. made: makes a record at the provider, by entity and members."""
    customer, vendor = {"CustomerRef": {"value": "1"}}, {"VendorRef": {"value": "1"}}

    def invoice() -> str:
        return str(made("Invoice", **customer, Line=[qb.sale("20.00")])["Id"])

    def paying(amount: str) -> Columns:
        linked = [{"TxnId": invoice(), "TxnType": "Invoice"}]
        return {"amount": Decimal(amount), "linked_txn": linked}

    estimate = made("Estimate", **customer, Line=[qb.sale("20.00")])["Id"]
    order = made("PurchaseOrder", **vendor, APAccountRef={"value": "33"}, Line=[qb.cost("8.80")])[
        "Id"
    ]
    return QUICKBOOKS | {
        "invoice_linked_txn": ChildWrites([{"txn_id": estimate, "txn_type": "Estimate"}]),
        "bill_linked_txn": ChildWrites([{"txn_id": order, "txn_type": "PurchaseOrder"}]),
        "payment_line": ChildWrites([paying("5.10"), paying("6.10")], {"amount": Decimal("7.10")}),
    }


_ITEM = {"quantity": Decimal(1), "unit_amount": Decimal("7.25"), "account_code": xero.SALES}

XERO: dict[str, ChildWrites] = {
    **{
        f"{document}_line_item": _two(_ITEM, quantity=Decimal(2))
        for document in ("quote", "invoice", "credit_note")
    },
    "repeating_invoice_line_item": ChildWrites([{**_ITEM, "description": "no"}], refused="23514"),
    **{
        f"{document}_line_item": _two({**_ITEM, "account_code": code}, quantity=Decimal(2))
        for document, code in (
            ("purchase_order", xero.GENERAL),
            ("bank_transaction", xero.GENERAL),
            ("receipt", "493"),
        )
    },
    "manual_journal_journal_line": ChildWrites(
        [
            {"line_amount": sign * Decimal("3.10"), "account_code": code, "description": word}
            for word in ("for a moment", "to stay")
            for sign, code in ((1, xero.GENERAL), (-1, "400"))
        ],
        {"description": "changed"},
        kept=2,
    ),
    "contact_contact_person": ChildWrites(
        [{"first_name": "Rua", "last_name": "Hill"}, {"first_name": "Tahi", "last_name": "Hill"}],
        {"last_name": "Hills"},
    ),
    "tax_rate_tax_component": ChildWrites(
        [{"name": "City tax", "rate": Decimal("1.5")}, {"name": "Port tax", "rate": Decimal(1)}],
        {"rate": Decimal("1.25")},
    ),
}


# Written to by a step of its own: tests/acceptance/every_table.py.
ELSEWHERE = {"credit_note_allocation"}


def all_xero(contact: str) -> dict[str, ChildWrites]:
    """All of Xero. contact: the id of one that the organisation has."""
    return XERO | {"contact_group_contact": ChildWrites([{"contact_id": contact}])}


# Lists that a record of this kind has not, that another test writes to, or that are an echo of
# what is written elsewhere.
NOT_HERE = {
    # Of bundles alone; of companies that count their own tax (test_abroad.py).
    *("item_item_group_detail_item_group_line", "budget_budget_detail"),
    *(
        f"{table}_txn_tax_detail_tax_line"
        for table in (
            *("estimate", "bill", "invoice", "credit_memo", "refund_receipt", "sales_receipt"),
            *("purchase", "journal_entry", "purchase_order", "deposit"),
        )
    ),
    # Set from the other side.
    *("estimate_linked_txn", "vendor_credit_linked_txn", "purchase_linked_txn"),
    *("purchase_order_linked_txn", "sales_receipt_linked_txn", "bill_payment_line"),
    # Of records of another kind (test_engine_xero.py); whole lists with fixed places.
    *("prepayment_allocation", "overpayment_allocation"),
    *("contact_address", "contact_phone", "invoice_invoice_address"),
    *("credit_note_invoice_address", "expense_claim_receipt"),
    *("contact_sales_tracking_category", "contact_purchases_tracking_category"),
}
