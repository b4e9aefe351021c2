"""Webhooks: changes become signed notifications, grouped, retried, and spoilt on request.

`intuit-signature` is base64(HMAC-SHA256(verifier token, body)). Bodies are CloudEvents (an
array) or the classic form. Deliveries go out one after the other; later ones wait for the first
to be acknowledged unless told otherwise.
Source: Intuit, "Configure webhooks"; "Upcoming change to webhooks payload structure", 2025.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import http.client
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from sqlsync.simulators.quickbooks.entities import WITHOUT_WEBHOOK
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.unit import Change
from sqlsync.simulators.quickbooks.values import Doc, encode, zulu

SOURCE = "intuit.c2FtcGxlLXNvdXJjZS1pZC1mb3ItdGhlLWFwcA=="
_CLOUD = {
    "Create": "created",
    "Update": "updated",
    "Balance": "updated",
    "Deactivate": "updated",
    "Delete": "deleted",
    "Void": "void",
    "Emailed": "emailed",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One change to be announced."""

    realm: str
    entity: str
    id: str
    operation: str
    at: int
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
                "data": {},
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


@dataclass(slots=True)
class Mischief:
    """What is done to the next deliveries; counts go down to 0."""

    drop: int = 0  # never sent
    duplicate: int = 0  # sent twice
    wrong_signature: int = 0
    reverse: int = 0  # the events of a delivery in reverse, and it goes after the next one
    delay_seconds: float = 0.0  # before every delivery


@dataclass(slots=True)
class _Delivery:
    body: bytes
    signature: str
    attempt: int = 0


class Sender:
    """Queue and courier of one service. `start` it on the loop that announces."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.url: str | None = None
        self.verifier_token = "simulator-verifier-token"  # noqa: S105 (a stand-in by design)
        self.mischief = Mischief()
        self.delivered = 0
        self.failed = 0
        self._events: list[Event] = []
        self._queue: deque[_Delivery] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._side: set[asyncio.Task[None]] = set()

    def configure(self, url: str | None, verifier_token: str | None = None) -> None:
        """None: nothing is sent, and what waits is forgotten."""
        self.url = url
        if verifier_token is not None:
            self.verifier_token = verifier_token
        if url is None:
            self._events.clear()
            self._queue.clear()

    def announce(self, realm: str, changes: Iterable[Change]) -> None:
        if self.url is None:
            return
        for change in changes:
            if change.entity in WITHOUT_WEBHOOK:
                continue
            if change.operation == "Balance" and not self.options.webhook_customer_on_balance:
                continue
            operation = change.operation
            if operation == "Deactivate" and self.options.webhook_deactivate_as_delete:
                operation = "Delete"
            self._events.append(Event(realm, change.entity, str(change.id), operation, change.at))
        self._wake.set()

    @property
    def waiting(self) -> int:
        """Events and deliveries not yet acknowledged."""
        return len(self._events) + len(self._queue) + len(self._side)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        for task in (self._task, *self._side):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(self.options.webhook_group_seconds)
            self._pack()
            while self._queue:
                delivery = self._queue.popleft()
                if self.options.webhook_holds_back:
                    await self._deliver(delivery)
                    self._pack()
                else:
                    task = asyncio.create_task(self._deliver(delivery))
                    self._side.add(task)
                    task.add_done_callback(self._side.discard)

    def _pack(self) -> None:
        """Turns the waiting events into one delivery, spoilt as told."""
        events, self._events = self._events, []
        if not events:
            return
        mischief = self.mischief
        if mischief.drop > 0:
            mischief.drop -= 1
            return
        if mischief.reverse > 0:
            events.reverse()
        body = classic(events) if self.options.webhook_format == "classic" else cloud_events(events)
        signature = sign(body, self.verifier_token)
        if mischief.wrong_signature > 0:
            mischief.wrong_signature -= 1
            signature = sign(body, self.verifier_token + "?")
        delivery = _Delivery(body, signature)
        if mischief.reverse > 0 and self._queue:
            mischief.reverse -= 1
            self._queue.appendleft(delivery)
        else:
            mischief.reverse = max(0, mischief.reverse - 1)
            self._queue.append(delivery)
        if mischief.duplicate > 0:
            mischief.duplicate -= 1
            self._queue.append(_Delivery(body, signature))

    async def _deliver(self, delivery: _Delivery) -> None:
        if self.mischief.delay_seconds:
            await asyncio.sleep(self.mischief.delay_seconds)
        waits = self.options.webhook_retry_seconds
        while self.url is not None:
            if await asyncio.to_thread(self._post, self.url, delivery):
                self.delivered += 1
                return
            self.failed += 1
            await asyncio.sleep(float(waits[min(delivery.attempt, len(waits) - 1)]))
            delivery.attempt += 1

    def _post(self, url: str, delivery: _Delivery) -> bool:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = connect(
            parts.hostname or "", parts.port, timeout=float(self.options.webhook_timeout_seconds)
        )
        headers: dict[str, Any] = {
            "Content-Type": self.options.webhook_content_type,
            "intuit-signature": delivery.signature,
            "intuit-created-time": datetime.now(UTC).isoformat(),
            "intuit-t-id": str(uuid4()),
            "intuit-notification-schema-version": "1.0",
            "User-Agent": "intuit_notification_server/0.1",
        }
        started = time.monotonic()
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path, delivery.body, headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        within = time.monotonic() - started <= self.options.webhook_timeout_seconds
        return 200 <= status < 300 and within
