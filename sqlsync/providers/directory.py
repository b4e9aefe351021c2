"""Which provider serves which connection: one Provider object per connection and process.

The only place that puts an adapter together from settings, tokens, limits and catalogs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from schema.model import Catalog
from sqlsync.clock import Clock, SystemClock
from sqlsync.database import EnginePool
from sqlsync.errors import ConfigError, NeedsReauth
from sqlsync.providers.base import Provider
from sqlsync.providers.companies import Companies, CompanyNames
from sqlsync.providers.endpoints import Endpoints, provider_endpoints
from sqlsync.providers.http import HttpClient
from sqlsync.providers.limits import (
    QUICKBOOKS_BUDGET,
    SIMULATOR_BUDGET,
    XERO_BUDGET,
    XERO_SIMULATOR_BUDGET,
    Budget,
    Limits,
)
from sqlsync.providers.oauth import QUICKBOOKS_OAUTH, XERO_OAUTH, OAuthClient, OAuthStyle
from sqlsync.providers.quickbooks.adapter import QuickBooksProvider
from sqlsync.providers.quickbooks.company import QuickBooksNames
from sqlsync.providers.states import DISCONNECTED, USABLE, ConnectionState
from sqlsync.providers.tokens import TokenSource
from sqlsync.providers.xero.adapter import XeroProvider
from sqlsync.providers.xero.connections import XeroCompanies
from sqlsync.settings import QuickBooksSettings, XeroSettings
from sqlsync.vault import Vault

_SIMULATED = "simulator"  # id and secret of an app that only a simulator knows
_FRESH_SECONDS = 5.0  # how long a connection's row is believed

_COLUMNS = "id, name, provider, schema_name, company_id, state, state_reason"
_BY_SCHEMA = f"select {_COLUMNS} from sqlsync.connection where schema_name = %s"
_BY_ID = f"select {_COLUMNS} from sqlsync.connection where id = %s"


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is particular to the apps of one provider."""

    style: OAuthStyle
    budget: Budget
    simulated_budget: Budget
    where: str  # a person finds id and secret
    needs_secret: bool


_KINDS = {
    "quickbooks": _Kind(
        QUICKBOOKS_OAUTH,
        QUICKBOOKS_BUDGET,
        SIMULATOR_BUDGET,
        "developer.intuit.com under Keys & credentials",
        needs_secret=True,
    ),
    "xero": _Kind(
        XERO_OAUTH,
        XERO_BUDGET,
        XERO_SIMULATOR_BUDGET,
        "developer.xero.com under My apps, Configuration",
        needs_secret=False,  # an app without one uses PKCE
    ),
}


@dataclass(frozen=True, slots=True)
class App:
    """Our app at a provider: where it is, who we are, what we may use up."""

    endpoints: Endpoints
    client_id: str
    client_secret: str | None
    budget: Budget = QUICKBOOKS_BUDGET
    style: OAuthStyle = QUICKBOOKS_OAUTH

    @classmethod
    def from_settings(cls, settings: QuickBooksSettings | XeroSettings) -> App:
        """Raises ConfigError where something is missing or an address is wrong."""
        provider = "xero" if isinstance(settings, XeroSettings) else "quickbooks"
        kind = _KINDS[provider]
        simulated = settings.environment == "simulator"
        secret = settings.client_secret.get_secret_value() if settings.client_secret else None
        if not simulated and (not settings.client_id or (kind.needs_secret and not secret)):
            what = "client_id and client_secret are" if kind.needs_secret else "client_id is"
            raise ConfigError(
                f"providers.{provider}.{what} not set.", hint=f"Shown at {kind.where}."
            )
        endpoints = provider_endpoints(
            provider,
            settings.environment,
            api_url=settings.api_url,
            authorize_url=settings.authorize_url,
            token_url=settings.token_url,
            revoke_url=settings.revoke_url,
        )
        # A simulator takes any app. One that has an id and no secret tries PKCE there too.
        if simulated and not secret and (kind.needs_secret or not settings.client_id):
            secret = _SIMULATED
        return cls(
            endpoints,
            settings.client_id or _SIMULATED,
            secret,
            kind.simulated_budget if simulated else kind.budget,
            kind.style,
        )

    def oauth(self, http: HttpClient) -> OAuthClient:
        """The app's door to the provider's token service."""
        return OAuthClient(
            http, self.endpoints, self.client_id, self.client_secret, style=self.style
        )

    def companies(self, http: HttpClient) -> Companies | None:
        """Who tells which companies a grant covers; None where the callback does."""
        if self.style.provider == "xero":
            return XeroCompanies(http, self.endpoints.api_url)
        return None

    def names(self, http: HttpClient) -> CompanyNames | None:
        """Who tells what a company is called, where its list does not."""
        if self.style.provider == "quickbooks":
            return QuickBooksNames(http, self.endpoints.api_url)
        return None


