"""Connecting a company: a person's consent, or a refresh token that is already there.

Writes sqlsync.connection and sqlsync.token. A connection's schema is made elsewhere, when its
objects are chosen. Where the provider's callback does not name the company, the grant is asked
which ones it covers; where it covers several, the tokens are kept and a person chooses.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlsync.database import EngineConnection, EnginePool
from sqlsync.errors import CompanyChoice, ConfigError, NeedsReauth
from sqlsync.providers.companies import Companies, Company, choose
from sqlsync.providers.oauth import OAuthClient, Tokens
from sqlsync.providers.tokens import TokenSource, save_tokens
from sqlsync.vault import Vault

_STATE_LIVES = "1 hour"
_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TAKEN_SCHEMAS = frozenset(
    {"sqlsync", "sqlsync_jobs", "procrastinate", "billing", "information_schema"}
)
_VERIFIER_BYTES = 64  # 86 characters; PKCE takes 43 to 128
# Realm ids are digits at Intuit, tenant ids GUIDs at Xero; a path segment of our own making
# must not be more than this.
_COMPANY = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Consent:
    """A consent under way: the address a person opens."""

    connection_id: int
    url: str
    state: str


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection that may now be used. missing_scopes: asked for and not granted."""

    connection_id: int
    name: str
    schema_name: str
    company_id: str
    missing_scopes: tuple[str, ...] = ()


