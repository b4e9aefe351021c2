"""Files of records: listed, sent up and fetched. What is told of them stands in the mirror.

Bytes never pass through Postgres. An upload is not journaled: the command that asks for it
waits for its outcome, and an unknown one is looked up by the file's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from schema.model import ObjectSpec
from sqlsync.database import EnginePool
from sqlsync.errors import ConfigError, NotFound
from sqlsync.providers.base import File, Provider, Record
from sqlsync.writes.directory import Providers
from sqlsync.writes.payload import Payload
from sqlsync.writes.values import decode

# How the members are called at one provider or the other.
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
        """As the mirror knows them; of a provider that can be asked, as it says."""
        files = self._provider.files
        if "entity_id" not in {f.column for c in files.spec.children for f in c.fields}:
            return [FileInfo.of(r) for r in await files.of(self._spec, self._id)]
        [child] = files.spec.children
        statement = (
            f'select f.id, f.raw::text from "{self._schema_name}"."{files.spec.table}" f'
            f' where exists (select from "{self._schema_name}"."{child.table}" r'
            f" where r.{child.parent_column} = f.id and r.entity_id = %s"
            " and lower(r.entity_type) = %s) order by f.id"
        )
        async with self._pool.connection() as session:
            found = await session.execute(
                statement.encode(), [self._id, self._spec.api_name.lower()]
            )
            rows = await found.fetchall()
        return [FileInfo.of(Record(files.spec.table, r[0], r[1].encode())) for r in rows]

    async def upload(self, file: File, *, note: str | None, public: bool) -> FileInfo:
        """Hangs a file on the record and mirrors what is told of it. Raises as Files.upload."""
        record = await self._provider.files.upload(
            self._spec, self._id, file, key=str(uuid4()), note=note, public=public
        )
        await self._mirror(record)
        return FileInfo.of(record)

    async def download(self, name: str | None) -> File:
        """The file of that name or id, or the only one. Raises NotFound, ConfigError."""
        files = await self.listed()
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
        spec = self._provider.files.spec
        text = Payload(self._schema_name, upserts=[(spec, record.raw)]).to_json().decode()
        async with self._pool.connection() as session, session.transaction():
            off = await session.execute(
                "select 1 from sqlsync.off o join sqlsync.connection c on c.id = o.connection_id"
                " where c.schema_name = %s and o.table_name = %s and o.column_name is null",
                [self._schema_name, spec.table],
            )
            if await off.fetchone() is None:
                await session.execute("select sqlsync.apply_rows(%s::jsonb)", [text])
