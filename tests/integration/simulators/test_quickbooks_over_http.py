"""The simulated QuickBooks over real HTTP: tokens, faults, trouble, webhooks, speed."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from sqlsync.simulators.quickbooks.values import decode
from sqlsync.simulators.quickbooks.webhooks import sign
from sqlsync.simulators.testing import Simulator, running_simulator, simulator, simulator_process


@pytest.fixture(scope="module")
def shared() -> Iterator[Simulator]:
    with simulator(customers=30, invoices=2500) as found:
        yield found


@pytest.fixture
def sim(shared: Simulator) -> Simulator:
    shared.reset()
    return shared


def raw(
    sim: Simulator, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    host, _, port = sim.address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        return response.status, dict(response.headers.items()), response.read()
    finally:
        connection.close()


def until(condition: Callable[[], Any], seconds: float = 10) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited too long"
        threading.Event().wait(0.02)
    return found


def token(sim: Simulator, refresh: str, **headers: str) -> tuple[int, Any]:
    form = {"grant_type": "refresh_token", "refresh_token": refresh}
    form |= {"client_id": "a", "client_secret": "b"}
    status, _, answer = raw(
        sim, "POST", "/oauth2/v1/tokens/bearer", urlencode(form).encode(), **headers
    )
    return status, decode(answer)


# -- connecting --------------------------------------------------------------------------------


def test_consent_sends_code_state_and_realm_and_the_code_gives_tokens(sim: Simulator) -> None:
    ask = {
        "client_id": "app",
        "response_type": "code",
        "scope": "com.intuit.quickbooks.accounting",
        "redirect_uri": "http://localhost/cb",
        "state": "s1",
    }
    status, _, page = raw(sim, "GET", f"/connect/oauth2?{urlencode(ask)}")
    assert status == 200
    assert sim.realm_id.encode() in page
    answer = urlencode({"answer": "approve", "realm": sim.realm_id}).encode()
    status, headers, _ = raw(sim, "POST", f"/connect/oauth2?{urlencode(ask)}", answer)
    assert status == 302
    back = parse_qs(urlsplit(headers["location"]).query)
    assert (back["state"], back["realmId"]) == (["s1"], [sim.realm_id])
    form = {
        "grant_type": "authorization_code",
        "code": back["code"][0],
        "redirect_uri": "http://localhost/cb",
    }
    basic = "Basic YXBwOnNlY3JldA=="  # app:secret
    body = urlencode(form).encode()
    status, _, raw_tokens = raw(sim, "POST", "/oauth2/v1/tokens/bearer", body, Authorization=basic)
    tokens = decode(raw_tokens)
    assert status == 200
    assert set(tokens) == {
        "token_type",
        "expires_in",
        "access_token",
        "refresh_token",
        "x_refresh_token_expires_in",
    }
    denied = raw(sim, "POST", f"/connect/oauth2?{urlencode(ask)}", b"answer=deny")[1]["location"]
    assert parse_qs(urlsplit(denied).query)["error"] == ["access_denied"]
    ask["scope"] = "everything"
    status, headers, _ = raw(sim, "GET", f"/connect/oauth2?{urlencode(ask)}")
    assert "error=invalid_scope" in headers["location"]


def test_rotated_away_refresh_token_is_invalid_grant(sim: Simulator) -> None:
    first = sim.new_refresh_token()
    assert token(sim, first, x_include_refresh_token_hard_expires_in="true")[1][
        "x_refresh_token_hard_expires_in"
    ]
    assert token(sim, first) == (
        400,
        {"error": "invalid_grant", "error_description": "Incorrect or invalid refresh token"},
    )
    assert sim.requests() == {"token.refresh_token": 2}


def test_expired_and_missing_tokens_are_401_in_the_gateways_shape(sim: Simulator) -> None:
    assert sim.call("GET", "/customer/1")[0] == 200
    sim.expire_tokens()
    status, body = sim.call("GET", "/customer/1")
    assert (status, body["fault"]["error"][0]["code"]) == (401, "3200")
    sim._access = None
    assert sim.call("GET", "/customer/1")[0] == 200
    path = f"/v3/company/{sim.realm_id}/customer/1"
    status, headers, _ = raw(sim, "GET", path)
    assert status == 401
    assert 'error="invalid_token"' in headers["www-authenticate"]


def test_another_companys_books_are_403(sim: Simulator) -> None:
    sim.call("GET", "/customer/1")
    bearer = f"Bearer {sim._access}"
    status, _, body = raw(
        sim, "GET", "/v3/company/1/customer/1", Authorization=bearer, Accept="application/json"
    )
    assert (status, decode(body)["fault"]["error"][0]["code"]) == (403, "3100")


def test_discovery_names_addresses_of_the_simulator(sim: Simulator) -> None:
    document = decode(raw(sim, "GET", "/.well-known/openid_configuration")[2])
    assert document["token_endpoint"] == f"{sim.base_url}/oauth2/v1/tokens/bearer"


# -- the data service ---------------------------------------------------------------------------


def test_whole_life_of_an_invoice(sim: Simulator) -> None:
    name = "Whole Life Ltd"
    status, answer = sim.call("POST", "/customer", {"DisplayName": name}, minorversion="75")
    assert status == 200
    ref = {"value": answer["Customer"]["Id"]}
    line = {
        "Amount": 100,
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {"ItemRef": {"value": "1"}, "Qty": 2, "UnitPrice": 50},
    }
    invoice = sim.call("POST", "/invoice", {"CustomerRef": ref, "Line": [line]})[1]["Invoice"]
    link = {"TxnId": invoice["Id"], "TxnType": "Invoice"}
    paid = {"CustomerRef": ref, "TotalAmt": 40, "Line": [{"Amount": 40, "LinkedTxn": [link]}]}
    assert sim.call("POST", "/payment", paid)[0] == 200
    text = f"select * from Invoice where Id = '{invoice['Id']}'"
    (found,) = sim.call("POST", "/query", text)[1]["QueryResponse"]["Invoice"]
    assert found["Balance"] == 60
    stale = {"Id": invoice["Id"], "SyncToken": "0", "sparse": True, "PrivateNote": "x"}
    status, answer = sim.call("POST", "/invoice", stale)
    assert (status, answer["Fault"]["Error"][0]["code"]) == (400, "5010")
    path = f"/invoice/{invoice['Id']}"
    assert sim.call("GET", f"{path}/pdf")[1].startswith(b"%PDF")
    status, answer = sim.call("POST", f"{path}/send", sendTo="a@b.example")
    assert answer["Invoice"]["EmailStatus"] == "EmailSent"
    key = {"Id": invoice["Id"], "SyncToken": answer["Invoice"]["SyncToken"]}
    status, answer = sim.call("POST", "/invoice", key, operation="void")
    assert answer["Invoice"]["TotalAmt"] == 0
    key["SyncToken"] = answer["Invoice"]["SyncToken"]
    status, answer = sim.call("POST", "/invoice", key, operation="delete")
    assert answer["Invoice"]["status"] == "Deleted"
    assert sim.call("GET", path)[1]["Fault"]["Error"][0]["code"] == "610"
    kinds = sim.requests()
    assert (kinds["create.invoice"], kinds["void.invoice"], kinds["delete.invoice"]) == (1, 1, 1)
    assert [write["operation"] for write in sim.applied()] == [
        "create",
        "create",
        "create",
        "send",
        "void",
        "delete",
    ]


def test_without_accept_the_answer_is_xml(sim: Simulator) -> None:
    sim.call("GET", "/customer/1")
    path, bearer = f"/v3/company/{sim.realm_id}", f"Bearer {sim._access}"
    status, headers, body = raw(sim, "GET", f"{path}/invoice/9999999", Authorization=bearer)
    assert status == 400
    assert headers["content-type"].startswith("application/xml")
    assert b'<Error code="610">' in body
    assert "intuit_tid" in headers


def test_garbage_gets_a_fault_and_unknown_paths_404(sim: Simulator) -> None:
    sim.call("GET", "/customer/1")
    path, bearer = f"/v3/company/{sim.realm_id}", f"Bearer {sim._access}"
    for garbage in (b"", b"{", b"[1]", b"\xff\xfe", b'{"Id": {}}', b'{"Line": 5}', b"null"):
        status, _, body = raw(
            sim,
            "POST",
            f"{path}/invoice",
            garbage,
            Authorization=bearer,
            Accept="application/json",
            Content_Type="application/json",
        )
        assert status == 400, garbage
        assert decode(body)["Fault"]["Error"][0]["code"]
    assert sim.call("GET", "/nonsense/1")[0] == 404
    assert sim.call("GET", "/customer")[0] == 404


def test_limits_answer_429_when_switched_on() -> None:
    with simulator(customers=2, invoices=0, requests_per_minute=3) as limited:
        statuses = [limited.call("GET", "/customer/1")[0] for _ in range(4)]
    assert statuses == [200, 200, 200, 429]


# -- trouble ------------------------------------------------------------------------------------


def test_dropped_reply_was_applied_and_its_requestid_replays(sim: Simulator) -> None:
    sim.call("GET", "/customer/1")
    sim.trouble("drop", entity="customer", operation="create")
    body = {"DisplayName": "Dropped Ltd"}
    with pytest.raises(http.client.RemoteDisconnected):
        sim.call("POST", "/customer", body, requestid="drop-1")
    assert len(sim.applied()) == 1
    status, answer = sim.call("POST", "/customer", body, requestid="drop-1")
    assert (status, answer["Customer"]["DisplayName"]) == (200, "Dropped Ltd")
    assert len(sim.applied()) == 1


def test_trouble_before_leaves_the_books_alone(sim: Simulator) -> None:
    sim.call("GET", "/customer/1")
    body = {"DisplayName": "Later Ltd"}
    with pytest.raises(http.client.RemoteDisconnected):
        sim.trouble("drop", when="before", operation="create")
        sim.call("POST", "/customer", body)
    sim.trouble("status", status=500, times=2)
    sim.trouble("status", status=503, skip=2)
    sim.trouble("throttle", skip=3)
    sim.trouble("malformed", skip=4)
    statuses = [sim.call("POST", "/customer", body)[0] for _ in range(4)]
    assert statuses == [500, 500, 503, 429]
    with pytest.raises(ValueError, match=r"truncated|JSON"):
        sim.call("POST", "/customer", body)
    assert sim.applied() == []
    assert sim.call("POST", "/customer", body)[0] == 200


def test_slow_answers_wait(sim: Simulator) -> None:
    sim.call("GET", "/customer/1")
    sim.trouble("slow", seconds=0.2)
    started = time.monotonic()
    assert sim.call("GET", "/customer/1")[0] == 200
    assert time.monotonic() - started >= 0.2


def test_person_changes_the_books_at_the_provider(sim: Simulator) -> None:
    made = sim.person("Customer", "create", DisplayName="By hand")
    assert sim.person("Customer", "deactivate", Id=made["Id"])["Active"] is False
    record = sim.record("Customer", made["Id"])
    assert record is not None
    assert record["DisplayName"] == "By hand (deleted)"
    assert sim.requests() == {}
    with pytest.raises(ValueError, match="6240"):
        sim.person("Customer", "create", DisplayName="Acme Corp")
    assert sim.record("Customer", "99999") is None
    assert sim.counts()["Invoice"] >= 2500


# -- webhooks ----------------------------------------------------------------------------------


class Inbox:
    """A receiver of webhooks that can be told to refuse."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.refuse = 0
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if inbox.refuse > 0:
                    inbox.refuse -= 1
                    self.send_response(503)
                else:
                    inbox.received.append((dict(self.headers.items()), body))
                    self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *words: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/webhooks/quickbooks?x=1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def events(self) -> list[tuple[str, str]]:
        return [
            (event["type"], event["intuitentityid"])
            for _, body in self.received
            for event in decode(body)
        ]


