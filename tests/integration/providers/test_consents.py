"""Consents: whose they are, how often they are good, and what becomes of a refused one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sqlsync.database import EnginePool
from sqlsync.errors import (
    ConfigError,
    ConsentRefused,
    DatabaseUnavailable,
    SqlsyncError,
    Unreachable,
)
from sqlsync.providers.callbacks import Consents
from sqlsync.providers.connect import Connector
from sqlsync.providers.consents import Outcome
from sqlsync.providers.endpoints import quickbooks_endpoints, xero_endpoints
from sqlsync.providers.http import HttpClient
from sqlsync.providers.oauth import XERO_OAUTH, OAuthClient
from sqlsync.providers.quickbooks.company import QuickBooksNames
from sqlsync.providers.xero.connections import XeroCompanies
from sqlsync.vault import Vault

from .conftest import LoopbackServer, Reply, Seen, loopback

WRONG_COMPANY = {
    "fault": {
        "error": [
            {
                "message": "message=ApplicationAuthorizationFailed; errorCode=003100;"
                " statusCode=403",
                "code": "3100",
            }
        ],
        "type": "SERVICE",
    }
}


@dataclass
class Intuit:
    """The token service, and the one call that tells a company's name."""

    tokens: Reply | None = None
    company: Reply | None = None
    scope: str | None = None

    async def __call__(self, seen: Seen) -> Reply:
        if "companyinfo" in seen.path:
            named: dict[str, object] = {
                "CompanyInfo": {"CompanyName": "Acme Ltd"},
                "time": "2026-03-02T09:15:42.117-08:00",
            }
            return self.company or Reply(named)
        answer: dict[str, object] = {
            "access_token": "access",
            "refresh_token": "refresh",
            "expires_in": 3600,
            "x_refresh_token_expires_in": 8726400,
            "x_refresh_token_hard_expires_in": 86400,
        }
        if self.scope is not None:
            answer["scope"] = self.scope
        return self.tokens or Reply(answer)


@dataclass
class World:
    pool: EnginePool
    intuit: Intuit
    server: LoopbackServer
    connector: Connector
    consents: Consents

    async def begin(self, name: str = "acme") -> str:
        """Returns the state."""
        query = parse_qs(urlsplit(await self.consents.begin("quickbooks", name)).query)
        return query["state"][0]

    async def answer(self, state: str, realm: str = "9341", **more: str) -> str:
        found = {"code": "the-code", "state": state, "realmId": realm, **more}
        return (await self.consents.finish("quickbooks", found)).name

    async def outcome(self, state: str) -> tuple[Outcome, str | None] | None:
        ended = await self.connector.outcome(state)
        return None if ended is None else (ended.outcome, ended.message)

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            return await (await connection.execute(query.encode())).fetchall()


@pytest.fixture
async def world(pool: EnginePool, vault: Vault) -> AsyncIterator[World]:
    intuit = Intuit()
    async with loopback(intuit) as server, HttpClient(read_seconds=2) as http:
        endpoints = quickbooks_endpoints("simulator", api_url=server.url)
        oauth = OAuthClient(http, endpoints, "the-id", "the-secret")
        connector = Connector(pool, vault, oauth, names=QuickBooksNames(http, server.url))
        xero = OAuthClient(
            http, xero_endpoints("simulator", api_url=server.url), "x", "y", style=XERO_OAUTH
        )
        consents = Consents(
            {
                "quickbooks": connector,
                "xero": Connector(pool, vault, xero, "xero", XeroCompanies(http, server.url)),
            },
            "https://books.example/",
        )
        yield World(pool, intuit, server, connector, consents)


