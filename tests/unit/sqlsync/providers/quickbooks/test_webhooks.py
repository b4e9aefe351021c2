"""Signatures and events of webhook deliveries."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.loader import load_catalog
from schema.model import Catalog
from sqlsync.errors import BadWebhook
from sqlsync.providers.quickbooks.webhooks import is_signed, read_events

Sample = Callable[[str], bytes]


def signed(body: bytes, token: str) -> str:
    return base64.b64encode(hmac.new(token.encode(), body, hashlib.sha256).digest()).decode()


def test_the_reference_signature_is_accepted(sample: Sample) -> None:
    vector = json.loads(sample("webhook_signature_vector"))
    body = vector["body"].encode()
    assert is_signed(body, vector["intuit-signature"], vector["verifier_token"])
    assert not is_signed(body + b" ", vector["intuit-signature"], vector["verifier_token"])


@given(st.binary(), st.text(min_size=1))
def test_a_signature_holds_for_its_bytes_and_its_token_alone(body: bytes, token: str) -> None:
    signature = signed(body, "right")
    assert is_signed(body, signature, "right")
    assert not is_signed(body + b"x", signature, "right")
    if token != "right":
        assert not is_signed(body, signature, token)


@pytest.mark.parametrize("signature", [None, "", "ü", "AAAA", "\ud800"])
def test_what_is_no_signature_is_refused(signature: str | None) -> None:
    assert not is_signed(b"{}", signature, "token")


def test_without_a_token_nothing_is_believed() -> None:
    assert not is_signed(b"{}", signed(b"{}", ""), "")


def test_classic_notifications(sample: Sample, catalog: Catalog) -> None:
    events = read_events(sample("webhook_classic"), catalog)
    assert [(e.realm_id, e.table, e.id, e.operation, e.deleted_id) for e in events] == [
        ("9341450000000001", "invoice", "145", "updated", None),
        ("9341450000000001", "invoice", "146", "deleted", None),
        ("9341450000000001", "customer", "58", "merged", "57"),
    ]
    assert events[0].at == datetime(2026, 3, 2, 17, 15, 40, tzinfo=UTC)


def test_cloud_events(sample: Sample, catalog: Catalog) -> None:
    events = read_events(sample("webhook_cloudevents"), catalog)
    known = [(e.realm_id, e.entity, e.id, e.operation, e.deleted_id) for e in events]
    assert known[:4] == [
        ("9341450000000001", "Invoice", "145", "updated", None),
        ("9341450000000001", "Invoice", "146", "deleted", None),
        ("9341450000000001", "Invoice", "147", "voided", None),
        ("9341450000000001", "Customer", "58", "merged", "57"),
    ]
    assert events[0].at == datetime(2026, 3, 2, 17, 15, 40, 179851, tzinfo=UTC)
    assert events[0].event_id == "88cd52aa-0000-4000-8000-000000000001"


def event(**changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "e1",
        "type": "qbo.customer.updated.v1",
        "time": "2026-03-02T17:15:40Z",
        "intuitentityid": "58",
        "intuitaccountid": "1",
        **changes,
    }


def test_one_delivery_may_be_about_several_companies(catalog: Catalog) -> None:
    body = json.dumps([event(), event(intuitaccountid="2")]).encode()
    assert [e.realm_id for e in read_events(body, catalog)] == ["1", "2"]


@pytest.mark.parametrize("member", ["deletedid", "deletedId", "deletedID"])
def test_all_spellings_of_the_merged_away_id(member: str, catalog: Catalog) -> None:
    cloud = json.dumps([event(type="qbo.customer.merged.v1", data={member: "57"})]).encode()
    entity = {"name": "Customer", "id": "58", "operation": "Merge", member: "57"}
    classic = json.dumps(
        {"eventNotifications": [{"realmId": "1", "dataChangeEvent": {"entities": [entity]}}]}
    ).encode()
    assert [e.deleted_id for e in read_events(cloud, catalog)] == ["57"]
    assert [e.deleted_id for e in read_events(classic, catalog)] == ["57"]


@pytest.mark.parametrize(
    "type_",
    ["qbo.changeorder.created.v1", "qbo.customer.blessed.v1", "payments.refund.created.v1"],
)
def test_what_we_do_not_follow_is_left_out(type_: str, catalog: Catalog) -> None:
    assert read_events(json.dumps([event(type=type_), event()]).encode(), catalog)[0].id == "58"
    assert len(read_events(json.dumps([event(type=type_)]).encode(), catalog)) == 0


def test_voided_is_taken_for_void(catalog: Catalog) -> None:
    body = json.dumps([event(type="qbo.invoice.voided.v2")]).encode()
    assert read_events(body, catalog)[0].operation == "voided"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"{}",
        b"7",
        b"null",
        b'["a"]',
        b'{"eventNotifications":7}',
        b'{"eventNotifications":[{"realmId":"1","dataChangeEvent":{"entities":[7]}}]}',
        b'{"eventNotifications":[{"dataChangeEvent":{"entities":[]}}]}',
        json.dumps([event(intuitentityid=None)]).encode(),
        json.dumps([event(type=None)]).encode(),
        b"\xff\xfe",
    ],
)
def test_malformed_deliveries_are_typed_errors(body: bytes, catalog: Catalog) -> None:
    with pytest.raises(BadWebhook):
        read_events(body, catalog)


CATALOG = load_catalog("quickbooks")
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["eventNotifications", "realmId", "dataChangeEvent", "entities", "name", "id",
             "operation", "type", "specversion", "intuitentityid", "intuitaccountid", "data"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@given(_json)
def test_no_delivery_raises_anything_else(delivery: Any) -> None:
    try:
        read_events(json.dumps(delivery).encode(), CATALOG)
    except BadWebhook:
        pass
