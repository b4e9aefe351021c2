"""What to ask a provider's change feed for next, and what its answers allow us to conclude.

Pure: times and counts come in, a decision comes out. The jobs carry it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window:
    """A span of changes to ask for, in the provider's time."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class HistoryNeeded:
    """The change feed no longer reaches back to `since`: read everything again."""

    since: datetime


def changes_window(
    watermark: datetime, now: datetime, *, overlap: timedelta, horizon: timedelta
) -> Window | HistoryNeeded:
    """Returns the span of changes to ask the provider for next.

    watermark, now: UTC, aware, by the provider's clock. horizon: how far back the feed reaches.
    The span starts `overlap` early, since a change can be stamped before it is shown; reading
    it twice is harmless, because in the mirror the newer wins. It is never empty, also where
    our clock runs behind the provider's.
    HistoryNeeded where the feed no longer reaches back to the watermark.
    Source: Intuit, "Change data capture" (30 days, 1,000 objects).
    """
    start = watermark - overlap
    if start < now - horizon:
        return HistoryNeeded(since=start)
    return Window(start, max(now, watermark))


def next_watermark(watermark: datetime, answered_at: datetime) -> datetime:
    """Returns the moment before which all is mirrored, once an answer has been.

    answered_at: the provider's clock in the answer. A watermark never goes back: an answer can
    arrive late, from another process.
    """
    return max(watermark, answered_at)


def halves(asked: Sequence[T]) -> tuple[Sequence[T], Sequence[T]] | None:
    """Splits a question whose answer was full. None: it cannot be asked more narrowly."""
    if len(asked) < 2:
        return None
    middle = len(asked) // 2
    return asked[:middle], asked[middle:]


@dataclass(frozen=True, slots=True)
class Gone:
    """These records may be removed, once the provider has been asked for each by its id."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suspicious:
    """The answer is too short to be believed. Nothing may be removed because of it."""

    reason: str  # a sentence for `_sync_cdc.error`


def sweep_decision(
    mirrored: int, missing: Sequence[str], seen: int, counted: int | None, *, limit: float = 0.5
) -> Gone | Suspicious:
    """Decides what a complete reading that lacks some of our rows means.

    mirrored: rows of the table that are older than the reading; missing: those of them that
    it did not bring. seen: records the reading brought. counted: how many the provider said
    it has, None where it cannot say. limit: the share of a table that may vanish at once;
    tables of 20 rows or fewer may vanish whole, if the provider's own count agrees.
    """
    if not missing:
        return Gone(())
    if counted is not None and seen < counted:
        return Suspicious(f"The provider counts {counted} records and listed {seen}.")
    if seen == 0 and counted is None:
        return Suspicious(f"The provider listed nothing, and {mirrored} rows are mirrored.")
    if mirrored > 20 and len(missing) > mirrored * limit:
        return Suspicious(f"{len(missing)} of {mirrored} records would be removed at once.")
    return Gone(tuple(missing))


@dataclass(frozen=True, slots=True)
class Question:
    """Objects to be asked for in one call, and since when."""

    tables: tuple[str, ...]
    since: datetime


def questions(starts: Mapping[str, datetime], *, tolerance: timedelta) -> list[Question]:
    """Groups objects by where their windows start, so that most share one call.

    One that lags (its history was just read) is asked on its own: asking all since its start
    would read the others' changes again. Within `tolerance` it is not worth a call.
    """
    found: list[Question] = []
    group: list[str] = []
    newest: datetime | None = None
    for table, start in sorted(starts.items(), key=lambda item: (item[1], item[0]), reverse=True):
        if newest is not None and newest - start > tolerance:
            found.append(Question(tuple(sorted(group)), min(starts[t] for t in group)))
            group, newest = [], None
        group.append(table)
        newest = newest or start
    if group:
        found.append(Question(tuple(sorted(group)), min(starts[t] for t in group)))
    return found