async def test_a_consent_ends_in_a_connection_with_the_companys_name(world: World) -> None:
    url = await world.consents.begin("quickbooks", "acme")
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert query["client_id"] == "the-id" and query["response_type"] == "code"
    assert query["scope"] == "com.intuit.quickbooks.accounting"
    assert await world.outcome(query["state"]) is None
    assert await world.answer(query["state"]) == "acme"
    exchange, _ = world.server.seen
    assert exchange.form["redirect_uri"] == "https://books.example/oauth/callback/quickbooks"
    assert await world.outcome(query["state"]) == (Outcome.CONNECTED, None)
    [shown] = await world.rows(
        "select name, provider, company_id, company_name, schema_name, state, scopes_granted,"
        " scopes_missing, refresh_token_expires_at < now() + interval '25 hours',"
        " access_token_expires_at > now(), refreshed_at is not null, last_error"
        " from sqlsync._sync_connection"
    )
    granted = ["com.intuit.quickbooks.accounting"]
    assert shown[:6] == ("acme", "quickbooks", "9341", "Acme Ltd", "quickbooks", "connected")
    assert shown[6:] == (granted, None, True, True, True, None)


async def test_a_state_is_not_kept_and_is_good_once_and_for_its_provider(world: World) -> None:
    state = await world.begin()
    kept = str(await world.rows("select * from sqlsync.consent"))
    assert state not in kept
    with pytest.raises(ConsentRefused, match="not one we asked for"):
        await world.consents.finish("xero", {"code": "c", "state": state})
    assert await world.answer(state) == "acme"
    calls = len(world.server.seen)
    with pytest.raises(ConsentRefused, match="used already"):
        await world.answer(state)
    assert len(world.server.seen) == calls
    assert await world.outcome(state) == (Outcome.CONNECTED, None)


async def test_a_consent_is_too_old_after_an_hour(world: World) -> None:
    state = await world.begin()
    await world.rows(
        "update sqlsync.consent set created_at = created_at - interval '61 minutes' returning 1"
    )
    with pytest.raises(ConsentRefused, match="too old"):
        await world.answer(state)
    assert world.server.seen == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": "access_denied"}, "was refused"),
        ({"error": "invalid_scope", "error_description": "no such scope"}, "no such scope"),
        ({"error": "<script>"}, "There was no consent"),
    ],
)
async def test_a_refusal_is_told_to_who_waits_and_frees_the_name(
    world: World, answer: dict[str, str], words: str
) -> None:
    state = await world.begin("other name")
    with pytest.raises(ConsentRefused, match=words):
        await world.consents.finish("quickbooks", {**answer, "state": state})
    ended = await world.outcome(state)
    assert ended is not None and ended[0] is Outcome.REFUSED and words in str(ended[1])
    assert await world.rows("select name from sqlsync.connection") == []


async def test_callbacks_that_are_not_ours_are_refused_and_change_nothing(world: World) -> None:
    state = await world.begin()
    answers: list[dict[str, str]] = [
        {"error": "access_denied", "state": "x"},
        {"error": "access_denied"},
        {"code": "c", "state": "forged", "realmId": "1"},
        {"code": "c", "state": "\udcff", "realmId": "1"},
        {"code": "c", "state": state},
        {},
    ]
    for answer in answers:
        with pytest.raises(ConsentRefused):
            await world.consents.finish("quickbooks", answer)
    assert await world.outcome(state) is None
    assert await world.answer(state) == "acme"


async def test_a_realm_that_is_none_is_refused(world: World) -> None:
    state = await world.begin()
    with pytest.raises(ConfigError, match="not a company id"):
        await world.answer(state, realm="../1")
    assert world.server.seen == []


async def test_a_provider_that_is_down_ends_the_consent_as_failed(world: World) -> None:
    state = await world.begin()
    world.intuit.tokens = Reply(b"<html>", 503)
    with pytest.raises(Unreachable):
        await world.answer(state)
    ended = await world.outcome(state)
    assert ended is not None and ended[0] is Outcome.FAILED and "not available" in str(ended[1])
    assert await world.rows("select name from sqlsync.connection") == []


GRANTS_OF_NO_USE: list[tuple[dict[str, Any], str]] = [
    ({"scope": "openid"}, "lacks com.intuit.quickbooks.accounting"),
    ({"company": Reply(WRONG_COMPANY, 403)}, "does not open the books of company 9341"),
    ({"company": Reply(b"", 401)}, "does not open the books of company 9341"),
]


