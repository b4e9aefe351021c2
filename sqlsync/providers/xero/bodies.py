"""What stands in the body of a Xero write. No I/O.

- A member that is left out keeps its value, so an update carries its key, the members that
  change and those the object requires with every update. A nested object goes whole, merged.
- A record that another one names (a contact, an account) goes as its id alone: any more would
  change *that* record.
- A list goes whole. A line with its LineItemID is changed, one without is added, one that is
  left out is deleted. An address or phone that goes is emptied, since leaving it out keeps it.
- Of quantity, price and amount of a line two give the third, and a tax that is sent is kept:
  what was computed from values that change is not sent back.
- Text is cleared by the empty text. How anything else is cleared is not documented, and null
  may be ignored in silence; that is refused before anything is sent.
- A status only goes where the documented life of the object allows.

Source: Xero, "Requests and responses", "Invoices", "Contacts"; reference/xero/README.md 3.6, 9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from schema.model import ChildSpec, ColumnType, FieldSpec, Writable
from sqlsync.errors import InvalidValue
from sqlsync.providers.base import Step, StepKind
from sqlsync.providers.xero.calls import REFERENCES, SLOTS, Calls
from sqlsync.providers.xero.faults import About, rule_broken
from sqlsync.providers.xero.matching import number_of, same
from sqlsync.providers.xero.values import Json, as_sent

# What an answer says about a write and not about the record; and what is never sent back.
REMARKS = frozenset({"StatusAttributeString", "ValidationErrors", "Warnings"})
TRANSIENT = REMARKS | {"HasErrors", "HasValidationErrors"}
_EXACT = Decimal(0)
_PRICE = ("Quantity", "UnitAmount", "DiscountRate", "DiscountAmount")
_TAXED_BY = (*_PRICE, "LineAmount", "TaxType")


def created(step: Step, calls: Calls) -> Json:
    """The record of a CREATE. Raises InvalidValue or RuleBroken, nothing sent."""
    _refuse_what_json_cannot_say(step)
    fields = {name: value for name, value in step.fields.items() if name not in calls.lists}
    for member in calls.lists:
        if step.fields.get(member):
            raise rule_broken(
                about_step(step),
                f"{member} cannot be given with a new record",
                f"Insert the record first, then its rows of {calls.lists[member].child.table}.",
            )
    body = {name: _sent(name, value, None, calls) for name, value in fields.items()}
    return _finished(body)


def updated(step: Step, calls: Calls, base: Json) -> Json:
    """The members that an UPDATE sends, the key first. Raises as `created`."""
    _refuse_what_json_cannot_say(step)
    about = about_step(step)
    _check_status(step.fields, base, calls, about)
    body = {**_always(calls, base), **identity(step, calls, base)}
    for name, value in step.fields.items():
        if calls.match_by == name and not same(base.get(name), value):
            raise rule_broken(
                about,
                f"{name} cannot change, since Xero finds the record by it",
                "Insert a new one, and delete the old one.",
            )
        cleared = _cleared(value, base.get(name), (name,), calls, about)
        if cleared is not _NOTHING_TO_DO:
            body[name] = _sent(name, cleared, base.get(name), calls)
    return _finished(body)


def row_of(row: Json, child: ChildSpec) -> Json:
    """A row of a list that has calls of its own."""
    [sent] = _rows(child.path[0], [row], [], child)
    return _finished(sent)


def status_change(step: Step, calls: Calls, base: Json, status: str, *, bare: bool) -> Json:
    """A record's key and its new status, which goes alone. bare: the address has the key."""
    if bare:
        return {calls.status_member: status}
    key = {**_always(calls, base), **identity(step, calls, base)}
    return _finished({**key, calls.status_member: status})


def _always(calls: Calls, base: Json) -> Json:
    return {
        member: _sent(member, base[member], base[member], calls)
        for member in calls.always
        if base.get(member) is not None
    }


def identity(step: Step, calls: Calls, base: Json) -> Json:
    """What Xero finds the record by. Without it a POST would find another one by its name."""
    if calls.match_by is not None:
        return {calls.match_by: base.get(calls.match_by), calls.id_member: step.id}
    return {calls.id_member: step.id}


