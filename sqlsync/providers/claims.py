"""Which company a connection stands for: the rows of sqlsync.connection.

A name belongs to one provider and one schema, a company to one connection, all for good.
Callers keep the transaction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlsync.database import EngineConnection, errors
from sqlsync.errors import ConfigError, ConsentRefused
from sqlsync.providers.states import AFTER_CONSENT

_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TAKEN_SCHEMAS = frozenset(
    {"sqlsync", "sqlsync_jobs", "procrastinate", "billing", "information_schema"}
)
# Realm ids are digits at Intuit, tenant ids GUIDs at Xero; a path segment of our own making
# must not be more than this.
_COMPANY = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection that may now be used. missing_scopes: asked for and not granted."""

    connection_id: int
    name: str
    schema_name: str
    company_id: str
    company_name: str | None = None
    missing_scopes: tuple[str, ...] = ()


class Claims:
    """The connections of one provider."""

    def __init__(self, provider: str) -> None:
        self._provider = provider

    async def known(self, connection: EngineConnection, name: str) -> int:
        row = await (
            await connection.execute(
                "select id from sqlsync.connection where name = %s and provider = %s",
                [name, self._provider],
            )
        ).fetchone()
        if row is None:
            raise ConfigError(
                f"There is no connection {name} to {self._provider}.", hint="Run: sqlsync connect"
            )
        found: int = row[0]
        return found

    async def noted(
        self, connection: EngineConnection, name: str, schema_name: str | None
    ) -> tuple[int, str]:
        """The connection's id and schema; made where the name is new."""
        if not name.strip() or len(name) > 100 or not name.isprintable():
            raise ConfigError("A connection's name is 1 to 100 printable characters.")
        known = await (
            await connection.execute(
                "select id, provider, schema_name from sqlsync.connection where name = %s"
                " for update",
                [name],
            )
        ).fetchone()
        if known is not None:
            if known[1] != self._provider:
                raise ConfigError(f"The connection {name} belongs to {known[1]}.")
            if schema_name is not None and schema_name != known[2]:
                raise ConfigError(
                    f"The connection {name} has the schema {known[2]}; it cannot be changed."
                )
            return known[0], known[2]
        schema_name = schema_name if schema_name is not None else self._provider
        _check_schema(schema_name)
        made = await (
            await connection.execute(
                "insert into sqlsync.connection (name, provider, schema_name)"
                " values (%s, %s, %s) on conflict do nothing returning id",
                [name, self._provider, schema_name],
            )
        ).fetchone()
        if made is None:
            raise ConfigError(
                f"The schema {schema_name} belongs to another connection.",
                hint="Give this one its own: --schema NAME",
            )
        return made[0], schema_name

    async def claimed(
        self,
        connection: EngineConnection,
        connection_id: int,
        company_id: str,
        company_name: str | None = None,
        *,
        missing: tuple[str, ...] = (),
    ) -> Connected:
        """The connection with its company. It stays with that company for good."""
        name, schema_name = await self.check(connection, connection_id, company_id)
        try:
            await connection.execute(
                "update sqlsync.connection set company_id = %s,"
                " company_name = coalesce(%s, company_name), state_reason = null,"
                f" connected_at = clock_timestamp(), state = {AFTER_CONSENT}"
                " where id = %s".encode(),
                [company_id, company_name, connection_id],
            )
        except errors.UniqueViolation as error:
            raise ConfigError(
                f"Company {company_id} was connected under another name just now.",
                hint="Run: sqlsync status",
            ) from error
        return Connected(connection_id, name, schema_name, company_id, company_name, missing)

    async def check(
        self, connection: EngineConnection, connection_id: int, company_id: str
    ) -> tuple[str, str]:
        """The connection's name and schema, if it may be for this company. Locks its row."""
        row = await (
            await connection.execute(
                "select name, schema_name, company_id, company_name from sqlsync.connection"
                " where id = %s for update",
                [connection_id],
            )
        ).fetchone()
        if row is None:
            raise ConsentRefused("The connection was removed meanwhile.")
        name, schema_name, present, present_name = row
        if present is not None and present != company_id:
            known = f"{present_name} ({present})" if present_name else present
            raise ConfigError(
                f"The connection {name} is for company {known}, not {company_id}.",
                hint="Choose that company when you consent, or make a new connection.",
            )
        other = await (
            await connection.execute(
                "select name from sqlsync.connection"
                " where provider = %s and company_id = %s and id <> %s",
                [self._provider, company_id, connection_id],
            )
        ).fetchone()
        if other is not None:
            raise ConfigError(
                f"Company {company_id} is connected already, as {other[0]}.",
                hint=f"Run: sqlsync connect {self._provider} --name {other[0]}",
            )
        return name, schema_name

    async def forget_unused(self, connection: EngineConnection) -> None:
        """Names that were never connected and for which nobody may consent any more."""
        await connection.execute(
            "delete from sqlsync.connection c where c.state = 'pending' and c.company_id is null"
            " and c.provider = %s"
            " and not exists (select from sqlsync.token t where t.connection_id = c.id)"
            " and exists (select from sqlsync.consent s where s.connection_id = c.id)"
            " and not exists (select from sqlsync.consent s where s.connection_id = c.id"
            "  and s.ended_at is null and s.created_at > clock_timestamp() - interval '1 hour')",
            [self._provider],
        )


def _check_schema(schema_name: str) -> None:
    if not _SCHEMA.fullmatch(schema_name):
        raise ConfigError(
            f"{schema_name!r} is not a schema name: a letter, then letters, digits and _,"
            " in lower case, at most 63."
        )
    if schema_name in _TAKEN_SCHEMAS or schema_name.startswith("pg_"):
        raise ConfigError(f"The schema {schema_name} is not for connections.")


def check_company(company_id: str) -> None:
    if not _COMPANY.fullmatch(company_id):
        raise ConfigError(f"{company_id!r} is not a company id.")
