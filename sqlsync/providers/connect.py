"""Connecting a company: a person's consent, or a refresh token that is already there.

Writes sqlsync.connection, sqlsync.token and sqlsync.consent. A connection's schema is made
elsewhere, when its objects are chosen. Where the provider's callback does not name the company,
the grant is asked which ones it covers; where it covers several, the tokens are kept and a
person chooses. A name that was never connected is free again when its consent came to nothing.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass, replace

from sqlsync.database import EngineConnection, EnginePool, PoolTimeout, errors
from sqlsync.errors import (
    CompanyChoice,
    ConfigError,
    ConsentRefused,
    DatabaseUnavailable,
    NeedsReauth,
    ProviderError,
    SqlsyncError,
)
from sqlsync.providers.claims import Claims, Connected, check_company
from sqlsync.providers.companies import Companies, Company, CompanyNames, choose
from sqlsync.providers.consents import (
    EndedConsent,
    OpenConsent,
    Outcome,
    chosen_consent,
    end_consent,
    look_at_consent,
    open_consent,
    take_consent,
)
from sqlsync.providers.oauth import OAuthClient, Tokens
from sqlsync.providers.states import DISCONNECTED
from sqlsync.providers.tokens import TokenSource, lock_tokens, save_tokens
from sqlsync.vault import Vault

_VERIFIER_BYTES = 64  # 86 characters; PKCE takes 43 to 128


@dataclass(frozen=True, slots=True)
class Consent:
    """A consent under way: the address a person opens."""

    connection_id: int
    url: str
    state: str


class Connector:
    """Makes connections of one provider."""

    def __init__(
        self,
        pool: EnginePool,
        vault: Vault,
        oauth: OAuthClient,
        provider: str = "quickbooks",
        companies: Companies | None = None,
        names: CompanyNames | None = None,
    ) -> None:
        """companies: where the callback does not name the company; names: where it does."""
        self._pool = pool
        self._vault = vault
        self._oauth = oauth
        self._provider = provider
        self._claims = Claims(provider)
        self._companies = companies
        self._names = names

    @property
    def title(self) -> str:
        """The provider's name, as people know it."""
        return self._oauth.style.title

    @property
    def callback_names_company(self) -> bool:
        """Whether the consent's answer says which company was chosen (Intuit's realmId)."""
        return self._companies is None

    # -- consents --------------------------------------------------------------------------

    async def begin_connect(
        self,
        *,
        name: str,
        schema_name: str | None = None,
        redirect_uri: str,
        company_id: str | None = None,
    ) -> Consent:
        """Notes the connection (a known name: it is connected again) and where to consent.

        company_id: the only company that will do. Raises ConfigError: a bad name or schema, a
        schema that another connection has, a name that belongs to another provider or schema.
        """
        if company_id is not None:
            company_id = self._company(company_id)
        verifier = secrets.token_urlsafe(_VERIFIER_BYTES) if self._oauth.uses_pkce else None
        async with self._pool.connection() as connection, connection.transaction():
            connection_id, _ = await self._claims.noted(connection, name, schema_name)
            state = await open_consent(
                connection,
                self._vault,
                provider=self._provider,
                connection_id=connection_id,
                name=name,
                redirect_uri=redirect_uri,
                code_verifier=verifier,
                company_id=company_id,
            )
        url = self._oauth.authorize_url(
            state=state, redirect_uri=redirect_uri, code_verifier=verifier
        )
        return Consent(connection_id, url, state)

    async def finish_connect(self, *, code: str, state: str, realm_id: str | None) -> Connected:
        """What the callback brought. A state is good once.

        realm_id: None where the callback names no company. Raises ConsentRefused (a state that
        is unknown, old or used, another company than before, a scope that must not lack),
        ConfigError (a company that another connection has), CompanyChoice (several: the tokens
        are kept, see `choose_company`), or what OAuthClient.exchange raises.
        """
        consent = await self._taken(state)
        try:
            if realm_id is not None:
                check_company(realm_id)
            connected = await self._exchanged(consent, code, realm_id)
        except CompanyChoice as choice:
            await self._end(consent, state, Outcome.CHOOSE, choice)
            raise
        except SqlsyncError as error:
            failed = isinstance(error, ProviderError)
            await self._end(consent, state, Outcome.FAILED if failed else Outcome.REFUSED, error)
            raise
        except errors.Error as error:
            # Whoever waits must hear of it, if Postgres takes it.
            words = DatabaseUnavailable(f"The connection could not be noted: {error}")
            with suppress(errors.Error, PoolTimeout):
                await self._end(consent, state, Outcome.FAILED, words)
            raise words from error
        await self._end(consent, state, Outcome.CONNECTED, missing=connected.missing_scopes)
        return connected

    async def refuse(self, *, state: str, error: ConsentRefused) -> None:
        """The callback brought a refusal. Raises ConsentRefused where the state is not good."""
        consent = await self._taken(state)
        await self._end(consent, state, Outcome.REFUSED, error)

    async def withdraw(self, state: str) -> None:
        """Nobody waits for this consent any more; a callback that comes later does nothing."""
        async with self._pool.connection() as connection, connection.transaction():
            if await end_consent(connection, state, Outcome.WITHDRAWN):
                await self._claims.forget_unused(connection)

    async def outcome(self, state: str) -> EndedConsent | None:
        """How a consent ended; None while it has not."""
        async with self._pool.connection() as connection:
            return await look_at_consent(connection, state)

    async def choose_company(self, *, state: str, company_id: str) -> Connected:
        """Says which company a consent that covers several is for. Raises as `finish_connect`."""
        async with self._pool.connection() as connection:
            consent = await chosen_consent(connection, provider=self._provider, state=state)
        source = TokenSource(self._pool, self._vault, self._oauth, consent.connection_id)
        access_token = await source.access_token()
        company = await self._chosen(access_token, consent.connection_id, self._company(company_id))
        async with self._pool.connection() as connection, connection.transaction():
            connected = await self._claims.claimed(
                connection, consent.connection_id, company.id, company.name
            )
            row = await (
                await connection.execute(
                    "select scopes_missing from sqlsync._sync_connection where name = %s",
                    [connected.name],
                )
            ).fetchone()
            missing = tuple(row[0] or ()) if row else ()
            await end_consent(connection, state, Outcome.CONNECTED, missing_scopes=missing)
        return replace(connected, missing_scopes=missing)

    # -- without a consent, and the end --------------------------------------------------------

    async def connect_with_refresh_token(
        self, *, name: str, schema_name: str | None = None, company_id: str, refresh_token: str
    ) -> Connected:
        """Connects with a token that somebody already has. It is used at once, to see that it
        works, and replaced by the one that comes back. Raises as the other two."""
        company_id = self._company(company_id)
        if not refresh_token.strip():
            raise ConfigError("The refresh token is empty.")
        async with self._pool.connection() as connection, connection.transaction():
            await lock_tokens(connection, name)
            connection_id, _ = await self._claims.noted(connection, name, schema_name)
            await self._claims.claimed(connection, connection_id, company_id)
            tokens = await self._oauth.refresh(refresh_token.strip())
            self._oauth.require_scopes(tokens)
            company_name: str | None = await self._name(tokens, company_id)
            return await self._saved(connection, connection_id, company_id, company_name, tokens)

    async def disconnect(self, name: str, *, tell_provider: bool = True) -> None:
        """Ends our access at the provider, and forgets the tokens. What is mirrored stays.

        Where one grant covers several companies only this one is given back; the grant itself
        goes with the last. tell_provider False: the provider is not asked, only forgotten.
        Raises ConfigError (no such connection), or what the provider's refusal is: then nothing
        is forgotten. A grant that is gone already is no error.
        """
        async with self._pool.connection() as connection:
            connection_id = await self._claims.known(connection, name)
            row = await (
                await connection.execute(
                    "select c.company_id, t.refresh_token from sqlsync.connection c"
                    " left join sqlsync.token t on t.connection_id = c.id where c.id = %s",
                    [connection_id],
                )
            ).fetchone()
        assert row is not None
        company_id, sealed = row
        if sealed is not None and tell_provider:
            try:
                await self._end_access(connection_id, company_id)
            except NeedsReauth:
                pass
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(
                "delete from sqlsync.token where connection_id = %s", [connection_id]
            )
            await connection.execute(
                "update sqlsync.connection set state = 'pending', state_reason = %s,"
                " paused_at = null where id = %s",
                [DISCONNECTED, connection_id],
            )

    # -- how a consent ends ------------------------------------------------------------------

    async def _taken(self, state: str) -> OpenConsent:
        async with self._pool.connection() as connection:
            return await take_consent(connection, self._vault, provider=self._provider, state=state)

    async def _end(
        self,
        consent: OpenConsent,
        state: str,
        outcome: Outcome,
        error: SqlsyncError | None = None,
        missing: tuple[str, ...] = (),
    ) -> None:
        async with self._pool.connection() as connection, connection.transaction():
            await end_consent(
                connection,
                state,
                outcome,
                message=error.message if error is not None else None,
                hint=error.hint if error is not None else None,
                missing_scopes=missing,
            )
            if outcome in (Outcome.REFUSED, Outcome.FAILED):
                await self._claims.forget_unused(connection)

    async def _exchanged(self, consent: OpenConsent, code: str, realm_id: str | None) -> Connected:
        """The code's tokens, kept with their company. Raises as `finish_connect`."""
        if realm_id is not None:
            await self._check_meant(consent, realm_id)
        tokens = await self._oauth.exchange(
            code=code, redirect_uri=consent.redirect_uri, code_verifier=consent.code_verifier
        )
        self._oauth.require_scopes(tokens)
        if realm_id is None:
            company = await self._company_of(consent, tokens)
            company_id = company.id
            company_name: str | None = company.name
        else:
            company_id, company_name = realm_id, await self._name(tokens, realm_id)
        async with self._pool.connection() as connection, connection.transaction():
            await lock_tokens(connection, consent.name)
            return await self._saved(
                connection, consent.connection_id, company_id, company_name, tokens
            )

    async def _check_meant(self, consent: OpenConsent, realm_id: str) -> None:
        """Before the code is spent: is it the company that the connection is for?"""
        if consent.company_id is not None and consent.company_id != realm_id:
            raise ConsentRefused(
                f"The consent is for company {realm_id}, not {consent.company_id}.",
                hint="Choose that company when you consent.",
            )
        async with self._pool.connection() as connection, connection.transaction():
            await self._claims.check(connection, consent.connection_id, realm_id)

    async def _name(self, tokens: Tokens, company_id: str) -> str | None:
        """What the company is called, where the token opens its books; raises where it does not.

        A provider that cannot be asked just now leaves the name open.
        """
        if self._companies is not None:
            # A token that is good may be for another company.
            granted = await self._companies.granted(tokens.access_token)
            return choose(self._oauth.style.title, granted, wanted=company_id, taken=()).name
        if self._names is None:
            return None
        try:
            return await self._names.name_of(tokens.access_token, company_id)
        except ProviderError:
            return None

    async def _saved(
        self,
        connection: EngineConnection,
        connection_id: int,
        company_id: str,
        company_name: str | None,
        tokens: Tokens,
    ) -> Connected:
        missing = self._oauth.missing_scopes(tokens)
        connected = await self._claims.claimed(
            connection, connection_id, company_id, company_name, missing=missing
        )
        await save_tokens(connection, self._vault, connection_id, tokens, missing=missing)
        return connected

    async def _company_of(self, consent: OpenConsent, tokens: Tokens) -> Company:
        """The company of a consent whose callback named none."""
        try:
            return await self._chosen(
                tokens.access_token, consent.connection_id, consent.company_id
            )
        except CompanyChoice:
            async with self._pool.connection() as connection, connection.transaction():
                await save_tokens(
                    connection,
                    self._vault,
                    consent.connection_id,
                    tokens,
                    missing=self._oauth.missing_scopes(tokens),
                )
            raise

    # -- what a grant covers ---------------------------------------------------------------

    async def _chosen(
        self, access_token: str, connection_id: int, company_id: str | None
    ) -> Company:
        assert self._companies is not None
        async with self._pool.connection() as connection:
            rows = await (
                await connection.execute(
                    "select id, company_id, company_name from sqlsync.connection"
                    " where provider = %s and company_id is not null",
                    [self._provider],
                )
            ).fetchall()
        present = next((row[1] for row in rows if row[0] == connection_id), None)
        taken = {row[1] for row in rows if row[0] != connection_id}
        if present is not None and company_id is not None and present != company_id:
            raise ConsentRefused(f"The connection is for company {present}, not {company_id}.")
        wanted = company_id or present
        # What this consent added; one that was granted before is in the whole list alone.
        title = self._oauth.style.title
        granted = await self._companies.granted(access_token, of_this_consent=wanted is None)
        if wanted is None and not granted:
            granted = await self._companies.granted(access_token)
        wanted_name = next((row[2] for row in rows if row[1] == wanted), None)
        return choose(title, granted, wanted=wanted, wanted_name=wanted_name, taken=taken)

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

    def _company(self, company_id: str) -> str:
        """The id as the provider spells it. Raises ConfigError where it can be none."""
        check_company(company_id)
        return company_id if self._companies is None else company_id.lower()