def target_status(step: Step, calls: Calls, base: Json) -> str:
    """The status by which a DELETE, VOID, DEACTIVATE or REACTIVATE is said.

    Raises RuleBroken where the record's status allows none.
    """
    about = about_step(step)
    status = base.get(calls.status_member)
    if step.kind is StepKind.REACTIVATE:
        if "ACTIVE" not in calls.status_flow.get(str(status), ()):
            raise rule_broken(
                about, "Xero restores no archived record through its API", "Restore it in Xero."
            )
        return "ACTIVE"
    if step.kind is StepKind.DEACTIVATE:
        return calls.archive_status or "ARCHIVED"
    found = calls.write_status(status if isinstance(status, str) else None)
    if found is None:
        raise rule_broken(
            about,
            f"it is {status}, and Xero deletes or voids none in that state",
            f"Those can be: {', '.join(calls.delete_status) or 'none'}.",
            column=_column(calls, calls.status_member),
        )
    return found


def about_step(step: Step) -> About:
    return About(step.spec, step.id, creates=step.kind is StepKind.CREATE, changes=True)


def refuse_other_kinds(step: Step, calls: Calls, base: Json) -> None:
    """Some objects can be changed only if they are of certain kinds ("Type=SPEND,RECEIVE")."""
    member, _, kinds = step.spec.extra.get("only_for", "").partition("=")
    kind = base.get(member)
    if member and kind is not None and kind not in kinds.split(","):
        raise rule_broken(
            about_step(step),
            f"it is of {member} {kind}, and Xero changes or deletes none of those",
            f"Those can be: {kinds.replace(',', ', ')}.",
        )


# -- statuses ------------------------------------------------------------------------------


def _check_status(fields: Mapping[str, Any], base: Json, calls: Calls, about: About) -> None:
    member = calls.status_member
    if member not in fields:
        return
    old, new = base.get(member), fields[member]
    if new == old or not isinstance(new, str):
        return
    column = _column(calls, member)
    allowed = calls.status_flow.get(str(old), ())
    if calls.status_flow and old is not None and new not in allowed:
        raise rule_broken(
            about,
            f"status {old} cannot become {new}",
            f"From {old} it can become {', '.join(allowed)}." if allowed else f"{old} is final.",
            column=column,
        )
    if new == calls.archive_status and len(fields) > 1:
        raise rule_broken(
            about,
            f"status {new} must be set alone",
            "Change the other columns in a statement before it.",
            column=column,
        )


def _column(calls: Calls, member: str) -> str | None:
    return next((f.column for f in calls.spec.fields if f.path == (member,)), None)


# -- members -------------------------------------------------------------------------------

_NOTHING_TO_DO = object()


def _cleared(value: Any, old: Any, path: tuple[str, ...], calls: Calls, about: About) -> Any:
    """The value with nulls said as Xero takes them; _NOTHING_TO_DO where there is nothing."""
    if isinstance(value, dict):
        was = old if isinstance(old, dict) else {}
        parts = {
            name: _cleared(part, was.get(name), (*path, name), calls, about)
            for name, part in value.items()
        }
        parts = {name: part for name, part in parts.items() if part is not _NOTHING_TO_DO}
        return parts or _NOTHING_TO_DO
    if value is not None:
        return value
    if _is_nothing(old) or old == "":
        return _NOTHING_TO_DO
    field = next((f for f in calls.spec.fields if f.path == path), None)
    if isinstance(old, list):
        return []
    if field is None or not _clears_by_empty_text(field):
        raise rule_broken(
            about,
            f"{'.'.join(path)} cannot be cleared through Xero's API",
            "Set another value, or clear it in Xero.",
            column=field.column if field is not None else None,
        )
    return ""


def _clears_by_empty_text(field: FieldSpec) -> bool:
    return field.type is ColumnType.TEXT and not field.enum and field.references is None


def _sent(name: str, value: Any, old: Any, calls: Calls) -> Any:
    if isinstance(value, dict):
        key = REFERENCES.get(name)
        if key is not None:
            return {key: value[key]} if value.get(key) else value
        return _without_read_only(_merged(old, value), (name,), calls)
    if isinstance(value, list):
        child = next((c for c in calls.spec.children if c.path == (name,)), None)
        return _rows(name, value, old if isinstance(old, list) else [], child)
    return value


def _merged(base: Any, change: Any) -> Any:
    """`change` laid over `base`, objects member by member; one that names a record is new."""
    if isinstance(change, dict) and isinstance(base, dict):
        return {**base, **{name: _merged(base.get(name), v) for name, v in change.items()}}
    return change


def _without_read_only(value: Any, at: tuple[str, ...], calls: Calls) -> Any:
    never = {f.path for f in calls.spec.fields if f.writable is Writable.NEVER}
    return _with_numbers(_without(value, at, never), at, calls.spec.fields)


