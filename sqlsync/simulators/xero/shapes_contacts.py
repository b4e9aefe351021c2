"""Contacts and contact groups as answers show them."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlsync.simulators.xero.contacts import ADDRESS_SLOTS, PHONE_SLOTS
from sqlsync.simulators.xero.shapes_parts import View, files, some
from sqlsync.simulators.xero.store import Books, Row
from sqlsync.simulators.xero.values import Doc, ms_instant, total


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
    found |= files(books, row, view, "Contacts")
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
