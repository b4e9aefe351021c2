"""Xero webhook deliveries: whether they are Xero's, and what they say. No I/O.

A delivery says that something changed, never how: the records are to be fetched, best by their
ids in few calls. Events come twice, late and out of order; unknown categories are passed over.
Before Xero sends any, it proves that we check signatures (*intent to receive*): several
deliveries without events, some signed wrongly. All are answered alike: 200 where the signature
is right, 401 where it is not, within five seconds, with an empty body and no cookies.
Source: Xero, "Webhooks", "Configuring your server"; reference/xero/README.md section 8.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from schema.model import Catalog, ObjectSpec
from sqlsync.errors import BadWebhook
from sqlsync.providers.xero.values import instant_of, is_uuid

SIGNATURE_HEADER = "x-xero-signature"

_OPERATIONS = {"create": "created", "update": "updated", "delete": "deleted"}


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One record that changed. operation: created, updated (deletes and voids too), deleted."""

    tenant_id: str
    table: str  # of the object
    id: str
    operation: str
    at: datetime | None


def is_signed(body: bytes, signature: str | None, signing_key: str) -> bool:
    """Whether `signature` is the one Xero makes for exactly these bytes.

    Base64 of HMAC-SHA256. In constant time. False without a key: who has none can verify
    nothing.
    """
    if not signing_key or not signature:
        return False
    digest = hmac.new(signing_key.encode("utf-8"), body, hashlib.sha256).digest()
    return hmac.compare_digest(
        base64.b64encode(digest), signature.strip().encode("utf-8", "replace")
    )


def answer_status(body: bytes, headers: Mapping[str, str], signing_key: str) -> int:
    """The status to answer a delivery with, before anything of it is read: 200 or 401.

    headers: names in lower case.
    """
    return 200 if is_signed(body, headers.get(SIGNATURE_HEADER), signing_key) else 401


def read_events(body: bytes, catalog: Catalog) -> list[WebhookEvent]:
    """The events about objects of the catalog, in the delivery's order; others are left out.

    None for an intent to receive. An event that names no record is passed over, so that it costs
    the others nothing. Raises BadWebhook where the body is not a delivery, or no event of it is
    one.
    """
    try:
        delivery = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadWebhook(f"The webhook's body is not JSON: {error}") from error
    events = delivery.get("events") if isinstance(delivery, Mapping) else None
    if not isinstance(events, list):
        raise BadWebhook("The webhook's body holds no list of events.")
    found: list[WebhookEvent] = []
    wrong: BadWebhook | None = None
    for event in events:
        try:
            said = _event(event, catalog)
        except BadWebhook as error:
            wrong = error
        else:
            found += [said] if said is not None else []
    if wrong is not None and not found:
        raise wrong
    return found


def _event(event: Any, catalog: Catalog) -> WebhookEvent | None:
    if not isinstance(event, Mapping):
        raise BadWebhook("An event of the webhook is not an object.")
    if str(event.get("tenantType", "ORGANISATION")).upper() != "ORGANISATION":
        return None  # about an app's subscription, not about books
    spec = _spec(event, catalog)
    if spec is None:
        return None
    record_id = str(event.get("resourceId") or "")
    tenant_id = str(event.get("tenantId") or "")
    if not is_uuid(record_id) or not tenant_id:
        raise BadWebhook("An event of the webhook names no record or no organisation.")
    operation = str(event.get("eventType") or "").lower()
    return WebhookEvent(
        tenant_id=tenant_id.lower(),
        table=spec.table,
        id=record_id.lower(),
        operation=_OPERATIONS.get(operation, "updated"),
        at=instant_of(event.get("eventDateUtc")),
    )


def _spec(event: Mapping[str, Any], catalog: Catalog) -> ObjectSpec | None:
    """By the category; one that is new to us, by the collection in the record's address."""
    category = str(event.get("eventCategory") or "").upper()
    for spec in catalog.objects:
        if category and category in ((spec.webhook or "").upper(), spec.api_name.upper()):
            return spec
    path = urlsplit(str(event.get("resourceUrl") or "")).path.lower().split("/")
    return next((o for o in catalog.objects if o.resource.lower() in path[:-1]), None)
