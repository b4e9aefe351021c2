"""Connections as the sync engine sees them: which there are, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass

from sqlsync.database import EngineConnection, class_row
from sqlsync.errors import ConfigError
from sqlsync.providers.states import ACTIVE, ConnectionState, sources


@dataclass(frozen=True, slots=True)
class Connection:
    """A row of sqlsync.connection."""

    id: int
    name: str
    provider: str
    schema_name: str
    company_id: str | None
    state: str


_COLUMNS = "id, name, provider, schema_name, company_id, state"


async def active_connections(connection: EngineConnection) -> list[Connection]:
    """Those that are to be kept in step, oldest first."""
    async with connection.cursor(row_factory=class_row(Connection)) as cursor:
        await cursor.execute(
            f"select {_COLUMNS} from sqlsync.connection where state = any(%s) order by id".encode(),
            [list(ACTIVE)],
        )
        return await cursor.fetchall()


async def all_connections(connection: EngineConnection) -> list[Connection]:
    """In whatever state, oldest first."""
    async with connection.cursor(row_factory=class_row(Connection)) as cursor:
        await cursor.execute(f"select {_COLUMNS} from sqlsync.connection order by id".encode())
        return await cursor.fetchall()


async def find_connection(connection: EngineConnection, key: int | str) -> Connection | None:
    """By id or by name; in whatever state."""
    column = "id" if isinstance(key, int) else "name"
    async with connection.cursor(row_factory=class_row(Connection)) as cursor:
        await cursor.execute(
            f"select {_COLUMNS} from sqlsync.connection where {column} = %s".encode(), [key]
        )
        return await cursor.fetchone()


async def connection_of_company(
    connection: EngineConnection, provider: str, company_id: str
) -> Connection | None:
    """The active connection of a realm or tenant; None where it is not one of ours."""
    async with connection.cursor(row_factory=class_row(Connection)) as cursor:
        await cursor.execute(
            f"select {_COLUMNS} from sqlsync.connection where provider = %s"
            " and company_id = %s and state = any(%s)".encode(),
            [provider, company_id, list(ACTIVE)],
        )
        return await cursor.fetchone()


async def set_connection_state(
    connection: EngineConnection, connection_id: int, state: str, reason: str | None = None
) -> bool:
    """True where this changed it: from a state that may become this one, or in its reason alone.

    What a person did meanwhile (disconnected, paused) stands.
    """
    target = ConnectionState(state)
    done = await connection.execute(
        "update sqlsync.connection set state = %s, state_reason = %s"
        " where id = %s and (state = any(%s) or (state = %s and state_reason is distinct from %s))",
        [target, reason, connection_id, list(sources(target)), target, reason],
    )
    return done.rowcount > 0


async def pause(connection: EngineConnection, name: str) -> None:
    """Stops the sync of a connection; its tables stay, and writes go on. Raises ConfigError."""
    done = await connection.execute(
        "update sqlsync.connection set state = 'paused', state_reason = null,"
        " paused_at = coalesce(paused_at, clock_timestamp())"
        " where name = %s and (state = any(%s) or state = 'paused')",
        [name, list(sources(ConnectionState.PAUSED))],
    )
    if not done.rowcount:
        raise await _cannot(connection, name, "paused")


async def resume(connection: EngineConnection, name: str) -> None:
    """Lets the sync go on; what was missed is caught up. Raises ConfigError."""
    done = await connection.execute(
        "update sqlsync.connection set paused_at = null,"
        " state = case when state = 'paused' then 'connected' else state end"
        " where name = %s and state <> 'pending'",
        [name],
    )
    if not done.rowcount:
        raise await _cannot(connection, name, "resumed")


async def _cannot(connection: EngineConnection, name: str, what: str) -> ConfigError:
    found = await find_connection(connection, name)
    if found is None:
        return ConfigError(f"There is no connection {name!r}.", hint="Run: sqlsync status")
    return ConfigError(
        f"{name} cannot be {what}: it is {found.state}.",
        hint=f"Run: sqlsync connect {found.provider} --name {name}",
    )
