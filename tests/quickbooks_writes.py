"""What can be written to each QuickBooks object, as rows: for tests that write to all of them.

For companies as the simulator makes them: its accounts have fixed ids.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

Columns = dict[str, Any]
BANK, CARD, UNDEPOSITED, RENT, ITEM = "35", "42", "4", "61", "3"
CUSTOMER, VENDOR, EMPLOYEE = "1", "1", "1"


def sale(amount: str) -> Columns:
    return {
        "DetailType": "SalesItemLineDetail",
        "Amount": Decimal(amount),
        "SalesItemLineDetail": {"ItemRef": {"value": ITEM}},
    }


def cost(amount: str) -> Columns:
    return {
        "DetailType": "AccountBasedExpenseLineDetail",
        "Amount": Decimal(amount),
        "AccountBasedExpenseLineDetail": {"AccountRef": {"value": RENT}},
    }


def posting(kind: str, account: str) -> Columns:
    return {
        "DetailType": "JournalEntryLineDetail",
        "Amount": Decimal("12.50"),
        "JournalEntryLineDetail": {"PostingType": kind, "AccountRef": {"value": account}},
    }


def linked(kind: str, number: str, amount: str, **more: str) -> Columns:
    return {
        "Amount": Decimal(amount),
        "LinkedTxn": [{"TxnId": number, "TxnType": kind, **more}],
    }


SOLD: Columns = {"customer_id": CUSTOMER, "line": [sale("20.00")]}
BOUGHT: Columns = {"vendor_id": VENDOR, "line": [cost("8.80")]}


def bill_payment(bill: str) -> Columns:
    """Pays a bill like the one below."""
    return {
        "vendor_id": VENDOR,
        "pay_type": "Check",
        "check_payment_bank_account_id": BANK,
        "total_amt": Decimal("8.80"),
        "line": [linked("Bill", bill, "8.80")],
    }


SCHEDULE: Columns = {
    "recurring_info_name": "Monthly service",
    "recurring_info_recur_type": "Automated",
    "recurring_info_schedule_info_interval_type": "Monthly",
    "recurring_info_schedule_info_start_date": "2026-04-01",
}

# What is inserted, and what is changed afterwards.
WRITES: dict[str, tuple[Columns, Columns]] = {
    "account": (
        {"name": "Parking", "account_type": "Expense", "account_sub_type": "Travel"},
        {"description": "By the day"},
    ),
    "attachable": (
        {
            "note": "Prefers mornings",
            "attachable_ref": [{"EntityRef": {"type": "Customer", "value": CUSTOMER}}],
        },
        {"note": "Prefers evenings"},
    ),
    "bill": (BOUGHT, {"private_note": "late", "due_date": "2030-01-31"}),
    "budget": (
        {"name": "Next year", "start_date": "2030-01-01", "end_date": "2030-12-31"},
        {"name": "The year after", "active": False},
    ),
    "class": ({"name": "Wholesale"}, {"name": "Trade"}),
    "company_currency": ({"code": "SEK"}, {}),
    "credit_card_payment": (
        {
            "credit_card_account_id": CARD,
            "bank_account_id": BANK,
            "amount": Decimal("64.20"),
        },
        {"private_note": "in two parts"},
    ),
    "credit_memo": (SOLD, {"customer_memo_value": "Sorry"}),
    "customer": ({"display_name": "New Club"}, {"notes": "met at the fair"}),
    "department": ({"name": "Hill shop"}, {"name": "Hilltop shop"}),
    "deposit": (
        {
            "deposit_to_account_id": BANK,
            "line": [
                {
                    "Amount": Decimal("25.00"),
                    "DetailType": "DepositLineDetail",
                    "DepositLineDetail": {"AccountRef": {"value": "92"}},
                }
            ],
        },
        {"private_note": "at the counter"},
    ),
    "employee": (
        {"given_name": "Ada", "family_name": "Quill"},
        {"print_on_check_name": "A. Quill"},
    ),
    "estimate": (SOLD, {"txn_status": "Accepted", "accepted_by": "Mara"}),
    "invoice": (SOLD, {"private_note": "by courier"}),
    "item": (
        {"name": "Ride-along", "type": "Service", "income_account_id": "1"},
        {"unit_price": Decimal("12.5")},
    ),
    "journal_code": ({"name": "OD", "type": "Others"}, {"description": "Divers"}),
    "journal_entry": (
        {"line": [posting("Debit", RENT), posting("Credit", BANK)]},
        {"private_note": "month end", "adjustment": True},
    ),
    "payment": (
        {"customer_id": CUSTOMER, "total_amt": Decimal("20.00")},
        {"payment_ref_num": "77"},
    ),
    "payment_method": ({"name": "Voucher"}, {"name": "Gift voucher"}),
    "purchase": (
        {"payment_type": "CreditCard", "account_id": CARD, "line": [cost("8.80")]},
        {"entity_id": VENDOR, "entity_type": "Vendor", "doc_number": "K-1"},
    ),
    "purchase_order": ({**BOUGHT, "ap_account_id": "33"}, {"memo": "by Friday"}),
    "recurring_transaction": (
        {
            **SCHEDULE,
            "type": "Invoice",
            "transaction": {"CustomerRef": {"value": CUSTOMER}, "Line": [sale("90.00")]},
        },
        {},
    ),
    "refund_receipt": ({**SOLD, "deposit_to_account_id": BANK}, {"private_note": "broken"}),
    "sales_receipt": (SOLD, {"payment_ref_num": "12"}),
    "tax_agency": ({"display_name": "Harbour Tax Office"}, {}),
    "tax_code": (
        {
            "name": "Harbour",
            "sales_tax_rate_list_tax_rate_detail": [
                {"TaxRateName": "Harbour", "RateValue": Decimal("7.5"), "TaxAgencyId": "1"}
            ],
        },
        {},
    ),
    "term": ({"name": "Net 7", "due_days": 7}, {"due_days": 8}),
    "time_activity": (
        {"name_of": "Employee", "employee_id": EMPLOYEE, "hours": 2, "txn_date": "2026-03-02"},
        {"hours": 3, "minutes": 15, "description": "Bench"},
    ),
    "transfer": (
        {"from_account_id": BANK, "to_account_id": "36", "amount": Decimal("500.00")},
        {"amount": Decimal("450.00")},
    ),
    "vendor": ({"display_name": "New Frames"}, {"acct_num": "LK-1"}),
    "vendor_credit": (BOUGHT, {"private_note": "returned"}),
    # Not made by clients: what is there is changed.
    "company_info": ({}, {"legal_name": "Hillside Bicycle Works LLC"}),
    "exchange_rate": ({}, {"rate": Decimal("1.25")}),
    "preferences": ({}, {"sales_forms_prefs_allow_deposit": False}),
}
