"""From what a statement did to what the provider must be asked, or the reason why not.

Pure: nothing here calls, waits or reads a clock, so each rule is tested with literal values.
A plan is complete: it says for every step what it carries and how it would be undone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from schema.model import Catalog, ChildSpec, FieldSpec, ObjectSpec
from schema.rows import merge_custom_fields, row_changes_to_fields
from sqlsync.errors import BadReference, NotFound, ReadOnlyColumn, Unsupported
from sqlsync.providers.base import Step, StepKind
from sqlsync.writes.checks import (
    Place,
    check_child_writable,
    check_operation,
    check_required,
    check_value,
    check_writable,
    refuse_id,
)
from sqlsync.writes.endings import DELETE_STEPS, ending, inverse_of
from sqlsync.writes.lists import is_provisional, list_at, rebuild, without_provider_rows
from sqlsync.writes.model import Change, WriteRequest
from sqlsync.writes.values import decode, encode, get_path, merge, same, set_path
from sqlsync.writes.words import row_label, step_notices

DEFAULT_ROW_LIMIT = 1000
ACTIVE_COLUMN = "active"


@dataclass(frozen=True, slots=True)
class NewChildren:
    """Provisional ids of the rows a step adds to one list, in the order they stand in it."""

    table: str
    provisional_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of a plan.

    rows: indexes of the changes it carries. inverse: the kind of step that would undo it, None
    where nothing does. deferred: it waits for the client's COMMIT.
    label: names the row where the statement has several, else empty.
    shown: of a deferred step after which the row stays, the record as it will then be.
    """

    step: Step
    rows: tuple[int, ...]
    inverse: StepKind | None
    deferred: bool
    label: str
    provisional_id: str | None = None
    new_children: tuple[NewChildren, ...] = ()
    shown: bytes | None = None


@dataclass(frozen=True, slots=True)
class WritePlan:
    """The steps of one statement, in the order of its rows. No steps: nothing to do."""

    steps: tuple[PlannedStep, ...]
    notices: tuple[str, ...] = ()


def make_plan(
    catalog: Catalog, request: WriteRequest, *, row_limit: int = DEFAULT_ROW_LIMIT
) -> WritePlan:
    """Decides what to ask of the provider for one statement.

    Raises the error the client sees (WriteRefused, or a ProviderRefusal we can tell ourselves);
    then nothing is sent.
    """
    changes = request.changes
    if len(changes) > row_limit:
        raise Unsupported(
            f"The statement writes {len(changes)} rows; {catalog.title} is asked row by row",
            hint=f"At most {row_limit} rows can be written by one statement.",
        )
    spec = _one_object(catalog, changes)
    if spec is None:
        return WritePlan(())
    _no_row_twice(catalog, spec, changes)
    planner = _Planner(catalog, spec, request)
    return planner.plan()


def _one_object(catalog: Catalog, changes: Sequence[Change]) -> ObjectSpec | None:
    found: ObjectSpec | None = None
    for change in changes:
        entry = catalog.by_any_table.get(change.table)
        if entry is None:
            raise Unsupported(
                f'"{change.table}" is not a table that {catalog.title} fills', table=change.table
            )
        if found is not None and entry[0] is not found:
            raise Unsupported(
                f"The statement writes to {found.table} and to {entry[0].table}",
                hint="Write to one object in one statement; a transaction can hold several.",
                table=change.table,
            )
        found = entry[0]
    return found


def _no_row_twice(catalog: Catalog, spec: ObjectSpec, changes: Sequence[Change]) -> None:
    seen = set()
    for change in changes:
        row = change.old if change.old is not None else change.new
        assert row is not None
        child = spec.child_by_table.get(change.table)
        columns = ("id",) if child is None else child.key_columns
        if change.operation == "insert" and child is not None and child.key is None:
            continue  # new rows of a list without ids may all lack a position
        key = (change.table, *(str(row.get(column)) for column in columns))
        if key in seen:
            raise Unsupported(
                f"[{catalog.title}] {spec.title}: one row of {change.table} is written twice"
                " by the statement",
                hint="Write each row once in one statement.",
                table=change.table,
            )
        seen.add(key)


