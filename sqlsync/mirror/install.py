"""Makes a connection's schema in Postgres, or brings an existing one up to the catalog.

One transaction under one lock, so that any number of processes may start at once. Safe to run
again: with nothing to do it changes nothing. What to do is decided by `schema.ddl` and
`schema.drift`; here it is done. What is new is filled afterwards (`sqlsync.mirror.filling`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256

from schema.ddl import bookkeeping_ddl, column_rows, quote, schema_ddl
from schema.drift import ACTUAL_QUERY, ActualTable, Drift, Retype, find_drift
from schema.model import Catalog, ObjectSpec
from schema.narrow import chosen
from schema.object_view import object_view_ddl
from schema.report_ddl import report_bookkeeping_ddl
from sqlsync.database import EngineConnection, errors, sql
from sqlsync.errors import ConfigError
from sqlsync.mirror.reports import install_reports
from sqlsync.mirror.search_path import set_search_path

_LOCK_KEY = 0x73716C_696E7374  # "sql", "inst"

Off = frozenset[tuple[str, str]]  # (table, column) that is switched off; column "": the table


@dataclass(frozen=True, slots=True)
class InstallReport:
    """What was done. All empty and False where nothing was to do.

    warnings: sentences about what could not be done and is not needed to go on.
    """

    tables_made: tuple[str, ...] = ()
    columns_added: tuple[str, ...] = ()
    search_path_set: bool = False
    warnings: tuple[str, ...] = ()


async def install(
    connection: EngineConnection,
    catalog: Catalog,
    schema_name: str,
    connection_id: int,
    *,
    objects: Collection[str] | None = None,
) -> InstallReport:
    """Installs the tables of `objects` (None: of all) for a row of sqlsync.connection.

    connection: in the engine's role, in autocommit. Raises ConfigError, nothing changed, where
    the schema holds something under one of our names that is not ours or has another type.
    """
    specs = [s for s in catalog.objects if objects is None or s.table in objects]
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK_KEY])
        await _make_schema(connection, schema_name)
        is_new = await _is_new(connection, connection_id)
        off = await _off(connection, connection_id)
        wanted = [chosen(spec, off) for spec in specs]
        drift = find_drift(wanted, await _read_actual(connection, schema_name), schema_name)
        if drift.conflicts:
            raise ConfigError(
                "; ".join(drift.conflicts),
                hint="Rename it or drop it, or give the connection a schema of its own.",
            )
        kept = await _bring_up(connection, catalog, specs, off, drift, schema_name, connection_id)
        reports_made = await install_reports(connection, catalog, schema_name, connection_id)
        path_set, warnings = await set_search_path(
            connection, schema_name, connection_id, is_new=is_new
        )
        warnings = [*kept, *warnings]
    return InstallReport(
        (*drift.tables_made, *reports_made),
        tuple(drift.columns_added),
        path_set,
        tuple(warnings),
    )


async def _make_schema(connection: EngineConnection, schema_name: str) -> None:
    """The schema, ours or one the engine may use (`public`)."""
    found = await _row(
        connection,
        "select has_schema_privilege(oid, 'create') and has_schema_privilege(oid, 'usage')"
        " from pg_namespace where nspname = %s",
        [schema_name],
    )
    if found is None:
        statement = schema_ddl(schema_name)
    elif not found[0]:
        statement = f"grant usage, create on schema {quote(schema_name)} to sqlsync_engine"
    else:
        return
    # The engine's role may lack CREATE on the database; its owner, who logged in, has it.
    try:
        async with connection.transaction():
            await connection.execute("reset role")
            await connection.execute(statement.encode())
            await connection.execute("set role sqlsync_engine")
    except errors.InsufficientPrivilege as error:
        raise ConfigError(
            f'The user {connection.info.user} may not make or use the schema "{schema_name}".',
            hint=f"As a superuser: {statement}",
        ) from error


async def _is_new(connection: EngineConnection, connection_id: int) -> bool:
    """Whether the connection has had no tables so far."""
    query = "select not exists (select from sqlsync.applied_object where connection_id = %s)"
    row = await _row(connection, query, [connection_id])
    return row is not None and bool(row[0])


async def _read_actual(connection: EngineConnection, schema_name: str) -> dict[str, ActualTable]:
    rows = await (await connection.execute(ACTUAL_QUERY, [schema_name])).fetchall()
    return {name: ActualTable(*facts) for name, *facts in rows}


async def _off(connection: EngineConnection, connection_id: int) -> Off:
    rows = await connection.execute(
        "select table_name, column_name from sqlsync.off where connection_id = %s",
        [connection_id],
    )
    return frozenset(await rows.fetchall())


async def _bring_up(
    connection: EngineConnection,
    catalog: Catalog,
    specs: Sequence[ObjectSpec],
    off: Off,
    drift: Drift,
    schema_name: str,
    connection_id: int,
) -> list[str]:
    """Returns warnings."""
    bookkeeping = [
        *bookkeeping_ddl(schema_name),
        *report_bookkeeping_ddl(schema_name),
        *object_view_ddl(catalog, schema_name),
    ]
    basis = sha256("".join(bookkeeping).encode()).hexdigest()
    hashes = {spec.table: sha256(f"{basis}{spec!r}".encode()).hexdigest() for spec in specs}
    applied = await connection.execute(
        "select table_name, catalog_hash from sqlsync.applied_object where connection_id = %s",
        [connection_id],
    )
    known: dict[str, str] = dict(await applied.fetchall())
    changed = [spec for spec in specs if known.get(spec.table) != hashes[spec.table]]
    if not changed and not drift.statements and not drift.retypes:
        return []
    await _run(connection, bookkeeping)
    await _run(connection, drift.statements)
    fills = [(fill.plan.name, fill.columns) for fill in drift.fills]
    warnings = []
    for retype in drift.retypes:
        problem = await _retype(connection, retype, schema_name, connection_id)
        if problem is None:
            fills.append((retype.plan.name, (retype.column.name,)))
        else:
            warnings.append(problem)
    await _run(connection, column_rows(changed, schema_name, off))
    for spec in changed:
        await _note_applied(
            connection,
            connection_id,
            spec,
            hashes[spec.table],
            schema_name,
            off_at_first=not spec.enabled and spec.table not in known,
        )
    for table, columns in fills:
        await connection.execute(
            "select sqlsync.want_fill(%s, %s, %s)",
            [connection_id, table, None if columns is None else list(columns)],
        )
    await connection.execute(
        sql.SQL(
            "update {}._sync_column c set filling = true from sqlsync.fill f"
            " where f.connection_id = %s and f.table_name = c.table_name and not c.filling"
            " and (f.columns is null or c.column_name = any(f.columns))"
        ).format(sql.Identifier(schema_name)),
        [connection_id],
    )
    await connection.execute("select sqlsync.refresh_unions(%s)", [catalog.provider])
    return warnings


async def _retype(
    connection: EngineConnection, retype: Retype, schema_name: str, connection_id: int
) -> str | None:
    """Gives the column the catalog's type. Returns why not, where something stands on it."""
    try:
        async with connection.transaction():
            # Our own union views let go of the column for a moment, and keep its type.
            place = [connection_id, retype.plan.name, retype.column.name]
            await connection.execute("insert into sqlsync.off values (%s, %s, %s)", place)
            unions = "select sqlsync.refresh_unions(%s, %s)"
            provider = [retype.plan.spec.provider, retype.plan.name]
            await connection.execute(unions, provider)
            await connection.execute(retype.statement(schema_name).encode())
            await connection.execute(
                "delete from sqlsync.off where connection_id = %s and table_name = %s"
                " and column_name = %s",
                place,
            )
            await connection.execute(unions, provider)
    except errors.Error as error:
        uses = await _row(
            connection,
            "select array_to_string(sqlsync.uses_of_column(%s, %s, %s), ', ')",
            [schema_name, retype.plan.name, retype.column.name],
        )
        what = f"is used by {uses[0]}" if uses and uses[0] else str(error.diag.message_primary)
        return (
            f'Column "{retype.column.name}" of "{schema_name}"."{retype.plan.name}" stays'
            f" {retype.there}, though it is {retype.column.type} now: it {what}."
            " Drop that and run: sqlsync migrate"
        )
    return None


async def _note_applied(
    connection: EngineConnection,
    connection_id: int,
    spec: ObjectSpec,
    catalog_hash: str,
    schema_name: str,
    *,
    off_at_first: bool,
) -> None:
    await connection.execute(
        "insert into sqlsync.applied_object (connection_id, table_name, catalog_hash, children)"
        " values (%s, %s, %s, %s) on conflict (connection_id, table_name) do update"
        " set catalog_hash = excluded.catalog_hash, children = excluded.children",
        [connection_id, spec.table, catalog_hash, list(spec.child_by_table)],
    )
    made = await connection.execute(
        sql.SQL("insert into {} (object) values (%s) on conflict do nothing").format(
            sql.Identifier(schema_name, "_sync_cdc")
        ),
        [spec.table],
    )
    if off_at_first and made.rowcount:
        await connection.execute(
            "select sqlsync.switch_object(%s, %s, false)", [connection_id, spec.table]
        )


async def _run(connection: EngineConnection, statements: Sequence[str]) -> None:
    if statements:
        await connection.execute(";\n".join(statements).encode())


async def _row(
    connection: EngineConnection, query: str, values: Sequence[object]
) -> tuple[object, ...] | None:
    return await (await connection.execute(query.encode(), values)).fetchone()
