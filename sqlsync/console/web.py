"""The HTTP door: webhooks from providers, consents, health and metrics.

A delivery is verified over its raw bytes, stored, and answered; following it is the worker's.
Nothing of an unverified body is stored or read; whether it is empty is all that is looked at.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sqlsync.channels import INBOX_CHANNEL
from sqlsync.console.consents import ConsentDoor, Consents
from sqlsync.console.metrics import WebMetrics
from sqlsync.database import EnginePool, PoolTimeout, errors
from sqlsync.errors import ConfigError, DatabaseUnavailable

log = logging.getLogger(__name__)

BODY_LIMIT = 1_000_000  # bytes; deliveries are some kilobytes
HEALTH_SECONDS = 2.0
# Xero's "intent to receive": deliveries without events, some signed wrongly on purpose.
_WITHOUT_EVENTS = re.compile(rb'"events"\s*:\s*\[\s*\]')

# (raw body, headers) -> whether the provider signed exactly these bytes
Verifier = Callable[[bytes, Mapping[str, str]], bool]


@dataclass(frozen=True, slots=True)
class Web:
    """What the door needs.

    verifiers: by provider; one that is missing takes no deliveries. may_begin: a browser may
    begin a consent at `/connect/{provider}`.
    """

    pool: EnginePool
    verifiers: Mapping[str, Verifier]
    consents: Consents
    may_begin: bool = True


def web_app(web: Web) -> Starlette:
    """The routes, ready to be served."""
    door = _Door(web)
    consents = ConsentDoor(web.consents, may_begin=web.may_begin)
    return Starlette(
        routes=[
            Route("/webhooks/{provider}", door.webhook, methods=["POST"]),
            Route("/healthz", door.health),
            Route("/metrics", door.metrics),
            Route("/connect/{provider}", consents.connect),
            Route("/oauth/callback/{provider}", consents.callback),
            Route("/oauth/choose/{provider}", consents.choose, methods=["POST"]),
        ]
    )


async def run_web(
    web: Web,
    host: str,
    port: int,
    *,
    stopping: asyncio.Event,
    on_ready: Callable[[str, int], None] | None = None,
) -> None:
    """Serves until `stopping` is set. on_ready gets the address; port 0 takes a free one.

    Raises ConfigError where the address cannot be listened on.
    """
    try:
        listener = socket.create_server((host, port), backlog=512)
        # Accepted sockets inherit it; otherwise an answer waits 40 ms for Nagle's algorithm.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}", hint="Check web.listen."
        ) from error
    config = uvicorn.Config(
        web_app(web), log_level="warning", access_log=False, lifespan="off", server_header=False
    )
    server = _Server(config)
    started = asyncio.create_task(server.listening.wait())
    bound = listener.getsockname()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
        if on_ready is not None and server.started:
            on_ready(str(bound[0]), int(bound[1]))
        await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
        started.cancel()
        server.should_exit = True
        await serving
        listener.close()


class _Server(uvicorn.Server):
    """Says when it listens, and leaves signals to the command that runs it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Door:
    def __init__(self, web: Web) -> None:
        self._web = web
        self._metrics = WebMetrics()
        self._probed: set[str] = set()  # providers that were seen to try us

    async def webhook(self, request: Request) -> Response:
        """200 where the signature is right and 401 where it is wrong, both with an empty body
        and without cookies, or Xero sends nothing ("Intent to receive")."""
        provider = request.path_params["provider"]
        verifier = self._web.verifiers.get(provider)
        if verifier is None:
            return PlainTextResponse("unknown provider\n", status_code=404)
        body = await _body(request)
        if body is None:
            self._metrics.delivery(provider, "too_large")
            return PlainTextResponse("the body is too large\n", status_code=413)
        if not verifier(body, request.headers):
            self._metrics.delivery(provider, "refused")
            self._note_refusal(provider, body)
            return Response(status_code=401)
        try:
            stored = await self._store(provider, body)
        except (errors.Error, PoolTimeout, DatabaseUnavailable) as error:
            # Not answered with 200, so the provider sends it again.
            log.error("A webhook for %s could not be stored: %s", provider, error)
            self._metrics.delivery(provider, "failed")
            return PlainTextResponse("try again\n", status_code=503)
        self._metrics.delivery(provider, "stored" if stored else "repeated")
        return Response()

    def _note_refusal(self, provider: str, body: bytes) -> None:
        if _WITHOUT_EVENTS.search(body) is None:
            log.warning("A webhook for %s with a wrong signature was refused", provider)
        elif provider not in self._probed:
            self._probed.add(provider)
            log.info("%s tried whether wrong signatures are refused: they are", provider)

    async def _store(self, provider: str, body: bytes) -> bool:
        """False where the same delivery is there already; one given up is taken up again."""
        async with self._web.pool.connection(timeout=2.0) as session, session.transaction():
            found = await session.execute(
                "insert into sqlsync.inbox as i (provider, body, body_hash) values (%s, %s, %s)"
                " on conflict (provider, body_hash) do update set state = 'new', attempts = 0,"
                " due_at = clock_timestamp(), error = null where i.state = 'failed'"
                " returning id",
                [provider, body, hashlib.sha256(body).digest()],
            )
            stored = await found.fetchone() is not None
            await session.execute("select pg_notify(%s, '')", [INBOX_CHANNEL])
        return stored

    async def health(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                async with self._web.pool.connection(timeout=HEALTH_SECONDS) as session:
                    await session.execute("select 1")
        except (errors.Error, PoolTimeout, DatabaseUnavailable, TimeoutError):
            return PlainTextResponse("the database cannot be reached\n", status_code=503)
        return PlainTextResponse("ok\n")

    async def metrics(self, request: Request) -> Response:
        try:
            text = await self._metrics.text(self._web.pool)
        except (errors.Error, PoolTimeout, DatabaseUnavailable):
            return PlainTextResponse("the database cannot be reached\n", status_code=503)
        return Response(text, media_type=CONTENT_TYPE_LATEST)


async def _body(request: Request) -> bytes | None:
    """None where it is larger than a delivery can be; then the rest is not read."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > BODY_LIMIT:
        return None
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_LIMIT:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
