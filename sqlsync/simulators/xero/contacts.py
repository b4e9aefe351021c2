"""Contacts and contact groups: names, slots, archiving, matching.

A contact is matched by ContactID, else ContactNumber, else Name. Names are unique among ACTIVE
contacts, without regard to case. An archived contact takes no change.
Source: reference, "Contacts", "Writing".
"""

from __future__ import annotations

import re
from typing import Any

from sqlsync.simulators.xero import problems
from sqlsync.simulators.xero.desk import Desk
from sqlsync.simulators.xero.fields import check
from sqlsync.simulators.xero.problems import Invalid
from sqlsync.simulators.xero.store import Key, Row
from sqlsync.simulators.xero.values import Doc, fold, is_uuid

ADDRESS_SLOTS = ("STREET", "POBOX")
PHONE_SLOTS = ("DDI", "DEFAULT", "FAX", "MOBILE")
PERSONS_MAX = 5
_EMAIL = re.compile(r"[^@\s<>äöüÄÖÜß]+@[^@\s<>äöüÄÖÜß]+\.[^@\s<>äöüÄÖÜß]+")

_PLAIN = (
    "ContactNumber",
    "AccountNumber",
    "FirstName",
    "LastName",
    "CompanyNumber",
    "EmailAddress",
    "BankAccountDetails",
    "TaxNumber",
    "TaxNumberType",
    "AccountsReceivableTaxType",
    "AccountsPayableTaxType",
    "SalesDefaultLineAmountType",
    "PurchasesDefaultLineAmountType",
    "DefaultCurrency",
    "XeroNetworkKey",
    "SalesDefaultAccountCode",
    "PurchasesDefaultAccountCode",
    "SalesTrackingCategories",
    "PurchasesTrackingCategories",
    "TrackingCategoryName",
    "TrackingCategoryOption",
    "PaymentTerms",
    "BatchPayments",
)
_LISTS = frozenset(("SalesTrackingCategories", "PurchasesTrackingCategories"))


def contact_keys(doc: Doc) -> list[Key]:
    keys: list[Key] = []
    if doc["ContactStatus"] == "ACTIVE":
        keys.append(("name", fold(doc["Name"])))
    else:
        keys.append(("archived", fold(doc["Name"])))
    if doc.get("ContactNumber"):
        keys.append(("number", fold(doc["ContactNumber"])))
    return keys


def match_contact(desk: Desk, body: Doc) -> Row | None:
    """The contact a POST means. Raises 404 for an unknown ContactID."""
    table = desk.books.table("Contacts")
    if body.get("ContactID"):
        return desk.need("Contacts", body["ContactID"])
    if body.get("ContactNumber"):
        found = table.rows_of("number", fold(str(body["ContactNumber"])))
        if found:
            return found[0]
    name = fold(str(body.get("Name", "")))
    active = table.rows_of("name", name)
    if active:
        return active[0]
    return next(iter(table.rows_of("archived", name)), None)


def save_contact(desk: Desk, body: Doc, row: Row | None) -> Row:
    """Creates (row None) or changes a contact. Raises Invalid."""
    old = desk.doc("Contacts", row) if row else None
    if old is not None and old["ContactStatus"] != "ACTIVE":
        raise Invalid(problems.ARCHIVED_CONTACT)
    check("Contact", body)
    name = body.get("Name", old["Name"] if old else None)
    name = _check_name(name)
    _check_taken(desk, body, name, row)
    doc: Doc = {"ContactStatus": body.get("ContactStatus") or "ACTIVE", "Name": name}
    if doc["ContactStatus"] == "GDPRREQUEST":
        raise Invalid("The contact status cannot be set to GDPRREQUEST.")
    for plain in _PLAIN:
        value = body.get(plain, old.get(plain) if old else None)
        if plain in body and body[plain] is None and old:
            value = old.get(plain)
        if value is not None and not (value == "" and plain in _LISTS):
            doc[plain] = value
    email = doc.get("EmailAddress")
    if email and not _EMAIL.fullmatch(email):
        raise Invalid("Email address must be valid.")
    _check_codes(desk, doc)
    doc["Addresses"] = _slots(desk, "Address", ADDRESS_SLOTS, body.get("Addresses"), old)
    doc["Phones"] = _slots(desk, "Phone", PHONE_SLOTS, body.get("Phones"), old)
    persons = body.get("ContactPersons", old["ContactPersons"] if old else None) or []
    if len(persons) > PERSONS_MAX:
        raise Invalid(f"A contact can have at most {PERSONS_MAX} contact persons.")
    doc["ContactPersons"] = [_person(person) for person in persons]
    for kept in ("Discount", "Website", "BrandingThemeID", "MergedToContactID"):
        if old and old.get(kept) is not None:
            doc[kept] = old[kept]
    if row is None:
        row = desk.unit.add("Contacts", doc)
        desk.unit.note(row.id, "Created", f"Received through the Xero API from {desk.app}")
        return row
    moves = doc != old or desk.options.unchanged_update_moves
    desk.unit.replace("Contacts", row, doc, moves=moves)
    archived = doc["ContactStatus"] == "ARCHIVED"
    desk.unit.note(row.id, "Archived" if archived else "Edited", "Contact changed.")
    return row


