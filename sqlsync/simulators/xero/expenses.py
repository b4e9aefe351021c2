"""Manual journals, receipts, expense claims, employees and linked transactions.

Source: reference, "Bank transactions, transfers, manual journals" and the official data file.
"""

from __future__ import annotations

from typing import Any

from sqlsync.simulators.xero.contacts import nested_contact
from sqlsync.simulators.xero.desk import Desk
from sqlsync.simulators.xero.fields import check
from sqlsync.simulators.xero.lines import LineKind, build_lines, retaxed, totals_of
from sqlsync.simulators.xero.problems import Invalid
from sqlsync.simulators.xero.store import Key, Row
from sqlsync.simulators.xero.values import ZERO, Doc, is_uuid, number, read_date, rounded, total

# -- manual journals ---

_JOURNAL_FLOW = {
    "DRAFT": ("DRAFT", "POSTED", "DELETED"),
    "POSTED": ("POSTED", "VOIDED"),
    "VOIDED": (),
    "DELETED": (),
    "ARCHIVED": (),
}
_FORBIDDEN_SYSTEM = ("DEBTORS", "CREDITORS", "RETAINEDEARNINGS")


def match_journal(desk: Desk, body: Doc) -> Row | None:
    if body.get("ManualJournalID"):
        return desk.need("ManualJournals", body["ManualJournalID"])
    return None


def save_journal(desk: Desk, body: Doc, row: Row | None) -> Row:
    old = desk.doc("ManualJournals", row) if row else None
    status = body.get("Status") or (old or {}).get("Status") or "DRAFT"
    if old is not None and status not in _JOURNAL_FLOW[old["Status"]]:
        raise Invalid("The manual journal is not of valid status for modification")
    if old is None and status not in ("DRAFT", "POSTED"):
        raise Invalid("The manual journal is not of valid status for creation")
    check("ManualJournal", body)
    if row is not None and old is not None and status in ("DELETED", "VOIDED"):
        desk.check_period(old["Date"])
        desk.unit.replace("ManualJournals", row, {**old, "Status": status})
        desk.unit.note(row.id, status.capitalize(), f"Journal {status.lower()}.")
        return row
    kept = old or {}
    narration = body.get("Narration", kept.get("Narration"))
    if not narration:
        raise Invalid("Narration must be specified.")
    desk.check_url(body)
    doc: Doc = {"Narration": narration, "Status": status}
    doc["Date"] = read_date(body.get("Date")) or kept.get("Date") or desk.today
    desk.check_period(doc["Date"])
    amounts = body.get("LineAmountTypes") or kept.get("LineAmountTypes") or "NoTax"
    doc["LineAmountTypes"] = amounts
    shows = body.get("ShowOnCashBasisReports", kept.get("ShowOnCashBasisReports", True))
    doc["ShowOnCashBasisReports"] = bool(shows)
    if body.get("Url") or kept.get("Url"):
        doc["Url"] = body.get("Url") or kept["Url"]
    sent = body.get("JournalLines")
    if sent is None and kept.get("LineAmountTypes") not in (None, amounts):
        raise Invalid("JournalLines must be sent when LineAmountTypes changes.")
    doc["JournalLines"] = (
        [_journal_line(desk, line, amounts) for line in sent]
        if sent is not None
        else kept.get("JournalLines", [])
    )
    _check_balance(doc)
    if row is not None:
        moves = doc != old or desk.options.unchanged_update_moves
        desk.unit.replace("ManualJournals", row, doc, moves=moves)
        desk.unit.note(row.id, "Edited", "Changed through the Xero API.")
        return row
    made = desk.unit.add("ManualJournals", doc)
    desk.unit.note(made.id, "Created", f"Received through the Xero API from {desk.app}")
    return made


def _journal_line(desk: Desk, sent: Any, amounts: str) -> Doc:
    sent = sent if isinstance(sent, dict) else {}
    amount = number(sent.get("LineAmount"))
    if amount is None:
        raise Invalid("LineAmount must be specified on every journal line.")
    named = (
        {"Code": sent["AccountCode"]}
        if sent.get("AccountCode")
        else {"AccountID": sent.get("AccountID")}
    )
    code = sent.get("AccountCode") or sent.get("AccountID")
    try:
        account = desk.account(named)
    except Invalid:
        raise Invalid(f"Account code '{code}' is not a valid code for this document.") from None
    if sent.get("AccountID") and str(sent["AccountID"]).lower() != account.id:
        raise Invalid(f"Account code '{code}' and the AccountID do not name the same account.")
    facts = {**desk.doc("Accounts", account)}
    if facts.get("SystemAccount") in _FORBIDDEN_SYSTEM or facts["Type"] in ("BANK", "INVENTORY"):
        raise Invalid(f"Account code '{code}' cannot be used in a manual journal.")
    line: Doc = {"LineAmount": rounded(amount), "AccountID": account.id}
    line["Description"] = sent.get("Description") or ""
    line["Tracking"] = desk.tracking(sent.get("Tracking"))
    if amounts == "NoTax":
        return {**line, "TaxType": "NONE", "TaxAmount": ZERO}
    rate = desk.tax_rate(sent.get("TaxType") or facts["TaxType"], facts)
    base = 100 if amounts == "Exclusive" else 100 + rate["EffectiveRate"]
    tax = number(sent.get("TaxAmount"))
    computed = rounded(line["LineAmount"] * rate["EffectiveRate"] / base)
    line["TaxType"], line["TaxAmount"] = (
        rate["TaxType"],
        rounded(tax) if tax is not None else computed,
    )
    return line


