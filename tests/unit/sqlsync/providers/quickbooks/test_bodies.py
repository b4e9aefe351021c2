"""What goes into the body of a write, by kind of field and kind of step."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from schema.model import Catalog
from sqlsync.errors import InvalidValue, RuleBroken
from sqlsync.providers.base import Step, StepKind
from sqlsync.providers.quickbooks.bodies import (
    decode_json,
    encode_json,
    step_body,
    without_deleted_suffix,
)

CUSTOMER: dict[str, Any] = {
    "domain": "QBO",
    "sparse": False,
    "Id": "58",
    "SyncToken": "3",
    "MetaData": {"CreateTime": "2026-02-10T08:02:11-08:00"},
    "DisplayName": "Ostrow Cycling Club",
    "Notes": "Prefers e-mail",
    "Balance": 97.07,
    "BillAddr": {"Id": "77", "Line1": "410 Harbor Street", "City": "Oakvale"},
    "PrimaryEmailAddr": {"Address": "mara@ostrowcycling.example"},
    "SalesTermRef": {"value": "3", "name": "Net 30"},
    "Active": True,
}
INVOICE: dict[str, Any] = {
    "Id": "145",
    "SyncToken": "1",
    "DocNumber": "1048",
    "CustomerRef": {"value": "58", "name": "Ostrow Cycling Club"},
    "TotalAmt": 345.0,
    "Line": [
        {"Id": "1", "Amount": 345.0, "DetailType": "SalesItemLineDetail"},
        {"Amount": 345.0, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}},
    ],
    "TxnTaxDetail": {"TxnTaxCodeRef": {"value": "2"}, "TotalTax": 26.57},
}
VENDOR: dict[str, Any] = {
    "Id": "41",
    "SyncToken": "0",
    "DisplayName": "Harbor Metal",
    "Balance": 10,
    "TaxIdentifier": "XXXXXX7777",
    "PrimaryPhone": {"FreeFormNumber": "555"},
    "TermRef": {"value": "3"},
    "Active": True,
}


def update(
    catalog: Catalog, table: str, base: dict[str, Any], fields: dict[str, Any]
) -> dict[str, Any]:
    raw = json.dumps(base).encode()
    return step_body(Step(StepKind.UPDATE, catalog.by_table[table], fields, base["Id"], raw))


def test_a_changed_text_goes_alone_in_a_sparse_update(catalog: Catalog) -> None:
    assert update(catalog, "customer", CUSTOMER, {"DisplayName": "Acme"}) == {
        "Id": "58",
        "SyncToken": "3",
        "sparse": True,
        "DisplayName": "Acme",
    }


def test_a_cleared_text_is_sent_empty(catalog: Catalog) -> None:
    body = update(catalog, "customer", CUSTOMER, {"Notes": None})
    assert body["Notes"] == "" and body["sparse"] is True and "DisplayName" not in body


def test_a_nested_object_is_sent_whole(catalog: Catalog) -> None:
    body = update(catalog, "customer", CUSTOMER, {"BillAddr": {"City": "Berlin"}})
    assert body["BillAddr"] == {"Id": "77", "Line1": "410 Harbor Street", "City": "Berlin"}


def test_a_cleared_email_is_an_empty_address(catalog: Catalog) -> None:
    body = update(catalog, "customer", CUSTOMER, {"PrimaryEmailAddr": {"Address": None}})
    assert body["PrimaryEmailAddr"] == {"Address": ""} and body["sparse"] is True


def test_a_cleared_reference_is_left_out_of_a_full_update(catalog: Catalog) -> None:
    body = update(catalog, "customer", CUSTOMER, {"SalesTermRef": {"value": None}})
    assert body["sparse"] is False
    assert "SalesTermRef" not in body
    assert body["Notes"] == "Prefers e-mail"  # what is left out of a full update is emptied
    assert not {"MetaData", "domain"} & set(body)


def test_a_cleared_date_needs_a_full_update(catalog: Catalog) -> None:
    base = {**INVOICE, "DueDate": "2026-03-22"}
    body = update(catalog, "invoice", base, {"DueDate": None})
    assert body["sparse"] is False and "DueDate" not in body
    assert [row.get("Id") for row in body["Line"]] == ["1"]
    assert "TotalAmt" not in body  # the service computes it


def test_an_invoice_is_always_sent_with_its_customer(catalog: Catalog) -> None:
    body = update(catalog, "invoice", INVOICE, {"DocNumber": "1049"})
    assert body["CustomerRef"]["value"] == "58"
    assert "Line" not in body and body["sparse"] is True


def test_subtotal_rows_are_never_sent(catalog: Catalog) -> None:
    body = update(catalog, "invoice", INVOICE, {"Line": INVOICE["Line"]})
    assert [row["DetailType"] for row in body["Line"]] == ["SalesItemLineDetail"]


def test_new_lines_in_a_full_update_do_not_bring_the_old_tax_along(catalog: Catalog) -> None:
    base = {**INVOICE, "DueDate": "2026-03-22"}
    body = update(catalog, "invoice", base, {"Line": [{"Amount": 1}], "DueDate": None})
    assert body["TxnTaxDetail"] == {"TxnTaxCodeRef": {"value": "2"}}


def test_rows_the_service_makes_of_a_payment_line_are_not_sent_back(catalog: Catalog) -> None:
    base = {"Id": "9", "SyncToken": "0", "CustomerRef": {"value": "58"}, "TotalAmt": 5}
    line = {"Amount": 5, "LinkedTxn": [{"TxnId": "1", "TxnType": "Invoice"}], "LineEx": {"any": []}}
    body = update(catalog, "payment", base, {"Line": [line]})
    assert body["Line"] == [{"Amount": 5, "LinkedTxn": [{"TxnId": "1", "TxnType": "Invoice"}]}]
    assert body["TotalAmt"] == 5


def test_an_object_without_documented_sparse_is_sent_whole_and_marked_sparse(
    catalog: Catalog,
) -> None:
    body = update(catalog, "vendor", VENDOR, {"CompanyName": "Harbor"})
    assert body["sparse"] is True
    assert body["PrimaryPhone"] == {"FreeFormNumber": "555"}
    assert body["CompanyName"] == "Harbor"


def test_a_masked_tax_number_is_never_written_back(catalog: Catalog) -> None:
    assert "TaxIdentifier" not in update(catalog, "vendor", VENDOR, {"CompanyName": "Harbor"})
    given = update(catalog, "vendor", VENDOR, {"TaxIdentifier": "12-3456789"})
    assert given["TaxIdentifier"] == "12-3456789"


def test_clearing_that_would_destroy_a_masked_number_is_refused(catalog: Catalog) -> None:
    with pytest.raises(RuleBroken, match="TaxIdentifier"):
        update(catalog, "vendor", VENDOR, {"TermRef": {"value": None}})


def test_a_new_reference_does_not_keep_the_old_label(catalog: Catalog) -> None:
    body = update(catalog, "invoice", INVOICE, {"CustomerRef": {"value": "60"}})
    assert body["CustomerRef"] == {"value": "60"}


def test_no_empty_reference_is_sent(catalog: Catalog) -> None:
    preferences = {
        "Id": "1",
        "SyncToken": "5",
        "CurrencyPrefs": {
            "MultiCurrencyEnabled": False,
            "HomeCurrency": {"value": "USD", "name": "US"},
        },
        "SalesFormsPrefs": {"AllowDeposit": False, "DefaultTerms": {"value": "3"}},
    }
    body = update(catalog, "preferences", preferences, {"SalesFormsPrefs": {"AllowDeposit": True}})
    assert "CurrencyPrefs" not in body
    assert body["SalesFormsPrefs"] == {"AllowDeposit": True, "DefaultTerms": {"value": "3"}}
    change = {"SalesFormsPrefs": {"DefaultTerms": {"value": None}}}
    body = update(catalog, "preferences", preferences, change)
    assert body["SalesFormsPrefs"] == {"AllowDeposit": False} and not body["sparse"]


def test_a_reference_cleared_inside_an_object_leaves_no_label_behind(catalog: Catalog) -> None:
    cash = {"AccountRef": {"value": "35", "name": "Checking"}, "Amount": 5}
    base = {"Id": "9", "SyncToken": "0", "DepositToAccountRef": {"value": "4"}, "CashBack": cash}
    body = update(catalog, "deposit", base, {"CashBack": {"AccountRef": {"value": None}}})
    assert body["CashBack"] == {"Amount": 5}


def test_create_leaves_out_what_is_null(catalog: Catalog) -> None:
    fields = {
        "CustomerRef": {"value": "58"},
        "DocNumber": None,
        "BillAddr": {"City": None},
        "Line": [{"Amount": Decimal("10.50"), "Description": None}],
    }
    step = Step(StepKind.CREATE, catalog.by_table["invoice"], fields)
    assert step_body(step) == {
        "CustomerRef": {"value": "58"},
        "Line": [{"Amount": Decimal("10.50")}],
    }


def test_deactivating_sets_active_alone(catalog: Catalog) -> None:
    spec = catalog.by_table["customer"]
    body = step_body(Step(StepKind.DEACTIVATE, spec, {}, "58", json.dumps(CUSTOMER).encode()))
    assert body == {"Id": "58", "SyncToken": "3", "sparse": True, "Active": False}


@pytest.mark.parametrize("kind", [StepKind.REACTIVATE, StepKind.UPDATE])
def test_a_record_that_becomes_active_gets_its_name_back(kind: StepKind, catalog: Catalog) -> None:
    base = {**CUSTOMER, "DisplayName": "Acme (Deleted)", "Active": False}
    fields = {"Active": True} if kind is StepKind.UPDATE else {}
    step = Step(kind, catalog.by_table["customer"], fields, "58", json.dumps(base).encode())
    body = step_body(step)
    assert body["Active"] is True and body["DisplayName"] == "Acme"


@pytest.mark.parametrize(
    ("name", "living"),
    [
        ("Acme (deleted)", "Acme"),
        ("Acme (Deleted) (deleted)", "Acme"),
        ("Acme", "Acme"),
        ("(deleted) Acme", "(deleted) Acme"),
        ("Acme(deleted)", "Acme(deleted)"),
    ],
)
def test_the_suffix_of_inactive_names(name: str, living: str) -> None:
    assert without_deleted_suffix(name) == living


def test_delete_and_void_send_identity_alone(catalog: Catalog) -> None:
    raw = json.dumps(INVOICE).encode()
    invoice = catalog.by_table["invoice"]
    for kind in (StepKind.DELETE, StepKind.VOID):
        assert step_body(Step(kind, invoice, {}, "145", raw)) == {"Id": "145", "SyncToken": "1"}


def test_a_void_by_include_says_sparse(catalog: Catalog) -> None:
    raw = b'{"Id":"9","SyncToken":"2"}'
    body = step_body(Step(StepKind.VOID, catalog.by_table["bill_payment"], {}, "9", raw))
    assert body == {"Id": "9", "SyncToken": "2", "sparse": True}


def test_numbers_are_exact() -> None:
    value = decode_json(b'{"a":0.1,"b":12345678901234567.89,"c":3}')
    assert value == {"a": Decimal("0.1"), "b": Decimal("12345678901234567.89"), "c": 3}
    assert encode_json(value) == b'{"a":0.1,"b":12345678901234567.89,"c":3}'


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_json_has_no_word_for_are_refused(number: str, catalog: Catalog) -> None:
    fields = {"Line": [{"Amount": Decimal(number)}]}
    with pytest.raises(InvalidValue):
        step_body(Step(StepKind.CREATE, catalog.by_table["invoice"], fields))


def test_a_step_without_its_base_is_refused_and_not_guessed(catalog: Catalog) -> None:
    with pytest.raises(RuleBroken, match="as it stands"):
        step_body(Step(StepKind.DELETE, catalog.by_table["invoice"], {}, "145", None))
