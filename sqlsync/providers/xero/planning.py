"""From steps to the requests that carry them. No I/O.

Steps of one kind that follow each other travel together where Xero answers each by itself;
others travel alone. What can be refused here is refused here, and nothing is sent for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlsync.errors import ProviderRefusal, StaleVersion
from sqlsync.providers.base import Outcome, Record, Step, StepKind
from sqlsync.providers.messages import HttpRequest
from sqlsync.providers.xero import bodies
from sqlsync.providers.xero.calls import BARE, EACH_ANSWERED, Calls, CallSpec, ListCalls
from sqlsync.providers.xero.faults import About, not_found, rule_broken
from sqlsync.providers.xero.matching import differs, shows
from sqlsync.providers.xero.requests import Tenant, fits, write
from sqlsync.providers.xero.values import FOUR_DECIMALS, Json, decode_record, instant_of

_REMOVALS = (StepKind.DELETE, StepKind.VOID)


@dataclass(frozen=True, slots=True)
class Planned:
    """One request. indexes: of the steps it carries, in its order.

    answer: what comes back: the "records", "nothing" but that it is gone, or the "row" of a list
    that has calls of its own, after which the record itself must be read.
    """

    request: HttpRequest
    indexes: tuple[int, ...]
    answer: str
    collection: str
    known: tuple[Mapping[str, Any], ...]  # of each step: members that an answer may leave out


@dataclass(frozen=True, slots=True)
class Plan:
    """The requests in order, and the steps that are refused without any."""

    requests: tuple[Planned, ...]
    refused: Mapping[int, ProviderRefusal]


@dataclass(frozen=True, slots=True)
class _Element:
    index: int
    calls: Calls
    call: CallSpec
    body: Json | None
    collection: str
    values: Mapping[str, str] = field(default_factory=dict)  # for the places of the path
    answer: str = "records"
    together: CallSpec | None = None  # the call that carries several of these
    bare_body: Json | None = None  # where the element alone says less
    known: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Group:
    elements: list[_Element] = field(default_factory=list)


def judge(step: Step, calls: Calls, current: Record | None) -> Outcome | None:
    """What can be said of a step on a record before it is sent; None: it may go.

    Xero has no version to send along, so that the record is read and compared: changed since
    the base was read, and not to what the step wants, is StaleVersion. Between this and the
    write a change can still slip in; nothing at Xero prevents it.
    """
    about = bodies.about_step(step)
    if current is None:
        return not_found(about)
    now = decode_record(current.raw)
    base = decode_record(step.base) if step.base is not None else now
    newer = _is_newer(calls, base, current)
    try:
        done = _is_done(step, calls, base, now)
    except ProviderRefusal as refused:
        return refused if not newer else _stale(step, about, current)
    if done and (newer or step.kind is not StepKind.UPDATE):
        return current
    lists = calls.modified_member is None or any(m in calls.lists for m in step.fields)
    known = _known(calls, base), _known(calls, now)
    if newer or differs(*known, step.fields, lists=lists):
        return _stale(step, about, current)
    return None


def make_plan(tenant: Tenant, steps: Sequence[tuple[int, Step, Calls]], key: str) -> Plan:
    """Requests for the steps, in their order. key: the call's."""
    refused: dict[int, ProviderRefusal] = {}
    elements: list[_Element] = []
    for index, step, calls in steps:
        try:
            elements.append(_element(index, step, calls))
        except ProviderRefusal as refusal:
            refused[index] = refusal
    planned = [_request(tenant, group.elements, key) for group in _grouped(elements)]
    return Plan(tuple(planned), refused)


# -- one step ------------------------------------------------------------------------------


