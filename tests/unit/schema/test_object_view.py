"""`_sync_object` says of all 75 names of the reference what is true of them.

The reference stands beside the project, not in it; without it these tests are skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schema.loader import load_catalog
from schema.object_view import COLUMNS, object_rows, object_view_ddl

REFERENCE = Path(__file__).parents[4] / "shared/reference/quickbooks/objects.yaml"
CATALOG = load_catalog("quickbooks")
ROWS = {str(row["name"]): row for row in object_rows(CATALOG)}
CALLED = {"Exchangerate": "ExchangeRate"}  # by its query name, which is also its wrapper

without_reference = pytest.mark.skipif(
    not REFERENCE.exists(), reason=f"NOT CHECKED: the reference is not at {REFERENCE}"
)


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="NOT CHECKED: PyYAML is not installed")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: dict[str, Any] = yaml.load(REFERENCE.read_text("utf-8"), Loader=loader)["objects"]
    return {CALLED.get(name, name): facts for name, facts in found.items()}


@without_reference
def test_all_75_names_are_there_and_no_other(reference: dict[str, Any]) -> None:
    assert set(ROWS) == set(reference)
    assert len(ROWS) == 75
    assert len({row["table_name"] for row in ROWS.values()} - {None}) >= 41


@without_reference
def test_what_is_said_of_an_entity_is_what_the_reference_says(reference: dict[str, Any]) -> None:
    for name, facts in reference.items():
        row, can = ROWS[name], set(facts["can"])
        assert row["kind"] == facts["kind"], name
        if facts["kind"] != "entity":
            continue
        if name == "TaxCode":  # made by TaxService
            can.add("create")
        assert row["table_name"] in CATALOG.by_table
        assert row["readable"] is ("read" in can)
        assert row["insertable"] is ("create" in can)
        assert row["updatable"] is bool({"update", "sparse_update"} & can)
        deactivates = facts["deactivate_with_active_false"]
        assert row["deletable"] is ("delete" in can or deactivates), name
        means = "delete" if "delete" in can else "deactivate" if deactivates else None
        assert row["delete_means"] == means, name
        expected = can - {"cdc", "webhook"} | ({"deactivate"} if deactivates else set())
        assert row["operations"] == sorted(expected), name
        by_query = "query" if "query" in can else "none"
        assert row["change_feed"] == ("cdc" if "cdc" in can else by_query), name
        assert row["webhook"] == (name if "webhook" in can else None), name
        assert row["report"] is None


@without_reference
def test_reports_and_operations_claim_no_more_than_is_true(reference: dict[str, Any]) -> None:
    for name, facts in reference.items():
        if facts["kind"] == "entity":
            continue
        row = ROWS[name]
        assert not (row["insertable"] or row["updatable"] or row["deletable"])
        assert row["readable"] is (row["table_name"] is not None)
        assert row["report"] == facts.get("report_name"), name
        assert row["note"]


def test_the_view_has_the_columns_it_was_published_with() -> None:
    create, *_ = object_view_ddl(CATALOG, "quickbooks")
    assert f"o ({', '.join(name for name, _ in COLUMNS)})" in create
    assert create.count("\n(E'") + create.count("\n('") == len(ROWS)


@without_reference
def test_every_object_and_report_of_xero_is_named_and_no_other() -> None:
    """What each can do is held against the reference where the catalog is."""
    yaml = pytest.importorskip("yaml", reason="NOT CHECKED: PyYAML is not installed")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    path = REFERENCE.parents[1] / "xero/objects.yaml"
    reference = yaml.load(path.read_text("utf-8"), Loader=loader)
    catalog = load_catalog("xero")
    rows = {str(row["name"]): row for row in object_rows(catalog)}
    entities = {name for name, row in rows.items() if row["kind"] == "entity"}
    reports = {name for name, row in rows.items() if row["kind"] == "report"}
    assert entities == set(reference["objects"]) and len(entities) == 33
    assert reports == set(reference["reports"])
    for name in entities:
        row, spec = rows[name], catalog.by_table[str(rows[name]["table_name"])]
        can = reference["objects"][name]["can"]
        assert spec.api_name == name and row["readable"] is True
        assert row["insertable"] is spec.can("create")
        assert row["deletable"] is bool(can["delete"])
        assert (row["change_feed"] == "modified_since") is bool(can["modified_since"])
        assert bool(row["webhook"]) is bool(can["webhook"])
