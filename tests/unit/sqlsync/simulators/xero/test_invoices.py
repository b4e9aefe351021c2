"""The life of invoices, bills and credit notes: what is allowed, computed, generated, refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest


def test_a_new_invoice_is_a_draft_with_a_number_and_no_balance_is_lost(world: Any) -> None:
    invoice = world.invoice(None, "62.00", Status="DRAFT")
    assert invoice["Status"] == "DRAFT"
    assert invoice["InvoiceNumber"] == "INV-0001"
    figures = [invoice[name] for name in ("SubTotal", "TotalTax", "Total", "AmountDue")]
    assert figures == [Decimal("62.00"), Decimal("9.30"), Decimal("71.30"), Decimal("71.30")]
    assert invoice["LineItems"][0]["TaxType"] == "OUTPUT2"
    assert world.invoice()["InvoiceNumber"] == "INV-0002"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("DRAFT", "SUBMITTED", None),
        ("DRAFT", "AUTHORISED", None),
        ("DRAFT", "DELETED", None),
        ("DRAFT", "VOIDED", "Invoice not of valid status for modification"),
        ("SUBMITTED", "DRAFT", None),
        ("SUBMITTED", "AUTHORISED", None),
        ("SUBMITTED", "DELETED", None),
        ("AUTHORISED", "VOIDED", None),
        ("AUTHORISED", "DELETED", "Invoice not of valid status for modification"),
        ("AUTHORISED", "DRAFT", "Invoice not of valid status for modification"),
        ("AUTHORISED", "PAID", "Invoice not of valid status for modification"),
    ],
)
@pytest.mark.parametrize("table", ["Invoices", "CreditNotes"])
def test_status_follows_the_flow(
    world: Any, table: str, before: str, after: str, message: str | None
) -> None:
    contact = world.contact()
    kinds = {"Invoices": ("ACCREC", "InvoiceID"), "CreditNotes": ("ACCRECCREDIT", "CreditNoteID")}
    kind, id_field = kinds[table]
    body = {
        "Type": kind,
        "Status": before,
        "Contact": {"ContactID": contact["ContactID"]},
        "DueDate": "2026-11-20",
        "LineItems": [{"Description": "x", "UnitAmount": 10, "AccountCode": "200"}],
    }
    made = world.put(table, body)
    path = f"{table}/{made[id_field]}"
    if message:
        assert world.refusal("POST", path, {"Status": after}) == [message]
    else:
        assert world.post(path, {"Status": after})["Status"] == after


@pytest.mark.parametrize("end", ["VOIDED", "DELETED"])
def test_voided_and_deleted_documents_take_no_change(world: Any, end: str) -> None:
    invoice = world.invoice(Status="AUTHORISED" if end == "VOIDED" else "DRAFT")
    world.change(invoice, Status=end)
    path = f"Invoices/{invoice['InvoiceID']}"
    message = ["Invoice not of valid status for modification"]
    assert world.refusal("POST", path, {"Reference": "late"}) == message
    assert world.again(invoice)["Status"] == end
    assert world.again(invoice)["AmountDue"] == 0


def test_approving_needs_a_due_date_an_account_and_an_active_contact(world: Any) -> None:
    contact = world.contact()
    draft = world.invoice(contact, Status="DRAFT", DueDate=None)
    path = f"Invoices/{draft['InvoiceID']}"
    [message] = world.refusal("POST", path, {"Status": "AUTHORISED"})
    assert "DueDate" in message
    bare = [{"Description": "Advice", "UnitAmount": 10}]
    draft = world.invoice(contact, Status="DRAFT", LineItems=bare)
    path = f"Invoices/{draft['InvoiceID']}"
    assert world.refusal("POST", path, {"Status": "AUTHORISED"}) == [
        "Account code must be specified."
    ]
    world.post(f"Contacts/{contact['ContactID']}", {"ContactStatus": "ARCHIVED"})
    draft_body = {"Status": "AUTHORISED", "LineItems": [{**bare[0], "AccountCode": "200"}]}
    [message] = world.refusal("POST", path, draft_body)
    assert "contact must be active" in message


def test_a_draft_may_hold_a_text_alone(world: Any) -> None:
    invoice = world.invoice(Status="DRAFT", LineItems=[{"Description": "A note"}])
    assert invoice["Total"] == 0
    assert "Quantity" not in invoice["LineItems"][0]


def test_lines_keep_change_appear_and_vanish_by_their_id(world: Any, make_line: Any) -> None:
    invoice = world.invoice(None, "10.00", "20.00", "30.00")
    first, second, third = invoice["LineItems"]
    changed = world.change(
        invoice,
        LineItems=[
            {"LineItemID": second["LineItemID"], "UnitAmount": 25},
            {"LineItemID": third["LineItemID"]},
            make_line("5.00"),
        ],
    )
    ids = [line["LineItemID"] for line in changed["LineItems"]]
    assert ids[:2] == [second["LineItemID"], third["LineItemID"]]
    assert first["LineItemID"] not in ids
    assert len(set(ids)) == 3
    assert [line["LineAmount"] for line in changed["LineItems"]] == [25, 30, 5]
    assert changed["LineItems"][0]["Description"] == "Coffee"
    assert changed["Total"] == Decimal("69.00")
    kept = world.change(invoice, Reference="PO 9")
    assert [line["LineItemID"] for line in kept["LineItems"]] == ids


def test_an_empty_line_array_or_an_unknown_line_id_is_refused(world: Any) -> None:
    invoice = world.invoice()
    path = f"Invoices/{invoice['InvoiceID']}"
    assert world.refusal("POST", path, {"LineItems": []}) == [
        "One or more line items must be specified"
    ]
    stranger = {"LineItemID": "11f0c2a4-7d3b-4e85-9a61-b5c8d0e7f392", "Description": "x"}
    assert "could not be found" in world.refusal("POST", path, {"LineItems": [stranger]})[0]


def test_numbers_of_sales_are_unique_and_those_of_bills_are_free(world: Any) -> None:
    contact = world.contact()
    world.invoice(contact, InvoiceNumber="INV-0241")
    body = {
        "Type": "ACCREC",
        "InvoiceNumber": "inv-0241",
        "Contact": {"ContactID": contact["ContactID"]},
        "LineItems": [{"Description": "x"}],
    }
    assert world.refusal("PUT", "Invoices", body) == ["Invoice # must be unique."]
    bills = [world.bill(contact, InvoiceNumber="8841") for _ in range(2)]
    assert bills[0]["InvoiceID"] != bills[1]["InvoiceID"]


def test_a_deleted_invoices_number_is_free_again(world: Any) -> None:
    draft = world.invoice(Status="DRAFT", InvoiceNumber="X-1")
    world.change(draft, Status="DELETED")
    assert world.invoice(InvoiceNumber="X-1")["InvoiceID"] != draft["InvoiceID"]


def test_post_without_an_id_hits_the_record_with_the_number(world: Any) -> None:
    invoice = world.invoice(InvoiceNumber="INV-0300")
    same = world.post(
        "Invoices", {"Type": "ACCREC", "InvoiceNumber": "INV-0300", "Reference": "oops"}
    )
    assert same["InvoiceID"] == invoice["InvoiceID"]
    assert same["Reference"] == "oops"
    bill = world.bill(InvoiceNumber="77")
    contact = {"ContactID": bill["Contact"]["ContactID"]}
    lines = [{"Description": "x"}]
    other = {"Type": "ACCPAY", "InvoiceNumber": "77", "Contact": contact, "LineItems": lines}
    assert world.post("Invoices", other)["InvoiceID"] != bill["InvoiceID"]


def test_only_some_members_change_once_there_is_a_payment(world: Any, make_line: Any) -> None:
    invoice = world.invoice(None, "100.00")
    world.pay(invoice, "50.00")
    [line] = world.again(invoice)["LineItems"]
    path = f"Invoices/{invoice['InvoiceID']}"
    message = ["This document cannot be edited as it has a payment or credit note allocated to it."]
    assert world.refusal("POST", path, {"Date": "2026-10-07"}) == message
    assert world.refusal("POST", path, {"LineItems": [make_line("1.00")]}) == message
    dearer = {"LineItemID": line["LineItemID"], "UnitAmount": 2}
    assert world.refusal("POST", path, {"LineItems": [dearer]}) == message
    recoded = {"LineItemID": line["LineItemID"], "Description": "Tea", "AccountCode": "260"}
    changed = world.change(invoice, Reference="R", DueDate="2026-12-01", LineItems=[recoded])
    assert changed["LineItems"][0]["AccountCode"] == "260"
    assert (changed["Reference"], changed["AmountDue"]) == ("R", Decimal("65.00"))
    [message_of_void] = world.refusal("POST", path, {"Status": "VOIDED"})
    assert message_of_void.startswith("The status VOIDED cannot be applied to the invoice because")


def test_due_date_alone_moves_no_update_time_on_a_part_paid_document(world: Any) -> None:
    invoice = world.invoice()
    world.pay(invoice, "50.00")
    before = world.again(invoice)["UpdatedDateUTC"]
    world.later()
    assert world.change(invoice, DueDate="2026-12-24")["UpdatedDateUTC"] == before
    assert world.change(invoice, Reference="moved")["UpdatedDateUTC"] != before


def test_sent_to_contact_warns_on_a_draft_and_is_saved_without_it(world: Any) -> None:
    draft = world.invoice(Status="DRAFT")
    answer = world.post("Invoices", {"InvoiceID": draft["InvoiceID"], "SentToContact": True})
    assert answer["StatusAttributeString"] == "WARNING"
    assert answer["Warnings"] == [
        {"Message": "Only AUTHORISED invoices may have SentToContact updated."}
    ]
    assert world.again(draft)["SentToContact"] is False


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"AccountCode": "999"}, "Account code '999' is not a valid code for this document."),
        ({"AccountCode": "090"}, "Account code '090' is not a valid code for this document."),
        ({"AccountCode": "610"}, "Account code '610' is not a valid code for this document."),
        (
            {"AccountCode": "205"},
            (
                "Account code '205' has been archived, or has been deleted. "
                "Each line item must reference a valid account."
            ),
        ),
        (
            {"AccountCode": "310", "TaxType": "OUTPUT2"},
            "The TaxType code 'OUTPUT2' cannot be used with account code '310'.",
        ),
        (
            {"Quantity": 2, "UnitAmount": 20, "LineAmount": 50},
            "The line total 50.00 does not match the expected line total 40.00",
        ),
    ],
)
def test_lines_that_do_not_fit_are_refused(
    world: Any, make_line: Any, line: dict[str, Any], message: str
) -> None:
    contact = {"ContactID": world.contact()["ContactID"]}
    body = {"Type": "ACCREC", "Contact": contact, "LineItems": [{**make_line("20"), **line}]}
    assert world.refusal("PUT", "Invoices", body) == [message]


def test_a_locked_period_a_foreign_currency_and_a_xero_url_are_refused(world: Any) -> None:
    contact = {"ContactID": world.contact()["ContactID"]}
    body = {"Type": "ACCREC", "Contact": contact, "LineItems": [{"Description": "x"}]}
    [message] = world.refusal("PUT", "Invoices", {**body, "Date": "2020-03-31"})
    assert message.startswith(
        "The document date cannot be before the period lock date, currently set at 31 March"
    )
    assert world.refusal("PUT", "Invoices", {**body, "CurrencyCode": "EUR"}) == [
        "Organisation is not subscribed to currency EUR"
    ]
    [message] = world.refusal("PUT", "Invoices", {**body, "Url": "https://go.xero.com/x"})
    assert "xero" in message
    foreign = world.put("Invoices", {**body, "CurrencyCode": "USD"})
    assert foreign["CurrencyRate"] == Decimal("0.5984000000")
    path = f"Invoices/{foreign['InvoiceID']}"
    assert world.refusal("POST", path, {"CurrencyCode": "NZD"}) == [
        "The currency of a document cannot be changed."
    ]


def test_an_unknown_id_is_404_for_the_whole_request(world: Any) -> None:
    good = world.invoice(Status="DRAFT")
    bodies = [
        {"InvoiceID": good["InvoiceID"], "Reference": "kept?"},
        {"InvoiceID": "c3a5f08d-1b96-47e2-8d40-5f6b92e7a3c1", "Reference": "x"},
    ]
    assert world.refused("POST", "Invoices", {"Invoices": bodies}).status == 404
    assert world.again(good)["Reference"] == ""
    assert world.refused("GET", "Invoices/c3a5f08d-1b96-47e2-8d40-5f6b92e7a3c1").status == 404


def test_a_missing_date_is_today_in_the_organisations_time_zone(world: Any) -> None:
    contact = {"ContactID": world.contact()["ContactID"]}
    body = {"Type": "ACCREC", "Contact": contact, "LineItems": [{"Description": "x"}]}
    assert world.put("Invoices", body)["DateString"] == "2026-11-02T00:00:00"
    world.later(11 * 3600)  # 00:47 of the next day in Auckland
    assert world.put("Invoices", body)["DateString"] == "2026-11-03T00:00:00"


def test_payment_terms_of_the_contact_give_the_due_date(world: Any) -> None:
    terms = {"Sales": {"Day": 20, "Type": "OFFOLLOWINGMONTH"}}
    contact = world.contact(PaymentTerms=terms)
    invoice = world.invoice(contact, DueDate=None)
    assert invoice["DueDateString"] == "2026-11-20T00:00:00"


def test_history_tells_who_did_what(world: Any) -> None:
    invoice = world.invoice()
    world.pay(invoice, "100.00")
    path = f"Invoices/{invoice['InvoiceID']}/History"
    body = {"HistoryRecords": [{"Details": "Checked"}]}
    world.ask("PUT", path, body)
    entries = world.get(path)
    assert [entry["Changes"] for entry in entries] == ["Note", "Paid", "Approved", "Created"]
    assert entries[0]["User"] == "System Generated"
    assert world.refused("PUT", path, {"HistoryRecords": [{"Details": "x" * 2501}]}).status == 400


def test_rounding_is_for_organisations_that_opted_in(world: Any) -> None:
    contact = {"ContactID": world.contact()["ContactID"]}
    line = {"Description": "Tea", "Quantity": 1, "UnitAmount": 5, "AccountCode": "200"}
    body = {"Type": "ACCREC", "Contact": contact, "LineItems": [line]}
    for name in ("RoundingAmount", "EnteredTotal"):
        [message] = world.refusal("PUT", "Invoices", {**body, name: "0.05"})
        assert message.startswith(name) and "opted in" in message
    assert world.put("Invoices", {**body, "RoundingAmount": 0})["Total"] == Decimal("5.75")