def _element(index: int, step: Step, calls: Calls) -> _Element:
    about = bodies.about_step(step)
    if step.kind is StepKind.CREATE:
        if calls.create is None:
            raise _impossible(about, "created")
        body = bodies.created(step, calls)
        values, known = _values(calls.create, step, body, about)
        return _Element(
            index,
            calls,
            calls.create,
            {name: value for name, value in body.items() if name not in known},
            calls.collection,
            values,
            together=calls.create if calls.create.name in EACH_ANSWERED else None,
            known=known,
        )
    base = _base(step, about)
    bodies.refuse_other_kinds(step, calls, base)
    if step.kind is StepKind.UPDATE and any(member in calls.lists for member in step.fields):
        return _row(index, step, calls, base, about)
    if step.kind in _REMOVALS and calls.delete is not None and calls.delete.method == "DELETE":
        values, _ = _values(calls.delete, step, base, about)
        return _Element(
            index, calls, calls.delete, None, calls.collection, values, answer="nothing"
        )
    if step.kind is StepKind.UPDATE:
        if calls.update is None:
            raise _impossible(about, "changed")
        body = bodies.updated(step, calls, base)
        return _on_record(index, step, calls, calls.update, base, body)
    posts = (calls.delete, calls.update)
    call = next((c for c in posts if c is not None and c.method != "DELETE"), None)
    if call is None:
        raise _impossible(about, "deleted")
    status = bodies.target_status(step, calls, base)
    body = bodies.status_change(step, calls, base, status, bare=False)
    bare = bodies.status_change(step, calls, base, status, bare=True)
    return _on_record(index, step, calls, call, base, body, bare)


def _on_record(
    index: int,
    step: Step,
    calls: Calls,
    call: CallSpec,
    base: Json,
    body: Json,
    bare: Json | None = None,
) -> _Element:
    values, known = _values(call, step, base, bodies.about_step(step))
    # The same for several records, their keys in the elements.
    together = call.collection if calls.bulk > 1 else None
    if together is not None and together.name not in EACH_ANSWERED:
        together = None
    return _Element(
        index,
        calls,
        call,
        {name: value for name, value in body.items() if name not in known},
        calls.collection,
        values,
        together=together,
        bare_body=bare if call.name in BARE and calls.match_by is None else None,
        known=known,
    )


def _row(index: int, step: Step, calls: Calls, base: Json, about: About) -> _Element:
    """One row of a list whose rows Xero writes one by one."""
    [member, *others] = step.fields
    if others:
        raise rule_broken(
            about,
            f"{member if member in calls.lists else others[0]} is written by calls of its own",
            "Write to that table in a statement of its own.",
        )
    lists = calls.lists[member]
    rows = [row for row in step.fields[member] or () if isinstance(row, dict)]
    call, row, row_id = _row_change(rows, _by_key(base.get(member), lists.key), lists, about)
    if call is None:
        raise rule_broken(
            about,
            f"rows of {lists.child.table} cannot be {'changed' if row_id else 'added'} like this",
            "Xero's API has no call for it.",
        )
    values, _ = _values(call, step, base, about, row_id)
    body = bodies.row_of(row, lists.child) if row is not None else None
    return _Element(index, calls, call, body, member, values, answer="row")


def _row_change(
    rows: Sequence[Json], known: Mapping[str, Json], lists: ListCalls, about: About
) -> tuple[CallSpec | None, Json | None, str]:
    """The call for the one row that is new, changed or gone; the row; its key."""
    added = [row for row in rows if row.get(lists.key) not in known]
    kept = {row[lists.key]: row for row in rows if row.get(lists.key) in known}
    removed = [row_id for row_id in known if row_id not in kept]
    changed = [
        row_id for row_id, row in kept.items() if not shows(known[row_id], row, fine=FOUR_DECIMALS)
    ]
    if len(added) + len(removed) + len(changed) != 1:
        raise rule_broken(
            about,
            f"not one row of {lists.child.table} is written, but"
            f" {len(added) + len(removed) + len(changed)}",
            "Xero writes them one by one: one row in one statement.",
        )
    if added:
        return lists.add, added[0], ""
    if changed:
        return lists.change, kept[changed[0]], changed[0]
    return lists.remove, None, removed[0]


def _values(
    call: CallSpec, step: Step, record: Json, about: About, row_id: str = ""
) -> tuple[dict[str, str], dict[str, Any]]:
    """What fills the places of a call's path, and which members of the record did."""
    values: dict[str, str] = {}
    known: dict[str, Any] = {}
    for place in call.places:
        if place in ("id", "row"):
            values[place] = str(step.id) if place == "id" else row_id
            continue
        member = step.spec.by_column[place].path[0]
        if not record.get(member):
            raise rule_broken(
                about, f"{place} is missing", "Xero's address needs it.", column=place
            )
        known[member] = record[member]
        values[place] = str(record[member])
    return values, known


