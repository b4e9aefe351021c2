"""The services: proxy and worker. Each runs until SIGTERM or SIGINT."""

from __future__ import annotations

import gc
import os
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlsync.app.hands import open_hands
from sqlsync.app.running import OnReady, run, stop_event
from sqlsync.database import connect_engine
from sqlsync.settings import Address, Settings

if TYPE_CHECKING:
    from backfill.options import SyncOptions
    from proxy.processes import Member


def run_proxy(settings: Settings, url: str, on_ready: OnReady) -> None:
    """The Postgres proxy; with `proxy.processes` > 1, that many processes on one address."""
    from proxy.processes import Member

    member = Member.from_environment()
    if settings.proxy.processes > 1 and member is None:
        run(_supervise_proxies(settings, url, on_ready))
    else:
        run(_serve_proxy(settings, url, on_ready, member))


async def _serve_proxy(
    settings: Settings, url: str, on_ready: OnReady, member: Member | None
) -> None:
    from proxy.service import serve
    from sqlsync.writes.engine import WriteEngine

    async with open_hands(settings, url, "proxy") as hands:
        writer = WriteEngine(
            hands.pool,
            hands.providers,
            connect=lambda: connect_engine(url, application_name="sqlsync proxy owner"),
            row_limit=settings.proxy.write_row_limit,
        )
        await writer.start()
        # What start-up made stays. A full collection that looked through all of it (30 ms and
        # more) would stop every client of the process meanwhile.
        gc.collect()
        gc.freeze()
        try:
            await serve(
                settings.proxy,
                url,
                hands.pool,
                hands.catalogs,
                writer,
                stop=stop_event(),
                on_ready=lambda host, port: on_ready(f"proxy={Address(host=host, port=port)}"),
                member=member,
            )
        finally:
            await writer.close()


async def _supervise_proxies(settings: Settings, url: str, on_ready: OnReady) -> None:
    from proxy.processes import supervise
    from proxy.server import bind

    listen = settings.proxy.listen
    sockets = bind(listen.host, listen.port, reuse_port=True)
    address = Address(host=listen.host, port=sockets[0].getsockname()[1])
    environment = {
        **os.environ,
        "SQLSYNC_PROXY__LISTEN": str(address),
        "SQLSYNC_DATABASE_URL": url,
        "SQLSYNC_STATE_DIR": str(settings.state_dir),
    }
    await supervise(
        [sys.executable, "-P", "-m", "sqlsync.cli", *sys.argv[1:]],
        settings.proxy.processes,
        sockets,
        stop=stop_event(),
        environment=environment,
        on_ready=lambda: on_ready(f"proxy={address}"),
    )


def run_worker(settings: Settings, url: str, on_ready: OnReady) -> None:
    """Runs jobs, follows webhooks, and leads where it is elected."""
    from backfill.options import Engine
    from backfill.worker import run_worker as work

    async def main() -> None:
        async with open_hands(settings, url, "worker") as hands:
            engine = Engine(
                url=url,
                pool=hands.pool,
                providers=hands.providers,
                catalogs=hands.catalogs,
                options=sync_options(settings),
                stopping=stop_event(),
            )
            await work(engine, on_ready=lambda: on_ready("worker"))

    run(main())


def sync_options(settings: Settings) -> SyncOptions:
    """What the settings say, in the worker's words."""
    from backfill.options import SyncOptions
    from backfill.report_schedule import ReportPace
    from backfill.schedule import Pace

    minutes = settings.sync.report_after_change_minutes
    active = timedelta(seconds=settings.sync.poll_active_seconds)
    steps = tuple(
        (quiet, active if not quiet else max(active, every)) for quiet, every in Pace().steps
    )
    return SyncOptions(
        histories=settings.sync.histories,
        concurrency=settings.sync.concurrency,
        children=settings.sync.child_tables,
        webhooks=settings.sync.webhooks,
        keep_writes=_days(settings.sync.keep_writes_days),
        keep_changes=_days(settings.sync.keep_changes_days),
        pace=Pace(steps=steps),
        reports=settings.sync.reports,
        report_pace=ReportPace(
            every=timedelta(hours=settings.sync.report_hours),
            after_change=timedelta(minutes=minutes) if minutes else None,
        ),
        keep_reports=_days(settings.sync.keep_reports_days),
    )


def _days(number: int) -> timedelta | None:
    return timedelta(days=number) if number else None
