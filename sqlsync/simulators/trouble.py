"""Scripted trouble: what goes wrong with which requests, and how often. Pure.

A rule matches requests by method, part of the path, entity and operation, lets `skip` of them
pass, then acts `times` times. Kinds:

- `drop`       the connection is closed without an answer
- `status`     an answer with `status` (500, 502, 503, …) and `body` or the service's own
- `slow`       waits `seconds`, then goes on
- `malformed`  an answer of half a JSON object
- `throttle`   429, as when a limit is used up

`when` is `before` (nothing was done) or `after` (the request was carried out first). `drop` is
after unless told otherwise, the others before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = ("drop", "status", "slow", "malformed", "throttle")


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as rules see it."""

    method: str
    path: str
    entity: str  # lower case, "" where there is none
    operation: str  # create read update delete void query cdc batch send pdf token revoke …


@dataclass(slots=True)
class Trouble:
    kind: str
    when: str
    times: int = 1
    skip: int = 0
    status: int = 503
    seconds: float = 0.0
    body: str | None = None
    match: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Trouble:
        """Raises ValueError that names what is wrong."""
        kind = given.get("kind")
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        when = given.get("when", "after" if kind == "drop" else "before")
        if when not in ("before", "after"):
            raise ValueError("when must be before or after")
        match = given.get("match", {})
        unknown = set(match) - {"method", "path", "entity", "operation"}
        unknown |= set(given) - {"kind", "when", "match", *cls.__dataclass_fields__}
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        return cls(
            kind,
            when,
            int(given.get("times", 1)),
            int(given.get("skip", 0)),
            int(given.get("status", 503)),
            float(given.get("seconds", 0)),
            given.get("body"),
            {name: str(value) for name, value in match.items()},
        )

    def fits(self, seen: Seen) -> bool:
        match = self.match
        return (
            match.get("method", seen.method).upper() == seen.method
            and match.get("path", "") in seen.path
            and match.get("entity", seen.entity).lower().replace("_", "") == seen.entity
            and match.get("operation", seen.operation).lower() == seen.operation
        )


class Troubles:
    """The rules in force, in the order they were given."""

    def __init__(self) -> None:
        self.rules: list[Trouble] = []

    def add(self, rule: Trouble) -> None:
        self.rules.append(rule)

    def clear(self) -> None:
        self.rules.clear()

    def take(self, when: str, seen: Seen) -> list[Trouble]:
        """The rules that act on this request now; each use counts."""
        acting: list[Trouble] = []
        for rule in self.rules:
            if rule.when != when or rule.times <= 0 or not rule.fits(seen):
                continue
            if rule.skip > 0:
                rule.skip -= 1
                continue
            rule.times -= 1
            acting.append(rule)
        self.rules = [rule for rule in self.rules if rule.times > 0]
        return acting
