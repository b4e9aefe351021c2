"""Brings the control schema of a database up to the version this code was written for.

`schema/migrations/NNNN_name.sql` are applied in order, each in a transaction of its own, one
process at a time, and recorded with a checksum. A file never changes once it was applied
anywhere; a database that knows files this code does not is left alone.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from sqlsync.database import ENGINE_ROLE, Connection, TupleRow, connect, errors, safe_url
from sqlsync.errors import ConfigError

LOCK_KEY = 0x73716C73  # "sqls": the advisory lock of all migrations of a database
_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its name without suffix, its text."""

    number: int
    name: str
    text: bytes

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text).hexdigest()


def load_migrations() -> list[Migration]:
    """The files of this version of sqlsync, in order. Raises ConfigError on a wrong name."""
    found = []
    for file in (files("schema") / "migrations").iterdir():
        if not file.name.endswith(".sql"):
            continue
        match = _NAME.match(file.name)
        if match is None:
            raise ConfigError(f"schema/migrations/{file.name}: the name must be NNNN_words.sql")
        found.append(Migration(int(match[1]), file.name.removesuffix(".sql"), file.read_bytes()))
    found.sort(key=lambda migration: migration.number)
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise ConfigError(f"schema/migrations: numbers must run from 0001 without gaps: {numbers}")
    return found


def migrate(url: str, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Applies what is missing and returns its names; an empty list where nothing was.

    Runs as the login user of `url`, who must be a superuser or may make roles and owns the
    database. Safe to run from several processes at once. Raises ConfigError,
    DatabaseUnavailable.
    """
    wanted = load_migrations() if migrations is None else migrations
    with connect(url) as connection:
        connection.execute("select pg_advisory_lock(%s)", [LOCK_KEY])
        applied = _applied(connection)
        _check_history(wanted, applied, url)
        done = []
        for migration in wanted:
            if migration.number not in applied:
                _apply(connection, migration)
                done.append(migration.name)
        return done


def pending(url: str) -> list[str]:
    """Names of the migrations the database still lacks. Raises as `migrate`."""
    wanted = load_migrations()
    with connect(url) as connection:
        applied = _applied(connection)
        _check_history(wanted, applied, url)
        return [migration.name for migration in wanted if migration.number not in applied]


def _applied(connection: Connection[TupleRow]) -> dict[int, tuple[str, str]]:
    """number -> (name, checksum)"""
    row = connection.execute("select to_regclass('sqlsync.migration') is not null").fetchone()
    if row is None or not row[0]:
        return {}
    rows = connection.execute("select number, name, checksum from sqlsync.migration").fetchall()
    return {number: (name, checksum) for number, name, checksum in rows}


def _check_history(
    wanted: Sequence[Migration], applied: dict[int, tuple[str, str]], url: str
) -> None:
    known = {migration.number: migration for migration in wanted}
    for number, (name, checksum) in sorted(applied.items()):
        migration = known.get(number)
        if migration is None:
            raise ConfigError(
                f"The database {safe_url(url)} is newer than this sqlsync: it has migration"
                f" {name}, which is not known here.",
                hint="Install the version of sqlsync that made it, or a later one.",
            )
        if migration.checksum != checksum:
            raise ConfigError(
                f"schema/migrations/{migration.name}.sql is not the file that was applied to"
                f" {safe_url(url)} (there: {name}).",
                hint="An applied migration never changes: restore it and add a new one.",
            )


def _apply(connection: Connection[TupleRow], migration: Migration) -> None:
    """Applies and records one migration, in one transaction.

    Roles belong to the whole cluster, and other databases of it may be making the same ones
    at this moment, out of reach of our lock; such a collision undoes the transaction and is
    tried again.
    """
    for attempt in range(_ATTEMPTS):
        try:
            with connection.transaction():
                connection.execute(migration.text)
                connection.execute(f"set local role {ENGINE_ROLE}")
                connection.execute(
                    "create table if not exists sqlsync.migration ("
                    " number int primary key, name text not null, checksum text not null,"
                    " applied_at timestamptz not null default clock_timestamp())"
                )
                connection.execute(
                    "insert into sqlsync.migration (number, name, checksum) values (%s, %s, %s)",
                    [migration.number, migration.name, migration.checksum],
                )
            return
        except errors.InsufficientPrivilege as error:
            raise ConfigError(
                f"The user {connection.info.user} of database_url may not set up sqlsync"
                f" ({migration.name}): {error.diag.message_primary}.",
                hint=(
                    "Let a superuser run sqlsync migrate once, or give the user CREATEROLE and"
                    f" the database: alter role {connection.info.user} createrole; alter database"
                    f" {connection.info.dbname} owner to {connection.info.user}"
                ),
            ) from error
        except (errors.UniqueViolation, errors.DuplicateObject, errors.InternalError_) as error:
            # InternalError_ is "tuple concurrently updated", which has no class of its own.
            if attempt == _ATTEMPTS - 1 or not _is_collision(error):
                raise
            time.sleep(0.05)


def _is_collision(error: errors.Error) -> bool:
    message = error.diag.message_primary or ""
    constraint = error.diag.constraint_name or ""
    return "concurrently" in message or constraint.startswith(("pg_auth", "pg_shdep", "pg_db"))


__all__ = ["Migration", "load_migrations", "migrate", "pending"]
