"""What commands do about connections: connect a company, ask for its history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlsync.app.addresses import web_address
from sqlsync.app.databases import install_tables
from sqlsync.app.hands import connector_of, open_hands
from sqlsync.app.running import run
from sqlsync.database import connect_engine
from sqlsync.settings import Settings

if TYPE_CHECKING:
    from sqlsync.providers.connect import Connected


def connect_company(
    settings: Settings,
    url: str,
    *,
    provider: str,
    name: str,
    schema_name: str,
    company_id: str,
    refresh_token: str,
) -> Connected:
    """Connects with a token that somebody has, and makes the tables."""

    async def main() -> Connected:
        async with open_hands(settings, url, "connect") as hands:
            async with connector_of(hands, provider) as connector:
                connected = await connector.connect_with_refresh_token(
                    name=name,
                    schema_name=schema_name,
                    company_id=company_id,
                    refresh_token=refresh_token,
                )
            async with hands.pool.connection() as connection:
                await install_tables(connection, name)
            return connected

    return run(main())


def begin_consent(
    settings: Settings, url: str, *, provider: str, name: str, schema_name: str
) -> str:
    """The provider's page for a person to open. Its answer comes to the web side."""

    async def main() -> str:
        public_url = settings.web.public_url or f"http://{web_address(settings)}"
        async with open_hands(settings, url, "connect") as hands:
            async with connector_of(hands, provider) as connector:
                consent = await connector.begin_connect(
                    name=name,
                    schema_name=schema_name,
                    redirect_uri=f"{public_url}/oauth/callback/{provider}",
                )
            return consent.url

    return run(main())


def request_backfill(settings: Settings, url: str, name: str, object_name: str | None) -> list[str]:
    """Asks the workers to read histories anew; returns the tables. Raises ConfigError."""
    from backfill.requests import request_backfill as request

    async def main() -> list[str]:
        async with await connect_engine(url) as session:
            return await request(session, name, object_name)

    return run(main())
