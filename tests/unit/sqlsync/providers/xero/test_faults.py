"""What each refusal of Xero becomes."""

from __future__ import annotations

import pytest

from schema.model import Catalog
from sqlsync.errors import (
    BadReference,
    DuplicateValue,
    InvalidValue,
    MissingRequired,
    OutcomeUnknown,
    ProviderRefusal,
    RuleBroken,
    ValueTooLong,
)
from sqlsync.providers.xero.faults import (
    MESSAGES,
    About,
    Complaint,
    Fault,
    complaints_in,
    error_for,
    not_found,
    rule_for,
)

# Every sentence of reference/xero/README.md section 6, and what it is for SQL.
SENTENCES = [
    ("contact", ("The contact name Tui Street Café is already assigned to another contact. The"
     " contact name must be unique across all active contacts."), DuplicateValue, "name"),
    ("contact", ("The specified contact details matched an archived contact. Archived contacts"
     " cannot currently be edited via the API."), RuleBroken, None),
    ("contact", "Contact name must be specified", MissingRequired, "name"),
    ("contact", "Email address must be valid.", InvalidValue, "email_address"),
    ("account", "Please enter a unique Name.", DuplicateValue, "name"),
    ("account", "Please enter a unique Code.", DuplicateValue, "code"),
    ("invoice", "Invoice not of valid status for modification", RuleBroken, None),
    ("invoice", "Invoice not of valid type for creation", InvalidValue, "type"),
    ("invoice", "Invoice # must be unique.", DuplicateValue, "invoice_number"),
    ("invoice", ("This document cannot be edited as it has a payment or credit note allocated to"
     " it."), RuleBroken, None),
    ("invoice", ("The status VOIDED cannot be applied to the invoice because it has payments or"
     " credit notes allocated to it."), RuleBroken, None),
    ("invoice", "Account code '999' is not a valid code for this document.", BadReference,
     "account_code"),
    ("invoice", ("Account code '205' has been archived, or has been deleted. Each line item must"
     " reference a valid account."), BadReference, "account_code"),
    ("invoice", "The TaxType code 'OUTPUT2' cannot be used with account code '310'.", RuleBroken,
     "tax_type"),
    ("invoice", "Tax rate must be Active", BadReference, "tax_type"),
    ("invoice", "The line total 50.00 does not match the expected line total 40.00", RuleBroken,
     "line_amount"),
    ("invoice", ("The document date cannot be before the period lock date, currently set at 31"
     " March 2026"), RuleBroken, None),
    ("invoice", "Organisation is not subscribed to currency EUR", BadReference, "currency_code"),
    ("invoice", "You have reached the limit of invoices you can approve", RuleBroken, None),
    ("payment", "Payment amount exceeds the amount outstanding on this document", RuleBroken,
     "amount"),
    ("payment", "Payments can only be made against Authorised documents", RuleBroken, None),
    ("purchase_order", "PurchaseOrder status change is invalid", RuleBroken, None),
    ("purchase_order", "Deleted PurchaseOrders cannot be updated", RuleBroken, None),
    ("linked_transaction", "The ContactID and the TargetTransaction ContactID do not match",
     BadReference, "contact_id"),
    ("contact", "The length of Name must not exceed 255 characters", ValueTooLong, None),
    ("contact", "Idempotency Key: k is used with a different request.", OutcomeUnknown, None),
    ("contact", "A sentence that nobody has seen before.", RuleBroken, None),
]  # fmt: skip


@pytest.mark.parametrize(("table", "sentence", "error", "column"), SENTENCES)
def test_each_sentence_has_its_class_and_column(
    table: str, sentence: str, error: type[Exception], column: str | None, catalog: Catalog
) -> None:
    spec = catalog.by_table[table]
    fault = Fault("A validation exception occurred", 10, "ValidationException",
                  (Complaint(sentence),))  # fmt: skip
    found = error_for(fault, About(spec, "id-1", changes=True), trace_id="t-1")
    assert type(found) is error
    assert found.column == column
    assert found.message == f"[Xero] {spec.title} `id-1`: {sentence}"
    assert found.detail is not None
    assert sentence in found.detail and "Xero-Correlation-Id t-1" in found.detail


def test_every_pattern_is_used_by_a_sentence_or_is_for_words_like_it() -> None:
    assert all(rule_for(sentence) for _, sentence, _, _ in SENTENCES[:-1])
    assert len(MESSAGES) >= 20


def test_a_duplicate_names_its_constraint(catalog: Catalog) -> None:
    fault = Fault("", 10, None, (Complaint("Invoice # must be unique."),))
    found = error_for(fault, About(catalog.by_table["invoice"], creates=True))
    assert (found.constraint, found.sqlstate) == ("invoice_invoice_number_key", "23505")
    assert found.message == "[Xero] Invoice: Invoice # must be unique."


def test_a_sentence_about_a_line_says_which(catalog: Catalog) -> None:
    element = {
        "ValidationErrors": [],
        "LineItems": [
            {"Description": "a", "ValidationErrors": []},
            {"ValidationErrors": [{"Description": "Account code '9' is not a valid code."}]},
        ],
    }
    complaints = complaints_in(element)
    assert complaints == (Complaint("Account code '9' is not a valid code.", "LineItems[2]"),)
    fault = Fault("A validation exception occurred", 10, None, complaints)
    found = error_for(fault, About(catalog.by_table["invoice"]))
    assert (found.table, found.column) == ("invoice_line_item", "account_code")
    assert "LineItems[2]: Account code" in found.message


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("No property or field 'Foo'", 16, "QueryParseException"), ProviderRefusal),
        (Fault("bad", 17, "PostDataInvalidException"), InvalidValue),
        (Fault("Your request is not filtering", None, "HighVolumeException"), ProviderRefusal),
        (Fault("", None, None), ProviderRefusal),
    ],
)
def test_a_refusal_without_sentences_goes_by_number_and_type(
    fault: Fault, error: type[Exception]
) -> None:
    assert type(error_for(fault, About())) is error


def test_not_found_is_said_in_the_words_of_the_design(catalog: Catalog) -> None:
    found = not_found(About(catalog.by_table["contact"], "4be0"))
    assert (found.message, found.sqlstate) == ("[Xero] Contact `4be0` not found", "P0002")
