"""A running simulator for tests: in a thread of its own, or in a process of its own.

    async with running_simulator(customers=20, invoices=100) as sim:
        sim.base_url, sim.realm_id, sim.client_id, sim.client_secret, sim.refresh_token
        sim.person("Customer", "update", Id="1", Notes="changed at the provider")
        sim.trouble("drop", entity="customer", operation="update")
        assert sim.requests()["update.customer"] == 1

The control methods are ordinary blocking calls over HTTP, short enough for any test; the server
runs on another thread, so they never wait for the caller's own loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlencode

from sqlsync.simulators.controlled import Controlled, served, simulators_process, tokens_said
from sqlsync.simulators.quickbooks.app import create_app, create_service
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.service import CompanySpec
from sqlsync.simulators.quickbooks.values import Doc, decode, encode


class Simulator(Controlled):
    """Where a simulator is, what connects to it, and how to interfere with it.

    Methods about records and tokens take `realm`; without it they mean the first company.
    """

    encode = staticmethod(encode)
    decode = staticmethod(decode)

    def __init__(self, address: str, tokens: dict[str, str]) -> None:
        super().__init__(address)
        self.realms = tuple(tokens)
        self.realm_id = self.realms[0]
        self.refresh_tokens = tokens  # by realm: they rotate
        self.client_id = "simulated-client"
        self.client_secret = "simulated-secret"  # noqa: S105
        self.refresh_token = tokens[self.realm_id]
        self.verifier_token = "simulator-verifier-token"  # noqa: S105
        self._access: str | None = None

    # -- interfering ---------------------------------------------------------------------------

    def revoke(self, realm: str | None = None) -> None:
        """The connection is gone, as after a person disconnected the app."""
        self._post("/tokens", {"revoke": True, "realm": realm})

    def new_refresh_token(self, realm: str | None = None) -> str:
        """One more connection to the same company, apart from `refresh_token`."""
        return str(self._post("/tokens", {"grant": True, "realm": realm})["refresh_token"])

    def webhooks(self, url: str | None, verifier_token: str | None = None, **mischief: Any) -> None:
        """Sends webhooks to `url` (None: stops). mischief: drop, duplicate, wrong_signature …"""
        given: Doc = {"url": url, **mischief}
        if verifier_token is not None:
            given["verifier_token"] = self.verifier_token = verifier_token
        self._post("/webhooks", given)

    def person(self, entity: str, operation: str, *, realm: str | None = None, **body: Any) -> Doc:
        """A change made at the provider; returns the record. `Id` names it, except on create."""
        change = {"entity": entity, "operation": operation, "body": body, "realm": realm}
        answer = self._post("/books", change)
        return next(dict(value) for name, value in answer.items() if name != "time")

    # -- looking -------------------------------------------------------------------------------

    def record(self, entity: str, record_id: str, realm: str | None = None) -> Doc | None:
        """The record as the books hold it now, or None. Counts as no request."""
        path = f"/_control/books/{entity}/{record_id}?realm={realm or self.realm_id}"
        status, answer = self._send("GET", path)
        return answer if status == 200 else None

    def records(self, entity: str, realm: str | None = None) -> list[Doc]:
        return list(self._get(f"/books/{entity}?realm={realm or self.realm_id}"))

    def counts(self, realm: str | None = None) -> dict[str, int]:
        """How many records of each entity there are."""
        return dict(self._get(f"/books?realm={realm or self.realm_id}"))

    def applied(self, realm: str | None = None) -> list[Doc]:
        """Writes that were carried out: operation, entity, id, requestid, by."""
        return list(self._get(f"/applied?realm={realm or self.realm_id}"))

    # -- being a client --------------------------------------------------------------------------

    def call(self, method: str, path: str, body: Any = None, **params: str) -> tuple[int, Any]:
        """A request to the data service over a connection of its own: (status, answer)."""
        if self._access is None:
            token = self.new_refresh_token()
            form = urlencode({"grant_type": "refresh_token", "refresh_token": token})
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            client = {"client_id": "tester", "client_secret": "tester"}
            form += "&" + urlencode(client)
            status, answer = self._send("POST", "/oauth2/v1/tokens/bearer", form.encode(), headers)
            if status != 200:
                raise RuntimeError(f"the simulator gave no token: {answer}")
            self._access = str(answer["access_token"])
        query = f"?{urlencode(params)}" if params else ""
        headers = {
            "Authorization": f"Bearer {self._access}",
            "Accept": "application/json",
            "Content-Type": "application/text" if isinstance(body, str) else "application/json",
        }
        data = body.encode() if isinstance(body, str) else encode(body) if body is not None else b""
        return self._send(method, f"/v3/company/{self.realm_id}{path}{query}", data, headers)


@contextmanager
def simulator(
    *,
    customers: int = 20,
    invoices: int = 100,
    seed: int = 1,
    webhook_url: str | None = None,
    address: str = "127.0.0.1:0",
    **options: Any,
) -> Iterator[Simulator]:
    """A simulator on a thread of this process. options: fields of quickbooks.options.Options."""
    service = create_service([CompanySpec(customers, invoices, seed)], Options(**options))
    with served(create_app(service), address) as listening:
        found = Simulator(listening, dict(service.refresh_tokens))
        if webhook_url is not None:
            found.webhooks(webhook_url)
        yield found


@asynccontextmanager
async def running_simulator(**settings: Any) -> AsyncIterator[Simulator]:
    """`simulator` for async tests; takes the same arguments."""
    context = simulator(**settings)
    found = await asyncio.to_thread(context.__enter__)
    try:
        yield found
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


@contextmanager
def simulator_process(
    *,
    customers: int = 100,
    invoices: int = 1000,
    seed: int = 1,
    companies: int = 1,
    address: str = "127.0.0.1:0",
) -> Iterator[Simulator]:
    """A simulator in a process of its own, where the tester's speed must not matter."""
    arguments = ["--quickbooks", address, "--companies", str(companies)]
    arguments += ["--customers", str(customers), "--invoices", str(invoices), "--seed", str(seed)]
    with simulators_process(arguments) as words:
        tokens = tokens_said(words, "realm", "refresh_token")
        yield Simulator(words["quickbooks"], tokens)
