"""How many requests there were of each kind, and a short log of them."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from sqlsync.simulators.trouble import Seen

LOG_MAX = 2000


@dataclass(slots=True)
class Logged:
    """One request and its answer. status 599: the connection was closed without one."""

    method: str
    path: str
    kind: str
    status: int
    requestid: str | None  # the key under which a write is repeated


class Traffic:
    """Counters per kind (`create.customer`, `query`, `token.refresh_token`) and a short log."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.log: deque[Logged] = deque(maxlen=LOG_MAX)

    def note(self, seen: Seen, status: int, requestid: str | None) -> None:
        kind = f"{seen.operation}.{seen.entity}" if seen.entity else seen.operation
        if seen.entity == "token":
            kind = f"token.{seen.operation}"
        self.counts[kind] += 1
        self.log.append(Logged(seen.method, seen.path, kind, status, requestid))

    def reset(self) -> None:
        self.counts.clear()
        self.log.clear()