def _check_name(name: Any) -> str:
    if not isinstance(name, str) or not name.strip():
        raise Invalid("Contact name must be specified")
    if "<" in name or ">" in name:
        raise Invalid("The contact name must not contain angle brackets.")
    if name != name.strip() or "  " in name:
        raise Invalid("The contact name must not have outer or double spaces.")
    return name


def _check_taken(desk: Desk, body: Doc, name: str, row: Row | None) -> None:
    table = desk.books.table("Contacts")
    is_archiving = body.get("ContactStatus") == "ARCHIVED"
    for other in table.rows_of("name", fold(name)):
        if other is not row and not is_archiving:
            raise problems.contact_name_taken(name)
    number = body.get("ContactNumber")
    if number:
        for other in table.rows_of("number", fold(str(number))):
            if other is not row:
                raise Invalid(
                    f"The contact number {number} is already assigned to another contact. "
                    "The contact number must be unique across all contacts."
                )


def _check_codes(desk: Desk, doc: Doc) -> None:
    for name in ("SalesDefaultAccountCode", "PurchasesDefaultAccountCode"):
        code = doc.get(name)
        if code and not desk.books.table("Accounts").ids_of("code", code):
            raise Invalid(f"Account code '{code}' is not a valid code for this contact.")
    for name in ("AccountsReceivableTaxType", "AccountsPayableTaxType"):
        if doc.get(name):
            desk.tax_rate(doc[name])
    code = doc.get("DefaultCurrency")
    if code and code not in desk.books.table("Currencies").rows:
        raise problems.no_currency(code)


def _slots(
    desk: Desk, kind: str, slots: tuple[str, ...], sent: Any, old: Doc | None
) -> dict[str, Doc]:
    """Addresses or phones by slot."""
    many = "Addresses" if kind == "Address" else "Phones"
    kept: dict[str, Doc] = dict(old[many]) if old else {}
    if not isinstance(sent, list) or not sent:
        return kept
    if not desk.options.address_slots_merge:
        kept = {}
    for element in sent:
        slot = element.get(f"{kind}Type") if isinstance(element, dict) else None
        if slot is None:
            raise Invalid(f"{kind}Type must be specified.")
        if slot not in slots:
            raise Invalid(f"{kind}Type {slot} is not valid for a contact.")
        kept[slot] = {name: value for name, value in element.items() if value is not None}
    return kept


def _person(sent: Any) -> Doc:
    person = sent if isinstance(sent, dict) else {}
    email = person.get("EmailAddress")
    if email and not _EMAIL.fullmatch(email):
        raise Invalid("Email address must be valid.")
    return {
        "FirstName": person.get("FirstName") or "",
        "LastName": person.get("LastName") or "",
        "EmailAddress": email or "",
        "IncludeInEmails": bool(person.get("IncludeInEmails")),
    }


# -- contacts inside documents ---


