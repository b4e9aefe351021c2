"""XML bodies as the elements they stand for. Pure.

XML is what the service speaks unless told otherwise, and older clients write it: a record is an
element named after its type, several stand in one named after their collection, and a member
that is a list holds an element for each of its entries, whatever that is called.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from sqlsync.simulators.xero.fields import members_of
from sqlsync.simulators.xero.problems import bad_post
from sqlsync.simulators.xero.values import Doc


def read_xml(collection: str, type_name: str, data: bytes) -> list[Doc]:
    """The elements of a body. Raises Refused (PostDataInvalidException) for what is no XML."""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise bad_post("The XML of the post data was invalid.")
    try:
        root = ElementTree.fromstring(data)  # noqa: S314 (no entities: refused above)
    except ElementTree.ParseError as error:
        raise bad_post(f"The XML of the post data was invalid, {error}") from None
    is_many = _local(root).lower() == collection.lower() != type_name.lower()
    return [_object(element, type_name) for element in (root if is_many else [root])]


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _object(element: ElementTree.Element, type_name: str) -> Doc:
    members = members_of(type_name)
    found: Doc = {}
    for child in element:
        member = members.get(_local(child).lower())
        if member is not None:
            found[member.name] = _value(child, member.kind, member.of)
    return found


def _value(element: ElementTree.Element, kind: str, of: str) -> Any:
    if kind == "list":
        return [_object(entry, of) if len(entry) else _text(entry) for entry in element]
    if kind == "object":
        return _object(element, of)
    return _text(element)


def _text(element: ElementTree.Element) -> str:
    return (element.text or "").strip()
