"""Starts the simulated services and says where they are.

`run_simulators` is what the command line calls; `serve` is the same for who has a loop. Both
print one line, `ready quickbooks=HOST:PORT realm=… refresh_token=…`, when requests are served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from sqlsync.errors import ConfigError
from sqlsync.simulators.quickbooks.app import create_app, create_service
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.service import CompanySpec
from sqlsync.simulators.server import HttpServer, new_event_loop

CUSTOMERS, INVOICES, SEED = 500, 5000, 1


async def serve(
    quickbooks: str | None = "127.0.0.1:0",
    *,
    customers: int = CUSTOMERS,
    invoices: int = INVOICES,
    seed: int = SEED,
    realm_id: str | None = None,
    refresh_token: str | None = None,
    webhook_url: str | None = None,
    webhook_verifier_token: str | None = None,
    say: Callable[[str], None] | None = None,
    **options: Any,
) -> None:
    """Serves until stopped by a signal or cancelled. quickbooks None: nothing to serve.

    options: fields of quickbooks.options.Options. Raises ConfigError for any other name.
    """
    unknown = set(options) - {field.name for field in fields(Options)}
    if unknown:
        raise ConfigError(f"unknown option of the simulator: {', '.join(sorted(unknown))}")
    if quickbooks is None:
        raise ConfigError("no simulator to run")
    spec = CompanySpec(customers, invoices, seed, realm_id, refresh_token)
    service = create_service([spec], Options(**options))
    if webhook_url is not None:
        service.sender.configure(webhook_url, webhook_verifier_token)
    server = HttpServer(create_app(service), quickbooks)
    await server.start()
    realm, token = next(iter(service.refresh_tokens.items()))
    (say or _print)(f"ready quickbooks={server.address} realm={realm} refresh_token={token}")
    try:
        await server.wait()
    finally:
        await server.stop()


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
