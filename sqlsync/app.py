"""The one place that introduces the rooms to each other.

Every `run_*` here blocks until SIGTERM or SIGINT. A room is imported where it is wired, so
that a small command loads little.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from sqlsync.database import EngineConnection, EnginePool, connect_engine, engine_pool
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.errors import ConfigError
from sqlsync.migrations import migrate, pending
from sqlsync.settings import Address, Settings, secret_key

if TYPE_CHECKING:
    from backfill.options import SyncOptions
    from proxy.processes import Member
    from schema.model import Catalog
    from sqlsync.providers.connect import Connected, Connector, Consents
    from sqlsync.providers.directory import App, ProviderDirectory
    from sqlsync.vault import Vault

T = TypeVar("T")
log = logging.getLogger(__name__)

OpenDatabase: TypeAlias = AbstractContextManager[str]
CATALOGS = ("quickbooks",)  # providers whose objects we know
OnReady: TypeAlias = Callable[[str], None]  # "proxy=127.0.0.1:6432"


# -- the database ----------------------------------------------------------------------------


@contextmanager
def open_database(settings: Settings, *, prepare_embedded: bool = False) -> Iterator[str]:
    """The URL of the database: the user's, or one of our own, running for this long.

    prepare_embedded: bring our own up to date; a user's server is only changed by a command
    that says so. Raises ConfigError, DatabaseUnavailable.
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    with EmbeddedPostgres.under(settings.state_dir) as server:
        if prepare_embedded:
            prepare(server.database_url)
        yield server.database_url


def prepare(url: str) -> list[str]:
    """Brings the database up to this version: control tables, job queue, connections' tables.

    Returns what was new, in words. May be repeated; raises ConfigError, DatabaseUnavailable.
    """
    return [*migrate(url), *after_migrations(url)]


def after_migrations(url: str) -> list[str]:
    """What rooms keep in the database besides our own migrations."""
    from backfill.jobs import apply_job_schema

    apply_job_schema(url)
    return run(_install_all(url))


async def _install_all(url: str) -> list[str]:
    """A new version's catalog may have more tables and columns than those there are."""
    done = []
    async with await connect_engine(url) as connection:
        rows = await connection.execute("select name from sqlsync.connection order by id")
        for (name,) in await rows.fetchall():
            done += await install_tables(connection, name)
    return done


async def install_tables(connection: EngineConnection, name: str) -> list[str]:
    """Makes the tables of a connection, or what they lack; returns that in words."""
    from schema.loader import load_catalog
    from sqlsync.mirror.install import install

    row = await (
        await connection.execute(
            "select id, provider, schema_name from sqlsync.connection where name = %s", [name]
        )
    ).fetchone()
    if row is None or row[1] not in CATALOGS:
        return []
    connection_id, provider, schema_name = row
    report = await install(connection, load_catalog(provider), schema_name, connection_id)
    for warning in report.warnings:
        log.warning("%s", warning)
    return [
        *(f"table {schema_name}.{table}" for table in report.tables_made),
        *(f"column {schema_name}.{column}" for column in report.columns_added),
    ]


# -- where the services listen -----------------------------------------------------------------


def _addresses_file(settings: Settings) -> Path:
    return settings.state_dir / "addresses.json"


def note_addresses(settings: Settings, addresses: Mapping[str, str]) -> None:
    """Tells other commands where `up` listens, for those ports that it chose itself."""
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o711)
    _addresses_file(settings).write_text(json.dumps(dict(addresses)))


def proxy_address(settings: Settings) -> Address:
    """Where clients find the proxy. Raises ConfigError where that is not known (port 0)."""
    return _known_address(settings, "proxy", settings.proxy.listen)


def web_address(settings: Settings) -> Address:
    """Where the web side listens. Raises ConfigError where that is not known (port 0)."""
    return _known_address(settings, "web", settings.web.listen)


def _known_address(settings: Settings, name: str, listen: Address) -> Address:
    if listen.port:
        return listen
    try:
        return Address.parse(json.loads(_addresses_file(settings).read_text())[name])
    except (OSError, ValueError, KeyError):
        raise ConfigError(
            f"{name}.listen has port 0 (any), and nothing runs that could tell which.",
            hint="Start it first: sqlsync up",
        ) from None


