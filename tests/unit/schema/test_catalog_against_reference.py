"""The QuickBooks catalog holds every field of the reference, as the reference describes it.

The reference stands beside the project, not in it; without it these tests are skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schema.loader import load_catalog
from schema.model import ChildSpec, ColumnType, FieldSpec, ObjectSpec, Writable
from schema.naming import child_table_name, column_name, snake_case

REFERENCE = Path(__file__).parents[4] / "shared/reference/quickbooks/objects.yaml"
pytestmark = pytest.mark.skipif(
    not REFERENCE.exists(), reason=f"NOT CHECKED: the reference is not at {REFERENCE}"
)

CATALOG = load_catalog("quickbooks")
TYPES = {
    "string": ColumnType.TEXT,
    "enum": ColumnType.TEXT,
    "ref": ColumnType.TEXT,
    "decimal": ColumnType.NUMERIC,
    "integer": ColumnType.NUMERIC,
    "boolean": ColumnType.BOOLEAN,
    "date": ColumnType.DATE,
    "datetime": ColumnType.TIMESTAMPTZ,
    "array": ColumnType.JSONB,
    "object": ColumnType.JSONB,
}
by_table = pytest.mark.parametrize("spec", CATALOG.objects, ids=lambda s: s.table)

# Where the catalog knows better than the reference's field lists, and why.
CALLED = {"ExchangeRate": "Exchangerate"}  # query name and wrapper; the reference's own spelling
DAYS = {  # listed as datetime; the sample bodies hold a date alone
    ("Budget", "StartDate"),
    ("Budget", "EndDate"),
    ("Budget", "BudgetDetail[].BudgetDate"),
    ("CompanyInfo", "CompanyStartDate"),
    ("Entitlements", "CompanyStartDate"),
}
# Listed as read-only since before budgets could be created through the API.
NOT_READ_ONLY = {("Budget", "Name"), ("Budget", "BudgetType"), ("Budget", "BudgetEntryType")}
# Listed as text; the sample holds a reference.
REFERENCES = {("Preferences", "TaxPrefs.TaxGroupCodeRef"): "TaxCode"}
# Lists whose elements the reference does not describe, and those that are lists of plain texts.
UNDESCRIBED = {
    ("Preferences", "OtherPrefs.NameValue"): {"name", "value"},
    ("Preferences", "SalesFormsPrefs.CustomField"): {"custom_field"},  # nested once more
    ("Preferences", "VendorAndPurchasesPrefs.POCustomField"): {"custom_field"},
}
PLAIN_LISTS = {("TaxClassification", "ApplicableTo"), ("Entitlements", "Thresholds")}
LOWER_CASE = {"TaxClassification"}  # its members begin with small letters
WRAPPED = "(wrapped)"  # RecurringTransaction: the transaction itself, as one jsonb column


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="NOT CHECKED: PyYAML is not installed")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: dict[str, Any] = yaml.load(REFERENCE.read_text("utf-8"), Loader=loader)["objects"]
    return found | {ours: found[theirs] for ours, theirs in CALLED.items()}


def place(spec: ObjectSpec, name: str) -> tuple[ChildSpec | None, tuple[str, ...]] | None:
    """Where a reference name is kept: child (or None) and path; None inside a jsonb column."""
    if name == WRAPPED:
        return None, ("Transaction",)
    if spec.api_name in LOWER_CASE and name != "Id":
        name = name[0].lower() + name[1:]
    *lists, rest = name.split("[].")
    if not lists:
        return None, tuple(rest.removesuffix("[]").split("."))
    if len(lists) > 1 or lists[0] == "CustomField":
        return None  # a list inside a row, or custom fields: kept whole as jsonb
    (child,) = (c for c in spec.children if ".".join(c.path) == lists[0])
    return child, tuple(rest.removesuffix("[]").split("."))


def fields_for(spec: ObjectSpec, entry: dict[str, Any]) -> list[FieldSpec]:
    """The catalog's columns for an entry; of a reference the id, the name, and its type."""
    found = place(spec, entry["name"])
    if found is None:
        return []
    child, path = found
    if child is not None and path == (child.key,):
        return []  # the key column
    among = {f.path: f for f in (child.fields if child else spec.fields)}
    if is_reference(spec, entry):
        parts = ("value", "name", "type") if "|" in entry.get("ref_to", "") else ("value", "name")
        return [among[(*path, part)] for part in parts]
    return [among[path]]


# TaxService makes the record, and takes these of its members.
BY_SERVICE = {
    "TaxCode": {
        "Name",
        "SalesTaxRateList.TaxRateDetail[]",
        "PurchaseTaxRateList.TaxRateDetail[]",
    }
}


def is_reference(spec: ObjectSpec, entry: dict[str, Any]) -> bool:
    return entry["type"] == "ref" or (spec.api_name, entry["name"]) in REFERENCES


def writable_of(spec: ObjectSpec, entry: dict[str, Any], *, read_only: bool) -> Writable:
    """Nothing of an object that can't be changed; nothing of what makes its key."""
    name = entry["name"]
    if spec.api_name in BY_SERVICE:
        return Writable.CREATE if name in BY_SERVICE[spec.api_name] else Writable.NEVER
    if (spec.api_name, name) in NOT_READ_ONLY or name.startswith("BudgetDetail[]."):
        read_only = False
    if read_only or name in spec.extra.get("key", "").split():
        return Writable.NEVER
    if spec.can("update"):
        create_only = entry.get("write") == "create_only"
        return Writable.CREATE if create_only else Writable.ALWAYS
    return Writable.CREATE if spec.can("create") else Writable.NEVER


