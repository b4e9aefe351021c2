"""What is bought and paid, completed: bills, credits, expenses, orders, payments of bills."""

from __future__ import annotations

from sqlsync.simulators.quickbooks import faults, lines
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.filling import PAYABLES, Filling, number_of

_PAID_FROM = {"Cash": ("Bank",), "Check": ("Bank",), "CreditCard": ("Credit Card",)}
_ECHOES = ("BillPaymentCheck", "BillPaymentCreditCard", "ReimburseCharge")


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
    filling.doc.pop("LinkedTxn", None)  # an echo of the bills for it
    held = (filling.row.doc or {}).get("LinkedTxn")
    if held:
        filling.doc["LinkedTxn"] = held
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
    pricing = filling.pricing(purchase=True)
    doc["Line"], doc["TotalAmt"] = lines.price_purchase(
        doc, filling.known, pricing, tax_sent=filling.tax_was_sent
    )
    for row in doc["Line"]:
        detail = row[row["DetailType"]]
        if detail.get("BillableStatus") == "Billable" and not number_of(detail.get("CustomerRef")):
            raise Fault("6310", "A billable row needs a customer", "CustomerRef")
    if (
        "LinkedTxn" in doc and filling.entity.name != "PurchaseOrder"
    ):  # what the service shows of links made elsewhere is not kept
        doc["LinkedTxn"] = [x for x in doc["LinkedTxn"] if x.get("TxnType") not in _ECHOES]
    links = list(doc.get("LinkedTxn") or ())
    for row in doc["Line"]:
        links += row.get("LinkedTxn") or ()
    for link in links:
        if link.get("TxnType") == "PurchaseOrder":
            _check_order(filling, str(link.get("TxnId") or ""), link.get("TxnLineId"))
        elif filling.entity.name == "Bill":
            raise faults.cannot_be_linked()


def _check_order(filling: Filling, number: str, line: object) -> None:
    """A bill names purchase orders of its own vendor, and rows that they have."""
    order = filling.books.table("PurchaseOrder").get(int(number)) if number.isdigit() else None
    if order is None or order.party != number_of(filling.doc.get("VendorRef")):
        raise faults.cannot_be_linked()
    rows = {str(row.get("Id")) for row in (order.doc or {}).get("Line") or ()}
    if line not in (None, "") and str(line) not in rows:
        raise faults.cannot_be_linked()
