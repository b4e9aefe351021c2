"""Deliveries: signature, intent to receive, events."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest

from schema.model import Catalog
from sqlsync.errors import BadWebhook
from sqlsync.providers.xero.webhooks import answer_status, is_signed, read_events

KEY = "demo-signing-key-not-a-secret"
TENANT = "8f2b6c1e-3d47-4a5e-9b0c-51a7d2e64f90"
INVOICE = "c3a5f08d-1b96-47e2-8d40-5f6b92e7a3c1"


def event(**members: str) -> dict[str, str]:
    return {
        "resourceUrl": f"https://api.xero.com/api.xro/2.0/Invoices/{INVOICE}",
        "resourceId": INVOICE,
        "tenantId": TENANT,
        "tenantType": "ORGANISATION",
        "eventCategory": "INVOICE",
        "eventType": "UPDATE",
        "eventDateUtc": "2026-10-20T03:14:07.513",
        **members,
    }


def delivery(*events: dict[str, str]) -> bytes:
    return json.dumps({"events": list(events), "entropy": "X"}).encode()


def sign(body: bytes, key: str = KEY) -> str:
    return base64.b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()


def test_the_samples_signature_is_right(sample: Callable[[str], Any]) -> None:
    given = sample("webhook_delivery")
    assert is_signed(
        given["raw_body"].encode(), given["headers"]["x-xero-signature"], given["signing_key"]
    )


def test_the_samples_intents_are_answered_as_xero_wants(sample: Callable[[str], Any]) -> None:
    given = sample("webhook_intent_to_receive")
    for one in given["deliveries"]:
        headers = {"x-xero-signature": one["x-xero-signature"]}
        status = answer_status(one["raw_body"].encode(), headers, given["signing_key"])
        assert status == one["expected_status"]


def test_an_intent_to_receive_is_200_or_401_and_holds_no_events(catalog: Catalog) -> None:
    body = b'{"events":[],"firstEventSequence":0,"lastEventSequence":0,"entropy":"S0"}'
    assert answer_status(body, {"x-xero-signature": sign(body)}, KEY) == 200
    assert answer_status(body, {"x-xero-signature": sign(body, "other")}, KEY) == 401
    assert answer_status(body, {}, KEY) == 401
    assert read_events(body, catalog) == []


@pytest.mark.parametrize("signature", [None, "", "not base64 ü", "AAAA"])
def test_what_is_not_signed_by_xero_is_not_believed(signature: str | None) -> None:
    body = delivery(event())
    assert not is_signed(body, signature, KEY)
    assert not is_signed(body, sign(body, ""), "")
    assert not is_signed(body + b" ", sign(body), KEY)


def test_the_samples_events_name_tables_and_ids(
    sample: Callable[[str], Any], catalog: Catalog
) -> None:
    found = read_events(sample("webhook_delivery")["raw_body"].encode(), catalog)
    assert [(e.table, e.operation) for e in found] == [
        ("invoice", "updated"),
        ("contact", "updated"),
        ("credit_note", "created"),
        ("prepayment", "created"),
    ]
    assert {e.tenant_id for e in found} == {TENANT}
    assert found[0].at is not None and found[0].at.microsecond == 513000


def test_unknown_categories_are_passed_over_and_known_addresses_are_not(catalog: Catalog) -> None:
    found = read_events(
        delivery(
            event(eventCategory="SUBSCRIPTION", tenantType="APPLICATION"),
            event(eventCategory="WEATHER", resourceUrl="https://api.xero.com/api.xro/2.0/Rain/1"),
            event(
                eventCategory="QUOTES",
                resourceUrl=f"https://api.xero.com/api.xro/2.0/Quotes/{INVOICE}",
            ),
            event(eventType="SOMETHING"),
        ),
        catalog,
    )
    assert [(e.table, e.operation) for e in found] == [("quote", "updated"), ("invoice", "updated")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"events":{}}',
        b'{"events":[1]}',
        b"\xff",
        delivery(event(resourceId="../Invoices")),
        delivery(event(tenantId="")),
    ],
)
def test_a_body_that_is_no_delivery_is_said_to_be_none(body: bytes, catalog: Catalog) -> None:
    with pytest.raises(BadWebhook):
        read_events(body, catalog)


def test_an_event_that_names_no_record_costs_the_others_nothing(catalog: Catalog) -> None:
    body = delivery(event(resourceId="nonsense"), event(), event(tenantId=""))
    assert len(read_events(body, catalog)) == 1
