"""What commands do about connections: connect a company, end or pause that, ask for its history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlsync.app.databases import install_tables
from sqlsync.app.hands import Hands, connector_of, open_hands
from sqlsync.app.running import run
from sqlsync.database import connect_engine
from sqlsync.errors import ConsentRefused
from sqlsync.settings import Settings

if TYPE_CHECKING:
    from sqlsync.providers.claims import Connected
    from sqlsync.providers.connect import Connector

CONSENT_SECONDS = 15 * 60
_LOOK_SECONDS = 0.2


async def settle(hands: Hands, name: str) -> None:
    """After a grant came: its tables are made, and the workers look at it now."""
    from backfill.requests import wake

    async with hands.pool.connection() as connection:
        await install_tables(connection, name)
        await wake(connection, name)


def connect_company(
    settings: Settings,
    url: str,
    *,
    provider: str,
    name: str,
    schema_name: str | None,
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
            await settle(hands, name)
            return connected

    return run(main())


def connect_by_consent(
    settings: Settings,
    url: str,
    *,
    provider: str,
    name: str,
    schema_name: str | None,
    company_id: str | None,
    public_url: str,
    show: Callable[[str], None],
    patience_seconds: float = CONSENT_SECONDS,
) -> tuple[str, ...]:
    """Begins a consent, shows its address, and waits until it ended. Returns missing scopes.

    public_url: of the web side, which takes the callback. Interrupted, or when time is up, the
    consent is withdrawn. Raises ConsentRefused, or as `begin_connect`.
    """
    from sqlsync.providers.callbacks import callback_address

    async def main() -> tuple[str, ...]:
        async with (
            open_hands(settings, url, "connect") as hands,
            connector_of(hands, provider) as connector,
        ):
            consent = await connector.begin_connect(
                name=name,
                schema_name=schema_name,
                redirect_uri=callback_address(public_url, provider),
                company_id=company_id,
            )
            try:
                show(consent.url)
                async with asyncio.timeout(patience_seconds):
                    missing = await _ended(connector, consent.state)
            except TimeoutError:
                await connector.withdraw(consent.state)
                raise ConsentRefused(
                    "Nobody approved in time.", hint="Run the command again."
                ) from None
            except asyncio.CancelledError:
                await connector.withdraw(consent.state)
                raise
            await settle(hands, name)
            return missing

    return run(main())


async def _ended(connector: Connector, state: str) -> tuple[str, ...]:
    """Waits for the end of a consent, which any process may note."""
    from sqlsync.providers.consents import Outcome

    while True:
        ended = await connector.outcome(state)
        if ended is not None and ended.outcome is Outcome.CONNECTED:
            return ended.missing_scopes
        if ended is not None and ended.outcome is not Outcome.CHOOSE:
            raise ConsentRefused(ended.message or "There was no consent.", hint=ended.hint)
        await asyncio.sleep(_LOOK_SECONDS)


def disconnect_company(
    settings: Settings, url: str, *, provider: str, name: str, tell_provider: bool
) -> None:
    """Ends our access at the provider and forgets the tokens. Raises as `Connector.disconnect`."""

    async def main() -> None:
        async with (
            open_hands(settings, url, "disconnect") as hands,
            connector_of(hands, provider) as connector,
        ):
            await connector.disconnect(name, tell_provider=tell_provider)

    run(main())


def pause(url: str, name: str) -> None:
    """Stops the sync of a connection. Raises ConfigError."""
    from backfill.connections import pause as pause_connection

    async def main() -> None:
        async with await connect_engine(url) as session:
            await pause_connection(session, name)

    run(main())


def resume(url: str, name: str) -> None:
    """Lets the sync of a connection go on, and catches up. Raises ConfigError."""
    from backfill.connections import resume as resume_connection
    from backfill.requests import wake

    async def main() -> None:
        async with await connect_engine(url) as session:
            await resume_connection(session, name)
            await wake(session, name)

    run(main())


def request_backfill(
    url: str, name: str, object_name: str | None, *, accept_missing: bool = False
) -> list[str]:
    """Asks the workers to read histories anew; returns the tables. Raises ConfigError."""
    from backfill.requests import request_backfill as request

    async def main() -> list[str]:
        async with await connect_engine(url) as session:
            return await request(session, name, object_name, accept_missing=accept_missing)

    return run(main())
