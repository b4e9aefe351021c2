"""Request limits per company, as a sliding window. Pure over the times it is given."""

from __future__ import annotations

from collections import deque

from sqlsync.simulators.quickbooks.options import Options


class Limiter:
    """Counts one company's requests. Times are seconds of any steady clock."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._requests: deque[float] = deque()
        self._batches: deque[float] = deque()
        self._reads: dict[str, int] = {}  # by month
        self.running = 0  # requests that are being answered

    def admit(self, now: float, *, is_batch: bool, reads_in: str | None = None) -> bool:
        """Counts the request and says whether it is within the limits.

        reads_in: the month ("2026-03") that a reading request counts in.
        """
        options = self._options
        if options.concurrent_requests is not None and self.running > options.concurrent_requests:
            return False
        if reads_in is not None and options.reads_per_month is not None:
            self._reads[reads_in] = self._reads.get(reads_in, 0) + 1
            if self._reads[reads_in] > options.reads_per_month:
                return False
        _forget(self._requests, now - 60)
        _forget(self._batches, now - 60)
        per_minute, per_second = options.requests_per_minute, options.requests_per_second
        if per_minute is not None and len(self._requests) >= per_minute:
            return False
        if per_second is not None:
            recent = sum(1 for at in self._requests if at > now - 1)
            if recent >= per_second:
                return False
        if is_batch and options.batches_per_minute is not None:
            if len(self._batches) >= options.batches_per_minute:
                return False
            self._batches.append(now)
        if per_minute is not None or per_second is not None:
            self._requests.append(now)
        return True


def _forget(times: deque[float], before: float) -> None:
    while times and times[0] <= before:
        times.popleft()
