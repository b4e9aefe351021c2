"""An object as far as a connection's tables hold it. Pure.

Columns come and go per connection (`sqlsync.switch_columns`), child tables are switched off, and
a column whose type changed in the catalog keeps the old one while a view of somebody's needs it.
So what is stored goes by the tables as they are: what they lack is left out of the object, what
they hold otherwise is stored so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from schema.model import ColumnType, FieldSpec, ObjectSpec

# What format_type() and regtype say, where it is not the catalog's own word.
_KINDS = {kind.value: kind for kind in ColumnType} | {
    "timestamp with time zone": ColumnType.TIMESTAMPTZ
}

Columns = Mapping[str, str]  # name -> type, as Postgres prints it


def kind_of(type_name: str) -> ColumnType | None:
    """The kind of column that Postgres' `type_name` is; None where it is none of ours."""
    return _KINDS.get(type_name)


_narrowed: dict[tuple[int, object], tuple[ObjectSpec, ObjectSpec]] = {}


def narrowed(
    spec: ObjectSpec, tables: Mapping[str, Columns], off: Collection[str] = ()
) -> ObjectSpec:
    """`spec` without the columns and child tables that `tables` lack or that are `off`.

    tables: by name, the object's own and those of its children. The same answer is the same
    object, since what is compiled for it (`schema.codec`) is kept; `spec` itself where nothing
    is missing. The object's own table is never left out, nor is its key.
    """
    odd = frozenset(_odd(spec, tables, off))
    if not odd:
        return spec
    # The original is kept beside its copy, so that its id stays its own.
    known = _narrowed.get((id(spec), odd))
    if known is None:
        known = _narrowed[id(spec), odd] = (spec, _narrow(spec, tables, off))
    return known[1]


def chosen(spec: ObjectSpec, off: Collection[tuple[str, str]]) -> ObjectSpec:
    """`spec` without the columns that are switched off: (table, column)."""
    if not any(table in (spec.table, *spec.child_by_table) for table, _ in off):
        return spec
    return replace(
        spec,
        fields=tuple(f for f in spec.fields if (spec.table, f.column) not in off),
        custom_fields=tuple(f for f in spec.custom_fields if (spec.table, f.column) not in off),
        natural_keys=tuple(c for c in spec.natural_keys if (spec.table, c) not in off),
        children=tuple(
            replace(c, fields=tuple(f for f in c.fields if (c.table, f.column) not in off))
            for c in spec.children
        ),
    )


def _odd(
    spec: ObjectSpec, tables: Mapping[str, Columns], off: Collection[str]
) -> Iterable[tuple[str, str, str | None]]:
    """What is not as the catalog says: (table, column, the type it has)."""
    own = tables.get(spec.table, {})
    for field in spec.fields:
        if kind_of(own.get(field.column, "")) is not field.type:
            yield spec.table, field.column, own.get(field.column)
    for custom in spec.custom_fields:
        if own.get(custom.column) != ColumnType.TEXT.value:
            yield spec.table, custom.column, own.get(custom.column)
    for child in spec.children:
        if child.table in off or child.table not in tables:
            yield child.table, "", None
            continue
        there = tables[child.table]
        for field in child.fields:
            if kind_of(there.get(field.column, "")) is not field.type:
                yield child.table, field.column, there.get(field.column)


def _narrow(spec: ObjectSpec, tables: Mapping[str, Columns], off: Collection[str]) -> ObjectSpec:
    own = tables.get(spec.table, {})
    return replace(
        spec,
        fields=_as_there(spec.fields, own),
        custom_fields=tuple(
            custom
            for custom in spec.custom_fields
            if own.get(custom.column) == ColumnType.TEXT.value
        ),
        children=tuple(
            replace(child, fields=_as_there(child.fields, tables[child.table]))
            for child in spec.children
            if child.table in tables and child.table not in off
        ),
    )


def _as_there(fields: Iterable[FieldSpec], there: Columns) -> tuple[FieldSpec, ...]:
    found = []
    for field in fields:
        kind = kind_of(there.get(field.column, ""))
        if kind is not None:
            found.append(field if kind is field.type else replace(field, type=kind))
    return tuple(found)
