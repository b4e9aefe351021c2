"""Every fault of a catalog is reported, with its file and its field."""

from __future__ import annotations

from pathlib import Path

import pytest

from schema.loader import load_catalog, load_catalog_from
from schema.model import ColumnType, DeleteMeans, Writable
from sqlsync.errors import CatalogError

PROVIDER = 'title = "Acme Books"\nelsewhere = ["term"]\n'
BILL = """\
table = "bill"
api_name = "Bill"
resource = "bill"
title = "Bill"
kind = "transaction"
comment = "Bills."
rank = 10
operations = ["create", "read"]
delete_means = "delete"
change_feed = "cdc"
fields = [
  { column = "id", path = "Id", type = "text", writable = "never", comment = "Key" },
  { column = "term_id", path = "TermRef.value", type = "text", references = "term", comment = "T" },
  { column = "memo", path = "Memo", type = "text", max_length = 10, comment = "Memo" },
  { column = "line", path = "Line", type = "jsonb", comment = "Rows" },
]

[[custom_field]]
column = "custom_field_1"
path = "CustomField"
match = { DefinitionId = "1" }
value = "StringValue"
comment = "One"

[[child]]
table = "bill_line"
path = "Line"
key = "Id"
comment = "Rows"
fields = [{ column = "amount", path = "Amount", type = "numeric", comment = "Amount" }]

[extra]
deep_link = "bill?txnId={id}"
"""


def catalog(tmp_path: Path, bill: str = BILL, provider: str = PROVIDER) -> Path:
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "_provider.toml").write_text(provider, "utf-8")
    (folder / "bill.toml").write_text(bill, "utf-8")
    return folder


def test_a_folder_of_ones_own_is_loaded(tmp_path: Path) -> None:
    loaded = load_catalog_from(catalog(tmp_path))
    assert (loaded.provider, loaded.title) == ("acme", "Acme Books")
    (bill,) = loaded.objects
    assert bill.by_column["id"].writable is Writable.NEVER
    assert bill.by_column["memo"].max_length == 10
    assert bill.by_column["line"].type is ColumnType.JSONB
    assert bill.by_column["term_id"].path == ("TermRef", "value")
    assert bill.delete_means is DeleteMeans.DELETE
    assert bill.version_column is None
    assert bill.custom_fields[0].match == ("DefinitionId", "1")
    line = bill.child_by_table["bill_line"]
    assert (line.parent_column, line.list_column, line.key) == ("bill_id", "line", "Id")
    assert line.key_columns == ("bill_id", "id")