def _base(step: Step, about: About) -> Json:
    if step.base is None:
        raise rule_broken(
            about, f"the record as it stands is needed to {step.kind.value} it", "Read it first."
        )
    return decode_record(step.base)


def _impossible(about: About, what: str) -> ProviderRefusal:
    return rule_broken(about, f"none can be {what} through Xero's API", "Do it in Xero.")


# -- what stands already -------------------------------------------------------------------


def _is_newer(calls: Calls, base: Json, current: Record) -> bool:
    was = instant_of(base.get(calls.modified_member)) if calls.modified_member else None
    return was is not None and current.updated_at is not None and current.updated_at > was


def _is_done(step: Step, calls: Calls, base: Json, now: Json) -> bool:
    """Whether the record shows already what the step wants: it was sent before, or by others."""
    if step.kind is StepKind.UPDATE:
        if any(member in calls.lists for member in step.fields):
            return all(
                m in calls.lists and _same_rows(now.get(m), v, calls, m)
                for m, v in step.fields.items()
            )
        keys = {calls.id_member, calls.match_by, *calls.always}
        wanted = {
            name: value
            for name, value in bodies.updated(step, calls, base).items()
            if name not in keys or name in step.fields
        }
        return shows(_known(calls, now), _known(calls, wanted), fine=calls.price_rounding)
    if step.kind in _REMOVALS and calls.delete is not None and calls.delete.method == "DELETE":
        return False
    return bool(now.get(calls.status_member) == bodies.target_status(step, calls, base))


def _same_rows(rows: Any, wanted: Any, calls: Calls, member: str) -> bool:
    there = list(_by_key(rows, calls.lists[member].key).values())
    said = {member: there}, {member: list(wanted or ())}
    return shows(_known(calls, said[0]), _known(calls, said[1]))


def _known(calls: Calls, record: Json) -> Json:
    """The record with those members of its rows alone that the catalog knows: one that is new
    at Xero must not make two readings of the same row different."""
    found = dict(record)
    for child in calls.spec.children:
        rows = record.get(child.path[0]) if len(child.path) == 1 else None
        if isinstance(rows, list):
            names = {child.key, *(field.path[0] for field in child.fields)}
            found[child.path[0]] = [
                {name: row[name] for name in row if name in names} if isinstance(row, dict) else row
                for row in rows
            ]
    return found


def _by_key(rows: Any, key: str) -> dict[str, Json]:
    """Rows by their key, without those that Xero shows as deleted."""
    return {
        row[key]: row
        for row in rows or ()
        if isinstance(row, dict) and row.get(key) and not row.get("IsDeleted")
    }


def _stale(step: Step, about: About, current: Record) -> StaleVersion:
    at = f" at {current.updated_at.isoformat()}" if current.updated_at is not None else ""
    return StaleVersion(
        f"{about.subject}: it was changed in Xero{at}, after it was read here",
        table=step.spec.table,
    )


# -- requests ------------------------------------------------------------------------------


def _grouped(elements: Sequence[_Element]) -> list[_Group]:
    groups: list[_Group] = []
    for element in elements:
        if groups and _joins(groups[-1].elements, element):
            groups[-1].elements.append(element)
        else:
            groups.append(_Group([element]))
    return groups


def _joins(present: Sequence[_Element], element: _Element) -> bool:
    first = present[0]
    return (
        element.together is not None
        and element.together == first.together
        and element.collection == first.collection
        and len(present) < element.calls.bulk
        and ("id" not in element.values or all(e.values != element.values for e in present))
        and fits([e.body for e in present], element.body)
    )


def _request(tenant: Tenant, elements: Sequence[_Element], key: str) -> Planned:
    first = elements[0]
    indexes = tuple(element.index for element in elements)
    # Two rows that say the same are two records: what is sent does not tell their requests apart.
    key = f"{key}-{first.index}"
    if len(elements) > 1:
        assert first.together is not None
        body: Any = [element.body for element in elements]
        request = write(tenant, first.together, key, body, collection=first.collection)
    else:
        body = first.bare_body if first.bare_body is not None else first.body
        request = write(
            tenant,
            first.call,
            key,
            body,
            collection=first.collection,
            values=first.values,
        )
    known = tuple(element.known for element in elements)
    return Planned(request, indexes, first.answer, first.collection, known)
