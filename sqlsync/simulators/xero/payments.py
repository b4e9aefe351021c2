"""Payments, batch payments and allocations: what settles documents.

A payment names exactly one of Invoice, CreditNote, Prepayment, Overpayment and an account. It is
created or deleted, never changed. Allocations apply credit to an invoice, in a call of their own.
Source: reference, "Payments", "Credit notes, overpayments, prepayments".
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from sqlsync.simulators.xero import problems
from sqlsync.simulators.xero.desk import Desk
from sqlsync.simulators.xero.fields import check
from sqlsync.simulators.xero.invoicing import is_sale, number_field, outstanding, resettle
from sqlsync.simulators.xero.problems import Invalid
from sqlsync.simulators.xero.store import Key, Row
from sqlsync.simulators.xero.values import ZERO, Doc, fold, is_uuid, number, read_date, rounded

TARGETS = {  # member of a payment -> table, id field
    "Invoice": ("Invoices", "InvoiceID"),
    "CreditNote": ("CreditNotes", "CreditNoteID"),
    "Prepayment": ("Prepayments", "PrepaymentID"),
    "Overpayment": ("Overpayments", "OverpaymentID"),
}
_TYPES = {
    ("Invoices", True): "ACCRECPAYMENT",
    ("Invoices", False): "ACCPAYPAYMENT",
    ("CreditNotes", True): "ARCREDITPAYMENT",
    ("CreditNotes", False): "APCREDITPAYMENT",
    ("Overpayments", True): "AROVERPAYMENTPAYMENT",
    ("Overpayments", False): "APOVERPAYMENTPAYMENT",
    ("Prepayments", True): "ARPREPAYMENTPAYMENT",
    ("Prepayments", False): "APPREPAYMENTPAYMENT",
}


def payment_keys(doc: Doc) -> list[Key]:
    keys = [("target", doc["TargetID"])]
    if doc.get("BatchPaymentID"):
        keys.append(("batch", doc["BatchPaymentID"]))
    return keys


def allocation_keys(doc: Doc) -> list[Key]:
    return [("source", doc["SourceID"]), ("invoice", doc["InvoiceID"])]


def save_payment(desk: Desk, body: Doc, row: Row | None) -> Row:
    if row is None:
        if not body.get("Date"):
            raise Invalid("Payment Date must be specified.")
        return create_payment(desk, body)
    old = desk.doc("Payments", row)
    if body.get("Status") != "DELETED":
        raise Invalid("Payments cannot be modified, only created and deleted.")
    if old["Status"] == "DELETED":
        raise Invalid("Payment not of valid status for modification")
    if old.get("BatchPaymentID"):
        raise Invalid("Payments that are part of a batch payment cannot be deleted one by one.")
    desk.check_period(old["Date"])
    delete_payment(desk, row)
    return row


def delete_payment(desk: Desk, row: Row) -> None:
    old = desk.doc("Payments", row)
    desk.unit.replace("Payments", row, {**old, "Status": "DELETED"})
    desk.unit.note(row.id, "Deleted", "Payment deleted.")
    resettle(desk, old["TargetTable"], old["TargetID"])
    desk.unit.note(old["TargetID"], "Payment Deleted", f"Payment of {old['Amount']} deleted.")


def create_payment(desk: Desk, body: Doc, batch: str | None = None) -> Row:
    check("Payment", body)
    table, target = _target(desk, body)
    doc = desk.doc(table, target)
    if doc["Status"] not in ("AUTHORISED", "PAID"):
        raise Invalid(problems.PAY_AUTHORISED_ONLY)
    account = desk.account(body.get("Account") or {"Code": body.get("Code")})
    facts = desk.doc("Accounts", account)
    if facts["Type"] != "BANK" and not facts["EnablePaymentsToAccount"]:
        raise Invalid("The account is not enabled for payments.")
    amount = number(body.get("Amount"))
    if amount is None or amount <= 0:
        raise Invalid("Payment amount must be greater than zero")
    if rounded(amount) > outstanding(doc):
        raise Invalid(problems.PAY_TOO_MUCH)
    day = _day(desk, body)
    rate = number(body.get("CurrencyRate"))
    rate = rounded(rate, 10) if rate and rate > 0 else doc["CurrencyRate"]
    sent_bank = number(body.get("BankAmount"))
    bank_amount = sent_bank if sent_bank is not None else _in_bank(desk, facts, doc, amount, rate)
    made: Doc = {
        "Date": day,
        "BankAmount": rounded(bank_amount),
        "Amount": rounded(amount),
        "CurrencyRate": rate,
        "PaymentType": _TYPES[table, is_sale(doc)],
        "Status": "AUTHORISED",
        "IsReconciled": bool(body.get("IsReconciled")),
        "AccountID": account.id,
        "TargetTable": table,
        "TargetID": target.id,
    }
    for name in ("Reference", "Particulars", "Details", "BankAccountNumber"):
        if body.get(name):
            made[name] = str(body[name])
    if batch:
        made["BatchPaymentID"] = batch
    row = desk.unit.add("Payments", made)
    resettle(desk, table, target.id)
    desk.unit.note(row.id, "Created", f"Received through the Xero API from {desk.app}")
    settled = desk.doc(table, target)["Status"] == "PAID"
    words = "fully paid" if settled else "partly paid"
    desk.unit.note(target.id, "Paid", f"Payment of {made['Amount']}. This document is {words}.")
    return row


def _in_bank(desk: Desk, account: Doc, doc: Doc, amount: Decimal, rate: Decimal) -> Decimal:
    """The amount in the bank account's currency."""
    own = account.get("CurrencyCode") or desk.organisation["BaseCurrency"]
    return amount if own == doc["CurrencyCode"] else amount / rate


