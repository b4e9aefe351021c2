"""The command that looks whether all is well: doctor."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from sqlsync.app.doctor import examine
from sqlsync.cli.options import ConfigOption, start
from sqlsync.doctor.findings import is_healthy


def doctor(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One connection; default: all")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False,
    config: ConfigOption = None,
) -> None:
    """Looks whether all is well, and says what to do where it is not. Changes nothing.

    One line a finding: ok, note or problem. Exit code 0 without problems, 1 with some.
    """
    settings = start(config)
    found = []
    for finding in examine(settings, name):
        found.append(finding)
        if not as_json:
            print(finding.line(), flush=True)
    healthy = is_healthy(found)
    if as_json:
        report = {"healthy": healthy, "findings": [finding.as_json() for finding in found]}
        print(json.dumps(report, indent=2))
    if not healthy:
        raise typer.Exit(1)