def _with_numbers(value: Any, at: tuple[str, ...], fields: Sequence[FieldSpec]) -> Any:
    """Numbers as numbers: a record may show them as texts, a request may not say them so."""
    if isinstance(value, dict):
        return {name: _with_numbers(part, (*at, name), fields) for name, part in value.items()}
    if isinstance(value, str) and any(
        f.path == at and f.type is ColumnType.NUMERIC for f in fields
    ):
        number = number_of(value)
        return value if number is None else number
    return value


def _without(value: Any, at: tuple[str, ...], never: set[tuple[str, ...]]) -> Any:
    if not isinstance(value, dict):
        return value
    found = {}
    for name, member in value.items():
        if (*at, name) in never or name in TRANSIENT:
            continue
        inner = _without(member, (*at, name), never)
        if inner != {} or member == {}:
            found[name] = inner
    return found


def _finished(body: Json) -> Json:
    """Without what is null: to Xero that is the same as left out."""
    return {
        name: as_sent(_without_nulls(value))
        for name, value in body.items()
        if not _is_nothing(value)
    }


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {n: _without_nulls(v) for n, v in value.items() if not _is_nothing(v)}
    if isinstance(value, list):
        return [_without_nulls(row) for row in value]
    return value


def _is_nothing(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_nothing(member) for member in value.values())
    return value is None


# -- lists ---------------------------------------------------------------------------------


def _rows(name: str, rows: list[Any], old: list[Any], child: ChildSpec | None) -> list[Any]:
    key = SLOTS.get(name) or (child.key if child is not None else None)
    known = {
        row[key]: row for row in old if key is not None and isinstance(row, dict) and row.get(key)
    }
    never = {f.path for f in child.fields if f.writable is Writable.NEVER} if child else set()
    found: list[Any] = []
    for row in rows:
        if not isinstance(row, dict):
            found.append(row)
            continue
        was = known.pop(row.get(key), None) if key is not None else None
        whole = _row(row, was, child)
        kept = _with_numbers(_without(whole, (), never), (), child.fields if child else ())
        sent = {n: _reference(n, v) for n, v in kept.items()}
        found.append({n: v for n, v in sent.items() if v is not None})
    if name in SLOTS:
        found += [_emptied(row, SLOTS[name]) for row in known.values()]
    return found


def _row(row: Json, was: Json | None, child: ChildSpec | None) -> Json:
    """A row that is consistent in itself, after some of its members were changed."""
    if was is None:
        return row
    whole = {**row, **_emptied_texts(row, was, child)}

    def changed(*members: str) -> bool:
        return any(not same(row.get(m), was.get(m), rounding=_EXACT) for m in members)

    if changed(*_PRICE) and not changed("LineAmount"):
        whole.pop("LineAmount", None)
    elif changed("LineAmount") and not changed(*_PRICE):
        whole.pop("UnitAmount", None)
    if changed(*_TAXED_BY) and not changed("TaxAmount"):
        whole.pop("TaxAmount", None)
    for one, other in (("DiscountRate", "DiscountAmount"), ("DiscountAmount", "DiscountRate")):
        if changed(one) and not changed(other):
            whole.pop(other, None)
    return whole


def _emptied_texts(row: Json, was: Json, child: ChildSpec | None) -> Json:
    """Texts that a row had and has no more: they are named, or they might stay."""
    if child is None:
        return {}
    return {
        field.path[0]: ""
        for field in child.fields
        if len(field.path) == 1
        and field.writable is not Writable.NEVER
        and _clears_by_empty_text(field)
        and row.get(field.path[0]) is None
        and was.get(field.path[0])
    }


def _reference(name: str, value: Any) -> Any:
    key = REFERENCES.get(name)
    if key is not None and isinstance(value, dict) and value.get(key):
        return {key: value[key]}
    return value


def _emptied(row: Json, key: str) -> Json:
    return {name: value if name == key else "" for name, value in row.items()}


def _refuse_what_json_cannot_say(step: Step) -> None:
    def check(value: Any) -> None:
        if isinstance(value, Mapping):
            for member in value.values():
                check(member)
        elif isinstance(value, list | tuple):
            for member in value:
                check(member)
        elif isinstance(value, Decimal) and not value.is_finite():
            raise InvalidValue(
                f"{about_step(step).subject}: {value} is not a number Xero takes.",
                table=step.spec.table,
            )

    check(step.fields)
