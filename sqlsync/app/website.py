"""The web side: webhooks, consents, health and metrics. Runs until SIGTERM or SIGINT."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from sqlsync.app.addresses import is_local, public_url
from sqlsync.app.connecting import settle
from sqlsync.app.hands import Hands, connector_of, open_hands
from sqlsync.app.running import OnReady, run, stop_event
from sqlsync.settings import Address, Settings

if TYPE_CHECKING:
    from sqlsync.providers.callbacks import Consents
    from sqlsync.providers.claims import Connected


def run_web(settings: Settings, url: str, on_ready: OnReady) -> None:
    """Webhooks, consents, health and metrics."""
    from sqlsync.console.web import Web
    from sqlsync.console.web import run_web as serve

    async def main() -> None:
        async with open_hands(settings, url, "web") as hands:
            consents = _Consents(hands)
            stopping = stop_event()

            def ready(host: str, port: int) -> None:
                address = Address(host=host, port=port)
                consents.public_url = public_url(settings, address)
                on_ready(f"web={address}")

            listen = settings.web.listen
            web = Web(
                pool=hands.pool,
                verifiers=_verifiers(settings),
                consents=consents,
                may_begin=is_local(public_url(settings, listen)),
            )
            await serve(web, listen.host, listen.port, stopping=stopping, on_ready=ready)

    run(main())


def _verifiers(settings: Settings) -> dict[str, Callable[[bytes, Mapping[str, str]], bool]]:
    """Who may deliver webhooks; a provider without a secret to check them by may not."""
    from sqlsync.providers.quickbooks import webhooks as quickbooks
    from sqlsync.providers.xero import webhooks as xero

    secrets = {
        "quickbooks": settings.providers.quickbooks.webhook_verifier_token,
        "xero": settings.providers.xero.webhook_key,
    }
    checks = {
        "quickbooks": (quickbooks.SIGNATURE_HEADER, quickbooks.is_signed),
        "xero": (xero.SIGNATURE_HEADER, xero.is_signed),
    }
    return {
        provider: partial(_is_signed, *checks[provider], secret.get_secret_value())
        for provider, secret in secrets.items()
        if secret is not None
    }


def _is_signed(
    header: str,
    check: Callable[[bytes, str | None, str], bool],
    secret: str,
    body: bytes,
    headers: Mapping[str, str],
) -> bool:
    return check(body, headers.get(header), secret)


class _Consents:
    """Consents as the web side has them; a company that was connected gets its tables."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self.public_url = ""  # known once the web side listens

    async def begin(self, provider: str, name: str) -> str:
        async with self._consents(provider) as consents:
            return await consents.begin(provider, name)

    async def finish(self, provider: str, answer: Mapping[str, str]) -> Connected:
        async with self._consents(provider) as consents:
            connected = await consents.finish(provider, answer)
        await settle(self._hands, connected.name)
        return connected

    async def choose(self, provider: str, state: str, company_id: str) -> Connected:
        async with self._consents(provider) as consents:
            connected = await consents.choose(provider, state, company_id)
        await settle(self._hands, connected.name)
        return connected

    @asynccontextmanager
    async def _consents(self, provider: str) -> AsyncIterator[Consents]:
        from sqlsync.providers.callbacks import Consents

        async with connector_of(self._hands, provider) as connector:
            yield Consents({provider: connector}, self.public_url)
