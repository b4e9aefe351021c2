"""Records that come wrapped, without an Id, or as XML, and bodies that go out like that."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from schema.loader import load_catalog
from sqlsync.errors import MissingRequired, ProviderFault
from sqlsync.providers.base import Step, StepKind
from sqlsync.providers.quickbooks.bodies import step_body
from sqlsync.providers.quickbooks.requests import Company, batch, by_key, read
from sqlsync.providers.quickbooks.responses import record_from
from sqlsync.providers.quickbooks.shapes import entitlements, presented, wrapper

CATALOG = load_catalog("quickbooks")
RATE = CATALOG.by_table["exchange_rate"]
TEMPLATE = CATALOG.by_table["recurring_transaction"]
CARD = CATALOG.by_table["credit_card_payment"]
COMPANY = Company("https://api.example", "77")

A_RATE = b'{"SyncToken":"3","AsOfDate":"2026-03-01","SourceCurrencyCode":"EUR","Rate":1.08120}'
A_TEMPLATE = (
    b'{"Invoice":{"Id":"180","SyncToken":"0","TotalAmt":90.10,"RecurringInfo":{"Name":"Plan"}}}'
)


def changed(kind: StepKind, spec: Any, raw: bytes, **fields: Any) -> dict[str, Any]:
    record = presented(spec, raw)
    return step_body(Step(kind, spec, fields, json.loads(record)["Id"], record))


def test_a_rate_gets_a_key_of_currency_and_day_and_loses_no_digit() -> None:
    record = record_from(RATE, A_RATE)
    assert record.id == "EUR:2026-03-01"
    assert b"1.08120" in presented(RATE, A_RATE)
    assert presented(RATE, presented(RATE, A_RATE)) == presented(RATE, A_RATE)


def test_a_rate_without_its_day_is_a_fault() -> None:
    with pytest.raises(ProviderFault, match="no AsOfDate"):
        presented(RATE, b'{"SourceCurrencyCode":"EUR"}')


def test_a_changed_rate_says_which_it_is_without_an_id() -> None:
    body = changed(StepKind.UPDATE, RATE, A_RATE, Rate=Decimal("1.1"))
    assert body.pop("sparse") is True
    assert body == {
        "SourceCurrencyCode": "EUR",
        "AsOfDate": "2026-03-01",
        "Rate": Decimal("1.1"),
        "SyncToken": "3",
    }


def test_a_rate_is_asked_for_by_its_key() -> None:
    request = by_key(COMPANY, RATE, "EUR:2026-03-01")
    assert request is not None
    statement = dict(request.params)["query"]
    assert statement == (
        "select * from ExchangeRate where SourceCurrencyCode = 'EUR' and AsOfDate = '2026-03-01'"
    )
    assert by_key(COMPANY, RATE, "42") is None


def test_a_template_shows_its_type_beside_the_transaction() -> None:
    record = json.loads(presented(TEMPLATE, A_TEMPLATE))
    assert (record["Id"], record["Type"]) == ("180", "Invoice")
    assert record["Transaction"]["RecurringInfo"] == record["RecurringInfo"] == {"Name": "Plan"}
    assert b"90.10" in presented(TEMPLATE, A_TEMPLATE)


def test_a_template_goes_out_wrapped_in_its_type() -> None:
    fields = {
        "Type": "Bill",
        "RecurringInfo": {"Name": "Rent", "RecurType": "Reminder"},
        "Transaction": {"VendorRef": {"value": "41"}},
    }
    body = step_body(Step(StepKind.CREATE, TEMPLATE, fields))
    assert body == {
        "Bill": {"VendorRef": {"value": "41"}, "RecurringInfo": fields["RecurringInfo"]}
    }
    body = changed(StepKind.DELETE, TEMPLATE, A_TEMPLATE)
    assert body == {"Invoice": {"Id": "180", "SyncToken": "0"}}


def test_a_template_without_a_type_is_not_sent() -> None:
    with pytest.raises(MissingRequired) as caught:
        step_body(Step(StepKind.CREATE, TEMPLATE, {"Transaction": {}}))
    assert caught.value.column == "type"


@pytest.mark.parametrize("raw", [b'{"Invoice":{"Id":"1"},"Bill":{"Id":"2"}}', b'{"x":1}', b"[]"])
def test_a_template_that_wraps_nothing_is_a_fault(raw: bytes) -> None:
    with pytest.raises(ProviderFault):
        presented(TEMPLATE, raw)


def test_a_tombstone_needs_no_wrapping() -> None:
    raw = b'{"domain":"QBO","status":"Deleted","Id":"180"}'
    assert presented(TEMPLATE, raw) == raw


def test_a_batch_names_a_record_by_its_wrapper() -> None:
    assert wrapper(CARD) == "CreditCardPaymentTxn"
    request = batch(COMPANY, [("0", Step(StepKind.CREATE, CARD, {"Amount": 5}))], "key")
    (item,) = json.loads(request.body or b"")["BatchItemRequest"]
    assert item["CreditCardPaymentTxn"] == {"Amount": 5}


def test_records_that_are_one_of_a_kind_have_addresses_of_their_own() -> None:
    for table, path in (("company_info", "companyinfo/77"), ("preferences", "preferences")):
        request = read(COMPANY, CATALOG.by_table[table], "1")
        assert request.url == f"https://api.example/v3/company/77/{path}"


def test_entitlements_are_read_from_xml() -> None:
    raw = entitlements(
        b'<?xml version="1.0"?><EntitlementsResponse><QboCompany>true</QboCompany>'
        b"<MaxUsers>5</MaxUsers>"
        b'<Entitlement id="1"><name>Classes</name><term>On</term></Entitlement>'
        b'<Entitlement id="2"><name>Locations</name><term>Off</term></Entitlement>'
        b"<Thresholds><Threshold><name>Seats</name><limit>5</limit></Threshold></Thresholds>"
        b"</EntitlementsResponse>"
    )
    assert json.loads(raw or b"") == {
        "Id": "1",
        "QboCompany": "true",
        "MaxUsers": "5",
        "Entitlement": [
            {"id": "1", "name": "Classes", "term": "On"},
            {"id": "2", "name": "Locations", "term": "Off"},
        ],
        "Thresholds": [{"name": "Seats", "limit": "5"}],
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"<EntitlementsResponse>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><EntitlementsResponse/>',
    ],
)
def test_what_is_no_entitlements_is_not_taken_for_them(body: bytes) -> None:
    assert entitlements(body) is None
