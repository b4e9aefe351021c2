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
    quickbooks, xero = provider_app(settings, "quickbooks"), provider_app(settings, "xero")
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
            quickbooks,
            xero=xero,
            write_wait_seconds=settings.proxy.write_deadline_seconds,
        )
        try:
            yield Hands(settings, url, pool, vault, catalogs, providers)
        finally:
            await providers.close()


def check_provider(provider: str) -> None:
    """Raises ConfigError where it is none that we know."""
    if provider not in CATALOGS:
        raise ConfigError(f"{provider!r} is not a provider: {' or '.join(CATALOGS)}.")


def provider_app(settings: Settings, provider: str) -> App | None:
    """Our app at a provider; None where nothing is set: a simulator whose address is not known.

    Raises ConfigError: no such provider, or settings that are not enough.
    """
    from sqlsync.providers.directory import App

    check_provider(provider)
    given = getattr(settings.providers, provider)
    if given.environment == "simulator" and given.api_url is None:
        return None
    return App.from_settings(given)


def require_app(settings: Settings, provider: str) -> App:
    """Our app at a provider. Raises ConfigError where it is not set up."""
    app = provider_app(settings, provider)
    if app is None:
        raise ConfigError(
            f'{provider} is not set up: [providers.{provider}] lacks environment = "production"'
            " with client_id, or a simulator's address as api_url.",
            hint=f"For a try-out: sqlsync simulate --{provider} HOST:PORT",
        )
    return app


@asynccontextmanager
async def connector_of(hands: Hands, provider: str) -> AsyncIterator[Connector]:
    """Makes connections of one provider. Raises ConfigError where it is not set up."""
    from sqlsync.providers.connect import Connector
    from sqlsync.providers.http import HttpClient

    app = require_app(hands.settings, provider)
    async with HttpClient() as http:
        yield Connector(
            hands.pool,
            hands.vault,
            app.oauth(http),
            provider,
            app.companies(http),
            app.names(http),
        )
