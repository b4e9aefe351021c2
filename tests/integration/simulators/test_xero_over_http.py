"""The simulated Xero over real HTTP: consent, tokens, limits, keys, trouble, webhooks, speed."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from sqlsync.simulators.testing_xero import XeroSimulator, xero_process, xero_simulator
from sqlsync.simulators.xero.values import decode, encode
from sqlsync.simulators.xero.webhooks import sign

BACK = "http://localhost/cb"
SCOPES = "openid offline_access accounting.invoices accounting.contacts"


@pytest.fixture(scope="module")
def shared() -> Iterator[XeroSimulator]:
    with xero_simulator(customers=30, invoices=1500, organisations=2) as found:
        yield found


@pytest.fixture
def sim(shared: XeroSimulator) -> XeroSimulator:
    shared.reset()
    return shared


def until(condition: Callable[[], Any], seconds: float = 10) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited too long"
        threading.Event().wait(0.02)
    return found


def form(sim: XeroSimulator, path: str, **values: str) -> tuple[int, Any]:
    status, headers, data = sim.raw("POST", path, urlencode(values).encode())
    return status, decode(data) if "json" in headers.get("content-type", "") else data


def ask(**more: str) -> str:
    asked = {"client_id": "app", "response_type": "code", "scope": SCOPES}
    return urlencode({**asked, "redirect_uri": BACK, "state": "s1", **more})


def consent(sim: XeroSimulator, *tenants: str, **more: str) -> dict[str, list[str]]:
    answer = urlencode([("answer", "approve"), *(("tenant", one) for one in tenants)]).encode()
    path = f"/identity/connect/authorize?{ask(**more)}"
    status, headers, _ = sim.raw("POST", path, answer)
    assert status == 302
    return parse_qs(urlsplit(headers["location"]).query)


def tokens(sim: XeroSimulator, *tenants: str, **more: str) -> Any:
    code = consent(sim, *tenants, **more)["code"][0]
    values = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
    status, found = form(sim, "/connect/token", **values, client_id="app", client_secret="x")
    assert status == 200, found
    return found


def api(
    sim: XeroSimulator, token: str, tenant: str | None, path: str = "/Contacts", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    sent = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    if tenant:
        sent["Xero-Tenant-Id"] = tenant
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return sim.raw("GET", f"/api.xro/2.0{path}", b"", {**sent, **named})


# -- connecting -----------------------------------------------------------------------------------


def test_consent_shows_who_asks_and_connects_the_chosen_tenants(sim: XeroSimulator) -> None:
    status, _, page = sim.raw("GET", f"/identity/connect/authorize?{ask()}")
    assert status == 200
    assert b"Kestrel Coffee Roasters Ltd" in page
    assert b"accounting.invoices" in page
    found = tokens(sim, sim.tenants[1])
    assert (found["token_type"], found["expires_in"]) == ("Bearer", 1800)
    assert set(found) >= {"access_token", "refresh_token", "id_token", "scope"}
    bearer = {"Authorization": f"Bearer {found['access_token']}"}
    _, _, data = sim.raw("GET", "/Connections", b"", bearer)
    connections = decode(data)
    assert sim.tenants[1] in {one["tenantId"] for one in connections}
    event = next(one for one in connections if one["tenantId"] == sim.tenants[1])["authEventId"]
    _, _, data = sim.raw("GET", f"/connections?authEventId={event}", b"", bearer)
    [connection] = decode(data)
    assert connection["tenantName"] == "Demo Company (NZ)"
    assert api(sim, found["access_token"], sim.tenants[1])[0] == 200
    status, _, _ = sim.raw("DELETE", f"/connections/{connection['id']}", b"", bearer)
    assert status == 204
    assert api(sim, found["access_token"], sim.tenants[1])[0] == 403
    assert sim.raw("DELETE", f"/connections/{connection['id']}", b"", bearer)[0] == 404


@pytest.mark.parametrize(
    ("address", "is_right"),
    [
        ("https://app.example/cb", True),
        ("http://localhost:8787/cb", True),
        ("http://127.0.0.1:8787/cb", False),
        ("http://app.example/cb", False),
        ("app://x", False),
    ],
)
def test_redirects_go_to_https_or_to_localhost_by_name(
    sim: XeroSimulator, address: str, is_right: bool
) -> None:
    path = f"/identity/connect/authorize?{ask(redirect_uri=address)}"
    assert sim.raw("GET", path)[0] == (200 if is_right else 400)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"scope": "accounting.transactions"}, "invalid_scope"),
        ({"scope": "nonsense"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": "x", "code_challenge_method": "plain"}, "invalid_request"),
    ],
)
def test_wrong_questions_go_back_with_an_error(
    sim: XeroSimulator, more: dict[str, str], error: str
) -> None:
    _, headers, _ = sim.raw("GET", f"/identity/connect/authorize?{ask(**more)}")
    back = parse_qs(urlsplit(headers["location"]).query)
    assert (back["error"], back["state"]) == ([error], ["s1"])


def test_token_refusals_are_400_with_one_word(sim: XeroSimulator) -> None:
    client = {"client_id": "a", "client_secret": "b"}
    refresh = {"grant_type": "refresh_token", "refresh_token": "nonsense"}
    assert form(sim, "/connect/token", **client, **refresh) == (400, {"error": "invalid_grant"})
    code = {"grant_type": "authorization_code", "code": "nonsense"}
    assert form(sim, "/connect/token", **code) == (400, {"error": "invalid_client"})
    assert form(sim, "/connect/token", **client, grant_type="password") == (
        400,
        {"error": "unsupported_grant_type"},
    )


def test_tokens_end_are_refused_and_revoked(sim: XeroSimulator) -> None:
    found = tokens(sim, sim.tenant_id)
    sim.expire_tokens()
    status, headers, data = api(sim, found["access_token"], sim.tenant_id)
    assert status == 401
    assert decode(data)["Detail"].startswith("TokenExpired")
    assert headers["www-authenticate"] == "Bearer error=invalid_token"
    client = {"client_id": "app", "client_secret": "x"}
    refresh = {"grant_type": "refresh_token", "refresh_token": found["refresh_token"]}
    _, new = form(sim, "/connect/token", **client, **refresh)
    assert api(sim, new["access_token"], sim.tenant_id)[0] == 200
    assert form(sim, "/connect/revocation", **client, token=new["refresh_token"])[0] == 200
    assert api(sim, new["access_token"], sim.tenant_id)[0] == 403
    refresh["refresh_token"] = new["refresh_token"]
    assert form(sim, "/connect/token", **client, **refresh)[0] == 400


def test_discovery_and_keys_let_a_client_check_signatures(sim: XeroSimulator) -> None:
    _, _, data = sim.raw("GET", "/.well-known/openid-configuration")
    found = decode(data)
    assert found["issuer"] == sim.base_url
    _, _, data = sim.raw("GET", urlsplit(found["jwks_uri"]).path)
    assert decode(data)["keys"][0]["alg"] == "RS256"


# -- being let in ---------------------------------------------------------------------------------


def test_who_may_not_ask_is_told_why(sim: XeroSimulator) -> None:
    found = tokens(sim, sim.tenant_id)["access_token"]
    assert api(sim, "nonsense", sim.tenant_id)[0] == 401
    for tenant in (None, "nonsense", "8f2b6c1e-0000-4a5e-9b0c-51a7d2e64f90"):
        status, _, data = api(sim, found, tenant)
        assert (status, decode(data)["Title"]) == (403, "Forbidden")
    status, headers, _ = api(sim, found, sim.tenant_id, "/Accounts")
    assert status == 401
    assert headers["www-authenticate"] == 'Bearer error="insufficent_scope"'
    assert api(sim, found, sim.tenant_id, "/Invoices?page=1")[0] == 200
    assert api(sim, found, sim.tenant_id, "/Items")[0] == 200


def test_without_accept_the_answer_is_xml(sim: XeroSimulator) -> None:
    token = sim.token()
    for accept in ("", "*/*", "application/xml"):
        status, headers, data = api(sim, token, sim.tenant_id, "/Currencies", Accept=accept)
        assert status == 200
        assert headers["content-type"].startswith("text/xml")
        assert b"<Currencies><Currency><Code>" in data
    status, headers, data = api(sim, token, sim.tenant_id, "/Invoices?where=Foo", Accept="")
    assert b"<ApiException>" in data
    sim.set_options(json_needs_accept=False)
    assert b"{" in api(sim, token, sim.tenant_id, "/Currencies", Accept="")[2][:1]
    sim.set_options(json_needs_accept=True)


def test_every_answer_carries_the_limits(sim: XeroSimulator) -> None:
    _, headers, _ = sim.exchange("GET", "/Currencies")
    first = int(headers["x-minlimit-remaining"])
    _, headers, _ = sim.exchange("GET", "/Nonsense")
    assert int(headers["x-minlimit-remaining"]) == first - 1
    assert {"x-daylimit-remaining", "x-appminlimit-remaining", "xero-correlation-id"} <= set(
        headers
    )
    assert headers["content-type"].startswith("text/html")


def test_limits_are_enforced_with_their_headers() -> None:
    with xero_simulator(customers=2, invoices=0, requests_per_minute=3) as sim:
        answers = [sim.exchange("GET", "/Currencies") for _ in range(4)]
        assert [status for status, _, _ in answers] == [200, 200, 200, 429]
        _, headers, body = answers[3]
        assert body == b""
        assert headers["x-rate-limit-problem"] == "minute"
        assert headers["x-minlimit-remaining"] == "0"
        sim.advance(int(headers["retry-after"]))
        assert sim.call("GET", "/Currencies")[0] == 200
        sim.set_options(requests_per_minute=60, requests_per_day=1)
        status, headers, _ = sim.exchange("GET", "/Currencies")
        assert (status, headers["x-rate-limit-problem"]) == (429, "day")
        assert int(headers["retry-after"]) > 0


def test_too_many_calls_at_a_time_are_refused_without_a_time_to_wait() -> None:
    options = {"concurrent_requests": 5, "latency_seconds": 0.3}
    with xero_simulator(customers=2, invoices=0, **options) as sim:
        sim.token()
        with ThreadPoolExecutor(9) as pool:
            answers = list(pool.map(lambda _: sim.exchange("GET", "/Currencies"), range(9)))
        refused = [headers for status, headers, _ in answers if status == 429]
        assert len(refused) == 4
        assert {headers["x-rate-limit-problem"] for headers in refused} == {"concurrent"}
        assert all("retry-after" not in headers for headers in refused)


# -- keys and trouble -----------------------------------------------------------------------------


def contact(name: str) -> dict[str, Any]:
    return {"Contacts": [{"Name": name}]}


def test_a_repeated_key_gives_the_stored_answer_and_makes_no_second_record(
    sim: XeroSimulator,
) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = sim.call("PUT", "/Contacts", contact("Key One"), headers=key)
    again = sim.call("PUT", "/Contacts", contact("Key One"), headers=key)
    assert first[0] == 200
    assert again == first
    assert len(sim.applied()) == 1
    status, body = sim.call("PUT", "/Contacts", contact("Key Two"), headers=key)
    assert status == 400
    assert body["Message"] == "Idempotency Key: k-1 is used with a different request."
    status, _ = sim.call("POST", "/Contacts", contact("Key One"), headers=key)
    assert status == 400
    sim.advance(361)
    status, body = sim.call("PUT", "/Contacts", contact("Key One"), headers=key)
    assert "already assigned" in body["Elements"][0]["ValidationErrors"][0]["Message"]
    refused = sim.call("PUT", "/Contacts", contact("Key One"), headers=key)
    assert refused == (status, body)
    assert sim.requests()["create.contact"] == 5


def test_a_lost_reply_leaves_the_write_done_and_the_key_finds_it(sim: XeroSimulator) -> None:
    key = {"Idempotency-Key": "k-lost"}
    sim.token()
    sim.trouble("drop", entity="contact", operation="create")
    with pytest.raises((http.client.HTTPException, OSError)):
        sim.call("PUT", "/Contacts", contact("Lost"), headers=key)
    assert len(sim.applied()) == 1
    status, body = sim.call("PUT", "/Contacts", contact("Lost"), headers=key)
    assert (status, body["Contacts"][0]["Name"]) == (200, "Lost")
    assert len(sim.applied()) == 1


@pytest.mark.parametrize(
    ("rule", "status", "headers"),
    [
        ({"kind": "status", "status": 503}, 503, {}),
        ({"kind": "status", "status": 500}, 500, {}),
        (
            {"kind": "status", "status": 401},
            401,
            {"www-authenticate": "Bearer error=invalid_token"},
        ),
        ({"kind": "throttle"}, 429, {"x-rate-limit-problem": "minute", "retry-after": "60"}),
        (
            {"kind": "throttle", "body": "day", "seconds": 41233},
            429,
            {"x-rate-limit-problem": "day", "retry-after": "41233", "x-daylimit-remaining": "0"},
        ),
        ({"kind": "throttle", "body": "concurrent"}, 429, {"x-rate-limit-problem": "concurrent"}),
        ({"kind": "malformed"}, 200, {}),
    ],
)
def test_trouble_comes_as_scripted_and_once(
    sim: XeroSimulator, rule: dict[str, Any], status: int, headers: dict[str, str]
) -> None:
    sim.token()
    sim.trouble(**rule, path="/Currencies")
    host, _, port = sim.address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    sent = {"Authorization": f"Bearer {sim.token()}", "xero-tenant-id": sim.tenant_id}
    connection.request("GET", "/api.xro/2.0/Currencies", b"", sent)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    found = {name.lower(): value for name, value in response.headers.items()}
    assert response.status == status
    assert headers.items() <= found.items()
    if rule["kind"] == "malformed":
        with pytest.raises(ValueError):
            decode(body)
    assert sim.call("GET", "/Currencies")[0] == 200


def test_control_refuses_what_it_does_not_know(sim: XeroSimulator) -> None:
    for path, body in (
        ("/options", {"nonsense": 1}),
        ("/trouble", {"kind": "nonsense"}),
        ("/webhooks", {"nonsense": 1}),
        ("/books", {"entity": "nonsense"}),
        ("/books", {"entity": "invoice", "operation": "nonsense"}),
    ):
        status, _, data = sim.raw("POST", f"/_control{path}", encode(body))
        assert status == 400
        assert decode(data)["error"]


# -- people and files -----------------------------------------------------------------------------


def test_a_person_changes_records_beside_the_api(sim: XeroSimulator) -> None:
    made = sim.person("contact", "create", Name="By hand")
    record_id = made["ContactID"]
    assert sim.record("contact", record_id) == made
    sim.person("contact", "update", ContactID=record_id, FirstName="Hana")
    assert sim.person("contact", "archive", ContactID=record_id)["ContactStatus"] == "ARCHIVED"
    item = sim.person("item", "create", Code="HAND")
    assert sim.person("item", "delete", ItemID=item["ItemID"])["Status"] == "DELETED"
    assert sim.record("item", item["ItemID"]) is None
    assert [write["by"] for write in sim.applied()] == ["person"] * 5
    with pytest.raises(ValueError, match="already assigned"):
        name = sim.records("contact")[0]["Name"]
        active = next(one for one in sim.records("contact") if one["ContactStatus"] == "ACTIVE")
        sim.person("contact", "create", Name=active["Name"] or name)


def test_files_go_up_and_down(sim: XeroSimulator) -> None:
    _, body = sim.call("GET", "/Invoices", where='Type=="ACCREC"', page="1", pageSize="1")
    path = f"/Invoices/{body['Invoices'][0]['InvoiceID']}/Attachments"
    text = {"Content-Type": "text/plain"}
    status, body = sim.call(
        "PUT", f"{path}/note one.txt", b"hello", headers=text, IncludeOnline="true"
    )
    [made] = body["Attachments"]
    assert status == 200
    assert (made["FileName"], made["ContentLength"], made["IncludeOnline"]) == (
        "note one.txt",
        5,
        True,
    )
    sim.call("POST", f"{path}/note one.txt", b"hello again", headers=text)
    _, listed = sim.call("GET", path)
    assert [one["ContentLength"] for one in listed["Attachments"]] == [11]
    assert sim.call("GET", f"{path}/{made['AttachmentID']}")[1] == b"hello again"
    assert sim.call("GET", f"{path}/note one.txt")[1] == b"hello again"
    assert sim.call("GET", f"{path}/other.txt")[0] == 404


def test_an_invoice_is_a_pdf_and_is_mailed(sim: XeroSimulator) -> None:
    _, body = sim.call("GET", "/Invoices", where='Type=="ACCREC" AND Status=="PAID"', page="1")
    path = f"/Invoices/{body['Invoices'][0]['InvoiceID']}"
    _, data = sim.call("GET", path, headers={"Accept": "application/pdf"})
    assert data.startswith(b"%PDF")
    assert sim.call("POST", f"{path}/Email")[0] == 204
    assert "OnlineInvoices" in sim.call("GET", f"{path}/OnlineInvoice")[1]


def test_organisations_are_apart(sim: XeroSimulator) -> None:
    one, two = sim.tenants
    _, body = sim.call("PUT", "/Contacts", contact("Only in the first"), tenant=one)
    record_id = body["Contacts"][0]["ContactID"]
    assert sim.call("GET", f"/Contacts/{record_id}", tenant=one)[0] == 200
    assert sim.call("GET", f"/Contacts/{record_id}", tenant=two)[0] == 404
    ids = [
        {record["InvoiceID"] for record in sim.records("invoice", tenant)} for tenant in (one, two)
    ]
    assert ids[0].isdisjoint(ids[1])


# -- webhooks -------------------------------------------------------------------------------------


class Receiver:
    """Keeps notifications; answers as told."""

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, str]] = []
        self.answers: list[tuple[int, bytes]] = []
        self.checks = True
        self.key = "simulator-signing-key"
        self.url = ""

    @property
    def events(self) -> list[dict[str, Any]]:
        """Of rightly signed notifications that were accepted."""
        return [
            event
            for body, signature in self.seen
            if signature == sign(body, self.key)
            for event in decode(body)["events"]
        ]

    def answer(self, body: bytes, signature: str) -> tuple[int, bytes]:
        if self.checks and signature != sign(body, self.key):
            return 401, b""
        if decode(body)["events"] and self.answers:
            return self.answers.pop(0)
        return 200, b""


@contextmanager
def receiving() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            signature = self.headers["x-xero-signature"]
            status, answer = found.answer(body, signature)
            found.seen.append((body, signature))
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}/webhooks/xero"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def test_an_address_first_shows_its_intent_then_gets_signed_events(receiver: Receiver) -> None:
    with xero_simulator(customers=2, invoices=0, webhook_url=receiver.url) as sim:
        until(lambda: sim.status()["webhooks"]["intent"] == "ok")
        assert len(receiver.seen) == 4
        assert {body[:12] for body, _ in receiver.seen} == {b'{"events":[]'}
        made = sim.person("contact", "create", Name="Announced")
        [event] = until(lambda: receiver.events)
        assert event["eventCategory"] == "CONTACT"
        assert event["eventType"] == "CREATE"
        assert event["resourceId"] == made["ContactID"]
        assert event["tenantId"] == sim.tenant_id
        assert event["resourceUrl"].endswith(f"/Contacts/{made['ContactID']}")


def test_an_address_without_intent_gets_nothing(receiver: Receiver) -> None:
    receiver.checks = False  # answers 200 to wrong signatures too
    with xero_simulator(customers=2, invoices=0, webhook_url=receiver.url) as sim:
        until(lambda: sim.status()["webhooks"]["intent"] == "failed")
        sim.person("contact", "create", Name="Unheard")
        until(lambda: sim.status()["webhooks"]["waiting"] == 0)
        assert receiver.events == []
        receiver.checks = True
        sim.webhooks(receiver.url)
        until(lambda: sim.status()["webhooks"]["intent"] == "ok")


def test_deliveries_are_repeated_spoilt_and_numbered(receiver: Receiver) -> None:
    options = {"webhook_retry_seconds": (0.05,), "webhook_group_seconds": 0.01}
    with xero_simulator(customers=2, invoices=0, webhook_url=receiver.url, **options) as sim:
        until(lambda: sim.status()["webhooks"]["intent"] == "ok")
        receiver.answers = [(500, b""), (200, b"a body is wrong")]
        sim.person("contact", "create", Name="One")
        until(lambda: len(receiver.events) == 3)
        assert len({event["resourceId"] for event in receiver.events}) == 1
        until(lambda: sim.status()["webhooks"]["delivered"] == 1)
        sim.mischief(duplicate=1)
        sim.person("contact", "create", Name="Two")
        until(lambda: len(receiver.events) == 5)
        sim.mischief(drop=1)
        sim.person("contact", "create", Name="Dropped")
        until(lambda: sim.status()["webhooks"]["waiting"] == 0)
        sim.person("contact", "create", Name="After")
        until(lambda: len(receiver.events) == 6)
        numbers = [decode(body)["lastEventSequence"] for body, _ in receiver.seen]
        assert numbers[-1] - numbers[-2] == 2  # the gap shows that one was missed
        before = len(receiver.seen)
        sim.mischief(wrong_signature=1)
        sim.person("contact", "create", Name="Badly signed")
        until(lambda: len(receiver.seen) > before)
        assert len(receiver.events) == 6


def test_payments_and_credit_are_announced_by_their_documents(receiver: Receiver) -> None:
    with xero_simulator(customers=3, invoices=30, webhook_url=receiver.url) as sim:
        until(lambda: sim.status()["webhooks"]["intent"] == "ok")
        _, body = sim.call("GET", "/Invoices", where='Status=="AUTHORISED" AND Type=="ACCREC"')
        invoice = body["Invoices"][0]
        sent = {
            "Invoice": {"InvoiceID": invoice["InvoiceID"]},
            "Account": {"Code": "090"},
            "Date": "2026-10-20",
            "Amount": 1,
        }
        assert sim.call("PUT", "/Payments", sent)[0] == 200
        [event] = until(lambda: receiver.events)
        assert (event["eventCategory"], event["eventType"]) == ("INVOICE", "UPDATE")
        line = {"Description": "x", "UnitAmount": 5, "AccountCode": "200"}
        note = {"Type": "ACCRECCREDIT", "Contact": {"Name": "N"}, "LineItems": [line]}
        sim.call("PUT", "/CreditNotes", note)
        until(lambda: len(receiver.events) == 3)
        by_category = {event["eventCategory"]: event for event in receiver.events}
        assert by_category["CREDITNOTE"]["data"] == {"Type": "ACCRECCREDIT", "Status": "DRAFT"}
        assert by_category["CONTACT"]["eventType"] == "CREATE"


# -- speed ----------------------------------------------------------------------------------------


def test_it_starts_and_pages_quickly_as_a_process_of_its_own() -> None:
    started = time.monotonic()
    with xero_process(customers=500, invoices=10_000) as sim:
        assert time.monotonic() - started < 15
        sim.token()
        started = time.monotonic()
        seen: set[str] = set()
        for page in range(1, 14):
            _, body = sim.call(
                "GET", "/Invoices", page=str(page), pageSize="1000", order="InvoiceID"
            )
            seen |= {one["InvoiceID"] for one in body["Invoices"]}
        assert len(seen) == body["pagination"]["itemCount"] > 11_000
        assert time.monotonic() - started < 10
