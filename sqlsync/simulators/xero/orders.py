"""Purchase orders, quotes and repeating invoices: documents without an effect on the ledger.

Source: reference, "Purchase orders and quotes" and the official data file.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlsync.simulators.xero.contacts import nested_contact
from sqlsync.simulators.xero.desk import Desk
from sqlsync.simulators.xero.fields import check
from sqlsync.simulators.xero.lines import LineKind, build_lines, retaxed, totals_of
from sqlsync.simulators.xero.problems import Invalid
from sqlsync.simulators.xero.store import Key, Row
from sqlsync.simulators.xero.values import Doc, fold, read_date

ORDER_FLOW = {
    "DRAFT": ("DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"),
    "SUBMITTED": ("SUBMITTED", "DRAFT", "AUTHORISED", "DELETED"),
    "AUTHORISED": ("AUTHORISED", "SUBMITTED", "DRAFT", "BILLED", "DELETED"),
    "BILLED": ("BILLED", "AUTHORISED", "DELETED"),
    "DELETED": (),
}
QUOTE_FLOW = {
    "DRAFT": ("DRAFT", "SENT", "DELETED"),
    "SENT": ("SENT", "ACCEPTED", "DECLINED", "INVOICED", "DRAFT", "DELETED"),
    "ACCEPTED": ("ACCEPTED", "INVOICED", "SENT", "DRAFT", "DELETED"),
    "DECLINED": ("DECLINED", "SENT", "DRAFT", "DELETED"),
    "INVOICED": ("INVOICED", "DELETED"),
    "DELETED": (),
}
_QUOTE_AMOUNTS = {"EXCLUSIVE": "Exclusive", "INCLUSIVE": "Inclusive", "NOTAX": "NoTax"}


def number_keys(doc: Doc) -> list[Key]:
    number = doc.get("PurchaseOrderNumber") or doc.get("QuoteNumber")
    return [("contact", doc["ContactID"]), ("number", fold(number or ""))]


def match_order(desk: Desk, table: str, body: Doc) -> Row | None:
    id_field, name = _names(table)
    if body.get(id_field):
        return desk.need(table, body[id_field])
    if not body.get(name):
        return None
    found = desk.books.table(table).rows_of("number", fold(str(body[name])))
    return found[0] if found else None


def _names(table: str) -> tuple[str, str]:
    if table == "Quotes":
        return "QuoteID", "QuoteNumber"
    return "PurchaseOrderID", "PurchaseOrderNumber"


def save_order(desk: Desk, table: str, body: Doc, row: Row | None) -> Row:
    """Creates or changes a purchase order or a quote. Raises Invalid."""
    is_quote = table == "Quotes"
    old = desk.doc(table, row) if row else None
    flow = QUOTE_FLOW if is_quote else ORDER_FLOW
    status = body.get("Status") or (old or {}).get("Status") or "DRAFT"
    if old is not None and status not in flow[old["Status"]]:
        if is_quote:
            raise Invalid("Quote status change is invalid")
        if old["Status"] == "DELETED":
            raise Invalid(
                "PurchaseOrder status change is invalid", "Deleted PurchaseOrders cannot be updated"
            )
        raise Invalid("PurchaseOrder status change is invalid")
    check("Quote" if is_quote else "PurchaseOrder", body)
    if old is None and status not in ("DRAFT", "SENT", "SUBMITTED", "AUTHORISED", "BILLED"):
        raise Invalid(f"{'Quote' if is_quote else 'PurchaseOrder'} status change is invalid")
    if row is not None and old is not None and status == "DELETED":
        desk.unit.replace(table, row, {**old, "Status": "DELETED"})
        desk.unit.note(row.id, "Deleted", "Deleted.")
        return row
    doc = _filled(desk, table, body, old, status)
    if row is not None:
        moves = doc != old or desk.options.unchanged_update_moves
        desk.unit.replace(table, row, doc, moves=moves)
        desk.unit.note(row.id, "Edited", "Changed through the Xero API.")
        return row
    made = desk.unit.add(table, doc)
    desk.unit.note(made.id, "Created", f"Received through the Xero API from {desk.app}")
    return made


def _filled(desk: Desk, table: str, body: Doc, old: Doc | None, status: str) -> Doc:
    is_quote = table == "Quotes"
    kept = old or {}
    doc: Doc = {"Status": status}
    doc["ContactID"] = nested_contact(
        desk,
        body.get("Contact"),
        kept.get("ContactID"),
        must_be_active=old is None,
        may_create=is_quote,
    )
    if is_quote and old is None and desk.options.quote_needs_date and not body.get("Date"):
        raise Invalid("Date must be specified.")
    doc["Date"] = _day(body, kept, "Date") or desk.today
    days = ("ExpiryDate",) if is_quote else ("DeliveryDate", "ExpectedArrivalDate")
    for name in days:
        day = _day(body, kept, name)
        if day is not None:
            doc[name] = day
    doc["CurrencyCode"], doc["CurrencyRate"] = desk.currency(body, old)
    desk.branding(body)
    names = (
        ("Reference", "Terms", "Title", "Summary", "BrandingThemeID")
        if is_quote
        else (
            "Reference",
            "BrandingThemeID",
            "DeliveryAddress",
            "AttentionTo",
            "Telephone",
            "DeliveryInstructions",
        )
    )
    for name in names:
        value = body.get(name, kept.get(name))
        if value:
            doc[name] = value
    if len(doc.get("DeliveryInstructions", "")) > 500:
        raise Invalid("DeliveryInstructions must be no longer than 500 characters.")
    if not is_quote:
        sent = bool(body.get("SentToContact", kept.get("SentToContact")))
        if sent and status not in ("AUTHORISED", "BILLED"):
            desk.warnings.append("Only AUTHORISED or BILLED orders may have SentToContact updated.")
            sent = False
        doc["SentToContact"] = sent
    default = "EXCLUSIVE" if is_quote else "Exclusive"
    doc["LineAmountTypes"] = body.get("LineAmountTypes") or kept.get("LineAmountTypes") or default
    _lines(desk, body, old, doc, is_quote=is_quote)
    doc[_names(table)[1]] = _number(desk, table, body, old)
    return doc


def _day(body: Doc, kept: Doc, name: str) -> date | None:
    return read_date(body[name]) if body.get(name) else kept.get(name)


def _lines(desk: Desk, body: Doc, old: Doc | None, doc: Doc, *, is_quote: bool) -> None:
    kind = LineKind(
        is_sale=is_quote,
        must_code=False,
        discounts=True,
        unit_places=desk.unit_places if is_quote else 4,
    )
    sent_amounts = str(doc["LineAmountTypes"])
    amounts = _QUOTE_AMOUNTS.get(sent_amounts, sent_amounts)
    if body.get("LineItems") is not None:
        kept = old["LineItems"] if old else []
        lines = build_lines(desk, body["LineItems"], kept, kind, amounts)
    elif old is None:
        lines = []
    elif old["LineAmountTypes"] != doc["LineAmountTypes"]:
        lines = retaxed(desk, old["LineItems"], kind, amounts)
    else:
        lines = old["LineItems"]
    if not lines:
        raise Invalid("One or more line items must be specified")
    sums = totals_of(lines, amounts)
    doc["LineItems"] = lines
    doc["SubTotal"], doc["TotalTax"], doc["Total"] = sums.sub_total, sums.total_tax, sums.total
    doc["TotalDiscount"] = sums.discount


def _number(desk: Desk, table: str, body: Doc, old: Doc | None) -> str:
    name = _names(table)[1]
    sent = body.get(name)
    if not sent and old is not None:
        return str(old[name])
    held = desk.books.table(table)
    if sent:
        same = old is not None and fold(old[name]) == fold(str(sent))
        if not same and held.ids_of("number", fold(str(sent))):
            taken = held.rows_of("number", fold(str(sent)))[0]
            if table == "PurchaseOrders" and desk.doc(table, taken)["Status"] == "DELETED":
                raise Invalid(
                    "PurchaseOrder status change is invalid",
                    "Deleted PurchaseOrders cannot be updated",
                )
            raise Invalid(
                "Order number must be unique"
                if table != "Quotes"
                else "Quote number must be unique"
            )
        return str(sent)
    prefix = "QU-" if table == "Quotes" else "PO-"
    while held.ids_of("number", fold(made := desk.unit.next_number(prefix))):
        pass
    return made


# -- repeating invoices ---


def match_repeating(desk: Desk, body: Doc) -> Row | None:
    if body.get("RepeatingInvoiceID"):
        return desk.need("RepeatingInvoices", body["RepeatingInvoiceID"])
    return None


def save_repeating(desk: Desk, body: Doc, row: Row | None) -> Row:
    old = desk.doc("RepeatingInvoices", row) if row else None
    if row is not None and old is not None:
        if old["Status"] == "DELETED":
            raise Invalid("Repeating invoice not of valid status for modification")
        flags = {name for name, value in body.items() if value is False}  # as SDKs send them
        if set(body) - flags - {"RepeatingInvoiceID", "Status"}:
            raise Invalid("Only the Status of a repeating invoice can be updated.")
        if body.get("Status") not in ("DRAFT", "AUTHORISED", "DELETED"):
            raise Invalid("The status of the repeating invoice is not valid.")
        desk.unit.replace("RepeatingInvoices", row, {**old, "Status": body["Status"]})
        return row
    check("RepeatingInvoice", body)
    if body.get("Type") not in ("ACCREC", "ACCPAY"):
        raise Invalid("Invoice not of valid type for creation")
    status = body.get("Status") or "DRAFT"
    sells = body["Type"] == "ACCREC"
    doc: Doc = {"Type": body["Type"], "Status": status, "Schedule": _schedule(body)}
    doc["ContactID"] = nested_contact(desk, body.get("Contact"), None, must_be_active=True)
    doc["CurrencyCode"], _ = desk.currency(body, None)
    desk.branding(body)
    doc["LineAmountTypes"] = body.get("LineAmountTypes") or "Exclusive"
    kind = LineKind(sells, status == "AUTHORISED", discounts=sells)
    lines = build_lines(desk, body.get("LineItems") or [], [], kind, doc["LineAmountTypes"])
    if not lines:
        raise Invalid("One or more line items must be specified")
    sums = totals_of(lines, doc["LineAmountTypes"])
    doc["LineItems"] = lines
    doc["SubTotal"], doc["TotalTax"], doc["Total"] = sums.sub_total, sums.total_tax, sums.total
    doc["Reference"] = body.get("Reference") or ""
    for name in ("BrandingThemeID", "ApprovedForSending", "SendCopy", "MarkAsSent", "IncludePDF"):
        if body.get(name) is not None:
            doc[name] = body[name]
    made = desk.unit.add("RepeatingInvoices", doc)
    desk.unit.note(made.id, "Created", f"Received through the Xero API from {desk.app}")
    return made


def _schedule(body: Doc) -> Doc:
    sent: Any = body.get("Schedule")
    if not isinstance(sent, dict):
        raise Invalid("Schedule must be specified.")
    for name in ("Period", "Unit", "DueDate", "DueDateType"):
        if sent.get(name) is None:
            raise Invalid(f"Schedule {name} must be specified.")
    made: Doc = {name: sent[name] for name in ("Period", "Unit", "DueDate", "DueDateType")}
    for name in ("StartDate", "NextScheduledDate", "EndDate"):
        day = read_date(sent.get(name))
        if day is not None:
            made[name] = day
    if "StartDate" in made:
        made.setdefault("NextScheduledDate", made["StartDate"])
    return made
