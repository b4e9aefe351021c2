"""A provider's record as rows of its tables, and changed columns as fields to send.

Pure, one record at a time, and the definition of what each column holds: `schema.codec` makes
the same values faster, a page at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from schema.model import ChildSpec, ColumnType, CustomFieldSpec, FieldSpec, ObjectSpec
from schema.values import column_value, decode, holdable, member
from sqlsync.errors import ProviderFault

_TEXT = ColumnType.TEXT
_SECONDS_OFF = re.compile(r"[-+]\d\d:\d\d:\d\d$")


def record_row(spec: ObjectSpec, raw: bytes) -> dict[str, Any]:
    """The row of the object's table, every column of it, `raw` (as nested values) last.

    numeric: Decimal; date, timestamptz: ISO text; jsonb: nested values; NULL: None.
    Raises ProviderFault where `raw` is no JSON object or has no id.
    """
    return row_of(spec, decode(holdable(raw)))


def child_rows(spec: ObjectSpec, child: ChildSpec, raw: bytes) -> list[dict[str, Any]]:
    """The rows of one child table: parent's id, key, `position` from 1, then the fields.

    A row the provider gave no id, or one that came before, is `pos:<position>`.
    Raises ProviderFault as `record_row` does.
    """
    return child_rows_of(spec, child, decode(holdable(raw)))


def row_of(spec: ObjectSpec, record: Any) -> dict[str, Any]:
    """`record_row` of decoded JSON."""
    row = _fields_of(spec, spec.fields, record)
    if not row["id"]:
        raise ProviderFault(f"a {spec.title} came without an id")
    for custom in spec.custom_fields:
        row[custom.column] = _custom_value(custom, record)
    row["raw"] = record
    return row


def child_rows_of(spec: ObjectSpec, child: ChildSpec, record: Any) -> list[dict[str, Any]]:
    """`child_rows` of decoded JSON."""
    parent_id = record_id(spec, record)
    elements = member(record, child.path)
    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    for position, element in enumerate(elements if isinstance(elements, list) else (), start=1):
        if not isinstance(element, Mapping):
            continue
        row: dict[str, Any] = {child.parent_column: parent_id}
        if child.key is not None:
            given = column_value(_TEXT, element.get(child.key))
            row["id"] = row_id(None if given == spec.null_id else given, position, seen)
        row["position"] = position
        rows.append(row | _fields_of(spec, child.fields, element))
    return rows


def record_id(spec: ObjectSpec, record: Any) -> str:
    """The provider's id. Raises ProviderFault where there is none."""
    found: str | None = column_value(_TEXT, member(record, spec.by_column["id"].path))
    if not found or found == spec.null_id:
        raise ProviderFault(f"a {spec.title} came without an id")
    return found


def row_id(given: str | None, position: int, seen: set[str]) -> str:
    """The key of a child row, unlike those in `seen`, to which it is added."""
    key = given if given and given not in seen else f"pos:{position}"
    while key in seen:
        key += "+"
    seen.add(key)
    return key


def _fields_of(spec: ObjectSpec, fields: Iterable[FieldSpec], record: Any) -> dict[str, Any]:
    row = {f.column: column_value(f.type, member(record, f.path)) for f in fields}
    if spec.null_id is not None:
        for column, value in row.items():
            if value == spec.null_id and (column == "id" or column.endswith("_id")):
                row[column] = None
    return row


def _custom_value(custom: CustomFieldSpec, record: Any) -> str | None:
    """The value of the first element that matches."""
    elements = member(record, custom.path)
    name, wanted = custom.match
    for element in elements if isinstance(elements, list) else ():
        if isinstance(element, Mapping) and column_value(_TEXT, element.get(name)) == wanted:
            value: str | None = column_value(_TEXT, element.get(custom.value))
            return value
    return None


# -- back to the provider -----------------------------------------------------------------


def row_changes_to_fields(spec: ObjectSpec, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Columns and their new values as the provider nests them.

    `{"email": "a@b.c", "customer_id": None}` gives
    `{"PrimaryEmailAddr": {"Address": "a@b.c"}, "CustomerRef": {"value": None}}`.
    Values as to_jsonb gives them. `raw` and custom fields are left out: the latter go
    through `merge_custom_fields`. Raises KeyError for any other column the object lacks.
    """
    return _nested(
        (spec.by_column[column].path, _sent(spec.by_column[column].type, value))
        for column, value in columns.items()
        if column != "raw" and column not in spec.custom_by_column
    )


def child_row_to_fields(child: ChildSpec, columns: Mapping[str, Any]) -> dict[str, Any]:
    """One element of the provider's list from a child row; NULL columns are left out.

    The key is sent only where the provider gave it: not a provisional `new:…` or a `pos:…`.
    """
    fields = {f.column: f for f in child.fields}
    element = _nested(
        (fields[column].path, _sent(fields[column].type, value))
        for column, value in columns.items()
        if value is not None and column in fields
    )
    key = columns.get("id")
    if child.key is not None and key and not key.startswith(("new:", "pos:")):
        return {child.key: key} | element
    return element


def merge_custom_fields(
    base_list: Sequence[Any] | None, spec: ObjectSpec, columns: Mapping[str, Any]
) -> list[Any]:
    """The provider's list of custom fields with the custom columns of `columns` set.

    base_list: the list as mirrored. Elements that no column names stay as they are; an element
    for a value the list lacks is added; None is set as None, which clears.
    """
    merged: list[Any] = deepcopy(list(base_list or ()))
    for column, value in columns.items():
        custom = spec.custom_by_column.get(column)
        if custom is None:
            continue
        name, wanted = custom.match
        for element in merged:
            if isinstance(element, dict) and element.get(name) == wanted:
                element[custom.value] = value
                break
        else:
            if value is not None:
                merged.append({name: wanted, custom.value: value})
    return merged


def _sent(kind: ColumnType, value: Any) -> Any:
    """A time in a zone of former days, whose offset has seconds, is said in UTC."""
    if kind is ColumnType.TIMESTAMPTZ and isinstance(value, str) and _SECONDS_OFF.search(value):
        with suppress(ValueError, OverflowError):
            return datetime.fromisoformat(value).astimezone(UTC).isoformat()
    return value


def _nested(values: Iterable[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for path, value in values:
        place = fields
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    return fields
