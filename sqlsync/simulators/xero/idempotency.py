"""Answers kept for six minutes under a client's Idempotency-Key.

The same key with the same request gives the stored answer, refusals included; with another
request it is refused.
Source: reference, "Idempotency-Key".
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlsync.simulators.xero.options import Options
from sqlsync.simulators.xero.problems import key_reused, key_too_long

Request = tuple[str, str, str, bytes]  # method, tenant, address with its query, body


@dataclass(slots=True)
class Kept:
    """An answer as it went out."""

    request: Request
    until: int
    status: int
    body: bytes
    media: str
    headers: dict[str, str]


class KeptAnswers:
    """The store of one service, by client and key. Times are milliseconds."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._kept: dict[tuple[str, str], Kept] = {}

    def find(self, client_id: str, key: str, request: Request, now: int) -> Kept | None:
        """The stored answer to repeat. Raises Refused for a key of another request."""
        if len(key) > self._options.idempotency_key_max:
            raise key_too_long(self._options.idempotency_key_max)
        held = self._kept.get((client_id, key))
        if held is None or held.until <= now:
            return None
        if held.request != request:
            raise key_reused(key)
        return held

    def keep(
        self,
        client_id: str,
        key: str,
        request: Request,
        now: int,
        answer: tuple[int, bytes, str, dict[str, str]],
    ) -> None:
        until = now + self._options.idempotency_seconds * 1000
        self._kept[client_id, key] = Kept(request, until, *answer)
        for name in [name for name, kept in self._kept.items() if kept.until <= now]:
            del self._kept[name]

    def clear(self) -> None:
        self._kept.clear()
