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


async def hold(session: EngineConnection, owner: Ownership) -> None:
    """Raises Fenced where the job is no longer ours. To be called first in the transaction."""
    found = await session.execute(
        f"select 1 from {JOBS_SCHEMA}.procrastinate_jobs where id = %s and status = 'doing'"
        " and attempts = %s and worker_id = %s for share".encode(),
        [owner.job_id, owner.attempts, owner.worker_id],
    )
    if await found.fetchone() is None:
        raise Fenced(f"Job {owner.job_id} is no longer ours.")