@pytest.fixture
def inbox(sim: Simulator) -> Iterator[Inbox]:
    found = Inbox()
    sim.set_options(webhook_retry_seconds=[0.05])
    sim.webhooks(found.url, "verifier")
    yield found
    sim.webhooks(None)
    found.server.shutdown()
    found.server.server_close()


def test_changes_are_announced_signed_and_grouped(sim: Simulator, inbox: Inbox) -> None:
    made = sim.person("Customer", "create", DisplayName="Announced")
    (headers, body) = until(lambda: inbox.received)[0]
    assert inbox.events() == [("qbo.customer.created.v1", made["Id"])]
    assert headers["intuit-signature"] == sign(body, "verifier")
    line = {"Amount": 5, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {}}
    ref = {"value": made["Id"]}
    invoice = sim.person("Invoice", "create", CustomerRef=ref, Line=[line])
    until(lambda: len(inbox.received) == 2)
    assert inbox.events()[1:] == [
        ("qbo.invoice.created.v1", invoice["Id"]),
        ("qbo.customer.updated.v1", made["Id"]),
    ]


def test_refused_webhooks_are_sent_again(sim: Simulator, inbox: Inbox) -> None:
    inbox.refuse = 2
    sim.person("Vendor", "create", DisplayName="Announced twice")
    until(lambda: inbox.received)
    assert len(inbox.received) == 1
    assert sim.status()["webhooks"]["failed"] >= 2


