"""The consent pages: away to the provider, back from it, and the choice of a company.

What a callback brings is judged by the connector; here it becomes one clear page. A consent is
begun here only where the web side is this machine's own: on a public address anybody could
connect a company of theirs, so there the command prints the address to open.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from sqlsync.console.pages import choice_page, page
from sqlsync.database import errors
from sqlsync.errors import (
    CompanyChoice,
    DatabaseUnavailable,
    ProviderError,
    SqlsyncError,
)
from sqlsync.providers.claims import Connected

log = logging.getLogger(__name__)

FORM_LIMIT = 10_000  # bytes


class Consents(Protocol):
    """How a person lets us into a company's books."""

    async def begin(self, provider: str, name: str) -> str:
        """The provider's address to send the person to. Raises ConfigError."""
        ...

    async def finish(self, provider: str, answer: Mapping[str, str]) -> Connected:
        """Takes the callback's query.

        Raises ConsentRefused where `state` is not one of ours or the person said no,
        CompanyChoice where a company must be chosen, or a ProviderError where the tokens could
        not be had.
        """
        ...

    async def choose(self, provider: str, state: str, company_id: str) -> Connected:
        """Takes the company a person chose. Raises as `finish`."""
        ...


class ConsentDoor:
    """The routes of the consent pages. may_begin: `/connect/{provider}` is served."""

    def __init__(self, consents: Consents, *, may_begin: bool) -> None:
        self._consents = consents
        self._may_begin = may_begin

    async def connect(self, request: Request) -> Response:
        provider = request.path_params["provider"]
        if not self._may_begin:
            hint = f"Run: sqlsync connect {provider} --name NAME"
            text = "On a public address a consent is begun by the command, which prints the link."
            return page("Not here", text, hint, status_code=403)
        name = request.query_params.get("name", provider)
        try:
            return RedirectResponse(await self._consents.begin(provider, name), 302)
        except SqlsyncError as error:
            return _problem(error)

    async def callback(self, request: Request) -> Response:
        provider = request.path_params["provider"]
        answer = dict(request.query_params)
        try:
            return _connected(await self._consents.finish(provider, answer))
        except CompanyChoice as choice:
            return choice_page(provider, answer.get("state", ""), choice.companies)
        except (SqlsyncError, errors.Error) as error:
            return _problem(error)

    async def choose(self, request: Request) -> Response:
        provider = request.path_params["provider"]
        form = await _form(request)
        if not form.get("state") or not form.get("company"):
            return page("Not connected", "Nothing was chosen.", status_code=400)
        try:
            return _connected(await self._consents.choose(provider, form["state"], form["company"]))
        except (SqlsyncError, errors.Error) as error:
            return _problem(error)


def _connected(connected: Connected) -> Response:
    company = connected.company_name or connected.company_id
    missing = ", ".join(connected.missing_scopes)
    return page(
        "Connected",
        f"{connected.name} is connected to {company}. Its tables are being filled.",
        f"Not granted: {missing}. The tables that need it stay as they are and say so in"
        " _sync_cdc; to grant it, connect again."
        if missing
        else None,
        "You may close this page.",
    )


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small form; empty where it is none."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_LIMIT:
            return {}
    fields = parse_qs(body.decode("utf-8", "replace"))
    return {name: values[0] for name, values in fields.items()}


def _problem(error: Exception) -> Response:
    """What went wrong, with what to do. Ours is 400, the provider's 502, the database's 503."""
    if isinstance(error, SqlsyncError) and not isinstance(error, DatabaseUnavailable):
        log.warning("A consent came to nothing: %s", error)
        status_code = 502 if isinstance(error, ProviderError) else 400
        return page("Not connected", error.message, error.hint, status_code=status_code)
    log.error("A consent could not be noted: %s", error)
    text = "The database cannot be reached just now, so nothing was connected."
    return page("Not connected", text, "Run: sqlsync connect", status_code=503)
