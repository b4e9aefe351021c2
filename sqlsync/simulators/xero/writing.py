"""Writes: elements in, records changed, answers or refusals out.

PUT creates; POST changes what it matches and creates the rest. With `summarizeErrors=false`
each element has its own fate and the answer is 200; else one bad element refuses them all.
Source: reference, "Writing", "Errors".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlsync.simulators.xero import banking, chart, contacts, expenses, invoicing, orders, payments
from sqlsync.simulators.xero.desk import Desk
from sqlsync.simulators.xero.endpoints import Endpoint
from sqlsync.simulators.xero.fields import members_of, spelled
from sqlsync.simulators.xero.items import BULK_MAX, match_item, move_stock, save_item
from sqlsync.simulators.xero.lines import rough_lines
from sqlsync.simulators.xero.problems import Invalid, bad_post, validation
from sqlsync.simulators.xero.shapes import render
from sqlsync.simulators.xero.shapes_contacts import contact_brief
from sqlsync.simulators.xero.shapes_parts import View
from sqlsync.simulators.xero.store import Row
from sqlsync.simulators.xero.values import (
    NO_ID,
    ZERO,
    Doc,
    day_text,
    decode,
    is_uuid,
    ms_date,
    read_date,
    total,
)
from sqlsync.simulators.xero.xml_reading import read_xml

Match = Callable[[Desk, Doc], Row | None]
Save = Callable[[Desk, Doc, Row | None], Row]


def _never(desk: Desk, body: Doc) -> Row | None:
    return None


def _by_id(table: str, id_field: str) -> Match:
    def match(desk: Desk, body: Doc) -> Row | None:
        return desk.need(table, body[id_field]) if body.get(id_field) else None

    return match


def _in(table: str, work: Callable[..., Any]) -> Any:
    """`work` with the table's name put in after the desk."""
    return partial(_with_table, work, table)


def _with_table(work: Callable[..., Any], table: str, desk: Desk, *rest: Any) -> Any:
    return work(desk, table, *rest)


@dataclass(frozen=True, slots=True)
class Rules:
    """How one kind of record is matched and saved."""

    save: Save
    match: Match = _never


RULES: dict[str, Rules] = {
    "Accounts": Rules(chart.save_account, _by_id("Accounts", "AccountID")),
    "BankTransactions": Rules(banking.save_transaction, banking.match_transaction),
    "BankTransfers": Rules(banking.save_transfer, banking.match_transfer),
    "BatchPayments": Rules(payments.save_batch, _by_id("BatchPayments", "BatchPaymentID")),
    "Contacts": Rules(contacts.save_contact, contacts.match_contact),
    "ContactGroups": Rules(contacts.save_group, contacts.match_group),
    "CreditNotes": Rules(
        _in("CreditNotes", invoicing.save_document), _in("CreditNotes", invoicing.match_document)
    ),
    "Currencies": Rules(chart.save_currency),
    "Employees": Rules(expenses.save_employee, expenses.match_employee),
    "ExpenseClaims": Rules(expenses.save_claim, expenses.match_claim),
    "Invoices": Rules(
        _in("Invoices", invoicing.save_document), _in("Invoices", invoicing.match_document)
    ),
    "Items": Rules(save_item, match_item),
    "LinkedTransactions": Rules(expenses.save_linked, expenses.match_linked),
    "ManualJournals": Rules(expenses.save_journal, expenses.match_journal),
    "Payments": Rules(payments.save_payment, _by_id("Payments", "PaymentID")),
    "PaymentServices": Rules(chart.save_payment_service),
    "PurchaseOrders": Rules(
        _in("PurchaseOrders", orders.save_order), _in("PurchaseOrders", orders.match_order)
    ),
    "Quotes": Rules(_in("Quotes", orders.save_order), _in("Quotes", orders.match_order)),
    "Receipts": Rules(expenses.save_receipt, expenses.match_receipt),
    "RepeatingInvoices": Rules(orders.save_repeating, orders.match_repeating),
    "TaxRates": Rules(chart.save_tax_rate, chart.match_tax_rate),
    "TrackingCategories": Rules(
        chart.save_category, _by_id("TrackingCategories", "TrackingCategoryID")
    ),
}


