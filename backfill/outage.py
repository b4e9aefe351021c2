"""One voice for all duties of a process while Postgres is away.

A dozen loops meet the same outage several times a second. It is told once, then ever more
rarely, and its end is told too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic

from sqlsync.database import PoolTimeout, errors
from sqlsync.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0
# What the driver, the pool and we ourselves say where nobody answers, or a session was cut off.
AWAY = (errors.OperationalError, errors.InterfaceError, PoolTimeout, DatabaseUnavailable)
# By the driver's classes these are of the same kind, but Postgres is there: two of us met.
COLLISIONS = (
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.SerializationFailure,
)


class Outage:
    """Whether Postgres is away, as far as this process knows."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._since: float | None = None
        self._told_next = 0.0
        self._pause = FIRST_PAUSE_SECONDS

    def met(self, error: BaseException) -> bool:
        """Takes note of an error. True where it is the outage's, and so has been told enough.

        A collision is no outage and no mistake either: what met it tries again.
        """
        if isinstance(error, COLLISIONS):
            log.info("Postgres let another go first: %s", _words(error))
            return True
        if not isinstance(error, AWAY):
            return False
        now = self._clock()
        if self._since is None:
            self._since, self._told_next, self._pause = now, now, FIRST_PAUSE_SECONDS
        if now >= self._told_next:
            log.error("Postgres is away for %.0f s: %s", now - self._since, _words(error))
            self._told_next = now + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        return True

    def over(self) -> None:
        """Postgres answered."""
        if self._since is not None:
            log.info("Postgres is back after %.0f s", self._clock() - self._since)
            self._since = None


def _words(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
