"""Finishes what a crash, a lost connection or a provider's outage left open.

One pass looks at all open entries of this engine and of owners that are gone, and starts what
is due; it never waits for a provider itself. An entry that fails is tried again later, each
time after a longer pause, for ever: nothing is given up silently.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from uuid import UUID

from sqlsync.database import PoolTimeout, errors
from sqlsync.errors import OutcomeUnknown, SqlsyncError
from sqlsync.writes.compensation import Compensation
from sqlsync.writes.directory import Providers
from sqlsync.writes.entry import Entry
from sqlsync.writes.journal import Journal, Lost
from sqlsync.writes.owner import OwnerLock
from sqlsync.writes.sending import Patience, Sending
from sqlsync.writes.settlement import Settlement
from sqlsync.writes.tasks import stop
from sqlsync.writes.transitions import State

_log = logging.getLogger(__name__)
_GRACE_SECONDS = 5.0  # the door settles its own transactions; later they are ours
_UNKNOWN_XID_SECONDS = 10.0  # a commit under way when its proxy died is over by then


@dataclass(slots=True)
class _Due:
    at: float
    pause: float


class Recovery:
    """The background half of the write engine."""

    def __init__(
        self,
        owner: OwnerLock,
        journal: Journal,
        providers: Providers,
        sending: Sending,
        compensation: Compensation,
        settlement: Settlement,
        patience: Patience,
        *,
        busy: Collection[UUID],
        live: Collection[UUID],
    ) -> None:
        """busy: entries somebody works on. live: transactions whose client is still there."""
        self._owner = owner
        self._journal = journal
        self._providers = providers
        self._sending = sending
        self._compensation = compensation
        self._settlement = settlement
        self._patience = patience
        self._busy = busy
        self._live = live
        self._running: dict[str, asyncio.Task[None]] = {}
        self._due: dict[str, _Due] = {}

    async def run(self) -> None:
        """Passes, until it is cancelled."""
        said = ""
        while True:
            try:
                await self.once()
                said = ""
            except (SqlsyncError, errors.Error, PoolTimeout, OSError) as error:
                if str(error) != said:  # once for each reason: it is tried every few seconds
                    said = str(error)
                    _log.warning("open writes were not looked at: %s", error)
            await asyncio.sleep(self._patience.recovery)

    async def once(self) -> None:
        """One pass. Raises SqlsyncError or a database error where Postgres is away."""
        await self._owner.ensure()
        await self._owner.adopt()
        found = await self._journal.open_entries()
        busy = {*self._busy, *self._compensation.busy}
        entries = [entry for entry in found if entry.id not in busy]
        by_transaction = sorted(entries, key=lambda e: (str(e.transaction), e.seq))
        for transaction, group in groupby(by_transaction, key=lambda e: e.transaction):
            self._look_at(transaction, list(group))

    async def close(self) -> None:
        """Stops what is running; it is in the journal, and goes on elsewhere or later."""
        await stop(self._running.values())

    def _look_at(self, transaction: UUID, entries: list[Entry]) -> None:
        unknown = [e for e in entries if e.state in (State.SENT, State.IN_DOUBT)]
        for key in {entry.call_key for entry in unknown}:
            call = [entry for entry in unknown if entry.call_key == key]
            self._start(f"call {key}", partial(self._repeat, call))
        if any(entry.state in (State.ACKNOWLEDGED, State.PLANNED) for entry in entries):
            waited = min(entry.age_seconds for entry in entries)
            if transaction not in self._live or waited > _GRACE_SECONDS:
                self._start(f"close {transaction}", partial(self._close, transaction, entries))
        undoing = [entry for entry in entries if entry.state is State.UNDOING]
        if undoing and f"close {transaction}" not in self._running:
            self._start(f"undo {transaction}", partial(self._undo, undoing))

    def _start(self, key: str, work: Callable[[], Awaitable[bool]]) -> None:
        """Runs `work` unless it runs, or failed a short while ago. It returns whether it did."""
        now = asyncio.get_running_loop().time()
        due = self._due.get(key)
        if key in self._running or (due is not None and now < due.at):
            return

        async def run() -> None:
            try:
                done = await work()
            except Lost:
                done = True
            except (SqlsyncError, errors.Error, PoolTimeout, OSError) as error:
                _log.warning("%s: %s", key, error)
                done = False
            finally:
                self._running.pop(key, None)
            if done:
                self._due.pop(key, None)
            else:
                pause = self._due[key].pause * 2 if key in self._due else self._patience.recovery
                pause = min(pause, self._patience.longest_recovery)
                self._due[key] = _Due(asyncio.get_running_loop().time() + pause, pause)

        self._running[key] = asyncio.create_task(run(), name=key)

    async def _repeat(self, entries: list[Entry]) -> bool:
        """Settles a call whose outcome is unknown, by sending it again under its key."""
        first = entries[0]
        provider = await self._providers.for_connection(first.connection_id)
        whole = await self._journal.call(first.transaction, first.call_key)
        try:
            await self._sending.repeat(provider, whole)
        except OutcomeUnknown as error:
            sent = [entry.id for entry in entries if entry.state is State.SENT]
            await self._journal.move(sent, State.IN_DOUBT, error)
            for entry in entries:
                await self._journal.note(entry.id, error)
            return False
        _log.info("settled a call of %d writes that was in doubt", len(entries))
        return True

    async def _close(self, transaction: UUID, entries: list[Entry]) -> bool:
        xid = next((entry.xid for entry in entries if entry.xid is not None), None)
        ended = await self._journal.ended(xid)
        if ended is False:
            return True
        if ended is None:
            waited = min(entry.age_seconds for entry in entries)
            if transaction in self._live or waited < _UNKNOWN_XID_SECONDS:
                return True
        undone = await self._settlement.close(transaction, forward=transaction not in self._live)
        for notice in undone.notices:
            _log.warning("%s", notice)
        return not undone.waiting

    async def _undo(self, entries: list[Entry]) -> bool:
        undone = await self._compensation.carry_on(entries)
        return not undone.waiting
