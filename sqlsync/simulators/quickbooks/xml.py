"""JSON answers as the XML the service gives to who does not ask for JSON. Pure.

Root `IntuitResponse`; a reference is `<CustomerRef name="x">58</CustomerRef>`; lists repeat
their element. Enough for a client that only wants to see what went wrong.
"""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape, quoteattr

from sqlsync.simulators.quickbooks.values import Doc

NAMESPACE = "http://schema.intuit.com/finance/v3"
_ATTRIBUTES = frozenset({"domain", "sparse", "status", "startPosition", "maxResults", "totalCount"})


def to_xml(answer: Doc) -> bytes:
    time = answer.get("time")
    stamp = f" time={quoteattr(str(time))}" if time is not None else ""
    inner = "".join(_element(name, value) for name, value in answer.items() if name != "time")
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    return f'{head}<IntuitResponse xmlns="{NAMESPACE}"{stamp}>{inner}</IntuitResponse>'.encode()


def _element(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "".join(_element(name, element) for element in value)
    if not isinstance(value, dict):
        return f"<{name}>{_plain(value)}</{name}>"
    if name.endswith("Ref") and "value" in value:
        label = f" name={quoteattr(str(value['name']))}" if value.get("name") else ""
        return f"<{name}{label}>{_plain(value['value'])}</{name}>"
    if name == "Error":
        attributes = "".join(
            f" {key}={quoteattr(str(value[key]))}" for key in ("code", "element") if value.get(key)
        )
        texts = "".join(_element(key, value.get(key)) for key in ("Message", "Detail"))
        return f"<{name}{attributes}>{texts}</{name}>"
    marked = "".join(
        f" {key}={quoteattr(_plain(inner))}"
        for key, inner in value.items()
        if key in _ATTRIBUTES or (name == "Fault" and key == "type")
    )
    texts = "".join(
        _element(key, inner)
        for key, inner in value.items()
        if key not in _ATTRIBUTES and not (name == "Fault" and key == "type")
    )
    return f"<{name}{marked}>{texts}</{name}>"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(str(value))
