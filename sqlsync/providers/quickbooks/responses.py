"""QuickBooks Online answers, read. No I/O.

An answer is a JSON envelope with `time`, or a fault (with any status), or nonsense: XML where
the gateway forgot what was asked for, HTML of a proxy, half a body. Records are handed on as
the JSON text they came as, so that nothing of them is lost or rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from schema.model import ObjectSpec
from schema.values import holdable
from sqlsync.errors import (
    NeedsReauth,
    NotPermitted,
    OutcomeUnknown,
    ProviderError,
    ProviderFault,
    ProviderRefusal,
    RateLimited,
    Unreachable,
)
from sqlsync.providers.base import Record, Tombstone
from sqlsync.providers.messages import HttpResponse
from sqlsync.providers.quickbooks.faults import (
    RETRY_AFTER_SECONDS,
    About,
    error_for,
    fault_in,
    fault_of,
)
from sqlsync.providers.quickbooks.shapes import presented, wrapper


class _Meta(msgspec.Struct):
    last_updated: datetime | None = msgspec.field(default=None, name="LastUpdatedTime")


class _Head(msgspec.Struct):
    """What we must know of any record."""

    id: str | int | None = msgspec.field(default=None, name="Id")
    sync_token: str | int | None = msgspec.field(default=None, name="SyncToken")
    status: str | None = None
    meta: _Meta | None = msgspec.field(default=None, name="MetaData")


_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])
_head = msgspec.json.Decoder(_Head)
_instant = msgspec.json.Decoder(datetime)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A good answer: its members as JSON text, and the provider's clock."""

    members: Mapping[str, msgspec.Raw]
    at: datetime


def read_answer(response: HttpResponse, about: About) -> Envelope:
    """The envelope of a good answer. Raises the typed error of any other.

    Nonsense is ProviderFault, or OutcomeUnknown where the request may have changed something.
    """
    if response.status in (429, 503):  # whatever the body says: letter case and codes vary
        raise _by_status(response, about)
    members = _members(response.body)
    if _fault_member(members):
        found = fault_of(response.body)
        if found is not None:
            refused = error_for(found, about, status=response.status, trace_id=response.trace_id)
            if isinstance(refused, RateLimited):
                refused.retry_after = retry_after(response)
            raise refused
    if not 200 <= response.status < 300 or members is None:
        raise _by_status(response, about)
    return Envelope(members, _time(members, response))


def retry_after(response: HttpResponse) -> float:
    """Seconds to keep away after a refusal for too many calls. A header wins if there is one."""
    given = response.headers.get("retry-after", "").strip()
    if given.isascii() and given.isdigit():
        return float(given)
    if given:
        try:
            until = parsedate_to_datetime(given)
            now = parsedate_to_datetime(response.headers["date"])
            return max(0.0, (until - now).total_seconds())
        except (ValueError, KeyError, TypeError):
            pass
    return RETRY_AFTER_SECONDS


def needs_new_token(response: HttpResponse) -> bool:
    """The access token is expired or unknown. A person without rights (120) is 401 as well."""
    if response.status != 401:
        return False
    fault = fault_of(response.body)
    return fault is None or not fault.has("120")


def is_foreign_grant(response: HttpResponse) -> bool:
    """The token is good, and for another company: this one's grant is gone or never was."""
    if response.status != 403:
        return False
    fault = fault_of(response.body)
    return fault is not None and fault.has("3100")


def record_from(spec: ObjectSpec, raw: bytes) -> Record | Tombstone:
    """One record's JSON text as a Record, or a Tombstone where its status is Deleted.

    Raises ProviderFault where it has no Id or is not an object.
    """
    raw = presented(spec, raw)
    try:
        head = _head.decode(raw)
    except msgspec.DecodeError as error:
        raise ProviderFault(
            f"[QuickBooks] {spec.title}: a record in the answer cannot be read: {error}"
        ) from error
    if head.id is None:
        raise ProviderFault(f"[QuickBooks] {spec.title}: a record in the answer has no Id.")
    updated_at = _utc(head.meta.last_updated) if head.meta else None
    if head.status == "Deleted":
        return Tombstone(spec.table, str(head.id), updated_at)
    version = None if head.sync_token is None else str(head.sync_token)
    return Record(spec.table, str(head.id), raw, version, updated_at)


def id_of(raw: bytes) -> str:
    """A record's Id. Raises ProviderFault."""
    try:
        found = _head.decode(raw).id
    except msgspec.DecodeError as error:
        raise ProviderFault(
            f"[QuickBooks] A record in the answer cannot be read: {error}"
        ) from error
    if found is None:
        raise ProviderFault("[QuickBooks] A record in the answer has no Id.")
    return str(found)


