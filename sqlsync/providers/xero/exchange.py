"""One call to Xero at a time: with a token, inside the limits, repeated where that is safe."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from time import monotonic
from typing import TypeVar

import stamina

from sqlsync.errors import (
    NeedsReauth,
    OutcomeUnknown,
    ProviderError,
    ProviderFault,
    ProviderRefusal,
    RateLimited,
    Unreachable,
)
from sqlsync.providers.companies import Companies
from sqlsync.providers.http import HttpClient
from sqlsync.providers.limits import Limits
from sqlsync.providers.messages import HttpRequest, HttpResponse
from sqlsync.providers.tokens import TokenSource
from sqlsync.providers.xero.faults import TITLE, About
from sqlsync.providers.xero.responses import (
    Envelope,
    lacks_scope,
    limit_problem,
    limits_left,
    needs_new_token,
    read_answer,
    retry_after,
)

READ_ATTEMPTS = 5
WRITE_ATTEMPTS = 3
_CLOCK_SECONDS = 300.0  # how long an answer's time is gone on from

_T = TypeVar("_T")


class Throttled(RateLimited):
    """Xero itself said 429. All processes now keep away for a while; then it may go."""


class Exchange:
    """The calls of one organisation."""

    def __init__(
        self,
        http: HttpClient,
        tokens: TokenSource,
        limits: Limits,
        tenant_id: str,
        companies: Companies | None,
    ) -> None:
        """companies: asked whether the organisation is still ours when Xero forbids a call."""
        self._http = http
        self._tokens = tokens
        self._limits = limits
        self._tenant_id = tenant_id
        self._companies = companies
        self._told: tuple[datetime, float] | None = None  # their clock, and ours at that moment

    def clock(self) -> datetime | None:
        """The provider's time, at or a little before this moment; None where none is known."""
        if self._told is None or monotonic() - self._told[1] > _CLOCK_SECONDS:
            return None
        at, ours = self._told
        return at + timedelta(seconds=monotonic() - ours)

    async def read(self, request: HttpRequest, about: About, *, writes: bool = False) -> Envelope:
        """The answer to a request that changes nothing, after a few tries if it must be.

        writes: it is part of a write, and goes before other reads. Raises what it is refused
        with, NeedsReauth, RateLimited, Unreachable, ProviderFault.
        """
        async for attempt in stamina.retry_context(
            on=(Unreachable, ProviderFault, Throttled),
            attempts=READ_ATTEMPTS,
            timeout=None,
            wait_initial=0.2,
            wait_max=10.0,
            wait_jitter=0.2,
        ):
            with attempt:
                envelope = read_answer(await self.send(request, about, writes=writes), about)
                if envelope.clock is not None:
                    # They read their clock before the answer came here: what is gone on from
                    # this is never ahead of them.
                    self._told = (envelope.clock, monotonic())
                return envelope
        raise AssertionError("unreachable")

    async def write(self, once: Callable[[], Awaitable[_T]]) -> _T:
        """The answer of one of a few tries under the same key.

        A write of whose tries one may have been carried out ends as OutcomeUnknown, whatever
        became of the later ones, unless Xero gives its answer after all.
        """
        unsure: OutcomeUnknown | None = None
        last: ProviderError | None = None
        for attempt in range(WRITE_ATTEMPTS):
            if attempt:
                await asyncio.sleep(0.2 * 4 ** (attempt - 1) * random.uniform(0.5, 1.0))  # noqa: S311
            try:
                return await once()
            except OutcomeUnknown as error:
                last = unsure = error
            except (Unreachable, ProviderFault, Throttled) as error:
                last = error
            except ProviderRefusal:
                raise  # an answer, to the first try or to this one: the key makes them one
            except Exception as error:  # our limits, the grant, our database: no use to go on
                if unsure is None:
                    raise
                raise unsure from error
        if unsure is not None:
            raise unsure
        assert last is not None
        raise last

    async def send(self, request: HttpRequest, about: About, *, writes: bool) -> HttpResponse:
        """One call with a valid token, inside the limits. The answer may be a refusal."""
        async with self._limits.slot(writes=writes):
            token = await self._tokens.access_token()
            response = await self._http.send(_with_token(request, token))
            if needs_new_token(response):
                token = await self._tokens.renew(token)
                response = await self._http.send(_with_token(request, token))
                if needs_new_token(response):
                    raise await self._lost("A fresh access token is not accepted either.", token)
            elif lacks_scope(response) and (newer := await self._tokens.replaced(token)):
                token = newer
                response = await self._http.send(_with_token(request, token))
        minute, day = limits_left(response)
        await self._limits.note_left(minute=minute, day=day)
        if response.status == 429:
            raise await self._throttled(response, about)
        if response.status == 403:
            await self._check_connected(token)
        return response

    async def _throttled(self, response: HttpResponse, about: About) -> Throttled:
        seconds, problem = retry_after(response), limit_problem(response)
        if problem != "concurrent":  # which says nothing of the next moment
            await self._limits.keep_away(seconds)
        return Throttled(
            f"{about.subject}: too many calls to Xero ({problem}); it asks for a pause.",
            retry_after=seconds,
        )

    async def _check_connected(self, token: str) -> None:
        """A 403 is a missing right, or the organisation was disconnected. Raises NeedsReauth."""
        if self._companies is None:
            return
        try:
            granted = await self._companies.granted(token)
        except ProviderError:
            return
        if all(company.id.lower() != self._tenant_id.lower() for company in granted):
            raise await self._lost("The organisation was disconnected in Xero.", token)

    async def _lost(self, words: str, token: str) -> NeedsReauth:
        """The error to raise; the connection says so from now on."""
        error = NeedsReauth(f"[{TITLE}] {words}")
        await self._tokens.lost(error, token)
        return error


def _with_token(request: HttpRequest, token: str) -> HttpRequest:
    return request.with_header("authorization", f"Bearer {token}")
