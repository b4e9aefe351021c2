"""What a request's body must look like before any rule of bookkeeping is asked. Pure.

`check_properties` refuses unknown names (2010), `check_required` what is missing (2020),
`clean` lengths, enumerations and formats (2050, 2170, 2060, 2090) and drops what the service
sets itself: read-only properties are ignored, not refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from schema.model import ColumnType, FieldSpec, Writable
from sqlsync.simulators.quickbooks import faults
from sqlsync.simulators.quickbooks.entities import (
    ANYWHERE,
    OPAQUE,
    Entity,
    Path,
    known_properties,
)
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.values import Doc, is_date, parse_moment

REFERENCE = frozenset({"value", "name", "type"})


def check_properties(entity: Entity, body: Doc) -> None:
    """Raises 2010 for the first name the service does not know."""
    _check_known(entity.wrapper, body, top=True)


def _check_known(type: str, value: Any, *, top: bool = False) -> None:
    if isinstance(value, list):
        for element in value:
            _check_known(type, element)
        return
    if not isinstance(value, dict):
        if value is None or value == "":
            return
        raise faults.not_json()
    known = known_properties()[type]
    for name, inner in value.items():
        member = known.get(name)
        if member is None:
            if top and name in ANYWHERE:
                continue
            raise faults.unknown_property(f"{type}.{name}", name, type)
        if member == "ReferenceType" and isinstance(inner, dict):
            for part in inner:
                if part not in REFERENCE:
                    raise faults.unknown_property(f"{type}.{name}.{part}", part, "ReferenceType")
        elif member not in OPAQUE and member in known_properties():
            _check_known(member, inner)


def check_required(entity: Entity, body: Doc) -> None:
    """Raises 2020 for the first required member that is missing, null or empty."""
    for name in entity.required:
        value = body.get(name)
        empty = value is None or value == "" or value == []
        if isinstance(value, dict):
            empty = value.get("value") in (None, "")
        if empty:
            raise faults.missing(name)


def clean(entity: Entity, body: Doc, *, creating: bool) -> Doc:
    """The body's writable members with exact values. Explicit nulls are kept as None."""
    return _clean(body, entity.fields, entity, (), creating)


def _clean(
    body: Doc, fields: Mapping[Path, FieldSpec], entity: Entity, prefix: Path, creating: bool
) -> Doc:
    kept: Doc = {}
    for name, value in body.items():
        path = (*prefix, name)
        rows = entity.rows.get(path) if fields is entity.fields else None
        field = fields.get(path)
        if value is None:
            kept[name] = None
        elif rows is not None:
            if not isinstance(value, list):
                raise faults.not_json()
            kept[name] = [_row(row, rows, entity, creating) for row in value]
        elif field is not None:
            if field.writable is Writable.NEVER:
                continue
            if field.writable is Writable.CREATE and not creating:
                continue
            kept[name] = convert(field, value)
        elif isinstance(value, dict):
            inner = _clean(value, fields, entity, path, creating)
            if inner or not value or name.endswith("Detail"):
                kept[name] = inner
            elif "value" in value:
                kept[name] = {"value": value["value"]}
        elif isinstance(value, list) and _opens(fields, path):
            kept[name] = value
    return kept


def _opens(fields: Mapping[Path, FieldSpec], path: Path) -> bool:
    return any(known[: len(path)] == path for known in fields)


def _row(value: Any, fields: Mapping[Path, FieldSpec], entity: Entity, creating: bool) -> Doc:
    if not isinstance(value, dict):
        raise faults.not_json()
    row = _clean(value, fields, entity, (), creating)
    if value.get("Id") not in (None, ""):
        row["Id"] = str(value["Id"])
    return row


def convert(field: FieldSpec, value: Any) -> Any:
    """One plain value, checked. The empty text clears a text and means null elsewhere."""
    element = field.path[0] if field.path[-1] in ("value", "Address", "URI") else field.path[-1]
    if field.type is ColumnType.TEXT:
        return _text(field, value, element)
    if field.type is ColumnType.JSONB:
        return value
    if value == "":
        return None
    if field.type is ColumnType.NUMERIC:
        return _number(value, element)
    if field.type is ColumnType.BOOLEAN:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise Fault("2230", f"Invalid Boolean value. Supplied value:{value}", element)
    if field.type is ColumnType.DATE:
        if isinstance(value, str) and is_date(value[:10]):
            return value[:10]
        raise Fault("2060", f"Invalid date format. Supplied value:{value}", element)
    if not isinstance(value, str) or parse_moment(value) is None:
        raise Fault("2060", f"Invalid date format. Supplied value:{value}", element)
    return value


def _text(field: FieldSpec, value: Any, element: str) -> str:
    if isinstance(value, bool):
        value = "true" if value else "false"
    if isinstance(value, int | Decimal):
        value = str(value)
    if not isinstance(value, str):
        raise faults.not_json()
    if field.max_length is not None and len(value) > field.max_length:
        raise faults.too_long(element, field.max_length, len(value))
    if field.enum and value and value not in field.enum:
        raise Fault("2170", f"Invalid Enumeration : {value}", element)
    if field.path[-1] == "Address" and value and not all(map(is_mail, value.split(","))):
        detail = "Email Address does not conform to the syntax rules of RFC 822."
        raise Fault("2210", f"{detail} Supplied value:{value}", element)
    return value


def is_mail(text: str) -> bool:
    """One address of a list: somebody at a place, without a space inside."""
    somebody, at, place = text.strip().rpartition("@")
    return bool(somebody and at and place) and " " not in text.strip()


def _number(value: Any, element: str) -> Decimal | int:
    if isinstance(value, bool):
        raise Fault("2090", f"Invalid Number. Supplied value:{value}", element)
    try:
        number = Decimal(value) if isinstance(value, int | str) else value
    except InvalidOperation:
        number = None
    if not isinstance(number, Decimal) or not number.is_finite():
        raise Fault("2090", f"Invalid Number. Supplied value:{value}", element)
    if number.adjusted() > 14:
        raise Fault("2090", f"Number is out of range. Supplied value:{value}", element)
    return value if isinstance(value, int) else number


def read_id(body: Doc) -> int:
    """The record's id. Raises 2030 where it is no number."""
    value = body.get("Id")
    if value is None:
        raise faults.missing("Id")
    if isinstance(value, bool) or not str(value).isdigit() or len(str(value)) > 19:
        raise faults.invalid_id(value)
    return int(str(value))


def prune(value: Any) -> Any:
    """Without nulls and empty texts: what has no value is not written."""
    if isinstance(value, dict):
        pruned = {name: prune(inner) for name, inner in value.items()}
        return {
            name: inner
            for name, inner in pruned.items()
            if inner not in (None, "") and (inner != {} or name.endswith("Detail"))
        }
    if isinstance(value, list):
        return [prune(inner) for inner in value]
    return value


def references(entity: Entity, doc: Doc) -> Iterator[tuple[str, str, str, Doc]]:
    """Each reference of a document: (member name, table it names, id, the reference object)."""
    yield from _references(entity.fields, doc)
    for path, fields in entity.rows.items():
        found: Any = doc
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        for row in found or ():
            yield from _references(fields, row)


def _references(fields: Mapping[Path, FieldSpec], doc: Doc) -> Iterator[tuple[str, str, str, Doc]]:
    for path, field in fields.items():
        if field.references is None or path[-1] != "value":
            continue
        found: Any = doc
        for name in path[:-1]:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, dict) and found.get("value") not in (None, ""):
            yield path[-2], field.references, str(found["value"]), found
