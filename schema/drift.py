"""What an existing schema lacks, and the additive SQL that brings it up to the catalog.

Pure. Only additions come out: a table, a column at the end (so that views go on working), an
index, a trigger. A table that is not ours, or a key of another type, is a conflict for a person
to settle. A column of another type (`Drift.retypes`) gets the catalog's if nothing of the
user's stands on it, which only Postgres can tell; else it stays as it is, and is stored so.
Columns, indexes and triggers of the user's own are left alone. What is new is filled from
`raw`, without a call to the provider: `Drift.fills` says what, and `fill_from_raw` gives the SQL
once the records have gone through `schema.codec` into a staging table; so that a column switched
on later holds what it would always have held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from schema.ddl import (
    CAPTURES,
    ENGINE,
    GUARD,
    ColumnPlan,
    TablePlan,
    capture_ddl,
    column_comment,
    guard_ddl,
    index_ddl,
    quote,
    table_ddl,
    table_plans,
)
from schema.model import ObjectSpec

# One row a relation of the schema: name, kind, owner, {column: type}, [index], {trigger: enabled}.
ACTUAL_QUERY = """
select c.relname, c.relkind::text, pg_get_userbyid(c.relowner)::text,
    coalesce((select jsonb_object_agg(a.attname, format_type(a.atttypid, a.atttypmod))
        from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '{}'),
    coalesce((select jsonb_agg(i.relname) from pg_index x join pg_class i on i.oid = x.indexrelid
        where x.indrelid = c.oid), '[]'),
    coalesce((select jsonb_object_agg(t.tgname, t.tgenabled)
        from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal), '{}')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
"""


@dataclass(frozen=True, slots=True)
class ActualTable:
    """A relation as Postgres has it; one row of ACTUAL_QUERY without the name."""

    kind: str  # relkind: "r" is a plain table
    owner: str
    columns: Mapping[str, str]
    indexes: Sequence[str]
    triggers: Mapping[str, str]  # name -> tgenabled: "A" always, "O" origin, "D" disabled


@dataclass(frozen=True, slots=True)
class Fill:
    """Something new to be filled from the `raw` of the object's rows."""

    plan: TablePlan
    columns: tuple[str, ...] | None  # None: the table itself is new


@dataclass(frozen=True, slots=True)
class Retype:
    """A column whose type is not the catalog's. there: the type it has."""

    plan: TablePlan
    column: ColumnPlan
    there: str

    def statement(self, schema_name: str) -> str:
        """SQL that empties the column and gives it the catalog's type; it is filled then."""
        return (
            f"alter table {quote(schema_name, self.plan.name)} alter column"
            f" {quote(self.column.name)} type {self.column.type} using null"
        )


@dataclass(frozen=True, slots=True)
class Drift:
    """statements: to be run in order. conflicts: sentences; with any of them run nothing."""

    statements: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    tables_made: list[str] = field(default_factory=list)
    columns_added: list[str] = field(default_factory=list)  # "table.column"
    fills: list[Fill] = field(default_factory=list)
    retypes: list[Retype] = field(default_factory=list)


def find_drift(
    objects: Sequence[ObjectSpec], actual: Mapping[str, ActualTable], schema_name: str
) -> Drift:
    """Compares the tables of `objects` with the relations of the schema, by name."""
    drift = Drift()
    for spec in objects:
        for plan in table_plans(spec):
            found = actual.get(plan.name)
            if found is None:
                drift.tables_made.append(plan.name)
                drift.statements.extend(table_ddl(plan, schema_name))
                if plan.child is not None and spec.table in actual:
                    drift.fills.append(Fill(plan, None))
            elif found.kind != "r" or found.owner != ENGINE:
                drift.conflicts.append(
                    f'"{schema_name}"."{plan.name}" exists and is not a table of sqlsync'
                )
            else:
                _bring_up(drift, plan, found, schema_name)
    return drift


def _bring_up(drift: Drift, plan: TablePlan, found: ActualTable, schema_name: str) -> None:
    table = quote(schema_name, plan.name)
    new: list[ColumnPlan] = []
    for column in plan.columns:
        there = found.columns.get(column.name)
        if there is None:
            new.append(column)
        elif there != column.type and column.name not in plan.always:
            drift.retypes.append(Retype(plan, column, there))
        elif there != column.type:
            drift.conflicts.append(
                f'column "{column.name}" of "{schema_name}"."{plan.name}" is {there};'
                f" the catalog says {column.type}"
            )
    for column in new:
        drift.columns_added.append(f"{plan.name}.{column.name}")
        drift.statements.append(
            f"alter table {table} add column {quote(column.name)} {column.definition}"
        )
        drift.statements.append(column_comment(plan, column, schema_name))
    if filled := tuple(c.name for c in new if c.name != "raw"):
        drift.fills.append(Fill(plan, filled))
    for name, indexed in plan.indexes:
        if name not in found.indexes:
            drift.statements.append(index_ddl(plan, indexed, schema_name))
    make, always = guard_ddl(plan, schema_name)
    if GUARD not in found.triggers:
        drift.statements.extend((make, always))
    elif found.triggers[GUARD] != "A":
        drift.statements.append(always)
    for trigger in CAPTURES:
        if trigger not in found.triggers:
            drift.statements.append(capture_ddl(plan, trigger, schema_name))
        elif found.triggers[trigger] != "O":
            drift.statements.append(f"alter table {table} enable trigger {trigger}")


def fill_from_raw(fill: Fill, staging: str, columns: Sequence[str], schema_name: str) -> str:
    """SQL that brings what was staged into the new columns, or the new child table.

    staging: the table, as SQL, that holds the codec's rows; columns: those of the codec.
    Rows that hold it already are not written again.
    """
    plan = fill.plan
    table = quote(schema_name, plan.name)
    if fill.columns is None:
        names = ", ".join(quote(c) for c in columns)
        return f"insert into {table} ({names}) select {names} from {staging}"
    sets = ", ".join(f"{quote(c)} = s.{quote(c)}" for c in fill.columns)
    keys = " and ".join(f"t.{quote(k)} = s.{quote(k)}" for k in plan.key)
    differs = " or ".join(f"t.{quote(c)} is distinct from s.{quote(c)}" for c in fill.columns)
    return f"update {table} t set {sets} from {staging} s where {keys} and ({differs})"
