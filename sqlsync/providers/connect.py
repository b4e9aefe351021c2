"""Connecting a company: a person's consent, or a refresh token that is already there.

Writes sqlsync.connection and sqlsync.token. A connection's schema is made elsewhere, when its
objects are chosen.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from sqlsync.database import EngineConnection, EnginePool
from sqlsync.errors import ConfigError
from sqlsync.providers.oauth import OAuthClient
from sqlsync.providers.tokens import save_tokens
from sqlsync.vault import Vault

_STATE_LIVES = "1 hour"
_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TAKEN_SCHEMAS = frozenset(
    {"sqlsync", "sqlsync_jobs", "procrastinate", "billing", "information_schema"}
)
# Realm ids are digits at Intuit; a path segment of our own making must not be more than this.
_COMPANY = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Consent:
    """A consent under way: the address a person opens."""

    connection_id: int
    url: str
    state: str


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection that may now be used."""

    connection_id: int
    name: str
    schema_name: str
    company_id: str


class Connector:
    """Makes connections of one provider."""

    def __init__(
        self, pool: EnginePool, vault: Vault, oauth: OAuthClient, provider: str = "quickbooks"
    ) -> None:
        self._pool = pool
        self._vault = vault
        self._oauth = oauth
        self._provider = provider

    async def begin_connect(
        self, *, name: str, schema_name: str | None = None, redirect_uri: str
    ) -> Consent:
        """Notes the connection (a known name: it is connected again) and where to consent.

        Raises ConfigError: a bad name or schema, a schema that another connection has, a name
        that belongs to another provider or schema.
        """
        async with self._pool.connection() as connection, connection.transaction():
            connection_id, _ = await self._noted(connection, name, schema_name)
            state = secrets.token_urlsafe(32)
            await connection.execute(
                "delete from sqlsync.oauth_state where created_at <"
                f" clock_timestamp() - interval '{_STATE_LIVES}'"
            )
            await connection.execute(
                "insert into sqlsync.oauth_state (state, connection_id) values (%s, %s)",
                [state, connection_id],
            )
        url = self._oauth.authorize_url(state=state, redirect_uri=redirect_uri)
        return Consent(connection_id, url, state)

    async def finish_connect(
        self, *, code: str, state: str, realm_id: str, redirect_uri: str
    ) -> Connected:
        """What the callback brought. A state is good once.

        Raises ConfigError (an unknown or old state, another company than before, a company
        that another connection has), or what OAuthClient.exchange raises.
        """
        _check_company(realm_id)
        async with self._pool.connection() as connection:
            row = await (
                await connection.execute(
                    "delete from sqlsync.oauth_state where state = %s"
                    f" and created_at > clock_timestamp() - interval '{_STATE_LIVES}'"
                    " returning connection_id",
                    [state],
                )
            ).fetchone()
            if row is None:
                raise ConfigError(
                    "This consent is not one we asked for, or it is too old.",
                    hint="Run: sqlsync connect",
                )
            async with connection.transaction():
                connected = await self._claimed(connection, row[0], realm_id)
                tokens = await self._oauth.exchange(code=code, redirect_uri=redirect_uri)
                await save_tokens(connection, self._vault, connected.connection_id, tokens)
        return connected

    async def connect_with_refresh_token(
        self, *, name: str, schema_name: str | None = None, company_id: str, refresh_token: str
    ) -> Connected:
        """Connects with a token that somebody already has. It is used at once, to see that it
        works, and replaced by the one that comes back. Raises as the other two."""
        _check_company(company_id)
        if not refresh_token.strip():
            raise ConfigError("The refresh token is empty.")
        async with self._pool.connection() as connection, connection.transaction():
            connection_id, _ = await self._noted(connection, name, schema_name)
            connected = await self._claimed(connection, connection_id, company_id)
            tokens = await self._oauth.refresh(refresh_token.strip())
            await save_tokens(connection, self._vault, connection_id, tokens)
        return connected

    async def _noted(
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

    async def _claimed(
        self, connection: EngineConnection, connection_id: int, company_id: str
    ) -> Connected:
        """The connection with its company. It stays with that company for good."""
        row = await (
            await connection.execute(
                "select name, schema_name, company_id from sqlsync.connection where id = %s"
                " for update",
                [connection_id],
            )
        ).fetchone()
        if row is None:
            raise ConfigError("The connection was removed meanwhile.")
        name, schema_name, present = row
        if present is not None and present != company_id:
            raise ConfigError(
                f"The connection {name} is for company {present}, not {company_id}.",
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
            raise ConfigError(f"Company {company_id} is connected already, as {other[0]}.")
        await connection.execute(
            "update sqlsync.connection set company_id = %s, state_reason = null,"
            " state = case when state in ('pending', 'needs_reauth') then 'connected'"
            " else state end where id = %s",
            [company_id, connection_id],
        )
        return Connected(connection_id, name, schema_name, company_id)


class Consents:
    """Consents as a web page has them: an address to go to, and a callback's query."""

    def __init__(self, connectors: Mapping[str, Connector], public_url: str) -> None:
        """connectors: by provider. public_url: of the web side, as browsers see it."""
        self._connectors = connectors
        self._public_url = public_url.rstrip("/")

    async def begin(self, provider: str, name: str) -> str:
        """The provider's address to send the person to. Raises as `begin_connect`."""
        consent = await self._connector(provider).begin_connect(
            name=name, redirect_uri=self._redirect_uri(provider)
        )
        return consent.url

    async def finish(self, provider: str, answer: Mapping[str, str]) -> str:
        """Takes the callback's query; returns the connection's name.

        Raises ConfigError where the person said no or the query is not a consent's, or as
        `finish_connect`.
        """
        connector = self._connector(provider)
        if "error" in answer:
            said_no = answer["error"] == "access_denied"
            raise ConfigError(
                "The consent was refused."
                if said_no
                else f"The provider did not ask for consent: {answer['error'][:100]}"
            )
        missing = [name for name in ("code", "state", "realmId") if not answer.get(name)]
        if missing:
            raise ConfigError(f"The callback lacks {', '.join(missing)}.")
        connected = await connector.finish_connect(
            code=answer["code"],
            state=answer["state"],
            realm_id=answer["realmId"],
            redirect_uri=self._redirect_uri(provider),
        )
        return connected.name

    def _connector(self, provider: str) -> Connector:
        found = self._connectors.get(provider)
        if found is None:
            raise ConfigError(f"{provider!r} cannot be connected.")
        return found

    def _redirect_uri(self, provider: str) -> str:
        return f"{self._public_url}/oauth/callback/{provider}"


def _check_schema(schema_name: str) -> None:
    if not _SCHEMA.fullmatch(schema_name):
        raise ConfigError(
            f"{schema_name!r} is not a schema name: a letter, then letters, digits and _,"
            " in lower case, at most 63."
        )
    if schema_name in _TAKEN_SCHEMAS or schema_name.startswith("pg_"):
        raise ConfigError(f"The schema {schema_name} is not for connections.")


def _check_company(company_id: str) -> None:
    if not _COMPANY.fullmatch(company_id):
        raise ConfigError(f"{company_id!r} is not a company id.")
