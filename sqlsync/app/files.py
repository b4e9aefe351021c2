"""What commands do with the files of records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from sqlsync.app.hands import open_hands
from sqlsync.app.running import run
from sqlsync.settings import Settings

if TYPE_CHECKING:
    from sqlsync.providers.base import File
    from sqlsync.writes.files import FileInfo, RecordFiles

T = TypeVar("T")


def list_files(
    settings: Settings, url: str, schema_name: str, table: str, record_id: str
) -> list[FileInfo]:
    """What hangs on a record. Raises ProviderError, ConfigError."""
    return _with(settings, url, schema_name, table, record_id, lambda files: files.listed())


def upload_file(
    settings: Settings,
    url: str,
    schema_name: str,
    table: str,
    record_id: str,
    file: File,
    *,
    note: str | None,
    public: bool,
) -> FileInfo:
    """Hangs a file on a record. Raises ProviderError, ConfigError."""
    return _with(
        settings,
        url,
        schema_name,
        table,
        record_id,
        lambda files: files.upload(file, note=note, public=public),
    )


def download_file(
    settings: Settings, url: str, schema_name: str, table: str, record_id: str, name: str | None
) -> File:
    """The bytes of a file of a record. Raises ProviderError, ConfigError."""
    return _with(settings, url, schema_name, table, record_id, lambda files: files.download(name))


def _with(
    settings: Settings,
    url: str,
    schema_name: str,
    table: str,
    record_id: str,
    work: Callable[[RecordFiles], Awaitable[T]],
) -> T:
    from sqlsync.writes.files import RecordFiles

    async def main() -> T:
        async with open_hands(settings, url, "files") as hands:
            files = await RecordFiles.open(
                hands.pool, hands.providers, schema_name, table, record_id
            )
            return await work(files)

    return run(main())
