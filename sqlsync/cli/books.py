"""The commands about tables and where they stand: migrate, status, backfill."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sqlsync.app import connecting, databases
from sqlsync.cli.background import background
from sqlsync.cli.options import ConfigOption, child_environment, start
from sqlsync.cli.progress import follow_backfill
from sqlsync.cli.standing import (
    ConnectionStanding,
    ReportsStanding,
    find_connection,
    read_standing,
)
from sqlsync.cli.supervisor import child_command
from sqlsync.database import connect as connect_database


def migrate(config: ConfigOption = None) -> None:
    """Brings the database up to date. Safe to repeat."""
    settings = start(config)
    with databases.open_database(settings) as url:
        done = databases.prepare(url)
    print("\n".join(done) if done else "nothing to do: the database is up to date")


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
    if standing.reports != ReportsStanding(0, 0, 0):
        counts = asdict(standing.reports).items()
        print(f"  reports: {', '.join(f'{n} {what}' for what, n in counts if n)}", end="; ")
        print(f"more: sqlsync report {row.name}")
    for write in standing.open_writes:
        record = write.record_id or "(new)"
        print(f"  write {write.id}: {write.kind} {write.table_name} {record} is {write.state}")


def backfill(
    name: Annotated[str, typer.Argument(metavar="N", help="Name of the connection")],
    object_name: Annotated[
        str | None, typer.Option("--object", metavar="O", help="One table; default: all")
    ] = None,
    accept_missing: Annotated[
        bool,
        typer.Option(
            "--accept-missing",
            help="With --object: rows that the provider no longer has leave, however many",
        ),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Reads the history of a connection again, and shows how far it is.

    A reading that lacks much of a table is not believed and removes nothing, until you say
    --accept-missing. Even then each record is asked for by its id before it leaves.
    """
    settings = start(config)
    with databases.open_database(settings, prepare_embedded=True) as url:
        with connect_database(url) as database:
            row = find_connection(database, name)
        connecting.request_backfill(url, name, object_name, accept_missing=accept_missing)
        # Our own worker: where `up` runs too, they share the work.
        with background("worker", child_command("worker", config), child_environment(url)) as child:
            wanted = None if object_name is None else {object_name}
            follow_backfill(url, row, wanted, go_on=child.check)
