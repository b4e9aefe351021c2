"""What stands in a write: ids, lines, dates, clearing, statuses."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from sqlsync.errors import InvalidValue, RuleBroken
from sqlsync.providers.base import Step, StepKind
from sqlsync.providers.xero import bodies
from sqlsync.providers.xero.calls import Calls

from .conftest import ID

Make = Callable[..., Step]
Facts = Callable[[str], Calls]

CONTACT = "4be0a7f3-58d2-4c19-b6e4-2a9d70f1c853"
LINE = "11f0c2a4-7d3b-4e85-9a61-b5c8d0e7f392"
LINES = [
    {
        "LineItemID": LINE,
        "Description": "House blend",
        "Quantity": Decimal("24.0000"),
        "UnitAmount": Decimal("27.50"),
        "LineAmount": Decimal("660.00"),
        "TaxAmount": Decimal("99.00"),
        "TaxType": "OUTPUT2",
        "AccountCode": "200",
        "AccountID": "f1a2803b-7c5d-4e96-b4f0-82d91e6a3c57",
        "ItemCode": "HB-1KG",
        "Item": {"ItemID": "d8b7a651-04c3-4f2e-9e18-6a5f3c2b1d09", "Name": "House blend 1 kg"},
        "Tracking": [{"Name": "Region", "Option": "North"}],
        "ValidationErrors": [],
    }
]
INVOICE = {
    "Type": "ACCREC",
    "Status": "DRAFT",
    "Reference": "PO 7719",
    "Contact": {"ContactID": CONTACT, "Name": "Tui Street Café", "EmailAddress": "a@b.example"},
    "Date": "/Date(1791244800000+0000)/",
    "DueDate": "/Date(1795132800000+0000)/",
    "LineItems": LINES,
}


def line(**changes: Any) -> dict[str, Any]:
    changed = {**LINES[0], **changes}
    return {name: value for name, value in changed.items() if value is not ...}


@pytest.fixture
def updated(step: Make, calls: Facts) -> Callable[..., dict[str, Any]]:
    def run(fields: dict[str, Any], base: dict[str, Any] = INVOICE, table: str = "invoice") -> Any:
        changes = step(StepKind.UPDATE, table, fields, base={})
        return bodies.updated(changes, calls(table), base)

    return run


Updated = Callable[..., dict[str, Any]]


def test_an_update_sends_its_key_and_what_changes(updated: Updated) -> None:
    assert updated({"Reference": "PO 1"}) == {"InvoiceID": ID, "Reference": "PO 1"}


def test_of_a_contact_only_the_id_goes(updated: Updated, step: Make, calls: Facts) -> None:
    other = {"ContactID": CONTACT, "Name": "X", "ContactPersons": []}
    assert updated({"Contact": other})["Contact"] == {"ContactID": CONTACT}
    made = step(StepKind.CREATE, "invoice", {"Type": "ACCREC", "Contact": other})
    assert bodies.created(made, calls("invoice"))["Contact"] == {"ContactID": CONTACT}


def test_an_account_that_is_named_by_its_code_stays_so(step: Make, calls: Facts) -> None:
    made = step(StepKind.CREATE, "payment", {"Account": {"Code": "090", "AccountID": None}})
    assert bodies.created(made, calls("payment"))["Account"] == {"Code": "090"}


def test_lines_keep_their_ids_and_lose_what_xero_only_shows(updated: Updated) -> None:
    [sent] = updated({"LineItems": [line(Description="Blend")]})["LineItems"]
    assert sent["LineItemID"] == LINE and sent["Description"] == "Blend"
    assert not {"AccountID", "Item", "ValidationErrors"} & set(sent)
    assert (sent["LineAmount"], sent["TaxAmount"]) == (Decimal("660.00"), Decimal("99.00"))


def test_what_was_computed_from_a_changed_quantity_is_not_sent_back(updated: Updated) -> None:
    [sent] = updated({"LineItems": [line(Quantity=Decimal(2))]})["LineItems"]
    assert sent["Quantity"] == 2 and sent["UnitAmount"] == Decimal("27.50")
    assert not {"LineAmount", "TaxAmount"} & set(sent)


def test_a_changed_line_amount_moves_the_price(updated: Updated) -> None:
    [sent] = updated({"LineItems": [line(LineAmount=Decimal("100.00"))]})["LineItems"]
    assert sent["LineAmount"] == 100 and "UnitAmount" not in sent and "TaxAmount" not in sent


def test_a_tax_that_is_given_with_the_price_is_kept(updated: Updated) -> None:
    [sent] = updated({"LineItems": [line(Quantity=Decimal(2), TaxAmount=Decimal(8))]})["LineItems"]
    assert sent["TaxAmount"] == 8


def test_a_line_without_an_id_is_new_and_one_left_out_goes(updated: Updated) -> None:
    new = {"Description": "Courier", "Quantity": Decimal(1)}
    assert updated({"LineItems": [new]})["LineItems"] == [new]
    assert updated({"LineItems": []})["LineItems"] == []


def test_a_text_that_a_line_loses_is_emptied_by_name(updated: Updated) -> None:
    [sent] = updated({"LineItems": [line(ItemCode=...)]})["LineItems"]
    assert sent["ItemCode"] == "" and sent["TaxType"] == "OUTPUT2"


def test_an_address_that_goes_is_emptied(updated: Updated) -> None:
    street = {"AddressType": "STREET", "City": "Dunedin"}
    pobox = {"AddressType": "POBOX", "City": "Wellington", "PostalCode": "6011"}
    sent = updated({"Addresses": [street]}, {"Addresses": [street, pobox]}, "contact")
    assert sent["Addresses"] == [street, {"AddressType": "POBOX", "City": "", "PostalCode": ""}]


def test_dates_of_the_past_are_sent_as_days(updated: Updated) -> None:
    assert updated({"DueDate": "/Date(1795132800000+0000)/"})["DueDate"] == "2026-11-20"


def test_a_nested_object_goes_whole(updated: Updated) -> None:
    base = {"Code": "HB", "SalesDetails": {"UnitPrice": Decimal("27.5"), "AccountCode": "200"}}
    sent = updated({"SalesDetails": {"UnitPrice": Decimal(30)}}, base, "item")
    assert sent["SalesDetails"] == {"UnitPrice": 30, "AccountCode": "200"}


def test_a_text_is_cleared_by_the_empty_text(updated: Updated) -> None:
    assert updated({"Reference": None})["Reference"] == ""


def test_what_is_empty_already_need_not_be_cleared(updated: Updated) -> None:
    assert updated({"PlannedPaymentDate": None, "Url": None}) == {"InvoiceID": ID}


@pytest.mark.parametrize("member", ["DueDate", "Date"])
def test_what_cannot_be_cleared_is_refused_before_anything_is_sent(
    member: str, updated: Updated
) -> None:
    with pytest.raises(RuleBroken, match=f"{member} cannot be cleared") as caught:
        updated({member: None})
    assert caught.value.column in ("due_date", "date")


def test_a_created_record_has_no_nulls(step: Make, calls: Facts) -> None:
    fields = {
        "Type": "ACCREC",
        "Contact": {"ContactID": CONTACT},
        "Reference": None,
        "LineItems": [{"Description": "a", "TaxType": None, "Item": {"ItemID": None}}],
    }
    made = bodies.created(step(StepKind.CREATE, "invoice", fields), calls("invoice"))
    assert made == {
        "Type": "ACCREC",
        "Contact": {"ContactID": CONTACT},
        "LineItems": [{"Description": "a"}],
    }


def test_a_number_json_cannot_say_is_refused(step: Make, calls: Facts) -> None:
    lines = [{"Quantity": Decimal("NaN")}]
    with pytest.raises(InvalidValue):
        bodies.created(step(StepKind.CREATE, "invoice", {"LineItems": lines}), calls("invoice"))


# -- statuses ------------------------------------------------------------------------------

FORBIDDEN = [
    ("invoice", "Status", "AUTHORISED", "DRAFT"),
    ("invoice", "Status", "AUTHORISED", "DELETED"),
    ("invoice", "Status", "VOIDED", "AUTHORISED"),
    ("invoice", "Status", "DELETED", "DRAFT"),
    ("invoice", "Status", "PAID", "VOIDED"),
    ("credit_note", "Status", "AUTHORISED", "DRAFT"),
    ("manual_journal", "Status", "POSTED", "DRAFT"),
    ("contact", "ContactStatus", "ARCHIVED", "ACTIVE"),
]


@pytest.mark.parametrize(("table", "member", "old", "new"), FORBIDDEN)
def test_a_status_that_cannot_go_back_is_refused(
    table: str, member: str, old: str, new: str, updated: Updated
) -> None:
    with pytest.raises(RuleBroken, match=f"status {old} cannot become {new}"):
        updated({member: new}, {member: old}, table)


ALLOWED = [
    ("invoice", "DRAFT", "AUTHORISED"),
    ("invoice", "SUBMITTED", "DRAFT"),
    ("invoice", "AUTHORISED", "VOIDED"),
    ("manual_journal", "DRAFT", "POSTED"),
    ("quote", "SENT", "ACCEPTED"),
    ("purchase_order", "DRAFT", "BILLED"),
]


@pytest.mark.parametrize(("table", "old", "new"), ALLOWED)
def test_a_status_that_may_follow_is_sent(table: str, old: str, new: str, updated: Updated) -> None:
    assert updated({"Status": new}, {"Status": old}, table)["Status"] == new


def test_archiving_goes_alone(updated: Updated) -> None:
    base = {"Status": "ACTIVE", "Name": "Sales"}
    assert updated({"Status": "ARCHIVED"}, base, "account")["Status"] == "ARCHIVED"
    with pytest.raises(RuleBroken, match="must be set alone"):
        updated({"Status": "ARCHIVED", "Name": "Old sales"}, base, "account")


DELETED_BY = [
    ("invoice", "Status", "DRAFT", "DELETED"),
    ("invoice", "Status", "SUBMITTED", "DELETED"),
    ("invoice", "Status", "AUTHORISED", "VOIDED"),
    ("invoice", "Status", "PAID", None),
    ("invoice", "Status", "VOIDED", None),
    ("credit_note", "Status", "AUTHORISED", "VOIDED"),
    ("manual_journal", "Status", "POSTED", "VOIDED"),
    ("bank_transaction", "Status", "AUTHORISED", "DELETED"),
    ("payment", "Status", "AUTHORISED", "DELETED"),
    ("payment", "Status", "DELETED", None),
    ("purchase_order", "Status", "BILLED", "DELETED"),
    ("quote", "Status", "ACCEPTED", "DELETED"),
    ("tax_rate", "Status", "ACTIVE", "DELETED"),
]


@pytest.mark.parametrize(("table", "member", "status", "target"), DELETED_BY)
@pytest.mark.parametrize("kind", [StepKind.DELETE, StepKind.VOID])
def test_a_delete_is_what_the_records_status_allows(
    kind: StepKind,
    table: str,
    member: str,
    status: str,
    target: str | None,
    step: Make,
    calls: Facts,
) -> None:
    deletes = step(kind, table, base={})
    if target is not None:
        assert bodies.target_status(deletes, calls(table), {member: status}) == target
        return
    with pytest.raises(RuleBroken, match=f"it is {status}"):
        bodies.target_status(deletes, calls(table), {member: status})


def test_an_archived_contact_is_not_restored(step: Make, calls: Facts) -> None:
    archives = step(StepKind.DEACTIVATE, "contact", base={})
    base = {"ContactStatus": "ACTIVE"}
    assert bodies.target_status(archives, calls("contact"), base) == "ARCHIVED"
    with pytest.raises(RuleBroken, match="restores no archived record"):
        bodies.target_status(
            step(StepKind.REACTIVATE, "contact", base={}),
            calls("contact"),
            {"ContactStatus": "ARCHIVED"},
        )


def test_a_tax_rate_is_found_by_its_name_and_so_cannot_be_renamed(updated: Updated) -> None:
    base = {"Name": "GST", "TaxType": "TAX001", "Status": "ACTIVE"}
    assert updated({"ReportTaxType": "OUTPUT"}, base, "tax_rate")["Name"] == "GST"
    with pytest.raises(RuleBroken, match="Name cannot change"):
        updated({"Name": "VAT"}, base, "tax_rate")


def test_transfers_and_overpayments_are_no_bank_transactions_to_change(
    step: Make, calls: Facts
) -> None:
    changes = step(StepKind.UPDATE, "bank_transaction", {"Reference": "x"}, base={})
    bodies.refuse_other_kinds(changes, calls("bank_transaction"), {"Type": "SPEND"})
    with pytest.raises(RuleBroken, match="SPEND-OVERPAYMENT"):
        bodies.refuse_other_kinds(changes, calls("bank_transaction"), {"Type": "SPEND-OVERPAYMENT"})


def test_an_amount_is_not_sent_with_a_price_that_changed_by_a_hair(
    updated: Callable[..., dict[str, Any]],
) -> None:
    """Else 1,000 pieces at 0.0004 more would not match the amount that is sent beside them."""
    fine = line(Quantity=Decimal(1000), UnitAmount=Decimal("0.0051"), LineAmount=Decimal("5.10"))
    body = updated(
        {"LineItems": [{**fine, "UnitAmount": Decimal("0.0055")}]}, {**INVOICE, "LineItems": [fine]}
    )
    [sent] = body["LineItems"]
    assert sent["UnitAmount"] == Decimal("0.0055")
    assert "LineAmount" not in sent and "TaxAmount" not in sent


def test_numbers_that_a_record_shows_as_texts_go_back_as_numbers(
    updated: Callable[..., dict[str, Any]],
) -> None:
    """Reference section 3.2: both are read; a request says them as its schema does."""
    shown = line(Quantity="24.0000", UnitAmount="27.50", LineAmount="660.00", ItemCode="007")
    body = updated(
        {"LineItems": [{**shown, "Description": "new"}]}, {**INVOICE, "LineItems": [shown]}
    )
    [sent] = body["LineItems"]
    assert [sent[m] for m in ("Quantity", "UnitAmount", "LineAmount")] == [24, Decimal("27.5"), 660]
    assert sent["ItemCode"] == "007"
    item = {"Code": "I", "SalesDetails": {"UnitPrice": "3.50", "AccountCode": "200"}}
    body = updated({"SalesDetails": {"AccountCode": "260"}}, item, "item")
    assert body["SalesDetails"] == {"UnitPrice": Decimal("3.5"), "AccountCode": "260"}
