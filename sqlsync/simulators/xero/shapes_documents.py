"""Invoices, credit notes, over- and prepayments as answers show them."""

from __future__ import annotations

from collections.abc import Callable

from sqlsync.simulators.xero.shapes_contacts import contact_brief, contact_of
from sqlsync.simulators.xero.shapes_parts import (
    View,
    attachments,
    dated,
    files,
    lines,
    plain_dates,
    some,
    updated,
)
from sqlsync.simulators.xero.store import Books, Row
from sqlsync.simulators.xero.values import Doc, day_text, ms_date

Shape = Callable[[Books, Row, Doc, View], Doc]


def payment_brief(row: Row, doc: Doc) -> Doc:
    found: Doc = {"PaymentID": row.id, "Date": ms_date(doc["Date"]), "Amount": doc["Amount"]}
    found |= some(doc, "Reference", "BatchPaymentID")
    found["CurrencyRate"] = doc["CurrencyRate"]
    found |= {"HasAccount": False, "HasValidationErrors": False}
    return found


def _payments(books: Books, record_id: str) -> list[Doc]:
    table = books.table("Payments")
    found = ((row, table.doc(row)) for row in table.rows_of("target", record_id))
    return [payment_brief(row, doc) for row, doc in found if doc["Status"] == "AUTHORISED"]


CREDIT_ID = {
    "CreditNotes": "CreditNoteID",
    "Prepayments": "PrepaymentID",
    "Overpayments": "OverpaymentID",
}


def _credits(books: Books, record_id: str) -> dict[str, list[Doc]]:
    """What credit has been applied to an invoice, by the member that shows it."""
    found: dict[str, list[Doc]] = {"CreditNotes": [], "Prepayments": [], "Overpayments": []}
    for row in books.table("Allocations").rows_of("invoice", record_id):
        entry = books.table("Allocations").doc(row)
        table = entry["SourceTable"]
        source = books.doc(table, entry["SourceID"])
        shown: Doc = {CREDIT_ID[table]: entry["SourceID"]}
        if table == "CreditNotes":
            shown["CreditNoteNumber"] = source["CreditNoteNumber"]
        shown |= {
            "ID": entry["SourceID"],
            "HasErrors": False,
            "AppliedAmount": entry["Amount"],
            "DateString": day_text(source["Date"]),
            "Date": ms_date(source["Date"]),
            "LineItems": [],
            "Total": source["Total"],
        }
        found[table].append(shown)
    return found


