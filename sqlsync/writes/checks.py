"""What may be written to a column, decided before any call. Pure.

Each check returns nothing or raises the error the client sees, with table and column named.
The rules are the catalog's; the provider has more, and says so itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from schema.model import (
    Catalog,
    ChildSpec,
    ColumnType,
    CustomFieldSpec,
    FieldSpec,
    ObjectSpec,
    Writable,
)
from sqlsync.errors import (
    InvalidValue,
    MissingRequired,
    ReadOnlyColumn,
    ReadOnlyTable,
    Unsupported,
    ValueTooLong,
)
from sqlsync.writes.lists import is_provisional
from sqlsync.writes.words import plural, prefix

# As Postgres writes them in JSON. The providers know no infinity and the years 1 to 9999.
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(_DATE.pattern + r"T\d\d:\d\d:\d\d(\.\d+)?[-+]\d\d(:\d\d){1,2}")


MOST_DIGITS = 100  # before the point; the providers take far less, and say so
_TIMES = (
    (ColumnType.DATE, _DATE, "a date"),
    (ColumnType.TIMESTAMPTZ, _MOMENT, "a time"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands, for messages: the object, its table or child table, the record."""

    catalog: Catalog
    spec: ObjectSpec
    table: str
    record_id: str | None = None

    @property
    def prefix(self) -> str:
        return prefix(self.catalog, self.spec, self.record_id)


def check_operation(place: Place, operation: str) -> None:
    """operation: of the object: create, update, delete. Raises ReadOnlyTable."""
    spec = place.spec
    allowed = {
        "create": spec.can("create"),
        "update": spec.can("update") or spec.can("sparse_update"),
        "delete": spec.delete_means.value != "none",
    }
    if allowed[operation]:
        return
    title = place.catalog.title
    possible = [name.upper() for name, verb in _SQL_OF.items() if allowed[verb]]
    hint = (
        f"{title} takes {' and '.join(possible)} on {plural(spec)}."
        if possible
        else f"{title} lets {plural(spec)} be read only."
    )
    raise ReadOnlyTable(
        f"{place.prefix}: {title} does not allow to {operation} {plural(spec)}",
        hint=hint,
        table=place.table,
    )


_SQL_OF = {"insert": "create", "update": "update", "delete": "delete"}


def check_child_writable(place: Place, child: ChildSpec) -> None:
    """Raises ReadOnlyTable for a list the provider makes itself."""
    if child.read_only:
        raise ReadOnlyTable(
            f"{place.prefix}: {child.table} is made by {place.catalog.title}",
            hint="It can be read only.",
            table=child.table,
        )


def check_writable(place: Place, field: FieldSpec | CustomFieldSpec, *, creating: bool) -> None:
    """Raises ReadOnlyColumn for a column this write may not set."""
    if field.writable is Writable.ALWAYS or (creating and field.writable is Writable.CREATE):
        return
    title = place.catalog.title
    if field.writable is Writable.CREATE:
        raise ReadOnlyColumn(
            f'{place.prefix}: column "{field.column}" can be given on INSERT only',
            hint=f"{title} takes it when the record is created, and ignores it afterwards.",
            table=place.table,
            column=field.column,
        )
    raise ReadOnlyColumn(
        f'{place.prefix}: column "{field.column}" is read-only',
        hint=f"{title} sets it; leave it out, or as it is.",
        table=place.table,
        column=field.column,
    )


def check_value(place: Place, field: FieldSpec | CustomFieldSpec, value: Any) -> None:
    """Raises ValueTooLong, InvalidValue or Unsupported. A None is always right here."""
    if value is None:
        return
    column, table = field.column, place.table
    if field.max_length is not None and isinstance(value, str) and len(value) > field.max_length:
        raise ValueTooLong(
            f'{place.prefix}: value too long for column "{column}"'
            f" ({len(value)} characters, {place.catalog.title} takes {field.max_length})",
            table=table,
            column=column,
        )
    if isinstance(field, CustomFieldSpec):
        return
    if field.enum and value not in field.enum:
        raise InvalidValue(
            f'{place.prefix}: "{value}" is not a value of column "{column}"',
            hint="Use one of: " + ", ".join(field.enum),
            table=table,
            column=column,
        )
    if field.type is ColumnType.NUMERIC and not _is_number(value):
        raise InvalidValue(
            f'{place.prefix}: column "{column}" takes a finite number, not {value}',
            table=table,
            column=column,
        )
    if field.type is ColumnType.NUMERIC and Decimal(value).adjusted() >= MOST_DIGITS:
        raise InvalidValue(
            f'{place.prefix}: column "{column}" takes a number of at most {MOST_DIGITS} digits',
            table=table,
            column=column,
        )
    for kind, form, what in _TIMES:
        if field.type is kind and not form.fullmatch(str(value)):
            raise InvalidValue(
                f'{place.prefix}: column "{column}" takes {what} of the years 1 to 9999,'
                f" not {value}",
                table=table,
                column=column,
            )
    refers = field.references is not None or field.path[-1:] == ("value",)
    if refers and is_provisional(value):
        raise Unsupported(
            f'{place.prefix}: column "{column}" names a row that the same statement inserts',
            hint="Insert the row it names first, in a statement of its own.",
            table=table,
            column=column,
        )


def check_required(
    place: Place,
    fields: tuple[FieldSpec, ...],
    given: Mapping[str, Any],
    row: Mapping[str, Any] | None = None,
) -> None:
    """given: columns with a value. Raises MissingRequired for the first that lacks one.

    row: the columns that the table has; one that is not among them is switched off.
    """
    for field in fields:
        if field.required and given.get(field.column) is None:
            off = row is not None and field.column not in row
            raise MissingRequired(
                f'{place.prefix}: null value in column "{field.column}",'
                f" which {place.catalog.title} requires",
                hint=f'Give "{field.column}" a value.'
                if not off
                else f'The column "{field.column}" is switched off; switch it on first:'
                " sqlsync objects, or sqlsync.enable_columns().",
                table=place.table,
                column=field.column,
            )


def refuse_id(place: Place, *, creating: bool) -> ReadOnlyColumn:
    """For a statement that names the id of a new row, or changes that of an old one."""
    title = place.catalog.title
    return ReadOnlyColumn(
        f'{place.prefix}: column "id" is chosen by {title}',
        hint="Leave it out; RETURNING id gives it." if creating else "An id never changes.",
        table=place.table,
        column="id",
    )


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, Decimal) and value.is_finite())
