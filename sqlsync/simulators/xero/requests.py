"""What each request is about, and which scope it needs. Pure."""

from __future__ import annotations

from sqlsync.simulators.trouble import Seen
from sqlsync.simulators.xero.calls import Call
from sqlsync.simulators.xero.endpoints import (
    REPORT_SCOPES,
    Endpoint,
    endpoint_by_word,
    report_scope,
)

_READING = ("GET", "HEAD")


def classify(method: str, path: str, parts: tuple[str, ...]) -> Seen:
    """The entity and operation of a request. path: below `/api.xro/2.0`.

    entity: the record's name in lower case (`invoice`, `banktransaction`); operation: query
    (a list), read, create (PUT), write (POST to a collection), update, delete, history,
    attachment, allocation, report …
    """
    first = parts[0].lower() if parts else ""
    if first == "reports":
        return Seen(method, path, "", "report")
    endpoint = endpoint_by_word().get(first)
    entity = endpoint.type.lower() if endpoint else first
    if len(parts) > 2:
        word = parts[2].lower()
        return Seen(method, path, entity, _BELOW.get(word, word))
    if method in _READING:
        return Seen(method, path, entity, "query" if len(parts) == 1 else "read")
    if method == "DELETE":
        return Seen(method, path, entity, "delete")
    if len(parts) == 1:
        return Seen(method, path, entity, "create" if method == "PUT" else "write")
    return Seen(method, path, entity, "update")


_BELOW = {
    "history": "history",
    "attachments": "attachment",
    "allocations": "allocation",
    "options": "option",
    "contacts": "member",
    "email": "send",
    "pdf": "pdf",
}


def is_allowed(call: Call, scopes: frozenset[str]) -> bool:
    """Whether the scopes of a token open an address."""
    wanted = _wanted(call)
    if call.method in _READING:
        wanted = [*wanted, *(f"{scope}.read" for scope in wanted if not scope.endswith(".read"))]
    return not wanted or not scopes.isdisjoint(wanted)


def _wanted(call: Call) -> list[str]:
    first = call.parts[0].lower()
    if first == "reports":
        name = call.parts[1] if len(call.parts) > 1 else ""
        return [report_scope(_proper(name)), "accounting.reports.read"]
    if len(call.parts) > 2 and call.parts[2].lower() == "attachments":
        return ["accounting.attachments"]
    if first in ("invoicereminders", "setup"):
        return ["accounting.settings"]
    if len(call.parts) > 2 and call.parts[2].lower() == "paymentservices":
        return ["paymentservices"]
    endpoint = endpoint_by_word().get(first)
    return _scopes(endpoint, call) if endpoint is not None else []


def _scopes(endpoint: Endpoint, call: Call) -> list[str]:
    more = endpoint.more_scopes if call.method in _READING else ()
    return [endpoint.scope, endpoint.broad, *more]


def _proper(name: str) -> str:
    """A report's name in its own spelling."""
    return next((known for known in REPORT_SCOPES if known.lower() == name.lower()), name)
