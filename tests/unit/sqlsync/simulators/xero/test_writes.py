"""Bulk writes, settings, orders, journals: what PUT and POST do and what they answer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sqlsync.simulators.xero.problems import Refused
from sqlsync.simulators.xero.values import NO_ID
from sqlsync.simulators.xero.writing import read_elements


def good(contact: Any, number: str) -> dict[str, Any]:
    return {
        "Type": "ACCREC",
        "Contact": {"ContactID": contact["ContactID"]},
        "Date": "2026-11-02",
        "DueDate": "2026-11-20",
        "InvoiceNumber": number,
        "LineItems": [
            {"Description": "Syrup", "Quantity": 1, "UnitAmount": 12.0, "AccountCode": "200"}
        ],
    }


def bad(contact: Any, number: str) -> dict[str, Any]:
    body = good(contact, number)
    body["Status"] = "AUTHORISED"
    body["LineItems"][0]["AccountCode"] = "999"
    return body


def test_each_element_has_its_own_fate_when_errors_are_not_summarised(world: Any) -> None:
    contact = world.contact()
    draft = world.invoice(contact, Status="DRAFT")
    sent = [
        good(contact, "A-1"),
        bad(contact, "A-2"),
        {"InvoiceID": draft["InvoiceID"], "SentToContact": True},
    ]
    answer = world.ask("POST", "Invoices", {"Invoices": sent}, summarizeErrors="false")
    states = [one["StatusAttributeString"] for one in answer["Invoices"]]
    assert states == ["OK", "ERROR", "WARNING"]
    failed = answer["Invoices"][1]
    assert failed["InvoiceID"] == NO_ID
    assert failed["ValidationErrors"] == [
        {"Message": "Account code '999' is not a valid code for this document."}
    ]
    numbers = {one["InvoiceNumber"] for one in world.get("Invoices")}
    assert "A-1" in numbers
    assert "A-2" not in numbers


def test_one_bad_element_refuses_all_in_the_default_mode(world: Any) -> None:
    contact = world.contact()
    sent = {"Invoices": [good(contact, "A-1"), bad(contact, "A-2")]}
    refused = world.refused("PUT", "Invoices", sent)
    assert refused.status == 400
    assert [one["InvoiceNumber"] for one in refused.body["Elements"]] == ["A-2"]
    assert world.get("Invoices") == []
    assert world.invoice(contact)["InvoiceNumber"] == "INV-0001"
    world.options.failed_bulk_keeps_good = True
    world.refused("PUT", "Invoices", sent)
    assert {one["InvoiceNumber"] for one in world.get("Invoices")} == {"INV-0001", "A-1"}


@pytest.mark.parametrize(
    ("raw", "number"),
    [(b"{", 17), (b"", 17), (b"[]", 17), (b'{"Invoices":[1]}', 17), (b"7", 17)],
)
def test_bodies_that_are_no_documents_are_refused(world: Any, raw: bytes, number: int) -> None:
    from sqlsync.simulators.xero.calls import Call
    from sqlsync.simulators.xero.problems import Refused

    with pytest.raises(Refused) as caught:
        world.organisation.handle(Call("POST", ("Invoices",), {}, raw))
    assert caught.value.body["ErrorNumber"] == number


def test_a_body_may_be_bare_and_its_key_of_any_case(world: Any) -> None:
    contact = world.contact()
    one = world.ask("PUT", "Invoices", good(contact, "B-1"))["Invoices"]
    two = world.ask("PUT", "Invoices", {"invoices": [good(contact, "B-2")]})["Invoices"]
    assert [one[0]["InvoiceNumber"], two[0]["InvoiceNumber"]] == ["B-1", "B-2"]


# -- settings -----------------------------------------------------------------------------------


def test_accounts_have_unique_codes_and_names(world: Any) -> None:
    body = {"Code": "1234", "Name": "Foo", "Type": "EXPENSE"}
    made = world.put("Accounts", body)
    assert (made["Class"], made["TaxType"]) == ("EXPENSE", "INPUT2")
    taken = {**body, "Code": "1235"}
    assert world.refusal("PUT", "Accounts", taken) == ["Please enter a unique Name."]
    taken = {**body, "Name": "Bar"}
    assert world.refusal("PUT", "Accounts", taken) == ["Please enter a unique Code."]
    bank = {"Name": "New bank", "Type": "BANK"}
    assert "Bank Account Number" in world.refusal("PUT", "Accounts", bank)[0]
    two = {"Accounts": [body, body]}
    assert world.refused("PUT", "Accounts", two).body["ErrorNumber"] == 17


def test_accounts_are_archived_alone_and_deleted_unless_used(world: Any) -> None:
    made = world.put("Accounts", {"Code": "1234", "Name": "Foo", "Type": "REVENUE"})
    path = f"Accounts/{made['AccountID']}"
    both = {"Status": "ARCHIVED", "Name": "x"}
    assert world.refusal("POST", path, both)
    assert world.post(path, {"Status": "ARCHIVED"})["Status"] == "ARCHIVED"
    assert world.post(path, {"Status": "ACTIVE"})["Status"] == "ACTIVE"
    world.invoice(LineItems=[{"Description": "x", "UnitAmount": 1, "AccountCode": "1234"}])
    assert "used" in world.refusal("DELETE", path)[0]
    unused = world.put("Accounts", {"Code": "1235", "Name": "Bar", "Type": "REVENUE"})
    gone = world.ask("DELETE", f"Accounts/{unused['AccountID']}")["Accounts"][0]
    assert gone["Status"] == "DELETED"
    assert "1235" not in {one.get("Code") for one in world.get("Accounts")}
    debtors = next(one for one in world.get("Accounts") if one.get("SystemAccount") == "DEBTORS")
    assert "system" in world.refusal("DELETE", f"Accounts/{debtors['AccountID']}")[0].lower()


def test_items_are_matched_by_code_and_tracked_ones_count_their_stock(world: Any) -> None:
    made = world.post("Items", {"Code": "NEW", "SalesDetails": {"UnitPrice": "2.505"}})
    assert made["SalesDetails"]["UnitPrice"] == Decimal("2.51")
    assert world.post("Items", {"Code": "new", "Name": "New"})["ItemID"] == made["ItemID"]
    assert world.refusal("PUT", "Items", {"Code": "NEW"}) == ["Please enter a unique Code."]
    line = {"ItemCode": "KT-STOVE", "AccountCode": "630", "TaxType": "INPUT2"}
    world.bill(LineItems=[{**line, "Quantity": 4, "UnitAmount": 50}])
    kettle = world.one("Items/KT-STOVE")
    assert (kettle["QuantityOnHand"], kettle["TotalCostPool"]) == (4, 200)
    sale = world.invoice(LineItems=[{"ItemCode": "KT-STOVE", "Quantity": 3}])
    kettle = world.one("Items/KT-STOVE")
    assert (kettle["QuantityOnHand"], kettle["TotalCostPool"]) == (1, 50)
    contact = {"ContactID": sale["Contact"]["ContactID"]}
    body = {
        "Type": "ACCREC",
        "Contact": contact,
        "Status": "AUTHORISED",
        "DueDate": "2026-12-01",
        "LineItems": [{"ItemCode": "KT-STOVE", "Quantity": 2}],
    }
    assert "quantity" in world.refusal("PUT", "Invoices", body)[0]
    assert world.put("Invoices", body, allowBackorders="true")["Status"] == "AUTHORISED"
    world.change(sale, Status="VOIDED")
    assert world.one("Items/KT-STOVE")["QuantityOnHand"] == 2


def test_tax_rates_get_a_type_and_are_matched_by_name(world: Any) -> None:
    parts = [{"Name": "State", "Rate": "2.25"}]
    body = {"Name": "Levy", "ReportTaxType": "OUTPUT", "TaxComponents": parts}
    made = world.put("TaxRates", body)
    assert (made["TaxType"], made["EffectiveRate"]) == ("TAX001", Decimal("2.2500"))
    changed = world.post("TaxRates", {**body, "TaxComponents": [{"Name": "State", "Rate": 3}]})
    assert (changed["TaxType"], changed["EffectiveRate"]) == ("TAX001", 3)
    assert world.invoice(LineItems=[
        {"Description": "x", "UnitAmount": 100, "AccountCode": "200", "TaxType": "TAX001"}
    ])["TotalTax"] == 3  # fmt: skip
    gone = {"Name": "Levy", "Status": "DELETED"}
    assert "in use" in world.refusal("POST", "TaxRates", gone)[0]
    system = {"Name": "Zero Rated", "TaxComponents": parts, "ReportTaxType": "OUTPUT"}
    assert "System" in world.refusal("POST", "TaxRates", system)[0]


def test_tracking_has_two_active_categories_and_options_of_its_own(world: Any) -> None:
    assert world.refusal("PUT", "TrackingCategories", {"Name": "Third"})
    category = world.get("TrackingCategories")[0]
    path = f"TrackingCategories/{category['TrackingCategoryID']}"
    option = world.ask("PUT", f"{path}/Options", {"Name": "East"})["Options"][0]
    assert option["IsActive"] is True
    renamed = world.ask("POST", f"{path}/Options/{option['TrackingOptionID']}", {"Name": "Far"})
    assert renamed["Options"][0]["Name"] == "Far"
    gone = world.ask("DELETE", f"{path}/Options/{option['TrackingOptionID']}")["Options"][0]
    assert gone["Status"] == "DELETED"
    world.post(path, {"Status": "ARCHIVED"})
    assert len(world.get("TrackingCategories")) == 1
    assert len(world.get("TrackingCategories", includeArchived="true")) == 2


def test_what_cannot_be_written_says_so(world: Any) -> None:
    assert world.refused("POST", "Organisation", {"Name": "x"}).status == 501
    assert world.refused("PUT", "BrandingThemes", {"Name": "x"}).status == 405
    assert world.refused("GET", "Nonsense").status == 404
    assert world.refused("PUT", "Users", {"FirstName": "x"}).status == 405


# -- orders, quotes, journals -----------------------------------------------------------------


def test_purchase_orders_follow_their_flow_and_silently_take_a_number(world: Any) -> None:
    contact = {"ContactID": world.contact()["ContactID"]}
    lines = [{"Description": "Sacks", "Quantity": 2, "UnitAmount": "40.1234"}]
    made = world.put("PurchaseOrders", {"Contact": contact, "LineItems": lines})
    assert (made["PurchaseOrderNumber"], made["Status"]) == ("PO-0001", "DRAFT")
    same = {"PurchaseOrderNumber": "PO-0001", "Reference": "edited"}
    assert world.post("PurchaseOrders", same)["PurchaseOrderID"] == made["PurchaseOrderID"]
    path = f"PurchaseOrders/{made['PurchaseOrderID']}"
    for status in ("AUTHORISED", "BILLED", "DELETED"):
        assert world.post(path, {"Status": status})["Status"] == status
    assert world.refusal("POST", path, {"Reference": "x"}) == [
        "PurchaseOrder status change is invalid",
        "Deleted PurchaseOrders cannot be updated",
    ]
    assert world.one("PurchaseOrders/PO-0001")["Status"] == "DELETED"


def test_quotes_speak_in_capitals_and_need_a_date(world: Any) -> None:
    contact = {"ContactID": world.contact()["ContactID"]}
    body = {"Contact": contact, "LineItems": [{"ItemCode": "TRAIN", "Quantity": 1}]}
    assert world.refusal("PUT", "Quotes", body) == ["Date must be specified."]
    made = world.put("Quotes", {**body, "Date": "2026-10-01"})
    assert (made["QuoteNumber"], made["LineAmountTypes"]) == ("QU-0001", "EXCLUSIVE")
    assert made["Total"] == Decimal("322.00")
    path = f"Quotes/{made['QuoteID']}"
    assert world.refusal("POST", path, {"Status": "ACCEPTED"})
    for status in ("SENT", "ACCEPTED", "INVOICED", "DELETED"):
        assert world.post(path, {"Status": status})["Status"] == status


def test_manual_journals_balance_and_avoid_system_accounts(world: Any) -> None:
    lines = [
        {"LineAmount": 100, "AccountCode": "400"},
        {"LineAmount": -100, "AccountCode": "404"},
    ]
    made = world.put("ManualJournals", {"Narration": "x", "JournalLines": lines})
    path = f"ManualJournals/{made['ManualJournalID']}"
    assert world.post(path, {"Status": "POSTED"})["Status"] == "POSTED"
    assert world.refusal("POST", path, {"Status": "DELETED"})
    assert world.post(path, {"Status": "VOIDED"})["Status"] == "VOIDED"
    uneven = [lines[0], {"LineAmount": -99, "AccountCode": "404"}]
    assert world.refusal("PUT", "ManualJournals", {"Narration": "x", "JournalLines": uneven})
    for code in ("610", "800", "960", "090", "630"):
        wrong = [lines[0], {"LineAmount": -100, "AccountCode": code}]
        body = {"Narration": "x", "JournalLines": wrong}
        assert code in world.refusal("PUT", "ManualJournals", body)[0]
    assert world.refusal("PUT", "ManualJournals", {"JournalLines": lines})


def test_receipts_become_claims_and_claims_are_approved(world: Any) -> None:
    user = {"UserID": world.get("Users")[0]["UserID"]}
    contact = {"ContactID": world.contact()["ContactID"]}
    line = {"Description": "Taxi", "UnitAmount": "34.50", "AccountCode": "493"}
    receipt = world.put(
        "Receipts", {"User": user, "Contact": contact, "Date": "2026-10-01", "LineItems": [line]}
    )
    assert receipt["TotalTax"] == Decimal("4.50")
    claim = world.put(
        "ExpenseClaims", {"User": user, "Receipts": [{"ReceiptID": receipt["ReceiptID"]}]}
    )
    assert (claim["Status"], claim["AmountDue"]) == ("SUBMITTED", Decimal("34.50"))
    approved = world.post(f"ExpenseClaims/{claim['ExpenseClaimID']}", {"Status": "AUTHORISED"})
    assert approved["Receipts"][0]["Status"] == "AUTHORISED"


def test_linked_transactions_join_a_bill_to_a_sale_of_one_contact(world: Any) -> None:
    customer = world.contact()
    bill, sale = world.bill(), world.invoice(customer, Status="DRAFT")
    body = {
        "SourceTransactionID": bill["InvoiceID"],
        "SourceLineItemID": bill["LineItems"][0]["LineItemID"],
    }
    made = world.put("LinkedTransactions", body)
    assert made["Status"] == "APPROVED"
    path = f"LinkedTransactions/{made['LinkedTransactionID']}"
    wrong = {"ContactID": bill["Contact"]["ContactID"], "TargetTransactionID": sale["InvoiceID"]}
    assert world.refusal("POST", path, wrong) == [
        "The ContactID and the TargetTransaction ContactID do not match"
    ]
    linked = world.post(path, {"TargetTransactionID": sale["InvoiceID"]})
    assert linked["Status"] == "ONDRAFT"
    world.change(sale, Status="AUTHORISED")
    assert world.one(path)["Status"] == "BILLED"
    assert world.ask("DELETE", path) == b""
    assert world.get("LinkedTransactions") == []


def test_repeating_invoices_change_their_status_alone(world: Any) -> None:
    contact = {"ContactID": world.contact()["ContactID"]}
    schedule = {"Period": 1, "Unit": "MONTHLY", "DueDate": 10, "DueDateType": "OFFOLLOWINGMONTH"}
    body = {
        "Type": "ACCREC",
        "Contact": contact,
        "Schedule": schedule,
        "LineItems": [{"Description": "x", "UnitAmount": 5, "AccountCode": "200"}],
    }
    made = world.put("RepeatingInvoices", body)
    path = f"RepeatingInvoices/{made['RepeatingInvoiceID']}"
    assert made["ID"] == made["RepeatingInvoiceID"]
    assert world.post(path, {"Status": "AUTHORISED"})["Status"] == "AUTHORISED"
    assert world.refusal("POST", path, {"Reference": "x"})
    assert world.refusal("PUT", "RepeatingInvoices", {**body, "Schedule": None})


def test_an_xml_body_is_the_record_it_stands_for() -> None:
    def sent(body: bytes, *, many: str = "Contacts", one: str = "Contact") -> Any:
        return read_elements(many, one, body)

    lines = b"<LineItems><LineItem><Description>Tea &amp; cake</Description></LineItem></LineItems>"
    assert sent(b"<Invoice><type>ACCREC</type>" + lines + b"</Invoice>", one="Invoice") == [
        {"Type": "ACCREC", "LineItems": [{"Description": "Tea & cake"}]}
    ]
    two = b"<Contacts><Contact><Name>A</Name></Contact><Contact><Name>B</Name></Contact></Contacts>"
    assert sent(two) == [{"Name": "A"}, {"Name": "B"}]
    for bad in (b"<Contact>", b'<!DOCTYPE a [<!ENTITY x "y">]><Contact/>', b"<Contacts/>"):
        with pytest.raises(Refused, match="PostDataInvalidException"):
            sent(bad)