def _day(desk: Desk, body: Doc) -> date:
    day = read_date(body.get("Date")) or desk.today
    desk.check_period(day)
    return day


def _target(desk: Desk, body: Doc) -> tuple[str, Row]:
    """The document paid. Raises Invalid unless there is exactly one."""
    named = [name for name in TARGETS if body.get(name)]
    for name, table in (("InvoiceNumber", "Invoices"), ("CreditNoteNumber", "CreditNotes")):
        if not named and body.get(name):
            return table, _by_number(desk, table, body[name])
    if len(named) != 1:
        raise Invalid(
            "A payment must be for exactly one of Invoice, CreditNote, Prepayment or Overpayment."
        )
    table, id_field = TARGETS[named[0]]
    sent = body[named[0]]
    record_id = sent.get(id_field)
    if not record_id and table in ("Invoices", "CreditNotes") and sent.get(number_field(table)):
        return table, _by_number(desk, table, sent[number_field(table)])
    row = desk.books.row(table, record_id) if is_uuid(record_id) else None
    if row is None:
        raise Invalid(f"{named[0]} could not be found")
    return table, row


def _by_number(desk: Desk, table: str, text: Any) -> Row:
    found = desk.books.table(table).rows_of("number", fold(str(text)))
    live = [row for row in found if desk.doc(table, row)["Status"] in ("AUTHORISED", "PAID")]
    if not found:
        raise Invalid(f"{TABLE_WORDS[table]} could not be found")
    return (live or found)[0]


TABLE_WORDS = {table: word for word, (table, _) in TARGETS.items()}


# -- batches ---


def save_batch(desk: Desk, body: Doc, row: Row | None) -> Row:
    if row is not None:
        return _end_batch(desk, body, row)
    check("BatchPayment", body)
    account = desk.bank_account(body.get("Account"), "Account")
    sent = body.get("Payments") or []
    if not sent:
        raise Invalid("A batch payment needs at least one payment.")
    if not body.get("Date"):
        raise Invalid("Date must be specified.")
    made: Doc = {
        "AccountID": account.id,
        "Date": _day(desk, body),
        "Status": "AUTHORISED",
        "IsReconciled": False,
        "Type": "RECBATCH",
        "TotalAmount": ZERO,
    }
    for name in ("Reference", "Particulars", "Code", "Details", "Narrative"):
        if body.get(name):
            made[name] = str(body[name])
    batch = desk.unit.add("BatchPayments", made)
    kinds: set[bool] = set()
    amount = ZERO
    for element in sent:
        one = {**element, "Account": {"AccountID": account.id}, "Date": body["Date"]}
        one.setdefault("Reference", made.get("Reference"))
        paid = desk.doc("Payments", create_payment(desk, one, batch.id))
        if paid["TargetTable"] != "Invoices":
            raise Invalid("A batch payment can only pay invoices.")
        kinds.add(paid["PaymentType"] == "ACCRECPAYMENT")
        amount += paid["Amount"]
    if len(kinds) != 1:
        raise Invalid("A batch payment cannot mix sales invoices and bills.")
    done = {**made, "Type": "RECBATCH" if kinds.pop() else "PAYBATCH", "TotalAmount": amount}
    desk.unit.replace("BatchPayments", batch, done)
    desk.unit.note(batch.id, "Created", f"Received through the Xero API from {desk.app}")
    return batch