@dataclass(slots=True)
class _Group:
    """All changes of one record: its own row's, and its child rows'."""

    record_id: str
    own: Change | None
    children: dict[str, list[Change]]
    rows: list[int]


class _Planner:
    """Plans one statement; lives as long as one call of make_plan."""

    def __init__(self, catalog: Catalog, spec: ObjectSpec, request: WriteRequest) -> None:
        self._catalog = catalog
        self._spec = spec
        self._request = request

    def plan(self) -> WritePlan:
        steps: list[PlannedStep] = []
        inactive: list[Step] = []
        for group in self._groups():
            self._check_children(group)
            if group.own is None or group.own.operation == "update":
                planned = self._update(group)
            elif group.own.operation == "insert":
                planned = self._create(group)
            else:
                planned = self._delete(group, inactive)
            if planned is not None:
                steps.append(planned)
        told = [(planned.step, planned.deferred) for planned in steps if self._deleted(planned)]
        return WritePlan(tuple(steps), step_notices(self._catalog, told, inactive))

    def _deleted(self, planned: PlannedStep) -> bool:
        """Whether the client said DELETE, so that it is told what came of it."""
        return any(
            self._request.changes[row].operation == "delete"
            and self._request.changes[row].table == self._spec.table
            for row in planned.rows
        )

    # -- grouping --------------------------------------------------------------------------

    def _groups(self) -> list[_Group]:
        groups: dict[str, _Group] = {}
        for index, change in enumerate(self._request.changes):
            child = self._spec.child_by_table.get(change.table)
            row = change.old if change.old is not None else change.new
            assert row is not None
            record_id = row.get("id" if child is None else child.parent_column)
            if child is not None and record_id is None:
                raise BadReference(
                    f'{self._place(None).prefix}: null value in column "{child.parent_column}"'
                    f" of {child.table}",
                    table=child.table,
                    column=child.parent_column,
                )
            group = groups.setdefault(str(record_id), _Group(str(record_id), None, {}, []))
            group.rows.append(index)
            if child is None:
                group.own = change
            else:
                group.children.setdefault(child.table, []).append(change)
        return list(groups.values())

    def _check_children(self, group: _Group) -> None:
        parent_id = None if is_provisional(group.record_id) else group.record_id
        for table, changes in group.children.items():
            child, place = self._spec.child_by_table[table], self._place(parent_id, table)
            check_child_writable(place, child)
            if group.own is None:  # a record that takes no update says so, whatever the row
                check_operation(place, "update")
            for change in changes:
                self._check_child(place, child, change)

    def _check_child(self, place: Place, child: ChildSpec, change: Change) -> None:
        new, old = change.new, change.old
        if change.operation == "delete":
            return
        assert new is not None
        if change.operation == "insert":
            if child.key is not None and not is_provisional(new.get("id")):
                raise refuse_id(place, creating=True)
            for column, value in new.items():
                field = child.field(column)
                if field is None or value is None or column == "id":
                    continue
                check_writable(place, field, creating=True)
                check_value(place, field, value)
            check_required(place, child.fields, new, new)
            return
        assert old is not None
        if not same(old.get(child.parent_column), new.get(child.parent_column)):
            raise ReadOnlyColumn(
                f'{place.prefix}: column "{child.parent_column}" of {child.table} cannot change',
                hint="Delete the row and insert it where it belongs.",
                table=child.table,
                column=child.parent_column,
            )
        for column in _changed(old, new):
            if column == "id":
                raise refuse_id(place, creating=False)
            if column == "position":
                continue
            field = child.field(column)
            if field is None:
                raise self._unknown_column(place, column)
            check_writable(place, field, creating=False)
            check_value(place, field, new.get(column))

    # -- one record ------------------------------------------------------------------------

    def _create(self, group: _Group) -> PlannedStep:
        spec, change = self._spec, group.own
        assert change is not None
        assert change.new is not None
        place = self._place(None)
        check_operation(place, "create")
        if not is_provisional(change.new.get("id")):
            raise refuse_id(place, creating=True)
        given: dict[str, Any] = {}
        for column, value in change.new.items():
            if value is None or column == "id" or column.startswith("__"):
                continue
            field = self._field(place, column)
            check_writable(place, field, creating=True)
            check_value(place, field, value)
            given[column] = value
        fields = self._fields(place, given, {})
        new_children = self._lists(place, group, given, {}, fields)
        listed = {c.list_column: list_at(fields, c) or None for c in spec.children}
        check_required(place, spec.fields, given | listed, change.new)
        step = Step(StepKind.CREATE, spec, fields)
        return self._planned(group, step, change.new, new_children, group.record_id)

    def _update(self, group: _Group) -> PlannedStep | None:
        spec, change = self._spec, group.own
        place = self._place(group.record_id)
        base = self._base(place, group)
        record = decode(base)
        changed: dict[str, Any] = {}
        if change is not None:
            assert change.old is not None
            assert change.new is not None
            columns = _changed(change.old, change.new)
            if columns:  # a table that takes no update says so, whatever the column
                check_operation(place, "update")
            for column in columns:
                if column == "id":
                    raise refuse_id(place, creating=False)
                field = self._field(place, column)
                check_writable(place, field, creating=False)
                check_value(place, field, change.new.get(column))
                changed[column] = change.new.get(column)
        fields = self._fields(place, changed, record)
        new_children = self._lists(place, group, changed, record, fields)
        if not fields:
            return None
        check_operation(place, "update")
        row = change.new if change is not None and change.new is not None else {}
        ends = ending(place.prefix, spec, changed, record, alone=not group.children)
        if ends is not None:
            shown = encode(record | fields)
            step = Step(ends, spec, {}, group.record_id, base)
            return replace(self._planned(group, step, row, ()), shown=shown)
        kind = self._activity(changed) if not group.children else StepKind.UPDATE
        step = Step(kind, spec, fields, group.record_id, base)
        return self._planned(group, step, row, new_children)

    def _activity(self, changed: Mapping[str, Any]) -> StepKind:
        """UPDATE, or the step that makes a record inactive or active when it does only that."""
        if set(changed) != {ACTIVE_COLUMN} or not self._spec.can(StepKind.DEACTIVATE.value):
            return StepKind.UPDATE
        return StepKind.REACTIVATE if changed[ACTIVE_COLUMN] else StepKind.DEACTIVATE

    def _delete(self, group: _Group, inactive: list[Step]) -> PlannedStep | None:
        spec, change = self._spec, group.own
        assert change is not None
        assert change.old is not None
        place = self._place(group.record_id)
        check_operation(place, "delete")
        for child_changes in group.children.values():
            if any(child.operation != "delete" for child in child_changes):
                raise Unsupported(
                    f"{place.prefix}: the statement deletes it and writes to its rows",
                    hint="Delete the record alone; its rows go with it.",
                    table=child_changes[0].table,
                )
        kind = DELETE_STEPS[spec.delete_means]
        step = Step(kind, spec, {}, group.record_id, self._base(place, group))
        if kind is StepKind.DEACTIVATE and change.old.get(ACTIVE_COLUMN) is False:
            inactive.append(step)
            return None
        return self._planned(group, step, change.old, ())

    def _planned(
        self,
        group: _Group,
        step: Step,
        row: Mapping[str, Any],
        new_children: tuple[NewChildren, ...],
        provisional_id: str | None = None,
    ) -> PlannedStep:
        inverse = inverse_of(step.kind, self._spec)
        return PlannedStep(
            step=step,
            rows=tuple(group.rows),
            inverse=inverse,
            deferred=self._request.explicit_block
            and inverse is None
            and step.kind is not StepKind.CREATE,
            label=self._label(group, row),
            provisional_id=provisional_id,
            new_children=new_children,
        )

    def _label(self, group: _Group, row: Mapping[str, Any]) -> str:
        count = len(self._request.changes)
        return row_label(group.rows[0] + 1, count, row) if count > 1 else ""

    # -- parts -----------------------------------------------------------------------------

    def _place(self, record_id: str | None, table: str | None = None) -> Place:
        return Place(self._catalog, self._spec, table or self._spec.table, record_id)

    def _base(self, place: Place, group: _Group) -> bytes:
        base = self._request.parents.get((self._spec.table, group.record_id))
        if base is not None:
            return base
        if group.own is None:
            table = next(iter(group.children))
            raise BadReference(
                f"{place.prefix} not found",
                table=table,
                column=self._spec.child_by_table[table].parent_column,
            )
        raise NotFound(f"{place.prefix} not found", table=self._spec.table)

    def _field(self, place: Place, column: str) -> FieldSpec | Any:
        field = self._spec.by_column.get(column) or self._spec.custom_by_column.get(column)
        if field is None:
            raise self._unknown_column(place, column)
        return field

    def _unknown_column(self, place: Place, column: str) -> ReadOnlyColumn:
        hint = "It holds what the provider sent; write to the other columns."
        return ReadOnlyColumn(
            f'{place.prefix}: column "{column}" cannot be written',
            hint=hint if column == "raw" else None,
            table=place.table,
            column=column,
        )

    def _fields(
        self, place: Place, columns: Mapping[str, Any], record: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Provider JSON of changed columns; lists of rows without what the provider makes."""
        spec = self._spec
        plain = {c: v for c, v in columns.items() if c not in spec.custom_by_column}
        fields = dict(row_changes_to_fields(spec, plain)) if plain else {}
        for child in spec.children:
            if child.list_column not in plain:
                continue
            rows = plain[child.list_column]
            if rows is not None and not isinstance(rows, list):
                check_value(place, spec.by_column[child.list_column], rows)
                raise Unsupported(
                    f'{place.prefix}: column "{child.list_column}" takes a JSON array',
                    table=spec.table,
                    column=child.list_column,
                )
            set_path(fields, child.path, without_provider_rows(spec, rows or []))
        custom = {c: v for c, v in columns.items() if c in spec.custom_by_column}
        for path in dict.fromkeys(spec.custom_by_column[column].path for column in custom):
            found = get_path(fields, path)
            if not isinstance(found, list):
                found = get_path(record, path)
            base = found if isinstance(found, list) else None
            chosen = {c: v for c, v in custom.items() if spec.custom_by_column[c].path == path}
            set_path(fields, path, merge_custom_fields(base, spec, chosen))
        return fields

    def _lists(
        self,
        place: Place,
        group: _Group,
        columns: Mapping[str, Any],
        record: Mapping[str, Any],
        fields: dict[str, Any],
    ) -> tuple[NewChildren, ...]:
        """Puts rebuilt lists of child rows into `fields`."""
        added = []
        for table, changes in group.children.items():
            child = self._spec.child_by_table[table]
            if child.list_column in columns:
                raise Unsupported(
                    f'{place.prefix}: the statement writes column "{child.list_column}" and'
                    f" table {table}, which are the same list",
                    hint=f"Write to {table} or to {self._spec.table}.{child.list_column}.",
                    table=table,
                )
            try:
                rebuilt = rebuild(self._spec, child, record, changes)
            except LookupError as error:
                raise BadReference(
                    f"{place.prefix}: row `{error}` of {table} is not in the record any more",
                    table=table,
                ) from None
            if rebuilt is None:
                continue
            part: dict[str, Any] = {}
            set_path(part, child.path, rebuilt.rows)
            merge(fields, part)
            if rebuilt.new_ids and child.key is not None:
                added.append(NewChildren(table, rebuilt.new_ids))
        return tuple(added)


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [
        column
        for column in new
        if not column.startswith("__") and not same(old.get(column), new[column])
    ]


__all__ = [
    "DEFAULT_ROW_LIMIT",
    "NewChildren",
    "PlannedStep",
    "WritePlan",
    "inverse_of",
    "make_plan",
]
