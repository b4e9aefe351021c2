"""The naming rule, and the names it has given: these are promises to users' queries."""

from __future__ import annotations

from pathlib import Path

import pytest

from schema.ddl import index_name, table_plans
from schema.loader import load_catalog
from schema.naming import (
    child_table_name,
    column_name,
    parent_column_name,
    singular,
    snake_case,
    table_name,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DisplayName", "display_name"),
        ("Id", "id"),
        ("SyncToken", "sync_token"),
        ("GSTIN", "gstin"),
        ("POStatus", "po_status"),
        ("ARAccount", "ar_account"),
        ("AllowOnlineACHPayment", "allow_online_ach_payment"),
        ("V4IDPseudonym", "v4_id_pseudonym"),
        ("T4AEligible", "t4a_eligible"),
        ("T5018Eligible", "t5018_eligible"),
        ("Vendor1099", "vendor1099"),
        ("Line1", "line1"),
        ("UpdatedDateUTC", "updated_date_utc"),
    ],
)
def test_words_of_a_name_are_told_apart(name: str, expected: str) -> None:
    assert snake_case(name) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("MetaData.CreateTime", "created_at"),
        ("MetaData.LastUpdatedTime", "updated_at"),
        ("UpdatedDateUTC", "updated_at"),
        ("CustomerRef.value", "customer_id"),
        ("CustomerRef.name", "customer_name"),
        ("EntityRef.type", "entity_type"),
        ("CustomerMemo.value", "customer_memo_value"),
        ("PrimaryEmailAddr.Address", "email"),
        ("PrimaryPhone.FreeFormNumber", "phone"),
        ("Fax.FreeFormNumber", "fax_free_form_number"),
        ("BillAddr.City", "bill_addr_city"),
        ("BillEmail.Address", "bill_email_address"),
        ("Contact.ContactID", "contact_id"),
        ("Contact.Name", "contact_name"),
        ("BankAccount.AccountID", "bank_account_id"),
        ("BankAccount.Code", "bank_account_code"),
        ("Invoice.InvoiceNumber", "invoice_number"),
        ("PaymentTerms.Sales.Day", "payment_terms_sales_day"),
        ("CreatedDateUTC", "created_at"),
        ("CISDeduction", "cis_deduction"),
        ("User", "user_name"),
        ("User.UserID", "user_id"),
        ("SalesItemLineDetail.ItemRef.value", "sales_item_line_detail_item_id"),
        (
            "AccountBasedExpenseLineDetail.MarkupInfo.MarkUpIncomeAccountRef.value",
            "account_based_expense_line_detail_mark_up_income_account_id",
        ),
    ],
)
def test_a_path_becomes_a_column(path: str, expected: str) -> None:
    assert column_name(path.split(".")) == expected


def test_a_reference_without_the_ending_is_told() -> None:
    assert column_name(["ShipTo", "value"], reference=True) == "ship_to_id"
    assert column_name(["ShipTo", "name"], reference=True) == "ship_to_name"


def test_an_objects_own_id_is_id() -> None:
    assert column_name(["InvoiceID"], api_name="Invoice") == "id"
    assert column_name(["InvoiceID"], api_name="Payment") == "invoice_id"


def test_a_list_becomes_a_table() -> None:
    assert child_table_name("invoice", ["Line"]) == "invoice_line"
    expected = "invoice_txn_tax_detail_tax_line"
    assert child_table_name("invoice", ["TxnTaxDetail", "TaxLine"]) == expected
    assert child_table_name("invoice", ["LineItems"]) == "invoice_line_item"
    assert child_table_name("bank_transfer", ["FromTracking"]) == "bank_transfer_from_tracking"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("LineItems", "LineItem"),
        ("Addresses", "Address"),
        ("Address", "Address"),
        ("SalesTrackingCategories", "SalesTrackingCategory"),
        ("Status", "Status"),
        ("Line", "Line"),
    ],
)
def test_one_of_a_list_is_named_in_the_singular(name: str, expected: str) -> None:
    assert singular(name) == expected


def test_an_object_whose_name_is_a_word_of_sql_has_another_table() -> None:
    assert table_name("BillPayment") == "bill_payment"
    assert table_name("User") == "organisation_user"


def test_a_parents_column_gives_way_to_one_of_the_rows() -> None:
    assert parent_column_name("invoice", ["amount"]) == "invoice_id"
    assert parent_column_name("item", ["item_id", "qty"]) == "parent_item_id"


def test_names_of_indexes_fit_postgres_and_differ() -> None:
    long = "account_based_expense_line_detail_mark_up_income_account_id"
    names = {index_name("purchase_order_line", f"{long[:-1]}{c}") for c in "abcde"}
    assert len(names) == 5
    assert all(len(name) <= 63 for name in names)
    assert index_name("invoice", "customer_id") == "invoice_customer_id_idx"


@pytest.mark.parametrize("provider", ["quickbooks", "xero"])
def test_every_table_and_column_has_the_name_it_was_published_with(provider: str) -> None:
    """A change here breaks users' queries. Additions go to the end of their table."""
    lines = []
    for spec in load_catalog(provider).objects:
        for plan in table_plans(spec):
            lines.append(f"{plan.name} ({', '.join(plan.key)})")
            lines += [f"  {column.name} {column.type}" for column in plan.columns]
    golden = Path(__file__).with_name(f"{provider}_columns.txt")
    assert lines == golden.read_text("utf-8").splitlines()
