"""The one door to HTTP: everything that is said to a provider goes out here.

Sorts failures of transport by the one question that matters, "can it have been carried out?":
nothing was sent (Unreachable), or it was sent and no whole answer came (OutcomeUnknown for a
request that changes something). Retries nothing, follows no redirect (credentials would go
with it), and logs neither headers, bodies nor query strings.

httpx is named here alone; its continuation httpx2 has the same interface, so that changing
over is the import line below.
"""

from __future__ import annotations

from time import perf_counter
from types import TracebackType
from urllib.parse import urlsplit

import httpx
import structlog

from sqlsync.errors import ConfigError, OutcomeUnknown, ProviderError, Unreachable
from sqlsync.providers.messages import HttpRequest, HttpResponse

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 10.0
READ_SECONDS = 120.0  # Intuit's own limit for a request (REST API features)
WRITE_SECONDS = 30.0
MAX_BODY_BYTES = 64 * 1024 * 1024  # 1,000 invoices of 750 lines stay far below
CONNECTIONS = 32
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class HttpClient:
    """A pool of connections. One per process; close it with `aclose` or `async with`."""

    def __init__(
        self,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        max_body_bytes: int = MAX_BODY_BYTES,
        connections: int = CONNECTIONS,
    ) -> None:
        self._timeout = httpx.Timeout(
            connect=connect_seconds, read=read_seconds, write=WRITE_SECONDS, pool=connect_seconds
        )
        self._max_body_bytes = max_body_bytes
        limits = httpx.Limits(
            max_connections=connections,
            max_keepalive_connections=connections,
            # Shorter than the minute after which gateways close: a connection that dies under
            # a request makes its outcome unknown for nothing.
            keepalive_expiry=20.0,
        )
        # One for all: each holds every certificate authority there is in memory.
        trust = httpx.create_ssl_context()
        # A proxy set in the environment is for the world outside, not for a simulator here.
        direct = {
            f"all://{host}": httpx.AsyncHTTPTransport(verify=trust, limits=limits, retries=0)
            for host in LOOPBACK
        }
        self._client = httpx.AsyncClient(
            verify=trust,
            timeout=self._timeout,
            limits=limits,
            follow_redirects=False,
            mounts=direct,
        )

    async def send(self, request: HttpRequest) -> HttpResponse:
        """The whole answer, whatever its status.

        Raises Unreachable (nothing was carried out, or the request changes nothing),
        OutcomeUnknown (a request that changes something was sent), ConfigError (the address
        is not one).
        """
        started = perf_counter()
        place = urlsplit(request.url)
        where = place.hostname or request.url
        try:
            outgoing = self._build(request, loopback=f"{place.hostname}".strip("[]"))
            response = await self._client.send(outgoing, stream=True)
            try:
                body = await self._body(response, request, where)
            finally:
                await response.aclose()
        except _NOT_SENT as error:
            self._log(request, started, error=error)
            raise Unreachable(
                f"{where} cannot be reached: {_words(error)}", detail="Nothing was sent."
            ) from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise ConfigError(f"{request.url!r} is not an address: {_words(error)}") from error
        except (httpx.TransportError, httpx.DecodingError, httpx.StreamError) as error:
            self._log(request, started, error=error)
            raise _no_answer(request, where, _words(error)) from error
        answer = HttpResponse(
            response.status_code, {k.lower(): v for k, v in response.headers.items()}, body
        )
        self._log(request, started, answer=answer)
        return answer

    async def aclose(self) -> None:
        await self._client.aclose()

    async def __aenter__(self) -> HttpClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _build(self, request: HttpRequest, *, loopback: str) -> httpx.Request:
        # On loopback packing costs both sides more than it saves.
        near = loopback in ("localhost", "::1") or loopback.startswith("127.")
        headers = {
            "accept-encoding": "identity" if near else "gzip, deflate",
            "user-agent": "sqlsync",
            **request.headers,
        }
        timeout = self._timeout
        if request.timeout_seconds is not None:
            timeout = httpx.Timeout(**{**timeout.as_dict(), "read": request.timeout_seconds})
        return self._client.build_request(
            request.method,
            request.url,
            params=list(request.params) or None,
            headers=headers,
            content=request.body,
            timeout=timeout,
        )

    async def _body(self, response: httpx.Response, request: HttpRequest, where: str) -> bytes:
        largest = request.largest_answer or self._max_body_bytes
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > largest:
                raise _no_answer(request, where, f"the answer is larger than {largest} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    def _log(
        self,
        request: HttpRequest,
        started: float,
        *,
        answer: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> None:
        log.debug(
            "provider call",
            method=request.method,
            path=urlsplit(request.url).path,
            status=answer.status if answer else None,
            error=type(error).__name__ if error else None,
            milliseconds=round((perf_counter() - started) * 1000, 1),
            trace_id=answer.trace_id if answer else None,
        )


def _no_answer(request: HttpRequest, where: str, words: str) -> ProviderError:
    if request.changes:
        return OutcomeUnknown(
            f"The request was sent to {where} and no whole answer came: {words}",
            detail="It may or may not have been carried out.",
        )
    return Unreachable(f"{where} did not answer: {words}")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
