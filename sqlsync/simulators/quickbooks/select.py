"""Running a parsed query over a table. Pure over the books.

Inactive names are left out unless the WHERE says Active; without an order records come by id.
The common questions (everything by id, changes since a moment, a name, an id) touch only what
they must; any other condition reads each record.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from schema.model import ColumnType, FieldSpec
from sqlsync.simulators.quickbooks import documents
from sqlsync.simulators.quickbooks.entities import Entity
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.query import Condition, Query, invalid, unknown_column
from sqlsync.simulators.quickbooks.store import Books, Row, Table
from sqlsync.simulators.quickbooks.values import parse_moment

Test = Callable[[Row], bool]


@dataclass(slots=True)
class Selection:
    """total: all that match; rows: the page asked for."""

    total: int
    rows: list[Row]


_FAST: dict[tuple[str, ...], Callable[[Row], Any]] = {
    ("Id",): lambda row: row.id,
    ("Active",): lambda row: row.active,
    ("MetaData", "LastUpdatedTime"): lambda row: row.updated,
    ("MetaData", "CreateTime"): lambda row: row.created,
}
_FAST_BY_KIND: dict[str, dict[tuple[str, ...], Callable[[Row], Any]]] = {
    "transaction": {
        ("TxnDate",): lambda row: row.date,
        ("DocNumber",): lambda row: row.number,
        ("CustomerRef", "value"): lambda row: str(row.party),
        ("VendorRef", "value"): lambda row: str(row.party),
        ("TotalAmt",): lambda row: Decimal(row.total) / 100,
        ("Balance",): lambda row: Decimal(row.open) / 100,
    },
    "name_list": {
        ("DisplayName",): lambda row: row.name,
        ("Name",): lambda row: row.name,
        ("Balance",): lambda row: Decimal(row.open) / 100,
    },
}


def select(
    books: Books, table: Table, entity: Entity, query: Query, options: Options, today: date
) -> Selection:
    """Raises Fault 4001 for names and values the entity does not take."""
    tests = [
        _test(books, entity, c, options, today)
        for c in query.where
        if not _is_all(c) and not _is_since(c)
    ]
    if entity.kind == "name_list" and not any(c.property.lower() == "active" for c in query.where):
        tests.append(lambda row: row.active)
    keys = [(_field(entity, name), descending) for name, descending in query.order]
    if len(keys) == 1 and keys[0][0].path == ("Id",) and not keys[0][1]:
        keys = []  # as without an order
    rows: Iterable[Row]
    if not tests and not keys and _since(query) is None:
        rows = _Slice(table)
    else:
        rows = _candidates(table, query, keys)
    if tests:
        rows = [row for row in rows if all(test(row) for test in tests)]
    found = rows if isinstance(rows, list) else list(rows)
    if not _is_by_update(keys):
        for field, descending in reversed(keys):
            found = sorted(found, key=_sort_key(books, entity, field), reverse=descending)
    first = query.start - 1
    return Selection(len(found), found[first : first + query.limit])


def _is_all(condition: Condition) -> bool:
    """`Active IN (true, false)`."""
    values = {value.lower() for value in condition.values}
    return condition.property.lower() == "active" and values == {"true", "false"}


def _is_since(condition: Condition) -> bool:
    """`MetaData.LastUpdatedTime >= '…'`, which the order of changes answers."""
    return (
        condition.property.lower() == "metadata.lastupdatedtime"
        and condition.operator in (">", ">=")
        and parse_moment(condition.values[0]) is not None
    )


def _is_by_update(keys: list[tuple[FieldSpec, bool]]) -> bool:
    return len(keys) == 1 and keys[0][0].path == ("MetaData", "LastUpdatedTime") and not keys[0][1]


def _candidates(table: Table, query: Query, keys: list[tuple[FieldSpec, bool]]) -> Iterable[Row]:
    since = _since(query)
    if since is not None:
        recent = table.changed_since(since)
        return recent if _is_by_update(keys) else sorted(recent, key=lambda row: row.id)
    if _is_by_update(keys):
        return table.by_change()
    ids = _asked_ids(query)
    if ids is not None:
        return [table.rows[number] for number in sorted(ids) if number in table.rows]
    numbers = table.numbers
    for condition in query.where:
        if condition.property.lower() == "docnumber" and condition.operator == "=":
            return [table.rows[n] for n in sorted(numbers.get(condition.values[0], ()))]
    return [table.rows[number] for number in table.ids]


class _Slice(list[Row]):
    """All rows by id, of which only the page asked for is looked up."""

    def __init__(self, table: Table) -> None:
        super().__init__()
        self._table = table

    def __len__(self) -> int:
        return len(self._table.ids)

    def __getitem__(self, at: Any) -> Any:
        found = self._table.ids[at]
        if isinstance(found, list):
            return [self._table.rows[number] for number in found]
        return self._table.rows[found]


def _since(query: Query) -> int | None:
    """The moment of a `LastUpdatedTime >` condition, the latest of several."""
    found: list[int] = []
    for condition in query.where:
        moment = parse_moment(condition.values[0]) if _is_since(condition) else None
        if moment is not None:
            found.append(moment + (condition.operator == ">"))
    return max(found) if found else None


def _asked_ids(query: Query) -> set[int] | None:
    for condition in query.where:
        if condition.property.lower() == "id" and condition.operator in ("=", "IN"):
            return {int(value) for value in condition.values if value.isdigit()}
    return None


def _field(entity: Entity, name: str) -> FieldSpec:
    """The filterable field of that name. A reference or an object goes by its first part."""
    wanted = name.lower()
    for path, field in entity.fields.items():
        dotted = ".".join(path).lower()
        if field.filterable and (
            dotted == wanted
            or (path[0].lower() == wanted and path[-1] in ("value", "Address", "FreeFormNumber"))
        ):
            return field
    raise unknown_column(name, entity.name)


def _reader(books: Books, entity: Entity, field: FieldSpec) -> Callable[[Row], Any]:
    fast = _FAST.get(field.path) or _FAST_BY_KIND.get(entity.kind, {}).get(field.path)
    if fast is not None:
        return fast

    def read(row: Row) -> Any:
        value: Any = documents.searched(books, entity.name, row)
        for name in field.path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    return read


def _sort_key(books: Books, entity: Entity, field: FieldSpec) -> Callable[[Row], Any]:
    read = _reader(books, entity, field)

    def key(row: Row) -> Any:
        value = read(row)
        if value is None:
            return (0, "")
        return (1, value.casefold() if isinstance(value, str) else value)

    return key


def _test(
    books: Books, entity: Entity, condition: Condition, options: Options, today: date
) -> Test:
    field = _field(entity, condition.property)
    read = _reader(books, entity, field)
    operator = condition.operator
    values = tuple(today.isoformat() if v == "CURRENT_DATE" else v for v in condition.values)
    if field.path == ("Id",):
        if operator not in ("=", "IN") and not options.id_ranges:
            raise invalid(f"Operator {operator} is not supported for Property Id")
        for value in values:
            if not value.isdigit():
                raise invalid(f"Invalid value {value} for Property Id")
        return _compare(read, operator, tuple(int(value) for value in values))
    if operator == "LIKE":
        return _like(read, values[0])
    return _compare(read, operator, tuple(_typed(field, value) for value in values))


def _like(read: Callable[[Row], Any], pattern: str) -> Test:
    parts = (re.escape(part) for part in pattern.split("%"))
    expression = re.compile(".*".join(parts), re.IGNORECASE | re.DOTALL)

    def test(row: Row) -> bool:
        value = read(row)
        return value is not None and expression.fullmatch(str(value)) is not None

    return test


def _typed(field: FieldSpec, value: str) -> Any:
    if field.type is ColumnType.NUMERIC:
        try:
            return Decimal(value)
        except InvalidOperation:
            raise invalid(f"Invalid value {value} for Property {field.path[0]}") from None
    if field.type is ColumnType.BOOLEAN:
        if value.lower() not in ("true", "false"):
            raise invalid(f"Invalid value {value} for Property {field.path[0]}")
        return value.lower() == "true"
    if field.type is ColumnType.TIMESTAMPTZ:
        moment = parse_moment(value)
        if moment is None:
            raise invalid(f"Invalid value {value} for Property {'.'.join(field.path)}")
        return moment
    if field.type is ColumnType.DATE:
        if parse_moment(value) is None:
            raise invalid(f"Invalid value {value} for Property {field.path[0]}")
        return value[:10]
    return value.casefold()


def _compare(read: Callable[[Row], Any], operator: str, values: tuple[Any, ...]) -> Test:
    first = values[0]

    def found(row: Row) -> Any:
        value = read(row)
        return value.casefold() if isinstance(value, str) else value

    if operator == "IN":
        wanted = set(values)
        return lambda row: found(row) in wanted
    if operator == "=":
        return lambda row: found(row) == first
    tests: dict[str, Callable[[Any], bool]] = {
        "<": lambda value: bool(value < first),
        ">": lambda value: bool(value > first),
        "<=": lambda value: bool(value <= first),
        ">=": lambda value: bool(value >= first),
    }
    test = tests[operator]

    def compare(row: Row) -> bool:
        value = found(row)
        return value is not None and test(value)

    return compare
