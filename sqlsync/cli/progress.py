"""Progress bars of a backfill, one an object, from `_sync_cdc`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from sqlsync.cli.standing import ConnectionRow, ObjectStanding, read_objects
from sqlsync.database import connect
from sqlsync.errors import SqlsyncError

LOOK_SECONDS = 0.2
DONE = frozenset({"live", "paused"})


def follow_backfill(
    url: str,
    row: ConnectionRow,
    objects: Collection[str] | None = None,
    *,
    go_on: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Shows progress until every object (of `objects`) is live; returns rows by object.

    What the provider refuses for good (a feature the company's plan lacks) is named at the end.

    go_on: called between looks; raises to give up (a worker that died). Raises SqlsyncError
    where an object stands in error. On stderr; in a pipe it is silent until the end.
    """
    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[state]}"),
    )
    with connect(url) as database, Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}
        while True:
            standing = [
                item
                for item in read_objects(database, row)
                if objects is None or item.object in objects
            ]
            for item in standing:
                if item.object not in tasks:
                    tasks[item.object] = progress.add_task(item.object, total=None, state="")
                _show(progress, tasks[item.object], item)
            failed = [item for item in standing if item.state == "error" and not item.refused]
            if failed:
                raise SqlsyncError(f"{failed[0].object}: {failed[0].error}")
            if standing and all(item.state in DONE or item.refused for item in standing):
                break
            go_on()
            time.sleep(LOOK_SECONDS)
    for item in standing:
        if item.refused:
            print(f"not read: {item.object}: {item.error}", file=sys.stderr)
    if all(item.refused for item in standing):
        raise SqlsyncError("The provider refused every object.")
    return {item.object: item.rows_done or 0 for item in standing if not item.refused}


def _show(progress: Progress, task: TaskID, item: ObjectStanding) -> None:
    done = item.rows_done or 0
    total = item.rows_total
    if item.state in DONE:
        total = done  # a bar that is full, whatever was estimated
    progress.update(task, completed=done, total=total, state=item.state)
