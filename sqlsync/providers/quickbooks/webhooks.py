"""QuickBooks webhook deliveries: whether they are Intuit's, and what they say. No I/O.

Two formats, both signed alike: the classic one (one object, notifications by company) and
CloudEvents (a bare array, possibly of several companies). An event says that something
changed, never how: the record is to be fetched. Events come twice, late and out of order.
Source: Intuit, "Webhooks"; blog "Upcoming change to webhooks payload structure", 12 Nov 2025.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from schema.model import Catalog, ObjectSpec
from sqlsync.errors import BadWebhook

SIGNATURE_HEADER = "intuit-signature"

# Both spellings of an operation, classic and CloudEvents; "voided" is not in Intuit's list.
_OPERATIONS = {
    "create": "created",
    "created": "created",
    "update": "updated",
    "updated": "updated",
    "delete": "deleted",
    "deleted": "deleted",
    "merge": "merged",
    "merged": "merged",
    "void": "voided",
    "voided": "voided",
    "emailed": "emailed",
}
_ENTITY_NAMES = {"currency": "companycurrency"}  # as older payloads call it
_TYPE = re.compile(r"qbo\.([a-z0-9_]+)\.([a-z]+)\.v\d+", re.IGNORECASE)
_FRACTION = re.compile(r"(\.\d{6})\d+")


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One record that changed. operation: created updated deleted merged voided emailed."""

    realm_id: str
    table: str  # of the object
    entity: str  # the object's API name, as the catalog spells it
    id: str
    operation: str
    at: datetime | None
    event_id: str | None = None  # CloudEvents: the same event delivered again has the same
    deleted_id: str | None = None  # merged: the record that is gone; `id` survives


def is_signed(body: bytes, signature: str | None, verifier_token: str) -> bool:
    """Whether `signature` is the one Intuit makes for exactly these bytes.

    Base64 of HMAC-SHA256, key: the app's verifier token. In constant time. False without a
    token: who has none can verify nothing.
    """
    if not verifier_token or not signature:
        return False
    expected = base64.b64encode(
        hmac.new(verifier_token.encode("utf-8"), body, hashlib.sha256).digest()
    )
    return hmac.compare_digest(expected, signature.strip().encode("utf-8", "replace"))


def read_events(body: bytes, catalog: Catalog) -> list[WebhookEvent]:
    """The events about objects of the catalog, in the delivery's order; others are left out.

    Raises BadWebhook where the body is not a delivery in either format.
    """
    try:
        delivery = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadWebhook(f"The webhook's body is not JSON: {error}") from error
    found: list[WebhookEvent | None]
    if isinstance(delivery, list):
        found = [_cloud_event(event, catalog) for event in delivery]
    elif isinstance(delivery, Mapping) and "eventNotifications" in delivery:
        found = _classic(delivery["eventNotifications"], catalog)
    elif isinstance(delivery, Mapping) and "specversion" in delivery:
        found = [_cloud_event(delivery, catalog)]
    else:
        raise BadWebhook("The webhook's body is neither a list of events nor a notification.")
    return [event for event in found if event is not None]


def _cloud_event(event: Any, catalog: Catalog) -> WebhookEvent | None:
    if not isinstance(event, Mapping):
        raise BadWebhook("An event of the webhook is not an object.")
    matched = _TYPE.fullmatch(_text(event, "type"))
    if matched is None:
        return None
    spec = _spec(matched[1], catalog)
    operation = _OPERATIONS.get(matched[2].lower())
    if spec is None or operation is None:
        return None
    data = event.get("data")
    return WebhookEvent(
        realm_id=_text(event, "intuitaccountid"),
        table=spec.table,
        entity=spec.api_name,
        id=_text(event, "intuitentityid"),
        operation=operation,
        at=_instant(event.get("time")),
        event_id=_optional(event, "id"),
        deleted_id=_optional(data, "deletedid") if isinstance(data, Mapping) else None,
    )


def _classic(notifications: Any, catalog: Catalog) -> list[WebhookEvent | None]:
    found: list[WebhookEvent | None] = []
    for notification in _sequence(notifications, "eventNotifications"):
        realm_id = _text(notification, "realmId")
        change = notification.get("dataChangeEvent") or {}
        if not isinstance(change, Mapping):
            raise BadWebhook("The webhook's dataChangeEvent is not an object.")
        for entity in _sequence(change.get("entities", []), "entities"):
            spec = _spec(_text(entity, "name"), catalog)
            operation = _OPERATIONS.get(_text(entity, "operation").lower())
            if spec is None or operation is None:
                continue
            found.append(
                WebhookEvent(
                    realm_id=realm_id,
                    table=spec.table,
                    entity=spec.api_name,
                    id=_text(entity, "id"),
                    operation=operation,
                    at=_instant(entity.get("lastUpdated")),
                    deleted_id=_optional(entity, "deletedid"),
                )
            )
    return found


def _spec(name: str, catalog: Catalog) -> ObjectSpec | None:
    name = name.lower()
    name = _ENTITY_NAMES.get(name, name)
    by_webhook = next(
        (o for o in catalog.objects if o.webhook is not None and o.webhook.lower() == name), None
    )
    return by_webhook or catalog.by_api_name.get(name)


def _sequence(value: Any, name: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(v, Mapping) for v in value):
        raise BadWebhook(f"The webhook's {name} is not a list of objects.")
    return value


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    if not isinstance(found, str) or not found:
        raise BadWebhook(f"An event of the webhook has no {name}.")
    return found


def _optional(value: Mapping[str, Any], name: str) -> str | None:
    """A member whatever its capitals: deletedId and deletedID have both been seen."""
    for member, found in value.items():
        if member.lower() == name and found is not None:
            return str(found)
    return None


def _instant(value: Any) -> datetime | None:
    """Nanoseconds are cut to microseconds. A time that cannot be read is no time."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(_FRACTION.sub(r"\1", value))
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