async def test_a_grant_that_opens_no_books_is_refused(world: World) -> None:
    for given, words in GRANTS_OF_NO_USE:
        world.intuit.scope = given.get("scope")
        world.intuit.company = given.get("company")
        state = await world.begin()
        with pytest.raises(ConsentRefused, match=words):
            await world.answer(state)
        assert await world.rows("select 1 from sqlsync.connection") == []


async def test_a_name_that_cannot_be_had_just_now_does_not_stop_a_connection(world: World) -> None:
    world.intuit.company = Reply(b"", 503)
    assert await world.answer(await world.begin()) == "acme"
    assert await world.rows("select company_name, state from sqlsync.connection") == [
        (None, "connected")
    ]


async def test_connecting_again_is_for_the_same_company(world: World) -> None:
    await world.answer(await world.begin())
    before = await world.rows("select id, state from sqlsync.connection")
    state = await world.begin()
    spent = len(world.server.seen)
    with pytest.raises(ConfigError, match=r"acme is for company Acme Ltd \(9341\), not 77"):
        await world.answer(state, realm="77")
    assert len(world.server.seen) == spent  # the code was not spent
    assert await world.rows("select id, state from sqlsync.connection") == before
    assert await world.answer(await world.begin()) == "acme"
    assert await world.rows("select id, state from sqlsync.connection") == before


async def test_a_withdrawn_consent_does_nothing_any_more(world: World) -> None:
    state = await world.begin()
    await world.connector.withdraw(state)
    assert await world.rows("select 1 from sqlsync.connection") == []
    with pytest.raises(ConsentRefused, match="Nobody waits"):
        await world.answer(state)
    await world.answer(await world.begin())
    again = await world.begin()
    await world.connector.withdraw(again)
    assert await world.rows("select state from sqlsync.connection") == [("connected",)]


async def test_two_callbacks_at_once_are_one_connection(world: World) -> None:
    state = await world.begin()
    found = await asyncio.gather(*(world.answer(state) for _ in range(4)), return_exceptions=True)
    assert found.count("acme") == 1
    assert all(isinstance(one, SqlsyncError) for one in found if one != "acme")


async def test_of_two_consents_for_one_new_name_the_refused_one_spoils_nothing(
    world: World,
) -> None:
    first, second = await world.begin(), await world.begin()
    with pytest.raises(ConsentRefused):
        await world.consents.finish("quickbooks", {"error": "access_denied", "state": first})
    assert await world.answer(second) == "acme"


async def test_a_company_taken_under_another_name_at_the_same_moment_is_refused(
    world: World,
) -> None:
    await world.rows(
        "insert into sqlsync.connection (name, provider, schema_name) values"
        " ('one', 'quickbooks', 'one'), ('two', 'quickbooks', 'two') returning 1"
    )
    states = [await world.begin("one"), await world.begin("two")]
    found = await asyncio.gather(*(world.answer(s) for s in states), return_exceptions=True)
    [refused] = [one for one in found if not isinstance(one, str)]
    assert isinstance(refused, ConfigError) and "9341" in str(refused)
    outcomes = [await world.outcome(state) for state in states]
    assert sorted(o[0] for o in outcomes if o is not None) == [Outcome.CONNECTED, Outcome.REFUSED]


async def test_who_waits_hears_of_a_connection_that_could_not_be_noted(world: World) -> None:
    state = await world.begin()
    async with world.pool.connection() as connection:
        await connection.execute(
            "alter table sqlsync.token add constraint none_today check (connection_id < 0)"
        )
        try:
            with pytest.raises(DatabaseUnavailable, match="could not be noted"):
                await world.answer(state)
        finally:
            await connection.execute("alter table sqlsync.token drop constraint none_today")
    ended = await world.outcome(state)
    assert ended is not None and ended[0] is Outcome.FAILED and "none_today" in str(ended[1])
