"""What is switched on is filled from `raw` at once, by the command that asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlsync.app.running import run
from sqlsync.database import connect_engine

if TYPE_CHECKING:
    from sqlsync.mirror.filling import OnProgress


def fill_new(
    url: str, provider: str, schema_name: str, connection_id: int, on_progress: OnProgress
) -> int:
    """Fills new columns and child tables of a connection. Returns how many batches that took.

    A worker that runs too shares the work; what is interrupted goes on where it stopped.
    """
    from schema.loader import load_catalog
    from sqlsync.mirror.filling import fill_all

    async def main() -> int:
        async with await connect_engine(url, application_name="sqlsync objects") as session:
            return await fill_all(
                session,
                load_catalog(provider),
                schema_name,
                connection_id,
                on_progress=on_progress,
            )

    return run(main())
