"""Addresses, parameters and statements of requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.model import Catalog
from sqlsync.providers.base import Step, StepKind
from sqlsync.providers.quickbooks import requests

COMPANY = requests.Company("https://quickbooks.api.intuit.com", "9341450000000001")
BASE = "https://quickbooks.api.intuit.com/v3/company/9341450000000001"
RAW = b'{"Id":"146","SyncToken":"0"}'


def test_name_lists_are_read_with_their_inactive_records(catalog: Catalog) -> None:
    request = requests.page(COMPANY, catalog.by_table["customer"], 1)
    assert request.url == f"{BASE}/query" and request.method == "GET"
    assert dict(request.params) == {
        "query": "select * from Customer where Active in (true, false)"
        " orderby Id startposition 1 maxresults 1000",
        "minorversion": "75",
    }
    assert request.headers["accept"] == "application/json"
    assert not request.changes


def test_transactions_have_no_active(catalog: Catalog) -> None:
    request = requests.count(COMPANY, catalog.by_table["invoice"])
    assert dict(request.params)["query"] == "select count(*) from Invoice"


def test_many_ids_travel_in_the_body(catalog: Catalog) -> None:
    ids = [str(n) for n in range(1000)]
    request = requests.by_ids(COMPANY, catalog.by_table["invoice"], ids)
    assert request.method == "POST" and request.headers["content-type"] == "application/text"
    assert request.body is not None and request.body.startswith(b"select * from Invoice where Id")
    assert not request.changes


def test_quotes_in_values_are_escaped(catalog: Catalog) -> None:
    request = requests.by_ids(COMPANY, catalog.by_table["invoice"], ["1' or Id = '2", "\\"])
    assert r"Id in ('1\' or Id = \'2', '\\')" in dict(request.params)["query"]


@given(st.text())
def test_a_literal_never_ends_early(text: str) -> None:
    literal = requests.literal(text)
    inside = literal[1:-1].replace("\\\\", "").replace("\\'", "")
    assert "'" not in inside and not inside.endswith("\\")


def test_an_id_cannot_leave_its_place_in_the_address(catalog: Catalog) -> None:
    request = requests.read(COMPANY, catalog.by_table["customer"], "../invoice/1?x=y")
    assert request.url == f"{BASE}/customer/..%2Finvoice%2F1%3Fx%3Dy"


def test_moments_are_whole_seconds_rounded_down_in_utc() -> None:
    pacific = timezone(timedelta(hours=-8))
    at = datetime(2026, 3, 1, 0, 0, 0, 999999, tzinfo=pacific)
    assert requests.instant(at) == "2026-03-01T08:00:00Z"


def test_the_change_feed_names_its_objects(catalog: Catalog) -> None:
    specs = [catalog.by_table["customer"], catalog.by_table["bill_payment"]]
    request = requests.cdc(COMPANY, specs, datetime(2026, 3, 1, tzinfo=UTC))
    assert dict(request.params) == {
        "entities": "Customer,BillPayment",
        "changedSince": "2026-03-01T00:00:00Z",
        "minorversion": "75",
    }


@pytest.mark.parametrize(
    ("table", "kind", "params"),
    [
        ("customer", StepKind.CREATE, ()),
        ("invoice", StepKind.UPDATE, ()),
        ("invoice", StepKind.DELETE, (("operation", "delete"),)),
        ("invoice", StepKind.VOID, (("operation", "void"),)),
        ("bill_payment", StepKind.VOID, (("operation", "update"), ("include", "void"))),
    ],
)
def test_each_kind_of_write_has_its_parameters(
    table: str, kind: StepKind, params: tuple[tuple[str, str], ...], catalog: Catalog
) -> None:
    spec = catalog.by_table[table]
    request = requests.write(COMPANY, Step(kind, spec, {}, "146", RAW), "key-1")
    assert request.url == f"{BASE}/{spec.resource}" and request.method == "POST"
    assert request.params == (*params, ("requestid", "key-1"), ("minorversion", "75"))
    assert request.changes


def test_a_batch_holds_its_items_under_one_key(catalog: Catalog) -> None:
    steps = [
        ("0", Step(StepKind.CREATE, catalog.by_table["customer"], {"DisplayName": "Ostrow"})),
        ("1", Step(StepKind.DELETE, catalog.by_table["invoice"], {}, "146", RAW)),
        ("2", Step(StepKind.DEACTIVATE, catalog.by_table["customer"], {}, "146", RAW)),
    ]
    request = requests.batch(COMPANY, steps, "k" * 36)
    assert ("requestid", "k" * 36) in request.params
    assert json.loads(request.body or b"") == {
        "BatchItemRequest": [
            {"bId": "0", "operation": "create", "Customer": {"DisplayName": "Ostrow"}},
            {"bId": "1", "operation": "delete", "Invoice": {"Id": "146", "SyncToken": "0"}},
            {
                "bId": "2",
                "operation": "update",
                "Customer": {"Id": "146", "SyncToken": "0", "sparse": True, "Active": False},
            },
        ]
    }


def test_a_void_cannot_travel_in_a_batch(catalog: Catalog) -> None:
    assert not requests.can_batch(Step(StepKind.VOID, catalog.by_table["invoice"], {}, "1", RAW))


def test_a_request_does_not_show_its_body_or_headers() -> None:
    request = requests.query(COMPANY, "select * from Customer").with_header(
        "authorization", "Bearer s3cret"
    )
    assert "s3cret" not in repr(request)