def single(envelope: Envelope, spec: ObjectSpec) -> Record | Tombstone:
    """The record of an answer to a read or a write. Raises ProviderFault."""
    return _wrapped(envelope.members, spec)


def query_rows(envelope: Envelope, spec: ObjectSpec) -> list[bytes]:
    """The records of a query, as JSON text, in order. No member at all means none were found."""
    answer = _object(envelope.members.get("QueryResponse"), "QueryResponse")
    return [presented(spec, row) for row in _rows(answer, wrapper(spec))]


def list_rows(envelope: Envelope, spec: ObjectSpec) -> list[bytes]:
    """The records of an address that lists them all, in or without a QueryResponse.

    Source: none that shows such an answer; both forms are taken.
    """
    if "QueryResponse" in envelope.members:
        return query_rows(envelope, spec)
    return [presented(spec, row) for row in _rows(envelope.members, wrapper(spec))]


def query_count(envelope: Envelope) -> int:
    """The number a `count(*)` gives, however it is spelled (29, 29.0). Raises ProviderFault."""
    answer = _object(envelope.members.get("QueryResponse"), "QueryResponse")
    raw = answer.get("totalCount")
    try:
        return int(msgspec.json.decode(raw or b"", type=float))
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise ProviderFault("[QuickBooks] The answer to a count holds no count.") from error


@dataclass(frozen=True, slots=True)
class CdcAnswer:
    """What a change feed answered: rows by lower-case object name, and how many in all."""

    rows: Mapping[str, Sequence[bytes]]
    total: int
    at: datetime

    def of(self, spec: ObjectSpec) -> Sequence[bytes]:
        """The rows of one object, which stand under its wrapper's name."""
        names = dict.fromkeys((wrapper(spec).lower(), spec.api_name.lower()))
        return [row for name in names for row in self.rows.get(name, ())]


def cdc_answer(envelope: Envelope, about: About) -> CdcAnswer:
    """The rows of a change feed's answer, tombstones among them. Raises typed errors."""
    rows: dict[str, list[bytes]] = {}
    for response in _list(envelope.members.get("CDCResponse"), "CDCResponse"):
        element = _object(response, "CDCResponse")
        if _fault_member(element):
            fault = fault_of(msgspec.json.encode(element))
            if fault is not None:
                raise error_for(fault, about)
        for query_response in _list(element.get("QueryResponse"), "QueryResponse"):
            members = _object(query_response, "QueryResponse")
            for name, raw in members.items():
                if _is_list(raw):
                    found = rows.setdefault(name.lower(), [])
                    found.extend(bytes(item) for item in _list(raw, name))
    return CdcAnswer(rows, sum(len(found) for found in rows.values()), envelope.at)


def batch_answer(
    envelope: Envelope, abouts: Mapping[str, About], *, trace_id: str | None = None
) -> dict[str, Record | Tombstone | ProviderError]:
    """Outcomes by item id. An item that was not answered is OutcomeUnknown."""
    outcomes: dict[str, Record | Tombstone | ProviderError] = {}
    for item in _list(envelope.members.get("BatchItemResponse"), "BatchItemResponse"):
        members = _object(item, "BatchItemResponse")
        item_id = _decoded(members.get("bId"))
        about = abouts.get(str(item_id))
        if about is None or about.spec is None:
            continue
        outcomes[str(item_id)] = _item(members, about, trace_id)
    for item_id, about in abouts.items():
        if item_id not in outcomes:
            outcomes[item_id] = OutcomeUnknown(
                f"{about.subject}: the answer to the batch does not mention it.",
                trace_id=trace_id,
            )
    return outcomes


def _item(
    members: Mapping[str, msgspec.Raw], about: About, trace_id: str | None
) -> Record | Tombstone | ProviderError:
    assert about.spec is not None
    if _fault_member(members):
        fault = fault_in({name: _decoded(raw) for name, raw in members.items()})
        if fault is not None:
            return error_for(fault, about, trace_id=trace_id)
    try:
        return _wrapped(members, about.spec)
    except ProviderFault as error:
        return OutcomeUnknown(str(error), trace_id=trace_id)


def upload_answer(envelope: Envelope, about: About) -> Record | Tombstone | ProviderError:
    """The outcome of an upload of one file; a refusal stands inside a good answer."""
    items = _list(envelope.members.get("AttachableResponse"), "AttachableResponse")
    members = _object(items[0], "AttachableResponse") if items else {}
    return _item(members, about, None)


