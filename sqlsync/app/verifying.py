"""Compares a connection's mirror with its provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlsync.app.hands import open_hands
from sqlsync.app.running import run
from sqlsync.database import connect_engine
from sqlsync.errors import ConfigError
from sqlsync.settings import Settings

if TYPE_CHECKING:
    from backfill.verdicts import ObjectReport
    from backfill.verify import OnProgress


def verify_connection(
    settings: Settings,
    url: str,
    name: str,
    *,
    tables: Sequence[str] | None,
    repair: bool,
    on_progress: OnProgress | None = None,
) -> list[ObjectReport]:
    """Raises ConfigError (no such connection or object), ProviderError."""
    from backfill.connections import find_connection
    from backfill.verify import verify
    from sqlsync.mirror.filling import fill_all

    async def main() -> list[ObjectReport]:
        async with (
            open_hands(settings, url, "verify") as hands,
            await connect_engine(url, application_name="sqlsync verify") as session,
        ):
            connection = await find_connection(session, name)
            if connection is None:
                raise ConfigError(
                    f"There is no connection named {name!r}.", hint="Run: sqlsync status"
                )
            provider = await hands.providers.for_connection(connection.id)
            for table in tables or ():
                if table not in provider.catalog.by_table:
                    raise ConfigError(
                        f"{name} has no object {table!r}.", hint=f"Run: sqlsync objects {name}"
                    )
            # A column that was just switched on is no difference.
            await fill_all(session, provider.catalog, connection.schema_name, connection.id)
            return await verify(
                session,
                connection,
                provider,
                tables=tables,
                repair=repair,
                children=settings.sync.child_tables,
                on_progress=on_progress,
            )

    return run(main())
