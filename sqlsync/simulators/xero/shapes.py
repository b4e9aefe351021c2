"""Records as answers show them: which members, in which order, how deep.

Three views of a document: `single` (everything, the contact whole), `page` (lists with `page`:
lines, the contact as id and name) and `bare` (lists without it: no lines). Members follow the
order of the reference's samples. What is null is left out.
"""

from __future__ import annotations

from sqlsync.simulators.xero.shapes_contacts import contact, contact_group
from sqlsync.simulators.xero.shapes_documents import Shape, credit, credit_note, invoice
from sqlsync.simulators.xero.shapes_orders import (
    expense_claim,
    linked_transaction,
    manual_journal,
    purchase_order,
    quote,
    receipt,
    repeating_invoice,
)
from sqlsync.simulators.xero.shapes_parts import View
from sqlsync.simulators.xero.shapes_payments import (
    bank_transaction,
    bank_transfer,
    batch_payment,
    payment,
)
from sqlsync.simulators.xero.shapes_settings import SETTINGS_SHAPES, account
from sqlsync.simulators.xero.store import Books, Row
from sqlsync.simulators.xero.values import Doc, rounded


def render(books: Books, table: str, row: Row, view: View) -> Doc:
    """The record as an answer shows it."""
    doc = books.table(table).doc(row)
    shape = SHAPES.get(table)
    if shape is None:
        return SETTINGS_SHAPES[table](books, row, doc)
    return shape(books, row, doc, view)


def _account(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    return account(books, row, doc)


def _item(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    found = SETTINGS_SHAPES["Items"](books, row, doc)
    for name in ("PurchaseDetails", "SalesDetails"):
        details = found[name]
        if "UnitPrice" in details and view.unit_places != 4:
            found[name] = {**details, "UnitPrice": rounded(details["UnitPrice"])}
    return found


SHAPES: dict[str, Shape] = {
    "Accounts": _account,
    "Items": _item,
    "Contacts": contact,
    "ContactGroups": contact_group,
    "Invoices": invoice,
    "CreditNotes": credit_note,
    "Overpayments": credit("OverpaymentID"),
    "Prepayments": credit("PrepaymentID"),
    "Payments": payment,
    "BatchPayments": batch_payment,
    "BankTransactions": bank_transaction,
    "BankTransfers": bank_transfer,
    "PurchaseOrders": purchase_order,
    "Quotes": quote,
    "RepeatingInvoices": repeating_invoice,
    "ManualJournals": manual_journal,
    "Receipts": receipt,
    "ExpenseClaims": expense_claim,
    "LinkedTransactions": linked_transaction,
}
