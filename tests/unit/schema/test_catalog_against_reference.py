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


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="NOT CHECKED: PyYAML is not installed")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: dict[str, Any] = yaml.load(REFERENCE.read_text("utf-8"), Loader=loader)["objects"]
    return found


def place(spec: ObjectSpec, name: str) -> tuple[ChildSpec | None, tuple[str, ...]] | None:
    """Where a reference name is kept: child (or None) and path; None inside a jsonb column."""
    *lists, rest = name.split("[].")
    if not lists:
        return None, tuple(rest.removesuffix("[]").split("."))
    if len(lists) > 1 or lists[0] == "CustomField":
        return None  # a list inside a row, or custom fields: kept whole as jsonb
    (child,) = (c for c in spec.children if ".".join(c.path) == lists[0])
    return child, tuple(rest.removesuffix("[]").split("."))


def fields_for(spec: ObjectSpec, entry: dict[str, Any]) -> list[FieldSpec]:
    """The catalog's columns for an entry; of a reference the id, then the name."""
    found = place(spec, entry["name"])
    if found is None:
        return []
    child, path = found
    if child is not None and path == (child.key,):
        return []  # the key column
    among = {f.path: f for f in (child.fields if child else spec.fields)}
    if entry["type"] == "ref":
        return [among[(*path, "value")], among[(*path, "name")]]
    return [among[path]]


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
        create_only = entry.get("write") == "create_only"
        writable = Writable.CREATE if create_only else Writable.ALWAYS
        assert field.type is TYPES[entry["type"]], name
        assert field.writable is (Writable.NEVER if read_only else writable), name
        assert field.max_length == entry.get("max_length"), name
        assert list(field.enum) == entry.get("enum", []), name
        required = all(r is True for r in inherited(entry, entries, "required_on_create"))
        assert field.required is required, name
        assert field.filterable is bool(entry.get("filterable")), name
        target = entry.get("ref_to", "").replace("(project)", "")
        if entry["name"] == "ParentRef":
            target = spec.api_name
        assert field.references == (snake_case(target) or None), name
        if len(found) == 2:
            assert found[1].type is ColumnType.TEXT
            assert found[1].writable is Writable.NEVER
    in_catalog = len(spec.fields) + sum(len(c.fields) for c in spec.children)
    assert columns == in_catalog, "the catalog has columns that the reference lacks"


@by_table
def test_every_name_follows_the_rule(spec: ObjectSpec, reference: dict[str, Any]) -> None:
    entries = {e["name"]: e for e in reference[spec.api_name]["fields"]}
    assert spec.table == snake_case(spec.api_name)
    for entry in entries.values():
        for field in [] if is_container(entry, entries) else fields_for(spec, entry):
            is_ref = entry["type"] == "ref"
            assert field.column == column_name(field.path, reference=is_ref), entry["name"]
    for child in spec.children:
        assert child.table == child_table_name(spec.table, child.path)


@by_table
def test_every_list_of_objects_is_a_table(spec: ObjectSpec, reference: dict[str, Any]) -> None:
    lists = {
        e["name"][:-2]
        for e in reference[spec.api_name]["fields"]
        if e["name"].endswith("[]") and "[]" not in e["name"][:-2] and e["name"] != "CustomField[]"
    }
    assert {".".join(c.path) for c in spec.children} == lists
    names = {e["name"] for e in reference[spec.api_name]["fields"]}
    for child in spec.children:
        assert (child.key == "Id") == (f"{'.'.join(child.path)}[].Id" in names)
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
    assert spec.operations == can
    assert spec.resource == facts["resource"]
    assert spec.kind == facts["class"].replace("-", "_")
    assert spec.change_feed == "cdc"
    assert spec.webhook == spec.api_name
