"""A running simulated Xero for tests: in a thread of its own, or in a process of its own.

with xero_simulator(customers=20, invoices=100) as sim:
    sim.base_url, sim.tenant_id, sim.client_id, sim.client_secret, sim.refresh_token
    sim.person("invoice", "update", InvoiceID="…", Reference="changed at the provider")
    sim.trouble("drop", entity="invoice", operation="update")
    assert sim.requests()["update.invoice"] == 1
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import quote, urlencode

from sqlsync.simulators.controlled import Controlled, served, simulators_process, tokens_said
from sqlsync.simulators.testing import Simulator
from sqlsync.simulators.xero.app import create_app, create_service
from sqlsync.simulators.xero.options import Options
from sqlsync.simulators.xero.service import OrganisationSpec
from sqlsync.simulators.xero.values import Doc, decode, encode

API = "/api.xro/2.0"


class XeroSimulator(Controlled):
    """Where a simulator is, what connects to it, and how to interfere with it.

    Methods about records and tokens take `tenant`; without it they mean the first organisation.
    """

    encode = staticmethod(encode)
    decode = staticmethod(decode)

    def __init__(self, address: str, tokens: dict[str, str]) -> None:
        super().__init__(address)
        self.tenants = tuple(tokens)
        self.tenant_id = self.tenants[0]
        self.refresh_tokens = tokens  # by tenant: they rotate
        self.refresh_token = tokens[self.tenant_id]
        self.client_id = "simulated-client"
        self.client_secret = "simulated-secret"  # noqa: S105
        self.signing_key = "simulator-signing-key"
        self._access: dict[str, str] = {}

    # -- interfering ---------------------------------------------------------------------------

    def revoke(self, tenant: str | None = None) -> None:
        """The connection and its consent are gone."""
        self._post("/tokens", {"revoke": True, "tenant": tenant})

    def disconnect(self, tenant: str | None = None) -> None:
        """A person disconnected the organisation; tokens for others go on."""
        self._post("/tokens", {"disconnect": True, "tenant": tenant})

    def new_refresh_token(self, tenant: str | None = None) -> str:
        """One more consent for the organisation, apart from `refresh_token`."""
        return str(self._post("/tokens", {"grant": True, "tenant": tenant})["refresh_token"])

    def webhooks(self, url: str | None, signing_key: str | None = None, **mischief: Any) -> None:
        """Sends webhooks to `url` (None: stops). mischief: drop, duplicate, wrong_signature …"""
        given: Doc = {"url": url, **mischief}
        if signing_key is not None:
            given["signing_key"] = self.signing_key = signing_key
        self._post("/webhooks", given)

    def person(self, entity: str, operation: str, *, tenant: str | None = None, **body: Any) -> Doc:
        """A change made at the provider; returns the record. Its id field names it."""
        change = {"entity": entity, "operation": operation, "body": body, "tenant": tenant}
        return dict(next(iter(self._post("/books", change).values())))

    # -- looking -------------------------------------------------------------------------------

    def record(self, entity: str, record_id: str, tenant: str | None = None) -> Doc | None:
        """The record as the books hold it now, or None. Counts as no request."""
        path = f"/_control/books/{entity}/{record_id}?tenant={tenant or self.tenant_id}"
        status, answer = self._send("GET", path)
        return answer if status == 200 else None

    def records(self, entity: str, tenant: str | None = None) -> list[Doc]:
        return list(self._get(f"/books/{entity}?tenant={tenant or self.tenant_id}"))

    def counts(self, tenant: str | None = None) -> dict[str, int]:
        """How many records of each collection there are."""
        return dict(self._get(f"/books?tenant={tenant or self.tenant_id}"))

    def applied(self, tenant: str | None = None) -> list[Doc]:
        """Records changed: operation, entity, id, requestid, by."""
        return list(self._get(f"/applied?tenant={tenant or self.tenant_id}"))

    # -- being a client --------------------------------------------------------------------------

    def token(self, tenant: str | None = None, client_id: str = "tester") -> str:
        """An access token that serves the organisation, made once."""
        tenant = tenant or self.tenant_id
        if tenant not in self._access:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": self.new_refresh_token(tenant),
                "client_id": client_id,
                "client_secret": "tester",
            }
            status, answer = self._send("POST", "/connect/token", urlencode(form).encode())
            if status != 200:
                raise RuntimeError(f"the simulator gave no token: {answer}")
            self._access[tenant] = str(answer["access_token"])
        return self._access[tenant]

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        tenant: str | None = None,
        headers: dict[str, str] | None = None,
        **params: str,
    ) -> tuple[int, Any]:
        """A request to the Accounting API: (status, answer). path: `/Invoices`."""
        status, _, answer = self.exchange(
            method, path, body, tenant=tenant, headers=headers, **params
        )
        return status, answer

    def exchange(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        tenant: str | None = None,
        headers: dict[str, str] | None = None,
        **params: str,
    ) -> tuple[int, dict[str, str], Any]:
        """As `call`, with the answer's headers."""
        tenant = tenant or self.tenant_id
        sent = {
            "Authorization": f"Bearer {self.token(tenant)}",
            "xero-tenant-id": tenant,
            "Accept": "application/json",
            "Content-Type": "application/json",
            **(headers or {}),
        }
        query = f"?{urlencode(params)}" if params else ""
        data = body if isinstance(body, bytes) else b"" if body is None else encode(body)
        status, found, answer = self.raw(method, f"{API}{quote(path)}{query}", data, sent)
        is_json = "json" in found.get("content-type", "")
        return status, found, decode(answer) if is_json and answer else answer


