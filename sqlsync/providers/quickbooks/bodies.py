"""What stands in the body of a QuickBooks write. No I/O.

QuickBooks has two updates. A *sparse* one changes what it names; a *full* one empties what it
leaves out. Sparse is documented for some objects only, null is ignored by some fields in a
sparse update, and an empty text clears a text but is no valid date, number or enum. Hence:

- change members of an object that documents sparse: sparse, with the changed members and those
  that every update needs;
- change members of another object: the whole record merged, *and* marked sparse. Where the
  service honours the mark nothing left out is lost, and where it does not, all is there;
- clear a text (no enum, no reference): as above, with "";
- clear anything else: full, the whole record merged, the member left out.

A nested object (an address, an e-mail) is always sent whole, merged from the base: whether a
sparse update merges inside it is not documented. Lists are sent whole; rows the service makes
itself (SubTotalLineDetail) are never sent. Read-only members are left out. Members that are
masked on reading (tax numbers) are never sent back unless the step itself sets them; a full
update of a record that has one would destroy it and is refused.

Source: reference of each object; "Basic ID and field definitions"; "Create or update".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from schema.model import ColumnType, FieldSpec, ObjectSpec, Writable
from sqlsync.errors import InvalidValue, ProviderFault, RuleBroken
from sqlsync.providers.base import Step, StepKind
from sqlsync.providers.quickbooks.shapes import outgoing

Json = dict[str, Any]

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)

# Members of every record that only the service writes.
_SERVER_MEMBERS = frozenset({"MetaData", "domain", "status", "sparse", "time"})
_SERVER_ROW_MEMBERS = frozenset({"LineEx"})
_SERVER_ROWS = frozenset({"SubTotalLineDetail"})
# Masked on reading: what was read must never be written back. Source: objects' references.
MASKED = frozenset(
    {
        "TaxIdentifier",
        "PrimaryTaxIdentifier",
        "SecondaryTaxIdentifier",
        "SSN",
        "VendorPaymentBankDetail",
    }
)
# The members that carry the suffix which the service appends to an inactive record's name.
_NAMES = ("DisplayName", "Name")
_DELETED_SUFFIX = re.compile(r"(?: \(deleted\))+$", re.IGNORECASE)


def encode_json(value: Any) -> bytes:
    """Exact numbers: a Decimal is written as the number it is."""
    return _encoder.encode(value)


def decode_json(raw: bytes) -> Json:
    """Exact numbers: what has a point or an exponent comes as Decimal.

    Raises ProviderFault where `raw` is not one JSON object.
    """
    try:
        return _decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise ProviderFault(f"A stored record is not JSON: {error}") from error


def without_deleted_suffix(name: str) -> str:
    """The name an inactive record had: `Acme (deleted)` was `Acme`."""
    return _DELETED_SUFFIX.sub("", name)


def void_params(spec: ObjectSpec) -> tuple[tuple[str, str], ...]:
    """How an object is voided: the parameters that its catalog file gives as `void`."""
    return tuple(parse_qsl(spec.extra.get("void", "operation=void")))


def step_body(step: Step) -> Json:
    """The record as it goes into a write. Raises InvalidValue or RuleBroken, nothing sent."""
    _refuse_what_json_cannot_say(step.fields, step.spec)
    if step.kind is StepKind.CREATE:
        return outgoing(step.spec, _created(step.fields), {})
    base = _base(step)
    return outgoing(step.spec, _changed(step, base), base)


def _changed(step: Step, base: Json) -> Json:
    if step.kind in (StepKind.DELETE, StepKind.VOID):
        body = _identity(step, base)
        if step.kind is StepKind.VOID and ("include", "void") in void_params(step.spec):
            body["sparse"] = True
        return body
    fields = dict(step.fields)
    if step.kind is StepKind.DEACTIVATE:
        fields["Active"] = False
    elif step.kind is StepKind.REACTIVATE:
        fields["Active"] = True
    return _updated(step, base, _with_living_name(fields, base))


def _created(fields: Mapping[str, Any]) -> Json:
    body = _without_nulls(fields)
    return {name: _rows(value) for name, value in body.items()}


def _updated(step: Step, base: Json, fields: Json) -> Json:
    spec = step.spec
    full = any(not _clears_by_empty_text(path, spec) for path in _cleared(fields))
    merged = {name: _merged(base.get(name), value) for name, value in fields.items()}
    if full:
        masked = sorted(m for m in MASKED if base.get(m) and m not in fields)
        if masked:
            raise RuleBroken(
                f"[QuickBooks] {spec.title} `{step.id}`: clearing this here would also clear"
                f" {', '.join(masked)}, which QuickBooks shows only masked.",
                hint="Clear it in QuickBooks.",
                table=spec.table,
            )
        body = {**_required(base, spec), **_writable(base, spec), **merged}
        body = _without_nothing(body)
    elif spec.can("sparse_update"):
        body = {**_required(base, spec), **_emptied(merged)}
    else:
        body = {**_required(base, spec), **_writable(base, spec), **_emptied(merged)}
    if "Line" in fields and "TxnTaxDetail" not in fields:
        _let_tax_be_computed(body)
    body = {name: _rows(value) for name, value in body.items()}
    return {**body, **_identity(step, base), "sparse": not full}


def _required(base: Json, spec: ObjectSpec) -> Json:
    """What every update of the object has to say, changed or not."""
    return {m: base[m] for m in spec.update_requires if base.get(m) is not None}


def _identity(step: Step, base: Json) -> Json:
    identity: Json = {"Id": step.id or base.get("Id")}
    if base.get("SyncToken") is not None:
        identity["SyncToken"] = base["SyncToken"]
    return identity


def _base(step: Step) -> Json:
    if step.base is None:
        raise RuleBroken(
            f"[QuickBooks] {step.spec.title} `{step.id}`: the record as it stands is needed to"
            f" {step.kind.value} it."
        )
    return decode_json(step.base)


def _with_living_name(fields: Json, base: Json) -> Json:
    """A record that becomes active gets back the name it had."""
    if fields.get("Active") is not True:
        return fields
    for member in _NAMES:
        name = fields.get(member, base.get(member))
        if isinstance(name, str) and without_deleted_suffix(name) != name:
            fields[member] = without_deleted_suffix(name)
    return fields


def _let_tax_be_computed(body: Json) -> None:
    """A total tax that is sent is honoured, so that the old one must not go with new lines."""
    tax = body.get("TxnTaxDetail")
    if isinstance(tax, dict):
        code = tax.get("TxnTaxCodeRef")
        body.pop("TxnTaxDetail")
        if code:
            body["TxnTaxDetail"] = {"TxnTaxCodeRef": code}


# -- merging and pruning --------------------------------------------------------------------


def _merged(base: Any, change: Any) -> Any:
    """`change` laid over `base`, objects member by member; None where a member is cleared."""
    if isinstance(change, dict) and isinstance(base, dict):
        if "value" in change and "name" not in change:
            # Another record's id: the label belongs to the old one.
            base = {name: value for name, value in base.items() if name != "name"}
        return {**base, **{name: _merged(base.get(name), v) for name, v in change.items()}}
    return change


def _writable(base: Json, spec: ObjectSpec) -> Json:
    """The base without what only the service writes and without what it masks."""
    never = {f.path for f in spec.fields if f.writable is Writable.NEVER}
    return _without_paths(
        {
            name: value
            for name, value in base.items()
            if name not in _SERVER_MEMBERS and name not in MASKED
        },
        (),
        never,
    )


def _without_paths(members: Json, at: tuple[str, ...], never: set[tuple[str, ...]]) -> Json:
    # Read-only and yet worth sending: an address' own Id says which address is meant, and the
    # label of a reference need not be looked up again. But what nothing else is left of goes:
    # an empty reference is no reference that QuickBooks knows.
    kept: Json = {}
    for name, member in members.items():
        path = (*at, name)
        if path in never and (not at or name not in ("Id", "name")):
            continue
        if isinstance(member, dict) and member:
            member = _without_paths(member, path, never)
            if not member or ("name" in member and (*path, "value") in never):
                continue
        kept[name] = member
    return kept


def _cleared(fields: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if fields is None:
        return [at]
    if isinstance(fields, dict):
        return [path for name, member in fields.items() for path in _cleared(member, (*at, name))]
    return []


def _clears_by_empty_text(path: tuple[str, ...], spec: ObjectSpec) -> bool:
    field = _field_at(path, spec)
    return (
        field is not None
        and field.type is ColumnType.TEXT
        and not field.enum
        and field.references is None
        and not (path[-1] == "value" and len(path) > 1 and path[-2].endswith("Ref"))
    )


def _field_at(path: tuple[str, ...], spec: ObjectSpec) -> FieldSpec | None:
    return next((f for f in spec.fields if f.path == path), None)


def _emptied(value: Any) -> Any:
    """None as the empty text. Lists are the caller's, as they are."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return {name: _emptied(member) for name, member in value.items()}
    return value


