"""The simulated companies. They run until SIGTERM or SIGINT."""

from __future__ import annotations

from collections.abc import Sequence

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
    country: str,
    options: Sequence[str],
    record: str | None,
    on_ready: OnReady,
) -> None:
    """So many companies of each service that has an address; says how to connect to them.

    options: NAME=VALUE, of what `knobs` lists. record: a file that keeps each request, a JSON
    object a line. Raises ConfigError.
    """
    from sqlsync.simulators.knobs import read_options
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
            country=country,
            **read_options(options),
            record=record,
            say=lambda line: on_ready(line.removeprefix("ready ")),
        )
    )


def knobs() -> str:
    """What can be set on the simulated companies, for a person."""
    from sqlsync.simulators import knobs

    return knobs.text()
