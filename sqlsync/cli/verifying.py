"""sqlsync verify: is the mirror what the provider holds?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from sqlsync.app import databases, verifying
from sqlsync.cli.options import ConfigOption, start

if TYPE_CHECKING:
    from backfill.verdicts import ObjectReport

SHOWN = 20  # differences of an object told on a terminal; --json tells up to 1,000


def verify(
    name: Annotated[str, typer.Argument(metavar="N", help="Name of the connection")],
    object_name: Annotated[
        list[str] | None,
        typer.Option("--object", metavar="O", help="One table; may be repeated; default: all"),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Bring what differs to what the provider holds")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False,
    config: ConfigOption = None,
) -> int:
    """Reads a company whole and compares it with its tables, to the field.

    Exit code 0: equal. 1: differences were found (with --repair they are repaired). Records
    changed after the last poll are told as "behind" and are no differences. Reports are not
    compared: the provider computes them anew each time (sqlsync report N REPORT).
    """
    settings = start(config)
    with databases.open_database(settings, prepare_embedded=True) as url, _bars() as show:
        reports = verifying.verify_connection(
            settings, url, name, tables=object_name, repair=repair, on_progress=show
        )
    equal = not any(report.found for report in reports)
    if as_json:
        document = {"connection": name, "equal": equal, "objects": [_plain(r) for r in reports]}
        print(json.dumps(document, indent=2))
    else:
        _print(reports)
        if not object_name:
            print("reports are not compared; to have one computed anew: sqlsync report N REPORT")
        print("equal" if equal else "differences were found")
    return 0 if equal else 1


def _plain(report: ObjectReport) -> dict[str, object]:
    return {**asdict(report), "not_named": report.found - len(report.faults)}


def _print(reports: Sequence[ObjectReport]) -> None:
    table = Table()
    numbers = ("compared", "missing", "extra", "different", "repaired", "behind")
    for column in ("object", *numbers, "note"):
        table.add_column(column, justify="right" if column in numbers else "left")
    for report in reports:
        counts = [f"{getattr(report, number):,}" for number in numbers]
        table.add_row(report.table, *counts, report.skipped or "")
    Console(file=sys.stdout).print(table)
    for report in reports:
        for fault in report.faults[:SHOWN]:
            fields = f": {', '.join(fault.fields)}" if fault.fields else ""
            done = " (repaired)" if fault.repaired else ""
            print(f"{fault.table} {fault.id} is {fault.kind}{done}{fields}")
        if (more := report.found - SHOWN) > 0:
            print(f"{report.table}: {more:,} more")


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar an object, on stderr."""
    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=max(total or 0, done))

        yield show
