"""Names made one, batches under trouble, XML bodies, limits, watchers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sqlsync.simulators.clock import SimulatedClock
from sqlsync.simulators.quickbooks.entities import entity_by_word
from sqlsync.simulators.quickbooks.faults import Fault, GatewayFault
from sqlsync.simulators.quickbooks.limits import Limiter
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.service import CompanySpec, Service
from sqlsync.simulators.quickbooks.values import decode
from sqlsync.simulators.quickbooks.webhooks import Event, classic, cloud_events
from sqlsync.simulators.quickbooks.xml_reading import read_xml
from sqlsync.simulators.trouble import Trouble

VENDOR = {"value": "1"}


def merged(world: Any, entity: str, gone: str, into: str) -> Any:
    return world.company.merge(entity_by_word()[entity.lower()], gone, into)


def test_a_merged_customer_is_gone_and_its_forms_are_the_survivors(make_world: Any) -> None:
    world = make_world(5, 20)
    lost = world.customer("Twice")
    kept = world.customer("Once")
    invoice = world.invoice(lost, 70)
    world.invoice(kept, 30)
    seeded = next(r for r in world.books.tables["Invoice"].rows.values() if r.seed is not None)
    sub = world.customer("Job", ParentRef={"value": lost["Id"]})
    world.later()
    before = world.clock.now()
    changes = merged(world, "Customer", lost["Id"], kept["Id"])
    [event] = [c for c in changes if c.operation == "Merge"]
    assert (str(event.id), str(event.deleted)) == (kept["Id"], lost["Id"])
    assert not [c for c in changes if c.operation == "Delete"]
    held = world.read("Invoice", invoice["Id"])
    assert held["CustomerRef"] == {"value": kept["Id"], "name": "Once"}
    assert world.read("Customer", kept["Id"])["Balance"] == 100
    assert world.read("Customer", sub["Id"])["ParentRef"]["value"] == kept["Id"]
    with pytest.raises(Fault, match="610"):
        world.read("Customer", lost["Id"])
    [part] = world.cdc("Customer", before - timedelta(seconds=1))
    assert {"Id": lost["Id"], "status": "Deleted"}.items() <= part["Customer"][-1].items()
    assert world.customer("Twice")["Id"] != lost["Id"], "the name is free again"
    payer = str(seeded.party)
    merged(world, "Customer", payer, kept["Id"])
    assert world.read("Invoice", str(seeded.id))["CustomerRef"]["value"] == kept["Id"]


def test_items_and_accounts_are_replaced_in_rows(world: Any, make_sale: Any) -> None:
    item = world.write("Item", Name="Old", IncomeAccountRef={"value": "1"})
    other = world.write("Item", Name="New", IncomeAccountRef={"value": "1"})
    line = make_sale(5)
    line["SalesItemLineDetail"]["ItemRef"] = {"value": item["Id"]}
    invoice = world.write("Invoice", CustomerRef={"value": "1"}, Line=[line])
    merged(world, "Item", item["Id"], other["Id"])
    detail = world.read("Invoice", invoice["Id"])["Line"][0]["SalesItemLineDetail"]
    assert detail["ItemRef"] == {"value": other["Id"], "name": "New"}
    for entity, gone, into, code in (
        ("Customer", "1", "1", "6000"),
        ("Customer", "999", "1", "610"),
        ("Account", "35", "63", "6000"),
        ("Invoice", "1", "2", "500"),
    ):
        with pytest.raises(Fault, match=code):
            merged(world, entity, gone, into)


def test_a_merged_accounts_balance_is_the_survivors(make_world: Any) -> None:
    world = make_world(5, 20)
    stood = [world.read("Account", number)["CurrentBalance"] for number in ("35", "36")]
    assert all(stood)
    merged(world, "Account", "36", "35")
    assert world.read("Account", "35")["CurrentBalance"] == sum(stood)
    transfer = world.query("select * from Transfer")["Transfer"][0]
    assert transfer["ToAccountRef"]["value"] == transfer["FromAccountRef"]["value"] == "35"


def test_forms_of_a_merged_name_may_keep_their_time(make_world: Any) -> None:
    world = make_world(merge_touches_forms=False)
    lost, kept = world.customer("A"), world.customer("B")
    invoice = world.invoice(lost)
    world.later()
    merged(world, "Customer", lost["Id"], kept["Id"])
    held = world.read("Invoice", invoice["Id"])
    assert (held["SyncToken"], held["MetaData"]) == ("0", invoice["MetaData"])
    assert held["CustomerRef"]["value"] == kept["Id"]


def test_a_merge_is_announced_with_the_id_that_is_gone() -> None:
    event = Event("1", "Customer", "58", "Merge", 0, "57")
    [shown] = decode(cloud_events([event]))
    assert (shown["type"], shown["data"]) == ("qbo.customer.merged.v1", {"deletedid": "57"})
    [company] = decode(classic([event]))["eventNotifications"]
    [entity] = company["dataChangeEvent"]["entities"]
    assert (entity["operation"], entity["id"], entity["deletedId"]) == ("Merge", "58", "57")


# -- batches -----------------------------------------------------------------------------------


def batch(company: Any, *items: Any) -> list[Any]:
    body = {"BatchItemRequest": [{"bId": str(n), **item} for n, item in enumerate(items)]}
    return list(decode(company.batch(body))["BatchItemResponse"])


def code_of(answer: Any) -> str | None:
    return answer["Fault"]["Error"][0]["code"] if "Fault" in answer else None


NEW = [{"operation": "create", "Vendor": {"DisplayName": name}} for name in "ABC"]


def test_items_of_a_batch_can_be_throttled_and_fail_each_by_itself() -> None:
    service = Service(Options())
    company = service.add_company(CompanySpec(2, 0))
    match = {"operation": "batch_item", "entity": "vendor"}
    service.troubles.add(Trouble.from_json({"kind": "throttle", "skip": 1, "match": match}))
    service.troubles.add(
        Trouble.from_json({"kind": "status", "status": 500, "skip": 2, "match": match})
    )
    answers = batch(company, *NEW)
    assert [code_of(one) for one in answers] == [None, "3001", "10000"]
    assert answers[1]["Fault"]["type"] == "SERVICE"


def test_a_mixed_batch_answers_in_its_order_whatever_is_done_first(make_world: Any) -> None:
    world = make_world(batch_reversed=True)
    same = {"operation": "create", "Customer": {"DisplayName": "A"}}
    answers = batch(world.company, NEW[0], same, {"Query": "select * from Item maxresults 1"})
    assert [code_of(one) for one in answers] == ["6240", None, None]
    assert [one["bId"] for one in answers] == ["0", "1", "2"]


def test_an_answer_holds_so_many_objects_and_a_request_so_many_items(make_world: Any) -> None:
    world = make_world(batch_objects_max=30)
    query = {"Query": "select * from Account maxresults 20"}
    assert [code_of(one) for one in batch(world.company, query, query)] == [None, "10100"]
    with pytest.raises(Fault, match="limit of 30"):
        batch(world.company, *[query] * 31)


# -- limits ------------------------------------------------------------------------------------


def test_requests_at_once_and_reads_of_a_month_are_limited() -> None:
    limiter = Limiter(Options(concurrent_requests=2, reads_per_month=2))
    limiter.running = 3
    assert not limiter.admit(1, is_batch=False)
    limiter.running = 1
    admitted = [
        limiter.admit(1, is_batch=False, reads_in=month)
        for month in ("2026-03", "2026-03", "2026-03", "2026-04", None)
    ]
    assert admitted == [True, True, False, True, True]


def test_throttling_may_answer_as_it_did_before_2017() -> None:
    service = Service(Options(requests_per_minute=0, throttle_status=403))
    realm = service.add_company(CompanySpec(1, 0)).realm_id
    authority = service.authority
    access = authority.renew("app", service.refresh_tokens[realm]).access_token
    with pytest.raises(GatewayFault) as caught:
        service.enter(realm, access, is_batch=False)
    assert (caught.value.status, caught.value.code) == (403, "3001")


def test_the_services_clock_can_be_wrong_from_the_start() -> None:
    ahead = Service(Options(clock_skew_seconds=90)).clock
    behind = Service(Options(clock_skew_seconds=-90)).clock
    span = ahead.now() - behind.now()
    assert timedelta(seconds=179) < span < timedelta(seconds=181)
    assert SimulatedClock().now() > behind.now()


# -- XML and watchers --------------------------------------------------------------------------


def test_an_xml_body_is_the_object_it_stands_for(world: Any) -> None:
    body = read_xml(
        b'<?xml version="1.0"?><Invoice xmlns="http://schema.intuit.com/finance/v3" '
        b'domain="QBO" sparse="false"><DocNumber>X-1</DocNumber><Line><Amount>12.50</Amount>'
        b"<DetailType>SalesItemLineDetail</DetailType><SalesItemLineDetail>"
        b'<ItemRef name="Services">1</ItemRef><Qty>1</Qty><UnitPrice>12.5</UnitPrice>'
        b"</SalesItemLineDetail></Line><CustomerRef>1</CustomerRef>"
        b"<CustomerMemo>Thanks</CustomerMemo><ApplyTaxAfterDiscount>true</ApplyTaxAfterDiscount>"
        b"</Invoice>"
    )
    assert body["Line"][0]["SalesItemLineDetail"]["ItemRef"] == {"value": "1", "name": "Services"}
    made = world.write("Invoice", **body)
    assert (made["TotalAmt"], made["DocNumber"], made["ApplyTaxAfterDiscount"]) == (
        *(12.5, "X-1"),
        True,
    )
    assert made["CustomerMemo"] == {"value": "Thanks"}
    items = read_xml(
        b'<IntuitBatchRequest><BatchItemRequest bId="a" operation="create"><Vendor><DisplayName>'
        b"V</DisplayName></Vendor></BatchItemRequest></IntuitBatchRequest>"
    )
    assert items == {
        "BatchItemRequest": [{"bId": "a", "operation": "create", "Vendor": {"DisplayName": "V"}}]
    }
    for bad in (b"<Invoice>", b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', b"{}"):
        with pytest.raises(Fault, match="2010"):
            read_xml(bad)
