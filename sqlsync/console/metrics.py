"""What /metrics shows: this process' deliveries, and where every connection stands."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from sqlsync.database import EngineConnection, EnginePool, sql

CONNECTION_STATES = ("pending", "connected", "backfilling", "live", "needs_reauth", "paused")


class WebMetrics:
    """Counts deliveries, and reads the rest from Postgres when asked: any process tells all."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._deliveries = Counter(
            "sqlsync_webhook_deliveries",
            "Webhook deliveries received by this process, by outcome.",
            ["provider", "outcome"],
            registry=self._registry,
        )

    def delivery(self, provider: str, outcome: str) -> None:
        """outcome: stored | repeated | refused | too_large | failed."""
        self._deliveries.labels(provider, outcome).inc()

    async def text(self, pool: EnginePool) -> bytes:
        """The page, in Prometheus' text format."""
        registry = CollectorRegistry()
        async with pool.connection() as session:
            await _queues(session, registry)
            await _connections(session, registry)
        return generate_latest(self._registry) + generate_latest(registry)


async def _queues(session: EngineConnection, registry: CollectorRegistry) -> None:
    inbox = Gauge(
        "sqlsync_inbox_deliveries", "Stored webhook deliveries.", ["state"], registry=registry
    )
    found = await session.execute("select state, count(*) from sqlsync.inbox group by state")
    for state, count in await found.fetchall():
        inbox.labels(state).set(count)
    refetch = Gauge(
        "sqlsync_refetch_records", "Records that wait to be fetched again.", registry=registry
    )
    found = await session.execute("select count(*) from sqlsync.refetch")
    row = await found.fetchone()
    refetch.set(row[0] if row else 0)
    journal = Gauge(
        "sqlsync_journal_entries",
        "Writes that are not settled, and those a person must look at.",
        ["state"],
        registry=registry,
    )
    found = await session.execute(
        "select state, count(*) from sqlsync.journal where state in"
        " ('planned', 'sent', 'acknowledged', 'in_doubt', 'undoing', 'parked') group by state"
    )
    for state, count in await found.fetchall():
        journal.labels(state).set(count)


async def _connections(session: EngineConnection, registry: CollectorRegistry) -> None:
    state = Gauge(
        "sqlsync_connection_state",
        "1 for the state a connection is in.",
        ["connection", "state"],
        registry=registry,
    )
    rows_done = Gauge(
        "sqlsync_object_rows_done",
        "Records read by the current or last backfill.",
        ["connection", "object"],
        registry=registry,
    )
    lag = Gauge(
        "sqlsync_object_lag_seconds",
        "From a change at the provider to its row here, for the latest change.",
        ["connection", "object"],
        registry=registry,
    )
    failing = Gauge(
        "sqlsync_object_error",
        "1 where an object cannot be read at present.",
        ["connection", "object"],
        registry=registry,
    )
    found = await session.execute("select name, schema_name, state from sqlsync.connection")
    for name, schema_name, current in await found.fetchall():
        for one in CONNECTION_STATES:
            state.labels(name, one).set(one == current)
        known = await session.execute(
            "select to_regclass(format('%%I._sync_cdc', %s::text))", [schema_name]
        )
        row = await known.fetchone()
        if row is None or row[0] is None:
            continue
        objects = await session.execute(
            sql.SQL("select object, coalesce(rows_done, 0), lag_seconds, state from {}").format(
                sql.Identifier(schema_name, "_sync_cdc")
            )
        )
        for object_name, done, seconds, object_state in await objects.fetchall():
            rows_done.labels(name, object_name).set(done)
            failing.labels(name, object_name).set(object_state == "error")
            if seconds is not None:
                lag.labels(name, object_name).set(float(seconds))
