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
from sqlsync.providers.endpoints import Endpoints, quickbooks_endpoints
from sqlsync.providers.http import HttpClient
from sqlsync.providers.limits import QUICKBOOKS_BUDGET, SIMULATOR_BUDGET, Budget, Limits
from sqlsync.providers.oauth import OAuthClient
from sqlsync.providers.quickbooks.adapter import QuickBooksProvider
from sqlsync.providers.tokens import TokenSource
from sqlsync.settings import QuickBooksSettings
from sqlsync.vault import Vault

_FRESH_SECONDS = 5.0  # how long a connection's row is believed

_COLUMNS = "id, name, provider, schema_name, company_id, state, state_reason"
_BY_SCHEMA = f"select {_COLUMNS} from sqlsync.connection where schema_name = %s"
_BY_ID = f"select {_COLUMNS} from sqlsync.connection where id = %s"


@dataclass(frozen=True, slots=True)
class App:
    """Our app at QuickBooks: where it is, who we are, what we may use up."""

    endpoints: Endpoints
    client_id: str
    client_secret: str
    budget: Budget = QUICKBOOKS_BUDGET

    @classmethod
    def from_settings(cls, settings: QuickBooksSettings) -> App:
        """Raises ConfigError where something is missing or an address is wrong."""
        simulated = settings.environment == "simulator"
        secret = settings.client_secret.get_secret_value() if settings.client_secret else None
        if not simulated and (not settings.client_id or not secret):
            raise ConfigError(
                "providers.quickbooks.client_id and client_secret are not set.",
                hint="They are shown at developer.intuit.com under Keys & credentials.",
            )
        endpoints = quickbooks_endpoints(
            settings.environment,
            api_url=settings.api_url,
            authorize_url=settings.authorize_url,
            token_url=settings.token_url,
            revoke_url=settings.revoke_url,
        )
        return cls(
            endpoints,
            settings.client_id or "simulator",
            secret or "simulator",
            SIMULATOR_BUDGET if simulated else QUICKBOOKS_BUDGET,
        )


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
        clock: Clock | None = None,
        http: HttpClient | None = None,
        write_wait_seconds: float = 30.0,
    ) -> None:
        """catalogs: by provider name. quickbooks: None where it is not set up (then its
        connections raise ConfigError). http: the caller's own, which `close` leaves open."""
        self._pool = pool
        self._vault = vault
        self._catalogs = catalogs
        self._quickbooks = quickbooks
        self._clock = clock or SystemClock()
        self._own_http = http is None
        self._http = http or HttpClient()
        self._write_wait_seconds = write_wait_seconds
        self._providers: dict[int, tuple[str, QuickBooksProvider]] = {}
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
        if found.state not in ("pending", "needs_reauth"):
            self._rows[key] = (monotonic(), found)
        else:
            self._rows.pop(key, None)
        return found

    def _provider(self, row: _Connection) -> Provider:
        if row.company_id is None or row.state == "pending":
            raise NeedsReauth(
                f"The connection {row.name} waits for consent.",
                hint=f"Run: sqlsync connect {row.provider} --name {row.name}",
            )
        if row.state == "needs_reauth":
            raise NeedsReauth(
                f"The connection {row.name} must be connected again: {row.state_reason}",
                hint=f"Run: sqlsync connect {row.provider} --name {row.name}",
            )
        known = self._providers.get(row.id)
        if known is not None and known[0] == row.company_id:
            return known[1]
        provider = self._made(row, row.company_id)
        self._providers[row.id] = (row.company_id, provider)
        return provider

    def _made(self, row: _Connection, company_id: str) -> QuickBooksProvider:
        if row.provider != "quickbooks":
            raise ConfigError(f"Connections to {row.provider} cannot be used yet.")
        app = self._quickbooks
        catalog = self._catalogs.get("quickbooks")
        if app is None or catalog is None:
            raise ConfigError("QuickBooks is not set up: [providers.quickbooks] is missing.")
        oauth = OAuthClient(self._http, app.endpoints, app.client_id, app.client_secret)
        return QuickBooksProvider(
            catalog=catalog,
            http=self._http,
            tokens=TokenSource(self._pool, self._vault, oauth, row.id),
            limits=Limits(
                self._pool,
                f"quickbooks:{company_id}",
                app.budget,
                write_wait_seconds=self._write_wait_seconds,
            ),
            clock=self._clock,
            api_url=app.endpoints.api_url,
            realm_id=company_id,
        )
