"""The way of a consent as a person goes it: the command, the browser, both providers' pages.

The browser is an HTTP client over the simulated providers' own consent pages.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import httpx
import psycopg
import pytest
from acceptance.product import command

from sqlsync.app.connecting import pause, resume
from sqlsync.cli.background import Background, background
from sqlsync.cli.supervisor import child_command
from sqlsync.embedded import EmbeddedPostgres

PATIENCE = 60.0


class Browser:
    """Opens a page, presses a button of its form, goes where it is sent."""

    def __init__(self) -> None:
        self._http = httpx.Client(timeout=30, follow_redirects=True)

    def open(self, address: str) -> httpx.Response:
        return self._http.get(address)

    def press(self, page: httpx.Response, **chosen: str | list[str]) -> httpx.Response:
        """Sends the page's form with its hidden fields."""
        fields: dict[str, Any] = dict(
            re.findall(r"type=.?hidden.? name=[\"']?(\w+)[\"']? value=[\"']([^\"']*)", page.text)
        )
        action = re.search(r"<form [^>]*action=[\"']([^\"']+)", page.text)
        where = urljoin(str(page.url), action[1]) if action else str(page.url)
        return self._http.post(where, data={**fields, **chosen})


@dataclass(frozen=True)
class House:
    """`sqlsync up` before both simulated providers, and where everything is."""

    environment: Mapping[str, str]
    direct: str
    proxy: str
    web: str
    quickbooks: str
    xero: str
    realms: list[str]
    tenants: list[str]
    services: Background

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.direct, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def state(self, name: str) -> str:
        [(state,)] = self.rows(f"select state from sqlsync.connection where name = '{name}'")
        return str(state)

    def through(self, statement: str) -> list[tuple[Any, ...]]:
        """A statement of a user, through the proxy."""
        with psycopg.connect(self.proxy, autocommit=True) as connection:
            found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    def refused(self, statement: str) -> psycopg.Error:
        with pytest.raises(psycopg.Error) as caught:
            self.through(statement)
        return caught.value

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return command(self.environment, *arguments)

    def change(
        self, entity: str, operation: str, body: dict[str, Any], *, may_fail: bool = False
    ) -> bool:
        """A person's change in the first QuickBooks company; False where the books refuse it."""
        given = {"realm": self.realms[0], "entity": entity, "operation": operation, "body": body}
        done = httpx.post(f"{self.quickbooks}/_control/books", json=given, timeout=30)
        assert may_fail or done.status_code == 200, done.text
        return done.status_code == 200

    def asked(self, address: str, kind: str) -> int:
        """How many requests of a kind a simulated provider got."""
        counts = httpx.get(f"{address}/_control/requests", timeout=30).json()["counts"]
        return sum(count for name, count in counts.items() if kind in name)

    def control(self, address: str, path: str, **given: Any) -> None:
        assert httpx.post(f"{address}/_control/{path}", json=given, timeout=30).status_code == 200

    @contextmanager
    def connecting(self, *arguments: str) -> Iterator[Waiting]:
        process = subprocess.Popen(
            [sys.executable, "-m", "sqlsync.cli", "connect", *arguments],
            env=dict(self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A run of the tests in the background ignores Ctrl-C, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("http"):
                    yield Waiting(process, line.strip())
                    break
            else:
                raise AssertionError(process.communicate()[1])
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()


@dataclass(frozen=True)
class Waiting:
    """A `sqlsync connect` that waits for the consent at `address`."""

    process: subprocess.Popen[str]
    address: str

    def ended(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def house(
    postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    with psycopg.connect(postgres_server.url(), autocommit=True) as admin:
        admin.execute("create database consent")
    url = postgres_server.url("consent")
    simulators = [sys.executable, "-m", "sqlsync.simulators", "--customers", "5", "--invoices", "5"]
    simulators += ["--quickbooks", "127.0.0.1:0", "--xero", "127.0.0.1:0"]
    simulators += ["--companies", "2", "--organisations", "2"]
    state_dir = tmp_path_factory.mktemp("consent")
    with background("simulators", simulators, os.environ) as providers:
        quickbooks, xero = (f"http://{providers.ready[name]}" for name in ("quickbooks", "xero"))
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SQLSYNC_")},
            "SQLSYNC_DATABASE_URL": url,
            "SQLSYNC_STATE_DIR": str(state_dir),
            "SQLSYNC_PROVIDERS__QUICKBOOKS__API_URL": quickbooks,
            "SQLSYNC_PROVIDERS__XERO__API_URL": xero,
            "SQLSYNC_PROVIDERS__XERO__CLIENT_ID": "an-app-without-a-secret",
            "SQLSYNC_PROXY__LISTEN": "127.0.0.1:0",
            "SQLSYNC_WEB__LISTEN": "127.0.0.1:0",
            "SQLSYNC_LOG__LEVEL": "error",
        }
        with background("up", child_command("up", None), environment) as services:
            environment["SQLSYNC_WEB__LISTEN"] = services.ready["web"]
            environment["SQLSYNC_PROXY__LISTEN"] = services.ready["proxy"]
            added = command(environment, "user", "add", "consent_user", "--write")
            assert added.returncode == 0, added.stderr
            yield House(
                environment,
                url,
                added.stdout.strip(),
                f"http://{services.ready['web']}",
                quickbooks,
                xero,
                [c["realm_id"] for c in httpx.get(f"{quickbooks}/_control").json()["companies"]],
                [c["tenant_id"] for c in httpx.get(f"{xero}/_control").json()["organisations"]],
                services,
            )


@pytest.fixture
def browser() -> Browser:
    return Browser()


@pytest.fixture(scope="module")
def books(house: House) -> str:
    """QuickBooks, connected by consent; a name for the connection."""
    browser = Browser()
    with house.connecting("quickbooks", "--name", "books") as waiting:
        page = browser.open(waiting.address)
        landed = browser.press(page, answer="approve", realm=house.realms[0])
        assert landed.status_code == 200 and "books is connected to" in landed.text
        code, out, err = waiting.ended()
    assert (code, out.strip()) == (
        0,
        f"connected books: company {house.realms[0]}, schema quickbooks",
    ), err
    until(lambda: house.state("books") == "live")
    return "books"


def test_a_consent_fills_the_tables_and_shows_the_connection(house: House, books: str) -> None:
    assert house.through("select count(*) > 4 from quickbooks.customer") == [(True,)]
    [shown] = house.through(
        "select name, company_id, company_name <> '', state, scopes_granted, scopes_missing,"
        " access_token_expires_at > now(), refresh_token_expires_at > now() + interval '90 days'"
        " from quickbooks._sync_connection"
    )
    assert shown[:4] == (books, house.realms[0], True, "live")
    assert shown[4:] == (["com.intuit.quickbooks.accounting"], None, True, True)
    assert "refresh_token" not in {
        name
        for (name,) in house.through(
            "select column_name from information_schema.columns"
            " where table_name = '_sync_connection'"
        )
    }
    refused = house.refused("select * from sqlsync.token")
    assert refused.sqlstate == "42501"


def test_a_person_who_says_no_ends_the_command_at_once(house: House, browser: Browser) -> None:
    began = time.monotonic()
    with house.connecting("quickbooks", "--name", "nobody", "--schema", "nobody") as waiting:
        page = browser.open(waiting.address)
        landed = browser.press(page, answer="deny")
        assert landed.status_code == 400 and "The consent was refused" in landed.text
        code, out, err = waiting.ended()
    assert code == 1 and "connected" not in out
    assert "[QuickBooks] The consent was refused." in err
    assert time.monotonic() - began < PATIENCE
    assert house.rows("select 1 from sqlsync.connection where name = 'nobody'") == []


def test_ctrl_c_withdraws_the_consent(house: House, browser: Browser) -> None:
    with house.connecting("quickbooks", "--name", "nobody", "--schema", "nobody") as waiting:
        page = browser.open(waiting.address)
        waiting.process.send_signal(signal.SIGINT)
        code, _, err = waiting.ended()
        assert code == 130 and "Traceback" not in err
        late = browser.press(page, answer="approve", realm=house.realms[1])
    assert late.status_code == 400 and "Nobody waits for this consent" in late.text
    assert house.rows("select 1 from sqlsync.connection where name = 'nobody'") == []


def test_another_company_is_refused_and_both_are_named(
    house: House, books: str, browser: Browser
) -> None:
    page = browser.open(f"{house.web}/connect/quickbooks?name={books}")
    landed = browser.press(page, answer="approve", realm=house.realms[1])
    assert landed.status_code == 400
    assert house.realms[0] in landed.text and house.realms[1] in landed.text
    assert house.state(books) == "live"


def test_of_two_organisations_one_is_chosen_and_a_missing_scope_is_named(
    house: House, books: str, browser: Browser
) -> None:
    with house.connecting("xero", "--name", "kestrel") as waiting:
        assert "code_challenge_method=S256" in waiting.address
        assert "localhost" in waiting.address  # Xero takes no 127.0.0.1
        page = browser.open(_without_scope(waiting.address, "accounting.payments"))
        asked = browser.press(page, answer="approve", tenant=house.tenants)
        assert asked.status_code == 200 and "Which company?" in asked.text
        assert house.state("kestrel") == "pending"
        landed = browser.press(asked, company=house.tenants[1])
        assert "kestrel is connected to" in landed.text
        assert "Not granted: accounting.payments" in landed.text
        again = browser.press(asked, company=house.tenants[0])
        assert again.status_code == 400
        code, out, err = waiting.ended()
    assert code == 0, err
    assert out.strip() == f"connected kestrel: company {house.tenants[1]}, schema xero"
    assert "not granted: accounting.payments" in err
    until(lambda: house.state("kestrel") == "live")
    lacking = (
        "select state from xero._sync_cdc where object = 'payment'"
        " and error like '%accounting.payments%'"
    )
    until(lambda: house.rows(lacking) == [("error",)])
    assert house.through("select count(*) > 0 from xero.contact") == [(True,)]
    assert house.through("select scopes_missing from xero._sync_connection") == [
        (["accounting.payments"],)
    ]
    assert house.state(books) == "live"

    # Connecting again grants it, for the same organisation, and its tables fill by themselves.
    page = browser.open(f"{house.web}/connect/xero?name=kestrel")
    landed = browser.press(page, answer="approve", tenant=[house.tenants[1]])
    assert landed.status_code == 200 and "Not granted" not in landed.text, landed.text
    until(
        lambda: (
            house.rows("select state, error from xero._sync_cdc where object = 'payment'")
            == [("live", None)]
        )
    )


def _without_scope(address: str, scope: str) -> str:
    """What a provider grants where the app's registration lacks a scope."""
    parts = urlsplit(address)
    query = dict(parse_qsl(parts.query))
    query["scope"] = " ".join(s for s in query["scope"].split() if s != scope)
    return urlunsplit(parts._replace(query=urlencode(query)))


def test_after_disconnecting_tables_stay_and_writes_say_reconnect(
    house: House, books: str, browser: Browser
) -> None:
    customers = house.through("select id from quickbooks.customer order by id")
    done = house.run("disconnect", books)
    assert done.returncode == 0, done.stderr
    assert house.asked(house.quickbooks, "revo") == 1
    assert house.state(books) == "pending"
    assert house.rows(
        "select count(*) from sqlsync.token t join sqlsync.connection c"
        " on c.id = t.connection_id where c.name = 'books'"
    ) == [(0,)]
    assert house.through("select id from quickbooks.customer order by id") == customers
    until(
        lambda: (
            "disconnected"
            in str(
                house.refused(
                    f"update quickbooks.customer set notes = 'x' where id = '{customers[0][0]}'"
                )
            )
        )
    )
    refused = house.refused("update quickbooks.customer set notes = 'x'")
    assert refused.sqlstate == "58000"
    assert "reconnect needed" in str(refused.diag.message_primary)
    assert refused.diag.message_hint == "Run: sqlsync connect quickbooks --name books"

    # Meanwhile somebody changes the books, and the feed forgets.
    [changed, *_] = [row for (row,) in customers]
    house.change("Customer", "update", {"Id": changed, "Notes": "meanwhile"})
    [gone, *_] = [
        row
        for (row,) in house.rows("select id from quickbooks.estimate order by id")
        if house.change("Estimate", "delete", {"Id": row}, may_fail=True)
    ]
    house.rows(
        "update quickbooks._sync_cdc set watermark = watermark - interval '40 days'"
        " where object in ('customer', 'estimate') returning 1"
    )
    page = browser.open(f"{house.web}/connect/quickbooks?name={books}")
    assert browser.press(page, answer="approve", realm=house.realms[0]).status_code == 200
    until(
        lambda: (
            house.rows(f"select notes from quickbooks.customer where id = '{changed}'")
            == [("meanwhile",)]
        )
    )
    until(lambda: house.state(books) == "live")
    assert house.rows(f"select 1 from quickbooks.estimate where id = '{gone}'") == []
    assert house.through(
        f"update quickbooks.customer set notes = 'back' where id = '{changed}' returning notes"
    ) == [("back",)]


def test_a_grant_revoked_at_the_provider_stops_one_company_and_comes_back(
    house: House, books: str, browser: Browser
) -> None:
    house.control(house.quickbooks, "tokens", expire=True, revoke=True, realm=house.realms[0])
    refused = house.refused("update quickbooks.customer set notes = 'y'")
    assert refused.sqlstate == "58000"
    assert house.state(books) == "needs_reauth"  # at once, by that very call
    assert "sqlsync connect" in str(refused.diag.message_hint)
    [(reason, error)] = house.through(
        "select state_reason, last_error from quickbooks._sync_connection"
    )
    assert "grant" in reason and error == reason
    until(lambda: house.state("kestrel") == "live")
    page = browser.open(f"{house.web}/connect/quickbooks?name={books}")
    assert browser.press(page, answer="approve", realm=house.realms[0]).status_code == 200
    until(lambda: house.state(books) == "live")
    [(row,)] = house.through("select id from quickbooks.customer order by id limit 1")
    assert house.through(
        f"update quickbooks.customer set notes = 'z' where id = '{row}' returning notes"
    ) == [("z",)]


def test_a_paused_company_rests_until_it_is_resumed(house: House, books: str) -> None:
    pause(house.direct, books)
    assert house.state(books) == "paused"
    house.change("Customer", "create", {"DisplayName": "Made While Paused"})
    [(row,)] = house.through("select id from quickbooks.customer order by id limit 1")
    written = house.through(
        f"update quickbooks.customer set notes = 'w' where id = '{row}' returning notes"
    )
    assert written == [("w",)]
    known = "select count(*) from quickbooks.customer where display_name = 'Made While Paused'"
    assert house.state(books) == "paused" and house.rows(known) == [(0,)]
    resume(house.direct, books)
    until(lambda: house.rows(known) == [(1,)])
    until(lambda: house.state(books) == "live")


def test_the_doctor_names_what_is_wrong_and_what_to_do(house: House, books: str) -> None:
    house.control(house.quickbooks, "clock", advance_seconds=600)
    done = house.run("doctor", books, "--json")
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    found = report["findings"]
    lines = [f"{f['level']} {f['area']}: {f['text']} {f['advice'] or ''}" for f in found]
    text = "\n".join(lines)
    assert report["healthy"] is False
    assert "ok worker: one leads" in text and "ok migrations: all applied" in text
    assert "ok connection books: the provider answers, the token is good" in text
    assert "note connection books: no webhooks are taken" in text
    assert [line for line in lines if line.startswith("problem")] == [
        line for line in lines if "clock is" in line and "behind the provider's" in line
    ]
    assert "kestrel" not in text


def test_an_organisation_that_xero_disconnects_waits_and_can_be_given_back(
    house: House, books: str, browser: Browser
) -> None:
    [(contact,)] = house.through("select id from xero.contact order by id limit 1")
    write = f"update xero.contact set first_name = 'Ada' where id = '{contact}'"
    house.control(house.xero, "tokens", disconnect=True, tenant=house.tenants[1])
    refused = house.refused(write)
    assert (refused.sqlstate, house.state("kestrel")) == ("58000", "needs_reauth")
    page = browser.open(f"{house.web}/connect/xero?name=kestrel")
    landed = browser.press(page, answer="approve", tenant=[house.tenants[1]])
    assert landed.status_code == 200, landed.text
    until(lambda: house.state("kestrel") == "live")
    house.through(write)

    done = house.run("disconnect", "kestrel")
    assert done.returncode == 0, done.stderr
    assert house.state("kestrel") == "pending"
    page = browser.open(f"{house.web}/connect/xero?name=kestrel")
    assert browser.press(page, answer="deny").status_code == 400
    assert house.state("kestrel") == "pending"  # a refusal forgets no company that has tables
    assert house.through("select first_name from xero.contact where id = '" + contact + "'") == [
        ("Ada",)
    ]


def test_the_browser_alone_can_begin_where_the_web_side_is_local(
    house: House, browser: Browser
) -> None:
    page = browser.open(f"{house.web}/connect/quickbooks?name=second")
    assert page.status_code == 400 and "--schema" in page.text  # quickbooks has its schema
    assert house.rows("select 1 from sqlsync.connection where name = 'second'") == []
