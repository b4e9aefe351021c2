"""Delivers webhooks: groups events, signs, retries, and spoils deliveries on request.

What a service's notifications look like is said by its own subclass; the queue, the retries and
the mischief are the same for all.
"""

from __future__ import annotations

import asyncio
import http.client
import time
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar
from urllib.parse import urlsplit

Event = TypeVar("Event")


@dataclass(slots=True)
class Mischief:
    """What is done to the next deliveries; counts go down to 0."""

    drop: int = 0  # never sent
    duplicate: int = 0  # sent twice
    wrong_signature: int = 0
    reverse: int = 0  # the events of a delivery in reverse, and it goes after the next one
    delay_seconds: float = 0.0  # before every delivery
    foreign: int = 0  # also tells of a company that the receiver does not know


class Timing(Protocol):
    """The options a courier obeys, read anew each time."""

    webhook_group_seconds: float
    webhook_retry_seconds: tuple[float, ...]
    webhook_holds_back: bool
    webhook_timeout_seconds: float


@dataclass(slots=True)
class Delivery:
    body: bytes
    signature: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the receiver answered, and how long it took."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    seconds: float = 0.0


class Courier(ABC, Generic[Event]):
    """Queue and courier of one service. `start` it on the loop that announces."""

    def __init__(self, timing: Timing, key: str) -> None:
        self.timing = timing
        self.key = key
        self.url: str | None = None
        self.mischief = Mischief()
        self.delivered = 0
        self.failed = 0
        self._events: list[Event] = []
        self._queue: deque[Delivery] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._side: set[asyncio.Task[None]] = set()

    # -- what a service says -------------------------------------------------------------------

    @abstractmethod
    def body_of(self, events: list[Event]) -> bytes:
        """Events as one notification."""

    @abstractmethod
    def sign(self, body: bytes, key: str) -> str:
        """The value of the signature header."""

    @abstractmethod
    def headers_of(self, delivery: Delivery) -> dict[str, str]:
        """The headers of a delivery."""

    def is_accepted(self, receipt: Receipt) -> bool:
        return 200 <= receipt.status < 300

    async def prepare(self) -> bool:
        """Before events are delivered; False: they are forgotten."""
        return True

    # -- from outside --------------------------------------------------------------------------

    def configure(self, url: str | None, key: str | None = None) -> None:
        """None: nothing is sent, and what waits is forgotten."""
        self.url = url
        if key is not None:
            self.key = key
        if url is None:
            self._events.clear()
            self._queue.clear()

    def add(self, events: list[Event]) -> None:
        if self.url is not None:
            self._events += events
            self.wake()

    def wake(self) -> None:
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

    # -- the work ------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(self.timing.webhook_group_seconds)
            if not await self.prepare():
                self._events.clear()
                continue
            self._pack()
            while self._queue:
                delivery = self._queue.popleft()
                if self.timing.webhook_holds_back:
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
            self.skipped(events)
            return
        if mischief.reverse > 0:
            events.reverse()
        if mischief.foreign > 0:
            mischief.foreign -= 1
            other = self.foreign(events[0])
            events = [*([other] if other is not None else ()), *events]
        body = self.body_of(events)
        signature = self.sign(body, self.key)
        if mischief.wrong_signature > 0:
            mischief.wrong_signature -= 1
            signature = self.sign(body, self.key + "?")
        delivery = Delivery(body, signature)
        if mischief.reverse > 0 and self._queue:
            mischief.reverse -= 1
            self._queue.appendleft(delivery)
        else:
            mischief.reverse = max(0, mischief.reverse - 1)
            self._queue.append(delivery)
        if mischief.duplicate > 0:
            mischief.duplicate -= 1
            self._queue.append(Delivery(body, signature))

    def foreign(self, event: Event) -> Event | None:
        """The same event of a company that is none of the service's; None: it knows no such."""
        return None

    def skipped(self, events: list[Event]) -> None:
        """Events that are lost on purpose."""

    async def _deliver(self, delivery: Delivery) -> None:
        if self.mischief.delay_seconds:
            await asyncio.sleep(self.mischief.delay_seconds)
        waits = self.timing.webhook_retry_seconds
        while self.url is not None:
            receipt = await self.post(delivery)
            if receipt is not None and self.is_accepted(receipt):
                self.delivered += 1
                return
            self.failed += 1
            await asyncio.sleep(float(waits[min(delivery.attempt, len(waits) - 1)]))
            delivery.attempt += 1

    async def post(self, delivery: Delivery) -> Receipt | None:
        """What the receiver answered in time; None where it did not."""
        if self.url is None:
            return None
        return await asyncio.to_thread(self._post, self.url, delivery)

    def _post(self, url: str, delivery: Delivery) -> Receipt | None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        seconds = float(self.timing.webhook_timeout_seconds)
        connection = connect(parts.hostname or "", parts.port, timeout=seconds)
        started = time.monotonic()
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path, delivery.body, self.headers_of(delivery))
            response = connection.getresponse()
            body = response.read(4096)
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        took = time.monotonic() - started
        if took > seconds:
            return None
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Receipt(response.status, headers, body, took)
