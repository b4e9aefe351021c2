"""Reports in a connection's schema: their tables, and the runs that are stored in them.

A run's rows are replaced whole, in the caller's transaction, so that whoever reads sees the
earlier run or this one. Only the engine's role gets past the guard of these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from schema.model import Catalog
from schema.object_view import object_view_ddl
from schema.report_ddl import REPORT_GUARD, report_bookkeeping_ddl, report_ddl
from schema.report_model import Report, ReportSpec
from schema.report_rows import RUN_COLUMNS, headings_json, own_columns, table_rows
from sqlsync.database import EngineConnection, sql
from sqlsync.errors import ConfigError

_APPLIED = "_reports"  # in sqlsync.applied_object: no table, but what all their tables stand under


async def install_reports(
    connection: EngineConnection, catalog: Catalog, schema_name: str, connection_id: int
) -> list[str]:
    """Makes or completes the tables and functions of all reports; returns the tables made.

    To be called in the installer's transaction, when `_sync_cdc` is there. With the same catalog
    as last time it changes nothing. Raises ConfigError where something else has a table's name.
    """
    if not catalog.reports:
        return []
    digest = sha256(repr(catalog.reports).encode()).hexdigest()
    there, guarded = await _tables_there(connection, catalog, schema_name)
    found = await connection.execute(
        "select catalog_hash from sqlsync.applied_object"
        " where connection_id = %s and table_name = %s",
        [connection_id, _APPLIED],
    )
    if guarded == len(catalog.reports) and await found.fetchone() == (digest,):
        return []
    statements = [*report_bookkeeping_ddl(schema_name), *object_view_ddl(catalog, schema_name)]
    await connection.execute(";\n".join(statements).encode())
    for spec in catalog.reports:
        statements = report_ddl(catalog, spec, schema_name, exists=spec.table in there)
        await connection.execute(";\n".join(statements).encode())
        if spec.scheduled:
            await _want(connection, spec, schema_name, connection_id)
    await connection.execute(
        "insert into sqlsync.applied_object (connection_id, table_name, catalog_hash, children)"
        " values (%s, %s, %s, %s) on conflict (connection_id, table_name) do update"
        " set catalog_hash = excluded.catalog_hash, children = excluded.children",
        [connection_id, _APPLIED, digest, [spec.table for spec in catalog.reports]],
    )
    await connection.execute("select sqlsync.refresh_unions(%s)", [catalog.provider])
    return [spec.table for spec in catalog.reports if spec.table not in there]


async def _tables_there(
    connection: EngineConnection, catalog: Catalog, schema_name: str
) -> tuple[set[str], int]:
    """The tables there are, and how many of them the guard watches. Raises ConfigError."""
    found = await connection.execute(
        "select c.relname, c.relkind = 'r' and exists (select from pg_attribute a"
        "  where a.attrelid = c.oid and a.attname = 'run_id' and not a.attisdropped)"
        "  and pg_get_userbyid(c.relowner) = current_user,"
        " exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname = %s"
        "  and t.tgenabled = 'A')"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = %s and c.relname = any(%s)",
        [REPORT_GUARD, schema_name, [spec.table for spec in catalog.reports]],
    )
    rows = await found.fetchall()
    if strange := sorted(name for name, ours, _ in rows if not ours):
        raise ConfigError(
            f"{schema_name}.{strange[0]} is there and is not sqlsync's; a report has that name.",
            hint="Rename it or drop it, or give the connection a schema of its own.",
        )
    return {name for name, _, _ in rows}, sum(guarded for _, _, guarded in rows)


async def _want(
    connection: EngineConnection, spec: ReportSpec, schema_name: str, connection_id: int
) -> None:
    """The run that is refreshed by itself, unless it is switched off. One that a person asked
    for with the same words is that one from now on."""
    table = sql.Identifier(schema_name, "_sync_report")
    await connection.execute(
        sql.SQL(
            "update {} set is_default = false where report = %s and is_default"
            " and parameters <> %s::jsonb"
        ).format(table),
        [spec.name, _json(spec.default)],
    )
    await connection.execute(
        sql.SQL(
            "insert into {} (report, table_name, parameters, is_default, scheduled)"
            " values (%s, %s, %s, true, not exists (select from sqlsync.off f"
            "  where f.connection_id = %s and f.table_name = %s and f.column_name = ''))"
            " on conflict (report, md5(parameters::text)) do update set is_default = true"
        ).format(table),
        [spec.name, spec.table, _json(spec.default), connection_id, spec.table],
    )


async def store_report(
    connection: EngineConnection,
    schema_name: str,
    spec: ReportSpec,
    run_id: int,
    parameters: Mapping[str, Any],
    report: Report,
) -> int:
    """Puts a run in place of the one that was there; returns how many rows it has.

    To be called in a transaction, in the engine's role.
    """
    table = sql.Identifier(schema_name, spec.table)
    await connection.execute(sql.SQL("delete from {} where run_id = %s").format(table), [run_id])
    run = (
        run_id,
        report.period_start,
        report.period_end,
        report.accounting_method,
        report.currency,
        report.as_of,
        _json(parameters),
    )
    columns = [sql.Identifier(name) for name in (*RUN_COLUMNS, *own_columns(spec))]
    statement = sql.SQL("copy {} ({}) from stdin").format(table, sql.SQL(", ").join(columns))
    count = 0
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in table_rows(spec, report):
            await copy.write_row((*run, *row))
            count += 1
    await connection.execute(
        sql.SQL(
            "update {} set state = 'ready', error = null, failures = 0, next_run_at = null,"
            " period_start = %s, period_end = %s, accounting_method = %s, currency = %s,"
            " as_of = %s, fetched_at = clock_timestamp(), row_count = %s, no_data = %s,"
            " columns = %s, header = %s where id = %s"
        ).format(sql.Identifier(schema_name, "_sync_report")),
        [
            *run[1:6],
            count,
            report.no_data,
            headings_json(report.headings).decode(),
            report.header.decode(),
            run_id,
        ],
    )
    return count


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(dict(value)).decode()
