"""A job's writes count only while it still owns the job.

A worker that was paused and given up may wake and go on. So every transaction that moves a
cursor first takes the job's row, as this worker got it: FOR SHARE also keeps the reaper from
giving the job away before the commit.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlsync.database import EngineConnection
from sqlsync.errors import SqlsyncError

JOBS_SCHEMA = "sqlsync_jobs"


class Fenced(SqlsyncError):
    """The job was given to another worker, or its work was asked for anew. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """A job as the queue handed it to us."""

    job_id: int
    attempts: int
    worker_id: int
    patience_seconds: float = 20.0  # a transaction of ours that is idle for so long hangs


# A process that stops inside a transaction must not keep its locks: not the job's row, which
# the reaper needs, nor rows of the mirror. The second one exists from Postgres 17 on.
_MORTAL = """
select set_config('idle_in_transaction_session_timeout', %(idle)s, true),
    case when current_setting('server_version_num')::int >= 170000
    then set_config('transaction_timeout', %(whole)s, true) end
"""


async def be_mortal(
    session: EngineConnection, *, idle_seconds: float = 20.0, whole_seconds: float = 120.0
) -> None:
    """Lets Postgres end this transaction where we hang in it. To be called first in it."""
    await session.execute(
        _MORTAL, {"idle": f"{idle_seconds * 1000:.0f}", "whole": f"{whole_seconds * 1000:.0f}"}
    )


async def hold(session: EngineConnection, owner: Ownership) -> None:
    """Raises Fenced where the job is no longer ours. To be called first in the transaction."""
    await be_mortal(session, idle_seconds=owner.patience_seconds)
    await session.execute("select set_config('application_name', %s, true)", [_name(owner.job_id)])
    found = await session.execute(
        f"select 1 from {JOBS_SCHEMA}.procrastinate_jobs where id = %s and status = 'doing'"
        " and attempts = %s and worker_id = %s for share".encode(),
        [owner.job_id, owner.attempts, owner.worker_id],
    )
    if await found.fetchone() is None:
        raise Fenced(f"Job {owner.job_id} is no longer ours.")


async def end_transactions(session: EngineConnection, job_id: int) -> None:
    """Ends the backends in which a lost worker still works on the job.

    A process that stopped in the middle of a COPY is waited for without end: none of
    Postgres' time limits counts there, and its lock on the job's row would stop the reaper.
    """
    async with session.transaction():
        await session.execute("set local role none")  # the login user may end its own backends
        await session.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name = %s",
            [_name(job_id)],
        )


def _name(job_id: int) -> str:
    return f"sqlsync worker job {job_id}"
