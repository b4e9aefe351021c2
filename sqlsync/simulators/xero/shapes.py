"""Records as answers show them: which members, in which order, how deep.

Three views of a document: `single` (everything, the contact whole), `page` (lists with `page`:
lines, the contact as id and name) and `bare` (lists without it: no lines). Members follow the
order of the reference's samples. What is null is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlsync.simulators.xero.contacts import ADDRESS_SLOTS, PHONE_SLOTS
from sqlsync.simulators.xero.expenses import linked_status
from sqlsync.simulators.xero.shapes_settings import SETTINGS_SHAPES, account, user
from sqlsync.simulators.xero.store import Books, Row
from sqlsync.simulators.xero.values import (
    Doc,
    day_text,
    instant_text,
    ms_date,
    ms_instant,
    rounded,
    total,
)


@dataclass(frozen=True, slots=True)
class View:
    """How a record is to be shown. name: single, page or bare."""

    name: str = "single"
    unit_places: int = 2
    today: date = date.min
    base_url: str = ""
    is_summary: bool = False
    is_written: bool = False  # the answer to a write: empty ValidationErrors on lines

    @property
    def has_lines(self) -> bool:
        return self.name != "bare" and not self.is_summary


Shape = Callable[[Books, Row, Doc, View], Doc]


def render(books: Books, table: str, row: Row, view: View) -> Doc:
    """The record as an answer shows it."""
    doc = books.table(table).doc(row)
    shape = SHAPES.get(table)
    if shape is None:
        return SETTINGS_SHAPES[table](books, row, doc)
    return shape(books, row, doc, view)


# -- parts ---


def dated(doc: Doc, *names: str) -> Doc:
    """Companion text and date of each day the document has."""
    found: Doc = {}
    for name in names:
        day = doc.get(name)
        if day is not None:
            found[f"{name}String"] = day_text(day)
            found[name] = ms_date(day)
    return found


def plain_dates(doc: Doc, *names: str) -> Doc:
    return {name: ms_date(doc[name]) for name in names if doc.get(name) is not None}


def updated(row: Row, *, with_text: bool = True) -> Doc:
    found = {"UpdatedDateUTC": ms_instant(row.updated)}
    if with_text:
        found["UpdatedDateUTCString"] = instant_text(row.updated)
    return found


def some(doc: Doc, *names: str) -> Doc:
    """The named members that are there."""
    return {name: doc[name] for name in names if doc.get(name) is not None}


def attachments(books: Books, row: Row, view: View, endpoint: str) -> list[Doc]:
    return [
        {
            "AttachmentID": file.id,
            "FileName": file.name,
            "Url": f"{view.base_url}/api.xro/2.0/{endpoint}/{row.id}/Attachments/{file.name}",
            "MimeType": file.mime,
            "ContentLength": len(file.body),
        }
        for file in books.files.get(row.id, ())
    ]


def _files(books: Books, row: Row, view: View, endpoint: str) -> Doc:
    found: Doc = {"HasAttachments": bool(books.files.get(row.id))}
    if view.name == "single" and found["HasAttachments"]:
        found["Attachments"] = attachments(books, row, view, endpoint)
    return found


def tracking(books: Books, kept: Any) -> list[Doc]:
    """Tracking of a line with the names of category and option."""
    found: list[Doc] = []
    for entry in kept:
        category = books.row("TrackingCategories", entry["TrackingCategoryID"])
        if category is None:
            continue
        doc = books.table("TrackingCategories").doc(category)
        for option in doc["Options"]:
            if option["TrackingOptionID"] == entry["TrackingOptionID"]:
                found.append({"Name": doc["Name"], "Option": option["Name"], **entry})
    return found


def lines(books: Books, doc: Doc, view: View) -> list[Doc]:
    return [_line(books, line, view) for line in doc["LineItems"]]


def _line(books: Books, line: Doc, view: View) -> Doc:
    found: Doc = {}
    item_row = books.row("Items", line["ItemID"]) if line.get("ItemID") else None
    item = books.table("Items").doc(item_row) if item_row else None
    if item is not None:
        found["ItemCode"] = item["Code"]
    if "Description" in line:
        found["Description"] = line["Description"]
    if "UnitAmount" in line:
        unit = line["UnitAmount"]
        found["UnitAmount"] = unit if view.unit_places == 4 else rounded(unit)
    if "TaxType" in line:
        found["TaxType"] = line["TaxType"]
    found["TaxAmount"] = line["TaxAmount"]
    found["LineAmount"] = line["LineAmount"]
    account_doc = books.doc("Accounts", line["AccountID"]) if line.get("AccountID") else None
    if account_doc and account_doc.get("Code"):
        found["AccountCode"] = account_doc["Code"]
    if item is not None and item_row is not None:
        found["Item"] = {"ItemID": item_row.id, "Name": item["Name"], "Code": item["Code"]}
    found["Tracking"] = tracking(books, line["Tracking"])
    if "Quantity" in line:
        found["Quantity"] = line["Quantity"]
    for name in ("DiscountRate", "DiscountAmount"):
        if name in line:
            found[name] = line[name] if name == "DiscountRate" else rounded(line[name])
    found["LineItemID"] = line["LineItemID"]
    if account_doc:
        found["AccountID"] = line["AccountID"]
    if view.is_written:
        found["ValidationErrors"] = []
    return found


# -- contacts ---


def contact_brief(books: Books, contact_id: str) -> Doc:
    """As documents of a list show their contact."""
    if not contact_id:
        return {}
    return {
        "ContactID": contact_id,
        "Name": books.doc("Contacts", contact_id)["Name"],
        "Addresses": [],
        "Phones": [],
        "ContactGroups": [],
        "ContactPersons": [],
        "HasValidationErrors": False,
    }


def contact_of(books: Books, doc: Doc, view: View) -> Doc:
    contact_id = doc["ContactID"]
    if view.name != "single" or not contact_id:
        return contact_brief(books, contact_id)
    row = books.table("Contacts").rows[contact_id]
    return contact(books, row, books.table("Contacts").doc(row), view)


def _address(doc: Doc, slot: str) -> Doc:
    kept = doc["Addresses"].get(slot, {})
    found: Doc = {"AddressType": slot}
    for number in range(1, 5):
        line = kept.get(f"AddressLine{number}")
        if line is not None:
            found[f"AddressLine{number}"] = line
    for name in ("City", "Region", "PostalCode", "Country"):
        found[name] = kept.get(name, "")
    if kept:
        found["AttentionTo"] = kept.get("AttentionTo", "")
    return found


def _phone(doc: Doc, slot: str) -> Doc:
    kept = doc["Phones"].get(slot, {})
    names = ("PhoneNumber", "PhoneAreaCode", "PhoneCountryCode")
    return {"PhoneType": slot, **{name: kept.get(name, "") for name in names}}


_CONTACT_HEAD = ("ContactNumber", "AccountNumber")
_CONTACT_NAMES = ("FirstName", "LastName", "CompanyNumber")
_CONTACT_TAIL = (
    "TaxNumber",
    "TaxNumberType",
    "AccountsReceivableTaxType",
    "AccountsPayableTaxType",
)
_CONTACT_DEFAULTS = (
    "SalesDefaultLineAmountType",
    "PurchasesDefaultLineAmountType",
    "DefaultCurrency",
    "XeroNetworkKey",
)


def contact(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    if view.name == "bare":
        return _bare_contact(row, doc)
    found: Doc = {"ContactID": row.id, **some(doc, *_CONTACT_HEAD)}
    found |= {"ContactStatus": doc["ContactStatus"], "Name": doc["Name"]}
    found |= some(doc, *_CONTACT_NAMES)
    found["EmailAddress"] = doc.get("EmailAddress", "")
    found["BankAccountDetails"] = doc.get("BankAccountDetails", "")
    found |= some(doc, *_CONTACT_TAIL)
    if not view.is_summary:
        found["Addresses"] = [_address(doc, slot) for slot in ADDRESS_SLOTS]
    found["Phones"] = [_phone(doc, slot) for slot in PHONE_SLOTS]
    found["UpdatedDateUTC"] = ms_instant(row.updated)
    tally = books.tallies.get(row.id)
    if not view.is_summary:
        found["ContactGroups"] = [
            {
                "ContactGroupID": group.id,
                "Name": books.table("ContactGroups").doc(group)["Name"],
                "Status": "ACTIVE",
                "Contacts": [],
                "HasValidationErrors": False,
            }
            for group in books.table("ContactGroups").rows_of("member", row.id)
        ]
        found["IsSupplier"] = bool(tally and tally.purchases)
        found["IsCustomer"] = bool(tally and tally.sales)
    found |= some(doc, *_CONTACT_DEFAULTS)
    if not view.is_summary:
        found |= some(doc, "SalesDefaultAccountCode", "PurchasesDefaultAccountCode")
        found["SalesTrackingCategories"] = doc.get("SalesTrackingCategories", [])
        found["PurchasesTrackingCategories"] = doc.get("PurchasesTrackingCategories", [])
    found |= some(doc, "PaymentTerms")
    if doc.get("BatchPayments"):
        found["BatchPayments"] = doc["BatchPayments"]
    found |= some(doc, "Website", "Discount", "MergedToContactID")
    if not view.is_summary:
        found["ContactPersons"] = doc["ContactPersons"]
        if tally and (tally.sales or tally.purchases):
            found["Balances"] = _balances(tally.open or {}, view.today)
    found |= _files(books, row, view, "Contacts")
    found["HasValidationErrors"] = False
    return found


def _bare_contact(row: Row, doc: Doc) -> Doc:
    found: Doc = {"ContactID": row.id, **some(doc, *_CONTACT_HEAD)}
    found |= {"ContactStatus": doc["ContactStatus"], "Name": doc["Name"]}
    found |= some(doc, *_CONTACT_NAMES)
    found["EmailAddress"] = doc.get("EmailAddress", "")
    found["BankAccountDetails"] = doc.get("BankAccountDetails", "")
    found |= some(doc, *_CONTACT_TAIL)
    found |= {"Addresses": [], "Phones": [], "UpdatedDateUTC": ms_instant(row.updated)}
    found |= {"ContactGroups": [], **some(doc, *_CONTACT_DEFAULTS)}
    found |= {"ContactPersons": [], "HasValidationErrors": False}
    return found


def _balances(open_documents: Any, today: date) -> Doc:
    found: Doc = {}
    for name, is_sale in (("AccountsReceivable", True), ("AccountsPayable", False)):
        mine = [standing for standing in open_documents.values() if standing.is_sale == is_sale]
        late = [s.open for s in mine if s.due is not None and s.due < today]
        found[name] = {"Outstanding": total(s.open for s in mine), "Overdue": total(late)}
    return found


def contact_group(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    members = doc["Members"] if view.name == "single" and not view.is_written else ()
    return {
        "ContactGroupID": row.id,
        "Name": doc["Name"],
        "Status": doc["Status"],
        "Contacts": [contact_brief(books, member) for member in members],
        "HasValidationErrors": False,
    }


# -- invoices and credit notes ---


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


_CREDIT_ID = {
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
        shown: Doc = {_CREDIT_ID[table]: entry["SourceID"]}
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
            _CREDIT_ID[doc["SourceTable"]]: source_id,
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
    found |= _files(books, row, view, "CreditNotes")
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


def _credit(name: str) -> Shape:
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


# -- payments and banking ---

_TARGET_MEMBER = {
    "Invoices": "Invoice",
    "CreditNotes": "CreditNote",
    "Prepayments": "Prepayment",
    "Overpayments": "Overpayment",
}


def _account_brief(books: Books, account_id: str, *names: str) -> Doc:
    doc = books.doc("Accounts", account_id)
    return {"AccountID": account_id, **some(doc, *names)}


def payment(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    found: Doc = {"PaymentID": row.id}
    if doc.get("BatchPaymentID"):
        batch = books.table("BatchPayments").rows[doc["BatchPaymentID"]]
        found["BatchPaymentID"] = batch.id
        found["BatchPayment"] = _batch_brief(batch, books.table("BatchPayments").doc(batch))
    found |= {"Date": ms_date(doc["Date"]), "BankAmount": doc["BankAmount"]}
    found["Amount"] = doc["Amount"]
    found |= some(doc, "Reference", "BankAccountNumber", "Particulars", "Details")
    found |= {
        "CurrencyRate": doc["CurrencyRate"],
        "PaymentType": doc["PaymentType"],
        "Status": doc["Status"],
        **updated(row),
        "HasAccount": True,
        "IsReconciled": doc["IsReconciled"],
        "Account": _account_brief(books, doc["AccountID"], "Code", "Name"),
    }
    member = _TARGET_MEMBER[doc["TargetTable"]]
    if member == "Invoice":
        found[member] = invoice_brief(books, doc["TargetID"])
    else:
        target = books.doc(doc["TargetTable"], doc["TargetID"])
        found[member] = {
            "Type": target["Type"],
            _CREDIT_ID[doc["TargetTable"]]: doc["TargetID"],
            **some(target, "CreditNoteNumber"),
            "ID": doc["TargetID"],
            "HasErrors": False,
            "Contact": contact_brief(books, target["ContactID"]),
            "LineItems": [],
            "CurrencyCode": target["CurrencyCode"],
        }
    found["HasValidationErrors"] = False
    return found


def _batch_brief(row: Row, doc: Doc) -> Doc:
    return {
        "Account": {"AccountID": doc["AccountID"]},
        "BatchPaymentID": row.id,
        "Date": ms_date(doc["Date"]),
        "Type": doc["Type"],
        "Status": doc["Status"],
        "TotalAmount": doc["TotalAmount"],
        "UpdatedDateUTC": ms_instant(row.updated),
        "IsReconciled": doc["IsReconciled"],
    }


def batch_payment(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    payments: list[Doc] = []
    for paid in books.table("Payments").rows_of("batch", row.id):
        payment_doc = books.table("Payments").doc(paid)
        target = books.doc("Invoices", payment_doc["TargetID"])
        payments.append(
            {
                "Invoice": {
                    "InvoiceID": payment_doc["TargetID"],
                    "CurrencyCode": target["CurrencyCode"],
                    "Payments": [],
                    "CreditNotes": [],
                    "Prepayments": [],
                    "Overpayments": [],
                    "HasErrors": False,
                    "IsDiscounted": False,
                    "LineItems": [],
                },
                "PaymentID": paid.id,
                "Amount": payment_doc["Amount"],
                "BankAmount": payment_doc["BankAmount"],
            }
        )
    found: Doc = {"Account": _account_brief(books, doc["AccountID"], "CurrencyCode")}
    found |= some(doc, "Reference", "Particulars", "Code", "Details", "Narrative")
    found["BatchPaymentID"] = row.id
    found |= dated(doc, "Date")
    found["Payments"] = payments
    found |= some(doc, "Type", "Status", "TotalAmount")
    found["UpdatedDateUTC"] = ms_instant(row.updated)
    found["IsReconciled"] = doc["IsReconciled"]
    return found


def bank_transaction(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    found: Doc = {
        "BankTransactionID": row.id,
        "BankAccount": _account_brief(books, doc["BankAccountID"], "Code", "Name"),
        "Type": doc["Type"],
        "Reference": doc["Reference"],
    }
    found |= some(doc, "Url")
    found["IsReconciled"] = doc["IsReconciled"]
    found["CurrencyRate"] = doc["CurrencyRate"]
    found |= some(doc, "PrepaymentID", "OverpaymentID")
    found |= _files(books, row, view, "BankTransactions")
    found["Contact"] = contact_of(books, doc, view)
    found |= dated(doc, "Date")
    found |= {"Status": doc["Status"], "LineAmountTypes": doc["LineAmountTypes"]}
    found["LineItems"] = lines(books, doc, view) if view.has_lines else []
    found |= some(doc, "SubTotal", "TotalTax", "Total")
    found |= {"UpdatedDateUTC": ms_instant(row.updated), "CurrencyCode": doc["CurrencyCode"]}
    return found


def bank_transfer(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    found: Doc = {
        "BankTransferID": row.id,
        "CreatedDateUTCString": instant_text(row.created, ""),
        "CreatedDateUTC": ms_instant(row.created),
        **dated(doc, "Date"),
        "Status": doc["Status"],
        "FromBankAccount": _account_brief(books, doc["FromBankAccountID"], "Code", "Name"),
        "ToBankAccount": _account_brief(books, doc["ToBankAccountID"], "Code", "Name"),
        "Amount": doc["Amount"],
        "FromBankTransactionID": doc["FromBankTransactionID"],
        "ToBankTransactionID": doc["ToBankTransactionID"],
        "FromIsReconciled": doc["FromIsReconciled"],
        "ToIsReconciled": doc["ToIsReconciled"],
        "Reference": doc["Reference"],
        "CurrencyRate": doc["CurrencyRate"],
        **_files(books, row, view, "BankTransfers"),
        "FromTracking": tracking(books, doc["FromTracking"]),
        "ToTracking": tracking(books, doc["ToTracking"]),
    }
    return found


# -- orders, quotes, journals, expenses ---


def purchase_order(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    exact = View(view.name, 4, view.today, view.base_url, is_written=view.is_written)
    found: Doc = {"PurchaseOrderID": row.id, "PurchaseOrderNumber": doc["PurchaseOrderNumber"]}
    found |= dated(doc, "Date", "DeliveryDate")
    found |= plain_dates(doc, "ExpectedArrivalDate")
    found |= {
        name: doc.get(name, "")
        for name in ("DeliveryAddress", "AttentionTo", "Telephone", "DeliveryInstructions")
    }
    found |= {"HasErrors": False, "IsDiscounted": bool(doc["TotalDiscount"])}
    found |= some(doc, "TotalDiscount")
    found |= {"SentToContact": doc["SentToContact"], "Reference": doc.get("Reference", "")}
    found |= {"Type": "PURCHASEORDER", "CurrencyRate": doc["CurrencyRate"]}
    found["CurrencyCode"] = doc["CurrencyCode"]
    found["Contact"] = contact_of(books, doc, view)
    found |= some(doc, "BrandingThemeID")
    found |= {"Status": doc["Status"], "LineAmountTypes": doc["LineAmountTypes"]}
    found["LineItems"] = lines(books, doc, exact)
    found |= some(doc, "SubTotal", "TotalTax", "Total")
    found["UpdatedDateUTC"] = ms_instant(row.updated)
    found |= _files(books, row, view, "PurchaseOrders")
    return found


def quote(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    contact_doc = books.doc("Contacts", doc["ContactID"])
    shown = {"ContactID": doc["ContactID"], "Name": contact_doc["Name"]}
    shown |= some(contact_doc, "EmailAddress", "FirstName", "LastName")
    found: Doc = {"QuoteID": row.id, "QuoteNumber": doc["QuoteNumber"]}
    found |= {"Reference": doc.get("Reference", ""), "Terms": doc.get("Terms", "")}
    found |= {"Contact": shown, "LineItems": lines(books, doc, view)}
    for name in ("Date", "ExpiryDate"):
        if doc.get(name) is not None:
            found[name] = ms_date(doc[name])
            found[f"{name}String"] = day_text(doc[name])
    found["Status"] = doc["Status"]
    found |= some(doc, "CurrencyRate", "CurrencyCode", "SubTotal", "TotalTax", "Total")
    found["TotalDiscount"] = doc["TotalDiscount"]
    found |= {"Title": doc.get("Title", ""), "Summary": doc.get("Summary", "")}
    found |= some(doc, "BrandingThemeID")
    found |= {"UpdatedDateUTC": ms_instant(row.updated), "LineAmountTypes": doc["LineAmountTypes"]}
    return found


def repeating_invoice(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    kept = doc["Schedule"]
    schedule = some(kept, "Period", "Unit", "DueDate", "DueDateType")
    schedule |= plain_dates(kept, "StartDate", "EndDate", "NextScheduledDate")
    found: Doc = {"Schedule": schedule, "RepeatingInvoiceID": row.id, "Type": doc["Type"]}
    found["Reference"] = doc["Reference"]
    found |= _files(books, row, view, "RepeatingInvoices")
    found |= some(doc, "ApprovedForSending", "SendCopy", "MarkAsSent", "IncludePDF")
    found |= {"ID": row.id, "Contact": contact_brief(books, doc["ContactID"])}
    found |= some(doc, "BrandingThemeID")
    found |= {"Status": doc["Status"], "LineAmountTypes": doc["LineAmountTypes"]}
    found["LineItems"] = lines(books, doc, view)
    found |= some(doc, "SubTotal", "TotalTax", "Total", "CurrencyCode")
    return found


def manual_journal(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    found: Doc = {**plain_dates(doc, "Date"), "Status": doc["Status"]}
    found |= some(doc, "LineAmountTypes", "Url")
    found |= {"UpdatedDateUTC": ms_instant(row.updated), "ManualJournalID": row.id}
    found["Narration"] = doc["Narration"]
    found["JournalLines"] = []
    for line in doc["JournalLines"] if view.has_lines else ():
        account_doc = books.doc("Accounts", line["AccountID"])
        found["JournalLines"].append(
            {
                **some(line, "Description", "TaxType", "TaxAmount", "LineAmount"),
                **({"AccountCode": account_doc["Code"]} if account_doc.get("Code") else {}),
                "Tracking": tracking(books, line["Tracking"]),
                "AccountID": line["AccountID"],
                "IsBlank": False,
            }
        )
    found["ShowOnCashBasisReports"] = doc["ShowOnCashBasisReports"]
    found |= _files(books, row, view, "ManualJournals")
    return found


def receipt(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    user_row = books.table("Users").rows[doc["UserID"]]
    found: Doc = {"ReceiptID": row.id, "ReceiptNumber": str(doc["ReceiptNumber"])}
    found["Status"] = doc["Status"]
    found["User"] = user(books, user_row, books.table("Users").doc(user_row))
    found["Contact"] = contact_of(books, doc, view)
    found |= plain_dates(doc, "Date")
    found |= {"UpdatedDateUTC": ms_instant(row.updated), "Reference": doc["Reference"]}
    found["LineAmountTypes"] = doc["LineAmountTypes"]
    found["LineItems"] = lines(books, doc, view) if view.name == "single" else []
    found |= some(doc, "SubTotal", "TotalTax", "Total")
    found["ID"] = row.id
    found |= _files(books, row, view, "Receipts")
    return found


def expense_claim(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    user_row = books.table("Users").rows[doc["UserID"]]
    page = View("page", view.unit_places, view.today, view.base_url)
    found: Doc = {"ExpenseClaimID": row.id, "Status": doc["Status"]}
    found["UpdatedDateUTC"] = ms_instant(row.updated)
    found["User"] = user(books, user_row, books.table("Users").doc(user_row))
    found["Receipts"] = [
        render(books, "Receipts", books.table("Receipts").rows[receipt_id], page)
        for receipt_id in doc["ReceiptIDs"]
    ]
    found["Payments"] = []
    found |= some(doc, "Total", "AmountDue", "AmountPaid")
    found |= plain_dates(doc, "PaymentDueDate", "ReportingDate")
    return found


def linked_transaction(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    found: Doc = {"LinkedTransactionID": row.id}
    found |= some(
        doc,
        "SourceTransactionID",
        "SourceLineItemID",
        "ContactID",
        "TargetTransactionID",
        "TargetLineItemID",
    )
    found |= {"Status": linked_status(books, doc), "Type": doc["Type"]}
    found["UpdatedDateUTC"] = ms_instant(row.updated)
    found["SourceTransactionTypeCode"] = doc["SourceTransactionTypeCode"]
    return found


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
    "Overpayments": _credit("OverpaymentID"),
    "Prepayments": _credit("PrepaymentID"),
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
