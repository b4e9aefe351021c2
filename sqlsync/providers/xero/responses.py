"""Xero answers, read. No I/O.

An answer is a JSON envelope with `DateTimeUTC` and a list of records, or a refusal in one of
four shapes, or nonsense: XML where `Accept` was lost, a web page, half a body. Status and
headers are looked at before the body. Records are handed on as the JSON text they came as.
Source: reference/xero/README.md sections 3.1, 6 and 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from sqlsync.errors import (
    BadReference,
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
from sqlsync.providers.xero.added import complete
from sqlsync.providers.xero.bodies import REMARKS
from sqlsync.providers.xero.calls import Calls
from sqlsync.providers.xero.faults import (
    About,
    Complaint,
    Fault,
    complaints_in,
    error_for,
    not_found,
)
from sqlsync.providers.xero.values import (
    ZERO_ID,
    decode_any,
    decode_record,
    encode_json,
    instant_of,
)

# Seconds to stay away where the answer does not say how long, by X-Rate-Limit-Problem.
PAUSES: Mapping[str, float] = {
    "concurrent": 1.0,
    "minute": 60.0,
    "appminute": 20.0,
    "day": 3600.0,
    "unsaid": 5.0,
}
# The texts of outages, in which nothing is carried out. Another 503 may have come half way.
_OUTAGES = ("is offline", "is currently offline", "temporarily unavailable")

_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Pagination:
    """What a page says of the whole."""

    page: int
    page_count: int
    item_count: int


@dataclass(frozen=True, slots=True)
class Envelope:
    """A good answer: its members as JSON text, and the provider's clock if it says."""

    members: Mapping[str, msgspec.Raw]
    clock: datetime | None
    pagination: Pagination | None = None

    @property
    def at(self) -> datetime:
        """The provider's clock. Raises ProviderFault."""
        if self.clock is None:
            raise ProviderFault("[Xero] The answer does not say what time it is.")
        return self.clock


def read_answer(response: HttpResponse, about: About) -> Envelope:
    """The envelope of a good answer. Raises the typed error of any other.

    Nonsense is ProviderFault, or OutcomeUnknown where the request may have changed something.
    An answer without a body (204, 304) is an envelope without members.
    """
    if response.status in (204, 304):
        return Envelope({}, _clock({}, response))
    members = _members(response.body)
    if response.status in (200, 201) and members is not None:
        return Envelope(members, _clock(members, response), _pagination(members))
    raise _refusal(response, members, about)


def items(envelope: Envelope, calls: Calls) -> list[bytes]:
    """The records of an answer, as JSON text, in order."""
    return _items(envelope, calls.collection)


def _items(envelope: Envelope, collection: str) -> list[bytes]:
    raw = next((r for n, r in envelope.members.items() if n.lower() == collection.lower()), None)
    if raw is None:
        return []
    try:
        return [bytes(item) for item in _raw_list.decode(raw)]
    except msgspec.DecodeError as error:
        raise ProviderFault(f"[Xero] The answer's {collection} cannot be read.") from error


def record_from(calls: Calls, raw: bytes) -> Record | Tombstone:
    """One record's JSON text as a Record, or a Tombstone where its status says it is gone.

    Raises ProviderFault where it has no key or is not an object.
    """
    spec = calls.spec
    try:
        head = _raw_object.decode(raw)
        record_id = decode_any(head[calls.id_member])
        status = decode_any(head.get(calls.status_member, msgspec.Raw(b"null")))
        updated = decode_any(head.get(calls.modified_member or "", msgspec.Raw(b"null")))
    except (msgspec.DecodeError, KeyError) as error:
        raise ProviderFault(
            f"[Xero] {spec.title}: a record in the answer has no {calls.id_member}."
        ) from error
    if not isinstance(record_id, str | int) or record_id in ("", ZERO_ID):
        raise ProviderFault(f"[Xero] {spec.title}: a record in the answer has no key.")
    updated_at = instant_of(updated)
    if calls.gone_status is not None and status == calls.gone_status:
        return Tombstone(spec.table, str(record_id), updated_at)
    return Record(spec.table, str(record_id), raw, None, updated_at)


def records_in(
    envelope: Envelope, calls: Calls, known: Mapping[str, Any] | None = None
) -> list[Record]:
    """The records that are not gone. known: of the record they lie beneath, see `added`."""
    return as_records(calls, complete(calls, items(envelope, calls), known or {}))


def as_records(calls: Calls, rows: Sequence[bytes]) -> list[Record]:
    found = (record_from(calls, raw) for raw in rows)
    return [record for record in found if isinstance(record, Record)]


