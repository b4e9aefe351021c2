"""The database's search_path: where a table is found that is named without its schema.

The first connection stands first, then `public`, then the others as they get their tables: so
`invoice` is the first company's, `contact` is Xero's where QuickBooks came first, and no later
connection hides a table of the user's own. Only what was set here is added to: a search_path
with anything else in it is somebody's own and stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from schema.ddl import quote
from sqlsync.database import EngineConnection, errors, sql

_PRESENT = """
select substr(setting, length('search_path=') + 1)
from pg_db_role_setting s, unnest(s.setconfig) as setting
where s.setrole = 0 and setting like 'search_path=%'
    and s.setdatabase = (select oid from pg_database where datname = current_database())
"""
_SCHEMAS = "select id, schema_name from sqlsync.connection order by id"


async def set_search_path(
    connection: EngineConnection, schema_name: str, connection_id: int, *, is_new: bool
) -> tuple[bool, list[str]]:
    """Puts a connection's schema in its place. Returns whether it did, and warnings.

    connection: in the engine's role, in a transaction. is_new: it has just got its tables; one
    that was taken out of the search_path later is not put back.
    """
    row = await (await connection.execute(_PRESENT)).fetchone()
    schemas = await (await connection.execute(_SCHEMAS)).fetchall()
    wanted = extended(
        None if row is None else [part.strip().strip('"') for part in row[0].split(",")],
        schema_name,
        ours={name for _, name in schemas},
        is_first=bool(schemas) and schemas[0][0] == connection_id,
        is_new=is_new,
    )
    if wanted is None:
        return False, []
    statement = sql.SQL("alter database {} set search_path = {}").format(
        sql.Identifier(connection.info.dbname), sql.SQL(", ".join(map(quote, wanted)))
    )
    # The engine's role may not own the database; its owner, who logged in, does.
    try:
        async with connection.transaction():
            await connection.execute("reset role")
            await connection.execute(statement)
            await connection.execute("set role sqlsync_engine")
    except errors.InsufficientPrivilege:
        warning = (
            f"The search_path is not set: {connection.info.user} does not own the database."
            f" As its owner: {statement.as_string(connection)}"
        )
        return False, [warning]
    return True, []


def extended(
    present: Sequence[str] | None,
    schema_name: str,
    *,
    ours: Collection[str],
    is_first: bool,
    is_new: bool,
) -> list[str] | None:
    """The schemas to set, None to leave all as it is. Pure. present: None where nothing is set."""
    if present is None:
        return list(dict.fromkeys([schema_name, "public"])) if is_first else None
    if not is_new or schema_name in present or not set(present) <= {*ours, "public"}:
        return None
    return [*present, schema_name]