@contextmanager
def xero_simulator(
    *,
    customers: int = 20,
    invoices: int = 100,
    seed: int = 1,
    organisations: int = 1,
    webhook_url: str | None = None,
    address: str = "127.0.0.1:0",
    **options: Any,
) -> Iterator[XeroSimulator]:
    """A simulator on a thread of this process. options: fields of xero.options.Options."""
    specs = [OrganisationSpec(customers, invoices, seed + n) for n in range(organisations)]
    service = create_service(specs, Options(**options))
    with served(create_app(service), address) as listening:
        found = XeroSimulator(listening, dict(service.refresh_tokens))
        if webhook_url is not None:
            found.webhooks(webhook_url)
        yield found


@asynccontextmanager
async def running_xero_simulator(**settings: Any) -> AsyncIterator[XeroSimulator]:
    """`xero_simulator` for async tests; takes the same arguments."""
    context = xero_simulator(**settings)
    found = await asyncio.to_thread(context.__enter__)
    try:
        yield found
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


@contextmanager
def xero_process(
    *, customers: int = 100, invoices: int = 1000, seed: int = 1, address: str = "127.0.0.1:0"
) -> Iterator[XeroSimulator]:
    """A simulator in a process of its own, where the tester's speed must not matter."""
    arguments = ["--xero", address]
    arguments += ["--customers", str(customers), "--invoices", str(invoices), "--seed", str(seed)]
    with simulators_process(arguments) as words:
        yield XeroSimulator(words["xero"], tokens_said(words, "tenant", "xero_refresh_token"))


@contextmanager
def both_process(
    *, customers: int = 30, invoices: int = 60, companies: int = 1, organisations: int = 1
) -> Iterator[tuple[Simulator, XeroSimulator]]:
    """Both services in one process, each with so many companies."""
    arguments = ["--quickbooks", "127.0.0.1:0", "--xero", "127.0.0.1:0"]
    arguments += ["--companies", str(companies), "--organisations", str(organisations)]
    arguments += ["--customers", str(customers), "--invoices", str(invoices)]
    with simulators_process(arguments) as words:
        yield (
            Simulator(words["quickbooks"], tokens_said(words, "realm", "refresh_token")),
            XeroSimulator(words["xero"], tokens_said(words, "tenant", "xero_refresh_token")),
        )
