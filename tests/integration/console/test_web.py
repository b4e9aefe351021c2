from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest

from sqlsync.console.web import BODY_LIMIT, Web, run_web
from sqlsync.database import connect, engine_pool
from sqlsync.errors import CompanyChoice, ConfigError, ConsentRefused, ProviderRefusal
from sqlsync.providers.claims import Connected
from sqlsync.providers.quickbooks.webhooks import SIGNATURE_HEADER, is_signed

TOKEN = "a verifier token"
ACME = Connected(1, "Acme & Sons", "acme", "id-2", "Two Ltd", ("accounting.payments",))


class Door:
    """Stands for the connectors: who may connect, and what they answer."""

    async def begin(self, provider: str, name: str) -> str:
        if provider != "quickbooks":
            raise ConfigError(f"{provider!r} is not a provider we can connect to.")
        return "https://provider.example/consent?state=s"

    async def finish(self, provider: str, answer: Mapping[str, str]) -> Connected:
        if answer.get("state") != "s":
            raise ConsentRefused("This is not one we asked for: <script>", hint="Try again.")
        if answer.get("code") == "several":
            raise CompanyChoice("Several.", companies=(("id-1", "One <b>"), ("id-2", "Two")))
        if answer.get("code") != "c":
            raise ProviderRefusal("The code was refused.")
        return ACME

    async def choose(self, provider: str, state: str, company_id: str) -> Connected:
        if (state, company_id) != ("s", "id-2"):
            raise ConsentRefused("There is nothing to choose here any more.")
        return ACME