def test_webhooks_can_be_dropped_doubled_and_wrongly_signed(sim: Simulator, inbox: Inbox) -> None:
    sim.mischief(drop=1)
    sim.person("Customer", "update", Id="1", Notes="never heard of")
    until(lambda: sim.status()["webhooks"]["waiting"] == 0)
    sim.mischief(duplicate=1, wrong_signature=1)
    sim.person("Customer", "update", Id="2", Notes="twice")
    until(lambda: len(inbox.received) == 2)
    assert inbox.events() == [("qbo.customer.updated.v1", "2")] * 2
    headers, body = inbox.received[0]
    assert headers["intuit-signature"] != sign(body, "verifier")


def test_classic_form_is_sent_on_request(sim: Simulator, inbox: Inbox) -> None:
    sim.set_options(webhook_format="classic")
    try:
        sim.person("Customer", "update", Id="3", Notes="classic")
        (_, body) = until(lambda: inbox.received)[0]
    finally:
        sim.set_options(webhook_format="cloudevents")
    (notification,) = decode(body)["eventNotifications"]
    assert notification["realmId"] == sim.realm_id
    (entity,) = notification["dataChangeEvent"]["entities"]
    assert (entity["name"], entity["id"], entity["operation"]) == ("Customer", "3", "Update")


