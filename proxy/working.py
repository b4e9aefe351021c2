"""What the sessions of one proxy process share, and how their work is carried out."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Collection
from typing import Any, Protocol
from uuid import UUID

from proxy.session.core import Host
from proxy.session.effects import CommitDeferred, Execute, FetchMissing, Settle, Undo, Work
from proxy.upstream import Upstream
from sqlsync.errors import SqlsyncError
from sqlsync.writes.model import CancelToken, WriteRequest, WriteResult

SETTLE_SECONDS = 30.0  # a client waits this long for its writes to be undone

log = logging.getLogger(__name__)


class Writer(Protocol):
    """The write engine, as the proxy uses it; see sqlsync.writes.engine."""

    async def execute(self, request: WriteRequest, cancel: CancelToken) -> WriteResult: ...
    async def fetch_missing(self, schema_name: str, table: str, record_id: str) -> bytes | None: ...
    async def commit_deferred(self, transaction: UUID, live: Collection[UUID]) -> None: ...
    async def settle(self, transaction: UUID, xid: str | None) -> list[str]: ...
    async def undo(self, entries: Collection[UUID]) -> list[str]: ...


class ProxyContext:
    """Belongs to one event loop.

    database: the one whose tables are mirrored; sessions of others pass untouched, as all do
    where `host` is None.
    """

    def __init__(
        self,
        upstream: Upstream,
        database: str | None = None,
        host: Host | None = None,
        writer: Writer | None = None,
    ) -> None:
        self.upstream = upstream
        self.database = database
        self.host = host
        self.writer = writer
        self._settling: set[asyncio.Task[Any]] = set()

    def host_for(self, database: str | None) -> Host | None:
        return self.host if database is not None and database == self.database else None

    def settle_later(self, transaction: UUID, xid: str | None) -> None:
        """The session is gone, its transaction is not settled yet."""
        self._keep(self._settle(transaction, xid))

    async def _settle(self, transaction: UUID, xid: str | None) -> None:
        assert self.writer is not None
        try:
            for notice in await self.writer.settle(transaction, xid):
                log.warning("%s", notice)
        except SqlsyncError as error:  # recovery goes on with it
            log.warning("transaction %s is not settled yet: %s", transaction, error)
        except Exception:
            log.exception("transaction %s is not settled yet", transaction)

    def _keep(self, running: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.ensure_future(running)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return task

    async def patient(self, running: Any, what: str) -> list[str]:
        """Waits for an undoing, but not for ever: the engine goes on with it."""
        task = self._keep(running)
        try:
            return list(await asyncio.wait_for(asyncio.shield(task), SETTLE_SECONDS))
        except TimeoutError:
            return [f"{what} is still under way; see _sync_write"]
        except Exception as error:
            expected = isinstance(error, SqlsyncError)
            log.warning("%s is not finished: %s", what, error, exc_info=not expected)
            return [f"{what} is not finished ({error}); see _sync_write"]

    async def close(self) -> None:
        if self._settling:
            await asyncio.wait(self._settling, timeout=SETTLE_SECONDS)


async def perform(context: ProxyContext, work: Work) -> Any:
    """Carries out one piece of work. Raises SqlsyncError."""
    writer = context.writer
    if writer is None:
        raise SqlsyncError("sqlsync: this proxy has no write engine")
    match work:
        case Execute(request, token, timeout_seconds):
            if timeout_seconds is not None:
                deadline = asyncio.get_running_loop().time() + timeout_seconds
                request = dataclasses.replace(request, deadline=deadline)
            return await writer.execute(request, token)
        case FetchMissing(schema_name, table, record_id):
            return await writer.fetch_missing(schema_name, table, record_id)
        case CommitDeferred(transaction, live):
            return await writer.commit_deferred(transaction, live)
        case Settle(transaction, xid):
            return await context.patient(
                writer.settle(transaction, xid), "undoing the transaction at the provider"
            )
        case Undo(entries):
            return await context.patient(
                writer.undo(entries), "undoing back to the savepoint at the provider"
            )
