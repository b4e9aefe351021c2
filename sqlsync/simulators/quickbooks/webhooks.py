"""Webhooks: changes become signed notifications, grouped, retried, and spoilt on request.

`intuit-signature` is base64(HMAC-SHA256(verifier token, body)). Bodies are CloudEvents (an
array) or the classic form. Deliveries go out one after the other; later ones wait for the first
to be acknowledged unless told otherwise.
Source: Intuit, "Configure webhooks"; "Upcoming change to webhooks payload structure", 2025.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from sqlsync.simulators.courier import Courier, Delivery
from sqlsync.simulators.quickbooks.entities import WEBHOOKS
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.unit import Change
from sqlsync.simulators.quickbooks.values import Doc, encode, zulu

SOURCE = "intuit.c2FtcGxlLXNvdXJjZS1pZC1mb3ItdGhlLWFwcA=="
OTHER_REALM = "9999999999999999"  # of a company that is none of ours
_CLOUD = {
    "Create": "created",
    "Update": "updated",
    "Balance": "updated",
    "Deactivate": "updated",
    "Delete": "deleted",
    "Void": "void",
    "Emailed": "emailed",
    "Merge": "merged",
}

_LETTERS = {"Create": "C", "Delete": "D", "Merge": "M", "Void": "V", "Emailed": "E"}
_SILENT = frozenset({"Account", "Item"})  # figures of theirs that other records' writes change


@dataclass(frozen=True, slots=True)
class Event:
    """One change to be announced."""

    realm: str
    entity: str
    id: str
    operation: str
    at: int
    deleted: str = ""  # of a Merge: the id that is gone
    key: str = field(default_factory=lambda: str(uuid4()))


def sign(body: bytes, verifier_token: str) -> str:
    """The value of `intuit-signature`."""
    digest = hmac.new(verifier_token.encode(), body, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def cloud_events(events: Iterable[Event]) -> bytes:
    return encode(
        [
            {
                "specversion": "1.0",
                "id": event.key,
                "source": SOURCE,
                "type": f"qbo.{event.entity.lower()}.{_CLOUD[event.operation]}.v1",
                "datacontenttype": "application/json",
                "time": zulu(event.at, "179851517"),
                "intuitentityid": event.id,
                "intuitaccountid": event.realm,
                "data": {"deletedid": event.deleted} if event.deleted else {},
            }
            for event in events
        ]
    )


def classic(events: Iterable[Event]) -> bytes:
    by_realm: dict[str, list[Doc]] = {}
    for event in events:
        is_update = event.operation in ("Balance", "Deactivate")
        operation = "Update" if is_update else event.operation
        by_realm.setdefault(event.realm, []).append(
            {
                "name": event.entity,
                "id": event.id,
                "operation": operation,
                "lastUpdated": zulu(event.at),
                **({"deletedId": event.deleted} if event.deleted else {}),
            }
        )
    return encode(
        {
            "eventNotifications": [
                {"realmId": realm, "dataChangeEvent": {"entities": entities}}
                for realm, entities in by_realm.items()
            ]
        }
    )


class Sender(Courier[Event]):
    """Queue and courier of one service. `start` it on the loop that announces."""

    def __init__(self, options: Options) -> None:
        super().__init__(options, "simulator-verifier-token")
        self.options = options

    @property
    def verifier_token(self) -> str:
        return self.key

    def announce(self, realm: str, changes: Iterable[Change]) -> None:
        if self.url is None:
            return
        events: list[Event] = []
        for change in changes:
            if change.operation == "Balance" and (
                change.entity in _SILENT or not self.options.webhook_customer_on_balance
            ):
                continue
            operation = change.operation
            if operation == "Deactivate" and self.options.webhook_deactivate_as_delete:
                operation = "Delete"
            if _LETTERS.get(operation, "U") not in WEBHOOKS.get(change.entity, ""):
                continue
            gone = str(change.deleted) if change.deleted else ""
            events.append(Event(realm, change.entity, str(change.id), operation, change.at, gone))
        self.add(events)

    def body_of(self, events: list[Event]) -> bytes:
        is_classic = self.options.webhook_format == "classic"
        return classic(events) if is_classic else cloud_events(events)

    def foreign(self, event: Event) -> Event | None:
        return Event(OTHER_REALM, event.entity, event.id, event.operation, event.at)

    def sign(self, body: bytes, key: str) -> str:
        return sign(body, key)

    def headers_of(self, delivery: Delivery) -> dict[str, str]:
        return {
            "Content-Type": self.options.webhook_content_type,
            "intuit-signature": delivery.signature,
            "intuit-created-time": datetime.now(UTC).isoformat(),
            "intuit-t-id": str(uuid4()),
            "intuit-notification-schema-version": "1.0",
            "User-Agent": "intuit_notification_server/0.1",
        }
