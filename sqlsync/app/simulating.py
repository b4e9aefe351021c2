"""The simulated companies. They run until SIGTERM or SIGINT."""

from __future__ import annotations

from sqlsync.app.running import OnReady, run
from sqlsync.settings import Address


def run_simulators(
    *,
    quickbooks: Address | None,
    xero: Address | None,
    customers: int,
    invoices: int,
    companies: int,
    seed: int,
    on_ready: OnReady,
) -> None:
    """So many companies of each service that has an address; says how to connect to them."""
    from sqlsync.simulators.run import serve

    run(
        serve(
            None if quickbooks is None else str(quickbooks),
            xero=None if xero is None else str(xero),
            customers=customers,
            invoices=invoices,
            companies=companies,
            organisations=companies,
            seed=seed,
            say=lambda line: on_ready(line.removeprefix("ready ")),
        )
    )
