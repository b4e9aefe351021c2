"""A person's consent, from the first click to a connection whose tables are being filled."""

from __future__ import annotations

from collections.abc import Mapping

from schema.model import Catalog
from sqlsync.database import EnginePool
from sqlsync.errors import ConfigError
from sqlsync.mirror.install import install
from sqlsync.providers.connect import Connector


class ConnectorConsents:
    """`Consents` by the providers' connectors.

    public_url: as browsers see us, without a slash at the end; the address that is registered
    with the provider's app is PUBLIC_URL/oauth/callback/PROVIDER.
    """

    def __init__(
        self,
        pool: EnginePool,
        catalogs: Mapping[str, Catalog],
        connectors: Mapping[str, Connector],
        public_url: str,
    ) -> None:
        self._pool = pool
        self._catalogs = catalogs
        self._connectors = connectors
        self._public_url = public_url

    async def begin(self, provider: str, name: str) -> str:
        consent = await self._connector(provider).begin_connect(
            name=name, redirect_uri=self._redirect_uri(provider)
        )
        return consent.url

    async def finish(self, provider: str, answer: Mapping[str, str]) -> str:
        connector = self._connector(provider)
        if "error" in answer:
            raise ConfigError(
                f"The provider did not let us in: {answer['error']}", hint="Run: sqlsync connect"
            )
        missing = [name for name in ("code", "state", "realmId") if not answer.get(name)]
        if missing:
            raise ConfigError(f"The callback has no {', '.join(missing)}.")
        connected = await connector.finish_connect(
            code=answer["code"],
            state=answer["state"],
            realm_id=answer["realmId"],
            redirect_uri=self._redirect_uri(provider),
        )
        async with self._pool.connection() as session:
            await install(
                session,
                self._catalogs[provider],
                connected.schema_name,
                connected.connection_id,
            )
        return connected.name

    def _connector(self, provider: str) -> Connector:
        if provider not in self._connectors:
            raise ConfigError(f"{provider!r} is not a provider we can connect to.")
        return self._connectors[provider]

    def _redirect_uri(self, provider: str) -> str:
        return f"{self._public_url}/oauth/callback/{provider}"
