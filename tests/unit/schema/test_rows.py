"""Records as rows of their tables, and changed columns as fields."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from schema.loader import load_catalog
from schema.model import ColumnType
from schema.rows import (
    child_row_to_fields,
    child_rows,
    merge_custom_fields,
    record_row,
    row_changes_to_fields,
)
from schema.values import column_value, decode, holdable
from sqlsync.errors import ProviderFault

CATALOG = load_catalog("quickbooks")
XERO = load_catalog("xero")
NO_ID = "00000000-0000-0000-0000-000000000000"
INVOICE, CUSTOMER, ITEM = (CATALOG.by_table[t] for t in ("invoice", "customer", "item"))
LINES = INVOICE.child_by_table["invoice_line"]


def test_a_record_is_read_to_the_last_column() -> None:
    row = record_row(
        CUSTOMER,
        b'{"Id":"58","DisplayName":"Acme","Balance":97.070,"Active":true,'
        b'"PrimaryEmailAddr":{"Address":"a@b.c"},"ParentRef":{"value":"7","name":"Up"},'
        b'"MetaData":{"CreateTime":"2026-02-10T08:02:11-08:00"},"Unknown":{"x":1.50}}',
    )
    assert list(row) == [*(f.column for f in CUSTOMER.fields), "raw"]
    assert row["id"] == "58"
    assert str(row["balance"]) == "97.070"
    assert row["active"] is True
    assert row["email"] == "a@b.c"
    assert (row["parent_id"], row["parent_name"]) == ("7", "Up")
    assert row["created_at"] == "2026-02-10T08:02:11-08:00"
    assert row["company_name"] is None
    assert row["raw"]["Unknown"] == {"x": Decimal("1.50")}


def test_custom_fields_are_found_by_their_definition() -> None:
    row = record_row(
        INVOICE,
        b'{"Id":"1","CustomField":[{"DefinitionId":"2","StringValue":"b"},'
        b'{"DefinitionId":"2","StringValue":"again"},{"DefinitionId":"9"},null,'
        b'{"DefinitionId":"1"}]}',
    )
    assert [row[f"custom_field_{n}"] for n in "123"] == [None, "b", None]


def test_rows_of_a_list_have_keys_and_places() -> None:
    raw = b'{"Id":"1","Line":[{"Id":"1","Amount":5},{"Amount":6},null,{"Id":"1"},{"Id":"pos:2"}]}'
    rows = child_rows(INVOICE, LINES, raw)
    keys = [(r["invoice_id"], r["id"], r["position"]) for r in rows]
    assert keys == [("1", "1", 1), ("1", "pos:2", 2), ("1", "pos:4", 4), ("1", "pos:5", 5)]
    assert [r["amount"] for r in rows] == [Decimal(5), Decimal(6), None, None]


def test_a_list_that_is_none_gives_no_rows() -> None:
    for value in (b"null", b"{}", b'"x"', b"7", b"[]"):
        assert child_rows(INVOICE, LINES, b'{"Id":"1","Line":%b}' % value) == []


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"7", b"null", b"{}", b'{"Id":null}', b'{"Id":""}', b'{"Id":{}}']
)
def test_what_is_no_record_is_refused(raw: bytes) -> None:
    with pytest.raises(ProviderFault):
        record_row(CUSTOMER, raw)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("text", "x", "x"),
        ("text", 12, "12"),
        ("text", Decimal("1.50"), "1.50"),
        ("text", True, "true"),
        ("text", {"a": 1}, None),
        ("text", ["a"], None),
        ("numeric", 5, Decimal(5)),
        ("numeric", "12.50", Decimal("12.50")),
        ("numeric", "-1e5", Decimal("-1e5")),
        ("numeric", "NaN", None),
        ("numeric", " 1", None),
        ("numeric", "1_0", None),
        ("numeric", "١", None),
        ("numeric", True, None),
        ("numeric", "", None),
        ("boolean", False, False),
        ("boolean", "true", True),
        ("boolean", "yes", None),
        ("boolean", 1, None),
        ("boolean", {}, None),
        ("date", "2026-02-28", "2026-02-28"),
        ("date", "2024-02-29", "2024-02-29"),
        ("date", "2026-02-29", None),
        ("date", "2026-02-30", None),
        ("date", "0000-01-01", None),
        ("date", "2026-02-10T08:02:11-08:00", "2026-02-10"),
        ("date", "2026-02-10 bce", None),
        ("date", "yesterday", None),
        ("date", 20260210, None),
        ("date", "/Date(1791244800000+0000)/", "2026-10-06"),
        ("date", "/Date(1791244800000)/", "2026-10-06"),
        ("date", "/Date(1791288000000+1300)/", "2026-10-07"),
        ("date", "/Date(-86400000+0000)/", "1969-12-31"),
        ("date", "/Date(-62135596800000+0000)/", "0001-01-01"),
        ("date", "/Date(-62135596800001+0000)/", None),
        ("date", "/Date(253402300800000+0000)/", None),
        ("date", "/Date(1791244800000+00:00)/", None),
        ("date", "/2026", None),
        ("timestamptz", "2026-02-10T08:02:11-08:00", "2026-02-10T08:02:11-08:00"),
        ("timestamptz", "2026-02-10T08:02:11.117Z", "2026-02-10T08:02:11.117Z"),
        ("timestamptz", "2026-02-10T08:02:11", "2026-02-10T08:02:11Z"),
        ("timestamptz", "2026-02-10T25:02:11Z", None),
        ("timestamptz", "2026-02-10T08:02:11+16:00", None),
        ("timestamptz", "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("timestamptz", "2023-02-29T00:00:00Z", None),
        ("timestamptz", "2026-02-10", None),
        ("timestamptz", "/Date(1439434356790+0000)/", "2015-08-13T02:52:36.790+00:00"),
        ("timestamptz", "/Date(1439434356000)/", "2015-08-13T02:52:36.000+00:00"),
        ("timestamptz", "/Date(-1)/", "1969-12-31T23:59:59.999+00:00"),
        ("timestamptz", "/Date(1439434356790-0530)/", "2015-08-12T21:22:36.790-05:30"),
        ("timestamptz", "/Date(1439434356790+9900)/", None),
        ("timestamptz", "/Date(99999999999999999999)/", None),
        ("timestamptz", "now", None),
        ("jsonb", [1, None], [1, None]),
        ("jsonb", None, None),
    ],
)
def test_a_value_comes_to_rest_in_its_column(kind: str, value: Any, expected: Any) -> None:
    found = column_value(ColumnType(kind), value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (rb'"a\u0000b"', rb'"a\ufffdb"'),
        (rb'"a\\u0000b"', rb'"a\\u0000b"'),
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\ude00\ud83d"', rb'"\ufffd\ufffd"'),
        (rb'"\u00e9"', rb'"\u00e9"'),
        (b'"\xff"', '"\ufffd"'.encode()),
        (b'{\n\t"a":\r1}', b'{  "a": 1}'),
        (b"[1e99999,1E+12345,1e-100000]", b'["1e99999","1E+12345","1e-100000"]'),
        (b'["1e99999", "site-12345", 1e9999]', b'["1e99999", "site-12345", 1e9999]'),
        (b"[" + b"9" * 1001 + b"]", b'["' + b"9" * 1001 + b'"]'),
        (b"[" + b"9" * 1000 + b"]", b"[" + b"9" * 1000 + b"]"),
        (rb'["\"1e99999", 2]', rb'["\"1e99999", 2]'),
        (rb'"\/Date(1)\/"', b'"/Date(1)/"'),
        (rb'["\/","\\/"]', rb'["\/","\\/"]'),
    ],
)
def test_what_postgres_cannot_hold_is_changed_and_nothing_else(raw: bytes, expected: bytes) -> None:
    assert holdable(raw) == expected


def test_numbers_keep_their_value_whatever_their_length() -> None:
    assert decode(b"5000000000000007280") == 5000000000000007280
    assert decode(b"1" * 500) == Decimal("1" * 500)
    assert str(decode(b"10.50")) == "10.50"
    assert decode(b"0.1000000000000000055511151231257827") == Decimal(
        "0.1000000000000000055511151231257827"
    )
    with pytest.raises(ProviderFault):
        decode(b"[NaN, 1234567890123456789012]")


def test_changed_columns_become_nested_fields() -> None:
    fields = row_changes_to_fields(
        CUSTOMER,
        {"email": "a@b.c", "parent_id": None, "bill_addr_city": "X", "bill_addr_line1": None},
    )
    assert fields == {
        "PrimaryEmailAddr": {"Address": "a@b.c"},
        "ParentRef": {"value": None},
        "BillAddr": {"City": "X", "Line1": None},
    }


def test_raw_and_custom_fields_are_no_fields_of_their_own() -> None:
    assert row_changes_to_fields(INVOICE, {"raw": {}, "custom_field_1": "x", "deposit": 1}) == {
        "Deposit": 1
    }
    with pytest.raises(KeyError):
        row_changes_to_fields(INVOICE, {"no_such_column": 1})


def test_a_child_row_becomes_an_element() -> None:
    row = {
        "invoice_id": "1",
        "id": "3",
        "position": 1,
        "amount": Decimal("5.0"),
        "description": None,
        "sales_item_line_detail_item_id": "9",
        "sales_item_line_detail_qty": 2,
    }
    element = {
        "Id": "3",
        "Amount": Decimal("5.0"),
        "SalesItemLineDetail": {"ItemRef": {"value": "9"}, "Qty": 2},
    }
    assert child_row_to_fields(LINES, row) == element
    for made_up in ("new:0f", "pos:3", None):
        assert "Id" not in child_row_to_fields(LINES, row | {"id": made_up})


def test_custom_fields_are_merged_into_the_list() -> None:
    base = [{"DefinitionId": "1", "Name": "Crew", "StringValue": "12"}, {"DefinitionId": "7"}]
    merged = merge_custom_fields(
        base, INVOICE, {"custom_field_1": None, "custom_field_2": "b", "custom_field_3": None}
    )
    assert merged == [
        {"DefinitionId": "1", "Name": "Crew", "StringValue": None},
        {"DefinitionId": "7"},
        {"DefinitionId": "2", "StringValue": "b"},
    ]
    assert base[0]["StringValue"] == "12"
    assert merge_custom_fields(None, INVOICE, {}) == []


def test_parts_of_a_bundle_name_their_bundle_and_their_item_apart() -> None:
    (child,) = ITEM.children
    raw = b'{"Id":"1","ItemGroupDetail":{"ItemGroupLine":[{"ItemRef":{"value":"5"},"Qty":2}]}}'
    (row,) = child_rows(ITEM, child, raw)
    assert row == {
        "parent_item_id": "1",
        "position": 1,
        "item_id": "5",
        "item_name": None,
        "qty": Decimal(2),
    }


def test_the_null_id_is_no_id() -> None:
    bill = XERO.by_table["invoice"]
    raw = (
        f'{{"InvoiceID":"a","RepeatingInvoiceID":"{NO_ID}","Reference":"{NO_ID}",'
        f'"Contact":{{"ContactID":"c","Name":"Acme"}},'
        f'"LineItems":[{{"LineItemID":"{NO_ID}","AccountID":"{NO_ID}"}}]}}'
    ).encode()
    row = record_row(bill, raw)
    assert (row["repeating_invoice_id"], row["reference"]) == (None, NO_ID)
    assert (row["contact_id"], row["contact_name"]) == ("c", "Acme")
    (line,) = child_rows(bill, bill.child_by_table["invoice_line_item"], raw)
    assert (line["id"], line["account_id"]) == ("pos:1", None)
    with pytest.raises(ProviderFault):
        record_row(bill, f'{{"InvoiceID":"{NO_ID}"}}'.encode())
    assert record_row(CUSTOMER, f'{{"Id":"{NO_ID}"}}'.encode())["id"] == NO_ID


def test_a_key_with_a_name_of_its_own_is_written_by_that_name() -> None:
    currency = XERO.by_table["currency"]
    row = record_row(currency, b'{"Code":"EUR","Description":"Euro"}')
    assert (row["id"], row["code"]) == ("EUR", "EUR")
    assert row_changes_to_fields(currency, {"code": "EUR"}) == {"Code": "EUR"}


def test_lists_that_are_made_of_other_objects_name_them() -> None:
    group = XERO.by_table["contact_group"]
    (child,) = group.children
    raw = b'{"ContactGroupID":"g","Contacts":[{"ContactID":"c","Name":"Acme"}]}'
    (row,) = child_rows(group, child, raw)
    assert row == {"contact_group_id": "g", "position": 1, "contact_id": "c", "name": "Acme"}
    assert child_row_to_fields(child, {"contact_id": "d", "position": 2}) == {"ContactID": "d"}