def _check_balance(doc: Doc) -> None:
    lines = doc["JournalLines"]
    if len(lines) < 2:
        raise Invalid("A manual journal needs at least two lines.")
    gross = total(line["LineAmount"] for line in lines)
    if doc["LineAmountTypes"] == "Exclusive":
        gross += total(line["TaxAmount"] for line in lines)
    if gross:
        raise Invalid("The total debits must equal total credits")


# -- receipts and claims ---


def match_receipt(desk: Desk, body: Doc) -> Row | None:
    return desk.need("Receipts", body["ReceiptID"]) if body.get("ReceiptID") else None


def save_receipt(desk: Desk, body: Doc, row: Row | None) -> Row:
    check("Receipt", body)
    old = desk.doc("Receipts", row) if row else None
    kept = old or {}
    if old is not None and old["Status"] not in ("DRAFT", "DECLINED"):
        raise Invalid("Receipt not of valid status for modification")
    status = body.get("Status") or kept.get("Status") or "DRAFT"
    if status not in ("DRAFT", "VOIDED"):
        raise Invalid("Receipt not of valid status for creation")
    doc: Doc = {"Status": status}
    doc["UserID"] = _user(desk, body.get("User"), kept.get("UserID"))
    contact = body.get("Contact")
    doc["ContactID"] = nested_contact(desk, contact, kept.get("ContactID"), must_be_active=True)
    doc["Date"] = read_date(body.get("Date")) or kept.get("Date")
    if doc["Date"] is None:
        raise Invalid("Date must be specified.")
    doc["Reference"] = body.get("Reference", kept.get("Reference", "")) or ""
    amounts = body.get("LineAmountTypes") or kept.get("LineAmountTypes") or "Inclusive"
    doc["LineAmountTypes"] = amounts
    kind = LineKind(False, must_code=True, unit_places=desk.unit_places)
    if body.get("LineItems") is not None:
        before = kept.get("LineItems", [])
        doc["LineItems"] = build_lines(desk, body["LineItems"], before, kind, amounts)
    else:
        doc["LineItems"] = retaxed(desk, kept.get("LineItems", []), kind, amounts)
    if not doc["LineItems"]:
        raise Invalid("One or more line items must be specified")
    sums = totals_of(doc["LineItems"], amounts)
    doc["SubTotal"], doc["TotalTax"], doc["Total"] = sums.sub_total, sums.total_tax, sums.total
    if row is not None:
        doc["ReceiptNumber"] = kept["ReceiptNumber"]
        desk.unit.replace("Receipts", row, doc)
        return row
    doc["ReceiptNumber"] = int(desk.unit.next_number("R").removeprefix("R"))
    return desk.unit.add("Receipts", doc)


def _user(desk: Desk, sent: Any, old: str | None) -> str:
    if sent is None and old is not None:
        return old
    user_id = sent.get("UserID") if isinstance(sent, dict) else None
    row = desk.books.row("Users", str(user_id)) if is_uuid(user_id) else None
    if row is None:
        raise Invalid("User could not be found")
    return row.id


def match_claim(desk: Desk, body: Doc) -> Row | None:
    return (
        desk.need("ExpenseClaims", body["ExpenseClaimID"]) if body.get("ExpenseClaimID") else None
    )


def save_claim(desk: Desk, body: Doc, row: Row | None) -> Row:
    check("ExpenseClaim", body)
    if row is not None:
        old = desk.doc("ExpenseClaims", row)
        flow = {"SUBMITTED": ("AUTHORISED", "DELETED"), "AUTHORISED": ("VOIDED",)}
        status = body.get("Status")
        if status not in flow.get(old["Status"], ()):
            raise Invalid("Expense claim not of valid status for modification")
        due = old["Total"] if status == "AUTHORISED" else ZERO
        desk.unit.replace("ExpenseClaims", row, {**old, "Status": status, "AmountDue": due})
        for receipt_id in old["ReceiptIDs"]:
            receipt = desk.books.table("Receipts").rows[receipt_id]
            doc = desk.doc("Receipts", receipt)
            after = "VOIDED" if status in ("VOIDED", "DELETED") else status
            desk.unit.replace("Receipts", receipt, {**doc, "Status": after})
        return row
    user = _user(desk, body.get("User"), None)
    receipts = [desk.need("Receipts", sent.get("ReceiptID")) for sent in body.get("Receipts") or []]
    if not receipts:
        raise Invalid("An expense claim needs at least one receipt.")
    amount = ZERO
    for receipt in receipts:
        doc = desk.doc("Receipts", receipt)
        if doc["Status"] != "DRAFT" or doc["UserID"] != user:
            raise Invalid("Only draft receipts of the user can be claimed.")
        desk.unit.replace("Receipts", receipt, {**doc, "Status": "SUBMITTED"})
        amount += doc["Total"]
    made = {
        "UserID": user,
        "ReceiptIDs": tuple(receipt.id for receipt in receipts),
        "Status": "SUBMITTED",
        "Total": amount,
        "AmountDue": amount,
        "AmountPaid": ZERO,
        "ReportingDate": desk.today,
    }
    return desk.unit.add("ExpenseClaims", made)


