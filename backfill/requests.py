"""What commands ask of the sync engine: read a history anew, and tell where things stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from backfill.bookkeeping import object_rows, on_cdc, want_history
from backfill.connections import find_connection
from sqlsync.channels import POLL_CHANNEL, WORK_CHANNEL
from sqlsync.database import EngineConnection
from sqlsync.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """Where one object of a connection stands."""

    table: str
    state: str
    rows_done: int
    rows_total: int | None
    watermark: datetime | None
    last_change_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """Where a connection and its objects stand. Empty objects: its tables are not made yet."""

    id: int
    name: str
    provider: str
    schema_name: str
    state: str
    state_reason: str | None
    objects: tuple[ObjectStatus, ...]

    @property
    def rows_done(self) -> int:
        return sum(o.rows_done for o in self.objects)

    @property
    def rows_total(self) -> int | None:
        """None where the provider has not been asked for some object yet."""
        totals = [o.rows_total for o in self.objects]
        return None if None in totals else sum(t for t in totals if t is not None)


async def request_backfill(
    session: EngineConnection,
    connection: int | str,
    object_name: str | None = None,
    *,
    accept_missing: bool = False,
) -> list[str]:
    """Asks the workers to read an object's history anew (None: all objects').

    connection: id or name. accept_missing: what this reading lacks is gone, however much it is;
    each record is still asked for by its id before it leaves. Returns the tables asked for.
    Raises ConfigError where there is no such connection or object. Tables stay readable; what
    is gone leaves at the end.
    """
    if accept_missing and object_name is None:
        raise ConfigError(
            "What is missing is accepted for one object only.", hint="Say which: --object TABLE"
        )
    found = await find_connection(session, connection)
    if found is None:
        raise ConfigError(f"There is no connection {connection!r}.", hint="Run: sqlsync status")
    tables = None if object_name is None else [object_name]
    async with session.transaction():
        wanted = await want_history(session, found, tables)
        if accept_missing:
            await session.execute(
                "insert into sqlsync.accepted_sweep (connection_id, table_name)"
                " select %s, name from unnest(%s::text[]) name on conflict do nothing",
                [found.id, wanted],
            )
    if not wanted:
        known = {row.object for row in await object_rows(session, found)}
        if object_name in known:
            raise ConfigError(
                f"{object_name} of {found.name} is not synced: it is switched off.",
                hint=f"Run: sqlsync objects {found.name} --enable {object_name}",
            )
        raise ConfigError(f"{found.name} mirrors no object {object_name!r}.")
    return wanted


async def wake(session: EngineConnection, connection: int | str) -> None:
    """After a consent, or when a pause ends: what failed is tried again now, and what was missed
    is asked for. Waiting times after failures were those of another grant."""
    found = await find_connection(session, connection)
    if found is None:
        return
    async with session.transaction():
        await session.execute("delete from sqlsync.poll where connection_id = %s", [found.id])
        if await object_rows(session, found):
            await session.execute(
                on_cdc(found, "update {cdc} set next_run_at = null where next_run_at is not null")
            )
        await session.execute("select pg_notify(%s, '')", [WORK_CHANNEL])
    await request_poll(session, found.id)


async def request_poll(session: EngineConnection, connection_id: int) -> None:
    """Asks the workers to look for changes of every object now, whatever their pace."""
    await session.execute(
        "insert into sqlsync.poll (connection_id, wanted_at) values (%s, clock_timestamp())"
        " on conflict (connection_id) do update set wanted_at = excluded.wanted_at",
        [connection_id],
    )
    await session.execute("select pg_notify(%s, %s)", [POLL_CHANNEL, str(connection_id)])


async def status(session: EngineConnection, connection: int | str) -> ConnectionStatus:
    """Raises ConfigError where there is no such connection."""
    found = await find_connection(session, connection)
    if found is None:
        raise ConfigError(f"There is no connection {connection!r}.", hint="Run: sqlsync status")
    reason = await (
        await session.execute(
            "select state_reason from sqlsync.connection where id = %s", [found.id]
        )
    ).fetchone()
    objects = tuple(
        ObjectStatus(
            row.object,
            row.state,
            row.rows_done or 0,
            row.rows_total,
            row.watermark,
            row.last_change_at,
            row.error,
        )
        for row in await object_rows(session, found)
    )
    return ConnectionStatus(
        found.id,
        found.name,
        found.provider,
        found.schema_name,
        found.state,
        reason[0] if reason else None,
        objects,
    )
