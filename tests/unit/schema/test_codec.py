"""COPY text holds what `schema.rows` says, for any record."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.codec import copy_encoder, copy_statement
from schema.loader import load_catalog
from schema.model import ColumnType, ObjectSpec
from schema.rows import child_rows, record_row
from schema.values import column_value, decode
from sqlsync.errors import ProviderFault

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/nasty.py
from nasty import records

CATALOG = load_catalog("quickbooks")
XERO = load_catalog("xero")
INVOICE = CATALOG.by_table["invoice"]
_UNESCAPED = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}


def unescaped(cell: str) -> str | None:
    """One cell of COPY text; None is NULL."""
    if cell == "\\N":
        return None
    out, index = "", 0
    while index < len(cell):
        if cell[index] == "\\":
            out += _UNESCAPED[cell[index : index + 2]]
            index += 2
        else:
            out += cell[index]
            index += 1
    return out


def read_back(blob: bytes, columns: tuple[str, ...], kinds: dict[str, ColumnType]) -> list[Any]:
    """The rows of a blob, typed as `schema.rows` types them."""
    rows = []
    for line in blob.decode().split("\n")[:-1]:
        cells = line.split("\t")
        assert len(cells) == len(columns)
        row: dict[str, Any] = {}
        for column, cell in zip(columns, cells, strict=True):
            text = unescaped(cell)
            kind = kinds.get(column, ColumnType.TEXT)
            if text is None:
                row[column] = None
            elif column == "position":
                row[column] = int(text)
            elif kind is ColumnType.JSONB:
                row[column] = decode(text.encode())
            elif kind is ColumnType.NUMERIC:
                row[column] = Decimal(text)
            elif kind is ColumnType.BOOLEAN:
                row[column] = column_value(kind, text.lower())
            else:
                row[column] = text
        rows.append(row)
    return rows


def expected_rows(
    spec: ObjectSpec, items: list[bytes]
) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Rows by id, child rows by table and parent, and how many items are no record."""
    rows: dict[str, Any] = {}
    below: dict[str, Any] = {child.table: {} for child in spec.children}
    rejected = 0
    for item in items:
        try:
            row = record_row(spec, item)
        except ProviderFault:
            rejected += 1
            continue
        rows[row["id"]] = row
        for child in spec.children:
            below[child.table][row["id"]] = child_rows(spec, child, item)
    return rows, below, rejected