# -- what every process of the engine works with -------------------------------------------------


@dataclass(frozen=True)
class Hands:
    """A process' pool, keys, catalogs and providers."""

    settings: Settings
    url: str
    pool: EnginePool
    vault: Vault
    catalogs: Mapping[str, Catalog]
    providers: ProviderDirectory


@asynccontextmanager
async def open_hands(settings: Settings, url: str, name: str) -> AsyncIterator[Hands]:
    """Raises ConfigError or DatabaseUnavailable before anything is begun."""
    from schema.loader import load_catalog
    from sqlsync.providers.directory import ProviderDirectory
    from sqlsync.vault import Vault

    vault = Vault.from_text(secret_key(settings).get_secret_value())
    catalogs = {provider: load_catalog(provider) for provider in CATALOGS}
    app = quickbooks_app(settings)
    # Clear errors now, not the pool's time-out or a missing table later.
    if lacking := await asyncio.to_thread(pending, url):
        raise ConfigError(
            f"The database is not set up for this sqlsync: it lacks {', '.join(lacking)}.",
            hint="Run: sqlsync migrate",
        )
    await (await connect_engine(url)).close()
    async with engine_pool(url, max_size=10, application_name=f"sqlsync {name}") as pool:
        providers = ProviderDirectory(
            pool,
            vault,
            catalogs,
            app,
            write_wait_seconds=settings.proxy.write_deadline_seconds,
        )
        try:
            yield Hands(settings, url, pool, vault, catalogs, providers)
        finally:
            await providers.close()


def quickbooks_app(settings: Settings) -> App | None:
    """None where nothing is set: a simulator whose address is not known. Raises ConfigError."""
    from sqlsync.providers.directory import App

    quickbooks = settings.providers.quickbooks
    if quickbooks.environment == "simulator" and quickbooks.api_url is None:
        return None
    return App.from_settings(quickbooks)


# -- services: each runs until SIGTERM or SIGINT ---------------------------------------------------


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
        try:
            await serve(
                settings.proxy,
                url,
                hands.pool,
                hands.catalogs,
                writer,
                stop=_stop_event(),
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
        stop=_stop_event(),
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
                stopping=_stop_event(),
            )
            await work(engine, on_ready=lambda: on_ready("worker"))

    run(main())


def sync_options(settings: Settings) -> SyncOptions:
    """What the settings say, in the worker's words."""
    from backfill.options import SyncOptions
    from backfill.schedule import Pace

    active = timedelta(seconds=settings.sync.poll_active_seconds)
    steps = tuple(
        (quiet, active if not quiet else max(active, every)) for quiet, every in Pace().steps
    )
    return SyncOptions(
        histories=settings.sync.histories,
        concurrency=settings.sync.concurrency,
        children=settings.sync.child_tables,
        webhooks=settings.sync.webhooks,
        pace=Pace(steps=steps),
    )


def run_web(settings: Settings, url: str, on_ready: OnReady) -> None:
    """Webhooks, consents, health and metrics."""
    from sqlsync.console.web import Web
    from sqlsync.console.web import run_web as serve

    async def main() -> None:
        async with open_hands(settings, url, "web") as hands:
            consents = _Consents(hands)
            stopping = _stop_event()

            def ready(host: str, port: int) -> None:
                address = Address(host=host, port=port)
                consents.public_url = settings.web.public_url or f"http://{address}"
                on_ready(f"web={address}")

            listen = settings.web.listen
            web = Web(pool=hands.pool, verifiers=_verifiers(settings), consents=consents)
            await serve(web, listen.host, listen.port, stopping=stopping, on_ready=ready)

    run(main())


def _verifiers(settings: Settings) -> dict[str, Callable[[bytes, Mapping[str, str]], bool]]:
    """Who may deliver webhooks; a provider without a token may not."""
    from sqlsync.providers.quickbooks.webhooks import is_signed

    token = settings.providers.quickbooks.webhook_verifier_token
    if token is None:
        return {}
    secret = token.get_secret_value()
    return {
        "quickbooks": lambda body, headers: is_signed(body, headers.get("intuit-signature"), secret)
    }


