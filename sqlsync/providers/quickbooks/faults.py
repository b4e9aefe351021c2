"""QuickBooks faults, and which of our errors each one is. No I/O.

A fault comes in two spellings (`Fault`/`Error`/`Message` from the service, all lower case with
an epoch time from the gateway in front of it), with any status, 200 included. It is matched by
code, never by text. Source: Intuit, "Error codes", "Handling common errors".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from schema.model import ObjectSpec
from schema.report_model import ReportSpec
from sqlsync.errors import (
    BadReference,
    DuplicateValue,
    InvalidValue,
    MissingRequired,
    NeedsReauth,
    NotFound,
    NotPermitted,
    OutcomeUnknown,
    ProviderError,
    ProviderFault,
    ProviderRefusal,
    RateLimited,
    RuleBroken,
    StaleVersion,
    ValueTooLong,
)

TITLE = "QuickBooks"
RETRY_AFTER_SECONDS = 60.0  # Intuit sends no dependable Retry-After and asks for a minute

NOT_FOUND = "610"


@dataclass(frozen=True, slots=True)
class FaultError:
    message: str
    detail: str
    code: str
    element: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, in QuickBooks' words. `errors` has at least one entry."""

    kind: str  # "ValidationFault", "SystemFault", "AUTHENTICATION", …
    errors: tuple[FaultError, ...]

    @property
    def first(self) -> FaultError:
        return self.errors[0]

    def has(self, code: str) -> bool:
        return any(e.code == code for e in self.errors)


