"""Takes a table of a catalog file apart, key by key, and notes every fault with its place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from schema.naming import NAME_BYTES

SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
PATH = re.compile(r"[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9]*)*")

REQUIRED = object()
_E = TypeVar("_E", bound=StrEnum)


@dataclass
class Reader:
    """One table of a file; takes keys out by kind and reports what is wrong with them."""

    file: str
    data: dict[str, Any]
    faults: list[str]
    where: str = ""

    def fault(self, key: str, text: str) -> None:
        place = f"{self.where}.{key}" if self.where else key
        self.faults.append(f"{self.file}: {place}: {text}")

    def take(self, key: str, kind: type, default: Any) -> Any:
        """The value, taken out; None (and a fault) where it is missing or of another kind."""
        if key not in self.data:
            if default is REQUIRED:
                self.fault(key, "is missing")
                return None
            return default
        value = self.data.pop(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            kinds = {str: "text", int: "a whole number", bool: "true or false", list: "a list"}
            self.fault(key, f"must be {kinds.get(kind, 'a table')}, not {value!r}")
            return None if default is REQUIRED else default
        return value

    def close(self) -> None:
        for key in self.data:
            self.fault(key, "the key is unknown")

    def text(self, key: str, default: Any = REQUIRED) -> Any:
        value = self.take(key, str, default)
        if value is not None and not value.strip():
            self.fault(key, "is empty")
        return "" if value is None and default is REQUIRED else value

    def name(self, key: str, default: Any = REQUIRED) -> Any:
        value = self.text(key, default)
        if value and (not SNAKE.fullmatch(value) or len(value) > NAME_BYTES):
            self.fault(key, f"{value!r} is not snake_case of at most {NAME_BYTES} characters")
        return value

    def path(self, key: str) -> tuple[str, ...]:
        value = self.text(key)
        if value and not PATH.fullmatch(value):
            self.fault(key, f"{value!r} is not member names joined by dots")
        return tuple(value.split(".")) if value else ()

    def integer(self, key: str, default: Any = REQUIRED) -> int | None:
        value: int | None = self.take(key, int, default)
        if value is not None and value < 1:
            self.fault(key, f"must be at least 1, not {value}")
        return value

    def boolean(self, key: str, *, default: bool = False) -> bool:
        return bool(self.take(key, bool, default))

    def texts(
        self,
        key: str,
        *,
        among: Iterable[str] | None = None,
        default: Any = (),
        empty: bool = True,
    ) -> tuple[str, ...]:
        given = key in self.data
        values = self.take(key, list, default) or []
        if given and not values and not empty:
            self.fault(key, "is empty")
        texts = tuple(v for v in values if isinstance(v, str) and v)
        if len(texts) != len(values):
            self.fault(key, "must hold texts that are not empty, and nothing else")
        if len(set(texts)) != len(texts):
            self.fault(key, "holds a text twice")
        if among is not None:
            for text in sorted(set(texts) - set(among)):
                self.fault(key, f"{text!r} is unknown here")
        return texts

    def names(self, key: str) -> tuple[str, ...]:
        texts = self.texts(key)
        for text in texts:
            if not SNAKE.fullmatch(text):
                self.fault(key, f"{text!r} is not snake_case")
        return texts

    def one_of(self, key: str, values: Iterable[str], default: Any = REQUIRED) -> Any:
        value = self.text(key, default)
        if value and value not in values:
            self.fault(key, f"{value!r} is not one of {', '.join(values)}")
        return value

    def member(self, key: str, kind: type[_E], default: _E | None = None) -> _E:
        """The member of an enum; its first one where there is a fault."""
        value = self.text(key, REQUIRED if default is None else default.value)
        try:
            return kind(value)
        except ValueError:
            if value:
                self.fault(key, f"{value!r} is not one of {', '.join(kind)}")
            return next(iter(kind))

    def tables(self, key: str, *, required: bool = False) -> list[Reader]:
        """A list of tables, each with a reader of its own."""
        rows = self.take(key, list, REQUIRED if required else [])
        if rows is None:
            return []
        if required and not rows:
            self.fault(key, "is empty")
        prefix = f"{self.where}.{key}" if self.where else key
        readers = []
        for number, row in enumerate(rows, start=1):
            if isinstance(row, dict):
                readers.append(Reader(self.file, dict(row), self.faults, f"{prefix}[{number}]"))
            else:
                self.fault(key, f"entry {number} must be a table, not {row!r}")
        return readers

    def table(self, key: str) -> Reader:
        """A table, with a reader of its own; an empty one where there is none."""
        data = self.take(key, dict, {})
        place = f"{self.where}.{key}" if self.where else key
        return Reader(self.file, dict(data or {}), self.faults, place)

    def named(self, key: str) -> dict[str, Reader]:
        """A table of tables, each with a reader of its own."""
        found = {}
        for name, data in self.table(key).data.items():
            if isinstance(data, dict):
                found[name] = Reader(self.file, dict(data), self.faults, f"{key}.{name}")
            else:
                self.fault(f"{key}.{name}", f"must be a table, not {data!r}")
        return found

    def unique(self, key: str, names: Iterable[str], *, taken: Iterable[str] = ()) -> None:
        seen = set(taken)
        for name in names:
            if name and name in seen:
                self.fault(key, f"{name!r} is there twice")
            seen.add(name)
