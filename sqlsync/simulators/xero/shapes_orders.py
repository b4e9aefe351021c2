"""Orders, quotes, journals, expenses and links as answers show them."""

from __future__ import annotations

from sqlsync.simulators.xero.expenses import linked_status
from sqlsync.simulators.xero.shapes_contacts import contact_brief, contact_of
from sqlsync.simulators.xero.shapes_parts import (
    View,
    dated,
    files,
    lines,
    plain_dates,
    some,
    tracking,
)
from sqlsync.simulators.xero.shapes_settings import user
from sqlsync.simulators.xero.store import Books, Row
from sqlsync.simulators.xero.values import Doc, day_text, ms_date, ms_instant


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
    found |= files(books, row, view, "PurchaseOrders")
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
    found |= files(books, row, view, "RepeatingInvoices")
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
    found |= files(books, row, view, "ManualJournals")
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
    found |= files(books, row, view, "Receipts")
    return found


def expense_claim(books: Books, row: Row, doc: Doc, view: View) -> Doc:
    user_row = books.table("Users").rows[doc["UserID"]]
    receipts = books.table("Receipts")
    page = View("page", view.unit_places, view.today, view.base_url)
    found: Doc = {"ExpenseClaimID": row.id, "Status": doc["Status"]}
    found["UpdatedDateUTC"] = ms_instant(row.updated)
    found["User"] = user(books, user_row, books.table("Users").doc(user_row))
    found["Receipts"] = [
        receipt(books, receipts.rows[receipt_id], receipts.doc(receipts.rows[receipt_id]), page)
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
