"""What the simulated service knows agrees with the catalog, which was written apart from it."""

from __future__ import annotations

import pytest

from schema.loader import load_catalog
from schema.model import ColumnType, ObjectSpec
from sqlsync.simulators.xero.fields import Member, members_of

CATALOG = {spec.api_name: spec for spec in load_catalog("xero").objects}

# A kind of column for each kind of member.
KINDS = {
    "string": ColumnType.TEXT,
    "text": ColumnType.TEXT,
    "enum": ColumnType.TEXT,
    "uuid": ColumnType.TEXT,
    "decimal": ColumnType.NUMERIC,
    "integer": ColumnType.NUMERIC,
    "boolean": ColumnType.BOOLEAN,
    "date": ColumnType.DATE,
    "datetime": ColumnType.TIMESTAMPTZ,
    "list": ColumnType.JSONB,
    "object": ColumnType.JSONB,
}


# Columns whose values the reader makes: the service shows no such member.
MADE = {"InvoiceReminderID", "ParentEndpoint", "ParentID", "HistoryRecordID"}


def member_at(type_name: str, path: tuple[str, ...]) -> Member | None:
    member: Member | None = None
    for name in path:
        member = members_of(type_name).get(name.lower())
        if member is None:
            return None
        type_name = member.of
    return member


@pytest.mark.parametrize("spec", CATALOG.values(), ids=lambda spec: str(spec.table))
def test_every_column_has_a_member_of_its_kind(spec: ObjectSpec) -> None:
    if not members_of(spec.api_name):
        pytest.skip("not an object of its own here")
    missing = []
    for field in spec.fields:
        member = member_at(spec.api_name, field.path)
        if field.api_path in MADE:
            continue
        if member is None:
            missing.append(field.api_path)
        elif KINDS[member.kind] is not field.type and not (
            member.kind == "text" and field.type in (ColumnType.TIMESTAMPTZ, ColumnType.DATE)
        ):
            missing.append(f"{field.api_path}: {member.kind} is {field.type}")
        elif len(field.path) == 1 and member.length != field.max_length:
            missing.append(f"{field.api_path}: {member.length} is {field.max_length}")
    assert missing == []
