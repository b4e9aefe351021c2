"""The write engine: a statement's captured changes in, the provider's answer out.

plan → journal (committed) → call → acknowledged → payload for the client's session. What the
provider refuses is raised, after whatever had succeeded was taken back. What happens to a write
afterwards is decided when the client's transaction has ended (`settle`), or by recovery.

The engine holds no truth of its own: all of it is in sqlsync.journal, so that a crash at any
point leaves one effect at the provider or none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeVar
from uuid import UUID, uuid4

from sqlsync.database import EngineConnection, EnginePool, PoolTimeout, connect_engine, errors
from sqlsync.errors import (
    Cancelled,
    ConfigError,
    DatabaseUnavailable,
    NotFound,
    OutcomeUnknown,
    ProviderError,
    SqlsyncError,
    StaleVersion,
)
from sqlsync.providers.base import Provider, Record, Step, Tombstone
from sqlsync.writes.compensation import Compensation, past
from sqlsync.writes.directory import Providers
from sqlsync.writes.entry import Entry
from sqlsync.writes.journal import Journal
from sqlsync.writes.mirroring import Mirroring
from sqlsync.writes.model import CancelToken, WriteRequest, WriteResult
from sqlsync.writes.owner import OwnerLock, draw_number
from sqlsync.writes.payload import Payload, new_child_keys
from sqlsync.writes.plan import DEFAULT_ROW_LIMIT, PlannedStep, WritePlan, make_plan
from sqlsync.writes.recovery import Recovery
from sqlsync.writes.sending import Patience, Sending, Sent
from sqlsync.writes.settlement import Settlement
from sqlsync.writes.tasks import stop
from sqlsync.writes.transitions import State
from sqlsync.writes.values import encode, storable
from sqlsync.writes.words import kept_notices, prefix

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(slots=True)
class _Live:
    """A client's transaction that has written and has not been settled."""

    xid: str | None
    next_seq: int = 1
    has_written: bool = False  # a statement succeeded, so that the door will settle


@dataclass(slots=True)
class _Work:
    """A planned step and its journal entry, as far as it has got."""

    planned: PlannedStep
    entry: Entry
    outcome: Record | Tombstone | None = None


@dataclass(slots=True)
class _Progress:
    """What a statement has done so far, for whoever has to take it back."""

    works: list[_Work] = field(default_factory=list)


