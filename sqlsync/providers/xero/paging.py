"""How all records, or all changes, are read page by page without missing one. No I/O.

Pages are plain offsets. In the order of keys no change moves a record, and a new one only pushes
others back: read twice, never skipped. In Xero's own order, time of change, a record that is
changed while one reads moves to the end and pulls one record over the page's edge, unseen. So
changes are *walked*: always the first page, then again from the second of its last record. Where
one second holds more than a page, the rest is read in the order of keys.

Source: our reasoning on reference/xero/README.md section 3.3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlsync.errors import ProviderFault
from sqlsync.providers.xero.calls import Calls
from sqlsync.providers.xero.requests import FALLBACK_PAGE
from sqlsync.providers.xero.responses import Envelope
from sqlsync.providers.xero.values import floor_second, since_text

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)  # Xero began in 2006

_NUMBERED = re.compile(r"(\d+)/(\d+)")
_WALKED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:#(\d+))?")


@dataclass(frozen=True, slots=True)
class Numbered:
    """A page by number, from 1. The size is part of it: pages of another size lie elsewhere."""

    number: int
    size: int

    def text(self) -> str:
        return f"{self.number}/{self.size}"

    @classmethod
    def parse(cls, cursor: str | None, size: int) -> Numbered:
        """None: the first page. Raises ProviderFault where it is no cursor of ours."""
        if cursor is None:
            return cls(1, size)
        found = _NUMBERED.fullmatch(cursor)
        if found is None:
            raise ProviderFault(f"[Xero] {cursor!r} is no place to read on from.")
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Walk:
    """What changed since a second: its first page (0), or a page in the order of keys."""

    since: datetime
    by_key: int = 0

    def text(self) -> str:
        return since_text(self.since) + (f"#{self.by_key}" if self.by_key else "")

    @classmethod
    def parse(cls, cursor: str | None) -> Walk:
        """None: from the beginning. Raises ProviderFault where it is no cursor of ours."""
        if cursor is None:
            return cls(BEGINNING)
        found = _WALKED.fullmatch(cursor)
        if found is None:
            raise ProviderFault(f"[Xero] {cursor!r} is no place to read on from.")
        since = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
        return cls(since, int(found[2] or 0))


def poll_calls(calls: Calls, rows: int) -> int:
    """How many calls it takes to learn what changed of an object that holds `rows` records.

    A list that takes no time is read whole, one in pages without an order twice, and one that
    does not show its records in full is followed by a call for each.
    """
    if calls.modified_since:
        return 1
    if calls.whole_alone:
        return 1 + rows
    pages = max(1, -(-rows // (calls.page_size or FALLBACK_PAGE)))
    if calls.paging != "page":
        return 1
    return pages if pages == 1 else 2 * pages


def is_last(envelope: Envelope, rows: int) -> bool:
    """Whether no page follows.

    Without `pagination` only a page that is not even as long as the shortest one tells: an
    endpoint that does not know our page size gives 100 rows.
    """
    if envelope.pagination is not None:
        return rows == 0 or envelope.pagination.page >= envelope.pagination.page_count
    return rows < FALLBACK_PAGE


def next_walk(walk: Walk, times: Sequence[datetime | None], *, last: bool) -> Walk | None:
    """Where to go on after a page whose records have these times of change; None at the end."""
    if last:
        return None
    if walk.by_key:
        return Walk(walk.since, walk.by_key + 1)
    known = [at for at in times if at is not None]
    in_order = len(known) == len(times) and known == sorted(known)
    if in_order and known and floor_second(known[-1]) > walk.since:
        return Walk(floor_second(known[-1]))
    # A second with more than a page, or an order we do not know.
    return Walk(walk.since, 1)
