"""How long what is over is kept: writes in the journal, changes, webhook deliveries, reports.

Only what is finished goes, in small steps, so that nobody waits for a long delete: a write
that is open, and one that a person must look at, stays for good.
"""

from __future__ import annotations

from datetime import timedelta

from backfill.connections import Connection, all_connections
from backfill.options import SyncOptions
from backfill.reports import forget_old_reports
from sqlsync.database import EngineConnection, sql
from sqlsync.writes.transitions import OPEN_SQL, State

STEP_ROWS = 5_000
PRUNED = (State.MIRRORED, State.REFUSED, State.UNDONE, State.DROPPED)  # parked ones stay

# A transaction goes as a whole: what is undone later is planned from all its entries.
_JOURNAL = f"""
with old as (
    select j.id from sqlsync.journal j
    where j.connection_id = %(connection)s and j.created_at < clock_timestamp() - %(keep)s
    and j.updated_at < clock_timestamp() - %(keep)s and j.state = any(%(states)s)
    and not exists (select from sqlsync.journal o where o.transaction_id = j.transaction_id
        and (o.state in {OPEN_SQL} or o.state = 'parked'))
    order by j.created_at limit {STEP_ROWS} for update skip locked
), unmarked as (delete from sqlsync.marker m using old where m.entry_id = old.id)
delete from sqlsync.journal j using old where j.id = old.id
"""
# Ids grow with time: the oldest are looked at, and no more of them than one step takes.
_CHANGES = """
delete from {changes} where id <= (
    select max(id) from (select id, at from {changes} order by id limit {step}) first
    where at < clock_timestamp() - %s)
"""


async def prune(session: EngineConnection, options: SyncOptions) -> int:
    """Deletes what is older than the options keep. Returns how many rows went.

    session: in autocommit, so that each step is a transaction of its own.
    """
    gone = 0
    done = await session.execute(
        "delete from sqlsync.inbox where state <> 'new' and handled_at < now() - %s",
        [options.keep_inbox],
    )
    gone += done.rowcount
    for connection in await all_connections(session):
        if options.keep_writes is not None:
            gone += await _prune_journal(session, connection, options.keep_writes)
        if options.keep_changes is not None:
            gone += await _prune_changes(session, connection, options.keep_changes)
        if options.keep_reports is not None:
            gone += await forget_old_reports(session, connection, options.keep_reports)
    return gone


async def _prune_journal(session: EngineConnection, connection: Connection, keep: timedelta) -> int:
    gone = 0
    values = {"connection": connection.id, "keep": keep, "states": list(PRUNED)}
    while True:
        done = await session.execute(_JOURNAL.encode(), values)
        gone += done.rowcount
        if done.rowcount < STEP_ROWS:
            return gone


async def _prune_changes(session: EngineConnection, connection: Connection, keep: timedelta) -> int:
    changes = sql.Identifier(connection.schema_name, "_sync_change")
    found = await session.execute(
        "select to_regclass(%s) is not null", [changes.as_string(session)]
    )
    made = await found.fetchone()
    if made is None or not made[0]:
        return 0
    statement = sql.SQL(_CHANGES).format(changes=changes, step=sql.Literal(STEP_ROWS))
    gone = 0
    while True:
        done = await session.execute(statement, [keep])
        gone += done.rowcount
        if done.rowcount < STEP_ROWS:
            return gone
