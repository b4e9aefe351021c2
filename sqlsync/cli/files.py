"""The files of records: sqlsync files, upload, download."""

from __future__ import annotations

import json
import mimetypes
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sqlsync.app import databases
from sqlsync.app.files import download_file, list_files, upload_file
from sqlsync.cli.options import ConfigOption, start
from sqlsync.cli.standing import find_connection
from sqlsync.database import connect as connect_database
from sqlsync.errors import ConfigError

NameArgument = Annotated[str, typer.Argument(metavar="N", help="Name of the connection")]
TableArgument = Annotated[str, typer.Argument(metavar="TABLE", help="Such as invoice")]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Of the record")]


def files(
    name: NameArgument,
    table: TableArgument,
    record_id: IdArgument,
    as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False,
    config: ConfigOption = None,
) -> None:
    """Lists the files that hang on a record."""
    settings = start(config)
    with databases.open_database(settings, prepare_embedded=True) as url:
        found = list_files(settings, url, _schema(url, name), table, record_id)
    if as_json:
        rows = [
            {"id": f.id, "name": f.name, "content_type": f.content_type, "size": f.size}
            for f in found
        ]
        print(json.dumps(rows, indent=2))
        return
    if not found:
        print(f"no files hang on {table} {record_id}")
        return
    shown = Table("id", "name", "kind", "bytes", box=None)
    for f in found:
        shown.add_row(f.id, f.name, f.content_type or "", "" if f.size is None else str(f.size))
    Console().print(shown)


def upload(
    name: NameArgument,
    table: TableArgument,
    record_id: IdArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to send")],
    note: Annotated[str | None, typer.Option(help="Kept with the file (QuickBooks)")] = None,
    public: Annotated[
        bool, typer.Option("--public", help="The customer gets it with the document")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Hangs a file on a record at the provider, and prints the file's id."""
    from sqlsync.providers.base import File

    settings = start(config)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from error
    if not data:
        raise ConfigError(f"{file} is empty.")
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    given = File(file.name, kind, data)
    with (
        databases.open_database(settings, prepare_embedded=True) as url,
        Console(stderr=True).status(f"sending {file.name}, {len(data)} bytes"),
    ):
        made = upload_file(
            settings, url, _schema(url, name), table, record_id, given, note=note, public=public
        )
    print(made.id)


def download(
    name: NameArgument,
    table: TableArgument,
    record_id: IdArgument,
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="Name or id; left out: the only one")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Where to; default: here, by its own name")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Fetches a file that hangs on a record, and prints where it is now. Overwrites nothing."""
    settings = start(config)
    with (
        databases.open_database(settings, prepare_embedded=True) as url,
        Console(stderr=True).status("fetching"),
    ):
        found = download_file(settings, url, _schema(url, name), table, record_id, file)
    # The name comes from outside: it must not lead out of the directory.
    own = Path(found.name.replace("\\", "/")).name or "file"
    target = Path(own) if to is None else to / own if to.is_dir() else to
    try:
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as out:
            out.write(found.data)
    except FileExistsError:
        raise ConfigError(f"{target} is there already.", hint="Choose another with --to.") from None
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}.") from error
    print(target)


def _schema(url: str, name: str) -> str:
    with connect_database(url) as database:
        return find_connection(database, name).schema_name
