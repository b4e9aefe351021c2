"""How things stand, read from the tables that users see too: `_sync_cdc` and the journal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlsync.database import Connection, TupleRow, class_row, errors, sql
from sqlsync.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """One row of sqlsync.connection."""

    id: int
    name: str
    provider: str
    schema_name: str
    company_id: str | None
    state: str
    state_reason: str | None


@dataclass(frozen=True, slots=True)
class ObjectStanding:
    """One row of `_sync_cdc`."""

    object: str
    state: str
    rows_done: int | None
    rows_total: int | None
    watermark: datetime | None
    last_change_at: datetime | None
    lag_seconds: Decimal | None
    error: str | None
    refused: bool  # in error, and not tried again soon: the company's plan or a right lacks it


@dataclass(frozen=True, slots=True)
class OpenWrite:
    """A journal entry that is not closed."""

    id: UUID
    state: str
    kind: str
    table_name: str
    record_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ReportsStanding:
    """How many runs of reports are stored, wait to be computed, or could not be computed."""

    stored: int
    waiting: int
    failing: int


@dataclass(frozen=True, slots=True)
class ConnectionStanding:
    connection: ConnectionRow
    objects: list[ObjectStanding]
    reports: ReportsStanding
    open_writes: list[OpenWrite]

    def as_json(self) -> dict[str, Any]:
        """Plain values: times ISO 8601, ids text."""
        return {
            **asdict(self.connection),
            "objects": [_plain(asdict(item)) for item in self.objects],
            "reports": asdict(self.reports),
            "open_writes": [_plain(asdict(write)) for write in self.open_writes],
        }


def read_standing(database: Connection[TupleRow]) -> list[ConnectionStanding]:
    """All connections. Raises ConfigError where the database is not set up."""
    return [
        ConnectionStanding(
            row,
            read_objects(database, row),
            count_reports(database, row),
            _open_writes(database, row),
        )
        for row in list_connections(database)
    ]


def require_set_up(database: Connection[TupleRow]) -> None:
    """Raises ConfigError where the migrations have not been run here."""
    row = database.execute("select to_regclass('sqlsync.migration') is not null").fetchone()
    if row is None or not row[0]:
        raise ConfigError("The database is not set up for sqlsync.", hint="Run: sqlsync migrate")


def list_connections(database: Connection[TupleRow]) -> list[ConnectionRow]:
    """All connections, oldest first. Raises ConfigError where the database is not set up."""
    require_set_up(database)
    with database.cursor(row_factory=class_row(ConnectionRow)) as cursor:
        return cursor.execute(
            "select id, name, provider, schema_name, company_id, state, state_reason"
            " from sqlsync.connection order by id"
        ).fetchall()


def find_connection(database: Connection[TupleRow], name: str) -> ConnectionRow:
    """The connection of that name. Raises ConfigError, naming those there are."""
    rows = list_connections(database)
    for row in rows:
        if row.name == name:
            return row
    known = ", ".join(row.name for row in rows)
    raise ConfigError(
        f"There is no connection named {name!r}.",
        hint=f"There are: {known}"
        if known
        else "Make one: sqlsync connect quickbooks|xero --name N",
    )


def read_objects(database: Connection[TupleRow], row: ConnectionRow) -> list[ObjectStanding]:
    """The objects of a connection, in backfill order as far as it shows; [] before its tables."""
    query = sql.SQL(
        "select object, state, rows_done, rows_total, watermark, last_change_at, lag_seconds,"
        " error, state = 'error'"
        " and coalesce(next_run_at > now() + interval '10 minutes', false) as refused"
        " from {}._sync_cdc order by object"
    ).format(sql.Identifier(row.schema_name))
    with database.cursor(row_factory=class_row(ObjectStanding)) as cursor:
        try:
            return cursor.execute(query).fetchall()
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            return []


def count_reports(database: Connection[TupleRow], row: ConnectionRow) -> ReportsStanding:
    """Zeros before the tables are made. One that fails may still have an earlier run stored."""
    query = sql.SQL(
        "select count(*) filter (where fetched_at is not null),"
        " count(*) filter (where state in ('pending', 'refreshing') and fetched_at is null"
        "  and (scheduled or requested_at is not null)),"
        " count(*) filter (where state = 'error') from {}._sync_report"
    ).format(sql.Identifier(row.schema_name))
    try:
        counts = database.execute(query).fetchone()
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        counts = None
    return ReportsStanding(*(counts or (0, 0, 0)))


def count_open_writes(database: Connection[TupleRow], row: ConnectionRow) -> int:
    """Writes through the proxy that are not closed yet."""
    return len(_open_writes(database, row))


def _open_writes(database: Connection[TupleRow], row: ConnectionRow) -> list[OpenWrite]:
    with database.cursor(row_factory=class_row(OpenWrite)) as cursor:
        return cursor.execute(
            "select id, state, kind, table_name, record_id, created_at from sqlsync.journal"
            " where connection_id = %s and state in"
            " ('planned', 'sent', 'acknowledged', 'in_doubt', 'undoing', 'parked')"
            " order by created_at, seq",
            [row.id],
        ).fetchall()


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: _plain_value(value) for key, value in values.items()}


def _plain_value(value: object) -> object:
    match value:
        case datetime():
            return value.isoformat()
        case Decimal():
            return float(value)
        case UUID():
            return str(value)
        case _:
            return value
