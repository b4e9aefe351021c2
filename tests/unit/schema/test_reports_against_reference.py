"""The catalogs of reports hold what the references say: names, parameters, columns.

The references stand beside the project, not in it; without them these tests are skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schema.loader import load_catalog
from schema.model import Catalog
from schema.naming import snake_case, table_name
from schema.object_view import object_rows
from schema.report_loader import COMMON_COLUMNS
from schema.report_model import Heading, ParameterKind
from schema.report_rows import place_columns

REFERENCE = Path(__file__).parents[4] / "shared/reference"
QUICKBOOKS, XERO = load_catalog("quickbooks"), load_catalog("xero")
# Say nothing that a column could be made of: they are the row's label.
LABELS = {"String"}

without_reference = pytest.mark.skipif(
    not REFERENCE.exists(), reason=f"NOT CHECKED: the reference is not at {REFERENCE}"
)


def read(provider: str) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="NOT CHECKED: PyYAML is not installed")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: dict[str, Any] = yaml.load(
        (REFERENCE / provider / "objects.yaml").read_text("utf-8"), Loader=loader
    )
    return found


@without_reference
def test_every_report_of_quickbooks_is_there_with_its_parameters() -> None:
    reports = {
        name: facts
        for name, facts in read("quickbooks")["objects"].items()
        if facts["kind"] == "report"
    }
    assert len(reports) == 31
    assert set(QUICKBOOKS.by_report) == set(reports)
    for name, facts in reports.items():
        spec = QUICKBOOKS.by_report[name]
        assert spec.endpoint == facts["report_name"]
        said = {p["name"] for p in facts["parameters"]} - {"minorversion"}  # ours, always sent
        assert {p.api_name for p in spec.parameters} == said, name


@without_reference
def test_the_columns_that_quickbooks_shows_by_default_are_columns_of_the_table() -> None:
    for name, facts in read("quickbooks")["objects"].items():
        if facts["kind"] != "report":
            continue
        spec = QUICKBOOKS.by_report[name]
        headings = [Heading(c["ColTitle"], c["ColType"]) for c in facts["columns"]]
        placed = place_columns(spec, headings)
        missed = {h.type for n, h in enumerate(headings) if n not in placed}
        assert missed <= LABELS, name
        keys = set(facts.get("column_keys", ())) - {c.key for c in spec.columns}
        assert keys <= {"neg_open_bal"}, name  # every key that may be asked for has its column


@without_reference
def test_every_report_of_xero_is_there_with_its_parameters_and_scope() -> None:
    reports = read("xero")["reports"]
    assert set(XERO.by_report) == set(reports)
    for name, facts in reports.items():
        spec = XERO.by_report[name]
        assert facts["endpoint"].removeprefix("/Reports").strip("/") == spec.endpoint
        assert {p.api_name for p in spec.parameters} == set(facts["params"]), name
        required = {
            p.name for p in spec.parameters if "required" in str(facts["params"][p.api_name])
        }
        in_path = {p.name for p in spec.parameters if f"{{{p.api_name}}}" in spec.endpoint}
        assert spec.required == required | in_path, name
        assert spec.scope == facts["granular_scope"], name
        titles = [c for c in facts["columns"] if not c.startswith(("(", "one", "as ", "Cont"))]
        if spec.form == "rows" and titles:
            placed = place_columns(spec, [Heading(title) for title in facts["columns"]])
            known = {facts["columns"][number] for number in placed}
            assert set(titles[1 if titles[0] not in known else 0 :]) <= known, name


@pytest.mark.parametrize("catalog", [QUICKBOOKS, XERO], ids=lambda c: c.provider)
def test_names_follow_the_rule_of_tables_and_never_clash(catalog: Catalog) -> None:
    for spec in catalog.reports:
        assert spec.table == table_name(spec.name)
        assert spec.table not in catalog.by_any_table
        columns = [name for name, _, _ in spec.table_columns]
        assert len(columns) == len(set(columns))
        assert not set(columns) & set(COMMON_COLUMNS)
        for parameter in spec.parameters:
            assert parameter.name == snake_case(parameter.api_name)
            assert (parameter.kind is ParameterKind.CHOICE) is bool(parameter.choices)
            assert parameter.references is None or parameter.references in catalog.by_table
        for name, value in spec.default.items():
            choices = spec.by_parameter[name].choices
            assert not choices or value in choices


@pytest.mark.parametrize("catalog", [QUICKBOOKS, XERO], ids=lambda c: c.provider)
def test_the_view_of_objects_says_where_each_report_can_be_read(catalog: Catalog) -> None:
    rows = {row["name"]: row for row in object_rows(catalog)}
    for spec in catalog.reports:
        row = rows[spec.name]
        assert row["kind"] == "report"
        assert row["table_name"] == row["function"] == spec.table
        assert row["readable"] is True
        assert row["operations"] == ["read"]
        assert row["report"] == spec.endpoint
