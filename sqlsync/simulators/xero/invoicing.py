"""Invoices, bills and credit notes: life cycle, numbers, totals, what is due.

    DRAFT → SUBMITTED, AUTHORISED, DELETED      SUBMITTED → DRAFT, AUTHORISED, DELETED
    AUTHORISED → VOIDED                         PAID: by the system, and back when a payment goes

Paid in part or whole, only a few members may change. DueDate and SentToContact of such a
document do not move UpdatedDateUTC.
Source: reference, "Invoices and bills", "Credit notes, overpayments, prepayments".
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sqlsync.simulators.xero import problems
from sqlsync.simulators.xero.contacts import nested_contact
from sqlsync.simulators.xero.desk import Desk
from sqlsync.simulators.xero.fields import check
from sqlsync.simulators.xero.lines import LineKind, build_lines, retaxed, totals_of
from sqlsync.simulators.xero.problems import Invalid
from sqlsync.simulators.xero.store import Key, Row, Standing
from sqlsync.simulators.xero.values import ZERO, Doc, fold, number, read_date

FLOW = {
    "DRAFT": frozenset(("DRAFT", "SUBMITTED", "AUTHORISED", "DELETED")),
    "SUBMITTED": frozenset(("SUBMITTED", "AUTHORISED", "DRAFT", "DELETED")),
    "AUTHORISED": frozenset(("AUTHORISED", "VOIDED")),
    "PAID": frozenset(("PAID", "AUTHORISED")),
    "VOIDED": frozenset[str](),
    "DELETED": frozenset[str](),
}
APPROVED = frozenset(("AUTHORISED", "PAID"))
LIVE = frozenset(("SUBMITTED", "AUTHORISED", "PAID"))
SETTLED_LINE_PARTS = ("Description", "AccountID", "Tracking", "LineItemID")
SETTLED_PARTS = frozenset(
    (
        "Reference",
        "DueDate",
        "InvoiceNumber",
        "CreditNoteNumber",
        "BrandingThemeID",
        "ContactID",
        "Url",
        "PlannedPaymentDate",
        "ExpectedPaymentDate",
        "SentToContact",
        "LineItems",
    )
)


def _is_credit(table: str) -> bool:
    return table == "CreditNotes"


def number_field(table: str) -> str:
    return "CreditNoteNumber" if _is_credit(table) else "InvoiceNumber"


def is_sale(doc: Doc) -> bool:
    return str(doc["Type"]).startswith(("ACCREC", "RECEIVE", "AR"))


def invoice_keys(doc: Doc) -> list[Key]:
    keys: list[Key] = [("contact", doc["ContactID"])]
    number = doc.get("InvoiceNumber") or doc.get("CreditNoteNumber")
    if number:
        keys.append(("number", fold(number)))
    return keys


def invoice_standing(doc: Doc) -> Standing | None:
    if doc["Status"] not in LIVE:
        return None
    due = doc.get("AmountDue", ZERO) if doc["Status"] == "AUTHORISED" else ZERO
    return Standing(doc["ContactID"], is_sale(doc), due, doc.get("DueDate") if due else None)


def match_document(desk: Desk, table: str, body: Doc) -> Row | None:
    """What a POST means: by id, else by number where numbers are unique."""
    id_field = "CreditNoteID" if _is_credit(table) else "InvoiceID"
    if body.get(id_field):
        return desk.need(table, body[id_field])
    number = body.get(number_field(table))
    if not number:
        return None
    sales = ("ACCREC", "ACCRECCREDIT")
    for row in desk.books.table(table).rows_of("number", fold(str(number))):
        doc = desk.doc(table, row)
        if body.get("Type") not in (None, doc["Type"]):
            continue
        if doc["Type"] in sales or desk.options.post_matches_bills_by_number:
            if doc["Status"] == "DELETED" and desk.options.numbers_of_deleted_are_free:
                continue
            return row
    return None


def save_document(desk: Desk, table: str, body: Doc, row: Row | None) -> Row:
    """Creates (row None) or changes an invoice, bill or credit note. Raises Invalid."""
    if row is None:
        return _create(desk, table, body)
    return _update(desk, table, body, row)


def _create(desk: Desk, table: str, body: Doc) -> Row:
    types = ("ACCPAYCREDIT", "ACCRECCREDIT") if _is_credit(table) else ("ACCREC", "ACCPAY")
    if body.get("Type") not in types:
        what = "Credit note" if _is_credit(table) else "Invoice"
        raise Invalid(f"{what} not of valid type for creation")
    status = body.get("Status") or "DRAFT"
    if status not in ("DRAFT", "SUBMITTED", "AUTHORISED"):
        raise Invalid("Invoice not of valid status for creation")
    check(_type(table), body)
    doc = _filled(desk, table, body, None, status)
    if doc.get("SentToContact") and status != "AUTHORISED":
        doc["SentToContact"] = False
        desk.warnings.append(problems.SENT_NEEDS_APPROVAL)
    row = desk.unit.add(table, settle(desk, table, None, doc))
    desk.unit.note(row.id, "Created", f"Received through the Xero API from {desk.app}")
    if status == "AUTHORISED":
        desk.unit.note(row.id, "Approved", f"{doc[number_field(table)]} approved.")
    return row


def _update(desk: Desk, table: str, body: Doc, row: Row) -> Row:
    old = desk.doc(table, row)
    status = body.get("Status") or old["Status"]
    _check_flow(old, status, body)
    check(_type(table), body)
    if status == "DELETED" or (status == "VOIDED" and old["Status"] != "VOIDED"):
        return _end(desk, table, row, old, status)
    if old["Status"] == "PAID":
        status = "PAID"
    doc = _filled(desk, table, body, old, status)
    if doc.get("SentToContact") and not old.get("SentToContact") and status not in APPROVED:
        doc["SentToContact"] = False
        desk.warnings.append(problems.SENT_NEEDS_APPROVAL)
    changed = {name for name in doc if doc[name] != old.get(name)}
    if _has_payments(old):
        _check_settled(old, doc, changed)
    doc = settle(desk, table, row.id, doc)
    is_silent = _has_payments(old) and bool(changed) and changed <= {"DueDate", "SentToContact"}
    moves = not is_silent and (bool(changed) or desk.options.unchanged_update_moves)
    desk.unit.replace(table, row, doc, moves=moves)
    approves = status == "AUTHORISED" and old["Status"] != "AUTHORISED"
    desk.unit.note(row.id, "Approved" if approves else "Edited", "Changed through the Xero API.")
    return row


def _type(table: str) -> str:
    return "CreditNote" if _is_credit(table) else "Invoice"


def _check_flow(old: Doc, status: str, body: Doc) -> None:
    before = old["Status"]
    if not FLOW[before]:
        raise Invalid(problems.NOT_MODIFIABLE)
    if "Type" in body and body["Type"] not in (None, old["Type"]):
        raise Invalid("The type of a document cannot be changed.")
    if status == before:
        return
    if _has_payments(old) and status in ("VOIDED", "DRAFT", "SUBMITTED", "AUTHORISED"):
        raise problems.status_blocked(status)
    if status not in FLOW[before]:
        raise Invalid(problems.NOT_MODIFIABLE)


def _has_payments(doc: Doc) -> bool:
    return bool(doc["AmountPaid"] or doc["AmountCredited"] or doc.get("AppliedAmount"))


def _check_settled(old: Doc, doc: Doc, changed: set[str]) -> None:
    if not changed <= SETTLED_PARTS:
        raise Invalid(problems.HAS_PAYMENTS)
    if "ContactID" in changed and old["AmountCredited"]:
        raise Invalid(problems.HAS_PAYMENTS)
    if "LineItems" in changed:
        before, after = _hard(old["LineItems"]), _hard(doc["LineItems"])
        if before != after:
            raise Invalid(problems.HAS_PAYMENTS)


def _hard(lines: list[Doc]) -> dict[str, Doc]:
    """Lines without what may change once there is a payment."""
    return {
        line["LineItemID"]: {n: v for n, v in line.items() if n not in SETTLED_LINE_PARTS}
        for line in lines
    }


def _end(desk: Desk, table: str, row: Row, old: Doc, status: str) -> Row:
    desk.check_period(old["Date"])
    doc = {**old, "Status": status}
    if "AmountDue" in doc:
        doc["AmountDue"] = ZERO
    if "RemainingCredit" in doc:
        doc["RemainingCredit"] = ZERO
    desk.unit.replace(table, row, doc)
    word = "Voided" if status == "VOIDED" else "Deleted"
    desk.unit.note(row.id, word, f"{old[number_field(table)]} {word.lower()}.")
    return row


# -- content ---


def _filled(desk: Desk, table: str, body: Doc, old: Doc | None, status: str) -> Doc:
    """The document as it would be kept, without what is due."""
    for name in ("RoundingAmount", "EnteredTotal"):
        if number(body.get(name)):
            raise Invalid(f"{name} can only be sent for organisations that have opted in to it.")
    approved = status in APPROVED
    kind = body.get("Type") or (old or {})["Type"]
    doc: Doc = {"Type": kind, "Status": status}
    sales = kind in ("ACCREC", "ACCRECCREDIT")
    doc["ContactID"] = nested_contact(
        desk,
        body.get("Contact"),
        old["ContactID"] if old else None,
        must_be_active=approved and (old is None or old["Status"] not in APPROVED),
    )
    doc["Date"] = _day(body, old, "Date") or desk.today
    due = _day(body, old, "DueDate")
    if due is None and body.get("DueDate") is None and not _is_credit(table) and old is None:
        due = _terms(desk, doc["ContactID"], doc["Date"], is_sale=sales)
    if due is None and status in ("AUTHORISED", "SUBMITTED") and not _is_credit(table):
        raise Invalid("The DueDate field is required for documents to be approved.")
    if due is not None:
        doc["DueDate"] = due
    desk.check_period(doc["Date"])
    if old is not None:
        desk.check_period(old["Date"])
    doc["CurrencyCode"], doc["CurrencyRate"] = desk.currency(body, old)
    desk.check_url(body)
    desk.branding(body)
    for name in ("BrandingThemeID", "Url"):
        value = body.get(name) or (old or {}).get(name)
        if value:
            doc[name] = value
    for name in ("ExpectedPaymentDate", "PlannedPaymentDate"):
        day = _day(body, old, name)
        if day is not None and (name == "ExpectedPaymentDate") == sales:
            doc[name] = day
    reference = body.get("Reference", (old or {}).get("Reference", "")) if sales else ""
    doc["Reference"] = reference or ""
    if sales:
        doc["SentToContact"] = bool(body.get("SentToContact", (old or {}).get("SentToContact")))
    doc["LineAmountTypes"] = (
        body.get("LineAmountTypes") or (old or {}).get("LineAmountTypes") or "Exclusive"
    )
    _lines(desk, table, body, old, doc, approved=approved, is_sale=sales)
    doc[number_field(table)] = _number(desk, table, body, old, kind)
    doc["_client"] = old["_client"] if old else desk.client
    for name in ("AmountPaid", "AmountCredited"):
        doc[name] = old[name] if old else ZERO
    for name in ("AmountDue", "RemainingCredit", "AppliedAmount", "FullyPaidOnDate"):
        if old and name in old:
            doc[name] = old[name]
    if old and old.get("RepeatingInvoiceID"):
        doc["RepeatingInvoiceID"] = old["RepeatingInvoiceID"]
    return doc


def _day(body: Doc, old: Doc | None, name: str) -> date | None:
    return read_date(body[name]) if body.get(name) else (old or {}).get(name)


def _terms(desk: Desk, contact_id: str, day: date, *, is_sale: bool) -> date | None:
    """The due date a contact's payment terms give, if it has any."""
    terms = desk.books.doc("Contacts", contact_id).get("PaymentTerms") or {}
    term = terms.get("Sales" if is_sale else "Bills") or {}
    days, kind = term.get("Day"), term.get("Type")
    if not isinstance(days, int) or not kind:
        return None
    first = day.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    if kind == "DAYSAFTERBILLDATE":
        return day + timedelta(days=days)
    if kind == "DAYSAFTERBILLMONTH":
        return following - timedelta(days=1) + timedelta(days=days)
    start = first if kind == "OFCURRENTMONTH" else following
    last = (start + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    return min(start + timedelta(days=max(days, 1) - 1), last)


def _lines(
    desk: Desk, table: str, body: Doc, old: Doc | None, doc: Doc, *, approved: bool, is_sale: bool
) -> None:
    kind = LineKind(
        is_sale,
        approved,
        discounts=(is_sale and not _is_credit(table)) or not desk.options.check_discount_kind,
        unit_places=desk.unit_places,
    )
    amounts = doc["LineAmountTypes"]
    kept = old["LineItems"] if old else []
    if body.get("LineItems") is not None:
        lines = build_lines(desk, body["LineItems"], kept, kind, amounts)
        if not lines:
            raise Invalid("One or more line items must be specified")
    elif old is None:
        raise Invalid("One or more line items must be specified")
    elif old["LineAmountTypes"] != amounts or (approved and old["Status"] not in APPROVED):
        lines = retaxed(desk, kept, kind, amounts)
    else:
        lines = kept
    if approved and not any(line.get("AccountID") for line in lines):
        raise Invalid("Account code must be specified.")
    sums = totals_of(lines, amounts)
    if sums.total < 0:
        raise Invalid("The document total must not be negative.")
    doc["LineItems"] = lines
    doc["SubTotal"], doc["TotalTax"], doc["Total"] = sums.sub_total, sums.total_tax, sums.total
    if sums.discount:
        doc["TotalDiscount"] = sums.discount


def _number(desk: Desk, table: str, body: Doc, old: Doc | None, kind: str) -> str:
    name = number_field(table)
    sent = body.get(name)
    if not sent and old is not None:
        return str(old[name])
    if kind not in ("ACCREC", "ACCRECCREDIT"):
        return str(sent or "")
    if sent:
        is_new = old is None or fold(old[name]) != fold(str(sent))
        if is_new and _holder(desk, table, str(sent), kind) is not None:
            what = "Credit Note" if _is_credit(table) else "Invoice"
            raise Invalid(f"{what} # must be unique.")
        return str(sent)
    prefix = "CN-" if _is_credit(table) else "INV-"
    while _holder(desk, table, made := desk.unit.next_number(prefix), kind) is not None:
        pass
    return made


def _holder(desk: Desk, table: str, number: str, kind: str) -> Row | None:
    for row in desk.books.table(table).rows_of("number", fold(number)):
        doc = desk.doc(table, row)
        is_free = doc["Status"] == "DELETED" and desk.options.numbers_of_deleted_are_free
        if doc["Type"] == kind and not is_free:
            return row
    return None


# -- what is due ---


def paid_amounts(desk: Desk, table: str, record_id: str) -> tuple[Decimal, Decimal, date | None]:
    """What payments and allocations add up to, and the day of the last of them."""
    paid = credited = ZERO
    last: date | None = None
    for row in desk.books.table("Payments").rows_of("target", record_id):
        doc = desk.doc("Payments", row)
        if doc["Status"] == "AUTHORISED":
            paid += doc["Amount"]
            last = max(last or doc["Date"], doc["Date"])
    index = "invoice" if table == "Invoices" else "source"
    for row in desk.books.table("Allocations").rows_of(index, record_id):
        doc = desk.doc("Allocations", row)
        credited += doc["Amount"]
        last = max(last or doc["Date"], doc["Date"])
    return paid, credited, last


def settle(desk: Desk, table: str, record_id: str | None, doc: Doc) -> Doc:
    """`doc` with AmountDue or RemainingCredit, Status and FullyPaidOnDate as they follow."""
    paid, credited, last = paid_amounts(desk, table, record_id) if record_id else (ZERO, ZERO, None)
    left = doc["Total"] - paid - credited
    found = {**doc, "AmountPaid": paid, "AmountCredited": credited}
    if table == "Invoices":
        found["AmountDue"] = left if doc["Status"] not in ("VOIDED", "DELETED") else ZERO
    else:
        found["RemainingCredit"] = left
        found["AppliedAmount"] = credited
    is_open = doc["Status"] in APPROVED
    if is_open and left == 0 and (doc["Total"] or last):
        found["Status"], found["FullyPaidOnDate"] = "PAID", last or doc["Date"]
    elif is_open:
        found["Status"] = "AUTHORISED"
        found.pop("FullyPaidOnDate", None)
    return found


def resettle(desk: Desk, table: str, record_id: str) -> None:
    """After a payment or allocation came or went."""
    row = desk.books.table(table).rows[record_id]
    old = desk.doc(table, row)
    desk.unit.replace(table, row, settle(desk, table, record_id, old))


def outstanding(doc: Doc) -> Decimal:
    """What may still be paid, allocated or refunded."""
    found: Any = doc.get("AmountDue", doc.get("RemainingCredit", ZERO))
    return Decimal(found)
