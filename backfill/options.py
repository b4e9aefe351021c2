"""What the worker is told and given: settings as values, and what it works with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from backfill.report_schedule import ReportPace
from backfill.schedule import Pace, Rereading
from schema.model import Catalog
from sqlsync.database import EnginePool
from sqlsync.providers.base import Provider

DEFAULT_PACE = Pace()
DEFAULT_REREADING = Rereading()
DEFAULT_REPORT_PACE = ReportPace()


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """How a worker process behaves. The defaults are for production."""

    histories: int = 4  # backfill jobs at once in this process
    concurrency: int = 8  # other jobs at once
    children: bool = True  # child tables (invoice_line, …) are kept
    pace: Pace = DEFAULT_PACE
    overlap: timedelta = timedelta(minutes=2)  # a change can be stamped before it is shown
    rereading: Rereading = DEFAULT_REREADING
    horizon: timedelta = timedelta(days=29)  # the feed holds 30; a day is left for the way
    webhooks: bool = True  # False: deliveries are stored and left alone
    prompt_spacing_seconds: float = 1.0  # polls asked for by writes: at most one in this time
    tick_seconds: float = 1.0  # how often the leader looks for work
    heartbeat_seconds: float = 10.0
    stalled_after_seconds: float = 300.0  # a worker that is alive and silent this long is given up
    keep_inbox: timedelta = timedelta(days=30)
    keep_writes: timedelta | None = timedelta(days=90)  # finished ones; None: for ever
    keep_changes: timedelta | None = timedelta(days=365)  # `_sync_change`; None: for ever
    keep_failed_jobs: timedelta = timedelta(days=7)
    reports: bool = True  # False: only those that somebody asks for
    report_jobs: int = 2  # reports at once in this process
    report_pace: ReportPace = DEFAULT_REPORT_PACE
    keep_reports: timedelta | None = timedelta(days=400)  # that nobody asks for again; None: all
    stop_within_seconds: float = 30.0  # for pages under way, after SIGTERM


class Providers(Protocol):
    """Finds the provider of a connection. Raises NeedsReauth or ConfigError."""

    async def for_connection(self, connection_id: int) -> Provider: ...


@dataclass(frozen=True)
class Engine:
    """What every job needs. One per process, made by `run_worker`."""

    url: str
    pool: EnginePool
    providers: Providers
    catalogs: Mapping[str, Catalog]  # by provider
    options: SyncOptions
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