def kind_of(spec: ObjectSpec, entry: dict[str, Any]) -> ColumnType:
    if (spec.api_name, entry["name"]) in DAYS:
        return ColumnType.DATE
    return TYPES[entry["type"]]


def is_container(entry: dict[str, Any], entries: dict[str, Any]) -> bool:
    """An object whose members are columns of their own."""
    return entry["type"] == "object" and any(n.startswith(entry["name"] + ".") for n in entries)


def inherited(entry: dict[str, Any], entries: dict[str, Any], key: str) -> list[Any]:
    """The key's values of the entry and of the objects it lies in, up to the record or row."""
    parts = entry["name"].rpartition("[].")
    words = parts[2].split(".")
    names = [parts[0] + parts[1] + ".".join(words[:n]) for n in range(1, len(words) + 1)]
    return [entries[n].get(key) for n in names if n in entries]


@by_table
def test_every_field_of_the_reference_is_there(spec: ObjectSpec, reference: dict[str, Any]) -> None:
    entries = {e["name"]: e for e in reference[spec.api_name]["fields"]}
    columns = 0
    for entry in entries.values():
        if is_container(entry, entries):
            continue
        found = fields_for(spec, entry)
        columns += len(found)
        if not found:
            continue
        field = found[0]
        name = entry["name"]
        read_only = any(inherited(entry, entries, "read_only"))
        assert field.type is kind_of(spec, entry), name
        assert field.writable is writable_of(spec, entry, read_only=read_only), name
        assert field.max_length == entry.get("max_length"), name
        assert list(field.enum) == entry.get("enum", []), name
        required = all(r is True for r in inherited(entry, entries, "required_on_create"))
        by_service = (spec.api_name, name) == ("TaxCode", "Name")
        assert field.required is (required or by_service), name
        assert field.filterable is bool(entry.get("filterable")), name
        target = entry.get("ref_to", "").replace("(project)", "")
        target = REFERENCES.get((spec.api_name, name), target)
        if entry["name"] == "ParentRef":
            target = spec.api_name
        if "|" in target:  # its type says which, so no one table
            target = ""
        assert field.references == (snake_case(target) or None), name
        if len(found) > 1:
            assert found[1].type is ColumnType.TEXT
            assert found[1].writable is Writable.NEVER
    in_catalog = len(spec.fields) + sum(len(c.fields) for c in spec.children)
    made_up = 0 if "Id" in entries else 1  # the key
    undescribed = sum(len(names) for (api, _), names in UNDESCRIBED.items() if api == spec.api_name)
    assert columns + made_up + undescribed == in_catalog, "columns that the reference lacks"


@by_table
def test_every_name_follows_the_rule(spec: ObjectSpec, reference: dict[str, Any]) -> None:
    entries = {e["name"]: e for e in reference[spec.api_name]["fields"]}
    assert spec.table == snake_case(spec.api_name)
    for entry in entries.values():
        for field in [] if is_container(entry, entries) else fields_for(spec, entry):
            is_ref = is_reference(spec, entry)
            assert field.column == column_name(field.path, reference=is_ref), entry["name"]
    for child in spec.children:
        assert child.table == child_table_name(spec.table, child.path)


@by_table
def test_every_list_of_objects_is_a_table(spec: ObjectSpec, reference: dict[str, Any]) -> None:
    lists = {
        e["name"][:-2]
        for e in reference[spec.api_name]["fields"]
        if e["name"].endswith("[]") and "[]" not in e["name"][:-2] and e["name"] != "CustomField[]"
        if (spec.api_name, e["name"][:-2]) not in PLAIN_LISTS
    }
    assert {".".join(c.path) for c in spec.children} == lists
    names = {e["name"] for e in reference[spec.api_name]["fields"]}
    for child in spec.children:
        key = {f"{'.'.join(child.path)}[].{key}" for key in ("Id", "id")} & names
        assert child.key == (key.pop().rpartition(".")[2] if key else None)
        assert child.read_only or spec.can("update"), "rows that nobody can write"
    if "CustomField[]" in names:
        assert [c.column for c in spec.custom_fields] == [f"custom_field_{n}" for n in "123"]


@by_table
def test_the_object_can_do_what_the_reference_says(
    spec: ObjectSpec, reference: dict[str, Any]
) -> None:
    facts = reference[spec.api_name]
    can = set(facts["can"]) - {"cdc", "webhook"}
    if facts["deactivate_with_active_false"]:
        can.add("deactivate")
    if spec.api_name in BY_SERVICE:
        can.add("create")
    assert spec.operations == can
    if spec.api_name != "Entitlements":  # it has no address below the company's
        assert spec.resource == facts["resource"]
        assert spec.api_name == (facts["query_name"] or spec.api_name)
    assert spec.kind == facts["class"].replace("-", "_")
    by_query = "query" if "query" in facts["can"] else "none"
    assert spec.change_feed == ("cdc" if "cdc" in facts["can"] else by_query)
    assert spec.webhook == (spec.api_name if "webhook" in facts["can"] else None)


def test_every_entity_of_the_reference_has_a_table(reference: dict[str, Any]) -> None:
    entities = {name for name, facts in reference.items() if facts["kind"] == "entity"}
    assert {spec.api_name for spec in CATALOG.objects} == entities - set(CALLED.values())
    assert len(CATALOG.objects) == 41