class _Consents:
    """Consents as the web side has them; a company that was connected gets its tables."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self.public_url = ""  # known once the web side listens

    async def begin(self, provider: str, name: str) -> str:
        async with self._consents(provider) as consents:
            return await consents.begin(provider, name)

    async def finish(self, provider: str, answer: Mapping[str, str]) -> str:
        async with self._consents(provider) as consents:
            name = await consents.finish(provider, answer)
        async with self._hands.pool.connection() as connection:
            await install_tables(connection, name)
        return name

    @asynccontextmanager
    async def _consents(self, provider: str) -> AsyncIterator[Consents]:
        from sqlsync.providers.connect import Consents

        async with _connector(self._hands, provider) as connector:
            yield Consents({provider: connector}, self.public_url)


def run_simulators(
    *,
    quickbooks: Address | None,
    xero: Address | None,
    customers: int,
    invoices: int,
    seed: int,
    on_ready: OnReady,
) -> None:
    """A simulated company of each service that has an address; says how to connect to it."""
    from sqlsync.simulators.run import serve

    run(
        serve(
            None if quickbooks is None else str(quickbooks),
            xero=None if xero is None else str(xero),
            customers=customers,
            invoices=invoices,
            seed=seed,
            say=lambda line: on_ready(line.removeprefix("ready ")),
        )
    )


# -- connecting ------------------------------------------------------------------------------------


def connect_company(
    settings: Settings,
    url: str,
    *,
    provider: str,
    name: str,
    schema_name: str,
    company_id: str,
    refresh_token: str,
) -> Connected:
    """Connects with a token that somebody has, and makes the tables."""

    async def main() -> Connected:
        async with open_hands(settings, url, "connect") as hands:
            async with _connector(hands, provider) as connector:
                connected = await connector.connect_with_refresh_token(
                    name=name,
                    schema_name=schema_name,
                    company_id=company_id,
                    refresh_token=refresh_token,
                )
            async with hands.pool.connection() as connection:
                await install_tables(connection, name)
            return connected

    return run(main())


def begin_consent(
    settings: Settings, url: str, *, provider: str, name: str, schema_name: str
) -> str:
    """The provider's page for a person to open. Its answer comes to the web side."""

    async def main() -> str:
        public_url = settings.web.public_url or f"http://{web_address(settings)}"
        async with open_hands(settings, url, "connect") as hands:
            async with _connector(hands, provider) as connector:
                consent = await connector.begin_connect(
                    name=name,
                    schema_name=schema_name,
                    redirect_uri=f"{public_url}/oauth/callback/{provider}",
                )
            return consent.url

    return run(main())


def request_backfill(settings: Settings, url: str, name: str, object_name: str | None) -> list[str]:
    """Asks the workers to read histories anew; returns the tables. Raises ConfigError."""
    from backfill.requests import request_backfill as request

    async def main() -> list[str]:
        async with await connect_engine(url) as session:
            return await request(session, name, object_name)

    return run(main())


@asynccontextmanager
async def _connector(hands: Hands, provider: str) -> AsyncIterator[Connector]:
    from sqlsync.providers.connect import Connector
    from sqlsync.providers.http import HttpClient
    from sqlsync.providers.oauth import OAuthClient

    app = quickbooks_app(hands.settings) if provider == "quickbooks" else None
    if app is None:
        raise ConfigError(
            f"{provider} is not set up: [providers.{provider}] lacks api_url or client_id.",
            hint="For a try-out: sqlsync simulate, and its address as api_url.",
        )
    async with HttpClient() as http:
        oauth = OAuthClient(http, app.endpoints, app.client_id, app.client_secret)
        yield Connector(hands.pool, hands.vault, oauth, provider)


# -- helpers ---------------------------------------------------------------------------------------


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` on uvloop where there is one."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


def _stop_event() -> asyncio.Event:
    """Set by SIGTERM and SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
