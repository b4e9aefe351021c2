"""Records of objects that come or go in a form of their own, as all others have it. No I/O.

Three things are odd in QuickBooks: some records stand under a key that is not the object's
name, some have no Id, and a recurring transaction is wrapped in the type it makes:
`{"Invoice": {…, "RecurringInfo": {…}}}`. What is odd of an object is in its catalog file; here
its records get an Id, or lose their wrapping, and bodies get it back. Nothing of a record is
lost or rounded: its members are taken over as the text they are.

Source: reference of each object; for entitlements also EntitlementResponse.xsd.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any

import msgspec

from schema.model import ObjectSpec
from sqlsync.errors import MissingRequired, ProviderFault

KEY_SEPARATOR = ":"
ONLY_ID = "1"  # of a record that is one of its kind
TYPE = "Type"  # which transaction a wrapped record makes

# What every wrapped record has, whatever its type: put beside the transaction.
_SHARED = ("domain", "sparse", "Id", "SyncToken", "MetaData", "RecurDataRef", "RecurringInfo")

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def wrapper(spec: ObjectSpec) -> str:
    """The key a record stands under. Mostly its name; CreditCardPayment has another."""
    return spec.extra.get("wrapper", spec.api_name)


def presented(spec: ObjectSpec, raw: bytes) -> bytes:
    """A record's JSON text as it is mirrored. Raises ProviderFault."""
    if "key" in spec.extra:
        return _with_id(spec, raw)
    if "wrapped" in spec.extra:
        return _unwrapped(spec, raw)
    return raw


def key_parts(spec: ObjectSpec, record_id: str) -> dict[str, str] | None:
    """The members that make a record's key, from its id. None: no record has that id."""
    names = spec.extra["key"].split()
    values = record_id.split(KEY_SEPARATOR)
    return dict(zip(names, values, strict=True)) if len(values) == len(names) else None


def outgoing(spec: ObjectSpec, body: dict[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """A write's body as the service takes it. Raises MissingRequired, nothing sent."""
    if "key" in spec.extra:
        return {name: value for name, value in body.items() if name != "Id"}
    inside = spec.extra.get("wrapped")
    if inside is None:
        return body
    kind = body.pop(TYPE, None) or base.get(TYPE)
    if not kind:
        raise MissingRequired(
            f"[QuickBooks] {spec.title}: which type of transaction it makes is not said",
            hint='Give "type" a value, as in Invoice, Bill or JournalEntry.',
            table=spec.table,
            column="type",
        )
    return {str(kind): {**(body.pop(inside, None) or {}), **body}}


def entitlements(body: bytes) -> bytes | None:
    """The plan's XML as the JSON of one record, or None where it is something else.

    Numbers and switches stay the texts they are; the columns read them.
    """
    if b"<!" in body:
        return None  # a web page, or a document that defines entities: neither is Intuit's
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - no DOCTYPE, so no entities
    except ElementTree.ParseError:
        return None
    if not _local(root).endswith("EntitlementsResponse"):
        return None
    record: dict[str, Any] = {"Id": ONLY_ID}
    for element in root:
        name = _local(element)
        if name in ("Entitlement", "Thresholds"):
            listed = element if name == "Thresholds" else [element]
            record.setdefault(name, []).extend(_members(one) for one in listed)
        elif (element.text or "").strip():
            record[name] = (element.text or "").strip()
    return msgspec.json.encode(record)


def _members(element: ElementTree.Element) -> dict[str, str]:
    found = dict(element.attrib)
    found.update((_local(child), (child.text or "").strip()) for child in element)
    return found


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _with_id(spec: ObjectSpec, raw: bytes) -> bytes:
    members = _decoded(spec, raw)
    if "Id" in members:
        return raw
    parts = []
    for name in spec.extra["key"].split():
        value = members.get(name)
        text = None if value is None else msgspec.json.decode(value)
        if not isinstance(text, str | int) or text == "":
            raise ProviderFault(f"[QuickBooks] {spec.title}: a record in the answer has no {name}.")
        parts.append(str(text))
    record: dict[str, Any] = {"Id": KEY_SEPARATOR.join(parts)}
    return msgspec.json.encode(record | members)


def _unwrapped(spec: ObjectSpec, raw: bytes) -> bytes:
    members = _decoded(spec, raw)
    if "Id" in members:
        return raw  # a tombstone, or one that has been unwrapped
    wrapped = [name for name, value in members.items() if bytes(memoryview(value)[:1]) == b"{"]
    if len(wrapped) != 1:
        raise ProviderFault(f"[QuickBooks] {spec.title}: a record in the answer wraps nothing.")
    inner = members[wrapped[0]]
    shared = _decoded(spec, bytes(inner))
    record: dict[str, Any] = {name: shared[name] for name in _SHARED if name in shared}
    return msgspec.json.encode({**record, TYPE: wrapped[0], spec.extra["wrapped"]: inner})


def _decoded(spec: ObjectSpec, raw: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _object.decode(raw)
    except msgspec.DecodeError as error:
        raise ProviderFault(
            f"[QuickBooks] {spec.title}: a record in the answer cannot be read: {error}"
        ) from error
