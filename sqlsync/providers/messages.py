"""Requests and answers as values, so that adapters build and read them without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, without credentials.

    changes: True where the provider may change something on it. It decides what a lost answer
    means: an unknown outcome, or just an unreachable provider.
    """

    method: str
    url: str
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    changes: bool = False
    timeout_seconds: float | None = None  # None: the client's own
    largest_answer: int | None = None  # bytes; None: the client's own

    def with_header(self, name: str, value: str) -> HttpRequest:
        return replace(self, headers={**self.headers, name: value})


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def trace_id(self) -> str | None:
        """What a provider's support asks for: `intuit_tid`, `Xero-Correlation-Id`."""
        return self.headers.get("intuit_tid") or self.headers.get("xero-correlation-id")
