"""Xero as a Provider: one organisation, put together from its parts.

What is sent and how an answer is read is decided in `calls`, `requests`, `bodies`, `planning`,
`paging`, `faults`, `responses` and `matching`, which are pure; `exchange` makes a call, `reading`
and `writing` carry out what the engine asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from schema.model import Catalog, ObjectSpec
from schema.report_model import Report, ReportSpec
from sqlsync.providers.base import Call, Changes, Files, Outcome, Page, Record
from sqlsync.providers.companies import Companies
from sqlsync.providers.http import HttpClient
from sqlsync.providers.limits import Limits
from sqlsync.providers.tokens import TokenSource
from sqlsync.providers.xero.calls import BULK
from sqlsync.providers.xero.exchange import Exchange
from sqlsync.providers.xero.files import XeroFiles
from sqlsync.providers.xero.paging import poll_calls
from sqlsync.providers.xero.reading import Reading
from sqlsync.providers.xero.requests import Tenant
from sqlsync.providers.xero.writing import Writing


class XeroProvider:
    """One Xero organisation. Implements `sqlsync.providers.base.Provider`."""

    batch_limit = BULK

    def __init__(
        self,
        *,
        catalog: Catalog,
        http: HttpClient,
        tokens: TokenSource,
        limits: Limits,
        api_url: str,
        tenant_id: str,
        companies: Companies | None = None,
    ) -> None:
        """companies: asked whether the organisation is still ours when Xero forbids a call."""
        self.catalog = catalog
        self._limits = limits
        tenant = Tenant(api_url, tenant_id)
        exchange = Exchange(http, tokens, limits, tenant_id, companies)
        self._reading = Reading(catalog, tenant, exchange)
        self._writing = Writing(tenant, exchange, self._reading)
        self._tenant, self._exchange = tenant, exchange

    @property
    def files(self) -> Files:
        return XeroFiles(self.catalog.by_table["attachment"], self._tenant, self._exchange)

    async def count(self, spec: ObjectSpec) -> int | None:
        return await self._reading.count(self._reading.calls(spec))

    async def fetch_page(self, spec: ObjectSpec, cursor: str | None) -> Page:
        return await self._reading.page(self._reading.calls(spec), cursor)

    async def changes(self, specs: Sequence[ObjectSpec], since: datetime) -> Changes:
        return await self._reading.changes(specs, since)

    async def fetch(self, spec: ObjectSpec, record_id: str) -> Record | None:
        return await self._reading.fetch(self._reading.calls(spec), record_id)

    async def fetch_many(self, spec: ObjectSpec, record_ids: Sequence[str]) -> list[Record]:
        return await self._reading.fetch_many(self._reading.calls(spec), record_ids)

    async def send(self, call: Call) -> list[Outcome]:
        return await self._writing.send(call)

    async def report(self, spec: ReportSpec, parameters: Mapping[str, Any]) -> Report:
        return await self._reading.report(spec, parameters)

    async def now(self) -> datetime:
        return await self._reading.now()

    def poll_calls(self, spec: ObjectSpec, rows: int) -> int:
        return poll_calls(self._reading.calls(spec), rows)

    def calls_left(self) -> int | None:
        return self._limits.day_left
