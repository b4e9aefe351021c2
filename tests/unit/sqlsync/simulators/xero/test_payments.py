"""Payments, batches, allocations, over- and prepayments, bank transactions and transfers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest


def test_a_payment_lowers_what_is_due_until_the_invoice_is_paid(world: Any) -> None:
    invoice = world.invoice(None, "200.00")
    payment = world.pay(invoice, "100.00")
    assert payment["PaymentType"] == "ACCRECPAYMENT"
    half = world.again(invoice)
    assert (half["Status"], half["AmountDue"]) == ("AUTHORISED", Decimal("130.00"))
    world.pay(invoice, "130.00", Date="2026-10-21")
    paid = world.again(invoice)
    assert (paid["Status"], paid["AmountPaid"]) == ("PAID", Decimal("230.00"))
    assert paid["FullyPaidOnDate"] == "/Date(1792540800000+0000)/"
    assert len(paid["Payments"]) == 2
    world.post(f"Payments/{payment['PaymentID']}", {"Status": "DELETED"})
    again = world.again(invoice)
    assert (again["Status"], again["AmountDue"]) == ("AUTHORISED", Decimal("100.00"))
    assert "FullyPaidOnDate" not in again
    assert len(again["Payments"]) == 1
    assert world.one(f"Payments/{payment['PaymentID']}")["Status"] == "DELETED"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Amount": "115.01"}, "Payment amount exceeds the amount outstanding on this document"),
        ({"Amount": 0}, "greater than zero"),
        ({"Account": {"Code": "200"}}, "not enabled for payments"),
        ({"Account": {"Code": "nope"}}, "could not be found"),
        ({"Account": None}, "must be specified"),
        (
            {"CreditNote": {"CreditNoteID": "8f2b6c1e-3d47-4a5e-9b0c-51a7d2e64f90"}},
            "exactly one of",
        ),
        ({"Date": "2020-01-01"}, "period lock date"),
    ],
)
def test_payments_that_do_not_fit_are_refused(
    world: Any, change: dict[str, Any], words: str
) -> None:
    invoice = world.invoice()
    body = {
        "Invoice": {"InvoiceID": invoice["InvoiceID"]},
        "Account": {"Code": "090"},
        "Date": "2026-10-20",
        "Amount": "10",
        **change,
    }
    [message] = world.refusal("PUT", "Payments", body)
    assert words in message


def test_only_authorised_documents_are_paid_and_payments_never_change(world: Any) -> None:
    draft = world.invoice(Status="DRAFT")
    body = {"Invoice": {"InvoiceID": draft["InvoiceID"]}, "Account": {"Code": "090"}, "Amount": 1}
    assert world.refusal("PUT", "Payments", body) == ["Payment Date must be specified."]
    body["Date"] = "2026-10-20"
    assert world.refusal("PUT", "Payments", body) == [
        "Payments can only be made against Authorised documents"
    ]
    payment = world.pay(world.invoice(), 5)
    path = f"Payments/{payment['PaymentID']}"
    assert "cannot be modified" in world.refusal("POST", path, {"Reference": "x"})[0]
    world.post(path, {"Status": "DELETED"})
    assert world.refusal("POST", path, {"Status": "DELETED"})


def test_a_batch_pays_many_and_is_deleted_as_a_whole(world: Any) -> None:
    invoices = [world.invoice(None, "10.00") for _ in range(3)]
    sent = [{"Invoice": {"InvoiceID": one["InvoiceID"]}, "Amount": "11.50"} for one in invoices]
    batch = world.put(
        "BatchPayments",
        {"Account": {"Code": "090"}, "Date": "2026-10-20", "Reference": "run", "Payments": sent},
    )
    assert (batch["Type"], batch["TotalAmount"]) == ("RECBATCH", Decimal("34.50"))
    assert {world.again(one)["Status"] for one in invoices} == {"PAID"}
    single = batch["Payments"][0]["PaymentID"]
    assert world.one(f"Payments/{single}")["BatchPayment"]["BatchPaymentID"]
    assert "batch" in world.refusal("POST", f"Payments/{single}", {"Status": "DELETED"})[0]
    world.post(f"BatchPayments/{batch['BatchPaymentID']}", {"Status": "DELETED"})
    assert {world.again(one)["Status"] for one in invoices} == {"AUTHORISED"}
    assert {one["Status"] for one in world.get("Payments")} == {"DELETED"}


def test_a_failing_batch_leaves_nothing(world: Any) -> None:
    invoice = world.invoice(None, "10.00")
    sent = [{"Invoice": {"InvoiceID": invoice["InvoiceID"]}, "Amount": "10"}] * 2
    body = {"Account": {"Code": "090"}, "Date": "2026-10-20", "Payments": sent}
    assert world.refusal("PUT", "BatchPayments", body)
    assert world.again(invoice)["AmountPaid"] == 0
    assert world.get("Payments") == []


def credit_note(world: Any, contact: Any, amount: str = "100.00") -> Any:
    line = {"Description": "x", "UnitAmount": amount, "AccountCode": "200"}
    body = {"Type": "ACCRECCREDIT", "Status": "AUTHORISED", "LineItems": [line]}
    return world.put("CreditNotes", {**body, "Contact": {"ContactID": contact["ContactID"]}})


def allocation(invoice: Any, amount: Any) -> dict[str, Any]:
    one = {"Invoice": {"InvoiceID": invoice["InvoiceID"]}, "Amount": amount, "Date": "2026-11-02"}
    return {"Allocations": [one]}


def test_credit_is_allocated_in_a_call_of_its_own_and_taken_back(world: Any) -> None:
    contact = world.contact()
    invoice, note = world.invoice(contact, "200.00"), credit_note(world, contact)
    path = f"CreditNotes/{note['CreditNoteID']}"
    [made] = world.ask("PUT", f"{path}/Allocations", allocation(invoice, "115.00"))["Allocations"]
    assert made["CreditNote"]["CreditNoteID"] == note["CreditNoteID"]
    shown = world.one(path)
    assert (shown["Status"], shown["RemainingCredit"]) == ("PAID", 0)
    assert world.again(invoice)["AmountCredited"] == Decimal("115.00")
    assert world.again(invoice)["CreditNotes"][0]["AppliedAmount"] == Decimal("115.00")
    gone = world.ask("DELETE", f"{path}/Allocations/{made['AllocationID']}")
    assert gone["IsDeleted"] is True
    shown = world.one(path)
    assert (shown["Status"], shown["RemainingCredit"]) == ("AUTHORISED", Decimal("115.00"))
    assert world.again(invoice)["AmountDue"] == Decimal("230.00")


def test_allocations_keep_within_both_documents_and_one_contact(world: Any) -> None:
    contact = world.contact()
    invoice, note = world.invoice(contact, "50.00"), credit_note(world, contact)
    path = f"CreditNotes/{note['CreditNoteID']}/Allocations"
    assert "outstanding" in world.refusal("PUT", path, allocation(invoice, 60))[0]
    large = world.invoice(contact, "900.00")
    assert "remaining credit" in world.refusal("PUT", path, allocation(large, 116))[0]
    stranger = world.invoice(world.contact("Stranger"))
    assert "same contact" in world.refusal("PUT", path, allocation(stranger, 1))[0]
    bill = world.bill(contact)
    assert "valid type" in world.refusal("PUT", path, allocation(bill, 1))[0]


def test_a_credit_note_is_refunded_by_a_payment(world: Any) -> None:
    note = credit_note(world, world.contact())
    body = {"CreditNote": {"CreditNoteID": note["CreditNoteID"]}, "Account": {"Code": "090"}}
    payment = world.put("Payments", {**body, "Amount": "15.00", "Date": "2026-10-20"})
    assert payment["PaymentType"] == "ARCREDITPAYMENT"
    shown = world.one(f"CreditNotes/{note['CreditNoteID']}")
    assert shown["RemainingCredit"] == Decimal("100.00")


@pytest.mark.parametrize(
    ("kind", "table", "id_field"),
    [
        ("RECEIVE-OVERPAYMENT", "Overpayments", "OverpaymentID"),
        ("RECEIVE-PREPAYMENT", "Prepayments", "PrepaymentID"),
    ],
)
def test_over_and_prepayments_are_born_as_bank_transactions(
    world: Any, kind: str, table: str, id_field: str
) -> None:
    contact = world.contact()
    invoice = world.invoice(contact, "100.00")
    body = {
        "Type": kind,
        "Contact": {"ContactID": contact["ContactID"]},
        "BankAccount": {"Code": "090"},
        "LineItems": [{"Description": "x", "UnitAmount": "46.00", "AccountCode": "620"}],
    }
    transaction = world.put("BankTransactions", body)
    found = world.one(f"{table}/{transaction[id_field]}")
    assert (found["RemainingCredit"], found["Status"]) == (Decimal("46.00"), "AUTHORISED")
    path = f"{table}/{transaction[id_field]}/Allocations"
    world.ask("PUT", path, allocation(invoice, "46.00"))
    assert world.one(f"{table}/{transaction[id_field]}")["Status"] == "PAID"
    assert world.again(invoice)["AmountDue"] == Decimal("69.00")
    assert len(world.again(invoice)[table]) == 1
    bank_path = f"BankTransactions/{transaction['BankTransactionID']}"
    assert world.refusal("POST", bank_path, {"Status": "DELETED"})
    debit = sum(
        post.net for journal in world.ledger.journals for post in world.ledger.posts(journal)
    )
    assert debit == 0


def test_bank_transactions_are_changed_and_deleted_but_never_empty(world: Any) -> None:
    contact = {"ContactID": world.contact()["ContactID"]}
    line = {"Description": "x", "UnitAmount": "11.50", "AccountCode": "429"}
    body = {"Type": "SPEND", "Contact": contact, "BankAccount": {"Code": "090"}}
    made = world.put("BankTransactions", {**body, "LineItems": [line]})
    path = f"BankTransactions/{made['BankTransactionID']}"
    changed = world.post(path, {"Reference": "R", "LineItems": [{**line, "UnitAmount": 23}]})
    assert (changed["Total"], changed["TotalTax"]) == (Decimal("23.00"), Decimal("3.00"))
    assert changed["LineItems"][0]["LineItemID"] != made["LineItems"][0]["LineItemID"]
    assert world.post(path, {"Status": "DELETED"})["Status"] == "DELETED"
    assert world.refusal("POST", path, {"Reference": "x"})
    for bad in (
        {"LineItems": [{**line, "UnitAmount": 0}]},
        {"BankAccount": {"Code": "200"}},
        {"LineItems": [{**line, "AccountCode": None}]},
        {"Type": "RECEIVE-TRANSFER"},
    ):
        assert world.refusal("PUT", "BankTransactions", {**body, "LineItems": [line], **bad})


def test_a_transfer_makes_two_halves_and_is_softly_deleted(world: Any) -> None:
    body = {"FromBankAccount": {"Code": "090"}, "ToBankAccount": {"Code": "091"}, "Amount": 20}
    made = world.put("BankTransfers", body)
    half = world.one(f"BankTransactions/{made['FromBankTransactionID']}")
    assert (half["Type"], half["Total"]) == ("SPEND-TRANSFER", 20)
    world.post(f"BankTransfers/{made['BankTransferID']}", {"Status": "DELETED"})
    assert world.get("BankTransfers") == []
    assert len(world.get("BankTransfers", includeDeleted="true")) == 1
    same = {**body, "ToBankAccount": {"Code": "090"}}
    assert world.refusal("PUT", "BankTransfers", same)
