"""The commands that stay: up, proxy, worker, web, simulate."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from sqlsync.app import addresses, databases, services, simulating, website
from sqlsync.cli.options import ConfigOption, SupervisedOption, address, child_environment, start
from sqlsync.cli.supervisor import ChildPlan, Supervisor, child_command
from sqlsync.settings import Settings


def up(config: ConfigOption = None, supervised: SupervisedOption = False) -> None:
    """Runs everything: Postgres (unless you name one), proxy, worker and web."""
    settings = start(config, supervised=supervised)
    with databases.open_database(settings) as url:
        databases.prepare(url)
        supervisor = Supervisor(service_plans(config), environment=child_environment(url))
        supervisor.when_ready = lambda: announce_up(settings, supervisor)
        asyncio.run(supervisor.run())


def proxy(config: ConfigOption = None, supervised: SupervisedOption = False) -> None:
    """Runs the Postgres proxy alone."""
    settings = start(config, supervised=supervised)
    with _prepared_database(settings) as url:
        services.run_proxy(settings, url, ready)


def worker(config: ConfigOption = None, supervised: SupervisedOption = False) -> None:
    """Runs a sync worker alone; any number may run, on any number of machines."""
    settings = start(config, supervised=supervised)
    with _prepared_database(settings) as url:
        services.run_worker(settings, url, ready)


def web(config: ConfigOption = None, supervised: SupervisedOption = False) -> None:
    """Runs the web side alone: webhooks, consent, health."""
    settings = start(config, supervised=supervised)
    with _prepared_database(settings) as url:
        website.run_web(settings, url, ready)


def simulate(
    quickbooks: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where the simulated QuickBooks listens")
    ] = None,
    xero: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where the simulated Xero listens")
    ] = None,
    customers: Annotated[int, typer.Option(min=0, help="How many customers")] = 200,
    invoices: Annotated[int, typer.Option(min=0, help="How many invoices")] = 1000,
    companies: Annotated[int, typer.Option(min=1, help="How many companies of each service")] = 1,
    seed: Annotated[int, typer.Option(help="Same seed, same company")] = 1,
    country: Annotated[
        str, typer.Option(help="Where the QuickBooks companies are: US, GB, AU or CA")
    ] = "US",
    multicurrency: Annotated[
        bool, typer.Option("--multicurrency", help="QuickBooks companies with several currencies")
    ] = False,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Behaviour, listed below; may be repeated"),
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Keeps each request there, a JSON object a line"),
    ] = None,
    config: ConfigOption = None,
    supervised: SupervisedOption = False,
) -> None:
    """Runs simulated companies to try everything on. Default: QuickBooks on 127.0.0.1:8081.

    Says on one line where they listen, their ids and a refresh token each: what `connect` takes.
    """
    start(config, supervised=supervised)
    if quickbooks is None and xero is None:
        quickbooks = "127.0.0.1:8081"
    simulating.run_simulators(
        quickbooks=None if quickbooks is None else address("--quickbooks", quickbooks),
        xero=None if xero is None else address("--xero", xero),
        customers=customers,
        invoices=invoices,
        companies=companies,
        seed=seed,
        country=country,
        options=[*(option or ()), *(["multicurrency=true"] if multicurrency else [])],
        record=record,
        on_ready=ready,
    )


class ExplainedSimulator(TyperCommand):
    """`simulate --help` also says what can be set, and how a test-suite sets it."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)
        formatter.write(f"\n{simulating.knobs()}")


# -- shared with the demo --------------------------------------------------------------------


def service_plans(config: Path | None) -> list[ChildPlan]:
    """Proxy, web and worker, in the order in which they are stopped."""
    return [
        ChildPlan(
            "proxy", child_command("proxy", config), listens="SQLSYNC_PROXY__LISTEN", reloads=True
        ),
        ChildPlan("web", child_command("web", config), listens="SQLSYNC_WEB__LISTEN"),
        ChildPlan("worker", child_command("worker", config)),
    ]


def announce_up(settings: Settings, supervisor: Supervisor) -> None:
    """Says where all listens, on stdout and, for other commands, in the state directory."""
    addresses.note_addresses(settings, supervisor.addresses)
    print("ready", *(f"{k}={supervisor.addresses[k]}" for k in ("proxy", "web")), flush=True)


def ready(text: str) -> None:
    """`ready proxy=127.0.0.1:6432`: the one line that a waiting program reads."""
    print("ready", text, flush=True)


def _prepared_database(settings: Settings) -> databases.OpenDatabase:
    """A server of our own is brought up to date at once; a foreign one by `migrate` or `up`."""
    return databases.open_database(settings, prepare_embedded=True)
