"""The SQL for a connection's schema, and what comes of an older one. Run in earnest elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from schema.ddl import (
    TablePlan,
    connection_ddl,
    guard_ddl,
    index_ddl,
    literal,
    quote,
    table_ddl,
    table_plans,
)
from schema.drift import ActualTable, find_drift
from schema.loader import load_catalog
from schema.model import ObjectSpec

CATALOG = load_catalog("quickbooks")
CUSTOMER = CATALOG.by_table["customer"]
TRIGGERS = {
    "00_sqlsync_guard": "A",
    "zz_sqlsync_insert": "O",
    "zz_sqlsync_update": "O",
    "zz_sqlsync_delete": "O",
}


def as_made(plan: TablePlan) -> ActualTable:
    return ActualTable(
        "r",
        "sqlsync_engine",
        {c.name: c.type for c in plan.columns},
        [name for name, _ in plan.indexes],
        TRIGGERS,
    )


def all_made(spec: ObjectSpec) -> dict[str, ActualTable]:
    return {plan.name: as_made(plan) for plan in table_plans(spec)}


def test_nothing_is_ever_dropped() -> None:
    for statement in connection_ddl(CATALOG, CATALOG.objects, "quickbooks"):
        assert not re.match(r"drop|alter table .* (drop|alter)\b", statement)
        assert "varchar" not in statement
        assert "foreign key" not in statement


def test_the_same_catalog_gives_the_same_sql() -> None:
    first = connection_ddl(CATALOG, CATALOG.objects, "quickbooks")
    assert connection_ddl(CATALOG, CATALOG.objects, "quickbooks") == first


def test_every_name_is_quoted() -> None:
    (plan,) = table_plans(CUSTOMER)
    for statement in table_ddl(plan, 'we"ird'):
        assert '"we""ird"."customer"' in statement
    assert quote("a", 'b"c') == '"a"."b""c"'
    assert literal("it's") == "'it''s'"
    assert literal("a\\b'") == "E'a\\\\b'''"


def test_the_guard_always_fires() -> None:
    (plan,) = table_plans(CUSTOMER)
    make, always = guard_ddl(plan, "q")
    assert "before insert or update or delete or truncate" in make
    assert always.endswith('enable always trigger "00_sqlsync_guard"')


def test_ids_that_join_are_indexed_and_parts_of_a_record_are_not() -> None:
    (plan,) = table_plans(CUSTOMER)
    columns = {column for _, column in plan.indexes}
    assert {"updated_at", "parent_id", "sales_term_id"} <= columns
    assert not {"id", "bill_addr_id", "ship_addr_id"} & columns
    assert index_ddl(plan, "parent_id", "q").endswith('("parent_id") where "parent_id" is not null')


def test_a_natural_key_gets_a_unique_index() -> None:
    (plan,) = table_plans(replace(CUSTOMER, natural_keys=("display_name",)))
    unique = [s for s in table_ddl(plan, "q") if "create unique index" in s]
    assert unique == [
        'create unique index "customer_display_name_idx" on "q"."customer" ("display_name")'
    ]


def test_a_schema_as_the_catalog_says_needs_nothing() -> None:
    for spec in CATALOG.objects:
        drift = find_drift([spec], all_made(spec), "q")
        assert (drift.statements, drift.conflicts, drift.fills) == ([], [], [])


def test_what_the_user_added_is_left_alone() -> None:
    actual = all_made(CUSTOMER)
    made = actual["customer"]
    actual["customer"] = replace(
        made,
        columns={**made.columns, "mine": "integer"},
        indexes=[*made.indexes, "my_index"],
        triggers={**TRIGGERS, "my_trigger": "O"},
    )
    actual["my_table"] = made
    drift = find_drift([CUSTOMER], actual, "q")
    assert (drift.statements, drift.conflicts) == ([], [])


def test_a_missing_column_is_added_and_filled() -> None:
    actual = all_made(CUSTOMER)
    made = actual["customer"]
    columns = {k: v for k, v in made.columns.items() if k != "notes"}
    drift = find_drift([CUSTOMER], {"customer": replace(made, columns=columns)}, "q")
    assert drift.statements[0] == 'alter table "q"."customer" add column "notes" text'
    assert drift.columns_added == ["customer.notes"]
    assert [fill.columns for fill in drift.fills] == [("notes",)]


@pytest.mark.parametrize(
    ("change", "conflict"),
    [
        ({"kind": "v"}, '"q"."customer" exists and is not a table of sqlsync'),
        ({"owner": "somebody"}, '"q"."customer" exists and is not a table of sqlsync'),
        ({"columns": {"id": "integer"}}, 'column "id" of "q"."customer" is integer;'),
    ],
)
def test_what_cannot_be_brought_up_is_a_conflict(change: dict[str, object], conflict: str) -> None:
    made = all_made(CUSTOMER)["customer"]
    drift = find_drift([CUSTOMER], {"customer": replace(made, **change)}, "q")  # type: ignore[arg-type]
    assert drift.conflicts
    assert drift.conflicts[0].startswith(conflict)
