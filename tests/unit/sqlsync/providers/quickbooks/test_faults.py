"""The words and places of errors, and the table of codes."""

from __future__ import annotations

import pytest

from schema.model import Catalog
from sqlsync.errors import (
    BadReference,
    DuplicateValue,
    NotFound,
    OutcomeUnknown,
    ProviderError,
    ProviderFault,
    ProviderRefusal,
    RateLimited,
)
from sqlsync.providers.quickbooks.faults import RULES, About, Fault, FaultError, error_for, fault_of


def fault(code: str, detail: str = "", element: str = "", kind: str = "ValidationFault") -> Fault:
    return Fault(kind, (FaultError("Message", detail, code, element),))


@pytest.mark.parametrize("code", RULES)
def test_every_code_of_the_table_makes_its_error(code: str, catalog: Catalog) -> None:
    error = error_for(fault(code, "Why : because"), About(catalog.by_table["customer"], "42"))
    assert type(error) is RULES[code].error
    assert error.code == code
    assert error.message.startswith("[QuickBooks] Customer `42`")


def test_a_duplicate_name_names_constraint_and_column(catalog: Catalog) -> None:
    error = error_for(
        fault(
            "6240",
            "The name supplied already exists. : Another customer, vendor or employee is already"
            " using this name. Please use a different name.",
        ),
        About(catalog.by_table["customer"], "42", changes=True),
        trace_id="1-xyz",
    )
    assert isinstance(error, DuplicateValue)
    assert error.message == (
        "[QuickBooks] Customer `42`: Another customer, vendor or employee is already using this"
        " name. Please use a different name."
    )
    assert (error.constraint, error.column) == ("customer_display_name_key", "display_name")
    assert error.table == "customer"
    assert error.detail is not None and "6240" in error.detail and "1-xyz" in error.detail
    assert error.hint is not None


def test_a_duplicate_number_names_the_number(catalog: Catalog) -> None:
    error = error_for(fault("6140"), About(catalog.by_table["invoice"], creates=True))
    assert error.constraint == "invoice_doc_number_key"
    assert error.message.startswith("[QuickBooks] Invoice: ")


def test_a_record_that_is_gone(catalog: Catalog) -> None:
    error = error_for(
        fault("610", "Object Not Found : x"), About(catalog.by_table["customer"], "42")
    )
    assert type(error) is NotFound
    assert error.message == "[QuickBooks] Customer `42` not found"


def test_not_found_on_create_is_about_what_it_refers_to(catalog: Catalog) -> None:
    error = error_for(fault("610"), About(catalog.by_table["invoice"], creates=True, changes=True))
    assert type(error) is BadReference


@pytest.mark.parametrize(
    ("table", "element", "column"),
    [
        ("invoice", "CustomerRef", "customer_id"),
        ("invoice", "Invoice.CustomerRef", "customer_id"),
        ("invoice", "customerref.value", "customer_id"),
        ("invoice", "DocNumber", "doc_number"),
        ("customer", "PrimaryEmailAddr.Address", "email"),
        ("customer", "PrimaryEmailAddr", "email"),
        ("invoice", "Line", "line"),
        ("invoice", "Line.SalesItemLineDetail.ItemRef", "line"),
        ("customer", "Customer.Colour", None),
        ("customer", "", None),
    ],
)
def test_elements_are_told_as_columns(
    table: str, element: str, column: str | None, catalog: Catalog
) -> None:
    error = error_for(fault("2020", element=element), About(catalog.by_table[table], "1"))
    assert error.column == column


def test_a_failure_inside_leaves_a_write_unknown_and_a_read_failed(catalog: Catalog) -> None:
    broken = fault("10000", "System Failure Error: x", kind="SystemFault")
    spec = catalog.by_table["customer"]
    assert type(error_for(broken, About(spec), status=500)) is ProviderFault
    assert type(error_for(broken, About(spec, changes=True), status=500)) is OutcomeUnknown


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("ValidationFault", 400, ProviderRefusal),
        ("SystemFault", 400, ProviderFault),
        ("ValidationFault", 500, ProviderFault),
        ("SERVICE", 429, RateLimited),
    ],
)
def test_unknown_codes_are_told_by_kind_and_status(
    kind: str, status: int, error: type[ProviderError]
) -> None:
    assert type(error_for(fault("99999", kind=kind), About(), status=status)) is error


def test_all_errors_of_a_fault_stand_in_the_detail() -> None:
    found = Fault(
        "ValidationFault",
        (FaultError("m", "first", "2020", "Line"), FaultError("m", "second", "2050", "DocNumber")),
    )
    detail = error_for(found, About()).detail
    assert detail == "code 2020, Line: first; code 2050, DocNumber: second"


@pytest.mark.parametrize(
    "body",
    [
        b'{"Fault":{"Error":[{"Message":"m","Detail":"d","code":"0610"}],"type":"t"}}',
        b'{"fault":{"error":[{"message":"m","detail":"d","code":"610"}],"type":"t"}}',
        b'{"Fault":{"Error":{"Message":"m","Detail":"d","code":610},"type":"t"}}',
    ],
)
def test_both_spellings_are_read(body: bytes) -> None:
    found = fault_of(body)
    assert found == Fault("t", (FaultError("m", "d", "610", ""),))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<x/>", b'{"Fault":null}', b'{"a":1}'])
def test_no_fault_in_what_has_none(body: bytes) -> None:
    assert fault_of(body) is None


def test_a_fault_without_entries_is_still_a_fault() -> None:
    found = fault_of(b'{"Fault":{"type":"SystemFault"}}')
    assert found is not None and found.first.code == ""
