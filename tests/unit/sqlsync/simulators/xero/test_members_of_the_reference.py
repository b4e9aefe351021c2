"""Each member that the reference describes is held to what it says there.

A body of every object that clients create; then each member for itself is left out, made too
long, given a value that is none, or pointed at what does not exist.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from sqlsync.simulators.xero.problems import Refused

FILE = Path(__file__).parents[6] / "shared" / "reference" / "xero" / "objects.yaml"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason=f"NOT CHECKED: {FILE} is missing")

NOBODY = "00000000-0000-4000-8000-00000000dead"


@cache
def reference() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(FILE.read_text(), yaml.CSafeLoader)
    return found


def bodies(world: Any, line: Any) -> dict[str, tuple[str, dict[str, Any]]]:
    """Object -> (collection, a body it takes), with what it refers to made before."""
    sold = {"ContactID": world.contact("Kiosk")["ContactID"]}
    address = {"AddressType": "STREET", "City": "Leith", "AddressLine1": "1 Quay"}
    phone = {"PhoneType": "MOBILE", "PhoneNumber": "1", "PhoneAreaCode": "2"}
    person = {"FirstName": "Ada", "LastName": "Cole", "EmailAddress": "ada@cole.test"}
    days = {"Date": "2026-10-06", "DueDate": "2026-11-20"}
    document = {"Contact": sold, "LineItems": [line("10.00")], **days}
    invoice = world.invoice()
    bill = world.bill()
    category, archived = world.get("TrackingCategories")[:2]  # two are the most
    path = f"TrackingCategories/{archived['TrackingCategoryID']}"
    world.ask("POST", path, {"Status": "ARCHIVED"})
    other = next(
        a["AccountID"]
        for a in world.get("Accounts")
        if a["Type"] == "BANK" and a.get("Code") != "090"
    )
    user = {"UserID": world.get("Users")[0]["UserID"]}
    journal = [
        {"LineAmount": "5.00", "AccountCode": "400"},
        {"LineAmount": "-5.00", "AccountCode": "429"},
    ]
    expense = {"Description": "Fuel", "UnitAmount": "5.00", "AccountCode": "429", "Quantity": 1}
    receipt = {"Date": "2026-10-06", "Contact": sold, "LineItems": [expense], "User": user}
    claimed = {"ReceiptID": world.put("Receipts", receipt)["ReceiptID"]}
    schedule = {"Period": 1, "Unit": "MONTHLY", "DueDate": 20, "DueDateType": "OFFOLLOWINGMONTH"}
    rate = {"Name": "GST", "Rate": "5.0000"}
    return {
        "Account": ("Accounts", {"Code": "777", "Name": "Vans", "Type": "EXPENSE"}),
        "BankTransaction": (
            "BankTransactions",
            {
                "Type": "SPEND",
                "Contact": sold,
                "BankAccount": {"Code": "090"},
                "LineItems": [line("5.00", AccountCode="429")],
            },
        ),
        "BankTransfer": (
            "BankTransfers",
            {
                "FromBankAccount": {"Code": "090"},
                "ToBankAccount": {"AccountID": other},
                "Amount": "5.00",
            },
        ),
        "BatchPayment": (
            "BatchPayments",
            {
                "Account": {"Code": "090"},
                "Date": "2026-10-20",
                "Payments": [{"Invoice": {"InvoiceID": bill["InvoiceID"]}, "Amount": "5.00"}],
            },
        ),
        "Contact": (
            "Contacts",
            {
                "Name": "Ada Cole",
                "Addresses": [address],
                "Phones": [phone],
                "ContactPersons": [person],
            },
        ),
        "ContactGroup": ("ContactGroups", {"Name": "Regulars"}),
        "CreditNote": ("CreditNotes", {"Type": "ACCRECCREDIT", **document}),
        "Currency": ("Currencies", {"Code": "SEK"}),
        "Employee": ("Employees", {"FirstName": "Nia", "LastName": "Falk"}),
        "ExpenseClaim": ("ExpenseClaims", {"User": user, "Receipts": [claimed]}),
        "Invoice": ("Invoices", {"Type": "ACCREC", "Status": "AUTHORISED", **document}),
        "Item": ("Items", {"Code": "BELL", "SalesDetails": {"UnitPrice": "4.00"}}),
        "LinkedTransaction": (
            "LinkedTransactions",
            {
                "SourceTransactionID": bill["InvoiceID"],
                "SourceLineItemID": bill["LineItems"][0]["LineItemID"],
            },
        ),
        "ManualJournal": ("ManualJournals", {"Narration": "Accrual", "JournalLines": journal}),
        "Payment": (
            "Payments",
            {
                "Invoice": {"InvoiceID": invoice["InvoiceID"]},
                "Account": {"Code": "090"},
                "Date": "2026-10-20",
                "Amount": "5.00",
            },
        ),
        "PaymentService": (
            "PaymentServices",
            {"PaymentServiceName": "Till", "PaymentServiceUrl": "https://till.test/pay"},
        ),
        "PurchaseOrder": (
            "PurchaseOrders",
            {"Contact": sold, "LineItems": [line("5.00", AccountCode="429")]},
        ),
        "Quote": (
            "Quotes",
            {"Contact": sold, "Date": "2026-10-06", "LineItems": [line("5.00")]},
        ),
        "Receipt": ("Receipts", receipt),
        "RepeatingInvoice": (
            "RepeatingInvoices",
            {
                "Type": "ACCREC",
                "Contact": sold,
                "LineItems": [line("5.00")],
                "Schedule": schedule,
            },
        ),
        "TaxRate": (
            "TaxRates",
            {"Name": "Sugar tax", "TaxComponents": [rate], "ReportTaxType": "OUTPUT"},
        ),
        "TrackingCategory": ("TrackingCategories", {"Name": "Machine"}),
        "TrackingOption": (
            f"TrackingCategories/{category['TrackingCategoryID']}/Options",
            {"Name": "Van 1"},
        ),
        "HistoryRecord": (f"Invoices/{invoice['InvoiceID']}/History", {"Details": "Called"}),
    }


WRONG = frozenset(("boolean", "date", "decimal", "enum", "integer", "uuid"))
# Named by another object's rules, or by its own address.
ELSEWHERE = ("BrandingThemeID", "ReceiptID", "TrackingOptionID")


def members(type_name: str) -> list[dict[str, Any]]:
    found = reference()["objects"].get(type_name) or reference()["types"].get(type_name) or {}
    fields: list[dict[str, Any]] = found["fields"] if isinstance(found, dict) else found
    return [f for f in fields if not (f.get("read_only") or f.get("transient"))]


def places(
    type_name: str, body: dict[str, Any], at: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Each member of a body and of what is inside it: where its object is, and what it is."""
    for member in members(type_name):
        yield at, member
        inner, of = body.get(member["name"]), member.get("of") or member.get("ref")
        if of and isinstance(inner, dict):
            yield from places(of, inner, (*at, member["name"]))
        if of and isinstance(inner, list) and isinstance(inner[0], dict):
            yield from places(of, inner[0], (*at, member["name"], 0))


