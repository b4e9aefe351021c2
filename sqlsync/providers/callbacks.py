"""What a browser brings back from a provider's consent page, and where it is sent to.

The pages themselves are the web side's; here a query becomes a connection, or words that say
why not.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlsync.errors import ConfigError, ConsentRefused
from sqlsync.providers.claims import Connected
from sqlsync.providers.connect import Connector


class Consents:
    """Consents as a web page has them: an address to go to, and a callback's query."""

    def __init__(self, connectors: Mapping[str, Connector], public_url: str) -> None:
        """connectors: by provider. public_url: of the web side, as browsers see it."""
        self._connectors = connectors
        self._public_url = public_url.rstrip("/")

    async def begin(self, provider: str, name: str) -> str:
        """The provider's address to send the person to. Raises as `begin_connect`."""
        consent = await self._connector(provider).begin_connect(
            name=name, redirect_uri=callback_address(self._public_url, provider)
        )
        return consent.url

    async def finish(self, provider: str, answer: Mapping[str, str]) -> Connected:
        """Takes the callback's query.

        Raises ConsentRefused where the person said no or the query is not a consent's, or as
        `finish_connect`.
        """
        connector = self._connector(provider)
        if "error" in answer:
            refused = _refusal(connector.title, answer)
            await connector.refuse(state=answer.get("state", ""), error=refused)
            raise refused
        wanted = ["code", "state", *(["realmId"] if connector.callback_names_company else [])]
        missing = [name for name in wanted if not answer.get(name)]
        if missing:
            raise ConsentRefused(f"The callback lacks {', '.join(missing)}.")
        return await connector.finish_connect(
            code=answer["code"],
            state=answer["state"],
            realm_id=answer["realmId"] if connector.callback_names_company else None,
        )

    async def choose(self, provider: str, state: str, company_id: str) -> Connected:
        """The company that a person chose, of those a consent covers. Raises as `finish`."""
        return await self._connector(provider).choose_company(state=state, company_id=company_id)

    def _connector(self, provider: str) -> Connector:
        found = self._connectors.get(provider)
        if found is None:
            raise ConfigError(f"{provider!r} cannot be connected.")
        return found


def callback_address(public_url: str, provider: str) -> str:
    """Where a provider sends a person back to. Registered with the app, letter by letter."""
    return f"{public_url.rstrip('/')}/oauth/callback/{provider}"


def _refusal(title: str, answer: Mapping[str, str]) -> ConsentRefused:
    code = answer["error"][:100]
    said = " ".join(answer.get("error_description", "")[:300].split())
    if code == "access_denied":
        return ConsentRefused(
            f"[{title}] The consent was refused.", hint="To ask again: sqlsync connect"
        )
    if code in ("invalid_scope", "unauthorized_client"):
        return ConsentRefused(
            f"[{title}] The app may not ask for this consent: {said or code}",
            hint="Check the app's scopes and redirect addresses where it is registered.",
        )
    return ConsentRefused(f"[{title}] There was no consent: {said or code}")
