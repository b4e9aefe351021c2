"""Request limits as the service counts them: fixed windows per tenant, and calls at a time.

A window begins at a moment of its own for each tenant. Calls made while limited count too.
Source: reference, "Limits".
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from sqlsync.simulators.xero.options import Options

MINUTE, DAY = 60, 86_400


@dataclass(slots=True)
class _Window:
    """How many calls there were since the window began."""

    seconds: int
    offset: int = 0
    number: int = -1
    count: int = 0

    def add(self, now: int) -> int:
        """Counts one call; returns how many there are in this window."""
        number = (now - self.offset) // self.seconds
        if number != self.number:
            self.number, self.count = number, 0
        self.count += 1
        return self.count

    def left(self, now: int) -> int:
        """Seconds to the next window."""
        return self.seconds - (now - self.offset) % self.seconds


class AppWindow:
    """The calls of the whole app in a minute."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._window = _Window(MINUTE)

    def admit(self, now: int) -> tuple[int, int | None]:
        """What remains, and the seconds to wait where the limit is passed."""
        limit = self._options.app_requests_per_minute
        count = self._window.add(now)
        return max(0, limit - count), self._window.left(now) if count > limit else None


class TenantLimits:
    """One tenant's limits. Times are whole seconds."""

    def __init__(self, tenant_id: str, options: Options) -> None:
        self._options = options
        start = zlib.crc32(tenant_id.encode())
        self._minute = _Window(MINUTE, start % MINUTE)
        self._day = _Window(DAY, start % DAY)
        self.running = 0
        self.minute_left = options.requests_per_minute
        self.day_left = options.requests_per_day

    def admit(self, now: int) -> tuple[str, int | None] | None:
        """Counts a call; the problem and the seconds to wait, where it is one too many."""
        options = self._options
        minute, day = self._minute.add(now), self._day.add(now)
        self.minute_left = max(0, options.requests_per_minute - minute)
        self.day_left = max(0, options.requests_per_day - day)
        if day > options.requests_per_day:
            return "day", self._day.left(now)
        if minute > options.requests_per_minute:
            return "minute", self._minute.left(now)
        if self.running > options.concurrent_requests:
            return "concurrent", None
        return None