def _end_batch(desk: Desk, body: Doc, row: Row) -> Row:
    old = desk.doc("BatchPayments", row)
    if body.get("Status") != "DELETED" or old["Status"] == "DELETED":
        raise Invalid("Batch payments cannot be modified, only created and deleted.")
    for payment in desk.books.table("Payments").rows_of("batch", row.id):
        if desk.doc("Payments", payment)["Status"] == "AUTHORISED":
            delete_payment(desk, payment)
    desk.unit.replace("BatchPayments", row, {**old, "Status": "DELETED"})
    desk.unit.note(row.id, "Deleted", "Batch payment deleted.")
    return row


# -- allocations ---


def allocate(desk: Desk, table: str, source: Row, body: Doc) -> Row:
    """Applies credit of a credit note, overpayment or prepayment to an invoice."""
    check("Allocation", body)
    credit = desk.doc(table, source)
    if credit["Status"] not in ("AUTHORISED", "PAID"):
        raise Invalid("Only AUTHORISED credit can be allocated.")
    sent = body.get("Invoice") or {}
    invoice_id = sent.get("InvoiceID")
    if invoice_id:
        invoice = desk.books.row("Invoices", invoice_id) if is_uuid(invoice_id) else None
    else:
        number_ = fold(str(sent.get("InvoiceNumber", "")))
        invoice = next(iter(desk.books.table("Invoices").rows_of("number", number_)), None)
    if invoice is None:
        raise Invalid("Invoice could not be found")
    doc = desk.doc("Invoices", invoice)
    if doc["Status"] not in ("AUTHORISED", "PAID"):
        raise Invalid("Credit can only be allocated to Authorised invoices.")
    if is_sale(doc) != is_sale(credit):
        raise Invalid("The invoice is not of a valid type for this allocation.")
    if doc["ContactID"] != credit["ContactID"]:
        raise Invalid("The invoice and the credit must be of the same contact.")
    if doc["CurrencyCode"] != credit["CurrencyCode"]:
        raise Invalid("The invoice and the credit must be in the same currency.")
    amount = number(body.get("Amount", body.get("AppliedAmount")))
    if amount is None or amount <= 0:
        raise Invalid("Amount must be greater than zero")
    amount = rounded(amount)
    if amount > outstanding(doc):
        raise Invalid("The amount to allocate exceeds the amount outstanding on the invoice.")
    if amount > outstanding(credit):
        raise Invalid("The amount to allocate exceeds the remaining credit.")
    made = {
        "SourceTable": table,
        "SourceID": source.id,
        "InvoiceID": invoice.id,
        "Amount": amount,
        "Date": _day(desk, body),
    }
    row = desk.unit.add("Allocations", made)
    resettle(desk, table, source.id)
    resettle(desk, "Invoices", invoice.id)
    for record_id in (source.id, invoice.id):
        desk.unit.note(record_id, "Credit Applied", f"Credit of {amount} applied.")
    return row


def unallocate(desk: Desk, table: str, source: Row, allocation_id: str) -> Doc:
    """Takes an allocation away; returns it. Raises 404."""
    row = desk.books.row("Allocations", allocation_id) if is_uuid(allocation_id) else None
    if row is None or desk.doc("Allocations", row)["SourceID"] != source.id:
        raise problems.not_found()
    doc = desk.doc("Allocations", row)
    desk.check_period(doc["Date"])
    desk.unit.remove("Allocations", row)
    resettle(desk, table, source.id)
    resettle(desk, "Invoices", doc["InvoiceID"])
    for record_id in (source.id, doc["InvoiceID"]):
        desk.unit.note(record_id, "Credit Removed", f"Credit of {doc['Amount']} removed.")
    return {**doc, "AllocationID": row.id}