def written(
    envelope: Envelope,
    calls: Calls,
    abouts: Sequence[About],
    *,
    known: Sequence[Mapping[str, Any]] = (),
    trace_id: str | None = None,
) -> list[Record | Tombstone | ProviderError]:
    """One outcome per element of a write, in the order of the request.

    known: of each, what the answer may leave out, see `added`.

    An element that was not answered, or not as one, is OutcomeUnknown.
    """
    elements = items(envelope, calls)
    if len(elements) != len(abouts):
        return [
            OutcomeUnknown(
                f"{about.subject}: {len(elements)} answers came to {len(abouts)} writes.",
                trace_id=trace_id,
            )
            for about in abouts
        ]
    return [
        _element(calls, raw, about, trace_id, known[index] if known else {})
        for index, (raw, about) in enumerate(zip(elements, abouts, strict=True))
    ]


def row_refusal(
    envelope: Envelope, collection: str, about: About, *, trace_id: str | None = None
) -> ProviderError | None:
    """Why a row of a list of its own (an allocation, an option) was not written, or None."""
    for raw in _items(envelope, collection):
        element = decode_record(raw)
        complaints = complaints_in(element)
        if complaints or str(element.get("StatusAttributeString") or "").upper() == "ERROR":
            fault = Fault("refused without a reason", 10, "ValidationException", complaints)
            return error_for(fault, about, trace_id=trace_id)
    return None


def is_whole(calls: Calls, record: Record, sent: Mapping[str, Any]) -> bool:
    """Whether an answer to a write shows the record, and not just a part of it."""
    try:
        members = decode_record(record.raw)
    except ProviderFault:
        return False
    if calls.modified_member is not None and not members.get(calls.modified_member):
        return False
    lists = (c.path[0] for c in calls.spec.children if c.path and not c.read_only)
    return all(members.get(name) or not sent.get(name) for name in lists)


# -- limits and grants ---------------------------------------------------------------------


def limits_left(response: HttpResponse) -> tuple[int | None, int | None]:
    """Calls left in this minute and this day, as the headers say."""
    return (
        _whole(response.headers.get("x-minlimit-remaining")),
        _whole(response.headers.get("x-daylimit-remaining")),
    )


def limit_problem(response: HttpResponse) -> str:
    """Which limit a 429 is about: concurrent, minute, day or appminute.

    unsaid: neither that nor how long; then it is not the minute's or the day's, with which
    Retry-After comes (reference section 7).
    """
    said = response.headers.get("x-rate-limit-problem", "").lower()
    if not said and not response.headers.get("retry-after"):
        return "unsaid"
    for name, signs in (
        ("appminute", ("app",)),
        ("concurrent", ("concurren",)),
        ("day", ("day", "daily")),
    ):
        if any(sign in said for sign in signs):
            return name
    return "minute"


def retry_after(response: HttpResponse) -> float:
    """Seconds to stay away after a 429 or 503. The header wins if there is one."""
    given = response.headers.get("retry-after", "").strip()
    if given.isascii() and given.isdigit():
        return float(given)
    return PAUSES[limit_problem(response)]


def lacks_scope(response: HttpResponse) -> bool:
    """A 401 that a new token does not help. Xero spells it "insufficent_scope"."""
    said = response.headers.get("www-authenticate", "").lower()
    return (
        "insufficient_scope" in said
        or "insufficent_scope" in said
        or (response.status == 401 and "authorizationunsuccessful" in _problem(response).lower())
    )


def needs_new_token(response: HttpResponse) -> bool:
    return response.status == 401 and not lacks_scope(response)


# -- refusals ------------------------------------------------------------------------------


def _refusal(
    response: HttpResponse, members: Mapping[str, msgspec.Raw] | None, about: About
) -> ProviderError:
    status, trace = response.status, response.trace_id
    detail = f"Xero-Correlation-Id {trace}" if trace else None
    words = f"{about.subject}: Xero answered {status} with {_shape(response.body)}"
    if status == 400 and members is not None:
        return error_for(_fault(members), about, trace_id=trace)
    if status == 401:
        if lacks_scope(response):
            return NotPermitted(
                f"{about.subject}: the consent does not cover it{_scope_words(about)}.",
                code="insufficient_scope",
                trace_id=trace,
                detail=detail,
                hint=_scope_hint(about),
                table=about.spec.table if about.spec is not None else None,
            )
        return NeedsReauth(
            f"{about.subject}: Xero does not accept the grant.", trace_id=trace, detail=detail
        )
    if status == 403:
        return NotPermitted(
            f"{about.subject}: Xero forbids it: {_problem(response) or 'no reason given'}",
            code="403",
            trace_id=trace,
            detail=detail,
            hint="The person who connected may lack the right in Xero (reports and journals need"
            " the reports role).",
        )
    if status == 404:
        if about.creates:
            return BadReference(
                f"{about.subject}: something it refers to is unknown to Xero.",
                code="404",
                trace_id=trace,
                detail=detail,
            )
        return not_found(about, trace_id=trace)
    if status == 429:
        return RateLimited(
            f"{about.subject}: too many calls to Xero ({limit_problem(response)}).",
            retry_after=retry_after(response),
            detail=detail,
        )
    if status == 503 and (not about.changes or _is_outage(response.body)):
        said = " ".join(response.body[:200].decode("utf-8", "replace").split())
        return Unreachable(
            f"{about.subject}: Xero is not available: {said if _is_outage(response.body) else 503}",
            trace_id=trace,
            detail=detail,
        )
    if 200 <= status < 300 or (status >= 500 and status != 501):
        if about.changes:
            return OutcomeUnknown(
                f"{words}; it may or may not have been carried out.",
                trace_id=trace,
                detail=detail,
            )
        kind = Unreachable if status in (502, 504) else ProviderFault
        return kind(words, trace_id=trace, detail=detail)
    # Redirects are not followed: credentials would go with them.
    return ProviderRefusal(words, code=str(status), trace_id=trace, detail=detail)


