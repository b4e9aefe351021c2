"""Where the engine gets its providers from: the promise that the real directory keeps."""

from __future__ import annotations

from typing import Protocol

from sqlsync.providers.base import Provider


class Providers(Protocol):
    """One Provider per connection, made on first use and kept."""

    async def for_schema(self, schema_name: str) -> Provider:
        """The provider whose connection fills the schema. Raises NeedsReauth, ConfigError."""
        ...

    async def for_connection(self, connection_id: int) -> Provider:
        """The provider of a connection. Raises NeedsReauth, ConfigError."""
        ...
