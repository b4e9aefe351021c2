"""The proxy, put together: names, tickets, write engine, relay, listener."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping

from proxy.cancel import CancelRegistry
from proxy.gate import check_gate
from proxy.names import NamesKeeper
from proxy.processes import Member
from proxy.relay import ClientSide
from proxy.server import OnReady, is_loopback, serve_proxy
from proxy.session.core import Host
from proxy.session.tickets import Tickets
from proxy.statements.classify import Classifier
from proxy.statements.model import MirrorNames
from proxy.tls import TlsFiles
from proxy.upstream import Upstream
from proxy.working import ProxyContext, Writer
from schema.model import Catalog
from sqlsync.database import EnginePool
from sqlsync.settings import ProxySettings


async def serve(
    settings: ProxySettings,
    database_url: str,
    pool: EnginePool,
    catalogs: Mapping[str, Catalog],
    writer: Writer,
    *,
    stop: asyncio.Event,
    on_ready: OnReady,
    member: Member | None = None,
) -> None:
    """Serves until `stop` is set. `writer` has been started by the caller, and is closed by it.

    Raises ConfigError before the first client is let in.
    """
    upstream = Upstream.from_settings(settings.upstream, database_url)
    async with pool.connection() as connection:
        row = await (
            await connection.execute("select current_database(), key from sqlsync.secret")
        ).fetchone()
    assert row is not None
    database, key = row
    classifier = Classifier(MirrorNames())
    keeper = NamesKeeper(pool, catalogs, classifier)
    await keeper.refresh()
    host = Host(classifier, Tickets(bytes(key)), lambda: secrets.token_bytes(16))
    context = ProxyContext(upstream, database, host, writer)

    def make_client(tls: bool, registry: CancelRegistry) -> ClientSide:
        return ClientSide(context, tls, registry)

    async def fetch(query: str) -> list[tuple[object, ...]]:
        # As the user of database_url, who may read pg_hba.conf's lines where the engine may not.
        async with pool.connection() as connection, connection.transaction():
            await connection.execute("set local role none")
            return await (await connection.execute(query.encode())).fetchall()

    await check_gate(is_loopback(settings.listen.host), upstream, fetch)
    keeping = asyncio.create_task(keeper.run(), name="mirrored names")
    try:
        await serve_proxy(
            settings.listen.host,
            settings.listen.port,
            upstream,
            make_client,
            stop=stop,
            tls=TlsFiles.from_settings(settings.tls_cert, settings.tls_key),
            tls_required=settings.tls_required,
            on_ready=on_ready,
            member=member,
        )
    finally:
        keeping.cancel()
        await context.close()