def read_elements(endpoint_key: str, type_name: str, raw: bytes, *, one: bool = False) -> list[Doc]:
    """The elements of a request body: `{"Invoices": [...]}`, a list, one bare object, or XML.

    Raises Refused (PostDataInvalidException).
    """
    if not raw.strip():
        raise bad_post("The request body is missing.")
    elements = _parsed(endpoint_key, type_name, raw)
    if not isinstance(elements, list) or not elements:
        raise bad_post(f"The request holds no {endpoint_key}.")
    if any(not isinstance(element, dict) for element in elements):
        raise bad_post("JSON for post data was invalid, every element must be an object.")
    if one and len(elements) > 1:
        raise bad_post(f"Only one {type_name} can be sent in a request.")
    return [spelled(type_name, element) for element in elements]


def _parsed(endpoint_key: str, type_name: str, raw: bytes) -> Any:
    if raw.lstrip().startswith(b"<"):
        return read_xml(endpoint_key, type_name, raw)
    try:
        body = decode(raw)
    except ValueError as error:
        raise bad_post(f"JSON for post data was invalid, {error}") from None
    elements: Any = body
    if isinstance(body, dict):
        wrapped = [value for name, value in body.items() if name.lower() == endpoint_key.lower()]
        elements = wrapped[0] if wrapped and isinstance(wrapped[0], list) else [body]
    return elements


@dataclass(slots=True)
class Outcome:
    """What became of one element."""

    row: Row | None
    body: Doc
    errors: list[str]
    warnings: list[str]
    matched: Row | None = None


def write_all(
    desk: Desk, endpoint: Endpoint, elements: list[Doc], *, creates: bool
) -> list[Outcome]:
    """Carries out every element; a failed one leaves no trace."""
    rules = RULES[endpoint.name]
    limit = BULK_MAX if endpoint.name == "Items" else None
    if limit is not None and len(elements) > limit:
        raise bad_post(f"At most {limit} {endpoint.name} can be sent in a request.")
    outcomes: list[Outcome] = []
    for body in elements:
        if creates and is_uuid(body.get(endpoint.id_field)):
            desk.need(endpoint.name, body[endpoint.id_field])  # an id nobody issued: 404
        matched = None if creates else rules.match(desk, body)
        outcomes.append(_one(desk, endpoint.name, rules, body, matched))
    return outcomes


def write_one(desk: Desk, endpoint: Endpoint, body: Doc, row: Row) -> Outcome:
    """Changes the record an address names."""
    return _one(desk, endpoint.name, RULES[endpoint.name], body, row)


def _one(desk: Desk, table: str, rules: Rules, body: Doc, matched: Row | None) -> Outcome:
    mark, desk.warnings = desk.unit.mark(), []
    before = desk.doc(table, matched) if matched else None
    try:
        row = rules.save(desk, body, matched)
        move_stock(desk, table, before, desk.doc(table, row))
    except Invalid as problem:
        desk.unit.rollback(mark)
        return Outcome(None, body, problem.messages, [], matched)
    return Outcome(row, body, [], desk.warnings, matched)


# -- answers ---

_HAS_ERRORS = frozenset(("Invoices", "CreditNotes", "PurchaseOrders"))


def shown(
    desk: Desk, endpoint: Endpoint, outcome: Outcome, view: View, *, marks_ok: bool = True
) -> Doc:
    """An element of the answer: the record, or the echo of what was refused.

    marks_ok: whether a good element carries StatusAttributeString as well.
    """
    if outcome.row is None:
        return refused_element(desk, endpoint, outcome)
    found = render(desk.books, endpoint.name, outcome.row, view)
    if outcome.warnings:
        found["StatusAttributeString"] = "WARNING"
        found["Warnings"] = [{"Message": text} for text in outcome.warnings]
    elif marks_ok and _marked(endpoint):
        found["StatusAttributeString"] = "OK"
    return found