# -- running it ------------------------------------------------------------------------------


async def test_simulator_runs_beside_an_async_test() -> None:
    async with running_simulator(customers=3, invoices=5) as sim:
        assert sim.call("GET", "/companyinfo/" + sim.realm_id)[1]["CompanyInfo"]["Id"] == "1"
        assert sim.call("GET", "/preferences")[1]["Preferences"]["Id"] == "1"


def test_simulator_runs_as_a_process_and_says_where() -> None:
    with simulator_process(customers=3, invoices=5) as sim:
        assert token(sim, sim.refresh_token)[0] == 200
        assert sim.counts()["Invoice"] == 5


def test_pages_of_a_thousand_are_served_fast(sim: Simulator) -> None:
    sim.call("GET", "/customer/1")
    bearer = f"Bearer {sim._access}"
    started = time.process_time()
    for start in (1, 1001) * 3:
        text = f"select * from Invoice startposition {start} maxresults 1000"
        path = f"/v3/company/{sim.realm_id}/query?{urlencode({'query': text})}"
        status, _, body = raw(sim, "GET", path, Authorization=bearer, Accept="application/json")
        assert status == 200
        assert body.count(b'"DocNumber"') == 1000
    assert time.process_time() - started < 3  # six thousand objects; usually a fifth of that


# -- files and tax codes -------------------------------------------------------------------------


def test_a_file_goes_up_and_comes_down_by_both_its_links(sim: Simulator) -> None:
    access = token(sim, sim.new_refresh_token())[1]["access_token"]
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file_content_01"; filename="a.csv"\r\n'
        b"Content-Type: text/csv\r\n\r\n1;2\r\n\xff\r\n--b--\r\n"
    )
    headers = {"Authorization": f"Bearer {access}", "Accept": "application/json"}
    base = f"/v3/company/{sim.realm_id}"
    status, _, answer = raw(
        sim,
        "POST",
        f"{base}/upload?minorversion=75",
        body,
        Content_Type="multipart/form-data; boundary=b",
        **headers,
    )
    assert status == 200
    record = decode(answer)["AttachableResponse"][0]["Attachable"]
    status, _, link = raw(sim, "GET", f"{base}/download/{record['Id']}", **headers)
    for address in (link.decode(), record["TempDownloadUri"]):
        assert address.startswith(sim.base_url)
        status, found, data = raw(sim, "GET", address.removeprefix(sim.base_url))
        assert (status, data, found["content-type"]) == (
            200,
            b"1;2\r\n\xff",
            "text/csv; charset=utf-8",
        )
    assert raw(sim, "GET", f"/files/{sim.realm_id}/guessed")[0] == 403
    assert sim.requests()["upload.attachable"] == 1


def test_a_tax_code_is_made_at_its_address(sim: Simulator) -> None:
    rate = {"TaxRateName": "Harbor", "RateValue": 1, "TaxAgencyId": "1"}
    body = {"TaxCode": "Harbor zone", "TaxRateDetails": [rate]}
    status, answer = sim.call("POST", "/taxservice/taxcode", body)
    assert (status, answer["TaxCode"]) == (200, "Harbor zone")
    assert sim.record("TaxCode", answer["TaxCodeId"])["Name"] == "Harbor zone"
    assert sim.call("POST", "/taxservice/taxcode", body)[0] == 400


