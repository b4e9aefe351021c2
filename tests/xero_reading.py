"""What a Xero organisation holds, read over HTTP as a script of somebody else's would.

Written from Xero's documentation alone: no catalog, no adapter. For tests that compare.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from sqlsync.simulators.testing_xero import XeroSimulator

# table: (path of the list, key, parameters of the list)
_PAGED = {"page": "1", "pageSize": "1000"}
_CENTS = {"unitdp": "4"}
LISTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "account": ("Accounts", "AccountID", {}),
    "bank_transaction": ("BankTransactions", "BankTransactionID", {**_PAGED, **_CENTS}),
    "bank_transfer": ("BankTransfers", "BankTransferID", {"includeDeleted": "true"}),
    "batch_payment": ("BatchPayments", "BatchPaymentID", {}),
    "branding_theme": ("BrandingThemes", "BrandingThemeID", {}),
    "budget": ("Budgets", "BudgetID", {}),
    "contact": ("Contacts", "ContactID", {**_PAGED, "includeArchived": "true"}),
    "contact_group": ("ContactGroups", "ContactGroupID", {}),
    "credit_note": ("CreditNotes", "CreditNoteID", {**_PAGED, **_CENTS}),
    "currency": ("Currencies", "Code", {}),
    "employee": ("Employees", "EmployeeID", {}),
    "expense_claim": ("ExpenseClaims", "ExpenseClaimID", {}),
    "invoice": ("Invoices", "InvoiceID", {**_PAGED, **_CENTS, "includeArchived": "true"}),
    "invoice_reminder": ("InvoiceReminders/Settings", "", {}),
    "item": ("Items", "ItemID", _CENTS),
    "journal": ("Journals", "JournalID", {"offset": "0"}),
    "linked_transaction": ("LinkedTransactions", "LinkedTransactionID", {"page": "1"}),
    "manual_journal": ("ManualJournals", "ManualJournalID", _PAGED),
    "organisation": ("Organisation", "OrganisationID", {}),
    "organisation_user": ("Users", "UserID", {}),
    "overpayment": ("Overpayments", "OverpaymentID", {**_PAGED, **_CENTS}),
    "payment": ("Payments", "PaymentID", _PAGED),
    "payment_service": ("PaymentServices", "PaymentServiceID", {}),
    "prepayment": ("Prepayments", "PrepaymentID", {**_PAGED, **_CENTS}),
    "purchase_order": ("PurchaseOrders", "PurchaseOrderID", _PAGED),
    "quote": ("Quotes", "QuoteID", {"page": "1"}),
    "receipt": ("Receipts", "ReceiptID", _CENTS),
    "repeating_invoice": ("RepeatingInvoices", "RepeatingInvoiceID", {}),
    "tax_rate": ("TaxRates", "TaxType", {}),
    "tracking_category": (
        "TrackingCategories",
        "TrackingCategoryID",
        {"includeArchived": "true"},
    ),
}
# Their lists leave out what their own addresses show.
ALONE = ("budget", "contact_group", "expense_claim", "receipt")
_UNPAGED_100 = ("linked_transaction", "quote")  # a hundred a page, whatever is asked
_HISTORIES = (
    *("bank_transaction", "bank_transfer", "batch_payment", "contact", "credit_note"),
    *("expense_claim", "invoice", "item", "manual_journal", "overpayment", "payment"),
    *("prepayment", "purchase_order", "quote", "receipt", "repeating_invoice"),
)
_FILES = (
    *("account", "bank_transaction", "bank_transfer", "contact", "credit_note", "invoice"),
    *("manual_journal", "purchase_order", "quote", "receipt", "repeating_invoice"),
)


def listed(sim: XeroSimulator, table: str) -> dict[str, bytes]:
    """All records of a kind, by key, as JSON texts."""
    if table == "tracking_option":
        return dict(_options(sim))
    if table == "attachment":
        return dict(_attachments(sim))
    if table == "history_record":
        return dict(_histories(sim))
    path, key, params = LISTS[table]
    found: dict[str, bytes] = {}
    for record in _all(sim, table, path, params):
        if table == "invoice_reminder":
            return {"settings": _text({**record, "InvoiceReminderID": "settings"})}
        record_id = str(record[key])
        found[record_id] = single(sim, table, record_id) or b"" if table in ALONE else _text(record)
    return found


def single(sim: XeroSimulator, table: str, record_id: str) -> bytes | None:
    """One record at its own address; None where there is none."""
    if table not in LISTS or table in _NOT_ALONE:
        return listed(sim, table).get(record_id)
    path, _, params = LISTS[table]
    wanted = {"unitdp": "4"} if "unitdp" in params and table not in _NO_DECIMALS_ALONE else {}
    status, answer = sim.call("GET", f"/{path}/{record_id}", **wanted)
    if status == 404:
        return None
    assert status == 200, (status, answer)
    [record] = _records(answer)
    return _text(record)


_NOT_ALONE = ("currency", "organisation", "payment_service", "invoice_reminder")
_NO_DECIMALS_ALONE = ("overpayment", "prepayment")


def _all(
    sim: XeroSimulator, table: str, path: str, params: dict[str, str]
) -> Iterator[dict[str, Any]]:
    page = 1
    while True:
        where = {"page": str(page)} if "page" in params else {}
        if table == "journal":
            where = {"offset": str(page - 1)}
        status, answer = sim.call("GET", f"/{path}", **{**params, **where})
        assert status == 200, (table, status, answer)
        records = _records(answer)
        yield from records
        if table == "journal" and records:
            page = max(int(record["JournalNumber"]) for record in records) + 1
        elif "page" in params and len(records) >= (100 if table in _UNPAGED_100 else 1000):
            page += 1
        else:
            return


def _options(sim: XeroSimulator) -> Iterator[tuple[str, bytes]]:
    for record_id, text in listed(sim, "tracking_category").items():
        for option in json.loads(text, parse_float=Decimal)["Options"]:
            key = {"TrackingCategoryID": option.get("TrackingCategoryID") or record_id}
            yield option["TrackingOptionID"], _text({**option, **key})


def _attachments(sim: XeroSimulator) -> Iterator[tuple[str, bytes]]:
    for table in _FILES:
        path = LISTS[table][0]
        for record_id in listed(sim, table):
            status, answer = sim.call("GET", f"/{path}/{record_id}/Attachments")
            assert status == 200, (status, answer)
            for file in answer["Attachments"]:
                more = {"ParentEndpoint": path, "ParentID": record_id}
                yield file["AttachmentID"], _text({**file, **more})


def _histories(sim: XeroSimulator) -> Iterator[tuple[str, bytes]]:
    for table in _HISTORIES:
        path = LISTS[table][0]
        for record_id in listed(sim, table):
            status, answer = sim.call("GET", f"/{path}/{record_id}/History")
            assert status == 200, (status, answer)
            seen: dict[str, int] = {}
            for entry in answer["HistoryRecords"]:
                moment = "".join(c for c in entry["DateUTC"].partition("+")[0] if c in "0123456789")
                number = seen[moment] = seen.get(moment, -1) + 1
                key = f"{record_id}:{moment}:{number}"
                more = {"HistoryRecordID": key, "ParentEndpoint": path, "ParentID": record_id}
                yield key, _text({**entry, **more})


def _records(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The only list of records in an answer."""
    [found] = [v for n, v in answer.items() if isinstance(v, list) and n != "Warnings"]
    return list(found)


def _text(record: dict[str, Any]) -> bytes:
    return XeroSimulator.encode(record)
