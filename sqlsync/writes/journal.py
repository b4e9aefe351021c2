"""The journal of writes in Postgres: what each step means to do, and how far it got.

Each method is one short transaction of its own, committed when it returns: what it says has
happened survives a crash. Every change of state names the states it may come from
(`sqlsync.writes.transitions`) and the owner; who loses either race gets `Lost`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, LiteralString
from uuid import UUID

from sqlsync.database import EnginePool, errors
from sqlsync.errors import ProviderError, SqlsyncError
from sqlsync.providers.base import Outcome, StepKind
from sqlsync.writes.entry import Closing, Entry
from sqlsync.writes.transitions import OPEN_SQL, State, sources
from sqlsync.writes.values import encode, storable


class Lost(SqlsyncError):
    """Another process took the entry over, or has already moved it on."""

    sqlstate = "08007"


_COLUMNS: LiteralString = (
    "j.id, j.connection_id, j.state, j.transaction_id, j.xid::text, j.seq, j.role_name,"
    " j.table_name, j.kind, j.record_id, j.provisional_id, j.call_key, j.call_item, j.deferred,"
    " j.fields::text, j.before::text, j.answer::text, j.undo_key, j.undo::text,"
    " extract(epoch from clock_timestamp() - j.updated_at)::float8,"
    " extract(epoch from clock_timestamp() - j.created_at)::float8"
)


_UNSETTLED: LiteralString = (
    "select from sqlsync.journal o"
    " join unnest(%s::text[], %s::text[]) as r(table_name, record_id)"
    " using (table_name, record_id) where o.connection_id = %s and o.transaction_id <> %s"
    f" and o.state in {OPEN_SQL} and o.state <> 'planned' limit 1"
)


def _records(entries: Sequence[Entry]) -> list[Any]:
    """The parameters of _UNSETTLED, for entries of one transaction and connection."""
    known = [entry for entry in entries if entry.record_id is not None]
    tables, ids = [e.table for e in known], [e.record_id for e in known]
    return [tables, ids, entries[0].connection_id, entries[0].transaction]


def _entry(row: Sequence[Any]) -> Entry:
    values = list(row[:21])
    values[2], values[8] = State(values[2]), StepKind(values[8])
    return Entry(*values)


class Journal:
    """Reads and writes the entries of one owner."""

    def __init__(self, pool: EnginePool, owner: int) -> None:
        self._pool = pool
        self.owner = owner

    # -- a write on its way ----------------------------------------------------------------

    async def plan(self, entries: Sequence[Entry]) -> bool:
        """Commits the intent: all entries, `planned`. Returns whether they are `unsettled`."""
        rows = [
            {
                "id": str(e.id),
                "connection_id": e.connection_id,
                "transaction_id": str(e.transaction),
                "seq": e.seq,
                "role_name": e.role,
                "table_name": e.table,
                "kind": e.kind.value,
                "record_id": e.record_id,
                "provisional_id": e.provisional_id,
                "call_key": e.call_key,
                "call_item": e.call_item,
                "deferred": e.deferred,
                "xid": e.xid,
            }
            for e in entries
        ]
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "with planned as ("
                "insert into sqlsync.journal (id, connection_id, state, owner, transaction_id,"
                " xid, seq, role_name, table_name, kind, record_id, provisional_id, call_key,"
                " call_item, deferred, fields, before)"
                " select r.id, r.connection_id, 'planned', %s, r.transaction_id, r.xid::xid8,"
                " r.seq, r.role_name, r.table_name, r.kind, r.record_id, r.provisional_id,"
                " r.call_key, r.call_item, r.deferred, j.fields::jsonb, j.before::jsonb"
                " from jsonb_to_recordset(%s::jsonb) as r(id uuid, connection_id bigint,"
                " transaction_id uuid, xid text, seq int, role_name text, table_name text,"
                " kind text, record_id text, provisional_id text, call_key text, call_item int,"
                " deferred boolean)"
                " join unnest(%s::uuid[], %s::text[], %s::text[]) as j(id, fields, before)"
                f" using (id)) {_UNSETTLED}",
                [
                    self.owner,
                    encode(rows).decode(),
                    [e.id for e in entries],
                    [e.fields for e in entries],
                    [e.before for e in entries],
                    *_records(entries),
                ],
            )
            return await cursor.fetchone() is not None

    async def unsettled(self, entries: Sequence[Entry]) -> bool:
        """Whether an earlier write of one of the records may yet be undone.

        It is of another transaction, which has ended, as it no longer holds the row: what it
        wrote stands at the provider until it is closed or taken back.
        """
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_UNSETTLED, _records(entries))
            return await cursor.fetchone() is not None

    async def move(
        self, ids: Collection[UUID], to: State, error: BaseException | str | None = None
    ) -> list[UUID]:
        """Moves what may move to `to`, and returns which did."""
        if not ids:
            return []
        code, text = _error_words(error)
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "update sqlsync.journal set state = %s, updated_at = clock_timestamp(),"
                " error_code = coalesce(%s, error_code), error = coalesce(%s, error)"
                " where id = any(%s) and owner = %s and state = any(%s) returning id",
                [to.value, code, text, list(ids), self.owner, _from(to)],
            )
            return [row[0] for row in await cursor.fetchall()]

    async def send(self, ids: Collection[UUID]) -> None:
        """All become `sent`, from `planned`. Raises Lost where one may not."""
        moved = await self.move(ids, State.SENT)
        if len(moved) != len(ids):
            raise Lost("The write was taken over by another process before it was sent")

    async def answered(
        self, outcomes: Sequence[tuple[Entry, Outcome]], merged: Sequence[Entry] = ()
    ) -> list[Entry]:
        """Stores what the provider answered, all in one commit, before anything else is done.

        merged: entries of the same call that stay `sent`, on a fresh version and under a new
        key: in the same commit, for a call that is repeated must be whole. Returns the entries
        that were acknowledged. Raises Lost where one was moved by others; then nothing is
        stored.
        """
        acknowledged: list[Entry] = []
        async with self._pool.connection() as connection, connection.transaction():
            for entry, outcome in outcomes:
                if isinstance(outcome, ProviderError):
                    to, done = State.REFUSED, entry
                    code, text = _error_words(outcome)
                else:
                    to, done = State.ACKNOWLEDGED, entry.with_outcome(outcome)
                    code, text = None, None
                    acknowledged.append(done)
                cursor = await connection.execute(
                    "update sqlsync.journal set state = %s, updated_at = clock_timestamp(),"
                    " record_id = coalesce(%s, record_id), answer = %s::jsonb, error_code = %s,"
                    " error = %s where id = %s and owner = %s and state = any(%s)",
                    [
                        *(to.value, done.record_id, done.answer, code, text),
                        *(entry.id, self.owner, _from(to)),
                    ],
                )
                if cursor.rowcount != 1:
                    raise Lost("The write was taken over by another process")
            for entry in merged:
                cursor = await connection.execute(
                    "update sqlsync.journal set call_key = %s, call_item = %s,"
                    " before = %s::jsonb, updated_at = clock_timestamp()"
                    " where id = %s and owner = %s and state = 'sent'",
                    [entry.call_key, entry.call_item, entry.before, entry.id, self.owner],
                )
                if cursor.rowcount != 1:
                    raise Lost("The write was taken over by another process")
        return acknowledged

    # -- the end of the client's transaction -----------------------------------------------

    async def close(self, transaction: UUID) -> list[Closing]:
        """After the transaction ended: what its markers prove becomes `mirrored`.

        Deletes those markers, tells the worker to look for side effects, and returns all
        entries that were open, as they stand now.
        """
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "with open as materialized ("
                "  select id, state from sqlsync.journal where transaction_id = %(transaction)s"
                f"  and owner = %(owner)s and state in {OPEN_SQL} for update),"
                " gone as (delete from sqlsync.marker m using open o where m.entry_id = o.id"
                "  and o.state = 'acknowledged' returning m.entry_id),"
                " done as (update sqlsync.journal j set state = 'mirrored',"
                "  updated_at = clock_timestamp() from gone g where j.id = g.entry_id"
                "  returning j.id, j.connection_id),"
                " told as materialized (select count(pg_notify('sqlsync_poll', d.id::text)) as n"
                "  from (select distinct connection_id as id from done) d)"
                f" select {_COLUMNS}, g.entry_id is not null"
                "  or exists (select from sqlsync.marker m where m.entry_id = j.id), told.n"
                " from sqlsync.journal j join open o on o.id = j.id"
                " left join gone g on g.entry_id = j.id cross join told order by j.seq",
                {"transaction": transaction, "owner": self.owner},
            )
            closings = [Closing(_entry(row), row[21]) for row in await cursor.fetchall()]
        return [
            replace(c, entry=replace(c.entry, state=State.MIRRORED))
            if c.marked and c.entry.state is State.ACKNOWLEDGED
            else c
            for c in closings
        ]

    async def ended(self, xid: str | None) -> bool | None:
        """Whether the client's transaction is over; None where its number is not known."""
        if xid is None:
            return None
        async with self._pool.connection() as connection:
            try:
                cursor = await connection.execute("select pg_xact_status(%s::xid8)", [xid])
            except errors.InvalidParameterValue:
                return True  # of another server's life: a backup was restored
            row = await cursor.fetchone()
            return row is None or row[0] != "in progress"

    async def mirrored(self, ids: Collection[UUID], note: str | None = None) -> None:
        """Deletes markers and closes entries that are done, whatever the client's fate."""
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(
                "delete from sqlsync.marker where entry_id = any(%s)", [list(ids)]
            )
            await connection.execute(
                "update sqlsync.journal set state = 'mirrored', error = coalesce(%s, error),"
                " updated_at = clock_timestamp()"
                " where id = any(%s) and owner = %s and state = any(%s)",
                [note, list(ids), self.owner, _from(State.MIRRORED)],
            )

    # -- compensation ----------------------------------------------------------------------

    async def set_undo(self, entry: Entry, key: str, undo: bytes) -> Entry:
        """Commits what the compensation will send. Raises Lost."""
        text = storable(undo)
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "update sqlsync.journal set undo_key = %s, undo = %s::jsonb,"
                " updated_at = clock_timestamp() where id = %s and owner = %s"
                " and state = 'undoing' and undo_key is not distinct from %s",
                [key, text, entry.id, self.owner, entry.undo_key],
            )
            if cursor.rowcount != 1:
                raise Lost("Another process is undoing the write")
        return replace(entry, undo_key=key, undo=text)

    async def note(self, entry_id: UUID, error: BaseException | str) -> None:
        """Says on the entry why it stays where it is."""
        code, text = _error_words(error)
        async with self._pool.connection() as connection:
            await connection.execute(
                "update sqlsync.journal set error_code = %s, error = %s where id = %s",
                [code, text, entry_id],
            )

    # -- reading ---------------------------------------------------------------------------

    async def open_entries(self) -> list[Entry]:
        """All open entries of this owner, oldest transaction first, in order."""
        return await self._select(
            f"j.owner = %s and j.state in {OPEN_SQL} order by j.created_at, j.seq limit 2000",
            [self.owner],
        )

    async def deferred(self, transaction: UUID) -> list[Entry]:
        """Steps of the transaction that wait for its COMMIT, in order."""
        return await self._select(
            "j.transaction_id = %s and j.owner = %s and j.deferred and j.state = 'planned'"
            " order by j.seq",
            [transaction, self.owner],
        )

    async def followed(self, ids: Collection[UUID]) -> set[UUID]:
        """Those of the entries after which their transaction did what is not known yet, or what
        is known by now and waits to be undone before them."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "select e.id from sqlsync.journal e where e.id = any(%s) and exists ("
                " select from sqlsync.journal o where o.transaction_id = e.transaction_id"
                " and o.connection_id = e.connection_id and o.seq > e.seq"
                f" and o.state in {OPEN_SQL} and (o.state in ('sent', 'in_doubt')"
                "  or o.state in ('acknowledged', 'undoing') and not o.id = any(%s)))",
                [list(ids), list(ids)],
            )
            return {row[0] for row in await cursor.fetchall()}

    async def call(self, transaction: UUID, call_key: str) -> list[Entry]:
        """All entries that went out in this call, whatever became of them, in its order."""
        return await self._select(
            "j.transaction_id = %s and j.call_key = %s and j.state not in ('planned', 'dropped')"
            " order by j.call_item",
            [transaction, call_key],
        )

    async def entries(self, ids: Collection[UUID]) -> list[Entry]:
        """These entries, in order."""
        return await self._select("j.id = any(%s) order by j.seq", [list(ids)])

    async def _select(self, where: LiteralString, parameters: list[Any]) -> list[Entry]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                f"select {_COLUMNS} from sqlsync.journal j where {where}", parameters
            )
            return [_entry(row) for row in await cursor.fetchall()]

    async def connection_id(self, schema_name: str) -> int | None:
        """The connection whose schema this is."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "select id from sqlsync.connection where schema_name = %s", [schema_name]
            )
            row = await cursor.fetchone()
            return None if row is None else int(row[0])

    async def schema_name(self, connection_id: int) -> str:
        """The schema of a connection."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "select schema_name from sqlsync.connection where id = %s", [connection_id]
            )
            row = await cursor.fetchone()
            if row is None:
                raise Lost(f"connection {connection_id} was removed")
            return str(row[0])


def _from(to: State) -> list[str]:
    return _names(sources(to))


def _names(states: Sequence[State]) -> list[str]:
    return [state.value for state in states]


def _error_words(error: BaseException | str | None) -> tuple[str | None, str | None]:
    if error is None or isinstance(error, str):
        return None, error
    code = getattr(error, "code", None) or getattr(error, "sqlstate", None)
    return code, str(error).replace("\0", "")
