"""Xero's refusals, and which of our errors each one is. No I/O but the table beside it.

`faults.toml` says what each sentence means. DETAIL holds all sentences of a refusal, with the
place in the record that each is about, and the number that Xero's support asks for.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from schema.model import ObjectSpec
from schema.report_model import ReportSpec
from sqlsync.errors import (
    BadReference,
    DuplicateValue,
    InvalidValue,
    MissingRequired,
    NotFound,
    OutcomeUnknown,
    ProviderError,
    ProviderRefusal,
    RuleBroken,
    ValueTooLong,
)

TITLE = "Xero"

_KINDS: Mapping[str, type[ProviderError]] = {
    "duplicate": DuplicateValue,
    "missing": MissingRequired,
    "reference": BadReference,
    "rule": RuleBroken,
    "too_long": ValueTooLong,
    "invalid": InvalidValue,
    "refusal": ProviderRefusal,
    "doubt": OutcomeUnknown,
}


@dataclass(frozen=True, slots=True)
class About:
    """What a request was about: the words of the error it may meet.

    changes: it would have changed something, so that a failure inside Xero leaves its outcome
    unknown.
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
class Complaint:
    """One sentence of a refusal. at: where in the record, "LineItems[2]"; empty: the record."""

    message: str
    at: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """What a refused request was answered. At least a message or a complaint."""

    message: str
    number: int | None = None
    kind: str | None = None  # "ValidationException"
    complaints: tuple[Complaint, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """What a sentence means. member: the API member it is about, where that is known."""

    kind: str
    hint: str | None = None
    member: str | None = None


@dataclass(frozen=True, slots=True)
class _Pattern:
    regex: re.Pattern[str]
    rule: Rule


def _load() -> tuple[dict[str, Rule], dict[str, Rule], tuple[_Pattern, ...]]:
    text = files(__package__).joinpath("faults.toml").read_text("utf-8")
    data = tomllib.loads(text)

    def rule(entry: Mapping[str, Any]) -> Rule:
        return Rule(entry["kind"], entry.get("hint"), entry.get("column"))

    return (
        {number: rule(entry) for number, entry in data["numbers"].items()},
        {name: rule(entry) for name, entry in data["types"].items()},
        tuple(
            _Pattern(re.compile(entry["pattern"], re.IGNORECASE), rule(entry))
            for entry in data["message"]
        ),
    )


NUMBERS, TYPES, MESSAGES = _load()


def rule_for(message: str) -> Rule | None:
    """What a sentence means, by the first pattern that fits."""
    for pattern in MESSAGES:
        found = pattern.regex.search(message)
        if found is not None:
            member = found.groupdict().get("member") or pattern.rule.member
            return Rule(pattern.rule.kind, pattern.rule.hint, member)
    return None


def complaints_in(element: Mapping[str, Any]) -> tuple[Complaint, ...]:
    """All ValidationErrors of an element, the record's own first, then those of its parts.

    The text stands under `Message`, in one documented place under `Description`.
    """
    return tuple(_complaints(element, "", "ValidationErrors"))


def warnings_in(element: Mapping[str, Any]) -> tuple[Complaint, ...]:
    """All Warnings of an element that was saved."""
    return tuple(_complaints(element, "", "Warnings"))


def error_for(fault: Fault, about: About, *, trace_id: str | None = None) -> ProviderError:
    """Our error for a refusal of the whole request, or of one element of it."""
    first = fault.complaints[0] if fault.complaints else Complaint(fault.message)
    rule = rule_for(first.message)
    if rule is None and fault.kind is not None:
        rule = TYPES.get(fault.kind)
    if rule is None and fault.number is not None:
        rule = NUMBERS.get(str(fault.number))
    rule = rule or Rule("rule" if fault.complaints else "refusal")
    error = _KINDS[rule.kind]
    reason = _words(first.message) or "refused without a reason"
    if first.at:
        reason = f"{first.at}: {reason}"
    table, column = _place(rule.member, first.at, about.spec)
    if error is DuplicateValue and about.spec is not None:
        column = column or about.spec.duplicate_column
        table = table or about.spec.table
    return error(
        f"{about.subject}: {reason}",
        code=fault.kind or (str(fault.number) if fault.number is not None else None),
        trace_id=trace_id,
        detail=_detail(fault, trace_id),
        hint=rule.hint,
        table=table,
        column=column,
        constraint=f"{table}_{column}_key" if error is DuplicateValue and column else None,
    )


def not_found(about: About, *, trace_id: str | None = None) -> NotFound:
    return NotFound(
        f"{about.subject} not found",
        code="404",
        trace_id=trace_id,
        detail=_trace(trace_id),
        table=about.spec.table if about.spec is not None else None,
    )


def rule_broken(about: About, reason: str, hint: str, *, column: str | None = None) -> RuleBroken:
    """A refusal we can tell ourselves; nothing is sent."""
    return RuleBroken(
        f"{about.subject}: {reason}",
        hint=hint,
        table=about.spec.table if about.spec is not None else None,
        column=column,
    )


def _complaints(value: Any, at: str, member: str) -> list[Complaint]:
    if isinstance(value, Mapping):
        found = [
            Complaint(_words(entry.get("Message") or entry.get("Description") or ""), at)
            for entry in value.get(member) or ()
            if isinstance(entry, Mapping)
        ]
        for name, part in value.items():
            if name not in ("ValidationErrors", "Warnings"):
                found += _complaints(part, f"{at}.{name}" if at else name, member)
        return found
    if isinstance(value, list):
        return [
            complaint
            for number, part in enumerate(value, start=1)
            for complaint in _complaints(part, f"{at}[{number}]", member)
        ]
    return []


def _place(member: str | None, at: str, spec: ObjectSpec | None) -> tuple[str | None, str | None]:
    """Our table and column for what a sentence is about."""
    if spec is None:
        return None, None
    wanted = (member or "").lower()
    child = next((c for c in spec.children if c.path and c.path[0] == at.partition("[")[0]), None)
    if child is not None:
        field = next((f for f in child.fields if f.path[-1].lower() == wanted), None)
        return child.table, field.column if field is not None else None
    if not wanted:
        return spec.table, None
    for field in spec.fields:
        if len(field.path) == 1 and field.path[0].lower() == wanted:
            return spec.table, field.column
    for child in spec.children:  # sentences about lines mostly stand at the document
        for field in child.fields:
            if not child.read_only and field.path[-1].lower() == wanted:
                return child.table, field.column
    return spec.table, None


def _detail(fault: Fault, trace_id: str | None) -> str | None:
    head = " ".join(
        part
        for part in (fault.kind, f"({fault.number})" if fault.number is not None else "")
        if part
    )
    sentences: Sequence[str] = [
        f"{c.at}: {c.message}" if c.at else c.message for c in fault.complaints
    ] or [_words(fault.message)]
    parts = [part for part in (head, *dict.fromkeys(sentences), _trace(trace_id)) if part]
    return "; ".join(parts) or None


def _trace(trace_id: str | None) -> str | None:
    return f"Xero-Correlation-Id {trace_id}" if trace_id else None


def _words(text: str) -> str:
    return " ".join(str(text).split())
