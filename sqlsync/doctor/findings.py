"""What the doctor says: one line a finding, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"  # looked at, and in order
    NOTE = "note"  # good to know; nothing is wrong
    PROBLEM = "problem"  # something does not work, or soon will not


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one thing. advice: what to do, where there is something to do."""

    level: Level
    area: str  # "database", "key", "connection books", …
    text: str
    advice: str | None = None

    def line(self) -> str:
        """The finding as a person reads it, on one line."""
        words = " ".join(part for part in (self.text, self.advice) if part)
        return f"{self.level.value:<8} {self.area}: {' '.join(words.split())}"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "level": self.level.value}


def ok(area: str, text: str) -> Finding:
    return Finding(Level.OK, area, text)


def note(area: str, text: str, advice: str | None = None) -> Finding:
    return Finding(Level.NOTE, area, text, advice)


def problem(area: str, text: str, advice: str | None = None) -> Finding:
    return Finding(Level.PROBLEM, area, text, advice)


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Whether there is no problem among them."""
    return all(finding.level is not Level.PROBLEM for finding in findings)
