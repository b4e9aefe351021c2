"""Brings the mirror in line with the provider outside of a client's transaction.

Used where a client's own session cannot: after a compensation, for a record that turned out to
be newer, for what was done although the client's transaction did not commit. Best effort:
a client may hold the row, so it is tried again for a while; polling finds the rest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from schema.model import ObjectSpec
from sqlsync.database import EnginePool, PoolTimeout, errors
from sqlsync.errors import SqlsyncError
from sqlsync.providers.base import Provider
from sqlsync.writes.payload import Payload
from sqlsync.writes.tasks import stop

_log = logging.getLogger(__name__)
_LOCK_TIMEOUT = "500ms"
_TRY_SECONDS = 60.0


class Mirroring:
    """Applies payloads on the engine's own connections, in tasks of its own."""

    def __init__(self, pool: EnginePool) -> None:
        self._pool = pool
        self._tasks: set[asyncio.Task[None]] = set()

    def soon(self, payload: Payload) -> asyncio.Task[None]:
        """Starts applying; the task ends when it is applied or given up. Never raises."""
        return self._start(self._apply(payload))

    def refresh_soon(
        self, provider: Provider, schema_name: str, spec: ObjectSpec, record_id: str
    ) -> asyncio.Task[None]:
        """Reads the record and applies what was found, or that it is gone."""
        return self._start(self._refresh(provider, schema_name, spec, record_id))

    async def settle(self, tasks: list[asyncio.Task[None]], seconds: float) -> None:
        """Waits a moment for tasks, so that a client sees what it undid as undone."""
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    async def idle(self) -> None:
        """Returns when nothing is being tried."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def close(self) -> None:
        """Stops what is still being tried."""
        await stop(self._tasks)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _refresh(
        self, provider: Provider, schema_name: str, spec: ObjectSpec, record_id: str
    ) -> None:
        try:
            record = await provider.fetch(spec, record_id)
        except SqlsyncError as error:
            _log.info("%s %s was not read again: %s", spec.table, record_id, error)
            return
        payload = Payload(schema_name)
        if record is None:
            payload.deletes.append((spec, record_id))
        else:
            payload.upserts.append((spec, record.raw))
        await self._apply(payload)

    async def _apply(self, payload: Payload) -> None:
        pause = 0.05
        give_up = asyncio.get_running_loop().time() + _TRY_SECONDS
        text = payload.to_json().decode()
        if not text:
            return
        while True:
            try:
                async with self._pool.connection() as connection, connection.transaction():
                    await connection.execute(f"set local lock_timeout = '{_LOCK_TIMEOUT}'")
                    await connection.execute("select sqlsync.apply_rows(%s::jsonb)", [text])
                return
            except (
                errors.LockNotAvailable,
                errors.DeadlockDetected,
                errors.SerializationFailure,
                errors.OperationalError,
                PoolTimeout,
            ) as error:
                if asyncio.get_running_loop().time() + pause > give_up:
                    _log.warning("the mirror was not brought in line, polling will: %s", error)
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
            except errors.Error as error:
                _log.error("the mirror could not be brought in line: %s", error)
                return
