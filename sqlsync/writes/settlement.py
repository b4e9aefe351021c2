"""Closes the writes of a client's transaction once it has ended.

Whether it committed is never guessed from a command tag: apply() wrote a marker in it for each
entry, and a marker that can be read is a commit (of that very savepoint, too).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from uuid import UUID

from sqlsync.errors import SqlsyncError
from sqlsync.providers.base import StepKind
from sqlsync.writes.compensation import MIRROR_SECONDS, Compensation, Undone
from sqlsync.writes.directory import Providers
from sqlsync.writes.entry import Entry
from sqlsync.writes.journal import Journal
from sqlsync.writes.mirroring import Mirroring
from sqlsync.writes.payload import Payload
from sqlsync.writes.sending import Patience, Sending
from sqlsync.writes.transitions import State

_log = logging.getLogger(__name__)


class Settlement:
    """Decides, by markers, what becomes of a transaction's open entries."""

    def __init__(
        self,
        journal: Journal,
        providers: Providers,
        sending: Sending,
        compensation: Compensation,
        mirroring: Mirroring,
        patience: Patience,
    ) -> None:
        self._journal = journal
        self._providers = providers
        self._sending = sending
        self._compensation = compensation
        self._mirroring = mirroring
        self._patience = patience

    async def wait_ended(self, xid: str | None) -> bool:
        """Waits for the client's transaction; False where it takes longer than we wait."""
        clock = asyncio.get_running_loop().time
        give_up = clock() + self._patience.transaction
        pause = 0.005
        while await self._journal.ended(xid) is False:
            if clock() > give_up:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.2)
        return True

    async def close(self, transaction: UUID, *, forward: bool = False) -> Undone:
        """What is marked becomes `mirrored`; the rest is dropped or compensated.

        Call it when the transaction has ended. forward: as Compensation.undo takes it. Writes
        in doubt are left to recovery.
        """
        closings = await self._journal.close(transaction)
        for closing in closings:
            if closing.marked and closing.entry.state is State.MIRRORED:
                await self._show_kept(closing.entry)
        unsent = [c.entry for c in closings if c.marked and c.entry.state is State.PLANNED]
        if unsent:
            await self._send_late(unsent)
        missing = [closing.entry for closing in closings if not closing.marked]
        await self._journal.move(
            [entry.id for entry in missing if entry.state is State.PLANNED], State.DROPPED
        )
        return await self._compensation.undo(
            [entry for entry in missing if entry.state is State.ACKNOWLEDGED],
            forward=forward,
            mirror_seconds=MIRROR_SECONDS,
        )

    async def _show_kept(self, entry: Entry) -> None:
        """A deferred void or archiving took the row out of sight; the record is still there."""
        kept = entry.kind in (StepKind.VOID, StepKind.DEACTIVATE)
        if not (entry.deferred and kept and entry.answer):
            return
        provider = await self._providers.for_connection(entry.connection_id)
        schema_name = await self._journal.schema_name(entry.connection_id)
        spec = provider.catalog.by_table[entry.table]
        self._mirroring.soon(Payload(schema_name, upserts=[(spec, entry.answer.encode())]))

    async def _send_late(self, entries: Sequence[Entry]) -> None:
        """The client committed, but deferred steps were not sent: only a crash does that."""
        for entry in entries:
            try:
                provider = await self._providers.for_connection(entry.connection_id)
                schema_name = await self._journal.schema_name(entry.connection_id)
                result = await self._sending.send(provider, [entry])
            except SqlsyncError as error:
                _log.error("%s %s was not sent: %s", entry.table, entry.record_id, error)
                continue
            await self._journal.mirrored([done.id for done, _ in result.done])
            spec = provider.catalog.by_table[entry.table]
            assert entry.record_id is not None
            self._mirroring.refresh_soon(provider, schema_name, spec, entry.record_id)
