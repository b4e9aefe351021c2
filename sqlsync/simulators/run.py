"""Starts the simulated services and says where they are.

`run_simulators` is what the command line calls; `serve` is the same for who has a loop. Both
print one line when requests are served:

    ready quickbooks=HOST:PORT realm=… refresh_token=… xero=HOST:PORT tenant=… xero_refresh_token=…

with the words of the services that run. Of several companies, ids and tokens stand in the same
order, with commas.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from sqlsync.errors import ConfigError
from sqlsync.simulators.quickbooks.app import create_app, create_service
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.service import CompanySpec
from sqlsync.simulators.server import AsgiApp, HttpServer, new_event_loop
from sqlsync.simulators.xero import app as xero_app
from sqlsync.simulators.xero.options import Options as XeroOptions
from sqlsync.simulators.xero.service import OrganisationSpec

CUSTOMERS, INVOICES, SEED = 500, 5000, 1


async def serve(
    quickbooks: str | None = "127.0.0.1:0",
    *,
    xero: str | None = None,
    customers: int = CUSTOMERS,
    invoices: int = INVOICES,
    seed: int = SEED,
    realm_id: str | None = None,
    refresh_token: str | None = None,
    webhook_url: str | None = None,
    webhook_verifier_token: str | None = None,
    companies: int = 1,
    country: str = "US",
    tenant_id: str | None = None,
    xero_refresh_token: str | None = None,
    organisations: int = 1,
    xero_webhook_url: str | None = None,
    xero_signing_key: str | None = None,
    record: str | None = None,
    say: Callable[[str], None] | None = None,
    **options: Any,
) -> None:
    """Serves until stopped by a signal or cancelled. An address of None: that service is not run.

    companies: of QuickBooks, in that country; organisations: of Xero; a realm_id, a tenant_id or
    a token given is the first one's. record: a file that keeps all requests (see `recording`).
    options: fields of the services' Options; one that both have is meant for both.
    Raises ConfigError for any other name.
    """
    ours, theirs = _names(Options), _names(XeroOptions)
    unknown = set(options) - ours - theirs
    if unknown:
        raise ConfigError(f"unknown option of the simulator: {', '.join(sorted(unknown))}")
    if quickbooks is None and xero is None:
        raise ConfigError("no simulator to run")
    servers: list[HttpServer] = []
    words: list[str] = []
    if quickbooks is not None:
        firms = [CompanySpec(customers, invoices, seed, realm_id, refresh_token, country)]
        firms += [
            CompanySpec(customers, invoices, seed + n, country=country) for n in range(1, companies)
        ]
        service = create_service(firms, Options(**_of(options, ours)))
        if webhook_url is not None:
            service.sender.configure(webhook_url, webhook_verifier_token)
        servers.append(_listening(create_app(service), "--quickbooks", quickbooks, record))
        realms, tokens = _listed(service.refresh_tokens)
        words.append(f"quickbooks={servers[-1].address} realm={realms} refresh_token={tokens}")
    if xero is not None:
        specs = [OrganisationSpec(customers, invoices, seed, tenant_id, xero_refresh_token)]
        specs += [OrganisationSpec(customers, invoices, seed + n) for n in range(1, organisations)]
        found = xero_app.create_service(specs, XeroOptions(**_of(options, theirs)))
        if xero_webhook_url is not None:
            found.sender.configure(xero_webhook_url, xero_signing_key)
        servers.append(_listening(xero_app.create_app(found), "--xero", xero, record))
        tenants, tokens = _listed(found.refresh_tokens)
        words.append(f"xero={servers[-1].address} tenant={tenants} xero_refresh_token={tokens}")
    for server in servers:
        await server.start()
    (say or _print)(f"ready {' '.join(words)}")
    try:
        await asyncio.wait(
            [asyncio.ensure_future(server.wait()) for server in servers],
            return_when=asyncio.FIRST_COMPLETED,
        )
    finally:
        for server in servers:
            await server.stop()


def _listed(refresh_tokens: Mapping[str, str]) -> tuple[str, str]:
    return ",".join(refresh_tokens), ",".join(refresh_tokens.values())


def _listening(app: AsgiApp, option: str, address: str, record: str | None) -> HttpServer:
    try:
        return HttpServer(app, address, record)
    except OSError as error:
        if record is not None and error.filename == record:
            raise ConfigError(f"--record {record} cannot be written: {error.strerror}.") from None
        raise ConfigError(f"{option} {address} cannot be listened on: {error.strerror}.") from None


def _names(options: type) -> set[str]:
    return {field.name for field in fields(options)}


def _of(options: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in names}


def _print(line: str) -> None:
    print(line, flush=True)


def run_simulators(
    quickbooks: str | None = "127.0.0.1:0",
    customers: int = CUSTOMERS,
    invoices: int = INVOICES,
    seed: int = SEED,
    **options: Any,
) -> None:
    """`serve` with a loop of its own; returns after Ctrl-C."""
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(
                serve(quickbooks, customers=customers, invoices=invoices, seed=seed, **options)
            )
    except KeyboardInterrupt:
        return
