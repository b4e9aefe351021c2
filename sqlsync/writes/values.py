"""Nested provider JSON as Python values: read, set, merge, compare. Pure.

Numbers are Decimal and keep the digits they were written with; nothing passes through float.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from schema.values import decode as decode_exactly
from schema.values import holdable

Path = tuple[str, ...]


class Missing:
    """The type of MISSING: no member there, as opposed to a member that is null."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def decode(raw: bytes | str) -> Any:
    """JSON text to values, numbers exact. Raises ProviderFault where it is no JSON."""
    return decode_exactly(raw.encode() if isinstance(raw, str) else raw)


def encode(value: Any) -> bytes:
    """Values to JSON text; a Decimal is written as a number with its own digits."""
    return _ENCODER.encode(value)


def storable(raw: bytes) -> str:
    """JSON text as a jsonb column takes it."""
    return holdable(raw).decode()


def get_path(value: Any, path: Sequence[str]) -> Any:
    """The member at `path`, or MISSING."""
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return MISSING
        value = value[name]
    return value


def set_path(target: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Sets the member at `path`, making the objects on the way."""
    for name in path[:-1]:
        inner = target.get(name)
        if not isinstance(inner, dict):
            inner = target[name] = {}
        target = inner
    target[path[-1]] = value


def drop_path(target: dict[str, Any], path: Sequence[str]) -> None:
    """Removes the member at `path`, and the objects that this leaves empty."""
    inner = target.get(path[0])
    if len(path) == 1:
        target.pop(path[0], None)
    elif isinstance(inner, dict):
        drop_path(inner, path[1:])
        if not inner:
            del target[path[0]]


def merge(target: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Puts `more` into `target`, object by object; lists and scalars are replaced."""
    for name, value in more.items():
        inner = target.get(name)
        if isinstance(inner, dict) and isinstance(value, Mapping):
            merge(inner, value)
        else:
            target[name] = value


def leaves(fields: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every member that is not an object, with its path; a list is one leaf."""
    for name, value in fields.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 is 1.00, but true is not 1."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def same_or_absent(one: Any, other: Any) -> bool:
    """As `same`, where no member, null, and an empty text or list all mean nothing."""
    return (_is_nothing(one) and _is_nothing(other)) or same(one, other)


def _is_nothing(value: Any) -> bool:
    return value is MISSING or value is None or value == "" or value == [] or value == {}
