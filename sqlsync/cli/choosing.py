"""What is synced, by connection: sqlsync objects, sqlsync union."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from sqlsync.app import choosing, databases
from sqlsync.cli.options import ConfigOption, start
from sqlsync.cli.standing import ConnectionRow, find_connection, require_set_up
from sqlsync.database import Connection, TupleRow, errors, sql
from sqlsync.database import connect as connect_database
from sqlsync.errors import ConfigError, SqlsyncError


@dataclass(slots=True)
class TableChoice:
    """One table of a connection. state: of its object. columns_off, filling: column names."""

    table: str
    enabled: bool
    state: str
    rows: int
    columns_off: list[str] = field(default_factory=list)
    filling: list[str] = field(default_factory=list)
    children: list[TableChoice] = field(default_factory=list)


def objects(
    name: Annotated[str, typer.Argument(metavar="N", help="Name of the connection")],
    enable: Annotated[
        list[str] | None,
        typer.Option(metavar="O", help="Table or TABLE.COLUMN to sync; may be repeated"),
    ] = None,
    disable: Annotated[
        list[str] | None,
        typer.Option(metavar="O", help="Table or TABLE.COLUMN not to sync; may be repeated"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False,
    config: ConfigOption = None,
) -> None:
    """Shows what is synced, and switches objects, child tables and columns on and off.

    A table that is switched off keeps its rows and takes no writes (a child table, whose rows
    also stand in its object, becomes empty); switched on, it is brought up to date. A column
    that is switched off leaves its table, unless a view or the like uses it; switched on, it
    comes back as the last one, filled without a call to the provider.
    """
    settings = start(config)
    on, off = enable or [], disable or []
    if both := sorted(set(on) & set(off)):
        raise ConfigError(f"{both[0]} is given to --enable and to --disable.")
    with databases.open_database(settings, prepare_embedded=True) as url:
        with connect_database(url) as database:
            row = find_connection(database, name)
            if on or off:
                _choose(database, row, on, off)
        if on:
            with _bars() as show:
                choosing.fill_new(url, row.provider, row.schema_name, row.id, show)
        with connect_database(url) as database:
            tables = read_choices(database, row)
    if as_json:
        document = {"connection": row.name, "objects": [asdict(table) for table in tables]}
        print(json.dumps(document, indent=2))
        return
    _print(row, tables)
    if unread := [t.table for t in tables if t.table in on and t.state == "pending"]:
        print(f"The worker reads them: {', '.join(unread)}. Without one (sqlsync up):")
        for table in unread:
            print(f"  sqlsync backfill {row.name} --object {table}")


def union(
    provider: Annotated[str, typer.Argument(metavar="quickbooks|xero")],
    schema: Annotated[
        str | None, typer.Option(help="Schema of the views; default: PROVIDER_all")
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Take the views away again")] = False,
    config: ConfigOption = None,
) -> None:
    """Makes views over all companies of a provider: all_invoice, all_customer, …

    Their first column is the connection's name. They follow new connections and columns by
    themselves, show what the reader may read in the tables, and cannot be written.
    """
    settings = start(config)
    where = schema or f"{provider}_all"
    function = "drop_union" if drop else "make_union"
    with (
        databases.open_database(settings, prepare_embedded=True) as url,
        connect_database(url) as database,
    ):
        require_set_up(database)
        with _said_clearly(), database.transaction():
            if not drop:  # as who logs in: the engine's role may lack the right
                database.execute(
                    sql.SQL("create schema if not exists {} authorization sqlsync_engine").format(
                        sql.Identifier(where)
                    )
                )
            database.execute(f"select sqlsync.{function}(%s, %s)".encode(), [provider, where])
        found = database.execute(
            "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = %s and c.relkind = 'v' and exists (select from pg_trigger t"
            " where t.tgrelid = c.oid and t.tgname = 'sqlsync_refuse')",
            [where],
        ).fetchone()
    count = found[0] if found else 0
    print(f"the views of {provider} in {where} are gone" if drop else f"{count} views in {where}")


def read_choices(database: Connection[TupleRow], row: ConnectionRow) -> list[TableChoice]:
    """What a connection syncs, by object, child tables below theirs."""
    columns_off: dict[str, list[str]] = defaultdict(list)
    filling: dict[str, list[str]] = defaultdict(list)
    schema = sql.Identifier(row.schema_name)
    try:
        columns = database.execute(
            sql.SQL(
                "select table_name, column_name, enabled, filling from {}._sync_column"
                " where not enabled or filling order by table_name, position"
            ).format(schema)
        ).fetchall()
        standing = database.execute(
            sql.SQL(
                "select c.object, c.state, coalesce(a.children, '{{}}') from {}._sync_cdc c"
                " left join sqlsync.applied_object a on a.table_name = c.object"
                " and a.connection_id = %s order by c.object"
            ).format(schema),
            [row.id],
        ).fetchall()
    except (errors.UndefinedTable, errors.InvalidSchemaName, errors.UndefinedColumn):
        raise ConfigError(
            f"The tables of {row.name} are not made yet.", hint="Run: sqlsync migrate"
        ) from None
    for table, column, enabled, is_filling in columns:
        if not enabled:
            columns_off[table].append(column)
        elif is_filling:
            filling[table].append(column)
    off = {
        name
        for (name,) in database.execute(
            "select table_name from sqlsync.off where connection_id = %s and column_name = ''",
            [row.id],
        ).fetchall()
    }

    def choice(table: str, state: str) -> TableChoice:
        count = database.execute(
            sql.SQL("select count(*) from {}").format(sql.Identifier(row.schema_name, table))
        ).fetchone()
        return TableChoice(
            table,
            table not in off,
            state,
            count[0] if count else 0,
            columns_off[table],
            filling[table],
        )

    found = []
    for table, state, children in standing:
        own = choice(table, state)
        own.children = [choice(child, state if child not in off else "off") for child in children]
        found.append(own)
    return found


def _choose(
    database: Connection[TupleRow], row: ConnectionRow, on: Sequence[str], off: Sequence[str]
) -> None:
    """All of it or nothing."""
    with _said_clearly(), database.transaction():
        for names, verb in ((off, "disable"), (on, "enable")):
            columns: dict[str, list[str]] = defaultdict(list)
            for name in names:
                table, dot, column = name.partition(".")
                if dot:
                    columns[table].append(column)
                else:
                    database.execute(
                        f"select sqlsync.{verb}_object(%s, %s)".encode(), [row.name, table]
                    )
            for table, wanted in columns.items():
                database.execute(
                    f"select sqlsync.{verb}_columns(%s, %s, variadic %s)".encode(),
                    [row.name, table, wanted],
                )


@contextmanager
def _said_clearly() -> Iterator[None]:
    """What Postgres refuses is our user's input."""
    try:
        yield
    except errors.LockNotAvailable:
        raise SqlsyncError(
            "The table is in use (a long query, or a write under way); nothing was changed.",
            hint="Try again later.",
        ) from None
    except errors.Error as error:
        message = error.diag.message_primary or str(error)
        raise ConfigError(f"{message}.", hint=error.diag.message_hint) from None


def _print(row: ConnectionRow, tables: Sequence[TableChoice]) -> None:
    console = Console(file=sys.stdout)
    shown = Table(
        title=f"{row.name}: {row.provider}, schema {row.schema_name}", title_justify="left"
    )
    for column in ("table", "synced", "state", "rows", "columns off"):
        shown.add_column(column, justify="right" if column == "rows" else "left")
    for own in tables:
        for table in (own, *own.children):
            shown.add_row(
                table.table if table is own else f"  {table.table}",
                "yes" if table.enabled else "no",
                f"{table.state}, filling" if table.filling else table.state,
                f"{table.rows:,}",
                ", ".join(table.columns_off),
            )
    console.print(shown)


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """Progress on stderr: what is filled, rows done, rows in all."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done)

        yield show