def nested_contact(
    desk: Desk, sent: Any, old: str | None, *, must_be_active: bool, may_create: bool = True
) -> str:
    """The contact id of a document; creates or changes the contact as the service does."""
    if sent is None and old is not None:
        _check_active(desk, old, must_be_active)
        return old
    if not isinstance(sent, dict) or not sent:
        raise Invalid("A Contact must be specified for this type of transaction")
    more = {
        name: value
        for name, value in sent.items()
        if name not in ("ContactID", "ContactStatus") and value not in (None, "", [], {})
    }
    row: Row | None
    if sent.get("ContactID"):
        contact_id = sent["ContactID"]
        row = desk.books.row("Contacts", contact_id) if is_uuid(contact_id) else None
        if row is None:
            raise Invalid("The contact with the specified contact details could not be found.")
    else:
        row = match_contact(desk, sent)
    if row is None:
        if not may_create:
            raise Invalid("The contact with the specified contact details could not be found.")
        return save_contact(desk, sent, None).id
    _check_active(desk, row.id, must_be_active)
    doc = desk.doc("Contacts", row)
    by_name_alone = set(more) <= {"Name"} and not sent.get("ContactID")
    if not by_name_alone and more and doc["ContactStatus"] == "ACTIVE":
        writable = {name for name in more if name in (*_PLAIN, "Name", "Addresses", "Phones")}
        if writable or "ContactPersons" in more:
            body = dict(more)
            if desk.options.nested_contact_drops_persons:
                body.setdefault("ContactPersons", [])
            save_contact(desk, body, row)
    return row.id


def _check_active(desk: Desk, contact_id: str, must_be_active: bool) -> None:
    row = desk.books.row("Contacts", contact_id)
    if row is None or (must_be_active and desk.doc("Contacts", row)["ContactStatus"] != "ACTIVE"):
        raise Invalid("The contact must be active to approve this document.")


# -- groups ---


def group_keys(doc: Doc) -> list[Key]:
    if doc["Status"] != "ACTIVE":
        return []
    return [("name", fold(doc["Name"])), *(("member", member) for member in doc["Members"])]


def match_group(desk: Desk, body: Doc) -> Row | None:
    if body.get("ContactGroupID"):
        return _active_group(desk, body["ContactGroupID"])
    return None


def _active_group(desk: Desk, group_id: Any) -> Row:
    row = desk.need("ContactGroups", group_id)
    if desk.doc("ContactGroups", row)["Status"] != "ACTIVE":
        raise problems.not_found()
    return row


def save_group(desk: Desk, body: Doc, row: Row | None) -> Row:
    check("ContactGroup", body)
    old = desk.doc("ContactGroups", row) if row else {"Status": "ACTIVE", "Members": ()}
    name = body.get("Name", old.get("Name"))
    if not name:
        raise Invalid("Name must be specified.")
    others = desk.books.table("ContactGroups").rows_of("name", fold(name))
    if any(other is not row for other in others):
        raise Invalid(problems.UNIQUE_NAME)
    doc = {"Name": name, "Status": body.get("Status") or old["Status"], "Members": old["Members"]}
    if row is None:
        return desk.unit.add("ContactGroups", doc)
    desk.unit.replace("ContactGroups", row, doc)
    return row


def add_members(desk: Desk, group_id: str, sent: list[Any]) -> list[str]:
    """Puts contacts into a group; returns the ids that were sent."""
    row = _active_group(desk, group_id)
    doc = desk.doc("ContactGroups", row)
    members = dict.fromkeys(doc["Members"])
    added: list[str] = []
    for element in sent:
        contact = desk.need("Contacts", element.get("ContactID"))
        members[contact.id] = None
        added.append(contact.id)
    desk.unit.replace("ContactGroups", row, {**doc, "Members": tuple(members)})
    return added


def remove_members(desk: Desk, group_id: str, contact_id: str | None) -> None:
    row = _active_group(desk, group_id)
    doc = desk.doc("ContactGroups", row)
    if contact_id is not None and contact_id.lower() not in doc["Members"]:
        raise problems.not_found()
    left = tuple(m for m in doc["Members"] if contact_id and m != contact_id.lower())
    desk.unit.replace("ContactGroups", row, {**doc, "Members": left})
