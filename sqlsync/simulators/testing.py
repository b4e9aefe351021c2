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
import http.client
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlencode

from sqlsync.simulators.quickbooks.app import create_app, create_service
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.service import CompanySpec
from sqlsync.simulators.quickbooks.values import Doc, decode, encode
from sqlsync.simulators.server import HttpServer, new_event_loop

START_SECONDS = 60


class Simulator:
    """Where a simulator is, what connects to it, and how to interfere with it."""

    def __init__(self, address: str, realm_id: str, refresh_token: str) -> None:
        self.address = address  # "127.0.0.1:40001"
        self.base_url = f"http://{address}"
        self.realm_id = realm_id
        self.client_id = "simulated-client"
        self.client_secret = "simulated-secret"  # noqa: S105
        self.refresh_token = refresh_token  # of the connection under test: it rotates
        self.verifier_token = "simulator-verifier-token"  # noqa: S105
        self._access: str | None = None

    # -- interfering ---------------------------------------------------------------------------

    def trouble(
        self,
        kind: str,
        *,
        times: int = 1,
        skip: int = 0,
        when: str | None = None,
        status: int = 503,
        seconds: float = 0.0,
        body: str | None = None,
        **match: str,
    ) -> None:
        """Scripts trouble (see simulators.trouble). match: method, path, entity, operation."""
        rule: Doc = {
            "kind": kind,
            "times": times,
            "skip": skip,
            "status": status,
            "seconds": seconds,
            "match": match,
        }
        if when is not None:
            rule["when"] = when
        if body is not None:
            rule["body"] = body
        self._post("/trouble", rule)

    def expire_tokens(self) -> None:
        """All access tokens end now; the client must refresh."""
        self._post("/tokens", {"expire": True})

    def revoke(self) -> None:
        """The connection is gone, as after a person disconnected the app."""
        self._post("/tokens", {"revoke": True})

    def new_refresh_token(self) -> str:
        """One more connection to the same company, apart from `refresh_token`."""
        return str(self._post("/tokens", {"grant": True})["refresh_token"])

    def advance(self, seconds: float) -> None:
        """Moves the simulator's clock forward."""
        self._post("/clock", {"advance_seconds": seconds})

    def set_options(self, **options: Any) -> None:
        self._post("/options", options)

    def webhooks(self, url: str | None, verifier_token: str | None = None, **mischief: Any) -> None:
        """Sends webhooks to `url` (None: stops). mischief: drop, duplicate, wrong_signature …"""
        given: Doc = {"url": url, **mischief}
        if verifier_token is not None:
            given["verifier_token"] = self.verifier_token = verifier_token
        self._post("/webhooks", given)

    def mischief(self, **mischief: Any) -> None:
        """Spoils the next webhook deliveries."""
        self._post("/webhooks", mischief)

    def person(self, entity: str, operation: str, **body: Any) -> Doc:
        """A change made at the provider; returns the record. `Id` names it, except on create."""
        answer = self._post("/books", {"entity": entity, "operation": operation, "body": body})
        return next(dict(value) for name, value in answer.items() if name != "time")

    def reset(self) -> None:
        """Forgets counted requests, applied writes and scripted trouble."""
        self._post("/reset", {})

    # -- looking -------------------------------------------------------------------------------

    def record(self, entity: str, record_id: str) -> Doc | None:
        """The record as the books hold it now, or None. Counts as no request."""
        status, answer = self._send("GET", f"/_control/books/{entity}/{record_id}")
        return answer if status == 200 else None

    def records(self, entity: str) -> list[Doc]:
        return list(self._get(f"/books/{entity}"))

    def counts(self) -> dict[str, int]:
        """How many records of each entity there are."""
        return dict(self._get("/books"))

    def requests(self) -> dict[str, int]:
        """How many requests of each kind there were; what is missing was never asked."""
        return dict(self._get("/requests")["counts"])

    def log(self) -> list[Doc]:
        return list(self._get("/requests")["log"])

    def applied(self) -> list[Doc]:
        """Writes that were carried out: operation, entity, id, requestid, by."""
        return list(self._get("/applied"))

    def status(self) -> Doc:
        return dict(self._get(""))

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

    # -- transport ------------------------------------------------------------------------------

    def _get(self, path: str) -> Any:
        status, answer = self._send("GET", f"/_control{path}")
        if status != 200:
            raise ValueError(answer.get("error", answer))
        return answer

    def _post(self, path: str, body: Any) -> Any:
        status, answer = self._send("POST", f"/_control{path}", encode(body))
        if status != 200:
            raise ValueError(answer.get("error", answer))
        return answer

    def _send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        host, _, port = self.address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        is_json = "json" in response.headers.get("content-type", "")
        return response.status, decode(data) if is_json and data else data


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
    server = HttpServer(create_app(service), address)
    loop = new_event_loop()
    started = threading.Event()
    stopping = asyncio.Event()

    async def main() -> None:
        await server.start()
        started.set()
        await stopping.wait()
        await server.stop()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True)
    thread.start()
    if not started.wait(START_SECONDS):
        raise RuntimeError("the simulator did not start")
    realm, token = next(iter(service.refresh_tokens.items()))
    found = Simulator(server.address, realm, token)
    try:
        if webhook_url is not None:
            found.webhooks(webhook_url)
        yield found
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)
        if not loop.is_running():
            loop.close()


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
    *, customers: int = 100, invoices: int = 1000, seed: int = 1, address: str = "127.0.0.1:0"
) -> Iterator[Simulator]:
    """A simulator in a process of its own, where the tester's speed must not matter."""
    command = [sys.executable, "-m", "sqlsync.simulators", "--quickbooks", address]
    command += ["--customers", str(customers), "--invoices", str(invoices), "--seed", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            words = dict(word.partition("=")[::2] for word in line.split()[1:])
            if not line.startswith("ready "):
                raise RuntimeError(f"the simulator did not start: {line!r}")
            yield Simulator(words["quickbooks"], words["realm"], words["refresh_token"])
        finally:
            process.terminate()
            process.wait(10)
