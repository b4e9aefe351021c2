"""What can be written to each Xero object, as rows: for tests that write to all of them.

Each entry gives what is inserted and what is changed afterwards, for organisations as the
simulator makes them (its accounts, items and tax rates have fixed codes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

from sqlsync.simulators.testing_xero import XeroSimulator

Columns = dict[str, Any]
SALES, COGS, GENERAL, BANK, SAVINGS = "200", "310", "429", "090", "091"
TODAY, LATER = "2026-11-20", "2026-12-20"


@dataclass
class Refs:
    """What rows refer to, looked up once. `new` gives a word that nobody has used."""

    sim: XeroSimulator
    numbers: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        accounts = {a.get("Code"): a["AccountID"] for a in self.sim.records("account")}
        self.bank, self.savings = accounts[BANK], accounts[SAVINGS]
        self.contact = self.made("contact", Name="Mānuka Street Deli")["ContactID"]
        self.user = self.sim.records("user")[0]["UserID"]

    def made(self, entity: str, **body: Any) -> dict[str, Any]:
        return self.sim.person(entity, "create", **body)

    def new(self, word: str) -> str:
        return f"{word} {next(self.numbers)}"

    def document(self, kind: str, status: str = "AUTHORISED") -> dict[str, Any]:
        """A sales invoice (ACCREC) or a bill (ACCPAY) of somebody else's."""
        line = {"Description": "Beans", "Quantity": 2, "UnitAmount": 20, "AccountCode": SALES}
        if kind == "ACCPAY":
            line["AccountCode"] = GENERAL
        return self.made(
            "invoice",
            Type=kind,
            Contact={"ContactID": self.contact},
            Date=TODAY,
            DueDate=LATER,
            Status=status,
            LineItems=[line],
        )


def sold(amount: str = "20.00", account: str = SALES) -> Columns:
    return {
        "Description": "House blend",
        "Quantity": Decimal(2),
        "UnitAmount": Decimal(amount),
        "AccountCode": account,
    }


def sale(r: Refs) -> Columns:
    return {"contact_id": r.contact, "date": TODAY, "line_items": [sold()]}


def _invoice(r: Refs) -> Columns:
    return {**sale(r), "type": "ACCREC", "due_date": LATER, "status": "DRAFT"}


def _payment(r: Refs) -> Columns:
    invoice = r.document("ACCREC")["InvoiceID"]
    return {
        "invoice_id": invoice,
        "account_id": r.bank,
        "date": TODAY,
        "amount": Decimal("12.50"),
        "reference": "part",
    }


def _batch(r: Refs) -> Columns:
    bills = [r.document("ACCPAY")["InvoiceID"] for _ in range(2)]
    rows = [{"Invoice": {"InvoiceID": bill}, "Amount": Decimal("10.00")} for bill in bills]
    return {"account_id": r.bank, "date": TODAY, "reference": "run", "payments": rows}


def _link(r: Refs) -> Columns:
    bill = r.document("ACCPAY")
    line = bill["LineItems"][0]["LineItemID"]
    return {"source_transaction_id": bill["InvoiceID"], "source_line_item_id": line}


def _claim(r: Refs) -> Columns:
    receipt = r.made(
        "receipt",
        User={"UserID": r.user},
        Contact={"ContactID": r.contact},
        Date=TODAY,
        LineItems=[{"Description": "Taxi", "Quantity": 1, "UnitAmount": 30, "AccountCode": "493"}],
    )
    return {"user_id": r.user, "receipts": [{"ReceiptID": receipt["ReceiptID"]}]}


def _category(r: Refs) -> Columns:
    """Two may be active, and a generated organisation has two."""
    active = [c for c in r.sim.records("tracking_category") if c["Status"] == "ACTIVE"]
    for category in active[1:]:
        key = category["TrackingCategoryID"]
        r.sim.person("tracking_category", "archive", TrackingCategoryID=key)
    return {"name": r.new("Season")}


def _component(rate: str) -> list[Columns]:
    return [{"Name": "State tax", "Rate": Decimal(rate)}]