@dataclass(frozen=True, slots=True)
class About:
    """What a request was about: the words of the error it may meet.

    changes: it would have changed something, so that a failure inside QuickBooks leaves its
    outcome unknown. report: it asked for one, and not for records.
    """

    spec: ObjectSpec | None = None
    record_id: str | None = None
    creates: bool = False
    changes: bool = False
    report: ReportSpec | None = None

    @property
    def subject(self) -> str:
        if self.report is not None:
            return f"[{TITLE}] {self.report.name}"
        if self.spec is None:
            return f"[{TITLE}]"
        if self.record_id is None:
            return f"[{TITLE}] {self.spec.title}"
        return f"[{TITLE}] {self.spec.title} `{self.record_id}`"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a code means. column: where the code itself says which one."""

    error: type[ProviderError]
    hint: str | None = None


_CHECK_REFERENCES = (
    "It names a customer, item, account or other record that is inactive, deleted or unknown."
)
_CLOSED_BOOKS = "The books are closed for that date (Preferences, book_close_date)."

RULES: Mapping[str, Rule] = {
    "120": Rule(NotPermitted, "The person who connected may no longer do this in QuickBooks."),
    "500": Rule(RuleBroken),
    "610": Rule(NotFound),
    "620": Rule(BadReference),
    "1050": Rule(InvalidValue),
    "2000": Rule(InvalidValue),
    "2010": Rule(InvalidValue),
    "2020": Rule(MissingRequired),
    "2030": Rule(InvalidValue),
    "2040": Rule(InvalidValue),
    "2050": Rule(ValueTooLong),
    "2060": Rule(InvalidValue),
    "2070": Rule(InvalidValue),
    "2080": Rule(InvalidValue),
    "2090": Rule(InvalidValue),
    "2100": Rule(InvalidValue),
    "2110": Rule(InvalidValue),
    "2130": Rule(InvalidValue),
    "2140": Rule(InvalidValue),
    "2150": Rule(InvalidValue),
    "2160": Rule(InvalidValue),
    "2170": Rule(InvalidValue),
    "2190": Rule(InvalidValue),
    "2210": Rule(InvalidValue),
    "2220": Rule(InvalidValue),
    "2230": Rule(InvalidValue),
    "2240": Rule(InvalidValue),
    "2250": Rule(MissingRequired),
    "2260": Rule(MissingRequired),
    "2290": Rule(RuleBroken),
    "2300": Rule(RuleBroken, "Debits and credits of a journal entry must be equal."),
    "2500": Rule(BadReference, _CHECK_REFERENCES),
    "2600": Rule(RuleBroken),
    "3000": Rule(InvalidValue),
    "3001": Rule(RateLimited),
    "3100": Rule(NeedsReauth, "The grant is for another company. Run: sqlsync connect"),
    "3200": Rule(NeedsReauth),
    "4000": Rule(InvalidValue),
    "4001": Rule(InvalidValue),
    "4002": Rule(InvalidValue),
    "5010": Rule(StaleVersion),
    "5020": Rule(NotPermitted),
    "5030": Rule(NotPermitted, "The company's QuickBooks plan or settings lack this feature."),
    "6000": Rule(RuleBroken),
    "6010": Rule(MissingRequired),
    "6060": Rule(MissingRequired),
    "6070": Rule(RuleBroken, "The amount of a line must equal its unit price times quantity."),
    "6080": Rule(MissingRequired),
    "6090": Rule(MissingRequired),
    "6100": Rule(BadReference, "In the US a line's tax code is TAX or NON."),
    "6140": Rule(DuplicateValue),
    "6150": Rule(MissingRequired),
    "6160": Rule(BadReference),
    "6170": Rule(BadReference),
    "6180": Rule(RuleBroken, "QuickBooks nests at most five levels deep."),
    "6190": Rule(NotPermitted, "The company's QuickBooks subscription does not allow changes."),
    "6200": Rule(RuleBroken, _CLOSED_BOOKS),
    "6210": Rule(RuleBroken, _CLOSED_BOOKS),
    "6220": Rule(RuleBroken, "It still has an open balance."),
    "6230": Rule(BadReference),
    "6240": Rule(DuplicateValue, "Names are unique over customers, vendors and employees."),
    "6250": Rule(BadReference, _CHECK_REFERENCES),
    "6270": Rule(RuleBroken),
    "6310": Rule(MissingRequired),
    "6320": Rule(RuleBroken),
    "6420": Rule(MissingRequired),
    "6430": Rule(BadReference),
    "6440": Rule(MissingRequired),
    "6450": Rule(RuleBroken),
    "6480": Rule(RuleBroken),
    "6540": Rule(RuleBroken, "Take it out of its deposit first."),
    "10000": Rule(ProviderFault),
    "10100": Rule(ProviderRefusal),
    "10200": Rule(ProviderRefusal),
}
_NAMES_SHARED = frozenset({"customer", "vendor", "employee"})


def fault_in(value: Any) -> Fault | None:
    """The fault in a decoded answer (or batch item), or None. `value`: any JSON value."""
    if not isinstance(value, Mapping):
        return None
    body = _member(value, "fault")
    if not isinstance(body, Mapping):
        return None
    entries = _member(body, "error")
    found = tuple(
        FaultError(
            message=_text(_member(entry, "message")),
            detail=_text(_member(entry, "detail")),
            code=_text(_member(entry, "code")).lstrip("0"),
            element=_text(_member(entry, "element")),
        )
        for entry in (entries if isinstance(entries, list) else [entries])
        if isinstance(entry, Mapping)
    )
    kind = _text(_member(body, "type"))
    return Fault(kind, found or (FaultError("", "", "", ""),))


def fault_of(body: bytes) -> Fault | None:
    """The fault in an answer's body, or None (also where the body is not JSON)."""
    try:
        return fault_in(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def error_for(
    fault: Fault, about: About, *, status: int = 400, trace_id: str | None = None
) -> ProviderError:
    """Our error for a fault.

    A failure inside QuickBooks on a request that changes something is OutcomeUnknown.
    """
    first = fault.first
    rule = RULES.get(first.code) or _by_kind(fault, status)
    kind = rule.error
    column = _column(first, about.spec)
    constraint = None
    message = f"{about.subject}: {_reason(first)}"
    hint = rule.hint
    if first.code == NOT_FOUND:
        if about.creates:
            kind, hint = BadReference, _CHECK_REFERENCES
        elif about.record_id is not None:
            message = f"{about.subject} not found"
    if kind is ProviderFault and about.changes:
        kind, message = OutcomeUnknown, f"{about.subject}: QuickBooks failed inside: {message}"
    if kind is DuplicateValue and about.spec is not None:
        column = _duplicate_column(first.code, about.spec) or column
        constraint = f"{about.spec.table}_{column}_key" if column else None
        if first.code == "6240" and about.spec.table not in _NAMES_SHARED:
            hint = None
    words: dict[str, Any] = {
        "code": first.code or None,
        "trace_id": trace_id,
        "detail": _detail(fault, trace_id),
        "hint": hint,
        "table": about.spec.table if about.spec is not None else None,
        "column": column,
        "constraint": constraint,
    }
    if kind is RateLimited:
        limited = RateLimited(message, retry_after=RETRY_AFTER_SECONDS)
        limited.code, limited.trace_id, limited.detail = (
            words["code"],
            trace_id,
            words["detail"],
        )
        return limited
    return kind(message, **words)


def not_found(about: About, *, detail: str | None = None) -> NotFound:
    return NotFound(
        f"{about.subject} not found",
        code=NOT_FOUND,
        detail=detail,
        table=about.spec.table if about.spec is not None else None,
    )


def bad_reference(refused: ProviderError, about: About) -> BadReference:
    """A 610 about a record that is there: something it refers to is not."""
    return BadReference(
        f"{about.subject}: something it refers to is inactive, deleted or unknown",
        code=refused.code,
        trace_id=refused.trace_id,
        detail=refused.detail,
        hint=_CHECK_REFERENCES,
        table=refused.table,
        column=refused.column,
    )


def _by_kind(fault: Fault, status: int) -> Rule:
    """A code that is not in the table, by the fault's kind and the status."""
    kind = fault.kind.lower()
    if status == 429:
        return Rule(RateLimited)
    if kind == "systemfault" or status >= 500:
        return Rule(ProviderFault)
    if kind in ("authenticationfault", "authentication") or status == 401:
        return Rule(NeedsReauth)
    if kind.startswith("authoriz") or status == 403:  # Intuit's own XSD says AuthorizatonFault
        return Rule(NotPermitted)
    return Rule(ProviderRefusal)


def _reason(error: FaultError) -> str:
    """Why, in QuickBooks' words, without the repetitions. `Detail` is "<Message> : <reason>"."""
    text = error.detail or error.message or "refused without a reason"
    _, colon, after = text.partition(" : ")
    text = after if colon and after.strip() else text
    text = text.removeprefix("Business Validation Error: ")
    return " ".join(text.split())


def _detail(fault: Fault, trace_id: str | None) -> str:
    parts = [
        f"code {e.code or '?'}"
        + (f", {e.element}" if e.element else "")
        + (f": {' '.join((e.detail or e.message).split())}" if e.detail or e.message else "")
        for e in fault.errors
    ]
    if trace_id:
        parts.append(f"intuit_tid {trace_id}")
    return "; ".join(parts)


def _column(error: FaultError, spec: ObjectSpec | None) -> str | None:
    """Our column for the element a fault names: `CustomerRef`, `Customer.Colour`, `DocNumber`."""
    if spec is None or not error.element:
        return None
    path = error.element.lower().split(".")
    if len(path) > 1 and path[0] == spec.api_name.lower():
        path = path[1:]
    for wanted in (path, [*path, "value"]):
        for field in spec.fields:
            if [part.lower() for part in field.path] == wanted:
                return field.column
    inside = [f for f in spec.fields if f.path[0].lower() == path[0]]
    for child in spec.children:
        if child.path and child.path[0].lower() == path[0] and child.list_column:
            return child.list_column
    return inside[0].column if len(inside) == 1 else None


def _duplicate_column(code: str, spec: ObjectSpec) -> str | None:
    if code == "6140":
        return "doc_number" if "doc_number" in spec.by_column else None
    if spec.duplicate_column is not None:
        return spec.duplicate_column
    return next((c for c in ("display_name", "name") if c in spec.by_column), None)


def _member(value: Mapping[str, Any], name: str) -> Any:
    """A member whatever its capitals."""
    if name in value:
        return value[name]
    return next((v for k, v in value.items() if isinstance(k, str) and k.lower() == name), None)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
