"""The organisations (tenants) that a Xero grant covers: GET and DELETE /connections.

These calls need no organisation and count against none's limits.
Source: Xero, "The standard authorization code flow", step 5; reference/xero/README.md section 2.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from sqlsync.errors import (
    NeedsReauth,
    ProviderError,
    ProviderFault,
    RateLimited,
    Unreachable,
)
from sqlsync.providers.companies import Company
from sqlsync.providers.http import HttpClient
from sqlsync.providers.messages import HttpRequest, HttpResponse
from sqlsync.providers.oauth import claims_of
from sqlsync.providers.xero.responses import retry_after

SECONDS = 30.0


class _Connection(msgspec.Struct):
    id: str
    tenant_id: str = msgspec.field(name="tenantId")
    tenant_type: str = msgspec.field(default="ORGANISATION", name="tenantType")
    tenant_name: str | None = msgspec.field(default=None, name="tenantName")


_connections = msgspec.json.Decoder(list[_Connection])


class XeroCompanies:
    """Implements `sqlsync.providers.companies.Companies`."""

    def __init__(self, http: HttpClient, api_url: str) -> None:
        self._http = http
        self._api_url = api_url

    async def granted(self, access_token: str, *, of_this_consent: bool = False) -> list[Company]:
        event = claims_of(access_token).get("authentication_event_id") if of_this_consent else None
        params = (("authEventId", str(event)),) if event else ()
        response = await self._send("GET", "connections", access_token, params)
        try:
            found = _connections.decode(response.body)
        except msgspec.DecodeError as error:
            raise ProviderFault(
                "[Xero] The list of organisations cannot be read.", trace_id=response.trace_id
            ) from error
        return [
            Company(c.tenant_id, c.tenant_name or c.tenant_id, c.id)
            for c in found
            if c.tenant_type.upper() == "ORGANISATION"
        ]

    async def disconnect(self, access_token: str, company: Company) -> None:
        path = f"connections/{quote(company.link, safe='')}"
        await self._send("DELETE", path, access_token, (), gone_is_fine=True)

    async def _send(
        self,
        method: str,
        path: str,
        access_token: str,
        params: tuple[tuple[str, str], ...],
        *,
        gone_is_fine: bool = False,
    ) -> HttpResponse:
        response = await self._http.send(
            HttpRequest(
                method,
                f"{self._api_url}/{path}",
                params,
                {"accept": "application/json", "authorization": f"Bearer {access_token}"},
                timeout_seconds=SECONDS,
            )
        )
        if response.status < 300 or (gone_is_fine and response.status == 404):
            return response
        raise _refusal(response)


def _refusal(response: HttpResponse) -> ProviderError:
    words = f"[Xero] The organisations of the grant cannot be had ({response.status})."
    more: dict[str, Any] = {"trace_id": response.trace_id}
    if response.status in (401, 403):
        return NeedsReauth("[Xero] The grant is not accepted.", **more)
    if response.status == 429:
        return RateLimited(words, retry_after=retry_after(response))
    if response.status >= 500:
        return Unreachable(words, **more)
    return ProviderFault(words, **more)
