"""How a write that must not stand is taken back, or why it cannot be. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from schema.model import Catalog, ChildSpec, ColumnType, ObjectSpec, Writable
from schema.rows import record_row, row_changes_to_fields
from schema.values import column_value, member
from sqlsync.providers.base import Record, Step, StepKind
from sqlsync.writes.endings import inverse_of
from sqlsync.writes.entry import Entry
from sqlsync.writes.lists import without_provider_rows
from sqlsync.writes.plan import ACTIVE_COLUMN
from sqlsync.writes.values import (
    MISSING,
    Path,
    decode,
    encode,
    get_path,
    leaves,
    merge,
    same_or_absent,
    set_path,
)
from sqlsync.writes.words import prefix


@dataclass(frozen=True, slots=True)
class Undo:
    """This step takes the write back."""

    step: Step


@dataclass(frozen=True, slots=True)
class Already:
    """There is nothing left to take back: the record is gone, or as it was."""

    reason: str


@dataclass(frozen=True, slots=True)
class Cannot:
    """A person must look; `reason` is one sentence for them."""

    reason: str


def decide_undo(catalog: Catalog, entry: Entry, current: Record | None) -> Undo | Already | Cannot:
    """entry: acknowledged. current: the record as the provider holds it now, None when gone."""
    spec = catalog.by_table[entry.table]
    about = prefix(catalog, spec, entry.record_id)
    inverse = inverse_of(entry.kind, spec)
    if inverse is None:
        return Cannot(f"{about} {PAST[entry.kind]}, which cannot be undone")
    if current is None:
        return Already(f"{about} is gone")
    if entry.kind in (StepKind.DEACTIVATE, StepKind.REACTIVATE):
        active = record_row(spec, current.raw).get(ACTIVE_COLUMN)
        if active is not (entry.kind is StepKind.REACTIVATE):
            return Already(f"{about} is already as it was")
        return Undo(Step(inverse, spec, {}, current.id, current.raw))
    fields: dict[str, Any] = decode(entry.fields)
    then = decode(entry.answer or "{}")
    now = decode(current.raw)
    changed = touched_since(spec, fields, then, now, ignore_row_keys=True)
    if changed is not None:
        return Cannot(
            f"{about} {PAST[entry.kind]}, and cannot be set back:"
            f" somebody changed {'.'.join(changed)} since"
        )
    if entry.kind is StepKind.CREATE:
        return Undo(Step(inverse, spec, {}, current.id, current.raw))
    restored = restored_fields(spec, fields, entry.before or "{}", entry.answer or "{}", now)
    return Undo(Step(inverse, spec, restored, current.id, current.raw))


PAST: Mapping[StepKind, str] = {
    StepKind.CREATE: "was created",
    StepKind.UPDATE: "was changed",
    StepKind.DELETE: "was deleted",
    StepKind.VOID: "was voided",
    StepKind.DEACTIVATE: "was made inactive",
    StepKind.REACTIVATE: "was made active",
}


def touched_since(
    spec: ObjectSpec,
    fields: Mapping[str, Any],
    then: Mapping[str, Any],
    now: Mapping[str, Any],
    *,
    ignore_row_keys: bool = False,
) -> tuple[str, ...] | None:
    """The first member of `fields` that differs between two states of a record, or None.

    Members that the write does not touch may differ: a payment changes an invoice's balance,
    and that is no reason to stop. ignore_row_keys: rows of lists are compared without their ids.
    Values are compared as the columns hold them, for an answer to a write and a list may say the
    same in other words: `2.0`, `"2.00"`; a member that is empty, or not there.
    """
    for path, _ in leaves(fields):
        one, other = (
            _comparable(spec, path, get_path(r, path), keyless=ignore_row_keys) for r in (then, now)
        )
        if not _alike(one, other):
            return path
    return None


def restored_fields(
    spec: ObjectSpec,
    fields: Mapping[str, Any],
    before: str,
    answer: str,
    now: Mapping[str, Any],
) -> dict[str, Any]:
    """What to send so that the record is as it was before the write.

    That is every member the write touched, and every writable column that the provider changed
    along with it (a due date that followed the date, a name that got a suffix). What followed a
    row that is written by a call of its own (a status that became PAID) goes back with the row.
    """
    was, became = record_row(spec, before.encode()), record_row(spec, answer.encode())
    followed = {
        field.column: was[field.column]
        for field in spec.fields
        if field.writable is Writable.ALWAYS
        and field.type.value != "jsonb"
        and not same_or_absent(was[field.column], became[field.column])
        and not _written_row_by_row(spec).intersection(fields)
    }
    restored = row_changes_to_fields(spec, followed)
    record = decode(before)
    keys = {child.path: child.key for child in spec.children}
    for path, _ in leaves(fields):
        old = get_path(record, path)
        if isinstance(old, list):
            old = _sendable(without_provider_rows(spec, old), keys.get(path), get_path(now, path))
        part: dict[str, Any] = {}
        set_path(part, path, None if old is MISSING else old)
        merge(restored, part)
    return restored


def undo_to_json(step: Step) -> bytes:
    """A compensation as the journal keeps it, so that it can be sent again unchanged."""
    base = decode(step.base) if step.base is not None else None
    return encode({"kind": step.kind.value, "id": step.id, "fields": step.fields, "base": base})


def undo_from_json(spec: ObjectSpec, text: str) -> Step:
    """The other way."""
    held = decode(text)
    base = encode(held["base"]) if held["base"] is not None else None
    return Step(StepKind(held["kind"]), spec, held["fields"], held["id"], base)


def _comparable(spec: ObjectSpec, path: Path, value: Any, *, keyless: bool) -> Any:
    """A member as its column holds it, the rows of a list as those of its child table."""
    child = next((c for c in spec.children if c.path == path), None)
    if isinstance(value, list):
        rows = without_provider_rows(spec, value)
        return [_row(row, child, keyless=keyless) for row in rows]
    field = next((f for f in spec.fields if f.path == path), None)
    if field is None or field.type is ColumnType.JSONB or value is MISSING:
        return value
    return column_value(field.type, value)


def _row(row: Any, child: ChildSpec | None, *, keyless: bool) -> Any:
    if child is None or not isinstance(row, Mapping):
        return row
    found = {f.column: column_value(f.type, member(row, f.path)) for f in child.fields}
    if child.key is not None and not keyless:
        found["id"] = row.get(child.key)
    return found


def _alike(one: Any, other: Any) -> bool:
    """The same, as far as both say it: one reading may show more than another."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(_alike(one[name], other[name]) for name in one.keys() & other.keys())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return same_or_absent(one, other)


def _written_row_by_row(spec: ObjectSpec) -> set[str]:
    """Lists whose rows have calls of their own (catalog: `list_calls`)."""
    parts = spec.extra.get("list_calls", "").split(";")
    return {part.partition(":")[0].strip() for part in parts}


def _sendable(rows: list[Any], key: str | None, present: Any) -> list[Any]:
    """Rows of the past: those the record no longer has are sent as new ones, without id."""
    if key is None:
        return rows
    known = (
        {row.get(key) for row in present if isinstance(row, Mapping)}
        if isinstance(present, list)
        else set()
    )
    found = []
    for row in deepcopy(rows):
        if isinstance(row, dict) and row.get(key) not in known:
            row.pop(key, None)
        found.append(row)
    return found