class Connector:
    """Makes connections of one provider."""

    def __init__(
        self,
        pool: EnginePool,
        vault: Vault,
        oauth: OAuthClient,
        provider: str = "quickbooks",
        companies: Companies | None = None,
    ) -> None:
        """companies: where the callback does not name the company."""
        self._pool = pool
        self._vault = vault
        self._oauth = oauth
        self._provider = provider
        self._companies = companies

    @property
    def callback_names_company(self) -> bool:
        """Whether the consent's answer says which company was chosen (Intuit's realmId)."""
        return self._companies is None

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
            verifier = secrets.token_urlsafe(_VERIFIER_BYTES) if self._oauth.uses_pkce else None
            await connection.execute(
                "delete from sqlsync.oauth_state where created_at <"
                f" clock_timestamp() - interval '{_STATE_LIVES}'"
            )
            await connection.execute(
                "insert into sqlsync.oauth_state (state, connection_id, code_verifier)"
                " values (%s, %s, %s)",
                [state, connection_id, verifier],
            )
        url = self._oauth.authorize_url(
            state=state, redirect_uri=redirect_uri, code_verifier=verifier
        )
        return Consent(connection_id, url, state)

    async def finish_connect(
        self, *, code: str, state: str, realm_id: str | None, redirect_uri: str
    ) -> Connected:
        """What the callback brought. A state is good once.

        realm_id: None where the callback names no company. Raises ConfigError (an unknown or
        old state, another company than before, a company that another connection has),
        CompanyChoice (several: the tokens are kept, see `choose_company`), or what
        OAuthClient.exchange raises.
        """
        if realm_id is not None:
            _check_company(realm_id)
        async with self._pool.connection() as connection:
            row = await (
                await connection.execute(
                    "delete from sqlsync.oauth_state where state = %s"
                    f" and created_at > clock_timestamp() - interval '{_STATE_LIVES}'"
                    " returning connection_id, code_verifier",
                    [state],
                )
            ).fetchone()
            if row is None:
                raise ConfigError(
                    "This consent is not one we asked for, or it is too old.",
                    hint="Run: sqlsync connect",
                )
            connection_id, verifier = row
            if realm_id is not None:
                async with connection.transaction():
                    connected = await self._claimed(connection, connection_id, realm_id)
                    tokens = await self._oauth.exchange(
                        code=code, redirect_uri=redirect_uri, code_verifier=verifier
                    )
                    await save_tokens(connection, self._vault, connection_id, tokens)
                return self._with_scopes(connected, tokens)
        tokens = await self._oauth.exchange(
            code=code, redirect_uri=redirect_uri, code_verifier=verifier
        )
        return await self._settled(connection_id, tokens)

    async def choose_company(self, *, name: str, company_id: str) -> Connected:
        """Says which company a consent that covers several is for. Raises as `finish_connect`."""
        company_id = self._company(company_id)
        async with self._pool.connection() as connection:
            connection_id = await self._known(connection, name)
        source = TokenSource(self._pool, self._vault, self._oauth, connection_id)
        company = await self._chosen(await source.access_token(), connection_id, company_id)
        async with self._pool.connection() as connection, connection.transaction():
            return await self._claimed(connection, connection_id, company.id)

    async def connect_with_refresh_token(
        self, *, name: str, schema_name: str | None = None, company_id: str, refresh_token: str
    ) -> Connected:
        """Connects with a token that somebody already has. It is used at once, to see that it
        works, and replaced by the one that comes back. Raises as the other two."""
        company_id = self._company(company_id)
        if not refresh_token.strip():
            raise ConfigError("The refresh token is empty.")
        async with self._pool.connection() as connection, connection.transaction():
            connection_id, _ = await self._noted(connection, name, schema_name)
            connected = await self._claimed(connection, connection_id, company_id)
            tokens = await self._oauth.refresh(refresh_token.strip())
            if self._companies is not None:
                # A token that is good may be for another company.
                granted = await self._companies.granted(tokens.access_token)
                choose(self._oauth.style.title, granted, wanted=company_id, taken=())
            await save_tokens(connection, self._vault, connection_id, tokens)
        return self._with_scopes(connected, tokens)

    async def disconnect(self, name: str) -> None:
        """Ends our access at the provider, and forgets the tokens. What is mirrored stays.

        Where one grant covers several companies only this one is given back; the grant itself
        goes with the last. Raises ConfigError (no such connection), or what the provider's
        refusal is: then nothing is forgotten. A grant that is gone already is no error.
        """
        async with self._pool.connection() as connection:
            connection_id = await self._known(connection, name)
            row = await (
                await connection.execute(
                    "select c.company_id, t.refresh_token from sqlsync.connection c"
                    " left join sqlsync.token t on t.connection_id = c.id where c.id = %s",
                    [connection_id],
                )
            ).fetchone()
        assert row is not None
        company_id, sealed = row
        if sealed is not None:
            try:
                await self._end_access(connection_id, company_id)
            except NeedsReauth:
                pass
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(
                "delete from sqlsync.token where connection_id = %s", [connection_id]
            )
            await connection.execute(
                "update sqlsync.connection set state = 'pending', state_reason = 'disconnected'"
                " where id = %s",
                [connection_id],
            )

    # -- what a grant covers ---------------------------------------------------------------

    async def _settled(self, connection_id: int, tokens: Tokens) -> Connected:
        """A consent whose company the provider did not name."""
        assert self._companies is not None
        try:
            company = await self._chosen(tokens.access_token, connection_id, None)
        except CompanyChoice:
            async with self._pool.connection() as connection, connection.transaction():
                await save_tokens(connection, self._vault, connection_id, tokens)
            raise
        async with self._pool.connection() as connection, connection.transaction():
            connected = await self._claimed(connection, connection_id, company.id)
            await save_tokens(connection, self._vault, connection_id, tokens)
        return self._with_scopes(connected, tokens)

    async def _chosen(
        self, access_token: str, connection_id: int, company_id: str | None
    ) -> Company:
        assert self._companies is not None
        async with self._pool.connection() as connection:
            rows = await (
                await connection.execute(
                    "select id, company_id from sqlsync.connection"
                    " where provider = %s and company_id is not null",
                    [self._provider],
                )
            ).fetchall()
        present = next((row[1] for row in rows if row[0] == connection_id), None)
        taken = {row[1] for row in rows if row[0] != connection_id}
        wanted = company_id or present
        # What this consent added; one that was granted before is in the whole list alone.
        title = self._oauth.style.title
        granted = await self._companies.granted(access_token, of_this_consent=wanted is None)
        if wanted is None and not granted:
            granted = await self._companies.granted(access_token)
        return choose(title, granted, wanted=wanted, taken=taken)

    async def _end_access(self, connection_id: int, company_id: str | None) -> None:
        source = TokenSource(self._pool, self._vault, self._oauth, connection_id)
        access_token = await source.access_token()
        if self._companies is not None:
            granted = await self._companies.granted(access_token)
            ours = next((c for c in granted if c.id == company_id), None)
            if ours is not None:
                await self._companies.disconnect(access_token, ours)
            if len(granted) > (ours is not None):
                return  # the grant serves others still
        async with self._pool.connection() as connection:
            row = await (
                await connection.execute(
                    "select refresh_token from sqlsync.token where connection_id = %s",
                    [connection_id],
                )
            ).fetchone()
        if row is not None:
            await self._oauth.revoke(self._vault.open(row[0]))

    def _with_scopes(self, connected: Connected, tokens: Tokens) -> Connected:
        granted = set((tokens.scopes or "").split())
        missing = tuple(s for s in self._oauth.style.scopes if s not in granted)
        return replace(connected, missing_scopes=missing)

    def _company(self, company_id: str) -> str:
        """The id as the provider spells it. Raises ConfigError where it can be none."""
        _check_company(company_id)
        return company_id if self._companies is None else company_id.lower()

    # -- rows ------------------------------------------------------------------------------

    async def _known(self, connection: EngineConnection, name: str) -> int:
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
        wanted = ["code", "state", *(["realmId"] if connector.callback_names_company else [])]
        missing = [name for name in wanted if not answer.get(name)]
        if missing:
            raise ConfigError(f"The callback lacks {', '.join(missing)}.")
        connected = await connector.finish_connect(
            code=answer["code"],
            state=answer["state"],
            realm_id=answer["realmId"] if connector.callback_names_company else None,
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
