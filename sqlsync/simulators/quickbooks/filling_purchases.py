"""What is bought and paid, completed: bills, credits, expenses, orders, payments of bills."""

from __future__ import annotations

from sqlsync.simulators.quickbooks import faults, lines
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.filling import PAYABLES, Filling, number_of

_PAID_FROM = {"Cash": ("Bank",), "Check": ("Bank",), "CreditCard": ("Credit Card",)}
_ECHOES = ("BillPaymentCheck", "BillPaymentCreditCard", "ReimburseCharge", "Bill")


def bill(filling: Filling) -> None:
    _payable(filling)
    doc = filling.doc
    vendor = filling.books.table("Vendor").get(number_of(doc["VendorRef"]))
    term = ((vendor.doc or {}) if vendor else {}).get("TermRef")
    if filling.is_new and "SalesTermRef" not in doc and term:
        doc["SalesTermRef"] = dict(term)
    filling.default(DueDate=filling.due())


def vendor_credit(filling: Filling) -> None:
    _payable(filling)


def purchase_order(filling: Filling) -> None:
    _payable(filling)
    filling.default(POStatus="Open", EmailStatus="NotSet", CustomField=[])


def purchase(filling: Filling) -> None:
    """Paid at once, from an account that fits how it was paid."""
    doc = filling.doc
    filling.account("AccountRef", *_PAID_FROM.get(str(doc["PaymentType"]), ("Bank",)))
    _rows(filling)
    filling.default(Credit=False)
    if doc["Credit"] and doc["PaymentType"] != "CreditCard":
        raise faults.business("Only a credit card charge can be a credit.")
    if doc["PaymentType"] == "Check":
        filling.default(PrintStatus="NotSet")


def bill_payment(filling: Filling) -> None:
    doc = filling.doc
    member, account = {
        "Check": ("CheckPayment", "BankAccountRef"),
        "CreditCard": ("CreditCardPayment", "CCAccountRef"),
    }[doc["PayType"]]
    if not ((doc.get(member) or {}).get(account) or {}).get("value"):
        raise faults.missing(f"{member}.{account}")
    if doc["PayType"] == "Check":
        doc[member] = {"PrintStatus": "NotSet", **doc[member]}


def credit_card_payment(filling: Filling) -> None:
    filling.account("CreditCardAccountRef", "Credit Card")
    filling.account("BankAccountRef", "Bank")
    filling.positive("Amount")


def _payable(filling: Filling) -> None:
    filling.default(APAccountRef=dict(PAYABLES))
    filling.account("APAccountRef", "Accounts Payable")
    _rows(filling)


def _rows(filling: Filling) -> None:
    doc = filling.doc
    strict = filling.options.enforce_line_types
    doc["Line"], doc["TotalAmt"] = lines.price_purchase(doc, filling.known, strict=strict)
    for row in doc["Line"]:
        detail = row[row["DetailType"]]
        if detail.get("BillableStatus") == "Billable" and not number_of(detail.get("CustomerRef")):
            raise Fault("6310", "A billable row needs a customer", "CustomerRef")
    if "LinkedTxn" in doc:  # what the service shows of links made elsewhere is not kept
        doc["LinkedTxn"] = [x for x in doc["LinkedTxn"] if x.get("TxnType") not in _ECHOES]
        for link in doc["LinkedTxn"]:
            _check_order(filling, str(link.get("TxnId") or ""))


def _check_order(filling: Filling, number: str) -> None:
    """A bill names purchase orders of its own vendor."""
    order = filling.books.table("PurchaseOrder").get(int(number)) if number.isdigit() else None
    if order is None or order.party != number_of(filling.doc.get("VendorRef")):
        raise faults.cannot_be_linked()
