"""Takes writes back at the provider, newest first, until they are undone or a person must look.

A compensation is a write like any other: what it sends is committed before it goes out, under a
key of its own, so that a crash in its middle does no harm. While the provider is down an entry
stays `undoing`, and recovery tries again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlsync.errors import (
    NotFound,
    OutcomeUnknown,
    ProviderError,
    ProviderRefusal,
    ProviderUnavailable,
    SqlsyncError,
    StaleVersion,
)
from sqlsync.providers.base import Call, Provider, Record, Step, StepKind, Tombstone
from sqlsync.writes.directory import Providers
from sqlsync.writes.endings import inverse_of
from sqlsync.writes.entry import Entry
from sqlsync.writes.journal import Journal, Lost
from sqlsync.writes.mirroring import Mirroring
from sqlsync.writes.payload import Payload
from sqlsync.writes.transitions import State
from sqlsync.writes.undo import (
    PAST,
    Already,
    Cannot,
    decide_undo,
    undo_from_json,
    undo_to_json,
)
from sqlsync.writes.words import prefix

_log = logging.getLogger(__name__)
_STALE_ATTEMPTS = 5
MIRROR_SECONDS = 1.0  # how long a client that rolled back waits for the mirror to follow


@dataclass(slots=True)
class Undone:
    """What came of taking writes back.

    notices: what could not be undone. waiting: entries that stay `undoing` for now. held: those
    that are not touched before a later write of their transaction, in doubt now, is settled.
    """

    notices: list[str] = field(default_factory=list)
    waiting: list[Entry] = field(default_factory=list)
    held: list[Entry] = field(default_factory=list)

    @property
    def told(self) -> list[str]:
        """What the client should know."""
        later = [f"{past(entry)}; it will be undone after a later write" for entry in self.held]
        return [*self.notices, *later]


class Compensation:
    """Undoes acknowledged entries. Holds no state: that is the journal's."""

    def __init__(
        self,
        journal: Journal,
        providers: Providers,
        mirroring: Mirroring,
    ) -> None:
        self._journal = journal
        self._providers = providers
        self._mirroring = mirroring
        self.busy: set[UUID] = set()  # entries that are being undone just now

    async def undo(
        self, entries: Sequence[Entry], *, forward: bool = False, mirror_seconds: float = 0.0
    ) -> Undone:
        """Takes acknowledged entries back, newest first. Never raises for the provider.

        forward: nobody is there to be told (after a crash); what cannot be undone at all then
        counts as done, and the mirror follows it. Otherwise it is parked, the mirror follows
        it just the same. mirror_seconds: how long to wait for the mirror; 0 while the client
        itself holds the rows. The newest must go first, so what a write in doubt came after is
        left `acknowledged`; recovery comes back to it.
        """
        result = Undone()
        followed = await self._journal.followed([e.id for e in entries]) if entries else set()
        result.held = [entry for entry in entries if entry.id in followed]
        entries = [entry for entry in entries if entry.id not in followed]
        reversible: list[Entry] = []
        for entry in entries:
            provider = await self._provider(entry, result)
            if provider is None:
                reversible.append(entry)  # marked below, and tried again later
                continue
            if inverse_of(entry.kind, provider.catalog.by_table[entry.table]) is None:
                await self._follow(provider, entry, result, forward=forward)
            else:
                reversible.append(entry)
        # All are marked before the first call, so that a crash leaves none behind.
        won = set(await self._journal.move([e.id for e in reversible], State.UNDOING))
        won_entries = [entry for entry in reversible if entry.id in won]
        await self.carry_on(won_entries, result, mirror_seconds=mirror_seconds)
        return result

    async def carry_on(
        self,
        entries: Sequence[Entry],
        result: Undone | None = None,
        *,
        mirror_seconds: float = 0.0,
    ) -> Undone:
        """Goes on with entries that are `undoing`, newest first.

        Of a connection, up to one that must wait: older ones may depend on it.
        """
        result = result if result is not None else Undone()
        ids = {entry.id for entry in entries} - self.busy
        self.busy |= ids
        try:
            ours = [entry for entry in entries if entry.id in ids]
            tasks = await self._carry_on(ours, result)
        finally:
            self.busy -= ids
        if mirror_seconds:
            await self._mirroring.settle(tasks, mirror_seconds)
        return result

    async def _carry_on(self, entries: Sequence[Entry], result: Undone) -> list[asyncio.Task[None]]:
        tasks: list[asyncio.Task[None]] = []
        blocked: set[int] = set()  # connections whose provider cannot be asked just now
        for entry in sorted(entries, key=lambda entry: entry.seq, reverse=True):
            try:
                if entry.connection_id not in blocked:
                    task = await self._undo_one(entry, result)
                    if task is not None:
                        tasks.append(task)
                    continue
            except Lost:
                continue  # another process has it
            except SqlsyncError as error:
                await self._journal.note(entry.id, error)
                blocked.add(entry.connection_id)
            result.waiting.append(entry)
            result.notices.append(
                f"{past(entry)}; it will be undone when the provider can be reached"
            )
        return tasks

    async def _undo_one(self, entry: Entry, result: Undone) -> asyncio.Task[None] | None:
        provider = await self._providers.for_connection(entry.connection_id)
        schema_name = await self._journal.schema_name(entry.connection_id)
        spec = provider.catalog.by_table[entry.table]
        record_id = entry.record_id
        assert record_id is not None
        for _ in range(_STALE_ATTEMPTS):
            if entry.undo is not None and entry.undo_key is not None:
                step = undo_from_json(spec, entry.undo)
            else:
                current = await provider.fetch(spec, record_id)
                decision = decide_undo(provider.catalog, entry, current)
                payload = Payload(schema_name)
                if current is None:
                    payload.deletes.append((spec, record_id))
                else:
                    payload.upserts.append((spec, current.raw))
                if isinstance(decision, Already):
                    await self._journal.move([entry.id], State.UNDONE, decision.reason)
                    return self._mirroring.soon(payload)
                if isinstance(decision, Cannot):
                    await self._park(entry, decision.reason, result)
                    return self._mirroring.soon(payload)
                step = decision.step
                entry = await self._journal.set_undo(entry, next_key(entry), undo_to_json(step))
            outcome = await self._send(provider, entry, step)
            if isinstance(outcome, Record | Tombstone):
                await self._journal.move([entry.id], State.UNDONE)
                payload = Payload(schema_name)
                if isinstance(outcome, Record):
                    payload.upserts.append((spec, outcome.raw))
                else:
                    payload.deletes.append((spec, outcome.id))
                return self._mirroring.soon(payload)
            if isinstance(outcome, NotFound):
                about = prefix(provider.catalog, spec, record_id)
                await self._journal.move([entry.id], State.UNDONE, f"{about} is gone")
                payload = Payload(schema_name, deletes=[(spec, record_id)])
                return self._mirroring.soon(payload)
            if not isinstance(outcome, StaleVersion):
                await self._park(entry, f"{past(entry)}, cannot be undone: {outcome}", result)
                return self._mirroring.refresh_soon(provider, schema_name, spec, record_id)
            entry = replace(entry, undo=None)  # the next try is another one
        raise ProviderUnavailable(f"{past(entry)}: it keeps changing while it is being undone")

    async def _send(
        self, provider: Provider, entry: Entry, step: Step
    ) -> Record | Tombstone | ProviderError:
        assert entry.undo_key is not None
        try:
            (outcome,) = await provider.send(Call(entry.undo_key, (step,)))
        except ProviderRefusal as error:
            return error
        if isinstance(outcome, ProviderUnavailable | OutcomeUnknown):
            raise outcome
        return outcome

    async def _park(self, entry: Entry, reason: str, result: Undone) -> None:
        if await self._journal.move([entry.id], State.PARKED, reason):
            _log.error("a write needs a person: %s (journal entry %s)", reason, entry.id)
            result.notices.append(reason)

    async def _follow(
        self, provider: Provider, entry: Entry, result: Undone, *, forward: bool
    ) -> None:
        """What has no inverse stays done; the mirror must show it."""
        spec = provider.catalog.by_table[entry.table]
        about = prefix(provider.catalog, spec, entry.record_id)
        reason = f"{about} {PAST[entry.kind]}, which cannot be undone"
        schema_name = await self._journal.schema_name(entry.connection_id)
        payload = Payload(schema_name)
        assert entry.record_id is not None
        if entry.answer is not None:
            payload.upserts.append((spec, entry.answer.encode()))
        elif entry.kind is StepKind.DELETE:
            payload.deletes.append((spec, entry.record_id))
        if forward:
            await self._journal.mirrored(
                [entry.id], f"{reason}; the client's transaction did not commit"
            )
            _log.warning("%s; the mirror follows (journal entry %s)", reason, entry.id)
            result.notices.append(reason)
        else:
            await self._park(entry, reason, result)
        self._mirroring.soon(payload)

    async def _provider(self, entry: Entry, result: Undone) -> Provider | None:
        try:
            return await self._providers.for_connection(entry.connection_id)
        except SqlsyncError as error:
            await self._journal.note(entry.id, error)
            return None


def past(entry: Entry) -> str:
    """ "invoice `12` was created": for journal and log, where no catalog is at hand."""
    return f"{entry.table} `{entry.record_id}` {PAST[entry.kind]}"


def next_key(entry: Entry) -> str:
    """The key of the next compensation of an entry: at most 36 characters."""
    number = 0 if entry.undo_key is None else int(entry.undo_key.rpartition("-u")[2]) + 1
    return f"{entry.id.hex}-u{number}"