def invoice(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    found: Doc = {
        "Type": doc["Type"],
        "InvoiceID": row.id,
        "InvoiceNumber": doc["InvoiceNumber"],
        "Reference": doc["Reference"],
    }
    if not view.is_summary:
        found["Payments"] = _payments(books, row.id) if doc["AmountPaid"] else []
    found |= (
        _credits(books, row.id)
        if doc["AmountCredited"]
        else {"CreditNotes": [], "Prepayments": [], "Overpayments": []}
    )
    found |= some(doc, "AmountDue", "AmountPaid", "AmountCredited", "Url", "SentToContact")
    found["CurrencyRate"] = doc["CurrencyRate"]
    found |= some(doc, "TotalDiscount")
    found["IsDiscounted"] = "TotalDiscount" in doc
    if not view.is_summary:
        found["HasAttachments"] = bool(books.files.get(row.id))
    if view.name == "single":
        found["InvoiceAddresses"] = []
    found |= some(doc, "RepeatingInvoiceID")
    found["HasErrors"] = False
    if view.name == "single":
        found["Attachments"] = attachments(books, row, view, "Invoices")
    found["Contact"] = contact_of(books, doc, view)
    found |= dated(doc, "Date", "DueDate")
    found |= plain_dates(doc, "ExpectedPaymentDate", "PlannedPaymentDate")
    found |= some(doc, "BrandingThemeID")
    found |= {"Status": doc["Status"], "LineAmountTypes": doc["LineAmountTypes"]}
    if not view.is_summary:
        found["LineItems"] = lines(books, doc, view) if view.has_lines else []
    found |= some(doc, "SubTotal", "TotalTax", "Total")
    found |= {**updated(row), "CurrencyCode": doc["CurrencyCode"]}
    found |= plain_dates(doc, "FullyPaidOnDate")
    return found


def invoice_brief(books: Books, record_id: str) -> Doc:
    """As payments and allocations show their invoice."""
    doc = books.doc("Invoices", record_id)
    return {
        "Type": doc["Type"],
        "InvoiceID": record_id,
        "InvoiceNumber": doc["InvoiceNumber"],
        "Payments": [],
        "CreditNotes": [],
        "Prepayments": [],
        "Overpayments": [],
        "IsDiscounted": False,
        "InvoiceAddresses": [],
        "HasErrors": False,
        "Contact": contact_brief(books, doc["ContactID"]),
        "LineItems": [],
        "CurrencyCode": doc["CurrencyCode"],
    }


def allocation(books: Books, row: Row, doc: Doc, *, with_source: bool = False) -> Doc:
    found: Doc = {"AllocationID": row.id, "Amount": doc["Amount"], "Date": ms_date(doc["Date"])}
    invoice_doc = books.doc("Invoices", doc["InvoiceID"])
    found["Invoice"] = {
        "InvoiceID": doc["InvoiceID"],
        "InvoiceNumber": invoice_doc["InvoiceNumber"],
        "Payments": [],
        "CreditNotes": [],
        "Prepayments": [],
        "Overpayments": [],
        "HasErrors": False,
        "IsDiscounted": False,
        "LineItems": [],
    }
    if with_source:
        member = doc["SourceTable"].removesuffix("s")
        source_id = doc["SourceID"]
        found[member] = {
            CREDIT_ID[doc["SourceTable"]]: source_id,
            "ID": source_id,
            "LineItems": [],
        }
    found["IsDeleted"] = False
    return found


def _allocations(books: Books, record_id: str) -> list[Doc]:
    table = books.table("Allocations")
    return [allocation(books, row, table.doc(row)) for row in table.rows_of("source", record_id)]


def credit_note(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    found: Doc = {"CreditNoteID": row.id, "CreditNoteNumber": doc["CreditNoteNumber"]}
    found["Payments"] = _payments(books, row.id) if doc["AmountPaid"] else []
    found |= {"ID": row.id, "CurrencyRate": doc["CurrencyRate"], "Type": doc["Type"]}
    found["Reference"] = doc["Reference"]
    found |= some(doc, "SentToContact", "RemainingCredit")
    found["Allocations"] = _allocations(books, row.id)
    found |= files(books, row, view, "CreditNotes")
    if view.name == "single":
        found["InvoiceAddresses"] = []
    found["HasErrors"] = False
    found["Contact"] = contact_of(books, doc, view)
    found |= dated(doc, "Date", "DueDate")
    found |= some(doc, "BrandingThemeID")
    found |= {"Status": doc["Status"], "LineAmountTypes": doc["LineAmountTypes"]}
    found["LineItems"] = lines(books, doc, view) if view.has_lines else []
    found |= some(doc, "SubTotal", "TotalTax", "Total")
    found |= {**updated(row), "CurrencyCode": doc["CurrencyCode"]}
    found |= plain_dates(doc, "FullyPaidOnDate")
    return found


def credit(name: str) -> Shape:
    """Overpayments and prepayments."""

    def shape(books: Books, row: Row, doc: Doc, view: View) -> Doc:
        found: Doc = {name: row.id, "ID": row.id, "CurrencyRate": doc["CurrencyRate"]}
        found["Type"] = doc["Type"]
        found["Reference"] = doc["Reference"]
        if name == "PrepaymentID" and doc["Type"].startswith("RECEIVE"):
            found["InvoiceNumber"] = doc["Reference"]
        found["RemainingCredit"] = doc["RemainingCredit"]
        found["Allocations"] = _allocations(books, row.id)
        found["Payments"] = _payments(books, row.id) if doc["AmountPaid"] else []
        found["HasAttachments"] = bool(books.files.get(row.id))
        found["Contact"] = contact_of(books, doc, view)
        found |= dated(doc, "Date")
        found |= {"Status": doc["Status"], "LineAmountTypes": doc["LineAmountTypes"]}
        found["LineItems"] = lines(books, doc, view) if view.has_lines else []
        found |= some(doc, "SubTotal", "TotalTax", "Total")
        found |= {**updated(row), "CurrencyCode": doc["CurrencyCode"]}
        return found

    return shape
