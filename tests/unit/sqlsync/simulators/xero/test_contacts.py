"""Contacts: names, numbers, slots, archiving, groups, contacts inside documents."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest


def test_names_are_unique_among_active_contacts_without_regard_to_case(world: Any) -> None:
    first = world.contact("Tui Street Café")
    message = (
        "The contact name TUI STREET CAFÉ is already assigned to another contact. "
        "The contact name must be unique across all active contacts."
    )
    assert world.refusal("PUT", "Contacts", {"Name": "TUI STREET CAFÉ"}) == [message]
    other = world.contact("Other")
    path = f"Contacts/{other['ContactID']}"
    assert world.refusal("POST", path, {"Name": "TUI STREET CAFÉ"}) == [message]
    world.post(f"Contacts/{first['ContactID']}", {"ContactStatus": "ARCHIVED"})
    assert world.contact("Tui Street Café")["ContactID"] != first["ContactID"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "Contact name must be specified"),
        ({"Name": " x"}, "outer or double spaces"),
        ({"Name": "a  b"}, "outer or double spaces"),
        ({"Name": "<b>"}, "angle brackets"),
        ({"Name": "x" * 256}, "no longer than 255"),
        ({"Name": "x", "EmailAddress": "nobody"}, "Email address must be valid."),
        ({"Name": "x", "ContactNumber": "9" * 51}, "no longer than 50"),
        ({"Name": "x", "ContactPersons": [{}] * 6}, "at most 5"),
        ({"Name": "x", "Addresses": [{"AddressType": "DELIVERY"}]}, "DELIVERY"),
        ({"Name": "x", "DefaultCurrency": "EUR"}, "not subscribed to currency EUR"),
        ({"Name": "x", "SalesDefaultAccountCode": "999"}, "Account code '999'"),
    ],
)
def test_contacts_that_break_a_rule_are_refused(
    world: Any, body: dict[str, Any], words: str
) -> None:
    [message] = world.refusal("PUT", "Contacts", body)
    assert words in message


def test_post_matches_by_id_then_number_then_name(world: Any) -> None:
    first = world.contact("One", ContactNumber="CRM-1")
    by_number = world.post("Contacts", {"Name": "Uno", "ContactNumber": "CRM-1"})
    assert (by_number["ContactID"], by_number["Name"]) == (first["ContactID"], "Uno")
    by_name = world.post("Contacts", {"Name": "uno", "FirstName": "Una"})
    assert (by_name["ContactID"], by_name["FirstName"]) == (first["ContactID"], "Una")
    assert world.post("Contacts", {"Name": "Due"})["ContactID"] != first["ContactID"]
    body = {"Name": "x", "ContactNumber": "crm-1"}
    assert "contact number" in world.refusal("PUT", "Contacts", body)[0]
    assert world.one("Contacts/CRM-1")["ContactID"] == first["ContactID"]


def test_all_slots_are_shown_and_sending_one_leaves_the_others(world: Any) -> None:
    street = {"AddressType": "STREET", "AddressLine1": "14 Tui Street", "City": "Wellington"}
    contact = world.contact(Addresses=[street])
    path = f"Contacts/{contact['ContactID']}"
    world.post(path, {"Addresses": [{"AddressType": "POBOX", "City": "Dunedin"}]})
    shown = world.one(path)
    assert [address["AddressType"] for address in shown["Addresses"]] == ["STREET", "POBOX"]
    assert [address["City"] for address in shown["Addresses"]] == ["Wellington", "Dunedin"]
    kinds = [phone["PhoneType"] for phone in shown["Phones"]]
    assert kinds == ["DDI", "DEFAULT", "FAX", "MOBILE"]


def test_an_archived_contact_takes_no_change_and_leaves_the_list(world: Any) -> None:
    contact = world.contact()
    path = f"Contacts/{contact['ContactID']}"
    assert world.post(path, {"ContactStatus": "ARCHIVED"})["ContactStatus"] == "ARCHIVED"
    message = (
        "The specified contact details matched an archived contact. "
        "Archived contacts cannot currently be edited via the API."
    )
    assert world.refusal("POST", path, {"ContactStatus": "ACTIVE"}) == [message]
    listed = {one["ContactID"] for one in world.get("Contacts", page="1")}
    assert contact["ContactID"] not in listed
    everyone = world.get("Contacts", page="1", includeArchived="true")
    assert contact["ContactID"] in {one["ContactID"] for one in everyone}


def test_balances_follow_the_documents_and_move_no_update_time(world: Any) -> None:
    contact = world.contact()
    path = f"Contacts/{contact['ContactID']}"
    assert contact["IsCustomer"] is False
    world.later()
    invoice = world.invoice(contact, "100.00", DueDate="2026-10-10")
    world.invoice(contact, "200.00")
    world.bill(contact, "10.00")
    world.pay(invoice, "15.00")
    shown = world.one(path)
    assert (shown["IsCustomer"], shown["IsSupplier"]) == (True, True)
    assert shown["Balances"] == {
        "AccountsReceivable": {"Outstanding": Decimal("330.00"), "Overdue": Decimal("100.00")},
        "AccountsPayable": {"Outstanding": Decimal("11.50"), "Overdue": Decimal("0.00")},
    }
    assert shown["UpdatedDateUTC"] == contact["UpdatedDateUTC"]


def test_groups_have_members_that_come_and_go(world: Any) -> None:
    contact = world.contact()
    group = world.put("ContactGroups", {"Name": "VIPs"})
    path = f"ContactGroups/{group['ContactGroupID']}"
    world.put(f"{path}/Contacts", {"ContactID": contact["ContactID"]})
    assert [one["ContactID"] for one in world.one(path)["Contacts"]] == [contact["ContactID"]]
    assert world.get("ContactGroups")[-1]["Contacts"] == []
    shown = world.one(f"Contacts/{contact['ContactID']}")
    assert shown["ContactGroups"][0]["Name"] == "VIPs"
    assert world.ask("DELETE", f"{path}/Contacts/{contact['ContactID']}") == b""
    assert world.one(path)["Contacts"] == []
    world.post(path, {"Status": "DELETED"})
    assert group["ContactGroupID"] not in {
        one["ContactGroupID"] for one in world.get("ContactGroups")
    }
    assert world.refused("GET", path).status == 404


def test_a_document_with_a_new_name_creates_the_contact(world: Any) -> None:
    body = {"Type": "ACCREC", "Contact": {"Name": "Walk-in"}, "LineItems": [{"Description": "x"}]}
    invoice = world.put("Invoices", body)
    again = world.put("Invoices", {**body, "Contact": {"Name": "WALK-IN"}})
    assert again["Contact"]["ContactID"] == invoice["Contact"]["ContactID"]
    order = {"Contact": {"Name": "Nobody yet"}, "LineItems": [{"Description": "x"}]}
    assert world.refusal("PUT", "PurchaseOrders", order)


def test_more_than_the_id_in_a_document_changes_the_contact_and_drops_its_persons(
    world: Any,
) -> None:
    person = {"FirstName": "Ari", "EmailAddress": "ari@tuistreet.example"}
    contact = world.contact(ContactPersons=[person])
    path = f"Contacts/{contact['ContactID']}"
    world.invoice(contact)
    assert len(world.one(path)["ContactPersons"]) == 1
    more = {"ContactID": contact["ContactID"], "EmailAddress": "new@tuistreet.example"}
    world.invoice(contact, Contact=more)
    shown = world.one(path)
    assert shown["EmailAddress"] == "new@tuistreet.example"
    assert shown["ContactPersons"] == []


def test_members_may_be_spelled_in_any_case_and_unknown_ones_are_ignored(world: Any) -> None:
    made = world.put("Contacts", {"name": "lower", "EMAILADDRESS": "a@b.example", "Foo": 1})
    assert (made["Name"], made["EmailAddress"]) == ("lower", "a@b.example")