# -- pieces ---------------------------------------------------------------------------------


def _members(body: bytes | msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    try:
        return _raw_object.decode(body)
    except (msgspec.DecodeError, RecursionError):
        pass
    # One text cut inside a character must not keep the thousand records beside it away.
    try:
        return _raw_object.decode(holdable(bytes(body)))
    except (msgspec.DecodeError, RecursionError):
        return None


def _fault_member(members: Mapping[str, msgspec.Raw] | None) -> bool:
    if members is None:
        return False
    return any(name.lower() == "fault" and bytes(raw) != b"null" for name, raw in members.items())


def _by_status(response: HttpResponse, about: About) -> ProviderError:
    """An answer without a readable body, by its status alone."""
    status = response.status
    shape = _shape(response.body)
    words = f"{about.subject}: QuickBooks answered {status} with {shape}"
    trace: dict[str, Any] = {
        "trace_id": response.trace_id,
        "detail": f"intuit_tid {response.trace_id}" if response.trace_id else None,
    }
    if status == 401:
        return NeedsReauth(f"{about.subject}: QuickBooks does not accept the grant.", **trace)
    if status == 403:
        return NotPermitted(f"{about.subject}: QuickBooks forbids it.", **trace)
    if status == 429:
        return RateLimited(
            f"{about.subject}: too many calls to QuickBooks.", retry_after=retry_after(response)
        )
    if status == 503:
        return Unreachable(f"{about.subject}: QuickBooks is not available (503).", **trace)
    if 200 <= status < 300 or status >= 500:
        if about.changes:
            return OutcomeUnknown(f"{words}; it may or may not have been carried out.", **trace)
        if status in (502, 504):
            return Unreachable(words, **trace)
        return ProviderFault(words, **trace)
    # Redirects are not followed: credentials would go with them.
    return ProviderRefusal(words, code=str(status), **trace)


def _shape(body: bytes) -> str:
    start = body.lstrip()[:64].lower()
    if not start:
        return "an empty body"
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if start.startswith(b"<"):
        return "XML"
    if start.startswith(b"{"):
        return "JSON that is no answer"
    return "something that is not JSON"


def _time(members: Mapping[str, msgspec.Raw], response: HttpResponse) -> datetime:
    """The provider's clock: the envelope's `time` (ISO, or epoch milliseconds), else Date.

    A report says its time in its `Header`.
    """
    raw = members.get("time")
    if raw is None and "Header" in members:
        raw = (_members(members["Header"]) or {}).get("Time")
    if raw is not None:
        try:
            found = _utc(_instant.decode(raw))
            if found is not None:
                return found
        except msgspec.DecodeError:
            milliseconds = _decoded(raw)
            if isinstance(milliseconds, int):
                return datetime.fromtimestamp(milliseconds / 1000, UTC)
    try:
        return parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError):
        raise ProviderFault("[QuickBooks] The answer does not say what time it is.") from None


def _utc(at: datetime | None) -> datetime | None:
    if at is None:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _wrapped(members: Mapping[str, msgspec.Raw], spec: ObjectSpec) -> Record | Tombstone:
    for name in (wrapper(spec), spec.api_name):
        raw = members.get(name)
        if raw is not None:
            return record_from(spec, bytes(raw))
    raise ProviderFault(f"[QuickBooks] {spec.title}: the answer does not hold the record.")


def _rows(members: Mapping[str, msgspec.Raw], name: str) -> list[bytes]:
    raw = members.get(name)
    if raw is None:
        raw = next((r for r in members.values() if _is_list(r)), None)
    return [] if raw is None else [bytes(item) for item in _list(raw, name)]


def _is_list(raw: msgspec.Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b"["


def _object(raw: msgspec.Raw | None, name: str) -> dict[str, msgspec.Raw]:
    try:
        return _raw_object.decode(raw or b"")
    except msgspec.DecodeError as error:
        raise ProviderFault(f"[QuickBooks] The answer's {name} cannot be read.") from error


def _list(raw: msgspec.Raw | None, name: str) -> list[msgspec.Raw]:
    try:
        return _raw_list.decode(raw or b"")
    except msgspec.DecodeError as error:
        raise ProviderFault(f"[QuickBooks] The answer's {name} cannot be read.") from error


def _decoded(raw: msgspec.Raw | None) -> Any:
    return None if raw is None else msgspec.json.decode(raw)
