"""What every process of the engine works with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlsync.app.databases import CATALOGS
from sqlsync.database import EnginePool, connect_engine, engine_pool
from sqlsync.errors import ConfigError
from sqlsync.migrations import pending
from sqlsync.settings import Settings, secret_key

if TYPE_CHECKING:
    from schema.model import Catalog
    from sqlsync.providers.connect import Connector
    from sqlsync.providers.directory import App, ProviderDirectory
    from sqlsync.vault import Vault


@dataclass(frozen=True)
class Hands:
    """A process' pool, keys, catalogs and providers."""

    settings: Settings
    url: str
    pool: EnginePool
    vault: Vault
    catalogs: Mapping[str, Catalog]
    providers: ProviderDirectory


@asynccontextmanager
async def open_hands(settings: Settings, url: str, name: str) -> AsyncIterator[Hands]:
    """Raises ConfigError or DatabaseUnavailable before anything is begun."""
    from schema.loader import load_catalog
    from sqlsync.providers.directory import ProviderDirectory
    from sqlsync.vault import Vault

    vault = Vault.from_text(secret_key(settings).get_secret_value())
    catalogs = {provider: load_catalog(provider) for provider in CATALOGS}
    app = quickbooks_app(settings)
    # Clear errors now, not the pool's time-out or a missing table later.
    if lacking := await asyncio.to_thread(pending, url):
        raise ConfigError(
            f"The database is not set up for this sqlsync: it lacks {', '.join(lacking)}.",
            hint="Run: sqlsync migrate",
        )
    await (await connect_engine(url)).close()
    async with engine_pool(url, max_size=10, application_name=f"sqlsync {name}") as pool:
        providers = ProviderDirectory(
            pool,
            vault,
            catalogs,
            app,
            write_wait_seconds=settings.proxy.write_deadline_seconds,
        )
        try:
            yield Hands(settings, url, pool, vault, catalogs, providers)
        finally:
            await providers.close()


def quickbooks_app(settings: Settings) -> App | None:
    """None where nothing is set: a simulator whose address is not known. Raises ConfigError."""
    from sqlsync.providers.directory import App

    quickbooks = settings.providers.quickbooks
    if quickbooks.environment == "simulator" and quickbooks.api_url is None:
        return None
    return App.from_settings(quickbooks)


@asynccontextmanager
async def connector_of(hands: Hands, provider: str) -> AsyncIterator[Connector]:
    from sqlsync.providers.connect import Connector
    from sqlsync.providers.http import HttpClient
    from sqlsync.providers.oauth import OAuthClient

    app = quickbooks_app(hands.settings) if provider == "quickbooks" else None
    if app is None:
        raise ConfigError(
            f"{provider} is not set up: [providers.{provider}] lacks api_url or client_id.",
            hint="For a try-out: sqlsync simulate, and its address as api_url.",
        )
    async with HttpClient() as http:
        oauth = OAuthClient(http, app.endpoints, app.client_id, app.client_secret)
        yield Connector(hands.pool, hands.vault, oauth, provider)