# -- employees ---


def match_employee(desk: Desk, body: Doc) -> Row | None:
    return desk.need("Employees", body["EmployeeID"]) if body.get("EmployeeID") else None


def save_employee(desk: Desk, body: Doc, row: Row | None) -> Row:
    check("Employee", body)
    kept = desk.doc("Employees", row) if row else {}
    doc = {**kept, "Status": body.get("Status") or kept.get("Status") or "ACTIVE"}
    for name in ("FirstName", "LastName", "ExternalLink"):
        if body.get(name) is not None:
            doc[name] = body[name]
    if not doc.get("FirstName") or not doc.get("LastName"):
        raise Invalid("FirstName and LastName must be specified.")
    if row is None:
        return desk.unit.add("Employees", doc)
    desk.unit.replace("Employees", row, doc)
    return row


# -- linked transactions ---


def linked_keys(doc: Doc) -> list[Key]:
    return [("source", doc["SourceTransactionID"])]


def match_linked(desk: Desk, body: Doc) -> Row | None:
    if body.get("LinkedTransactionID"):
        return desk.need("LinkedTransactions", body["LinkedTransactionID"])
    return None


def save_linked(desk: Desk, body: Doc, row: Row | None) -> Row:
    check("LinkedTransaction", body)
    kept = desk.doc("LinkedTransactions", row) if row else {}
    doc: Doc = {"Type": "BILLABLEEXPENSE"}
    for name in (
        "SourceTransactionID",
        "SourceLineItemID",
        "ContactID",
        "TargetTransactionID",
        "TargetLineItemID",
    ):
        value = body.get(name) or kept.get(name)
        if value:
            doc[name] = str(value).lower()
    source_table, source = _source(desk, doc)
    if source_table == "Invoices" and source["Type"] != "ACCPAY":
        raise Invalid("The source transaction must be a bill or spend money transaction.")
    lines = {line["LineItemID"] for line in source["LineItems"]}
    if doc.get("SourceLineItemID") not in lines:
        raise Invalid("The SourceLineItemID could not be found on the source transaction.")
    target = _target(desk, doc)
    if target is not None and doc.get("ContactID") not in (None, target["ContactID"]):
        raise Invalid("The ContactID and the TargetTransaction ContactID do not match")
    if target is not None:
        doc["ContactID"] = target["ContactID"]
    elif doc.get("ContactID"):
        desk.need("Contacts", doc["ContactID"])
    doc["SourceTransactionTypeCode"] = source["Type"]
    if row is None:
        return desk.unit.add("LinkedTransactions", doc)
    desk.unit.replace("LinkedTransactions", row, doc)
    return row


def _source(desk: Desk, doc: Doc) -> tuple[str, Doc]:
    record_id = doc.get("SourceTransactionID", "")
    for table in ("Invoices", "BankTransactions"):
        row = desk.books.row(table, record_id)
        if row is not None:
            return table, desk.doc(table, row)
    raise Invalid("The SourceTransactionID could not be found.")


def _target(desk: Desk, doc: Doc) -> Doc | None:
    if not doc.get("TargetTransactionID"):
        if doc.get("TargetLineItemID"):
            raise Invalid("The TargetTransactionID must be specified with a TargetLineItemID.")
        return None
    row = desk.books.row("Invoices", doc["TargetTransactionID"])
    if row is None:
        raise Invalid("The TargetTransactionID could not be found.")
    found = desk.doc("Invoices", row)
    ids = {line["LineItemID"] for line in found["LineItems"]}
    if doc.get("TargetLineItemID") and doc["TargetLineItemID"] not in ids:
        raise Invalid("The TargetLineItemID could not be found on the target transaction.")
    return found


def linked_status(desk_books: Any, doc: Doc) -> str:
    """Status as it follows from source and target."""
    target = desk_books.row("Invoices", doc.get("TargetTransactionID", ""))
    if target is not None:
        status = desk_books.table("Invoices").doc(target)["Status"]
        if status in ("AUTHORISED", "PAID"):
            return "BILLED"
        if status in ("DRAFT", "SUBMITTED"):
            return "ONDRAFT"
    for table in ("Invoices", "BankTransactions"):
        row = desk_books.row(table, doc["SourceTransactionID"])
        if row is not None:
            status = desk_books.table(table).doc(row)["Status"]
            if status in ("VOIDED", "DELETED"):
                return "VOIDED"
            return "APPROVED" if status in ("AUTHORISED", "PAID") else "DRAFT"
    return "VOIDED"