def _is_nothing(value: Any) -> bool:
    """Nothing is left of it: null, or an object all of whose members are cleared.

    A reference without its id is nothing, whatever label or type it still has.
    """
    if isinstance(value, dict):
        if "value" in value and value["value"] is None:
            return True
        return bool(value) and all(_is_nothing(member) for member in value.values())
    return value is None


def _without_nothing(members: Json) -> Json:
    return {
        name: _without_nothing(value) if isinstance(value, dict) else value
        for name, value in members.items()
        if not _is_nothing(value)
    }


def _without_nulls(fields: Mapping[str, Any]) -> Json:
    found: Json = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            inner = _without_nulls(value)
            if inner:
                found[name] = inner
        elif value is not None:
            found[name] = value
    return found


def _rows(value: Any) -> Any:
    """A list without the rows and members that only the service makes; null members go."""
    if isinstance(value, dict):
        return {name: _rows(member) for name, member in value.items() if member is not None}
    if not isinstance(value, list):
        return value
    return [
        {
            name: _rows(member)
            for name, member in row.items()
            if name not in _SERVER_ROW_MEMBERS and member is not None
        }
        if isinstance(row, dict)
        else row
        for row in value
        if not (isinstance(row, dict) and row.get("DetailType") in _SERVER_ROWS)
    ]


def _refuse_what_json_cannot_say(value: Any, spec: ObjectSpec) -> None:
    if isinstance(value, Mapping):
        for member in value.values():
            _refuse_what_json_cannot_say(member, spec)
    elif isinstance(value, list | tuple):
        for member in value:
            _refuse_what_json_cannot_say(member, spec)
    elif isinstance(value, Decimal) and not value.is_finite():
        raise InvalidValue(
            f"[QuickBooks] {spec.title}: {value} is not a number QuickBooks takes.",
            table=spec.table,
        )
