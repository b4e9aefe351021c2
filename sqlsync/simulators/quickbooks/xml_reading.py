"""XML bodies as the JSON objects they stand for. Pure.

The service takes XML wherever it takes JSON: an element is a member, a reference is an element
with its id as text and its name as attribute, an element that may come often is a list, and
attributes (`sparse`, `domain`, `bId`, `operation`) are members too.
Source: Intuit, "REST API features"; the v3 schemas.
"""

from __future__ import annotations

from functools import cache
from typing import Any
from xml.etree import ElementTree

from sqlsync.simulators.quickbooks import faults
from sqlsync.simulators.quickbooks.entities import entities, known_properties
from sqlsync.simulators.quickbooks.values import Doc

_MANY = frozenset({"BatchItemRequest", "TaxRateDetails", "ItemGroupLine"})
_TEXT_WITH_VALUE = frozenset({"CustomerMemo"})
_TYPE_OF = {"IntuitBatchRequest": "", "TaxService": ""}


def read_xml(data: bytes) -> Doc:
    """The body's object, without the name of its root. Raises Fault 2010 for what is no XML."""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise faults.not_json()
    try:
        root = ElementTree.fromstring(data)  # noqa: S314 (no entities: refused above)
    except ElementTree.ParseError:
        raise faults.not_json() from None
    found: Any = _value(root, _local(root))
    return found if isinstance(found, dict) else {}


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _value(element: ElementTree.Element, type: str) -> Any:
    attributes: Doc = {name: value for name, value in element.attrib.items() if "}" not in name}
    children = list(element)
    if not children:
        text = (element.text or "").strip()
        name = _local(element)
        if name.endswith("Ref") or name in _TEXT_WITH_VALUE:
            return {"value": text, **attributes}
        if not text and (attributes or name.endswith("Detail")):
            return attributes
        return text
    known = known_properties().get(type, {})
    found: Doc = {**attributes}
    for child in children:
        name = _local(child)
        inner = _value(child, known.get(name) or name)
        if name in lists():
            found.setdefault(name, []).append(inner)
        else:
            found[name] = inner
    return found


@cache
def lists() -> frozenset[str]:
    """Names of elements that stand for lists."""
    paths = (path for entity in entities().values() for path in entity.rows)
    return _MANY | {path[-1] for path in paths}
