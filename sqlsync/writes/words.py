"""How the write engine names things to people: records, rows, what DELETE really did.

Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schema.model import Catalog, DeleteMeans, ObjectSpec
from sqlsync.providers.base import Step, StepKind
from sqlsync.writes.values import decode, get_path, leaves, same, same_or_absent

_NAMED_BY = ("display_name", "name", "doc_number", "fully_qualified_name")
_NOTICES_ALONE = 5  # more of one kind are told in one line


def prefix(catalog: Catalog, spec: ObjectSpec, record_id: str | None = None) -> str:
    """The beginning of an error: "[QuickBooks] Customer `42`"; without id for a create."""
    record = f" `{record_id}`" if record_id is not None else ""
    return f"[{catalog.title}] {spec.title}{record}"


def plural(spec: ObjectSpec) -> str:
    """ "customers", "bill payments", "companies"."""
    word = spec.title.lower()
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch")) else "s")


def row_label(number: int, count: int, row: Mapping[str, Any]) -> str:
    """Which row of a statement: "row 3 of 5 (display_name = Acme)"."""
    named = next((f" ({c} = {row[c]})" for c in _NAMED_BY if row.get(c)), "")
    return f"row {number} of {count}{named}"


def step_notices(
    catalog: Catalog, steps: Iterable[tuple[Step, bool]], already_inactive: Sequence[Step] = ()
) -> tuple[str, ...]:
    """What DELETE came to, one line a record, or one a kind where there are many.

    steps: with True where the step waits for COMMIT.
    """
    lines: list[tuple[tuple[StepKind, str, str], str]] = []
    specs: dict[str, ObjectSpec] = {}
    for step, deferred in steps:
        verbs = _verbs(step)
        if verbs is not None:
            specs[step.spec.table] = step.spec
            verb = verbs[1 if deferred else 0]
            reason = _reason(catalog, step.spec, step.kind)
            sentence = f"{step.spec.title} `{step.id}` {verb} {catalog.title}{reason}"
            lines.append(((step.kind, step.spec.table, verb), sentence))
    counted = Counter(kind for kind, _ in lines)
    notices = [text for kind, text in lines if counted[kind] <= _NOTICES_ALONE]
    for (step_kind, table, verb), count in counted.items():
        if count > _NOTICES_ALONE:
            spec = specs[table]
            verbs_of_many = verb.replace("was ", "were ")
            reason = _reason(catalog, spec, step_kind)
            notices.append(f"{count} {plural(spec)} {verbs_of_many} {catalog.title}{reason}")
    notices.extend(
        f"{step.spec.title} `{step.id}` is already inactive at {catalog.title}"
        for step in already_inactive
    )
    return tuple(notices)


def kept_notices(catalog: Catalog, done: Iterable[tuple[Step, bytes]]) -> tuple[str, ...]:
    """Says which columns a provider accepted and left as they were.

    done: updates, with the record as the provider answered it. Members that a provider takes
    for read-only are ignored, not refused, and which those are is not documented for all.
    Source: Intuit, reference of each object.
    """
    found: Counter[tuple[str, str]] = Counter()
    records: dict[tuple[str, str], str] = {}
    for step, answer in done:
        if step.kind is not StepKind.UPDATE or step.base is None:
            continue
        before, after = decode(step.base), decode(answer)
        columns = {field.path: field.column for field in step.spec.fields}
        for path, wanted in leaves(step.fields):
            there = get_path(after, path)
            if path not in columns or isinstance(wanted, list | dict) or wanted == "":
                continue
            if same(there, get_path(before, path)) and not same_or_absent(there, wanted):
                key = (step.spec.table, columns[path])
                found[key] += 1
                records[key] = prefix(catalog, step.spec, step.id)
    return tuple(
        f"{records[table, column]}{f' and {count - 1} more' if count > 1 else ''}:"
        f' {catalog.title} left "{column}" as it was'
        for (table, column), count in found.items()
    )


# kind -> (done now, waits for COMMIT)
_VERBS: dict[StepKind, tuple[str, str]] = {
    StepKind.DELETE: ("was deleted at", "will be deleted, when the transaction commits, at"),
    StepKind.VOID: ("was voided at", "will be voided, when the transaction commits, at"),
    StepKind.DEACTIVATE: ("was made inactive at", "was made inactive at"),
}
_ARCHIVED = ("was archived at", "will be archived, when the transaction commits, at")


def _verbs(step: Step) -> tuple[str, str] | None:
    means = step.spec.delete_means
    if means is DeleteMeans.ARCHIVE and step.kind is StepKind.DEACTIVATE:
        return _ARCHIVED
    if means is DeleteMeans.STATUS and step.kind is StepKind.VOID and step.base is not None:
        member = step.spec.extra["status_member"]
        status = step.spec.status_of_deleted(get_path(decode(step.base), (member,)))
        if status is not None:
            changes = f"be given status {status}, when the transaction commits, at"
            return f"was given status {status} at", f"will {changes}"
    return _VERBS.get(step.kind)


def _reason(catalog: Catalog, spec: ObjectSpec, kind: StepKind) -> str:
    if kind is StepKind.DELETE:
        return ""
    return f"; {catalog.title} does not delete {plural(spec)}"
