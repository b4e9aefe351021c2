"""A request and an answer of the Accounting API, without HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One request below `/api.xro/2.0`. params: names in lower case."""

    method: str
    parts: tuple[str, ...]
    params: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    since: str | None = None  # If-Modified-Since
    accept: str = "application/json"
    content_type: str = "application/json"
    idempotency_key: str | None = None
    client_id: str = ""
    base_url: str = "https://api.xero.com"
    is_person: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """body: a JSON value, or bytes with their `media`."""

    body: Any
    status: int = 200
    media: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