def test_reports_come_at_their_addresses(sim: Simulator) -> None:
    status, report = sim.call("GET", "/reports/TrialBalance", start_date="2026-01-01")
    assert (status, report["Header"]["ReportName"]) == (200, "TrialBalance")
    assert report["Rows"]["Row"][-1]["group"] == "GrandTotal"
    status, fault = sim.call("GET", "/reports/ProfitAndLoss", date_macro="this decade")
    assert (status, fault["Fault"]["Error"][0]["code"]) == (400, "2170")
    assert sim.call("GET", "/reports/Horoscope")[0] == 404
    assert sim.call("GET", "/reports")[0] == 404
    assert sim.requests()["read.reports"] == 4


# -- XML, merges, batch items, other companies -----------------------------------------------------


def test_xml_goes_in_and_comes_out_as_json_does(sim: Simulator) -> None:
    access = token(sim, sim.new_refresh_token())[1]["access_token"]
    body = (
        b'<Customer xmlns="http://schema.intuit.com/finance/v3" domain="QBO" sparse="false">'
        b"<DisplayName>Maillot &amp; Fils</DisplayName><PrimaryEmailAddr><Address>"
        b"a@b.example</Address></PrimaryEmailAddr></Customer>"
    )
    headers = {"Authorization": f"Bearer {access}", "Content_Type": "application/xml"}
    status, found, answer = raw(
        sim, "POST", f"/v3/company/{sim.realm_id}/customer", body, **headers
    )
    assert (status, found["content-type"]) == (200, "application/xml;charset=UTF-8")
    assert b"<DisplayName>Maillot &amp; Fils</DisplayName>" in answer
    number = answer.partition(b"<Id>")[2].partition(b"</Id>")[0].decode()
    assert sim.record("Customer", number)["PrimaryEmailAddr"] == {"Address": "a@b.example"}
    status, _, answer = raw(sim, "POST", f"/v3/company/{sim.realm_id}/customer", body, **headers)
    assert (status, b'code="6240"' in answer) == (400, True)


def test_a_merge_and_a_foreign_company_reach_the_receiver() -> None:
    received: list[Any] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(decode(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with simulator(customers=5, invoices=0) as sim:
            sim.webhooks(f"http://127.0.0.1:{server.server_port}/", foreign=1)
            sim.person("Customer", "merge", Id="2", into="3")
            until(lambda: received)
            realms = [event["intuitaccountid"] for event in received[0]]
            assert (realms[0], realms[1]) == ("9999999999999999", sim.realm_id)
            merged = [event for event in received[0] if event["data"]]
            assert [event["data"] for event in merged[-1:]] == [{"deletedid": "2"}]
            assert sim.record("Customer", "2") is None
    finally:
        server.shutdown()
        server.server_close()


def test_one_item_of_a_batch_is_throttled_inside_an_answer_of_200(sim: Simulator) -> None:
    sim.trouble("throttle", operation="batch_item", skip=1)
    item = {"Query": "select * from Item maxresults 1"}
    items = [{"bId": str(number), **item} for number in range(3)]
    status, answer = sim.call("POST", "/batch", {"BatchItemRequest": items})
    codes = [
        one["Fault"]["Error"][0]["code"] if "Fault" in one else None
        for one in answer["BatchItemResponse"]
    ]
    assert (status, codes) == (200, [None, "3001", None])


def test_requests_at_once_are_limited_and_all_pass_one_by_one(sim: Simulator) -> None:
    sim.call("GET", "/companyinfo/" + sim.realm_id)  # has a token from now on
    sim.set_options(concurrent_requests=2, latency_seconds=0.3)
    try:
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda: statuses.append(sim.call("GET", "/preferences")[0]))
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(statuses) == {200, 429}
        sim.set_options(latency_seconds=0)
        assert [sim.call("GET", "/preferences")[0] for _ in range(4)] == [200] * 4
    finally:
        sim.set_options(concurrent_requests=None, latency_seconds=0)


def test_every_minor_version_is_answered_as_the_newest(sim: Simulator) -> None:
    found = [
        sim.call("GET", "/customer/1", **params)[1]["Customer"]
        for params in ({}, {"minorversion": "4"}, {"minorversion": "75"}, {"minorversion": "99"})
    ]
    assert all(record == found[0] for record in found)
