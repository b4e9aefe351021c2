"""What the service knows of each object: members, kinds, lengths, values. Read from data.

Used to give members their own spelling whatever case they were sent in, to hold texts against
their length and values against their list, and to tell what a filter or an order may name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from sqlsync.simulators.xero.problems import Invalid
from sqlsync.simulators.xero.values import Doc, is_uuid, number, read_date

_MOST_DIGITS = 14  # before the point, beyond the first


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an object. kind: string decimal integer boolean uuid date … object list."""

    name: str
    kind: str
    of: str = ""  # object, list: the type inside
    length: int | None = None
    values: frozenset[str] = frozenset()
    is_required: bool = False  # on create
    is_read_only: bool = False


Members = Mapping[str, Member]  # by lower-case name


@cache
def known() -> Mapping[str, Members]:
    """Type name -> its members."""
    data = tomllib.loads(files(__package__).joinpath("known_fields.toml").read_text("utf-8"))
    enums = {name: frozenset(text.split()) for name, text in data.pop("enums").items()}
    return {
        type_name: {
            name.lower(): _member(name, words.split(), enums) for name, words in rows.items()
        }
        for type_name, rows in data.items()
    }


def _member(name: str, words: list[str], enums: Mapping[str, frozenset[str]]) -> Member:
    required, read_only = "!" in words, "-" in words
    kind, *rest = [word for word in words if word not in ("!", "-")]
    if kind in ("object", "list"):
        return Member(name, kind, rest[0], None, frozenset(), required, read_only)
    if kind == "enum":
        values = enums[rest[0][1:]] if rest[0].startswith("@") else frozenset(rest)
        return Member(name, kind, "", None, values, required, read_only)
    length = int(rest[0]) if kind == "string" and rest else None
    return Member(name, kind, "", length, frozenset(), required, read_only)


def members_of(type_name: str) -> Members:
    return known().get(type_name, {})


def spelled(type_name: str, body: Any) -> Any:
    """`body` with known members in their own spelling, inside too; unknown ones are dropped.

    What is of the wrong shape (a text where an object belongs) is dropped as well, as the
    service's reader does.
    """
    if not isinstance(body, dict):
        return {}
    members = members_of(type_name)
    found: Doc = {}
    for name, value in body.items():
        member = members.get(name.lower())
        if member is None:
            continue
        if member.kind == "object" and value is not None:
            if isinstance(value, dict):
                found[member.name] = spelled(member.of, value)
        elif member.kind == "list" and value is not None:
            elements = value if isinstance(value, list) else [value]
            found[member.name] = [
                spelled(member.of, element) if isinstance(element, dict) else element
                for element in elements
            ]
        else:
            found[member.name] = value
    return found


def check(type_name: str, body: Doc) -> None:
    """Raises Invalid for the first value of `body` that is too long or of the wrong kind."""
    members = members_of(type_name)
    for name, value in body.items():
        member = members[name.lower()]
        if value is None or member.is_read_only:
            continue
        fault = _fault(member, value)
        if fault:
            raise Invalid(fault)
        for element in value if member.kind == "list" else [value]:
            if not isinstance(element, dict):
                continue
            if _has_own_rules(member.of):
                _check_kinds(member.of, element)
            else:
                check(member.of, element)


def _has_own_rules(type_name: str) -> bool:
    """Nested records are held against their own rules where they are used."""
    return type_name in ("Contact", "Invoice", "CreditNote", "Account", "User", "BrandingTheme")


def _check_kinds(type_name: str, body: Doc) -> None:
    """Of a nested record, which is only referred to: what could not be read at all."""
    members = members_of(type_name)
    for name, value in body.items():
        member = members[name.lower()]
        if member.kind in _READ_AS and value not in (None, "") and not member.is_read_only:
            fault = _fault(member, value)
            if fault:
                raise Invalid(fault)


_READ_AS = frozenset(("boolean", "date", "decimal", "enum", "integer", "uuid"))


def _fault(member: Member, value: Any) -> str | None:
    name, kind = member.name, member.kind
    if kind == "string":
        if not isinstance(value, str):
            return None if isinstance(value, int) else f"{name} must be text."
        if member.length is not None and len(value) > member.length:
            return f"The {name} field must be no longer than {member.length} characters."
    elif kind == "decimal":
        found = number(value)
        if found is None:
            return f"{name} must be a number."
        if found.adjusted() > _MOST_DIGITS:
            return f"{name} is too large."
    elif kind == "boolean":
        if not isinstance(value, bool) and str(value).lower() not in ("true", "false"):
            return f"{name} must be true or false."
    elif kind == "integer":
        if isinstance(value, bool) or not str(value).removeprefix("-").isdigit():
            return f"{name} must be a whole number."
    elif kind == "date":
        if read_date(value) is None:
            return f"{name} is not a valid date."
    elif kind == "uuid":
        if not is_uuid(value):
            return f"{name} is not a valid id."
    elif kind == "enum" and (not isinstance(value, str) or value not in member.values):
        return f"{name} has the value {value!r}, which is not known."
    return None
