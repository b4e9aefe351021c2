"""What takes a step back, and which steps end a record's life. Pure.

A step without an inverse waits for the client's COMMIT: DELETE where it is final, and an UPDATE
that sets a status nothing leads out of (`set status = 'VOIDED'`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schema.model import DeleteMeans, ObjectSpec
from sqlsync.errors import RuleBroken
from sqlsync.providers.base import StepKind

ARCHIVED = "ARCHIVED"

DELETE_STEPS = {
    DeleteMeans.DELETE: StepKind.DELETE,
    DeleteMeans.VOID: StepKind.VOID,
    DeleteMeans.DEACTIVATE: StepKind.DEACTIVATE,
    DeleteMeans.ARCHIVE: StepKind.DEACTIVATE,
    DeleteMeans.STATUS: StepKind.VOID,
}
_INVERSES = {
    StepKind.UPDATE: StepKind.UPDATE,
    StepKind.DEACTIVATE: StepKind.REACTIVATE,
    StepKind.REACTIVATE: StepKind.DEACTIVATE,
}


def inverse_of(kind: StepKind, spec: ObjectSpec) -> StepKind | None:
    """What undoes a step of this kind on this object, None where nothing does."""
    if kind is StepKind.CREATE:
        for operation in (StepKind.DELETE, StepKind.VOID, StepKind.DEACTIVATE):
            if spec.can(operation.value):
                return operation
        return None
    if kind is StepKind.DEACTIVATE and not _comes_back(spec):
        return None
    return _INVERSES.get(kind)


def ending(
    subject: str,
    spec: ObjectSpec,
    changed: Mapping[str, Any],
    record: Mapping[str, Any],
    *,
    alone: bool,
) -> StepKind | None:
    """The step of an UPDATE that ends a record's life by its status; None where it does not.

    changed: columns with their new values. record: as the provider gave it. alone: no child row
    is written with it. Raises RuleBroken where such a status does not stand alone: whether the
    provider would take other members beside it is not known, and there is no second try.
    """
    member = spec.extra.get("status_member")
    column = next((f.column for f in spec.fields if f.path == (member,)), None)
    if column is None or column not in changed:
        return None
    status = changed[column]
    kind: StepKind | None = None
    if status is not None and status == spec.status_of_deleted(record.get(str(member))):
        kind = DELETE_STEPS[spec.delete_means]
    elif status == ARCHIVED and spec.can(StepKind.DEACTIVATE.value):
        kind = StepKind.DEACTIVATE
    if kind is not None and (len(changed) > 1 or not alone):
        raise RuleBroken(
            f"{subject}: status {status} must be set alone",
            hint="Change the other columns in a statement before it.",
            table=spec.table,
            column=column,
        )
    return kind


def _comes_back(spec: ObjectSpec) -> bool:
    """Whether an inactive record can be made active again."""
    if spec.delete_means is DeleteMeans.ARCHIVE:
        return False
    return "status_member" not in spec.extra or f"{ARCHIVED}=" in spec.extra.get("status_flow", "")
