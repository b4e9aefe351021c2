"""Tokens in a real Postgres, refreshed against a real token endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from backfill.connections import pause, resume
from sqlsync.database import EnginePool
from sqlsync.errors import ConfigError, NeedsReauth, ProviderFault, Unreachable
from sqlsync.providers.connect import Connector
from sqlsync.providers.endpoints import quickbooks_endpoints
from sqlsync.providers.http import HttpClient
from sqlsync.providers.oauth import OAuthClient
from sqlsync.providers.tokens import TokenSource
from sqlsync.vault import Vault

from .conftest import DROP, LoopbackServer, Reply, Seen, loopback, until

TOKEN_PATH = "/oauth2/v1/tokens/bearer"


class TokenService:
    """Rotates strictly: a refresh token works once."""

    def __init__(self) -> None:
        self.good = "refresh-0"
        self.issued = 0
        self.expires_in = 3600
        self.slow: asyncio.Event | None = None
        self.reply: Reply | None = None

    async def __call__(self, seen: Seen) -> Reply:
        if self.slow is not None:
            await self.slow.wait()
        if self.reply is not None:
            return self.reply
        if seen.form["grant_type"] == "refresh_token" and seen.form["refresh_token"] != self.good:
            body: dict[str, object] = {
                "error": "invalid_grant",
                "error_description": "Incorrect or invalid refresh token",
            }
            return Reply(body, 400)
        self.issued += 1
        self.good = f"refresh-{self.issued}"
        return Reply(
            {
                "token_type": "bearer",
                "access_token": f"access-{self.issued}",
                "refresh_token": self.good,
                "expires_in": self.expires_in,
                "x_refresh_token_expires_in": 8726400,
            }
        )


@pytest.fixture
def service() -> TokenService:
    return TokenService()


@pytest.fixture
async def server(service: TokenService) -> AsyncIterator[LoopbackServer]:
    async with loopback(service) as server:
        yield server


@pytest.fixture
async def oauth(server: LoopbackServer) -> AsyncIterator[OAuthClient]:
    async with HttpClient() as http:
        endpoints = quickbooks_endpoints("simulator", api_url=server.url)
        yield OAuthClient(http, endpoints, "the-id", "the-secret")


async def stored(pool: EnginePool, connection_id: int) -> dict[str, object]:
    async with pool.connection() as connection:
        row = await (
            await connection.execute(
                "select c.state, c.state_reason, t.access_token, t.refresh_token, t.last_error"
                " from sqlsync.connection c join sqlsync.token t on t.connection_id = c.id"
                " where c.id = %s",
                [connection_id],
            )
        ).fetchone()
    assert row is not None
    return dict(zip(("state", "reason", "access", "refresh", "error"), row, strict=True))


async def connected(pool: EnginePool, vault: Vault, oauth: OAuthClient) -> int:
    made = await Connector(pool, vault, oauth).connect_with_refresh_token(
        name="acme", company_id="9341", refresh_token="refresh-0"
    )
    return made.connection_id


async def expire(pool: EnginePool) -> None:
    async with pool.connection() as connection:
        await connection.execute("update sqlsync.token set access_expires_at = now()")


async def test_connecting_with_a_refresh_token_stores_the_rotated_pair_sealed(
    pool: EnginePool, vault: Vault, oauth: OAuthClient, server: LoopbackServer
) -> None:
    connection_id = await connected(pool, vault, oauth)
    row = await stored(pool, connection_id)
    assert row["state"] == "connected"
    assert b"refresh-1" not in bytes(row["refresh"])  # type: ignore[arg-type]
    assert vault.open(row["refresh"]) == "refresh-1"  # type: ignore[arg-type]
    [seen] = server.seen
    assert seen.headers["authorization"].startswith("Basic ")
    assert seen.form == {"grant_type": "refresh_token", "refresh_token": "refresh-0"}


async def test_a_stored_token_is_used_without_a_call(
    pool: EnginePool, vault: Vault, oauth: OAuthClient, server: LoopbackServer
) -> None:
    source = TokenSource(pool, vault, oauth, await connected(pool, vault, oauth))
    assert [await source.access_token() for _ in range(3)] == ["access-1"] * 3
    assert len(server.seen) == 1


async def test_a_token_of_a_short_life_is_used_too(
    pool: EnginePool,
    other_pool: EnginePool,
    vault: Vault,
    oauth: OAuthClient,
    service: TokenService,
    server: LoopbackServer,
) -> None:
    """Else each call would come with a refresh of its own."""
    service.expires_in = 60
    connection_id = await connected(pool, vault, oauth)
    for source in (TokenSource(p, vault, oauth, connection_id) for p in (pool, other_pool)):
        assert [await source.access_token() for _ in range(3)] == ["access-1"] * 3
    assert len(server.seen) == 1


async def test_two_processes_that_need_a_token_at_once_refresh_once(
    pool: EnginePool,
    other_pool: EnginePool,
    vault: Vault,
    oauth: OAuthClient,
    server: LoopbackServer,
) -> None:
    connection_id = await connected(pool, vault, oauth)
    await expire(pool)
    sources = [TokenSource(p, vault, oauth, connection_id) for p in (pool, other_pool)]
    tokens = await asyncio.gather(*(s.access_token() for s in sources for _ in range(5)))
    assert set(tokens) == {"access-2"}
    assert server.count(TOKEN_PATH) == 2  # one to connect, one refresh


async def test_a_refused_token_is_renewed_once_for_all_who_hold_it(
    pool: EnginePool,
    other_pool: EnginePool,
    vault: Vault,
    oauth: OAuthClient,
    server: LoopbackServer,
) -> None:
    connection_id = await connected(pool, vault, oauth)
    sources = [TokenSource(p, vault, oauth, connection_id) for p in (pool, other_pool)]
    stale = [await source.access_token() for source in sources]
    assert stale == ["access-1"] * 2
    renewed = await asyncio.gather(*(s.renew("access-1") for s in sources for _ in range(3)))
    assert set(renewed) == {"access-2"}
    assert server.count(TOKEN_PATH) == 2


async def test_the_rotated_pair_is_committed_before_anyone_gets_it(
    pool: EnginePool, vault: Vault, oauth: OAuthClient
) -> None:
    connection_id = await connected(pool, vault, oauth)
    await expire(pool)
    token = await TokenSource(pool, vault, oauth, connection_id).access_token()
    row = await stored(pool, connection_id)
    assert vault.open(row["access"]) == token  # type: ignore[arg-type]
    assert vault.open(row["refresh"]) == "refresh-2"  # type: ignore[arg-type]


async def test_a_cancelled_caller_does_not_lose_the_rotated_pair(
    pool: EnginePool,
    vault: Vault,
    oauth: OAuthClient,
    service: TokenService,
    server: LoopbackServer,
) -> None:
    connection_id = await connected(pool, vault, oauth)
    await expire(pool)
    source = TokenSource(pool, vault, oauth, connection_id)
    service.slow = asyncio.Event()
    caller = asyncio.create_task(source.access_token())
    await until(lambda: server.count(TOKEN_PATH) == 2)
    caller.cancel()
    service.slow.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await source.access_token() == "access-2"
    assert server.count(TOKEN_PATH) == 2


async def test_a_pair_whose_commit_failed_is_saved_again(
    pool: EnginePool,
    vault: Vault,
    oauth: OAuthClient,
    service: TokenService,
    server: LoopbackServer,
) -> None:
    connection_id = await connected(pool, vault, oauth)
    await expire(pool)
    source = TokenSource(pool, vault, oauth, connection_id)
    service.slow = asyncio.Event()
    asking = asyncio.create_task(source.access_token())
    async with pool.connection() as connection:
        await until(lambda: server.count(TOKEN_PATH) == 2)
        # The session that holds the row dies between the provider's answer and the commit.
        await connection.execute("reset role")
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and state = 'idle in transaction'"
        )
        await connection.execute("set role sqlsync_engine")
    service.slow.set()
    assert await asking == "access-2"
    assert vault.open((await stored(pool, connection_id))["refresh"]) == "refresh-2"  # type: ignore[arg-type]
    assert server.count(TOKEN_PATH) == 2


async def test_a_lost_grant_is_noted_unless_a_person_connected_again(
    pool: EnginePool, vault: Vault, oauth: OAuthClient, service: TokenService
) -> None:
    connection_id = await connected(pool, vault, oauth)
    source = TokenSource(pool, vault, oauth, connection_id)
    old = await source.access_token()
    await Connector(pool, vault, oauth).connect_with_refresh_token(
        name="acme", company_id="9341", refresh_token=service.good
    )
    await source.lost(NeedsReauth("refused"), old)
    assert (await stored(pool, connection_id))["state"] == "connected"
    await source.lost(NeedsReauth("refused"), await source.access_token())
    row = await stored(pool, connection_id)
    assert (row["state"], row["reason"]) == ("needs_reauth", "refused")
    await expire(pool)  # the provider takes the stored token after all
    await source.access_token()
    row = await stored(pool, connection_id)
    assert (row["state"], row["reason"]) == ("connected", None)


async def test_a_paused_connection_that_loses_its_grant_is_paused_again_after_it(
    pool: EnginePool, vault: Vault, oauth: OAuthClient, service: TokenService
) -> None:
    connection_id = await connected(pool, vault, oauth)
    async with pool.connection() as connection:
        await pause(connection, "acme")
    await expire(pool)
    good, service.good = service.good, "another"
    with pytest.raises(NeedsReauth):
        await TokenSource(pool, vault, oauth, connection_id).access_token()
    assert (await stored(pool, connection_id))["state"] == "needs_reauth"
    service.good = good
    await TokenSource(pool, vault, oauth, connection_id).access_token()
    assert (await stored(pool, connection_id))["state"] == "paused"
    async with pool.connection() as connection:
        await resume(connection, "acme")
    assert (await stored(pool, connection_id))["state"] == "connected"


async def test_a_grant_that_is_gone_keeps_its_tokens_and_waits_for_a_person(
    pool: EnginePool, vault: Vault, oauth: OAuthClient, service: TokenService
) -> None:
    connection_id = await connected(pool, vault, oauth)
    await expire(pool)
    service.good = "somebody else's"
    with pytest.raises(NeedsReauth):
        await TokenSource(pool, vault, oauth, connection_id).access_token()
    row = await stored(pool, connection_id)
    assert row["state"] == "needs_reauth" and "invalid refresh token" in str(row["reason"])
    assert vault.open(row["refresh"]) == "refresh-1"  # type: ignore[arg-type]
    service.good = "refresh-9"
    again = await Connector(pool, vault, oauth).connect_with_refresh_token(
        name="acme", company_id="9341", refresh_token="refresh-9"
    )
    assert again.connection_id == connection_id
    assert (await stored(pool, connection_id))["state"] == "connected"


async def test_a_token_that_is_still_good_serves_while_the_token_service_is_down(
    pool: EnginePool, vault: Vault, oauth: OAuthClient, service: TokenService
) -> None:
    source = TokenSource(pool, vault, oauth, await connected(pool, vault, oauth))
    async with pool.connection() as connection:  # inside the margin: a refresh is tried each time
        await connection.execute(
            "update sqlsync.token set access_expires_at = now() + interval '1 minute'"
        )
    service.reply = Reply(b"<html>", 503)
    assert await source.access_token() == "access-1"
    with pytest.raises(Unreachable):
        await source.renew("access-1")


FAILURES: list[tuple[Reply, type[Exception]]] = [
    (Reply({"error": "invalid_client"}, 401), ProviderFault),
    (Reply(b"<html>", 502), Unreachable),
    (DROP, Unreachable),
]


async def test_failures_of_the_token_service_do_not_end_the_grant(
    pool: EnginePool, vault: Vault, oauth: OAuthClient, service: TokenService
) -> None:
    connection_id = await connected(pool, vault, oauth)
    await expire(pool)
    for service.reply, error in FAILURES:
        with pytest.raises(error):
            await TokenSource(pool, vault, oauth, connection_id).access_token()
        assert (await stored(pool, connection_id))["state"] == "connected"


async def test_a_company_is_connected_once(
    pool: EnginePool, vault: Vault, oauth: OAuthClient, service: TokenService
) -> None:
    await connected(pool, vault, oauth)
    with pytest.raises(ConfigError, match="connected already, as acme"):
        await Connector(pool, vault, oauth).connect_with_refresh_token(
            name="b", schema_name="b", company_id="9341", refresh_token=service.good
        )
    async with pool.connection() as connection:
        row = await (await connection.execute("select count(*) from sqlsync.connection")).fetchone()
    assert row == (1,)


NOT_POSSIBLE = [
    ("b", None, "2"),  # the default schema is taken
    ("acme", "other", "9341"),
    ("acme", None, "another company"),
    ("acme", None, "2"),
    ("", "b", "2"),
    ("b", "pg_b", "2"),
    ("b", "sqlsync", "2"),
    ("b", "B", "2"),
    ("b", 'b"; drop', "2"),
]


async def test_names_that_cannot_be_are_refused_before_any_call(
    pool: EnginePool, vault: Vault, oauth: OAuthClient, server: LoopbackServer
) -> None:
    await connected(pool, vault, oauth)
    calls = len(server.seen)
    for name, schema, company in NOT_POSSIBLE:
        with pytest.raises(ConfigError):
            await Connector(pool, vault, oauth).connect_with_refresh_token(
                name=name, schema_name=schema, company_id=company, refresh_token="r"
            )
    assert len(server.seen) == calls
