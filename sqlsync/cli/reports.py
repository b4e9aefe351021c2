"""The command about reports: what is stored, and having one computed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from sqlsync.app import databases
from sqlsync.cli.background import background
from sqlsync.cli.options import ConfigOption, child_environment, start
from sqlsync.cli.standing import ConnectionRow, find_connection
from sqlsync.cli.supervisor import child_command
from sqlsync.database import Connection, TupleRow, class_row, errors, sql
from sqlsync.database import connect as connect_database
from sqlsync.errors import ConfigError, SqlsyncError

LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Run:
    """A row of `_sync_report`. fresh: it was computed since it was last asked for."""

    id: int
    report: str
    table_name: str
    parameters: dict[str, Any]
    state: str
    scheduled: bool
    period_start: date | None
    period_end: date | None
    accounting_method: str | None
    as_of: datetime | None
    row_count: int | None
    error: str | None
    fresh: bool
    failed: bool


_COLUMNS = (
    "id, report, table_name, parameters, state, scheduled, period_start, period_end,"
    " accounting_method, as_of, row_count, error,"
    " coalesce(fetched_at >= requested_at, fetched_at is not null) as fresh,"
    " state = 'error' and coalesce(started_at >= requested_at, true) as failed"
)


def report(
    name: Annotated[str, typer.Argument(metavar="N", help="Name of the connection")],
    wanted: Annotated[
        str | None,
        typer.Argument(metavar="REPORT", help="Report or its table; without it all are listed"),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="K=V", help="What to ask with; may be repeated"),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Has a report computed and stored, with any parameters it takes; or lists what is stored."""
    settings = start(config)
    parameters = _parameters(param or [])
    if wanted is None and parameters:
        raise ConfigError("--param belongs to a report: sqlsync report N REPORT --param K=V")
    with databases.open_database(settings, prepare_embedded=True) as url:
        with connect_database(url) as database:
            row = find_connection(database, name)
            if wanted is None:
                _show(row, _runs(database, row))
                return
            run_id = _ask(database, row, wanted, parameters)
        # Our own worker: where `up` runs too, they share the work.
        with background("worker", child_command("worker", config), child_environment(url)) as child:
            done = _follow(url, row, run_id, go_on=child.check)
    print(_line(row, done))


def _parameters(given: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in given:
        key, separator, value = one.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f"--param {one!r}: must be NAME=VALUE.")
        if key.strip() in found:
            raise ConfigError(f"--param {key.strip()} is given twice.")
        found[key.strip()] = value.strip()
    return found


def _ask(
    database: Connection[TupleRow], row: ConnectionRow, wanted: str, parameters: dict[str, str]
) -> int:
    """Asks by the same function as SQL does. Raises ConfigError in its words."""
    try:
        found = database.execute(
            "select sqlsync.refresh_report(%s, %s, %s)", [row.name, wanted, json.dumps(parameters)]
        ).fetchone()
    except (errors.DataError, errors.ProgrammingError, errors.SystemError) as error:
        raise ConfigError(f"{error.diag.message_primary}.", hint=error.diag.message_hint) from error
    assert found is not None
    return int(found[0])


def _runs(
    database: Connection[TupleRow], row: ConnectionRow, run_id: int | None = None
) -> list[Run]:
    query = sql.SQL(
        f"select {_COLUMNS} from {{}}._sync_report where %(id)s::bigint is null or id = %(id)s"
        " order by report, is_default desc, id"
    ).format(sql.Identifier(row.schema_name))
    with database.cursor(row_factory=class_row(Run)) as cursor:
        try:
            return cursor.execute(query, {"id": run_id}).fetchall()
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            return []


def _follow(url: str, row: ConnectionRow, run_id: int, *, go_on: Callable[[], None]) -> Run:
    """Waits for the run, and says meanwhile how it stands. Raises SqlsyncError where it fails."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(file=sys.stderr)
    with connect_database(url) as database, Progress(*columns, console=console) as progress:
        task = progress.add_task("asked for")
        while True:
            found = _runs(database, row, run_id)
            if not found:
                raise SqlsyncError("The report was removed meanwhile.")
            [run] = found
            if run.failed:
                raise SqlsyncError(run.error or f"{run.report} could not be computed.")
            if run.fresh and run.state == "ready":
                return run
            waits = f" ({run.error})" if run.error else ""
            progress.update(task, description=f"{run.report}: {run.state}{waits}")
            go_on()
            time.sleep(LOOK_SECONDS)


def _show(row: ConnectionRow, runs: list[Run]) -> None:
    if not runs:
        print(f"{row.name} has no reports yet; its tables are made when it is connected")
        return
    table = Table(title=f"{row.name}: reports in schema {row.schema_name}", title_justify="left")
    table.add_column("report", no_wrap=True)
    for column in ("asked with", "state", "period", "as of", "rows", "error"):
        table.add_column(column, justify="right" if column == "rows" else "left")
    for run in runs:
        table.add_row(
            run.table_name,
            " ".join(f"{key}={value}" for key, value in run.parameters.items()),
            run.state,
            _period(run),
            "" if run.as_of is None else f"{run.as_of:%Y-%m-%d %H:%M}",
            "" if run.row_count is None else f"{run.row_count:,}",
            run.error or "",
        )
    Console(file=sys.stdout).print(table)


def _line(row: ConnectionRow, run: Run) -> str:
    facts = [f"{run.row_count:,} rows", _period(run)]
    if run.as_of is not None:
        facts.append(f"as of {run.as_of:%Y-%m-%d %H:%M:%S}")
    told = ", ".join(fact for fact in facts if fact)
    return f"{row.schema_name}.{run.table_name}: {told}; run_id {run.id}"


def _period(run: Run) -> str:
    days = " to ".join(str(day) for day in (run.period_start, run.period_end) if day is not None)
    return " ".join(part for part in (days, run.accounting_method) if part)