@dataclass(frozen=True, slots=True)
class _Connection:
    id: int
    name: str
    provider: str
    schema_name: str
    company_id: str | None
    state: str
    state_reason: str | None


class ProviderDirectory:
    """Providers by connection. Close it with `close`; it owns its HTTP connections."""

    def __init__(
        self,
        pool: EnginePool,
        vault: Vault,
        catalogs: Mapping[str, Catalog],
        quickbooks: App | None,
        *,
        xero: App | None = None,
        clock: Clock | None = None,
        http: HttpClient | None = None,
        write_wait_seconds: float = 30.0,
    ) -> None:
        """catalogs: by provider name. quickbooks, xero: None where it is not set up (then its
        connections raise ConfigError). http: the caller's own, which `close` leaves open."""
        self._pool = pool
        self._vault = vault
        self._catalogs = catalogs
        self._apps = {"quickbooks": quickbooks, "xero": xero}
        self._clock = clock or SystemClock()
        self._own_http = http is None
        self._http = http or HttpClient()
        self._write_wait_seconds = write_wait_seconds
        self._providers: dict[int, tuple[str, Provider]] = {}
        self._rows: dict[object, tuple[float, _Connection]] = {}

    async def for_schema(self, schema_name: str) -> Provider:
        """The provider behind a schema's tables.

        Raises ConfigError (no such connection, or the provider is not set up), NeedsReauth (a
        person must connect first, or again).
        """
        return self._provider(await self._row(_BY_SCHEMA, schema_name))

    async def for_connection(self, connection_id: int) -> Provider:
        """The provider of a connection, by its id. Raises as `for_schema`."""
        return self._provider(await self._row(_BY_ID, connection_id))

    async def close(self) -> None:
        if self._own_http:
            await self._http.aclose()

    async def _row(self, query: str, key: Any) -> _Connection:
        known = self._rows.get(key)
        if known is not None and monotonic() - known[0] < _FRESH_SECONDS:
            return known[1]
        async with self._pool.connection() as connection:
            row = await (await connection.execute(query.encode(), [key])).fetchone()
        if row is None:
            self._rows.pop(key, None)
            raise ConfigError(
                f"There is no connection with schema {key!r}."
                if isinstance(key, str)
                else f"There is no connection {key}.",
                hint="Run: sqlsync connect",
            )
        found = _Connection(*row)
        if found.state in USABLE:
            self._rows[key] = (monotonic(), found)
        else:
            self._rows.pop(key, None)
        return found

    def _provider(self, row: _Connection) -> Provider:
        if row.state not in USABLE or row.company_id is None:
            raise self._not_connected(row)
        known = self._providers.get(row.id)
        if known is not None and known[0] == row.company_id:
            return known[1]
        provider = self._made(row, row.company_id)
        self._providers[row.id] = (row.company_id, provider)
        return provider

    def _not_connected(self, row: _Connection) -> NeedsReauth:
        """Why nothing can be asked of the connection, and what to do. Tables stay readable."""
        if row.state == ConnectionState.NEEDS_REAUTH:
            why = f"must be connected again: {row.state_reason}"
        elif row.state_reason == DISCONNECTED:
            why = "is disconnected: reconnect needed."
        else:
            why = "waits for consent."
        return NeedsReauth(
            f"[{_KINDS[row.provider].style.title}] The connection {row.name} {why}",
            hint=f"Run: sqlsync connect {row.provider} --name {row.name}",
        )

    def _made(self, row: _Connection, company_id: str) -> Provider:
        app = self._apps.get(row.provider)
        catalog = self._catalogs.get(row.provider)
        if app is None or catalog is None:
            title = _KINDS[row.provider].style.title
            raise ConfigError(f"{title} is not set up: [providers.{row.provider}] is missing.")
        tokens = TokenSource(self._pool, self._vault, app.oauth(self._http), row.id)
        limits = Limits(
            self._pool,
            f"{row.provider}:{company_id}",
            app.budget,
            write_wait_seconds=self._write_wait_seconds,
        )
        if row.provider == "xero":
            return XeroProvider(
                catalog=catalog,
                http=self._http,
                tokens=tokens,
                limits=limits,
                api_url=app.endpoints.api_url,
                tenant_id=company_id,
                companies=app.companies(self._http),
            )
        return QuickBooksProvider(
            catalog=catalog,
            http=self._http,
            tokens=tokens,
            limits=limits,
            clock=self._clock,
            api_url=app.endpoints.api_url,
            realm_id=company_id,
        )
