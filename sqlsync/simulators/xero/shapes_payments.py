"""Payments, batches, bank transactions and transfers as answers show them."""

from __future__ import annotations

from sqlsync.simulators.xero.shapes_contacts import contact_brief, contact_of
from sqlsync.simulators.xero.shapes_documents import CREDIT_ID, invoice_brief
from sqlsync.simulators.xero.shapes_parts import View, dated, files, lines, some, tracking, updated
from sqlsync.simulators.xero.store import Books, Row
from sqlsync.simulators.xero.values import Doc, instant_text, ms_date, ms_instant

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
            CREDIT_ID[doc["TargetTable"]]: doc["TargetID"],
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
    found |= files(books, row, view, "BankTransactions")
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
        **files(books, row, view, "BankTransfers"),
        "FromTracking": tracking(books, doc["FromTracking"]),
        "ToTracking": tracking(books, doc["ToTracking"]),
    }
    return found