@asynccontextmanager
async def served(url: str, *, may_begin: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    stopping, ready = asyncio.Event(), asyncio.Queue[str]()
    async with engine_pool(url) as pool:
        web = Web(
            pool,
            {"quickbooks": lambda body, h: is_signed(body, h.get(SIGNATURE_HEADER), TOKEN)},
            Door(),
            may_begin=may_begin,
        )
        serving = asyncio.create_task(
            run_web(
                web,
                "127.0.0.1",
                0,
                stopping=stopping,
                on_ready=lambda host, port: ready.put_nowait(f"http://{host}:{port}"),
            )
        )
        address = await asyncio.wait_for(ready.get(), 10)
        async with httpx.AsyncClient(base_url=address) as client:
            yield client
        stopping.set()
        await serving


def signed(body: bytes, token: str = TOKEN) -> dict[str, str]:
    mac = hmac.new(token.encode(), body, hashlib.sha256).digest()
    return {SIGNATURE_HEADER: base64.b64encode(mac).decode()}


def stored(url: str) -> list[tuple[bytes, str]]:
    with connect(url) as connection:
        rows = connection.execute("select body, state from sqlsync.inbox order by id").fetchall()
    return [(bytes(body), state) for body, state in rows]


async def test_a_signed_delivery_is_stored_once_and_wakes_the_workers(migrated_url: str) -> None:
    body = b'{"eventNotifications":[]}'
    with connect(migrated_url) as listener:
        listener.execute("listen sqlsync_inbox")
        async with served(migrated_url) as client:
            for _ in range(2):
                answer = await client.post(
                    "/webhooks/quickbooks", content=body, headers=signed(body)
                )
                assert (answer.status_code, answer.content) == (200, b"")  # as Xero wants it
                assert "set-cookie" not in answer.headers
        heard = [n.channel for n in listener.notifies(timeout=5, stop_after=1)]
    assert set(heard) == {"sqlsync_inbox"}
    assert stored(migrated_url) == [(body, "new")]


@pytest.mark.parametrize(
    "headers",
    [{}, {SIGNATURE_HEADER: "AAAA"}, {SIGNATURE_HEADER: "é"}, signed(b"another body")],
)
async def test_a_wrong_signature_is_refused_and_nothing_is_stored(
    migrated_url: str, headers: dict[str, str]
) -> None:
    async with served(migrated_url) as client:
        raw = {k: v.encode("latin-1") for k, v in headers.items()}
        answer = await client.post(
            "/webhooks/quickbooks",
            content=b"{}",
            headers=list(raw.items()),  # type: ignore[arg-type]
        )
        assert (answer.status_code, answer.content) == (401, b"")
        metrics = (await client.get("/metrics")).text
    assert stored(migrated_url) == []
    assert 'outcome="refused",provider="quickbooks"} 1.0' in metrics


async def test_a_provider_that_tries_us_is_noted_once_and_a_forgery_each_time(
    migrated_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    empty = b'{"events": [],"firstEventSequence": 0,"lastEventSequence": 0, "entropy": "QQAX"}'
    with caplog.at_level("INFO", "sqlsync.console.web"):
        async with served(migrated_url) as client:
            for body in (empty, b'{"events":[{}]}', empty, b'{"events":[{}]}'):
                headers = {SIGNATURE_HEADER: "AAAA"}
                answer = await client.post("/webhooks/quickbooks", content=body, headers=headers)
                assert answer.status_code == 401
    told = [(r.levelname, r.message) for r in caplog.records if r.name == "sqlsync.console.web"]
    refused = ("WARNING", "A webhook for quickbooks with a wrong signature was refused")
    tried = ("INFO", "quickbooks tried whether wrong signatures are refused: they are")
    assert told == [tried, refused, refused]


async def test_a_body_that_is_too_large_is_refused_declared_or_not(migrated_url: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(BODY_LIMIT // 50_000 + 2):
            yield b"x" * 50_000

    async with served(migrated_url) as client:
        body = b"x" * (BODY_LIMIT + 1)
        for content in (body, chunks()):
            answer = await client.post("/webhooks/quickbooks", content=content)
            assert answer.status_code == 413
    assert stored(migrated_url) == []


async def test_a_provider_without_webhooks_is_not_found(migrated_url: str) -> None:
    async with served(migrated_url) as client:
        assert (await client.post("/webhooks/xero", content=b"{}")).status_code == 404


async def test_health_says_whether_the_database_answers(migrated_url: str) -> None:
    async with served(migrated_url) as client:
        assert (await client.get("/healthz")).status_code == 200
        database = migrated_url.rsplit("/", 1)[1].split("?")[0]
        with connect(migrated_url.replace(f"/{database}", "/postgres")) as admin:
            admin.execute(f"alter database {database} allow_connections false".encode())
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
                [database],
            )
            assert (await client.get("/healthz")).status_code == 503
            admin.execute(f"alter database {database} allow_connections true".encode())


async def test_consent_leads_away_and_back_with_clear_answers(migrated_url: str) -> None:
    async with served(migrated_url) as client:
        away = await client.get("/connect/quickbooks", params={"name": "books"})
        assert away.status_code == 302
        assert away.headers["location"].startswith("https://provider.example/")
        assert (await client.get("/connect/xero")).status_code == 400
        good = await client.get("/oauth/callback/quickbooks", params={"state": "s", "code": "c"})
        assert good.status_code == 200
        assert "Acme &amp; Sons is connected to Two Ltd" in good.text
        assert "Not granted: accounting.payments" in good.text
        forged = await client.get("/oauth/callback/quickbooks", params={"state": "x"})
        assert forged.status_code == 400
        assert "&lt;script&gt;" in forged.text
        assert "<script>" not in forged.text
        refused = await client.get("/oauth/callback/quickbooks", params={"state": "s"})
        assert refused.status_code == 502


async def test_of_several_companies_one_is_chosen_by_a_button(migrated_url: str) -> None:
    async with served(migrated_url) as client:
        asked = await client.get("/oauth/callback/xero", params={"state": "s", "code": "several"})
        assert asked.status_code == 200
        assert "One &lt;b&gt;" in asked.text and "value='id-2'" in asked.text
        assert "action='/oauth/choose/xero'" in asked.text
        assert "form-action 'self'" in asked.headers["content-security-policy"]
        chosen = await client.post("/oauth/choose/xero", data={"state": "s", "company": "id-2"})
        assert chosen.status_code == 200 and "is connected to Two Ltd" in chosen.text
        for form in ({"state": "s"}, {"state": "x", "company": "id-2"}, {"state": "s" * 20_000}):
            assert (await client.post("/oauth/choose/xero", data=form)).status_code == 400
        assert (await client.get("/oauth/choose/xero")).status_code == 405


async def test_on_a_public_address_a_browser_begins_no_consent(migrated_url: str) -> None:
    async with served(migrated_url, may_begin=False) as client:
        answer = await client.get("/connect/quickbooks", params={"name": "books"})
        assert answer.status_code == 403
        assert "sqlsync connect quickbooks" in answer.text
