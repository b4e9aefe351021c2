"""A record's list of rows, rebuilt from what was done to its child table. Pure.

Providers replace such a list as a whole: rows that are sent with their id stay, rows without
one are new, rows that are left out go. So the rows nobody touched are sent exactly as the
provider gave them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from schema.model import ChildSpec, ObjectSpec
from schema.rows import child_row_to_fields
from sqlsync.writes.model import Change
from sqlsync.writes.values import drop_path, get_path, same, set_path

PROVISIONAL = "new:"  # what an id begins with until the provider has named the row
BY_POSITION = "pos:"  # and that of a row the provider never names (schema.rows)


@dataclass(frozen=True, slots=True)
class RebuiltList:
    """The list to send, and the provisional ids of its new rows in the order they stand in."""

    rows: list[dict[str, Any]]
    new_ids: tuple[str, ...]


def is_provisional(value: Any) -> bool:
    """Whether an id is one of ours, made by the column's default."""
    return isinstance(value, str) and value.startswith(PROVISIONAL)


def provider_rows(spec: ObjectSpec) -> tuple[str, str] | None:
    """(member, value) that tells the rows the provider makes itself: never sent back."""
    rule = spec.extra.get("provider_made_rows")
    if not rule:
        return None
    member, _, value = rule.partition("=")
    return member, value


def without_provider_rows(spec: ObjectSpec, rows: Sequence[Any]) -> list[Any]:
    """The list as it may be sent."""
    rule = provider_rows(spec)
    return [row for row in rows if not _made_by_provider(rule, row)]


def list_at(record: Mapping[str, Any], child: ChildSpec) -> list[Any]:
    """The child's list in a record; empty where there is none."""
    found = get_path(record, child.path)
    return found if isinstance(found, list) else []


def rebuild(
    spec: ObjectSpec, child: ChildSpec, record: Mapping[str, Any], changes: Sequence[Change]
) -> RebuiltList | None:
    """The list after `changes`, or None where they change nothing.

    record: the parent as locked. A row is found by its id, or by its position where the list
    has no ids (or this row has none). The order is by position; new rows without one go last.
    Raises LookupError(row) where a row is not in the record.
    """
    rows: dict[int, tuple[float, int, dict[str, Any]]] = {}  # index -> (position, tie, row)
    for index, row in enumerate(list_at(record, child)):
        rows[index] = (index + 1, 1, deepcopy(row))
    changed = False
    added: list[tuple[float, int, dict[str, Any], str]] = []
    for change in changes:
        if change.operation == "insert":
            assert change.new is not None
            position = change.new.get("position")
            place = float("inf") if position is None else float(position)
            added.append(
                (place, 0, child_row_to_fields(child, change.new), str(change.new.get("id")))
            )
            changed = True
            continue
        assert change.old is not None
        index = _find(child, rows, change.old)
        if change.operation == "delete":
            del rows[index]
            changed = True
            continue
        assert change.new is not None
        place, tie, row = rows[index]
        for field in child.fields:
            value = change.new.get(field.column)
            if same(change.old.get(field.column), value):
                continue
            changed = True
            if value is None:
                drop_path(row, field.path)
            else:
                set_path(row, field.path, value)
        if not same(change.old.get("position"), change.new.get("position")):
            changed = True
            place, tie = float(change.new["position"] or "inf"), 0
        rows[index] = (place, tie, row)
    if not changed:
        return None
    rule = provider_rows(spec)
    merged: list[tuple[float, int, dict[str, Any], str | None]] = [
        (place, tie, row, None)
        for place, tie, row in rows.values()
        if not _made_by_provider(rule, row)
    ]
    merged.extend(added)
    merged.sort(key=lambda entry: entry[:2])
    return RebuiltList(
        [entry[2] for entry in merged], tuple(entry[3] for entry in merged if entry[3] is not None)
    )


def _find(
    child: ChildSpec,
    rows: Mapping[int, tuple[float, int, dict[str, Any]]],
    old: Mapping[str, Any],
) -> int:
    row_id, position = old.get("id"), old.get("position")
    if child.key is not None and not str(row_id).startswith(BY_POSITION):
        for index, (_, _, row) in rows.items():
            if isinstance(row, Mapping) and get_path(row, (child.key,)) == row_id:
                return index
        raise LookupError(row_id)
    if position is not None and int(position) - 1 in rows:
        return int(position) - 1
    raise LookupError(position)


def _made_by_provider(rule: tuple[str, str] | None, row: Any) -> bool:
    return rule is not None and isinstance(row, Mapping) and row.get(rule[0]) == rule[1]
