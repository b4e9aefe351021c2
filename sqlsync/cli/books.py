"""The commands about companies and their tables: migrate, connect, status, backfill."""

from __future__ import annotations

import json
import socket
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sqlsync.app import connecting, databases, hands
from sqlsync.cli.background import background
from sqlsync.cli.options import ConfigOption, child_environment, start
from sqlsync.cli.progress import follow_backfill
from sqlsync.cli.standing import (
    ConnectionStanding,
    find_connection,
    read_standing,
)
from sqlsync.cli.supervisor import child_command
from sqlsync.database import connect as connect_database
from sqlsync.errors import ConfigError
from sqlsync.settings import Settings

CONSENT_SECONDS = 15 * 60


def migrate(config: ConfigOption = None) -> None:
    """Brings the database up to date. Safe to repeat."""
    settings = start(config)
    with databases.open_database(settings) as url:
        done = databases.prepare(url)
    print("\n".join(done) if done else "nothing to do: the database is up to date")


def connect(
    provider: Annotated[str, typer.Argument(metavar="quickbooks|xero")],
    name: Annotated[str, typer.Option(help="What you call the connection")],
    schema: Annotated[
        str | None, typer.Option(help="Postgres schema of its tables; default: the provider")
    ] = None,
    company: Annotated[str | None, typer.Option(help="Company: realm or tenant id")] = None,
    refresh_token: Annotated[
        str | None, typer.Option(help="Refresh token; without it a consent page is opened")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Connects a company. Without a token: prints the page to open, and waits for consent."""
    settings = start(config)
    hands.check_provider(provider)
    if (company is None) != (refresh_token is None):
        raise ConfigError("--company and --refresh-token must be given together, or neither.")
    hands.require_app(settings, provider)
    with databases.open_database(settings, prepare_embedded=True) as url:
        if company is not None and refresh_token is not None:
            connecting.connect_company(
                settings,
                url,
                provider=provider,
                name=name,
                schema_name=schema or provider,
                company_id=company,
                refresh_token=refresh_token,
            )
        else:
            with _web_side(settings, config, url):
                _connect_by_consent(settings, url, provider, name, schema or provider)
        with connect_database(url) as database:
            row = find_connection(database, name)
    print(f"connected {row.name}: company {row.company_id}, schema {row.schema_name}")


def _connect_by_consent(
    settings: Settings, url: str, provider: str, name: str, schema: str
) -> None:
    address = connecting.begin_consent(
        settings, url, provider=provider, name=name, schema_name=schema
    )
    print(f"Open this page and approve:\n{address}", flush=True)
    deadline = time.monotonic() + CONSENT_SECONDS
    with connect_database(url) as database:
        while time.monotonic() < deadline:
            row = find_connection(database, name)
            if row.state not in ("pending", "needs_reauth"):
                return
            time.sleep(0.5)
    raise ConfigError("Nobody approved in time.", hint="Run the command again.")


def _web_side(settings: Settings, config: Path | None, url: str) -> AbstractContextManager[object]:
    """The consent comes back to the web side: the one that runs, else one of our own."""
    listen = settings.web.listen
    if listen.port:
        try:
            socket.create_connection((listen.host, listen.port), timeout=2).close()
            return nullcontext()
        except OSError:
            pass  # nobody is there
    return background("web", child_command("web", config), child_environment(url))


def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False,
    config: ConfigOption = None,
) -> None:
    """Shows connections, how far their tables are, and writes that are not closed."""
    settings = start(config)
    with databases.open_database(settings) as url, connect_database(url) as database:
        standing = read_standing(database)
    if as_json:
        print(json.dumps({"connections": [c.as_json() for c in standing]}, indent=2))
        return
    if not standing:
        print("no connections; make one: sqlsync connect quickbooks|xero --name N")
        return
    console = Console(file=sys.stdout)
    for connection in standing:
        _show(console, connection)


def _show(console: Console, standing: ConnectionStanding) -> None:
    row = standing.connection
    reason = f" ({row.state_reason})" if row.state_reason else ""
    title = f"{row.name}: {row.provider} {row.company_id or '-'}, schema {row.schema_name}"
    table = Table(title=f"{title}, {row.state}{reason}", title_justify="left")
    for column in ("object", "state", "rows", "of", "watermark", "lag s", "error"):
        table.add_column(column, justify="right" if column in ("rows", "of", "lag s") else "left")
    for item in standing.objects:
        table.add_row(
            item.object,
            item.state,
            f"{item.rows_done or 0:,}",
            "" if item.rows_total is None else f"{item.rows_total:,}",
            "" if item.watermark is None else f"{item.watermark:%Y-%m-%d %H:%M:%S}",
            "" if item.lag_seconds is None else f"{item.lag_seconds:.1f}",
            item.error or "",
        )
    console.print(table)
    for write in standing.open_writes:
        record = write.record_id or "(new)"
        print(f"  write {write.id}: {write.kind} {write.table_name} {record} is {write.state}")


def backfill(
    name: Annotated[str, typer.Argument(metavar="N", help="Name of the connection")],
    object_name: Annotated[
        str | None, typer.Option("--object", metavar="O", help="One table; default: all")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Reads the history of a connection again, and shows how far it is."""
    settings = start(config)
    with databases.open_database(settings, prepare_embedded=True) as url:
        with connect_database(url) as database:
            row = find_connection(database, name)
        connecting.request_backfill(settings, url, name, object_name)
        # Our own worker: where `up` runs too, they share the work.
        with background("worker", child_command("worker", config), child_environment(url)) as child:
            wanted = None if object_name is None else {object_name}
            follow_backfill(url, row, wanted, go_on=child.check)
