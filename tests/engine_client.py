"""What stands for the proxy in tests: a client's own session, and its calls of the engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from schema.model import Catalog
from sqlsync.database import AsyncConnection
from sqlsync.writes.engine import WriteEngine
from sqlsync.writes.model import CancelToken, Change, WriteRequest, WriteResult
from sqlsync.writes.values import decode


@dataclass
class Client:
    """Stands for the proxy: a client's own session and transaction, and its engine calls."""

    engine: WriteEngine
    session: AsyncConnection[Any]
    catalog: Catalog
    transaction: UUID = field(default_factory=uuid4)
    xid: str | None = None
    entries: list[UUID] = field(default_factory=list)
    schema: str = "quickbooks"

    async def begin(self) -> None:
        await self.session.execute("begin")
        cursor = await self.session.execute("select pg_current_xact_id()::text")
        self.xid = (await cursor.fetchone())[0]  # type: ignore[index]
        self.transaction = uuid4()
        self.entries = []

    async def execute(
        self,
        *changes: Change,
        block: bool = True,
        deadline: float | None = None,
        cancel: CancelToken | None = None,
    ) -> WriteResult:
        result = await self.engine.execute(
            await self.request(*changes, block=block, deadline=deadline), cancel or CancelToken()
        )
        if result.payload:
            await self.session.execute(
                "select sqlsync.apply_rows(%s::jsonb)", [result.payload.decode()]
            )
        self.entries += result.entries
        return result

    async def request(
        self, *changes: Change, block: bool = True, deadline: float | None = None
    ) -> WriteRequest:
        parents = {}
        for change in changes:
            spec, child = self.catalog.by_any_table[change.table]
            image = change.old if change.old is not None else change.new
            assert image is not None
            key = image["id" if child is None else child.parent_column]
            cursor = await self.session.execute(
                f"select raw::text from {self.schema}.{spec.table} where id = %s for update", [key]
            )
            row = await cursor.fetchone()
            if row is not None:
                parents[spec.table, key] = row[0].encode()
        return WriteRequest(
            self.schema, changes, parents, "joe", self.transaction, self.xid, block, deadline
        )

    async def live(self) -> list[UUID]:
        cursor = await self.session.execute("select sqlsync.live_entries(%s)", [self.entries])
        return (await cursor.fetchone())[0]  # type: ignore[index,no-any-return]

    async def commit(self) -> list[str]:
        await self.engine.commit_deferred(self.transaction, await self.live())
        await self.session.execute("commit")
        return await self.engine.settle(self.transaction, self.xid)

    async def rollback(self) -> list[str]:
        await self.session.execute("rollback")
        return await self.engine.settle(self.transaction, self.xid)

    async def update(self, table: str, record_id: str, **columns: Any) -> Change:
        old = await self.image(table, record_id)
        return Change(table, "update", old, {**old, **columns})

    async def delete(self, table: str, record_id: str) -> Change:
        return Change(table, "delete", await self.image(table, record_id), None)

    def insert(self, table: str, **columns: Any) -> Change:
        new = {"id": f"new:{uuid4()}", **columns}
        return Change(table, "insert", None, new)

    async def image(self, table: str, record_id: str) -> dict[str, Any]:
        cursor = await self.session.execute(
            f"select (to_jsonb(t) - 'raw')::text from {self.schema}.{table} t where id = %s",
            [record_id],
        )
        row = await cursor.fetchone()
        assert row is not None
        return decode(row[0])  # type: ignore[no-any-return]