@pytest.mark.parametrize(
    "spec", [*CATALOG.objects, *XERO.objects], ids=lambda s: f"{s.provider}.{s.table}"
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_copy_text_and_rows_are_the_same(spec: ObjectSpec, data: st.DataObject) -> None:
    items = data.draw(st.lists(records(spec), max_size=4))
    rows, below, rejected = expected_rows(spec, items)

    encoder = copy_encoder(spec)
    page = encoder.rows(items)

    kinds = {f.column: f.type for f in spec.fields} | {"raw": ColumnType.JSONB}
    assert page.ids == tuple(rows)
    assert len(page.rejected) == rejected
    by_id, no_records = encoder.by_id(items)
    assert (tuple(by_id), len(no_records)) == (tuple(rows), rejected)
    assert read_back(page.blob, encoder.columns, kinds) == list(rows.values())
    for child in spec.children:
        kinds = {f.column: f.type for f in child.fields}
        blob, columns = page.children[child.table], encoder.child_columns[child.table]
        expected = [row for of_one in below[child.table].values() for row in of_one]
        assert read_back(blob, columns, kinds) == expected


def one_line(item: bytes) -> dict[str, str]:
    encoder = copy_encoder(INVOICE)
    (line,) = encoder.rows([item]).blob.decode().splitlines()
    return dict(zip(encoder.columns, line.split("\t"), strict=True))


def test_numbers_keep_their_own_text() -> None:
    for number in ("10061.0", "0.10", "1e5", "-12.3400", "123456789012345678901234567890.5"):
        cells = one_line(b'{"Id":"1","TotalAmt":%b}' % number.encode())
        assert cells["total_amt"] == number


def test_null_and_missing_are_null() -> None:
    cells = one_line(
        b'{"Id":"1","DocNumber":null,"TotalAmt":null,"Line":null,"BillAddr":null,"TxnDate":null}'
    )
    given = {k: v for k, v in cells.items() if v != "\\N"}
    assert set(given) == {"id", "raw"}


def test_text_is_escaped_for_copy() -> None:
    cells = one_line(rb'{"Id":"1","PrivateNote":"a\tb\nc\\d\r\"","DocNumber":"\\N"}')
    assert cells["private_note"] == r"a\tb\nc\\d\r" + '"'
    assert cells["doc_number"] == r"\\N"


def test_a_field_of_a_wrong_kind_costs_only_its_column() -> None:
    cells = one_line(
        b'{"Id":7,"DocNumber":{"a":1},"TotalAmt":"12.50","Balance":[],"TxnDate":"soon",'
        b'"DueDate":"2026-02-20","Line":{"x":1}}'
    )
    assert cells["id"] == "7"
    assert cells["doc_number"] == cells["balance"] == cells["txn_date"] == "\\N"
    assert cells["total_amt"] == "12.50"
    assert cells["due_date"] == "2026-02-20"
    assert cells["line"] == '{"x":1}'


def test_what_is_no_record_does_not_cost_the_page() -> None:
    items = [b'{"Id":"1"}', b"{", b'{"Id":""}', b"null", b"[" * 5000, b'{"Id":"2"}']
    page = copy_encoder(INVOICE).rows(items)
    assert page.ids == ("1", "2")
    assert [index for index, _ in page.rejected] == [1, 2, 3, 4]
    assert all(reason for _, reason in page.rejected)


def test_of_one_record_twice_the_last_counts() -> None:
    page = copy_encoder(INVOICE).rows(
        [
            b'{"Id":"1","DocNumber":"old","Line":[{"Id":"1"},{"Id":"2"}]}',
            b'{"Id":"2"}',
            b'{"Id":"1","DocNumber":"new","Line":[{"Id":"1"}]}',
        ]
    )
    assert page.ids == ("1", "2")
    assert page.blob.count(b"new") == 2  # the column, and raw
    assert b"old" not in page.blob
    assert len(page.children["invoice_line"].splitlines()) == 1


def test_records_by_id_hold_the_last_of_each_and_what_is_none_apart() -> None:
    items = [
        b'{"Id":"1"}',
        b"null",
        b'{"Id":2}',
        b'{"Id":"1","DocNumber":"new"}',
        b'{"Id":"\\u0000"}',
    ]
    found, rejected = copy_encoder(INVOICE).by_id(items)
    assert found == {"1": items[3], "2": items[2], "\ufffd": items[4]}
    assert [item for item, _ in rejected] == [b"null"]
    assert all(reason for _, reason in rejected)


def test_child_tables_can_stay_out() -> None:
    page = copy_encoder(INVOICE).rows([b'{"Id":"1","Line":[{"Id":"1"}]}'], children=False)
    assert page.ids == ("1",)
    assert page.children == {}


def test_an_empty_page_is_empty() -> None:
    page = copy_encoder(INVOICE).rows([])
    assert page.ids == ()
    assert page.blob == b""
    assert not any(page.children.values())


def test_the_copy_statement_names_the_columns() -> None:
    statement = copy_statement('"quickbooks"."x"', ("id", "raw"))
    assert statement == (
        'copy "quickbooks"."x" ("id", "raw") from stdin with (format text, encoding \'UTF8\')'
    )


def test_a_record_of_xero_goes_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Escaped slashes and `/Date(…)/` are plain."""
    encoder = copy_encoder(XERO.by_table["invoice"])
    item = (
        rb'{"InvoiceID":"a","Date":"\/Date(1791244800000+0000)\/","Total":779.70,"CurrencyRate":'
        rb'1.0000000000,"UpdatedDateUTC":"\/Date(1792466047513+0000)\/","Contact":{"ContactID":"c"},'
        rb'"LineItems":[{"LineItemID":"l","Quantity":24.0000,"Tracking":[]}],"AmountDue":"479.70"}'
    )
    plain = item.replace(b'"479.70"', b"479.70")

    def never(*_: object) -> None:
        raise AssertionError("the careful way")

    with monkeypatch.context() as patch:
        patch.setattr(encoder, "_careful", never)
        page = encoder.rows([plain])
        with pytest.raises(AssertionError):
            encoder.rows([item])  # a number as text: accepted, with more care
    cells = dict(zip(encoder.columns, page.blob.decode().split("\t"), strict=True))
    assert cells["date"] == "2026-10-06"
    assert cells["updated_at"] == "2026-10-20T03:14:07.513+00:00"
    assert (cells["total"], cells["currency_rate"]) == ("779.70", "1.0000000000")
    assert (cells["id"], cells["contact_id"], cells["due_date"]) == ("a", "c", "\\N")
    assert b"\tl\t1\t" in page.children["invoice_line_item"]
    assert page.blob.count(b"\\/") == 0
    careful = encoder.rows([item]).blob.decode().split("\t")
    assert careful[: len(careful) - 1] == [*page.blob.decode().split("\t")[:-1]]
