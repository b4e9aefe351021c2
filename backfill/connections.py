"""Connections as the sync engine sees them: which there are, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass

from sqlsync.database import EngineConnection, class_row

ACTIVE = ("connected", "backfilling", "live")


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
    """True where this changed it. A connection paused by a person stays paused."""
    done = await connection.execute(
        "update sqlsync.connection set state = %s, state_reason = %s"
        " where id = %s and state <> 'paused'"
        " and (state <> %s or state_reason is distinct from %s)",
        [state, reason, connection_id, state, reason],
    )
    return done.rowcount > 0
