"""JSON answers as the XML the service gives to who does not ask for JSON. Pure.

Root `Response` (or `ApiException`); a list's elements are named after their collection. Enough
for a client that only wants to see what went wrong.
"""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

from sqlsync.simulators.xero.values import Doc

_SINGULAR = {
    "Addresses": "Address",
    "Currencies": "Currency",
    "TrackingCategories": "TrackingCategory",
    "Tracking": "TrackingCategory",
    "Elements": "DataContractBase",
    "JournalLines": "JournalLine",
}


def to_xml(answer: Doc) -> bytes:
    root = "ApiException" if "ErrorNumber" in answer else "Response"
    inner = "".join(_element(name, value) for name, value in answer.items())
    return f'<?xml version="1.0" encoding="utf-8"?><{root}>{inner}</{root}>'.encode()


def _element(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        one = _SINGULAR.get(name, name.removesuffix("s"))
        return f"<{name}>{''.join(_element(one, entry) for entry in value)}</{name}>"
    if isinstance(value, dict):
        inner = "".join(_element(key, entry) for key, entry in value.items())
        return f"<{name}>{inner}</{name}>"
    if isinstance(value, bool):
        value = "true" if value else "false"
    return f"<{name}>{escape(str(value))}</{name}>"
