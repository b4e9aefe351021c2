"""Files of records: listed, sent up and fetched. What is told of them stands in the mirror.

Bytes never pass through Postgres. An upload is not journaled: the command that asks for it
waits for its outcome, and an unknown one is looked up by the file's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from schema.model import ChildSpec, ObjectSpec
from sqlsync.database import EnginePool, PoolTimeout, errors, sql
from sqlsync.errors import ConfigError, DatabaseUnavailable, NotFound
from sqlsync.providers.base import File, Provider, Record
from sqlsync.writes.directory import Providers
from sqlsync.writes.payload import Payload
from sqlsync.writes.values import decode, encode

# How the members are called at one provider or the other.
_ENTITY_ID, _ENTITY_TYPE = ("EntityRef", "value"), ("EntityRef", "type")
_NAME, _KIND, _SIZE = ("FileName",), ("ContentType", "MimeType"), ("Size", "ContentLength")


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What is told of a file. size: bytes."""

    id: str
    name: str
    content_type: str | None
    size: int | None
    record: Record

    @classmethod
    def of(cls, record: Record) -> FileInfo:
        told = decode(record.raw)

        def first(members: Sequence[str]) -> str | None:
            return next((str(told[m]) for m in members if told.get(m) is not None), None)

        size = first(_SIZE)
        name = first(_NAME) or record.id
        return cls(
            record.id, name, first(_KIND), None if size is None else int(float(size)), record
        )


class RecordFiles:
    """The files of one record of a connection."""

    def __init__(
        self, pool: EnginePool, provider: Provider, schema_name: str, spec: ObjectSpec, key: str
    ) -> None:
        self._pool = pool
        self._provider = provider
        self._schema_name = schema_name
        self._spec = spec
        self._id = key

    @classmethod
    async def open(
        cls, pool: EnginePool, providers: Providers, schema_name: str, table: str, record_id: str
    ) -> RecordFiles:
        """Raises ConfigError where there is no such table, NeedsReauth."""
        provider = await providers.for_schema(schema_name)
        spec = provider.catalog.by_table.get(table)
        if spec is None:
            raise ConfigError(
                f"{provider.catalog.title} has no table {table!r}.", hint="sqlsync objects NAME"
            )
        return cls(pool, provider, schema_name, spec, record_id)

    async def listed(self) -> list[FileInfo]:
        """As the mirror knows them; of a provider that can be asked, as it says.

        Raises ConfigError where the mirror is to say, and its table is switched off.
        """
        references = self._references()
        if references is None:
            return [FileInfo.of(r) for r in await self._provider.files.of(self._spec, self._id)]
        table = self._provider.files.spec.table
        if await self._is_off():
            raise ConfigError(
                f"{table} is switched off, so nobody knows which files there are.",
                hint=f"sqlsync objects NAME --enable {table}; or give the file's name",
            )
        # From the record itself: the table of its references may be switched off.
        statement = sql.SQL("select id, raw::text from {} where raw @> %s::jsonb order by id")
        like = encode(_nested(references.path, [_nested(_ENTITY_ID, self._id)])).decode()
        async with self._pool.connection() as session:
            found = await session.execute(
                statement.format(sql.Identifier(self._schema_name, table)), [like]
            )
            rows = await found.fetchall()
        records = (Record(table, row[0], row[1].encode()) for row in rows)
        return [FileInfo.of(r) for r in records if self._hangs_here(r, references)]

    async def upload(self, file: File, *, note: str | None, public: bool) -> FileInfo:
        """Hangs a file on the record and mirrors what is told of it. Raises as Files.upload,
        and DatabaseUnavailable where the file is there and only the mirror lacks it."""
        record = await self._provider.files.upload(
            self._spec, self._id, file, key=str(uuid4()), note=note, public=public
        )
        try:
            await self._mirror(record)
        except (errors.Error, PoolTimeout) as error:
            spec = self._provider.files.spec
            raise DatabaseUnavailable(
                f"The file is at {self._provider.catalog.title} as {spec.title} `{record.id}`,"
                f" but {self._schema_name}.{spec.table} could not take it: {error}",
                hint="Do not send it again: the next poll or reading brings it.",
            ) from error
        return FileInfo.of(record)

    async def download(self, name: str | None) -> File:
        """The file of that name or id, or the only one. Raises NotFound, ConfigError."""
        known = name is None or self._references() is None or not await self._is_off()
        files = await self.listed() if known else []
        found = [f for f in files if name is None or name in (f.name, f.id)]
        if not found and name is not None:
            found = [
                FileInfo.of(r) for r in await self._provider.files.of(self._spec, self._id, name)
            ]
        if not found:
            named = "no file" if name is None else f"no file {name!r}"
            raise NotFound(f"{self._spec.title} `{self._id}` has {named}")
        if len(found) > 1:
            listed = ", ".join(f"{f.name} ({f.id})" for f in found)
            raise ConfigError(f"Which of them: {listed}?", hint="Give the id.")
        return await self._provider.files.download(found[0].record)

    async def _mirror(self, record: Record) -> None:
        if await self._is_off():
            return
        spec = self._provider.files.spec
        text = Payload(self._schema_name, upserts=[(spec, record.raw)]).to_json().decode()
        async with self._pool.connection() as session:
            await session.execute("select sqlsync.apply_rows(%s::jsonb)", [text])

    async def _is_off(self) -> bool:
        async with self._pool.connection() as session:
            found = await session.execute(
                "select sqlsync.off_in(%s, %s) is not null",
                [self._schema_name, self._provider.files.spec.table],
            )
            row = await found.fetchone()
        return row is not None and bool(row[0])

    def _references(self) -> ChildSpec | None:
        """Where a file's record names the records it hangs on. None: only the provider knows."""
        for child in self._provider.files.spec.children:
            if _ENTITY_ID in {field.path for field in child.fields}:
                return child
        return None

    def _hangs_here(self, record: Record, references: ChildSpec) -> bool:
        """Ids are unique within an object only. Its name varies in letter case."""
        wanted = self._id, self._spec.api_name.lower()
        found = _at(decode(record.raw), references.path) or ()
        return wanted in {(_at(r, _ENTITY_ID), str(_at(r, _ENTITY_TYPE)).lower()) for r in found}


def _nested(path: Sequence[str], value: object) -> Any:
    """{"A": {"B": value}} for the path A, B."""
    for name in reversed(path):
        value = {name: value}
    return value


def _at(record: Any, path: Sequence[str]) -> Any:
    for name in path:
        record = record.get(name) if isinstance(record, dict) else None
    return record
