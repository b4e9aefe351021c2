"""Connecting Xero organisations: consent, PKCE, choice, rotation, giving access back."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest

from schema.loader import load_catalog
from sqlsync.database import EnginePool
from sqlsync.errors import (
    CompanyChoice,
    ConfigError,
    ConsentRefused,
    NeedsReauth,
    ProviderFault,
    Unreachable,
)
from sqlsync.providers.callbacks import Consents
from sqlsync.providers.connect import Connector
from sqlsync.providers.consents import Outcome
from sqlsync.providers.directory import App, ProviderDirectory
from sqlsync.providers.endpoints import xero_endpoints
from sqlsync.providers.http import HttpClient
from sqlsync.providers.oauth import XERO_OAUTH, OAuthClient
from sqlsync.providers.tokens import TokenSource
from sqlsync.providers.xero.adapter import XeroProvider
from sqlsync.providers.xero.connections import XeroCompanies
from sqlsync.settings import XeroSettings
from sqlsync.vault import Vault

from .conftest import DROP, LoopbackServer, Reply, Seen, loopback

KESTREL = "8f2b6c1e-3d47-4a5e-9b0c-51a7d2e64f90"
DEMO = "c4d5e6f7-0819-4a2b-b3c4-d5e6f7081920"
EVENT = "d45e1b70-92c8-4e6f-8a13-7f0b26c9e5d4"
CALLBACK = "https://books.example/oauth/callback/xero"


def jwt(number: int) -> str:
    """An access token that says which consent it is of."""
    said = json.dumps({"authentication_event_id": EVENT, "n": number}).encode()
    return f"head.{base64.urlsafe_b64encode(said).decode().rstrip('=')}.signature"


@dataclass
class Identity:
    """Xero's identity service and /connections. Rotates; the last token is good once more."""

    granted: list[tuple[str, str]] = field(default_factory=lambda: [(KESTREL, EVENT)])
    scope: str = " ".join(XERO_OAUTH.scopes)
    good: set[str] = field(default_factory=lambda: {"refresh-0"})
    issued: int = 0
    lose: int = 0
    revoked: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    async def __call__(self, seen: Seen) -> Reply:
        if seen.path == "/connect/token":
            return self.token(seen)
        if seen.path == "/connect/revocation":
            self.revoked.append(seen.form["token"])
            self.good.clear()
            return Reply(b"")
        assert seen.headers["authorization"].startswith("Bearer ")
        if seen.method == "DELETE":
            self.removed.append(seen.path.rpartition("/")[2])
            return Reply(b"", 204)
        event = seen.query.get("authEventId")
        listed = [
            {
                "id": f"link-{t[:4]}",
                "tenantId": t,
                "tenantType": "ORGANISATION",
                "tenantName": t[:4],
            }
            for t, of in self.granted
            if event in (None, of)
        ]
        listed.append({"id": "x", "tenantId": "y", "tenantType": "PRACTICE", "tenantName": "p"})
        return Reply(json.dumps(listed).encode())

    def token(self, seen: Seen) -> Reply:
        form = seen.form
        if form["grant_type"] == "refresh_token" and form["refresh_token"] not in self.good:
            return Reply({"error": "invalid_grant"}, 400)
        self.issued += 1
        fresh = f"refresh-{self.issued}"
        self.good = {fresh, form.get("refresh_token", fresh)}  # thirty minutes of grace
        if self.lose:
            self.lose -= 1
            return DROP
        return Reply(
            {
                "access_token": jwt(self.issued),
                "refresh_token": fresh,
                "expires_in": 1800,
                "token_type": "Bearer",
                "scope": self.scope,
            }
        )


