"""Introduces the doctor to what it looks at. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sqlsync.app.databases import CATALOGS, open_database
from sqlsync.app.hands import open_hands, provider_app
from sqlsync.app.running import run
from sqlsync.database import Connection, TupleRow, connect, connect_engine, errors
from sqlsync.doctor import company, house, standing
from sqlsync.doctor.findings import Finding, note, ok, problem
from sqlsync.errors import ConfigError, DatabaseUnavailable, SqlsyncError
from sqlsync.settings import Settings

if TYPE_CHECKING:
    from sqlsync.providers.directory import App

CALL_SECONDS = 60.0
_WEBHOOK_SETTINGS = {
    "quickbooks": "providers.quickbooks.webhook_verifier_token",
    "xero": "providers.xero.webhook_key",
}


def examine(settings: Settings, name: str | None) -> Iterator[Finding]:
    """All findings, one after the other; name: of these connections only that one.

    Raises ConfigError where there is no such connection.
    """
    apps: dict[str, App | None] = {}
    for provider in CATALOGS:
        try:
            apps[provider] = provider_app(settings, provider)
        except ConfigError as error:
            apps[provider] = None
            yield problem("settings", error.message, error.hint)
    yield from house.looked("disk", lambda: house.check_disk(settings))
    try:
        with open_database(settings) as url, connect(url) as database:
            yield from _examine_database(settings, database, url, apps, name)
    except (ConfigError, DatabaseUnavailable) as error:
        if isinstance(error, _NoSuchConnection):
            raise
        yield problem("database", error.message, error.hint)


class _NoSuchConnection(ConfigError):
    """The one finding that is the caller's own mistake."""


def _examine_database(
    settings: Settings,
    database: Connection[TupleRow],
    url: str,
    apps: Mapping[str, App | None],
    name: str | None,
) -> Iterator[Finding]:
    yield from house.looked("database", lambda: house.check_database(database, url))
    if not house.is_set_up(database, url):
        return
    yield from house.looked("proxy", lambda: iter(run(_check_gate(settings, url))))
    yield from house.looked("key", lambda: house.check_key(settings, database))
    standings = standing.read_standings(database)
    if name is not None and all(s.name != name for s in standings):
        known = ", ".join(s.name for s in standings) or "none"
        raise _NoSuchConnection(
            f"There is no connection named {name!r}.", hint=f"There are: {known}"
        )
    if not standings:
        yield note("connections", "there are none.", "Run: sqlsync connect")
        return
    yield from house.looked("worker", lambda: house.check_workers(database))
    yield from house.looked("writes", lambda: house.check_writes(database))
    wanted = [s for s in standings if name in (None, s.name)]
    for one in wanted:
        yield from house.looked(one.area, lambda s=one: _judged(settings, database, s, apps))  # type: ignore[misc]
    usable = [s for s in wanted if s.state not in ("pending", "needs_reauth")]
    yield from run(_call_all(settings, url, usable, apps))


def _judged(
    settings: Settings,
    database: Connection[TupleRow],
    one: standing.Standing,
    apps: Mapping[str, App | None],
) -> Iterator[Finding]:
    from schema.loader import load_catalog

    app = apps.get(one.provider)
    catalog = load_catalog(one.provider)
    scopes = {spec.extra.get("scope") for spec in catalog.objects} - {None}
    is_asked = {
        str(scope): app is None or app.style.is_covered(str(scope), app.style.scopes)
        for scope in scopes
    }
    secrets = {
        "quickbooks": settings.providers.quickbooks.webhook_verifier_token is not None,
        "xero": settings.providers.xero.webhook_key is not None,
    }
    objects = standing.read_objects(database, one)
    yield from standing.judge_state(one)
    yield from standing.judge_scopes(one)
    yield from standing.judge_limits(one)
    yield from standing.judge_webhooks(one, objects, secrets, _WEBHOOK_SETTINGS[one.provider])
    yield from standing.judge_objects(one, objects, catalog, is_asked)


async def _check_gate(settings: Settings, url: str) -> list[Finding]:
    """Would Postgres let anybody in through the proxy?"""
    from proxy.gate import open_way
    from proxy.upstream import Upstream

    upstream = Upstream.from_settings(settings.proxy.upstream, url)
    async with await connect_engine(url, application_name="sqlsync doctor") as session:
        await session.execute("reset role")

        async def fetch(query: str) -> list[tuple[object, ...]]:
            return await (await session.execute(query.encode())).fetchall()

        way = await open_way(upstream, fetch)
    if way is None:
        return [ok("proxy", "nobody gets in without a password")]
    if settings.proxy.listen.is_loopback:
        return [note("proxy", f"{way}.", "It matters once proxy.listen is not loopback.")]
    advice = "Change the line to scram-sha-256 and run select pg_reload_conf()."
    return [problem("proxy", f"{way}, so the proxy does not start.", advice)]


async def _call_all(
    settings: Settings,
    url: str,
    standings: list[standing.Standing],
    apps: Mapping[str, App | None],
) -> list[Finding]:
    found = [
        problem(s.area, f"[providers.{s.provider}] is not set up.", "Set it in sqlsync.toml.")
        for s in standings
        if apps.get(s.provider) is None
    ]
    callable_ones = [s for s in standings if apps.get(s.provider) is not None]
    if not callable_ones:
        return found
    try:
        async with open_hands(settings, url, "doctor") as hands:
            for one in callable_ones:
                try:
                    async with asyncio.timeout(CALL_SECONDS):
                        provider = await hands.providers.for_connection(one.id)
                        called = await company.call(provider, one.provider)
                    found += company.judge_call(one, called)
                except TimeoutError:
                    text = f"the provider did not answer within {CALL_SECONDS:.0f} s."
                    found.append(problem(one.area, text, "Check the network, and its status page."))
                except (SqlsyncError, errors.Error, ValueError, LookupError) as error:
                    found.append(company.judge_failure(one, error))
    except (SqlsyncError, errors.Error) as error:
        found.append(problem("connections", f"no provider could be asked: {error}"))
    return found
