"""One call to the provider: journaled, sent, repeated while its outcome is unknown, stored.

A call is sent again only under its own key, so that however often it goes out it changes
something at most once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from sqlsync.errors import (
    NotFound,
    NotPermitted,
    OutcomeUnknown,
    ProviderError,
    ProviderRefusal,
    RateLimited,
    StaleVersion,
)
from sqlsync.providers.base import Call, Outcome, Provider, Record, StepKind, Tombstone
from sqlsync.writes.entry import Entry
from sqlsync.writes.journal import Journal
from sqlsync.writes.transitions import State
from sqlsync.writes.undo import touched_since
from sqlsync.writes.values import decode, storable
from sqlsync.writes.words import prefix


@dataclass(frozen=True, slots=True)
class Patience:
    """How long what is waited for, in seconds."""

    doubt: float = 15.0  # a client waits while an unknown outcome is being settled
    first_pause: float = 0.2
    longest_pause: float = 5.0
    throttle: float = 0.0  # without a deadline of the client: the adapter has waited already
    settling: float = 15.0  # for an earlier write of the same record to be undone or closed
    first_look: float = 0.01  # then twice as long, up to first_pause
    lock: float = 5.0  # for the owner lock, when its connection was lost
    transaction: float = 5.0  # for a client's transaction to end, before the background does
    recovery: float = 3.0  # between two looks at open entries
    longest_recovery: float = 60.0  # between two tries of one entry that fails


@dataclass(slots=True)
class Sent:
    """What came of a call. `fresh`: records read again because the write was stale."""

    done: list[tuple[Entry, Record | Tombstone]] = field(default_factory=list)
    refused: list[tuple[Entry, ProviderError]] = field(default_factory=list)
    fresh: list[Record] = field(default_factory=list)


class Sending:
    """Sends entries that are journaled `planned`, and those a crash left `sent`."""

    def __init__(
        self, journal: Journal, patience: Patience, new_id: Callable[[], UUID] = uuid4
    ) -> None:
        self._journal = journal
        self._patience = patience
        self._new_id = new_id

    async def send(
        self,
        provider: Provider,
        entries: Sequence[Entry],
        *,
        deadline: float | None = None,
        going_out: Callable[[], None] = lambda: None,
    ) -> Sent:
        """Sends entries of one call, and stores each outcome before it returns.

        A stale update is merged with the current record and sent once more. going_out: called
        when the request is about to go out; what it raises stops it. Raises OutcomeUnknown
        (entries `in_doubt`); another ProviderError where nothing was done (entries `refused`);
        Lost.
        """
        await self._journal.send([entry.id for entry in entries])
        result = Sent()
        stale = await self._once(provider, entries, result, deadline, going_out, merging=True)
        if stale:
            await self._once(provider, stale, result, deadline, going_out, merging=False)
        return result

    async def repeat(self, provider: Provider, entries: Sequence[Entry]) -> Sent:
        """Sends a call again for whose answer nobody waits any more.

        entries: all that went out in it, so that each has its old place; those whose outcome is
        stored stay as they are. Raises OutcomeUnknown, Lost.
        """
        call = _call(provider, entries)
        longest = max(entry.journaled_seconds for entry in entries)
        outcomes = await self._try(provider, replace(call, first_sent_seconds_ago=longest))
        pairs = [
            (entry, await self._believed(provider, entry, outcome))
            for entry, outcome in zip(entries, outcomes, strict=True)
            if entry.state in (State.SENT, State.IN_DOUBT)
        ]
        result = Sent()
        await self._store(result, pairs)
        return result

    async def _once(
        self,
        provider: Provider,
        entries: Sequence[Entry],
        result: Sent,
        deadline: float | None,
        going_out: Callable[[], None],
        *,
        merging: bool,
    ) -> list[Entry]:
        """One call and its outcomes; returns what was stale and is merged, ready to go."""
        ids = [entry.id for entry in entries]
        call = _call(provider, entries)

        async def doubt(error: OutcomeUnknown) -> None:
            await self._journal.move(ids, State.IN_DOUBT, error)

        try:
            outcomes, doubtful = await self.answer(
                provider, call, deadline=deadline, going_out=going_out, on_doubt=doubt
            )
        except OutcomeUnknown:
            raise
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                await self._journal.move(ids, State.REFUSED, error)
            raise
        pairs: list[tuple[Entry, Outcome]] = []
        stale: list[Entry] = []
        for entry, outcome in zip(entries, outcomes, strict=True):
            if doubtful:
                outcome = await self._believed(provider, entry, outcome)
            if isinstance(outcome, StaleVersion) and entry.kind is not StepKind.CREATE:
                merged = await self._merge(provider, entry, outcome, result)
                if isinstance(merged, Entry) and merging and not doubtful:
                    stale.append(merged)
                    continue
                outcome = outcome if isinstance(merged, Entry) else merged
            pairs.append((entry, outcome))
        if stale and any(isinstance(outcome, ProviderError) for _, outcome in pairs):
            pairs.extend((entry, _not_sent_again()) for entry in stale)
            stale = []
        rekeyed = self._rekeyed(stale)
        await self._store(result, pairs, rekeyed)
        return rekeyed

    async def _merge(
        self, provider: Provider, entry: Entry, error: StaleVersion, result: Sent
    ) -> Entry | ProviderError:
        """The entry on the current version, or why it cannot be."""
        spec = provider.catalog.by_table[entry.table]
        assert entry.record_id is not None
        try:
            fresh = await provider.fetch(spec, entry.record_id)
        except ProviderError:
            return error
        if fresh is None:
            about = prefix(provider.catalog, spec, entry.record_id)
            return NotFound(f"{about} not found", table=spec.table)
        result.fresh.append(fresh)
        before = decode(entry.before or "{}")
        changed = touched_since(spec, decode(entry.fields), before, decode(fresh.raw))
        if changed is not None:
            return error
        return replace(entry, before=storable(fresh.raw))

    def _rekeyed(self, stale: Sequence[Entry]) -> list[Entry]:
        key = str(self._new_id())
        return [replace(entry, call_key=key, call_item=item) for item, entry in enumerate(stale)]

    async def _store(
        self,
        result: Sent,
        pairs: Sequence[tuple[Entry, Outcome]],
        rekeyed: Sequence[Entry] = (),
    ) -> None:
        acknowledged = {e.id: e for e in await self._journal.answered(pairs, rekeyed)}
        for entry, outcome in pairs:
            if isinstance(outcome, ProviderError):
                result.refused.append((entry, outcome))
            else:
                result.done.append((acknowledged[entry.id], outcome))

    async def _believed(self, provider: Provider, entry: Entry, outcome: Outcome) -> Outcome:
        """What a refusal of a repeated call means, should the provider have forgotten the key.

        Then the first one may have been done: what was to be deleted is gone, or the record
        shows what was to be written.
        """
        spec = provider.catalog.by_table[entry.table]
        if isinstance(outcome, NotFound) and entry.kind is StepKind.DELETE and entry.record_id:
            return Tombstone(entry.table, entry.record_id)
        if isinstance(outcome, StaleVersion) and entry.kind is StepKind.UPDATE and entry.record_id:
            try:
                record = await provider.fetch(spec, entry.record_id)
            except ProviderError:
                return outcome
            fields = decode(entry.fields)
            if (
                record is not None
                and touched_since(spec, fields, fields, decode(record.raw), ignore_row_keys=True)
                is None
            ):
                return record
        return outcome

    async def _try(self, provider: Provider, call: Call) -> list[Outcome]:
        """One try of a call whose outcome is unknown. Raises OutcomeUnknown when it stays so."""
        try:
            outcomes = await provider.send(call)
        except ProviderRefusal as error:
            if isinstance(error, NotPermitted):
                raise OutcomeUnknown(str(error)) from error
            return [error for _ in call.steps]
        except OutcomeUnknown:
            raise
        except ProviderError as error:
            raise OutcomeUnknown(f"not settled yet: {error}") from error
        for outcome in outcomes:
            if isinstance(outcome, OutcomeUnknown):
                raise outcome
        return outcomes

    async def answer(
        self,
        provider: Provider,
        call: Call,
        *,
        deadline: float | None,
        going_out: Callable[[], None],
        on_doubt: Callable[[OutcomeUnknown], Awaitable[None]],
    ) -> tuple[list[Outcome], bool]:
        """Sends until there is an answer, or patience ends. True: it had been in doubt.

        Raises OutcomeUnknown where it still is; another ProviderError where nothing was done.
        """
        clock = asyncio.get_running_loop().time
        wait_until = deadline if deadline is not None else clock() + self._patience.throttle
        while True:
            going_out()
            try:
                outcomes = await provider.send(call)
            except RateLimited as error:
                if clock() + error.retry_after > wait_until:
                    raise
                await asyncio.sleep(error.retry_after)
                continue
            except ProviderRefusal as error:
                return [error for _ in call.steps], False
            except OutcomeUnknown as error:
                unknown = error
                break
            unknown_items = [o for o in outcomes if isinstance(o, OutcomeUnknown)]
            if not unknown_items:
                return outcomes, False
            unknown = unknown_items[0]
            break
        await on_doubt(unknown)
        pause = self._patience.first_pause
        give_up = clock() + self._patience.doubt
        while clock() + pause <= give_up:
            await asyncio.sleep(pause)
            pause = min(pause * 2, self._patience.longest_pause)
            try:
                return await self._try(provider, call), True
            except OutcomeUnknown as error:
                unknown = error
        raise unknown


def _not_sent_again() -> StaleVersion:
    return StaleVersion("Another row of the statement was refused; this one was not sent again")


def _call(provider: Provider, entries: Sequence[Entry]) -> Call:
    catalog = provider.catalog
    return Call(entries[0].call_key, tuple(entry.step(catalog) for entry in entries))