@dataclass
class World:
    identity: Identity
    server: LoopbackServer
    pool: EnginePool
    vault: Vault
    http: HttpClient
    state: str = ""  # of the last consent

    def connector(self, secret: str | None = "the-secret") -> Connector:
        endpoints = xero_endpoints("simulator", api_url=self.server.url)
        oauth = OAuthClient(self.http, endpoints, "the-id", secret, style=XERO_OAUTH)
        companies = XeroCompanies(self.http, self.server.url)
        return Connector(self.pool, self.vault, oauth, "xero", companies)

    def source(self, connection_id: int) -> TokenSource:
        endpoints = xero_endpoints("simulator", api_url=self.server.url)
        oauth = OAuthClient(self.http, endpoints, "the-id", "the-secret", style=XERO_OAUTH)
        return TokenSource(self.pool, self.vault, oauth, connection_id)

    async def row(self, query: str) -> tuple[object, ...]:
        async with self.pool.connection() as connection:
            found = await (await connection.execute(query.encode())).fetchone()
        assert found is not None
        return found

    async def consent(self, name: str = "kestrel", secret: str | None = "the-secret") -> str:
        """The whole way of a consent; returns the connection's name."""
        consents = Consents({"xero": self.connector(secret)}, "https://books.example/")
        query = parse_qs(urlsplit(await consents.begin("xero", name)).query)
        self.state = query["state"][0]
        return (await consents.finish("xero", {"code": "c", "state": self.state})).name


@pytest.fixture
async def world(pool: EnginePool, vault: Vault) -> AsyncIterator[World]:
    identity = Identity()
    async with loopback(identity) as server, HttpClient(read_seconds=2) as http:
        yield World(identity, server, pool, vault, http)


async def test_a_consent_asks_for_every_scope_and_for_a_refresh_token(world: World) -> None:
    consent = await world.connector().begin_connect(name="kestrel", redirect_uri=CALLBACK)
    parts = urlsplit(consent.url)
    assert parts.path == "/identity/connect/authorize"
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert query["redirect_uri"] == CALLBACK and query["state"] == consent.state
    assert query["response_type"] == "code" and "code_challenge" not in query
    assert {"offline_access", "accounting.invoices", "accounting.settings"} <= set(
        query["scope"].split()
    )


async def test_the_organisation_of_a_consent_is_found_without_being_told(world: World) -> None:
    world.identity.granted = [(DEMO, "an earlier consent"), (KESTREL, EVENT)]
    assert await world.consent() == "kestrel"
    assert await world.row("select provider, company_id, state from sqlsync.connection") == (
        "xero",
        KESTREL,
        "connected",
    )
    exchange, listing = world.server.seen
    assert exchange.headers["authorization"].startswith("Basic ")
    assert exchange.form == {
        "grant_type": "authorization_code",
        "code": "c",
        "redirect_uri": CALLBACK,
    }
    assert listing.query == {"authEventId": EVENT}
    assert "xero-tenant-id" not in listing.headers


