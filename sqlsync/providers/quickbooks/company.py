"""The company behind a fresh grant: is it the one the callback named, and what is it called?

Intuit's token answer names no scopes and no company, so one small call tells both: without the
accounting scope, or for another company, it is forbidden.
Source: Intuit, "CompanyInfo"; reference/quickbooks/README.md sections 2 and 4.
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from sqlsync.errors import ConsentRefused, NeedsReauth, NotPermitted, ProviderFault
from sqlsync.providers.http import HttpClient
from sqlsync.providers.messages import HttpRequest
from sqlsync.providers.quickbooks import requests, responses
from sqlsync.providers.quickbooks.faults import TITLE, About

SECONDS = 30.0


class _CompanyInfo(msgspec.Struct):
    company_name: str | None = msgspec.field(default=None, name="CompanyName")


class _Answer(msgspec.Struct):
    company: _CompanyInfo = msgspec.field(name="CompanyInfo")


_answer = msgspec.json.Decoder(_Answer)


class QuickBooksNames:
    """Implements `sqlsync.providers.companies.CompanyNames`."""

    def __init__(self, http: HttpClient, api_url: str) -> None:
        self._http = http
        self._api_url = api_url

    async def name_of(self, access_token: str, company_id: str) -> str | None:
        company = requests.Company(self._api_url, company_id)
        request = HttpRequest(
            "GET",
            company.url(f"companyinfo/{quote(company_id, safe='')}"),
            (("minorversion", requests.MINOR_VERSION),),
            {"accept": "application/json", "authorization": f"Bearer {access_token}"},
            timeout_seconds=SECONDS,
        )
        response = await self._http.send(request)
        try:
            responses.read_answer(response, About(None))
        except (NeedsReauth, NotPermitted) as error:
            raise ConsentRefused(
                f"[{TITLE}] The consent does not open the books of company {company_id}: {error}",
                hint="Choose that company when you consent, as one of its administrators; the app"
                " needs the scope com.intuit.quickbooks.accounting.",
            ) from error
        try:
            return _answer.decode(response.body).company.company_name
        except msgspec.DecodeError as error:
            raise ProviderFault(
                f"[{TITLE}] The company's name cannot be read.", trace_id=response.trace_id
            ) from error
