"""Xero requests, as values. No I/O, no clock.

Reading:
- always by pages where an object has pages: a list without them lacks lines and other members;
- a history by the record's key, in which no change moves a record. In Xero's own order (time of
  change) a record that changes while one reads jumps to the end, and the one behind its place
  is skipped;
- archived and deleted records too, wherever a list can show them.

Writing: PUT creates; POST changes, always with the key, for without it Xero looks for a record
of the same name or number and changes that. Every write has an Idempotency-Key made of the
call's key and of what is sent, so that another request is never taken for a repetition.

Source: Xero, "Requests and responses"; reference/xero/README.md sections 1 and 3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlsync.providers.messages import HttpRequest
from sqlsync.providers.xero.calls import BARE, EACH_ANSWERED, UNITDP, Calls, CallSpec
from sqlsync.providers.xero.values import encode_json, since_text

IDS_AT_ONCE = 40  # GUIDs in one address; Xero's own limit is the address' length
IDS_IN_FILTER = 20
PAGE_BYTES = 3_000_000  # Xero takes 3.5 MB
FALLBACK_PAGE = 100  # what a list gives at most where it has a page size and was not asked
_DECIMALS = "4"

Params = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organisation's address: where all its requests go."""

    api_url: str
    tenant_id: str

    def request(
        self,
        call: CallSpec,
        *,
        values: Mapping[str, str] | None = None,
        params: Params = (),
        headers: Mapping[str, str] | None = None,
    ) -> HttpRequest:
        """A request that changes nothing. Without `Accept` the answer would be XML.

        values: for the places in the call's path. Raises KeyError where one is missing.
        """
        path = call.filled(values or {})
        more = (("unitdp", _DECIMALS),) if call.name in UNITDP else ()
        return HttpRequest(
            call.method,
            f"{self.api_url}/api.xro/2.0/{path}",
            (*params, *more),
            {
                "accept": "application/json",
                "xero-tenant-id": self.tenant_id,
                **(headers or {}),
            },
        )


def organisation(tenant: Tenant) -> HttpRequest:
    """The organisation itself; costs no data, and its answer tells the time."""
    return tenant.request(CallSpec("GET", "Organisation"))


def page(tenant: Tenant, calls: Calls, number: int, size: int | None = None) -> HttpRequest:
    """A page of all records, from 1, by key where the list takes an order."""
    order = (("order", calls.order),) if calls.order else ()
    params = (*_page(calls, number, size), *order, *_everything(calls))
    return tenant.request(calls.list, params=params)


def whole(tenant: Tenant, calls: Calls, values: Mapping[str, str] | None = None) -> HttpRequest:
    """The list of an object that has no pages. values: of the record it lies beneath."""
    return tenant.request(calls.list, values=values, params=_everything(calls))


def after(tenant: Tenant, calls: Calls, offset: int, since: datetime | None = None) -> HttpRequest:
    """Records behind a number (journals), 100 at a time."""
    return tenant.request(
        calls.list, params=(("offset", str(offset)),), headers=_since(since) if since else None
    )


def changed(
    tenant: Tenant,
    calls: Calls,
    since: datetime,
    *,
    number: int = 1,
    size: int | None = None,
    by_key: bool = False,
) -> HttpRequest:
    """Records created or changed since a second, oldest change first, or by key."""
    order = (("order", calls.order),) if by_key and calls.order else ()
    pages = _page(calls, number, size) if calls.paging == "page" else ()
    return tenant.request(
        calls.list, params=(*pages, *order, *_everything(calls)), headers=_since(since)
    )


def count(tenant: Tenant, calls: Calls) -> HttpRequest:
    """A page of one: what counts is `pagination.itemCount`."""
    return page(tenant, calls, 1, 1)


def read(tenant: Tenant, calls: Calls, record_id: str) -> HttpRequest:
    assert calls.get is not None
    return tenant.request(calls.get, values={"id": record_id})


def by_ids(tenant: Tenant, calls: Calls, record_ids: Sequence[str]) -> HttpRequest:
    """The records with these keys, one page of them: at most IDS_AT_ONCE or IDS_IN_FILTER."""
    if calls.ids_parameter:
        wanted = (("IDs", ",".join(record_ids)),)
    else:
        conditions = [f'{calls.id_member}==Guid("{record_id}")' for record_id in record_ids]
        wanted = (("where", " OR ".join(conditions)),)
    pages = _page(calls, 1, len(record_ids)) if calls.paging == "page" else ()
    return tenant.request(calls.list, params=(*wanted, *pages, *_everything(calls)))


def write(
    tenant: Tenant,
    call: CallSpec,
    key: str,
    body: Any = None,
    *,
    collection: str = "",
    values: Mapping[str, str] | None = None,
) -> HttpRequest:
    """A request that changes something.

    body: one element, or a list of them; None: none (HTTP DELETE). collection: the member that
    wraps the elements, unless the call takes the element itself.
    """
    params: Params = (("summarizeErrors", "false"),) if call.name in EACH_ANSWERED else ()
    request = tenant.request(call, values=values, params=params)
    content: bytes | None = None
    headers = dict(request.headers)
    if body is not None:
        headers["content-type"] = "application/json"
        content = encode_json(wrapped(call, body, collection))
    if call.method != "DELETE":  # which takes no key, and needs none
        headers["idempotency-key"] = _key(key, request, content)
    return HttpRequest(request.method, request.url, request.params, headers, content, changes=True)


def wrapped(call: CallSpec, body: Any, collection: str) -> Any:
    """The body as the call takes it."""
    if call.name in BARE and not isinstance(body, list):
        return body
    return {collection: body if isinstance(body, list) else [body]}


def fits(elements: Sequence[Any], element: Any) -> bool:
    """Whether one more element fits into a request."""
    return len(encode_json([*elements, element])) <= PAGE_BYTES


def _key(key: str, request: HttpRequest, content: bytes | None) -> str:
    """At most 128 characters. The same call with the same content always has the same."""
    said = repr((request.method, request.url, request.params)).encode() + (content or b"")
    return f"{key}-{hashlib.sha256(said).hexdigest()[:32]}"


def _page(calls: Calls, number: int, size: int | None) -> Params:
    wanted = min(size or calls.page_size or FALLBACK_PAGE, calls.page_size or FALLBACK_PAGE)
    sized = () if calls.fixed_page else (("pageSize", str(wanted)),)
    return (("page", str(number)), *sized)


def _everything(calls: Calls) -> Params:
    return ((calls.include, "true"),) if calls.include else ()


def _since(since: datetime) -> dict[str, str]:
    return {"if-modified-since": since_text(since)}