def holder(body: Any, at: tuple[str | int, ...]) -> dict[str, Any]:
    for step in at:
        body = body[step]
    found: dict[str, Any] = body
    return found


def refused(world: Any, collection: str, body: dict[str, Any]) -> bool:
    key = collection.rpartition("/")[2].replace("History", "HistoryRecords")
    try:
        world.ask("PUT", collection, {key: [body]})
    except Refused as refusal:
        return refusal.status in (400, 404)
    return False


def test_each_member_is_held_to_what_the_reference_says(world: Any, make_line: Any) -> None:
    wrong: list[str] = []
    for name, (collection, body) in bodies(world, make_line).items():
        for at, member in places(name, body):
            word, type = member["name"], member["type"]
            is_referred_to = str([*at, ""][-2:-1]).endswith(("Account']", "Invoice']"))
            values: list[Any] = ["rubbish"] if type in WRONG else []
            longest = member.get("max_length")
            if type == "string" and longest and not is_referred_to:
                values.append("x" * (longest + 1))
            if type == "uuid" and word not in ELSEWHERE:
                values.append(NOBODY)
            for value in values:
                changed = copy.deepcopy(body)
                holder(changed, at)[word] = value
                if not refused(world, collection, changed):
                    wrong.append(f"{name} {at} {word} takes {value[:20]}")
            if member.get("required_on_create") is True and word in holder(body, at):
                changed = copy.deepcopy(body)
                del holder(changed, at)[word]
                if not refused(world, collection, changed):
                    wrong.append(f"{name} {at} {word} is not asked for")
    assert wrong == []


def test_every_object_that_clients_create_is_held_to_it(world: Any, make_line: Any) -> None:
    given = bodies(world, make_line)
    created = {name for name, found in reference()["objects"].items() if found["can"].get("create")}
    assert set(given) >= created - {"Attachment", "Overpayment", "Prepayment"}  # born elsewhere
    for name, (collection, body) in given.items():
        assert not refused(world, collection, body), name
