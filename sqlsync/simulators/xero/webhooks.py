"""Webhooks: changes become signed notifications, after the receiver has shown its intent.

`x-xero-signature` is base64(HMAC-SHA256(body, signing key)). A new address first gets several
empty notifications, some signed wrongly; it must answer 200 to the right and 401 to the wrong.
Events of all tenants share one address and one row of sequence numbers.
Source: reference, "Webhooks".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from sqlsync.simulators.courier import Courier, Delivery, Receipt
from sqlsync.simulators.xero.options import Options
from sqlsync.simulators.xero.store import Books
from sqlsync.simulators.xero.unit import Change
from sqlsync.simulators.xero.values import Doc, encode, instant_text, moment

CATEGORIES = {
    "Contacts": "CONTACT",
    "Invoices": "INVOICE",
    "CreditNotes": "CREDITNOTE",
    "Prepayments": "PREPAYMENT",
    "Overpayments": "OVERPAYMENT",
    "Payments": "PAYMENT",
}
_WITH_DATA = ("CreditNotes", "Prepayments", "Overpayments")
OTHER_TENANT = "00000000-9999-4999-8999-999999999999"  # of an organisation that is none of ours
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Event:
    """One change to be announced. at: milliseconds."""

    tenant_id: str
    table: str
    record_id: str
    operation: str  # CREATE | UPDATE
    at: int
    number: int  # of the app's sequence
    data: Doc | None = None


def sign(body: bytes, key: str) -> str:
    """The value of `x-xero-signature`."""
    return base64.b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()


def notification(events: Iterable[Event], entropy: str) -> bytes:
    """The body of a delivery."""
    shown: list[Doc] = []
    numbers: list[int] = []
    for event in events:
        numbers.append(event.number)
        at = moment(event.at)
        entry: Doc = {
            "resourceUrl": f"https://api.xero.com/api.xro/2.0/{event.table}/{event.record_id}",
            "resourceId": event.record_id,
            "tenantId": event.tenant_id,
            "tenantType": "ORGANISATION",
            "eventCategory": CATEGORIES[event.table],
            "eventType": event.operation,
            "eventDateUtc": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}",
        }
        if event.data is not None:
            entry["data"] = event.data
        shown.append(entry)
    return encode(
        {
            "events": shown,
            "firstEventSequence": min(numbers, default=0),
            "lastEventSequence": max(numbers, default=0),
            "entropy": entropy,
        }
    )


class Sender(Courier[Event]):
    """Queue and courier of one service."""

    def __init__(self, options: Options) -> None:
        super().__init__(options, "simulator-signing-key")
        self.options = options
        self.intent = "none"  # none | waiting | ok | failed
        self._number = 0
        self._random = Random(20)  # noqa: S311 (noise, no secret)

    def configure(self, url: str | None, key: str | None = None) -> None:
        super().configure(url, key)
        self.intent = "none" if url is None else "waiting" if self.options.webhook_intent else "ok"
        if url is not None:
            self.wake()

    def announce(self, tenant_id: str, books: Books, changes: Iterable[Change]) -> None:
        if self.url is None:
            return
        changes = list(changes)
        by_payment = any(change.table == "Payments" for change in changes)
        events: list[Event] = []
        for change in changes:
            table = change.table
            if table not in CATEGORIES or change.is_gone:
                continue
            if table == "Payments" and not self.options.webhook_payment:
                continue
            silent = by_payment and not self.options.webhook_invoice_on_payment
            if table == "Invoices" and silent and change.before is not None:
                continue
            self._number += 1
            data = _data(books, change) if table in _WITH_DATA else None
            row = change.row
            events.append(
                Event(tenant_id, table, row.id, change.operation, row.updated, self._number, data)
            )
        self.add(events)

    async def prepare(self) -> bool:
        """Intent to receive, once for each address."""
        if self.intent != "waiting":
            return self.intent == "ok"
        passed = True
        for number in range(self.options.webhook_intent_deliveries):
            body = notification((), self._entropy())
            is_right = number % 2 == 0
            signature = self.sign(body, self.key if is_right else self.key + "?")
            receipt = await self.post(Delivery(body, signature))
            if self.url is None:
                return False
            wanted = 200 if is_right else 401
            passed = passed and receipt is not None and receipt.status == wanted
            passed = passed and receipt is not None and self._is_bare(receipt)
        self.intent = "ok" if passed else "failed"
        return passed

    def _entropy(self) -> str:
        return "".join(self._random.choice(_LETTERS) for _ in range(20))

    def _is_bare(self, receipt: Receipt) -> bool:
        """The answer's body is empty and sets no cookie."""
        if not self.options.webhook_strict_answer:
            return True
        return not receipt.body and "set-cookie" not in receipt.headers

    def foreign(self, event: Event) -> Event | None:
        self._number += 1
        return replace(event, tenant_id=OTHER_TENANT, number=self._number)

    def body_of(self, events: list[Event]) -> bytes:
        return notification(events, self._entropy())

    def sign(self, body: bytes, key: str) -> str:
        return sign(body, key)

    def headers_of(self, delivery: Delivery) -> dict[str, str]:
        return {
            "Content-Type": self.options.webhook_content_type,
            "x-xero-signature": delivery.signature,
            "User-Agent": "Xero-Webhooks",
        }

    def is_accepted(self, receipt: Receipt) -> bool:
        return super().is_accepted(receipt) and self._is_bare(receipt)


def _data(books: Books, change: Change) -> Doc:
    doc = books.table(change.table).doc(change.row)
    data: Doc = {"Type": doc["Type"], "Status": doc["Status"]}
    if change.table != "CreditNotes":
        data["UpdatedDateUTCString"] = instant_text(change.row.updated)
    return data
