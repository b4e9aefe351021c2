"""The connections of a database: which company, under which name, in which schema.

The register alone. Tokens are the vault's, tables the mirror's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlsync.database import ENGINE_ROLE, Connection, TupleRow, class_row, errors
from sqlsync.errors import ConfigError

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
_RESERVED = frozenset({"sqlsync", "information_schema"})
_COLUMNS = "id, name, provider, schema_name, company_id, state, state_reason"


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


def list_connections(database: Connection[TupleRow]) -> list[ConnectionRow]:
    """All connections, oldest first. Raises ConfigError where the database is not set up."""
    with database.cursor(row_factory=class_row(ConnectionRow)) as cursor:
        try:
            cursor.execute(f"select {_COLUMNS} from sqlsync.connection order by id".encode())
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            raise ConfigError(
                "The database is not set up for sqlsync.", hint="Run: sqlsync migrate"
            ) from None
        return cursor.fetchall()


def find_connection(database: Connection[TupleRow], name: str) -> ConnectionRow:
    """The connection of that name. Raises ConfigError, naming those there are."""
    rows = list_connections(database)
    for row in rows:
        if row.name == name:
            return row
    known = ", ".join(row.name for row in rows)
    raise ConfigError(
        f"There is no connection named {name!r}.",
        hint=f"There are: {known}" if known else "Make one: sqlsync connect quickbooks --name N",
    )


def register_connection(
    database: Connection[TupleRow],
    *,
    name: str,
    provider: str,
    schema_name: str,
    company_id: str | None,
) -> ConnectionRow:
    """Records a connection; one of the same name, provider and schema is taken up again.

    Raises ConfigError where the name, the schema or the company is taken by another one.
    """
    if not _NAME.match(schema_name) or schema_name in _RESERVED or schema_name.startswith("pg_"):
        raise ConfigError(
            f"--schema {schema_name!r} cannot be used: a letter, then letters, digits and _,"
            " in lower case, and none of Postgres' or sqlsync's own."
        )
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise ConfigError("--name must be 1 to 100 printable characters.")
    with database.transaction():
        database.execute(f"set local role {ENGINE_ROLE}".encode())
        for row in list_connections(database):
            if row.name == name:
                return _taken_up(database, row, provider, schema_name, company_id)
            if row.schema_name == schema_name:
                raise ConfigError(
                    f"The schema {schema_name} belongs to the connection {row.name!r}.",
                    hint="Choose another: --schema S",
                )
            if company_id is not None and (row.provider, row.company_id) == (provider, company_id):
                raise ConfigError(
                    f"The company {company_id} is connected already, as {row.name!r}."
                )
        with database.cursor(row_factory=class_row(ConnectionRow)) as cursor:
            cursor.execute(
                "insert into sqlsync.connection (name, provider, schema_name, company_id)"
                f" values (%s, %s, %s, %s) returning {_COLUMNS}".encode(),
                [name, provider, schema_name, company_id],
            )
            (made,) = cursor.fetchall()
            return made


def _taken_up(
    database: Connection[TupleRow],
    row: ConnectionRow,
    provider: str,
    schema_name: str,
    company_id: str | None,
) -> ConnectionRow:
    if (row.provider, row.schema_name) != (provider, schema_name):
        raise ConfigError(
            f"The connection {row.name!r} exists: {row.provider}, schema {row.schema_name}.",
            hint="Choose another: --name N",
        )
    if company_id is not None and row.company_id not in (None, company_id):
        raise ConfigError(
            f"The connection {row.name!r} belongs to the company {row.company_id}.",
            hint="Choose another: --name N --schema S",
        )
    return row
