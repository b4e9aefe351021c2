"""Keeps the grants of paused companies alive.

A refresh token ends when it is not used: after 60 days at Xero, after 100 at QuickBooks. What
is followed uses it all the time; a company that a person paused is asked for the time of day
once a week, so that it can be resumed without a new consent.
Source: Intuit, "Authorization FAQ"; Xero, "OAuth 2.0 FAQ".
"""

from __future__ import annotations

import logging
from datetime import timedelta

from backfill.options import Engine
from sqlsync.errors import SqlsyncError

log = logging.getLogger(__name__)

UNUSED = timedelta(days=7)


async def keep_grants(engine: Engine) -> int:
    """Uses the grants that were not used for long. Returns how many; failures are logged, and
    tried again the next time."""
    async with engine.pool.connection() as session:
        found = await session.execute(
            "select c.id, c.name from sqlsync.connection c"
            " join sqlsync.token t on t.connection_id = c.id"
            " where c.state = 'paused' and t.refreshed_at < clock_timestamp() - %s order by c.id",
            [UNUSED],
        )
        paused = await found.fetchall()
    used = 0
    for connection_id, name in paused:
        try:
            provider = await engine.providers.for_connection(connection_id)
            await provider.now()
            used += 1
        except SqlsyncError as error:
            log.warning("The grant of %s, which is paused, could not be used: %s", name, error)
    return used
