"""An object as far as its tables hold it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from schema.codec import copy_encoder
from schema.ddl import table_plans
from schema.loader import load_catalog
from schema.model import ColumnType
from schema.narrow import chosen, kind_of, narrowed

SPEC = load_catalog("quickbooks").by_table["invoice"]
WHOLE = {
    plan.name: {column.name: column.type for column in plan.columns} for plan in table_plans(SPEC)
}
ALWAYS = {plan.name: plan.always for plan in table_plans(SPEC)}
OPTIONAL = [(t, c) for t, columns in WHOLE.items() for c in columns if c not in ALWAYS[t]]


def test_tables_that_hold_everything_leave_the_object_as_it_is() -> None:
    assert narrowed(SPEC, WHOLE) is SPEC
    assert chosen(SPEC, {("customer", "notes")}) is SPEC


def test_a_child_table_that_is_off_or_missing_is_left_out() -> None:
    assert "invoice_line" not in narrowed(SPEC, WHOLE, {"invoice_line"}).child_by_table
    without = {t: c for t, c in WHOLE.items() if t != "invoice_line"}
    assert "invoice_line" not in narrowed(SPEC, without).child_by_table


def test_a_column_of_another_type_is_stored_as_it_is() -> None:
    tables = {**WHOLE, "invoice": {**WHOLE["invoice"], "balance": "text"}}
    there = narrowed(SPEC, tables)
    assert there.by_column["balance"].type is ColumnType.TEXT
    encoder = copy_encoder(there)
    (line,) = encoder.rows([b'{"Id":"1","Balance":10.50}']).blob.splitlines()
    cells = dict(zip(encoder.columns, line.split(b"\t"), strict=True))
    assert cells["balance"] == b"10.50"


def test_a_column_of_a_type_that_is_none_of_ours_is_left_alone() -> None:
    assert kind_of("money") is None
    tables = {**WHOLE, "invoice": {**WHOLE["invoice"], "balance": "money"}}
    assert "balance" not in narrowed(SPEC, tables).by_column


@settings(max_examples=40, deadline=None)
@given(off=st.sets(st.sampled_from(OPTIONAL), max_size=12))
def test_what_is_encoded_is_what_the_tables_have(off: set[tuple[str, str]]) -> None:
    tables = {
        table: {c: kind for c, kind in columns.items() if (table, c) not in off}
        for table, columns in WHOLE.items()
    }
    there = narrowed(SPEC, tables)
    assert narrowed(SPEC, tables) is there  # what is compiled for it is kept
    encoder = copy_encoder(there)
    assert set(encoder.columns) == set(tables["invoice"])
    for child, columns in encoder.child_columns.items():
        assert set(columns) == set(tables[child])
    # And what is planned by choice is what the tables get.
    for plan in table_plans(chosen(SPEC, off)):
        assert {column.name for column in plan.columns} == set(tables[plan.name])
    assert replace(there, enabled=True) == there