class WriteEngine:
    """Carries out writes. One per process; any number of them share a journal."""

    def __init__(
        self,
        pool: EnginePool,
        providers: Providers,
        *,
        connect: Callable[[], Awaitable[EngineConnection]] | None = None,
        row_limit: int = DEFAULT_ROW_LIMIT,
        patience: Patience | None = None,
        new_id: Callable[[], UUID] = uuid4,
        owner_number: int | None = None,
    ) -> None:
        """pool: open, of engine connections. connect: for the owner lock's own connection."""
        self._providers = providers
        self._row_limit = row_limit
        self._new_id = new_id
        self._patience = patience = patience if patience is not None else Patience()
        number = owner_number if owner_number is not None else draw_number()
        self._owner = OwnerLock(connect if connect is not None else _connector(pool), number)
        self._journal = Journal(pool, number)
        self._mirroring = Mirroring(pool)
        self._sending = Sending(self._journal, patience, new_id)
        self._busy: set[UUID] = set()
        self._live: dict[UUID, _Live] = {}
        self._compensation = Compensation(self._journal, providers, self._mirroring)
        self._settlement = Settlement(
            self._journal,
            providers,
            self._sending,
            self._compensation,
            self._mirroring,
            patience,
        )
        self._recovery = Recovery(
            self._owner,
            self._journal,
            providers,
            self._sending,
            self._compensation,
            self._settlement,
            patience,
            busy=self._busy,
            live=self._live.keys(),
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._background: asyncio.Task[None] | None = None
        self._connection_ids: dict[str, int] = {}

    # -- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Takes the owner lock and begins to recover what dead owners left.

        Raises DatabaseUnavailable, ConfigError.
        """
        await self._owner.ensure()
        self._background = asyncio.create_task(self._recovery.run(), name="write recovery")

    async def close(self) -> None:
        """Lets statements under way finish for a moment, then leaves the rest to others."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._patience.transaction)
        if self._background is not None:
            await stop([self._background])
        await self._recovery.close()
        await self._mirroring.close()
        await self._owner.close()

    # -- what a door asks ------------------------------------------------------------------

    async def execute(self, request: WriteRequest, cancel: CancelToken) -> WriteResult:
        """Carries out what one statement did.

        Raises SqlsyncError: then the provider is as it was, or as the error says. A caller
        that is cancelled leaves the write running; it is settled behind its back.
        """
        task = self._start(self._execute(request, cancel))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            cancel.cancelled = True
            self._start(self._abandon(task, request))
            raise

    async def fetch_missing(self, schema_name: str, table: str, record_id: str) -> bytes | None:
        """The payload that mirrors a record the mirror lacks; None where the provider does too.

        table: of the object, or one of its child tables (record_id is then the parent's).
        """
        provider = await self._providers.for_schema(schema_name)
        found = provider.catalog.by_any_table.get(table)
        if found is None:
            return None
        record = await provider.fetch(found[0], record_id)
        if record is None:
            return None
        return Payload(schema_name, upserts=[(found[0], record.raw)]).to_json()

    async def commit_deferred(self, transaction: UUID, live: Collection[UUID]) -> None:
        """Sends what waited for the client's COMMIT; what is not in `live` is dropped.

        Raises SqlsyncError where one is refused: then the caller rolls back and settles.
        """
        await asyncio.shield(self._start(self._commit_deferred(transaction, set(live))))

    async def settle(self, transaction: UUID, xid: str | None) -> list[str]:
        """After the client's transaction ended: closes its writes, or takes them back.

        Returns what a person should know: what could not be undone. Where the transaction is
        not over in a few seconds, recovery settles it. Raises DatabaseUnavailable: then too.
        """
        with _journal_away():
            return await asyncio.shield(self._start(self._settle(transaction, xid)))

    async def undo(self, entries: Collection[UUID]) -> list[str]:
        """Takes writes back whose markers ROLLBACK TO took away. Returns and raises as `settle`."""
        with _journal_away():
            return await asyncio.shield(self._start(self._undo(entries)))

    # -- one statement ---------------------------------------------------------------------

    async def _execute(self, request: WriteRequest, cancel: CancelToken) -> WriteResult:
        provider = await self._providers.for_schema(request.schema_name)
        plan = make_plan(provider.catalog, request, row_limit=self._row_limit)
        if not plan.steps:
            return WriteResult(notices=plan.notices)
        _refuse_late(request, cancel)
        await self._owner.wait_held(self._patience.lock)
        live = self._live.setdefault(request.transaction, _Live(request.xid))
        progress = _Progress(await self._draft(provider, plan, request, live))
        ids = [work.entry.id for work in progress.works]
        self._busy.update(ids)
        try:
            try:
                entries = [work.entry for work in progress.works]
                if await self._journal.plan(entries):
                    await self._wait_settled(provider, entries, request, cancel)
            except (errors.Error, PoolTimeout) as error:
                raise DatabaseUnavailable(
                    f"The journal of writes cannot be written, so nothing was sent: {error}"
                ) from error
            await self._carry_out(provider, progress, request, cancel)
            live.has_written = True
            return _result(provider, request, plan, progress.works)
        finally:
            self._busy.difference_update(ids)
            if not live.has_written:
                self._live.pop(request.transaction, None)

    async def _wait_settled(
        self,
        provider: Provider,
        entries: Sequence[Entry],
        request: WriteRequest,
        cancel: CancelToken,
    ) -> None:
        """Lets an earlier write of the same records be undone before they are written again.

        Else this one would be built on what never was committed, and the undo would find the
        record changed and give up. Raises StaleVersion where it takes too long, Cancelled.
        """
        pause = self._patience.first_look
        give_up = asyncio.get_running_loop().time() + self._patience.settling
        try:
            while await self._journal.unsettled(entries):
                _refuse_late(request, cancel)
                if asyncio.get_running_loop().time() > give_up:
                    catalog, entry = provider.catalog, entries[0]
                    about = prefix(catalog, catalog.by_table[entry.table], entry.record_id)
                    raise StaleVersion(f"{about}: an earlier write of it is not settled yet")
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._patience.first_pause)
        except SqlsyncError:
            await self._journal.move([entry.id for entry in entries], State.DROPPED)
            raise

    async def _draft(
        self, provider: Provider, plan: WritePlan, request: WriteRequest, live: _Live
    ) -> list[_Work]:
        """A journal entry for each step, in calls of at most the provider's batch limit."""
        connection_id = await self._connection_id(request.schema_name)
        works: list[_Work] = []
        for deferred in (False, True):
            key, item = "", 0
            for planned in plan.steps:
                if planned.deferred is not deferred:
                    continue
                entry_id = self._new_id()
                if not key or item == provider.batch_limit:
                    key, item = str(entry_id), 0
                step = planned.step
                entry = Entry(
                    id=entry_id,
                    connection_id=connection_id,
                    state=State.PLANNED,
                    transaction=request.transaction,
                    xid=request.xid if request.xid is not None else live.xid,
                    seq=live.next_seq,
                    role=request.role,
                    table=step.spec.table,
                    kind=step.kind,
                    record_id=step.id,
                    provisional_id=planned.provisional_id,
                    call_key=key,
                    call_item=item,
                    deferred=deferred,
                    fields=storable(encode(step.fields)),
                    before=storable(step.base) if step.base is not None else None,
                )
                works.append(_Work(planned, entry))
                live.next_seq += 1
                item += 1
        return works

    async def _carry_out(
        self,
        provider: Provider,
        progress: _Progress,
        request: WriteRequest,
        cancel: CancelToken,
    ) -> None:
        """Sends what does not wait for COMMIT. Raises after what was done was taken back."""

        def going_out() -> None:
            if not cancel.sent:
                _refuse_late(request, cancel)
                cancel.sent = True

        now = [work for work in progress.works if not work.entry.deferred]
        try:
            for _, group in groupby(now, key=lambda work: work.entry.call_key):
                works = list(group)
                result = await self._sending.send(
                    provider,
                    [work.entry for work in works],
                    deadline=request.deadline,
                    going_out=going_out,
                )
                _note_outcomes(works, result)
                if result.refused:
                    self._mirror_after_refusal(provider, request.schema_name, result)
                    raise _first_refusal(works, result)
        except (errors.Error, PoolTimeout) as error:
            unknown = OutcomeUnknown(f"The journal of writes could not be written: {error}")
            await self._take_back(progress, unknown)
            raise unknown from error
        except SqlsyncError as error:
            await self._take_back(progress, error)
            raise

    async def _take_back(self, progress: _Progress, error: SqlsyncError) -> None:
        """Undoes what a failed statement had done, and says in the error's DETAIL how it went."""
        done = [work.entry for work in progress.works if work.outcome is not None]
        try:
            await self._journal.move(
                [w.entry.id for w in progress.works if w.outcome is None], State.DROPPED
            )
            undone = await self._compensation.undo(done)
        except (errors.Error, PoolTimeout) as problem:
            _log.error("a failed statement is taken back later: %s", problem)
            return
        if done and not undone.told:
            rows = "1 row" if len(done) == 1 else f"{len(done)} rows"
            _add_detail(error, f"{rows} of the statement had been written and were undone.")
        for notice in undone.told:
            _add_detail(error, notice)

    def _mirror_after_refusal(self, provider: Provider, schema_name: str, result: Sent) -> None:
        """Stale or gone: the mirror is behind, so it is brought up to date."""
        fresh = Payload(schema_name)
        for record in result.fresh:
            fresh.upserts.append((provider.catalog.by_table[record.table], record.raw))
        if fresh:
            self._mirroring.soon(fresh)
        seen = {record.id for record in result.fresh}
        for entry, error in result.refused:
            behind = isinstance(error, NotFound | StaleVersion)
            if behind and entry.record_id is not None and entry.record_id not in seen:
                spec = provider.catalog.by_table[entry.table]
                self._mirroring.refresh_soon(provider, schema_name, spec, entry.record_id)

    async def _abandon(self, task: asyncio.Task[Any], request: WriteRequest) -> None:
        """The caller is gone: its write ends, and is settled like any other."""
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        await self._settle(request.transaction, request.xid)

    # -- the transaction -------------------------------------------------------------------

    async def _commit_deferred(self, transaction: UUID, live: set[UUID]) -> None:
        entries = await self._journal.deferred(transaction)
        self._busy.update(entry.id for entry in entries)
        try:
            gone = [entry.id for entry in entries if entry.id not in live]
            await self._journal.move(gone, State.DROPPED)
            wanted = [entry for entry in entries if entry.id in live]
            done: list[Entry] = []
            for _, group in groupby(wanted, key=lambda entry: entry.call_key):
                done.extend(await self._send_deferred(list(group), done))
        finally:
            self._busy.difference_update(entry.id for entry in entries)

    async def _send_deferred(self, entries: list[Entry], done: Sequence[Entry]) -> list[Entry]:
        provider = await self._providers.for_connection(entries[0].connection_id)
        try:
            result = await self._sending.send(provider, entries)
        except (errors.Error, PoolTimeout) as error:
            raise OutcomeUnknown(f"The journal of writes could not be written: {error}") from error
        if not result.refused:
            return [entry for entry, _ in result.done]
        schema_name = await self._journal.schema_name(entries[0].connection_id)
        self._mirror_after_refusal(provider, schema_name, result)
        _, refusal = result.refused[0]
        for entry in [*done, *(entry for entry, _ in result.done)]:
            _add_detail(refusal, f"{past(entry)} already, which cannot be undone")
        raise refusal

    async def _settle(self, transaction: UUID, xid: str | None) -> list[str]:
        live = self._live.get(transaction)
        try:
            if not await self._settlement.wait_ended(xid or (live.xid if live else None)):
                return []
            return (await self._settlement.close(transaction)).told
        finally:
            self._live.pop(transaction, None)  # what is left open is recovery's

    async def _undo(self, entries: Collection[UUID]) -> list[str]:
        found = await self._journal.entries(entries)
        await self._journal.move(
            [entry.id for entry in found if entry.state is State.PLANNED], State.DROPPED
        )
        undone = await self._compensation.undo(
            [entry for entry in found if entry.state is State.ACKNOWLEDGED]
        )
        return undone.told

    # -- small things ----------------------------------------------------------------------

    async def _connection_id(self, schema_name: str) -> int:
        found = self._connection_ids.get(schema_name)
        if found is None:
            found = await self._journal.connection_id(schema_name)
            if found is None:
                raise ConfigError(f"There is no connection with schema {schema_name}")
            self._connection_ids[schema_name] = found
        return found

    def _start(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """A task that goes on when its caller is cancelled: the journal must be kept."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _connector(pool: EnginePool) -> Callable[[], Awaitable[EngineConnection]]:
    url = pool.conninfo
    if not isinstance(url, str):
        raise TypeError("the pool's address is not fixed: give `connect`")
    return lambda: connect_engine(url, application_name="sqlsync writes")


@contextmanager
def _journal_away() -> Iterator[None]:
    """What was to be done stands in the journal, and recovery does it."""
    try:
        yield
    except (errors.Error, PoolTimeout) as error:
        raise DatabaseUnavailable(f"The journal of writes cannot be reached: {error}") from error


def _refuse_late(request: WriteRequest, cancel: CancelToken) -> None:
    if cancel.cancelled:
        raise Cancelled("canceling statement due to user request")
    if request.deadline is not None and asyncio.get_running_loop().time() > request.deadline:
        raise Cancelled("canceling statement due to statement timeout")


def _note_outcomes(works: Sequence[_Work], result: Sent) -> None:
    done = {entry.id: (entry, outcome) for entry, outcome in result.done}
    for work in works:
        if work.entry.id in done:
            work.entry, work.outcome = done[work.entry.id]


def _first_refusal(works: Sequence[_Work], result: Sent) -> ProviderError:
    """The refusal to raise, with its row named where the statement has several."""
    entry, error = result.refused[0]
    work = next(work for work in works if work.entry.id == entry.id)
    if error.table is None:
        error.table = entry.table
    if work.planned.label:
        _add_detail(error, f"It was {work.planned.label} of the statement.")
    return error


def _add_detail(error: SqlsyncError, sentence: str) -> None:
    error.detail = f"{error.detail}\n{sentence}" if error.detail else sentence


def _result(
    provider: Provider, request: WriteRequest, plan: WritePlan, works: Sequence[_Work]
) -> WriteResult:
    payload = Payload(request.schema_name, [work.entry.id for work in works])
    keys: dict[tuple[str, str], str] = {}
    for work in works:
        step, outcome = work.planned.step, work.outcome
        if isinstance(outcome, Record):
            payload.upserts.append((step.spec, outcome.raw))
            if work.planned.provisional_id is not None:
                keys[step.spec.table, work.planned.provisional_id] = outcome.id
            before = work.entry.before.encode() if work.entry.before is not None else None
            keys.update(new_child_keys(step.spec, before, outcome.raw, work.planned.new_children))
        elif isinstance(outcome, Tombstone):
            payload.deletes.append((step.spec, outcome.id))
        elif work.planned.shown is not None:  # deferred: the client sees it done already
            payload.upserts.append((step.spec, work.planned.shown))
        elif step.id is not None:  # deferred, and then gone from sight
            payload.deletes.append((step.spec, step.id))
    return WriteResult(
        entries=tuple(payload.entries),
        payload=payload.to_json(),
        keys=keys,
        notices=(*plan.notices, *kept_notices(provider.catalog, _answered(works))),
    )


def _answered(works: Sequence[_Work]) -> list[tuple[Step, bytes]]:
    return [
        (work.planned.step, work.outcome.raw) for work in works if isinstance(work.outcome, Record)
    ]


__all__ = ["CancelToken", "WriteEngine"]