async def test_an_app_without_a_secret_proves_itself_by_its_verifier(world: World) -> None:
    connector = world.connector(secret=None)
    consent = await connector.begin_connect(name="kestrel", redirect_uri=CALLBACK)
    query = {n: v[0] for n, v in parse_qs(urlsplit(consent.url).query).items()}
    assert query["code_challenge_method"] == "S256"
    connected = await connector.finish_connect(code="c", state=consent.state, realm_id=None)
    assert connected.company_id == KESTREL
    [exchange, _] = world.server.seen
    assert "authorization" not in exchange.headers and exchange.form["client_id"] == "the-id"
    digest = hashlib.sha256(exchange.form["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == query["code_challenge"]
    assert 43 <= len(exchange.form["code_verifier"]) <= 128


async def test_scopes_that_were_not_granted_are_named(world: World) -> None:
    world.identity.scope = "offline_access accounting.contacts"
    connected = await world.connector().connect_with_refresh_token(
        name="kestrel", company_id=KESTREL.upper(), refresh_token="refresh-0"
    )
    assert connected.company_id == KESTREL
    assert "accounting.invoices" in connected.missing_scopes
    assert "accounting.contacts" not in connected.missing_scopes


async def test_the_company_that_was_said_beforehand_needs_no_choice(world: World) -> None:
    world.identity.granted = [(KESTREL, EVENT), (DEMO, EVENT)]
    connector = world.connector()
    consent = await connector.begin_connect(
        name="demo", redirect_uri=CALLBACK, company_id=DEMO.upper()
    )
    connected = await connector.finish_connect(code="c", state=consent.state, realm_id=None)
    assert connected.company_id == DEMO


async def test_a_consent_without_a_refresh_token_scope_connects_nothing(world: World) -> None:
    world.identity.scope = "accounting.contacts"
    with pytest.raises(ConsentRefused, match="lacks offline_access"):
        await world.consent()
    assert await world.row("select count(*) from sqlsync.connection") == (0,)


async def test_broad_scopes_of_older_apps_count_as_those_they_hold(world: World) -> None:
    world.identity.scope = (
        "offline_access accounting.transactions accounting.reports.read accounting.contacts"
        " accounting.settings accounting.attachments"
    )
    await world.consent()
    shown = await world.row(
        "select scopes_missing, company_name, refresh_token_expires_at > now() + interval '59 days'"
        " from sqlsync._sync_connection"
    )
    assert shown == (["accounting.budgets.read"], "8f2b", True)


async def test_of_several_organisations_a_person_chooses(world: World) -> None:
    world.identity.granted = [(KESTREL, EVENT), (DEMO, EVENT)]
    with pytest.raises(CompanyChoice) as caught:
        await world.consent()
    assert {company_id for company_id, _ in caught.value.companies} == {KESTREL, DEMO}
    assert await world.row("select state, company_id from sqlsync.connection") == ("pending", None)
    waiting = await world.connector().outcome(world.state)
    assert waiting is not None and waiting.outcome is Outcome.CHOOSE
    with pytest.raises(ConfigError, match="does not cover"):
        await world.connector().choose_company(state=world.state, company_id="11111111-aaaa")
    chosen = await world.connector().choose_company(state=world.state, company_id=DEMO)
    assert (chosen.company_id, chosen.company_name) == (DEMO, "c4d5")
    ended = await world.connector().outcome(world.state)
    assert ended is not None and ended.outcome is Outcome.CONNECTED
    with pytest.raises(ConsentRefused, match="nothing to choose"):
        await world.connector().choose_company(state=world.state, company_id=KESTREL)
    assert await world.source(chosen.connection_id).access_token() == jwt(1)


async def test_the_one_that_is_not_connected_yet_is_meant(world: World) -> None:
    await world.consent()
    world.identity.granted = [(KESTREL, EVENT), (DEMO, EVENT)]
    async with world.pool.connection() as connection:
        await connection.execute(
            "insert into sqlsync.connection (name, provider, schema_name)"
            " values ('demo', 'xero', 'demo')"
        )
    assert await world.consent("demo") == "demo"
    assert await world.row("select company_id from sqlsync.connection where name = 'demo'") == (
        DEMO,
    )


async def test_connecting_again_takes_the_same_organisation_or_none(world: World) -> None:
    await world.consent()
    world.identity.granted = [(DEMO, EVENT), (KESTREL, "an earlier consent")]
    assert await world.consent() == "kestrel"
    assert await world.row("select company_id from sqlsync.connection") == (KESTREL,)
    world.identity.granted = [(DEMO, EVENT)]
    with pytest.raises(ConfigError, match=f"does not cover 8f2b .{KESTREL}.. It covers: c4d5"):
        await world.consent()
    assert await world.row("select state from sqlsync.connection") == ("connected",)


async def test_a_token_for_another_organisation_connects_nothing(world: World) -> None:
    with pytest.raises(ConfigError, match="does not cover"):
        await world.connector().connect_with_refresh_token(
            name="demo", company_id=DEMO, refresh_token="refresh-0"
        )
    assert await world.row("select count(*) from sqlsync.connection") == (0,)


async def test_no_organisation_at_all_is_said(world: World) -> None:
    world.identity.granted = []
    with pytest.raises(ConfigError, match="covers no organisation"):
        await world.consent()


async def test_a_refresh_token_lives_sixty_days_and_a_lost_answer_is_asked_for_again(
    world: World,
) -> None:
    await world.consent()
    days = "select extract(day from refresh_expires_at - clock_timestamp())::int from sqlsync.token"
    assert await world.row(days) in ((59,), (60,))
    async with world.pool.connection() as connection:
        await connection.execute("update sqlsync.token set access_expires_at = now()")
    [connection_id] = await world.row("select id from sqlsync.connection")
    assert isinstance(connection_id, int)
    world.identity.lose = 1
    with pytest.raises(Unreachable):
        await world.source(connection_id).access_token()
    assert await world.source(connection_id).access_token() == jwt(3)
    assert await world.row("select state from sqlsync.connection") == ("connected",)


async def test_a_spent_refresh_token_waits_for_a_person(world: World) -> None:
    await world.consent()
    async with world.pool.connection() as connection:
        await connection.execute("update sqlsync.token set access_expires_at = now()")
    world.identity.good.clear()
    [connection_id] = await world.row("select id from sqlsync.connection")
    assert isinstance(connection_id, int)
    with pytest.raises(NeedsReauth, match=r"\[Xero\] The grant is gone"):
        await world.source(connection_id).access_token()
    assert await world.row("select state from sqlsync.connection") == ("needs_reauth",)


async def test_disconnecting_gives_one_organisation_back_and_the_grant_with_the_last(
    world: World,
) -> None:
    world.identity.granted = [(DEMO, "an earlier consent"), (KESTREL, EVENT)]
    await world.consent()
    await world.connector().disconnect("kestrel")
    assert world.identity.removed == ["link-8f2b"] and world.identity.revoked == []
    assert await world.row("select state, state_reason from sqlsync.connection") == (
        "pending",
        "disconnected",
    )
    assert await world.row("select count(*) from sqlsync.token") == (0,)
    app = App.from_settings(XeroSettings.model_validate({"api_url": world.server.url}))
    directory = ProviderDirectory(
        world.pool, world.vault, {"xero": load_catalog("xero")}, None, xero=app, http=world.http
    )
    with pytest.raises(NeedsReauth, match="kestrel is disconnected: reconnect needed") as caught:
        await directory.for_schema("xero")
    assert caught.value.sqlstate == "58000"
    assert caught.value.hint == "Run: sqlsync connect xero --name kestrel"
    world.identity.granted = [(KESTREL, EVENT)]
    await world.consent()
    await world.connector().disconnect("kestrel")
    assert len(world.identity.removed) == 2 and world.identity.revoked == ["refresh-2"]
    revocation = world.server.seen[-1]
    assert revocation.headers["content-type"] == "application/x-www-form-urlencoded"
    assert revocation.headers["authorization"].startswith("Basic ")


async def test_a_grant_that_is_gone_already_can_be_forgotten(world: World) -> None:
    await world.consent()
    async with world.pool.connection() as connection:
        await connection.execute("update sqlsync.token set access_expires_at = now()")
    world.identity.good.clear()
    await world.connector().disconnect("kestrel")
    assert await world.row("select count(*) from sqlsync.token") == (0,)
    with pytest.raises(ConfigError, match="no connection"):
        await world.connector().disconnect("nobody")


async def test_the_directory_makes_a_xero_provider(world: World) -> None:
    await world.consent()
    settings = XeroSettings.model_validate(
        {"environment": "simulator", "api_url": world.server.url}
    )
    app = App.from_settings(settings)
    catalogs = {"xero": load_catalog("xero")}
    directory = ProviderDirectory(
        world.pool, world.vault, catalogs, None, xero=app, http=world.http
    )
    provider = await directory.for_schema("xero")
    assert isinstance(provider, XeroProvider) and await directory.for_schema("xero") is provider
    none = ProviderDirectory(world.pool, world.vault, catalogs, None, http=world.http)
    with pytest.raises(ConfigError, match="Xero is not set up"):
        await none.for_schema("xero")


async def test_a_list_of_organisations_that_makes_no_sense_is_a_fault(world: World) -> None:
    async def nonsense(seen: Seen) -> Reply:
        return Reply(b"<html>") if seen.path == "/connections" else await world.identity(seen)

    world.server.handler = nonsense
    with pytest.raises(ProviderFault, match="cannot be read"):
        await world.consent()