def _marked(endpoint: Endpoint) -> bool:
    return "statusattributestring" in members_of(endpoint.type)


def refused_element(desk: Desk, endpoint: Endpoint, outcome: Outcome) -> Doc:
    """The echo of an element with what is wrong with it."""
    body, matched = outcome.body, outcome.matched
    found: Doc = {}
    sent_id = body.get(endpoint.id_field)
    if endpoint.name not in ("TaxRates", "Currencies"):
        record_id = matched.id if matched else sent_id if is_uuid(sent_id) else NO_ID
        found[endpoint.id_field] = record_id
    if endpoint.name in ("Invoices", "CreditNotes") and matched is None:
        found = _echoed_document(desk, endpoint.name, body, found)
    else:
        found |= _echoed(body, endpoint.id_field)
    if endpoint.name == "Contacts":
        lists = ("Addresses", "Phones", "ContactGroups", "ContactPersons")
        found |= {name: found.get(name, []) for name in lists}
        found["HasValidationErrors"] = True
    elif endpoint.name in _HAS_ERRORS:
        found["HasErrors"] = True
    elif endpoint.name == "Payments":
        found["HasValidationErrors"] = True
    if _marked(endpoint):
        found["StatusAttributeString"] = "ERROR"
    found["ValidationErrors"] = [{"Message": text} for text in outcome.errors]
    return found


def _echoed(body: Doc, id_field: str) -> Doc:
    """What was sent, days as the service writes them."""
    found: Doc = {}
    for name, value in body.items():
        if name == id_field or value is None:
            continue
        day = read_date(value) if name.endswith("Date") and isinstance(value, str) else None
        if day is not None:
            found[f"{name}String"], found[name] = day_text(day), ms_date(day)
        elif name == "LineItems":
            found[name] = rough_lines(value)
        else:
            found[name] = value
    return found


def _echoed_document(desk: Desk, table: str, body: Doc, head: Doc) -> Doc:
    number = "InvoiceNumber" if table == "Invoices" else "CreditNoteNumber"
    found: Doc = {}
    if body.get("Type"):
        found["Type"] = body["Type"]
    found |= head
    if body.get(number):
        found[number] = body[number]
    found["Reference"] = body.get("Reference") or ""
    if table == "Invoices":
        found |= {"AmountDue": ZERO, "AmountPaid": ZERO}
    found |= {"SentToContact": False, "IsDiscounted": False, "HasErrors": True}
    found["Contact"] = _echoed_contact(desk, body.get("Contact"))
    found |= _echoed({name: body.get(name) for name in ("Date", "DueDate")}, "")
    found["Status"] = body.get("Status") or "DRAFT"
    found["LineAmountTypes"] = body.get("LineAmountTypes") or "Exclusive"
    found["LineItems"] = rough_lines(body.get("LineItems"))
    amount = total(line["LineAmount"] for line in found["LineItems"])
    found |= {"SubTotal": amount, "TotalTax": ZERO, "Total": amount}
    found["CurrencyCode"] = body.get("CurrencyCode") or desk.organisation["BaseCurrency"]
    return found


def _echoed_contact(desk: Desk, sent: Any) -> Doc:
    sent = sent if isinstance(sent, dict) else {}
    contact_id = sent.get("ContactID")
    if is_uuid(contact_id) and desk.books.row("Contacts", contact_id) is not None:
        return contact_brief(desk.books, contact_id.lower())
    lists = ("Addresses", "Phones", "ContactGroups", "ContactPersons")
    found = {name: sent[name] for name in ("ContactID", "Name") if sent.get(name)}
    return {**found, **{name: [] for name in lists}, "HasValidationErrors": False}


def refuse_failed(desk: Desk, endpoint: Endpoint, outcomes: list[Outcome]) -> None:
    """Raises the 400 of the default mode where an element failed."""
    failed = [outcome for outcome in outcomes if outcome.errors]
    if failed:
        raise validation([refused_element(desk, endpoint, outcome) for outcome in failed])