def _element(
    calls: Calls, raw: bytes, about: About, trace_id: str | None, known: Mapping[str, Any]
) -> Record | Tombstone | ProviderError:
    try:
        element = decode_record(raw)
    except ProviderFault as error:
        return OutcomeUnknown(str(error), trace_id=trace_id)
    complaints = complaints_in(element)
    status = str(element.get("StatusAttributeString") or "").upper()
    nameless = element.get(calls.id_member) in (None, "", ZERO_ID)
    if status == "ERROR" or (status != "WARNING" and complaints) or (nameless and complaints):
        fault = Fault("refused without a reason", 10, "ValidationException", complaints)
        return error_for(fault, about, trace_id=trace_id)
    kept = _without_remarks(element)
    try:
        # Untouched where nothing of it is about the write.
        [whole] = complete(calls, [raw if kept == element else encode_json(kept)], known)
        return record_from(calls, whole)
    except ProviderFault as error:
        return OutcomeUnknown(str(error), trace_id=trace_id)


def _without_remarks(value: Any) -> Any:
    """Without what only answers to writes say, all through: the record as a list shows it."""
    if isinstance(value, dict):
        return {n: _without_remarks(v) for n, v in value.items() if n not in REMARKS}
    if isinstance(value, list):
        return [_without_remarks(row) for row in value]
    return value


def _fault(members: Mapping[str, msgspec.Raw]) -> Fault:
    lower = {name.lower(): _decoded(raw) for name, raw in members.items()}
    elements = lower.get("elements")
    complaints: list[Complaint] = []
    for element in elements if isinstance(elements, list) else []:
        if isinstance(element, Mapping):
            complaints += complaints_in(element)
    if isinstance(lower.get("validationerrors"), list):
        complaints += complaints_in({"ValidationErrors": lower["validationerrors"]})
    number = lower.get("errornumber")
    message = str(lower.get("message") or lower.get("detail") or lower.get("title") or "")
    # Where a sentence stands there alone, it is the sentence; else it only says "validation".
    return Fault(
        message,
        number if isinstance(number, int) else None,
        str(lower["type"]) if lower.get("type") else None,
        tuple(complaints),
    )


def _scope_hint(about: About) -> str:
    if about.report is not None:
        scope = about.report.scope
    else:
        scope = about.spec.extra.get("scope") if about.spec is not None else None
    return f"Connect again with the scope {scope}." if scope else "Connect again with more scopes."


def _scope_words(about: About) -> str:
    scope = about.spec.extra.get("scope") if about.spec is not None else None
    return f" (scope {scope})" if scope else ""


def _is_outage(body: bytes) -> bool:
    said = body[:500].decode("utf-8", "replace").lower()
    return any(text in said for text in _OUTAGES)


def _problem(response: HttpResponse) -> str:
    """The `Detail` of an answer of the gateway, whatever its letters."""
    members = _members(response.body) or {}
    lower = {name.lower(): raw for name, raw in members.items()}
    found = _decoded(lower.get("detail"))
    return found if isinstance(found, str) else ""


# -- pieces ---------------------------------------------------------------------------------


def _members(body: bytes) -> dict[str, msgspec.Raw] | None:
    try:
        return _raw_object.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None


def _decoded(raw: msgspec.Raw | None) -> Any:
    if raw is None:
        return None
    try:
        return decode_any(raw)
    except msgspec.DecodeError:
        return None


def _pagination(members: Mapping[str, msgspec.Raw]) -> Pagination | None:
    found = _decoded(next((r for n, r in members.items() if n.lower() == "pagination"), None))
    if not isinstance(found, Mapping):
        return None
    numbers = [_whole(found.get(name)) for name in ("page", "pageCount", "itemCount")]
    if None in numbers:
        return None
    page, page_count, item_count = (number or 0 for number in numbers)
    return Pagination(page, page_count, item_count)


def _whole(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _clock(members: Mapping[str, msgspec.Raw], response: HttpResponse) -> datetime | None:
    """The provider's clock: the envelope's DateTimeUTC, else Date."""
    at = instant_of(_decoded(members.get("DateTimeUTC")))
    if at is not None:
        return at
    try:
        return parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError):
        return None


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
    return "text"
