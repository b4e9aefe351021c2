"""Everything of a generated organisation that is few: written by the rules, in the past.

Credit notes and their allocations, over- and prepayments, bank transactions and transfers, manual
journals, purchase orders, quotes, repeating invoices, receipts, group members.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from sqlsync.simulators.xero import banking, contacts, expenses, invoicing, orders, payments
from sqlsync.simulators.xero.desk import Desk
from sqlsync.simulators.xero.items import move_stock
from sqlsync.simulators.xero.ledger import TABLES, day_of, kind_of, posts_of
from sqlsync.simulators.xero.options import Options
from sqlsync.simulators.xero.store import Books, Row
from sqlsync.simulators.xero.unit import Unit
from sqlsync.simulators.xero.values import Doc, millis

Posting = tuple[str, Row, date, str, str]  # table, row, day, kind, reference
SPENDING = (
    ("404", "Account fee", "15.00", "NONE"),
    ("425", "Courier tickets", "115.00", None),
    ("445", "Power", "287.50", None),
    ("453", "Stationery", "63.25", None),
    ("469", "Rent", "3680.00", None),
    ("485", "Software", "92.00", None),
    ("489", "Internet", "109.25", None),
    ("493", "Flights", "412.85", None),
)


def add_various(
    books: Books, random: Random, first: date, now: datetime, invoices: int
) -> Iterator[Posting]:
    """Writes it all; gives every document that posts."""
    writer = _Writer(books, random, first, now)
    writer.members()
    for make, count in (
        (writer.spend, max(3, invoices // 20)),
        (writer.receive, max(2, invoices // 60)),
        (writer.credit_note, max(2, invoices // 50)),
        (writer.overpayment, max(1, min(invoices // 200, 200))),
        (writer.prepayment, max(1, min(invoices // 200, 200))),
        (writer.transfer, max(2, min(invoices // 100, 300))),
        (writer.journal, max(2, min(invoices // 100, 300))),
        (writer.stock, 3),
        (writer.purchase_order, max(2, invoices // 25)),
        (writer.quote, max(2, invoices // 25)),
        (writer.repeating, max(1, min(invoices // 200, 40))),
        (writer.receipt, max(1, min(invoices // 200, 40))),
    ):
        for _ in range(count):
            make()
    for table in sorted(TABLES):
        for row in books.table(table).rows.values():
            if row.seed is None and row.doc is not None and posts_of(books, table, row.doc):
                doc = row.doc
                reference = str(doc.get("Reference", ""))
                yield table, row, day_of(doc), kind_of(table, doc), reference


class _Writer:
    def __init__(self, books: Books, random: Random, first: date, now: datetime) -> None:
        self.books = books
        self.random = random
        self.first = first
        self.now = now
        found = list(books.table("Contacts").rows.values())
        active = [row for row in found if row.seed.is_active]
        self.customers = [row.id for row in active if not row.seed.is_supplier]
        self.suppliers = [row.id for row in active if row.seed.is_supplier]
        self.days = (now.astimezone(UTC).date() - first).days

    def _some(self, choices: Any) -> Any:
        return choices[int(self.random.random() * len(choices))]

    def _desk(self) -> tuple[Desk, str]:
        """A desk at a moment of the past, and its day."""
        day = self.first + timedelta(days=1 + int(self.random.random() * (self.days - 1)))
        moment = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
        moment += timedelta(milliseconds=int(self.random.random() * 28_800_000))
        at = millis(min(moment, self.now - timedelta(minutes=1)))
        unit = Unit(self.books, at, "Jo Baker")
        return Desk(self.books, unit, Options(), day, "Ledger Sync Demo", ""), day.isoformat()

    def members(self) -> None:
        groups = list(self.books.table("ContactGroups").rows)
        sides = (self.customers[::3], self.customers[1::3], self.suppliers)
        for group, members in zip(groups, sides, strict=True):
            desk, _ = self._desk()
            contacts.add_members(desk, group, [{"ContactID": m} for m in members[:40]])

    def _transaction(self, kind: str, contact: str, line: Doc, **more: Any) -> Row:
        desk, day = self._desk()
        body = {
            "Type": kind,
            "Contact": {"ContactID": contact},
            "BankAccount": {"Code": "090"},
            "Date": day,
            "LineItems": [line],
            **more,
        }
        return banking.save_transaction(desk, body, None)

    def spend(self) -> None:
        code, text, amount, tax = self._some(SPENDING)
        line: Doc = {"Description": text, "Quantity": 1, "UnitAmount": amount, "AccountCode": code}
        if tax:
            line["TaxType"] = tax
        self._transaction("SPEND", self._some(self.suppliers), line, Reference=text)

    def receive(self) -> None:
        amount = f"{20 + int(self.random.random() * 480)}.50"
        line = {"Description": "Counter sales", "Quantity": 1, "UnitAmount": amount}
        line["AccountCode"] = "200"
        self._transaction("RECEIVE", self._some(self.customers), line, Reference="Till")

    def overpayment(self) -> None:
        line = {"Description": "Paid twice", "Quantity": 1, "UnitAmount": "46.00"}
        self._transaction("RECEIVE-OVERPAYMENT", self._some(self.customers), line)

    def prepayment(self) -> None:
        line = {"Description": "Deposit", "Quantity": 1, "UnitAmount": "230.00"}
        line["AccountCode"] = "620"
        contact = self._some(self.customers)
        self._transaction("RECEIVE-PREPAYMENT", contact, line, Reference="Deposit")

    def credit_note(self) -> None:
        desk, day = self._desk()
        contact = self._some(self.customers)
        body = {
            "Type": "ACCRECCREDIT",
            "Contact": {"ContactID": contact},
            "Date": day,
            "Status": "AUTHORISED",
            "LineItems": [
                {
                    "Description": "Bag torn in transit",
                    "Quantity": 1 + int(self.random.random() * 3),
                    "UnitAmount": "27.50",
                    "AccountCode": "200",
                }
            ],
        }
        row = invoicing.save_document(desk, "CreditNotes", body, None)
        table = self.books.table("Invoices")
        credit = desk.doc("CreditNotes", row)
        for invoice in table.rows_of("contact", contact):
            doc = table.doc(invoice)
            is_open = doc["Status"] == "AUTHORISED" and doc["AmountDue"] > credit["Total"]
            if is_open and doc["Date"].isoformat() <= day:
                sent = {
                    "Invoice": {"InvoiceID": invoice.id},
                    "Amount": credit["Total"],
                    "Date": day,
                }
                payments.allocate(desk, "CreditNotes", row, sent)
                return

    def transfer(self) -> None:
        desk, day = self._desk()
        body = {
            "FromBankAccount": {"Code": "090"},
            "ToBankAccount": {"Code": "091"},
            "Amount": 100 * (1 + int(self.random.random() * 20)),
            "Date": day,
        }
        banking.save_transfer(desk, body, None)

    def journal(self) -> None:
        desk, day = self._desk()
        amount = 50 + int(self.random.random() * 400)
        lines = [
            {"LineAmount": amount, "AccountCode": "416", "Description": "Depreciation"},
            {"LineAmount": -amount, "AccountCode": "710", "Description": "Depreciation"},
        ]
        body = {"Narration": "Monthly depreciation", "Date": day, "JournalLines": lines}
        expenses.save_journal(desk, {**body, "Status": "POSTED"}, None)

    def stock(self) -> None:
        desk, day = self._desk()
        lines = [
            {"ItemCode": code, "Quantity": 20, "AccountCode": "630", "TaxType": "INPUT2"}
            for code in ("GR-HOME", "KT-STOVE")
        ]
        body = {
            "Type": "ACCPAY",
            "Contact": {"ContactID": self._some(self.suppliers)},
            "Date": day,
            "DueDate": day,
            "InvoiceNumber": f"GR{int(self.random.random() * 9000)}",
            "Status": "AUTHORISED",
            "LineItems": lines,
        }
        row = invoicing.save_document(desk, "Invoices", body, None)
        move_stock(desk, "Invoices", None, desk.doc("Invoices", row))

    def _order(self, table: str, contact: str, status: str, **more: Any) -> None:
        desk, day = self._desk()
        line = {"ItemCode": "HB-1KG", "Quantity": 1 + int(self.random.random() * 40)}
        body = {
            "Contact": {"ContactID": contact},
            "Date": day,
            "Status": status,
            "LineItems": [line],
            **more,
        }
        orders.save_order(desk, table, body, None)

    def purchase_order(self) -> None:
        status = self._some(("DRAFT", "SUBMITTED", "AUTHORISED", "AUTHORISED", "BILLED"))
        text = {"DeliveryAddress": "14 Foundry Lane\nWellington 6011", "AttentionTo": "Stores"}
        self._order("PurchaseOrders", self._some(self.suppliers), status, **text)

    def quote(self) -> None:
        status = self._some(("DRAFT", "SENT", "SENT"))
        title = {"Title": "Coffee supply", "Terms": "Valid for 30 days"}
        self._order("Quotes", self._some(self.customers), status, **title)

    def repeating(self) -> None:
        desk, day = self._desk()
        schedule = {"Period": 1, "Unit": "MONTHLY", "DueDate": 20, "StartDate": day}
        schedule["DueDateType"] = "OFFOLLOWINGMONTH"
        body = {
            "Type": "ACCREC",
            "Contact": {"ContactID": self._some(self.customers)},
            "Schedule": schedule,
            "Status": "AUTHORISED",
            "LineItems": [{"ItemCode": "HB-1KG", "Quantity": 12}],
        }
        orders.save_repeating(desk, body, None)

    def receipt(self) -> None:
        desk, day = self._desk()
        user = next(iter(self.books.table("Users").rows))
        body = {
            "User": {"UserID": user},
            "Contact": {"ContactID": self._some(self.suppliers)},
            "Date": day,
            "LineItems": [
                {"Description": "Taxi", "Quantity": 1, "UnitAmount": "34.50", "AccountCode": "493"}
            ],
        }
        row = expenses.save_receipt(desk, body, None)
        if self.random.random() < 0.5:
            claim = {"User": {"UserID": user}, "Receipts": [{"ReceiptID": row.id}]}
            expenses.save_claim(desk, claim, None)
