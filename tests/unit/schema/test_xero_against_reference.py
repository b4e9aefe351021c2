"""The Xero catalog holds every field of the reference, as the reference describes it.

What it leaves out, or says otherwise, stands in the tables below with its reason. The
reference stands beside the project, not in it; without it these tests are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schema.loader import load_catalog
from schema.model import ChildSpec, ColumnType, DeleteMeans, FieldSpec, ObjectSpec, Writable
from schema.naming import child_table_name, column_name, table_name
from schema.rows import child_rows, record_row
from schema.values import decode, member

REFERENCE = Path(__file__).parents[4] / "shared/reference/xero/objects.yaml"
pytestmark = pytest.mark.skipif(
    not REFERENCE.exists(), reason=f"NOT CHECKED: the reference is not at {REFERENCE}"
)

CATALOG = load_catalog("xero")
encode = msgspec.json.Encoder(decimal_format="number").encode
by_table = pytest.mark.parametrize("spec", CATALOG.objects, ids=lambda s: s.table)
TYPES = {
    "string": ColumnType.TEXT,
    "enum": ColumnType.TEXT,
    "uuid": ColumnType.TEXT,
    "decimal": ColumnType.NUMERIC,
    "integer": ColumnType.NUMERIC,
    "boolean": ColumnType.BOOLEAN,
    "date": ColumnType.DATE,
    "datetime": ColumnType.TIMESTAMPTZ,
    "array": ColumnType.JSONB,
}

# Of another object that is nested in a record, the members that have columns; `raw` has all.
COPIES = {
    "Contact": ("ContactID", "Name"),
    "Account": ("AccountID", "Code", "Name"),
    "Invoice": ("InvoiceID", "InvoiceNumber", "Type"),
    "CreditNote": ("CreditNoteID", "CreditNoteNumber", "Type"),
    "Prepayment": ("PrepaymentID", "Type"),
    "Overpayment": ("OverpaymentID", "Type"),
    "BrandingTheme": ("BrandingThemeID", "Name"),
    "User": ("UserID", "EmailAddress", "FirstName", "LastName"),
    "LineItemItem": ("ItemID", "Name"),  # its Code is the line's ItemCode
}

# Rows that are other objects, or copies of them: their key is a column, and so are these.
ROWS = {
    "Payment": (
        *("Date", "Amount", "BankAmount", "CurrencyRate", "Reference", "Status", "PaymentType"),
        *("IsReconciled", "HasAccount", "BatchPaymentID"),
    ),
    "Prepayment": (
        *("Type", "Date", "Status", "Total", "AppliedAmount", "CurrencyRate", "RemainingCredit"),
    ),
    "Overpayment": (
        *("Type", "Date", "Status", "Total", "AppliedAmount", "CurrencyRate", "RemainingCredit"),
    ),
    "CreditNote": (
        *("CreditNoteNumber", "Type", "Date", "Status", "Total", "AppliedAmount"),
        *("CurrencyRate", "RemainingCredit"),
    ),
    "Attachment": ("FileName", "Url", "MimeType", "ContentLength", "IncludeOnline"),
    "ContactGroup": ("Name", "Status"),
    "Contact": ("Name",),
    "Receipt": ("ReceiptNumber", "Date", "Reference", "Status", "SubTotal", "TotalTax", "Total"),
    "TrackingCategory": ("TrackingOptionID", "Name", "Option", "Status"),
    "TrackingOption": ("Name", "Status"),
}
BATCH_ROWS = (
    *("Amount", "BankAmount", "CurrencyRate", "BankAccountNumber", "Reference", "Particulars"),
    *("Code", "Details", "Status", "Invoice"),
)

LEFT_OUT = {
    ("Payment", "InvoiceNumber"): "names the document, as invoice_id does",
    ("Payment", "CreditNoteNumber"): "names the document, as credit_note_id does",
    ("Payment", "Code"): "the account's code, as account_code",
    ("Payment", "BatchPayment"): "its id is BatchPaymentID",
    ("BatchPayment", "Amount"): "belongs to the batch's payments",
    ("Contact", "TrackingCategoryName"): "belongs to SalesTrackingCategories and its like",
    ("Contact", "TrackingCategoryOption"): "belongs to SalesTrackingCategories and its like",
    ("RepeatingInvoice", "ID"): "the same as RepeatingInvoiceID",
    ("TrackingCategory", "TrackingOptionID"): "only in copies on lines",
    ("TrackingCategory", "Option"): "only in copies on lines",
    ("Allocation", "Overpayment"): "the record the allocation is in",
    ("Allocation", "Prepayment"): "the record the allocation is in",
    ("Allocation", "CreditNote"): "the record the allocation is in",
}

# What the reference does not call read-only, and yet cannot be changed later (or at all).
CREATE_ONLY = {
    ("Account", "BankAccountType"): "cannot be updated",
    ("TaxRate", "Name"): "updates find the rate by it",
    **{
        (name, "CurrencyCode"): "set at creation"
        for name in (
            *("Invoice", "CreditNote", "BankTransaction", "PurchaseOrder", "Quote"),
            "RepeatingInvoice",
        )
    },
}
WRITABLE = {
    ("TrackingOption", "TrackingCategoryID"): Writable.CREATE,  # part of the call's path
    ("TaxRate", "TaxType"): Writable.NEVER,  # assigned
    ("Payment", "Account.Code"): Writable.CREATE,  # another way to name the account
}
REQUIRED = {("TrackingOption", "TrackingCategoryID")}

# Members the adapter adds, for the records do not say where they belong.
ADDED = {
    "HistoryRecord": {"HistoryRecordID", "ParentEndpoint", "ParentID"},
    "Attachment": {"ParentEndpoint", "ParentID"},
    "InvoiceReminder": {"InvoiceReminderID"},
}
# The key that users know by a name of its own has a second column.
KEY_COLUMNS = {"Currency": "code", "TaxRate": "tax_type"}


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="NOT CHECKED: PyYAML is not installed")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: dict[str, Any] = yaml.load(REFERENCE.read_text("utf-8"), Loader=loader)
    return found


@dataclass(frozen=True)
class Expected:
    """A column as the reference would have it."""

    path: tuple[str, ...]
    entry: dict[str, Any]
    writable: Writable
    required: bool
    references: str | None = None  # of a nested object's key


def members(reference: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = reference["objects"].get(name) or reference["types"][name]
    return list(found["fields"])


def columns(
    reference: dict[str, Any],
    owner: str,
    entries: list[dict[str, Any]],
    base: Writable,
    prefix: tuple[str, ...] = (),
    required: bool = True,
) -> Iterator[Expected]:
    """The columns of a record or a row; objects give those of their members."""
    for entry in entries:
        name = entry["name"]
        if entry.get("transient") or (owner, name) in LEFT_OUT:
            continue
        if entry["type"] == "datetime_string":
            continue  # says again what the member without "String" says
        writable = Writable.NEVER if entry.get("read_only") else base
        if writable is Writable.ALWAYS and (owner, name) in CREATE_ONLY:
            writable = Writable.CREATE
        needed = required and entry.get("required_on_create") is True
        path = (*prefix, name)
        if entry["type"] != "object":
            yield Expected(path, entry, writable, needed)
            continue
        among = {m["name"]: m for m in members(reference, entry["ref"])}
        if entry["ref"] not in COPIES:
            yield from columns(
                reference, entry["ref"], list(among.values()), writable, path, needed
            )
            continue
        for number, inner in enumerate(COPIES[entry["ref"]]):
            if number == 0:
                target = "item" if entry["ref"] == "LineItemItem" else table_name(entry["ref"])
                yield Expected((*path, inner), among[inner], writable, needed, target)
            else:
                wanted = WRITABLE.get((owner, f"{name}.{inner}"), Writable.NEVER)
                yield Expected((*path, inner), among[inner], wanted, False)


def base_writable(spec: ObjectSpec, can: dict[str, Any]) -> Writable:
    """What a field may be at most: an object that takes no update has none to change."""
    if can["update"]:
        return Writable.ALWAYS
    return Writable.CREATE if spec.can("create") else Writable.NEVER


def check(
    reference: dict[str, Any], owner: str, expected: Expected, field: FieldSpec, *, enums: bool
) -> None:
    entry, where = expected.entry, f"{owner}.{'.'.join(expected.path)}"
    assert field.type is TYPES[entry["type"]], where
    writable = WRITABLE.get((owner, ".".join(expected.path)), expected.writable)
    assert field.writable is writable, where
    required = (owner, entry["name"]) in REQUIRED or expected.required
    assert field.required is (required and writable is not Writable.NEVER), where
    if len(expected.path) == 1 or enums:
        assert field.max_length == entry.get("max_length"), where
        named = entry.get("enum")
        values = entry.get("values") or (reference["enums"][named] if named else [])
        if named == "CurrencyCode":
            assert field.references == "currency", where  # the organisation's own list decides
        else:
            assert list(field.enum) == values, where
    if expected.references:
        assert field.references == expected.references, where
    assert field.column == column_name(expected.path, api_name=owner), where


@by_table
def test_every_field_of_the_reference_is_there(spec: ObjectSpec, reference: dict[str, Any]) -> None:
    facts = reference["objects"][spec.api_name]
    base = base_writable(spec, facts["can"])
    left = {f.path: f for f in spec.fields if f.column not in ("id", KEY_COLUMNS.get(spec.table))}
    for expected in columns(reference, spec.api_name, facts["fields"], base):
        if expected.path == (facts["id_field"],):
            assert spec.by_column["id"].path == expected.path
            assert spec.by_column["id"].writable is Writable.NEVER
            left.pop(expected.path, None)
            continue
        nested_type = len(expected.path) == 1 or expected.path[0] in (
            *("PaymentTerms", "BatchPayments", "PurchaseDetails", "SalesDetails", "Schedule"),
            "ExternalLink",
        )
        check(reference, spec.api_name, expected, left.pop(expected.path), enums=nested_type)
    assert {".".join(path) for path in left} <= ADDED.get(spec.api_name, set())


@by_table
def test_every_list_of_objects_is_a_table(spec: ObjectSpec, reference: dict[str, Any]) -> None:
    lists = {
        e["name"]: e
        for e in reference["objects"][spec.api_name]["fields"]
        if e["type"] == "array" and not e.get("transient")
    }
    assert {child.path[0] for child in spec.children} == set(lists)
    base = base_writable(spec, reference["objects"][spec.api_name]["can"])
    for child in spec.children:
        assert child.table == child_table_name(spec.table, child.path)
        check_rows(reference, spec, child, lists[child.path[0]], base)


def check_rows(
    reference: dict[str, Any],
    spec: ObjectSpec,
    child: ChildSpec,
    entry: dict[str, Any],
    base: Writable,
) -> None:
    kind = entry["of"]
    left = {f.path: f for f in child.fields}
    among = {m["name"]: m for m in members(reference, kind)}
    if kind in ROWS:  # the rows are objects: their key is a reference, and the list has no own
        assert child.key is None
        key = left.pop((f"{kind}ID",))
        assert key.references == table_name(kind)
        wanted = BATCH_ROWS if spec.table == "batch_payment" else ROWS[kind]
        found = {path[0] for path in left}
        assert found == set(wanted)
        assert child.read_only is (entry.get("read_only", False) or kind == "Attachment")
        if not child.read_only:
            assert any(f.writable is not Writable.NEVER and f.required for f in child.fields)
        for path, field in left.items():
            assert len(path) > 1 or field.type is TYPES[among[path[0]]["type"]]
        return
    own_key = next((name for name in (f"{kind}ID",) if name in among), None)
    assert child.key == own_key
    allocations = kind == "Allocation"
    assert child.read_only is (entry.get("read_only", False) and not allocations)
    writable = Writable.CREATE if allocations else base
    if child.read_only:
        writable = Writable.NEVER
    for expected in columns(reference, kind, list(among.values()), writable):
        if expected.path == (own_key,):
            continue
        if expected.path == (f"{spec.api_name}ID",):
            continue  # the parent's own id
        enums = len(expected.path) == 1
        check(reference, kind, expected, left.pop(expected.path), enums=enums)
    assert left == {}


@by_table
def test_the_object_can_do_what_the_reference_says(
    spec: ObjectSpec, reference: dict[str, Any]
) -> None:
    facts = reference["objects"][spec.api_name]
    can, extra = facts["can"], spec.extra
    assert spec.table == table_name(spec.api_name)
    if not facts.get("parents"):
        assert spec.resource == facts["endpoint"].strip("/")
    assert extra["collection"] == facts["collection_key"]
    creates = can["create"] and "/" in str(can["create"]) and spec.table != "attachment"
    assert spec.can("create") is bool(creates)
    assert spec.can("create") is ("create" in extra)
    if creates:
        assert extra["create"].startswith("PUT "), "POST without an id edits what it finds"
    by_lists = spec.table in ("overpayment", "prepayment")  # their allocations come and go
    updates = bool(can["update"]) and spec.table != "attachment"
    assert spec.can("update") is (updates or by_lists)
    assert updates is ("update" in extra)
    assert (spec.webhook or "") == (can["webhook"]["category"].split()[0] if can["webhook"] else "")
    assert ("get" in extra) is not can["get"]
    assert spec.can("pdf") is bool(can.get("pdf"))
    flags = {
        "unitdp": "unitdp",
        "summarize_errors": "summarize_errors",
        "idempotency_key": "idempotency_key",
        "attachments": "files",
        "history": "history",
    }
    for flag, key in flags.items():
        assert (key in extra) is bool(can.get(flag)), flag
    scope = facts["granular_scope"].split()[0]
    if scope != "scope":  # "scope of the parent"
        assert extra["scope"].split()[0].removesuffix(".read") in (
            scope,
            scope.removesuffix(".read"),
        )


@by_table
def test_delete_means_what_the_reference_says(spec: ObjectSpec, reference: dict[str, Any]) -> None:
    delete = reference["objects"][spec.api_name]["can"]["delete"]
    extra = spec.extra
    if not delete:
        assert spec.delete_means is DeleteMeans.NONE
        assert "delete" not in extra
        return
    if delete["how"] == "http_delete":
        assert spec.delete_means is DeleteMeans.DELETE
        assert extra["delete"].startswith("DELETE ")
        assert "delete_status" not in extra
        return
    assert extra["delete"].startswith("POST ")
    assert extra["status_member"] == delete.get("field", "Status")
    becomes = dict(pair.split("=") for pair in extra["delete_status"].split())
    if "from_to" in delete:
        assert becomes == delete["from_to"]
    else:
        assert set(becomes.values()) == {delete["to"]}
    means = {"contact": DeleteMeans.ARCHIVE, "contact_group": DeleteMeans.DELETE}
    assert spec.delete_means is means.get(spec.table, DeleteMeans.STATUS)
    if spec.delete_means is DeleteMeans.STATUS:
        assert spec.can("void")


@by_table
def test_lists_and_changes_are_read_as_the_reference_says(
    spec: ObjectSpec, reference: dict[str, Any]
) -> None:
    facts = reference["objects"][spec.api_name]
    can, extra, paging = facts["can"], spec.extra, facts["can"]["paging"]
    if paging == "none":
        assert "paging" not in extra
    elif paging["mode"] == "offset":
        assert (extra["paging"], extra["page_size"]) == ("offset", str(paging["max_size"]))
    else:
        size = str(paging.get("fixed_size") or f"1-{paging['max_size']}")
        assert (extra["paging"], extra["page_size"]) == ("page", size)
    assert (spec.change_feed == "modified_since") is can["modified_since"]
    if can["modified_since"]:
        member = extra["modified_by"]
        assert (member,) in {f.path for f in spec.fields}
        assert (member == "UpdatedDateUTC") is ("updated_at" in spec.by_column)
    flag = str(can["include_archived"]).split()[0]
    assert extra.get("include", "False") == flag
    if "order" in extra:
        assert can["order"] is True
        assert (extra["order"],) == spec.by_column["id"].path
    lacks = facts.get("summary_only_drops")
    assert extra.get("summary_lacks", "").split() == (lacks or [])
    swept = {str(name).split()[0] for name in reference["meta"]["full_sweep_needed"]}
    swept = swept - {"Organisation"} | {"TrackingOptions"}  # one row; options go unseen too
    endpoint = facts["endpoint"].strip("/")
    name = "TrackingOptions" if spec.table == "tracking_option" else endpoint
    assert ("sweep" in extra) is (name in swept)


def test_all_objects_and_reports_are_there(reference: dict[str, Any]) -> None:
    assert {spec.api_name for spec in CATALOG.objects} == set(reference["objects"])
    assert len(CATALOG.objects) == 33
    assert set(CATALOG.by_report) == set(reference["reports"])


SAMPLES = REFERENCE.parent / "samples"
# Members of answers that are no facts of the record, or say again what another member says.
SAID_OTHERWISE = {
    *("HasErrors", "HasValidationErrors", "StatusAttributeString", "ValidationErrors", "Warnings"),
    *("DateString", "DueDateString", "UpdatedDateUTCString"),
}


@pytest.mark.parametrize(
    ("sample", "table"),
    [
        ("accounts_list", "account"),
        ("contact_single", "contact"),
        ("contacts_list_page", "contact"),
        ("invoice_single", "invoice"),
        ("invoices_list_page", "invoice"),
        ("invoices_list_summary_only", "invoice"),
        ("invoices_list_unpaged", "invoice"),
        ("organisation", "organisation"),
        ("tax_rates_list", "tax_rate"),
    ],
)
def test_every_member_of_a_sample_has_its_column(sample: str, table: str) -> None:
    spec = CATALOG.by_table[table]
    answer = decode((SAMPLES / f"{sample}.json").read_bytes())
    known = {f.path[0] for f in spec.fields} | SAID_OTHERWISE
    records = answer[spec.extra["collection"]]
    assert records
    for record in records:
        assert set(record) <= known
        row = record_row(spec, encode(record))
        assert row["id"] == record[spec.by_column["id"].path[0]]
        for field in spec.fields:
            held = member(record, field.path)
            assert (row[field.column] is None) is (held is None), field.column
            if field.type is ColumnType.NUMERIC and held is not None:
                assert str(row[field.column]) == str(held)
        for child in spec.children:
            rows = child_rows(spec, child, encode(record))
            assert len(rows) == len(record.get(child.path[0]) or [])
