"""Proof that the process which writes journal entries is alive: a session advisory lock.

Every engine draws a number, holds the lock of that number on a connection of its own, and puts
the number on its entries. When the process dies, Postgres frees the lock with the connection,
and whoever takes it next adopts what was left open.

A live process can lose its connection too. Then its entries may be adopted while it works on
them. That is safe: each state change names its owner in the WHERE clause, so the process finds
out at its next one and steps back; the adopter repeats calls under the same idempotency key,
and decides by the client's transaction, as for any other entry.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sqlsync.database import EngineConnection, errors
from sqlsync.errors import DatabaseUnavailable
from sqlsync.writes.transitions import OPEN_SQL

LOCK_CLASS = 0x73717772  # "sqwr": first key of the two-key advisory locks of owners
_log = logging.getLogger(__name__)

Connect = Callable[[], Awaitable[EngineConnection]]


def draw_number() -> int:
    """A number no other process holds: one of two thousand million."""
    return secrets.randbelow(2**31 - 1) + 1


class OwnerLock:
    """This engine's number, and the lock that says it lives. One task at a time may call it."""

    def __init__(self, connect: Connect, number: int) -> None:
        self._connect = connect
        self.number = number
        self._connection: EngineConnection | None = None
        self._held = asyncio.Event()
        self._busy = asyncio.Lock()

    async def ensure(self) -> None:
        """Takes the lock, or takes it again where its connection was lost.

        Raises DatabaseUnavailable; then the next call tries again.
        """
        async with self._busy:
            if self._connection is not None:
                try:
                    await self._connection.execute("select 1")
                    return
                except errors.Error:
                    _log.warning("the owner lock's connection was lost; taking the lock again")
                    await self._drop()
            connection = await self._connect()
            try:
                cursor = await connection.execute(
                    "select pg_try_advisory_lock(%s, %s)", [LOCK_CLASS, self.number]
                )
                row = await cursor.fetchone()
            except BaseException:
                await connection.close()
                raise
            if row is None or not row[0]:
                await connection.close()  # an adopter holds it for the moment of adoption
                raise DatabaseUnavailable("the write engine's lock is being taken over")
            self._connection = connection
            self._held.set()

    async def wait_held(self, seconds: float) -> None:
        """Returns when the lock is held. Raises DatabaseUnavailable after `seconds`."""
        try:
            await asyncio.wait_for(self._held.wait(), seconds)
        except TimeoutError:
            raise DatabaseUnavailable(
                "Postgres cannot be reached by the write engine; nothing was written"
            ) from None

    async def adopt(self) -> int:
        """Makes open entries of dead owners ours; returns how many. Call `ensure` before.

        Each dead owner's lock is held while its entries change hands, so that of several
        processes one adopts them.
        """
        async with self._busy:
            connection = self._connection
            if connection is None:
                return 0
            cursor = await connection.execute(
                "select distinct owner from sqlsync.journal"
                f" where owner <> %s and state in {OPEN_SQL}",
                [self.number],
            )
            adopted = 0
            for (owner,) in await cursor.fetchall():
                adopted += await self._adopt(connection, owner)
            return adopted

    async def _adopt(self, connection: EngineConnection, owner: int) -> int:
        cursor = await connection.execute(
            "select pg_try_advisory_lock(%s, %s)", [LOCK_CLASS, owner]
        )
        row = await cursor.fetchone()
        if row is None or not row[0]:
            return 0
        try:
            cursor = await connection.execute(
                "update sqlsync.journal set owner = %s, updated_at = clock_timestamp()"
                f" where owner = %s and state in {OPEN_SQL}",
                [self.number, owner],
            )
            _log.info("adopted %d open writes of a process that is gone", cursor.rowcount)
            return cursor.rowcount
        finally:
            await connection.execute("select pg_advisory_unlock(%s, %s)", [LOCK_CLASS, owner])

    async def close(self) -> None:
        """Frees the lock: what is left open may be adopted at once."""
        async with self._busy:
            await self._drop()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._held.clear()
        if connection is not None:
            with suppress(errors.Error, OSError):
                # At once, and not when the server notices that the connection is gone.
                await connection.execute("select pg_advisory_unlock_all()")
            with suppress(errors.Error, OSError):
                await connection.close()