# table: (what is inserted, what is changed afterwards)
Entry = tuple[Callable[[Refs], Columns], Columns]
WRITES: dict[str, Entry] = {
    "account": (
        lambda r: {"code": r.new("W"), "name": r.new("Parking"), "type": "EXPENSE"},
        {"description": "By the day"},
    ),
    "bank_transaction": (
        lambda r: {
            "type": "SPEND",
            "contact_id": r.contact,
            "bank_account_id": r.bank,
            "date": TODAY,
            "line_items": [sold("8.80", GENERAL)],
        },
        {"reference": "at the counter"},
    ),
    "bank_transfer": (
        lambda r: {
            "from_bank_account_id": r.bank,
            "to_bank_account_id": r.savings,
            "amount": Decimal("500.00"),
            "date": TODAY,
        },
        {},
    ),
    "batch_payment": (_batch, {}),
    "contact": (
        lambda r: {"name": r.new("New Club"), "email_address": "club@example.com"},
        {"first_name": "Mere", "account_number": "A-1"},
    ),
    "contact_group": (lambda r: {"name": r.new("Fairs")}, {"name": "Summer fairs"}),
    "credit_note": (
        lambda r: {**sale(r), "type": "ACCRECCREDIT", "status": "DRAFT"},
        {"reference": "returned"},
    ),
    "currency": (lambda r: {"code": "SEK"}, {}),
    "employee": (
        lambda r: {"first_name": r.new("Ada"), "last_name": "Quill"},
        {"last_name": "Quillon"},
    ),
    "expense_claim": (_claim, {"status": "AUTHORISED"}),
    "history_record": (
        lambda r: {
            "details": "Called about the order",
            "parent_endpoint": "Contacts",
            "parent_id": r.contact,
        },
        {},
    ),
    "invoice": (_invoice, {"reference": "by courier", "due_date": "2026-12-31"}),
    "item": (
        lambda r: {
            "code": r.new("IT"),
            "name": "Tasting",
            "sales_details_unit_price": Decimal("12.3456"),
            "sales_details_account_code": SALES,
        },
        {"description": "An hour of it", "sales_details_unit_price": Decimal("13.5")},
    ),
    "linked_transaction": (_link, {}),
    "manual_journal": (
        lambda r: {
            "narration": r.new("Month end"),
            "date": TODAY,
            "journal_lines": [
                {"LineAmount": Decimal("25.00"), "AccountCode": GENERAL, "Description": "to"},
                {"LineAmount": Decimal("-25.00"), "AccountCode": "400", "Description": "from"},
            ],
        },
        {"narration": "Month's end"},
    ),
    "payment": (_payment, {}),
    "payment_service": (
        lambda r: {
            "payment_service_name": r.new("Till"),
            "payment_service_url": "https://pay.example.com/?invoiceNo=[INVOICENUMBER]",
            "pay_now_text": "Pay now",
        },
        {},
    ),
    "purchase_order": (
        lambda r: {**sale(r), "line_items": [sold("8.80", GENERAL)]},
        {"delivery_instructions": "By Friday"},
    ),
    "quote": (sale, {"title": "Winter offer", "expiry_date": LATER}),
    "receipt": (
        lambda r: {**sale(r), "user_id": r.user, "line_items": [sold("30.00", "493")]},
        {"reference": "taxi"},
    ),
    "repeating_invoice": (
        lambda r: {
            "type": "ACCREC",
            "contact_id": r.contact,
            "status": "DRAFT",
            "schedule_period": Decimal(1),
            "schedule_unit": "MONTHLY",
            "schedule_due_date": Decimal(20),
            "schedule_due_date_type": "OFFOLLOWINGMONTH",
            "schedule_start_date": LATER,
            "line_items": [sold()],
        },
        {"status": "AUTHORISED"},
    ),
    "tax_rate": (
        lambda r: {
            "name": r.new("Visitors' levy"),
            "report_tax_type": "OUTPUT",
            "tax_components": _component("4.5"),
        },
        {"tax_components": _component("5.25")},
    ),
    "tracking_category": (_category, {"name": "Time of year"}),
    "tracking_option": (
        lambda r: {
            "name": r.new("West"),
            "tracking_category_id": r.sim.records("tracking_category")[0]["TrackingCategoryID"],
        },
        {"name": "Far west"},
    ),
}
