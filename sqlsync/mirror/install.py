"""Makes a connection's schema in Postgres, or brings an existing one up to the catalog.

One transaction under one lock, so that any number of processes may start at once. Safe to run
again: with nothing to do it changes nothing. What to do is decided by `schema.ddl` and
`schema.drift`; here it is done.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256

from schema.codec import copy_encoder, copy_statement
from schema.ddl import bookkeeping_ddl, column_rows, quote, schema_ddl
from schema.drift import ACTUAL_QUERY, ActualTable, Drift, Fill, fill_from_raw, find_drift
from schema.model import Catalog, ObjectSpec
from schema.object_view import object_view_ddl
from schema.report_ddl import report_bookkeeping_ddl
from sqlsync.database import EngineConnection, errors, sql
from sqlsync.errors import ConfigError
from sqlsync.mirror.reports import install_reports

_LOCK_KEY = 0x73716C_696E7374  # "sql", "inst"
_PAGE_ROWS = 1000


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
        drift = find_drift(specs, await _read_actual(connection, schema_name), schema_name)
        if drift.conflicts:
            raise ConfigError(
                "; ".join(drift.conflicts),
                hint="Rename it or drop it, or give the connection a schema of its own.",
            )
        await _bring_up(connection, catalog, specs, drift, schema_name, connection_id)
        reports_made = await install_reports(connection, catalog, schema_name, connection_id)
        path_set, warnings = await _set_search_path(connection, schema_name, connection_id)
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


async def _read_actual(connection: EngineConnection, schema_name: str) -> dict[str, ActualTable]:
    rows = await (await connection.execute(ACTUAL_QUERY, [schema_name])).fetchall()
    return {name: ActualTable(*facts) for name, *facts in rows}


async def _bring_up(
    connection: EngineConnection,
    catalog: Catalog,
    specs: Sequence[ObjectSpec],
    drift: Drift,
    schema_name: str,
    connection_id: int,
) -> None:
    hashes = {spec.table: sha256(repr(spec).encode()).hexdigest() for spec in specs}
    applied = await connection.execute(
        "select table_name, catalog_hash from sqlsync.applied_object where connection_id = %s",
        [connection_id],
    )
    known: dict[str, str] = dict(await applied.fetchall())
    changed = [spec for spec in specs if known.get(spec.table) != hashes[spec.table]]
    if not changed and not drift.statements:
        return
    await _run(connection, bookkeeping_ddl(schema_name))
    await _run(connection, report_bookkeeping_ddl(schema_name))
    await _run(connection, object_view_ddl(catalog, schema_name))
    await _run(connection, drift.statements)
    for spec in specs:
        if fills := [f for f in drift.fills if f.plan.spec is spec]:
            await _fill(connection, spec, fills, schema_name)
    await _run(connection, column_rows(changed, schema_name))
    cdc = sql.Identifier(schema_name, "_sync_cdc")
    for spec in changed:
        await connection.execute(
            sql.SQL("insert into {} (object) values (%s) on conflict do nothing").format(cdc),
            [spec.table],
        )
        await connection.execute(
            "insert into sqlsync.applied_object (connection_id, table_name, catalog_hash)"
            " values (%s, %s, %s) on conflict (connection_id, table_name)"
            " do update set catalog_hash = excluded.catalog_hash",
            [connection_id, spec.table, hashes[spec.table]],
        )


async def _run(connection: EngineConnection, statements: Sequence[str]) -> None:
    if statements:
        await connection.execute(";\n".join(statements).encode())


async def _fill(
    connection: EngineConnection, spec: ObjectSpec, fills: Sequence[Fill], schema_name: str
) -> None:
    """Reads the records back out of the mirror and puts what is new beside them."""
    encoder = copy_encoder(spec)
    columns = {spec.table: encoder.columns, **encoder.child_columns}
    for fill in fills:
        table = sql.Identifier(schema_name, fill.plan.name)
        await connection.execute(
            sql.SQL("create temporary table {} on commit drop as select * from {} limit 0").format(
                sql.Identifier(_staging(fill)), table
            )
        )
    async with connection.cursor(name="sqlsync_fill") as cursor:
        await cursor.execute(
            sql.SQL("select raw::text from {} where raw is not null").format(
                sql.Identifier(schema_name, spec.table)
            )
        )
        while rows := await cursor.fetchmany(_PAGE_ROWS):
            page = encoder.rows([row[0].encode() for row in rows])
            blobs = {spec.table: page.blob, **page.children}
            for fill in fills:
                statement = copy_statement(
                    f"pg_temp.{quote(_staging(fill))}", columns[fill.plan.name]
                )
                async with connection.cursor() as writer, writer.copy(statement.encode()) as copy:
                    await copy.write(blobs[fill.plan.name])
    for fill in fills:
        staging = f"pg_temp.{quote(_staging(fill))}"
        statement = fill_from_raw(fill, staging, columns[fill.plan.name], schema_name)
        await connection.execute(statement.encode())


def _staging(fill: Fill) -> str:
    return f"sqlsync_fill_{sha256(fill.plan.name.encode()).hexdigest()[:16]}"


async def _set_search_path(
    connection: EngineConnection, schema_name: str, connection_id: int
) -> tuple[bool, list[str]]:
    """For the first connection, unless the database has a search_path already."""
    row = await _row(
        connection,
        "select (select min(id) from sqlsync.connection) = %s and not exists ("
        " select from pg_db_role_setting s, unnest(s.setconfig) as setting"
        " where s.setrole = 0 and setting like 'search_path=%%'"
        " and s.setdatabase = (select oid from pg_database where datname = current_database()))",
        [connection_id],
    )
    if row is None or not row[0]:
        return False, []
    path = ", ".join(dict.fromkeys([quote(schema_name), "public"]))
    statement = sql.SQL("alter database {} set search_path = {}").format(
        sql.Identifier(connection.info.dbname),
        sql.SQL(path),
    )
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


async def _row(
    connection: EngineConnection, query: str, values: Sequence[object]
) -> tuple[object, ...] | None:
    return await (await connection.execute(query.encode(), values)).fetchone()
