"""The simulated service's own time: the machine's, moved forward on request."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlsync.clock import Clock, SystemClock

PACIFIC = ZoneInfo("America/Los_Angeles")


class SimulatedClock:
    """A Clock that can be pushed ahead of the one beneath it, never back."""

    def __init__(self, base: Clock | None = None, *, skew_seconds: float = 0.0) -> None:
        """skew_seconds: how far it is ahead (or, below nought, behind) from the beginning."""
        self._base = base or SystemClock()
        self._ahead = timedelta(seconds=skew_seconds)

    def now(self) -> datetime:
        return self._base.now() + self._ahead

    def epoch(self) -> int:
        """Whole seconds since 1970."""
        return int(self.now().timestamp())

    def today(self) -> date:
        """The date in Pacific time, where the service dates transactions."""
        return self.now().astimezone(PACIFIC).date()

    def advance(self, seconds: float) -> datetime:
        if seconds < 0:
            raise ValueError("time only goes forward")
        self._ahead += timedelta(seconds=seconds)
        return self.now()

    @staticmethod
    def monotonic() -> float:
        """For measuring waits inside the simulator, which no scripted jump may touch."""
        return time.monotonic()


def utc(epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)