def test_the_catalog_that_comes_with_sqlsync_is_whole_and_in_backfill_order() -> None:
    loaded = load_catalog("quickbooks")
    wanted = [
        *("company_info", "company_currency", "tax_rate", "tax_code", "term"),
        *("item", "customer", "vendor", "employee", "estimate", "invoice", "credit_memo"),
        *("payment", "purchase_order", "bill_payment", "deposit", "recurring_transaction"),
    ]
    assert [o.table for o in loaded.objects if o.table in wanted] == wanted
    assert load_catalog("quickbooks") is loaded
    without_version = {"entitlements", "tax_classification"}  # nor times: QuickBooks gives none
    for spec in loaded.objects:
        assert spec.fields[0].column == "id"
        tail = ["sync_token", "created_at", "updated_at"]
        has_version = [f.column for f in spec.fields[-3:]] == tail
        assert has_version is (spec.table not in without_version)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('resource = "bill"\n', "", "bill.toml: resource: is missing"),
        ("rank = 10", 'rank = "ten"', "bill.toml: rank: must be a whole number, not 'ten'"),
        ("rank = 10", "rank = 0", "rank: must be at least 1, not 0"),
        ("rank = 10", "rank = true", "rank: must be a whole number, not True"),
        ("rank = 10", "rank = 10\ncolour = 1", "bill.toml: colour: the key is unknown"),
        ('title = "Bill"', 'title = " "', "title: is empty"),
        ('kind = "transaction"', 'kind = "list"', "kind: 'list' is not one of transaction"),
        ('change_feed = "cdc"', 'change_feed = "x"', "change_feed: 'x' is not one of cdc"),
        ('"create", "read"', '"create", "fly"', "operations: 'fly' is unknown here"),
        ('"create", "read"', '"create", 1', "operations: must hold texts"),
        ('"create", "read"', '"read", "read"', "operations: holds a text twice"),
        ('means = "delete"', 'means = "shred"', "delete_means: 'shred' is not one of delete, void"),
        ('table = "bill"', 'table = "Bill"', "table: 'Bill' is not snake_case"),
        ('table = "bill"', 'table = "note"', "table: 'note' is not the file's name"),
        ('column = "memo"', 'column = "line"', "fields: 'line' is there twice"),
        ('path = "Memo"', 'path = "Line"', "fields (path): 'Line' is there twice"),
        ('path = "Memo"', 'path = "Line.Memo"', "fields[memo].path: lies inside another"),
        ('path = "Memo"', 'path = "Memo..X"', "fields[memo].path: 'Memo..X' is not member names"),
        ('column = "memo"', 'column = "raw"', "fields.raw: the name is reserved"),
        ('column = "memo"', 'column = "myMemo"', "column: 'myMemo' is not snake_case"),
        ('column = "memo"', f'column = "{"m" * 64}"', "is not snake_case of at most 63"),
        ('column = "id"', 'column = "key"', "fields: there is no column 'id'"),
        ("max_length = 10", "max_lenght = 10", "fields[memo].max_lenght: the key is unknown"),
        ("max_length = 10", 'max_length = "1"', "fields[memo].max_length: must be a whole number"),
        ("max_length = 10", "enum = []", "fields[memo].enum: is empty"),
        ("max_length = 10", "required = 1", "fields[memo].required: must be true or false"),
        ('"Memo", type = "text"', '"Memo", type = "money"', "[memo].type: 'money' is not one of"),
        ('writable = "never"', 'writable = "no"', "fields[id].writable: 'no' is not one of always"),
        ('references = "term"', 'references = "terms"', "there is no object 'terms'"),
        ("fields = [\n", "fields = [\n  3,\n", "fields: entry 1 must be a table, not 3"),
        ('path = "Line"\nkey', 'path = "Lines"\nkey', "[bill_line].path: 'Lines' is not the path"),
        ('column = "amount"', 'column = "position"', "fields[position]: the name is reserved"),
        ('table = "bill_line"', 'table = "bill"', "table 'bill' is also in acme/bill.toml"),
        ('{ DefinitionId = "1" }', "{}", "custom_field[1].match: is one member with its text"),
        ('"custom_field_1"', '"memo"', "custom_field: 'memo' is there twice"),
        ("deep_link", "deep_lynk", "bill.toml: extra.deep_lynk: the key is unknown"),
        ('"bill?txnId={id}"', "7", "extra.deep_link: must be text, not 7"),
        ("rank = 10", 'rank = 10\nnatural_keys = ["name"]', "natural_keys: 'name' is unknown here"),
        ("rank = 10", 'rank = 10\nduplicate_column = "x"', "duplicate_column: 'x' is not one of"),
        ("rank = 10", 'rank = 10\nupdate_requires = ["X"]', "update_requires: 'X' is unknown here"),
        ("rank = 10", "rank = ", "acme/bill.toml: not valid TOML"),
    ],
)
def test_a_fault_is_named_by_file_and_field(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert old in BILL
    with pytest.raises(CatalogError) as raised:
        load_catalog_from(catalog(tmp_path, BILL.replace(old, new, 1)))
    assert fault in str(raised.value)
    assert "acme/bill.toml" in str(raised.value)


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    broken = BILL.replace("rank = 10", "rank = 0").replace('"numeric"', '"money"')
    with pytest.raises(CatalogError) as raised:
        load_catalog_from(catalog(tmp_path, broken, 'titel = "Acme"\n'))
    faults = str(raised.value).splitlines()
    assert len(faults) == 4  # title, titel, rank, type


def test_what_is_not_a_catalog_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="there is no such folder"):
        load_catalog_from(tmp_path / "nowhere")
    with pytest.raises(CatalogError, match=r"_provider\.toml: the file is missing"):
        load_catalog_from(tmp_path)
    for name in ("../quickbooks", "nobody", ""):
        with pytest.raises(CatalogError, match="there is no catalog for provider"):
            load_catalog(name)


def test_what_tells_the_newer_and_what_means_none_come_with_the_catalog(tmp_path: Path) -> None:
    timed = BILL.replace(
        '  { column = "memo"',
        '  { column = "updated_at", path = "UpdatedDateUTC", type = "timestamptz",'
        ' writable = "never", comment = "When" },\n  { column = "number", path = "Id",'
        ' type = "text", comment = "The key by its own name" },\n  { column = "memo"',
    ).replace('delete_means = "delete"', 'delete_means = "archive"')
    (bill,) = load_catalog_from(catalog(tmp_path, timed, PROVIDER + 'null_id = "0-0"\n')).objects
    assert bill.version_column == "updated_at"
    assert bill.null_id == "0-0"
    assert bill.delete_means is DeleteMeans.ARCHIVE
    assert bill.by_column["number"].path == bill.by_column["id"].path == ("Id",)


def test_the_catalog_of_xero_is_whole() -> None:
    xero = load_catalog("xero")
    assert (xero.title, len(xero.objects)) == ("Xero", 33)
    assert next(iter(xero.objects)).table == "organisation"
    ranks = {spec.table: spec.rank for spec in xero.objects}
    assert ranks["contact"] < ranks["invoice"] < ranks["payment"]
    for spec in xero.objects:
        assert spec.fields[0].column == "id"
        assert spec.version_column == ("updated_at" if "updated_at" in spec.by_column else None)


def test_bytes_that_are_not_text_are_a_fault(tmp_path: Path) -> None:
    folder = catalog(tmp_path)
    (folder / "bill.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(CatalogError, match=r"acme/bill\.toml: not valid TOML"):
        load_catalog_from(folder)
