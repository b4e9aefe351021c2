"""Lists: three shapes, pages, orders, changes since, filters, archived and deleted records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sqlsync.simulators.xero.endpoints import endpoints
from sqlsync.simulators.xero.values import instant_text


@pytest.fixture(scope="module")
def busy(module_world: Any) -> Any:
    return module_world(customers=12, invoices=240)


def test_three_shapes_of_an_invoice_list(busy: Any) -> None:
    bare = busy.ask("GET", "Invoices")
    page = busy.ask("GET", "Invoices", page="1")
    summary = busy.ask("GET", "Invoices", summaryOnly="true")
    assert "pagination" not in bare
    assert len(bare["Invoices"]) == page["pagination"]["itemCount"]
    assert {len(one["LineItems"]) for one in bare["Invoices"]} == {0}
    assert all(one["LineItems"] for one in page["Invoices"])
    assert set(bare["Invoices"][0]["Contact"]) >= {"ContactID", "Name"}
    assert summary["pagination"]["page"] == 1
    dropped = {"Payments", "HasAttachments", "LineItems", "CISDeduction"}
    assert all(dropped.isdisjoint(one) for one in summary["Invoices"])


def test_three_shapes_of_a_contact_list(busy: Any) -> None:
    bare = busy.get("Contacts")[0]
    page = busy.get("Contacts", page="1")[0]
    summary = busy.get("Contacts", summaryOnly="true")[0]
    assert bare["Phones"] == []
    assert len(page["Phones"]) == 4
    assert "PaymentTerms" not in bare
    assert "IsCustomer" in page
    dropped = ("Addresses", "Balances", "ContactGroups", "ContactPersons", "IsCustomer")
    assert all(name not in summary for name in dropped)


def test_pages_are_clamped_counted_and_end_with_an_empty_one(busy: Any) -> None:
    first = busy.ask("GET", "Invoices", page="1", pageSize="5000")
    assert first["pagination"]["pageSize"] == 1000
    count = first["pagination"]["itemCount"]
    small = busy.ask("GET", "Invoices", page="2", pageSize="7")
    assert small["pagination"] == {
        "page": 2,
        "pageSize": 7,
        "pageCount": -(-count // 7),
        "itemCount": count,
    }
    assert busy.ask("GET", "Invoices", page="1", pageSize="0")["pagination"]["pageSize"] == 1
    assert busy.ask("GET", "Invoices", page="0")["pagination"]["page"] == 1
    assert busy.get("Invoices", page="999") == []
    orders = busy.ask("GET", "PurchaseOrders")
    assert orders["pagination"]["pageSize"] == 100
    quotes = busy.ask("GET", "Quotes", page="1")
    assert "pagination" not in quotes
    assert next(iter(quotes)) == "SummarizeErrors"


def test_pages_by_id_show_everything_once(busy: Any) -> None:
    ids: list[str] = []
    for page in range(1, 5):
        found = busy.get("Invoices", page=str(page), pageSize="100", order="InvoiceID")
        ids += [one["InvoiceID"] for one in found]
    assert ids == sorted(ids)
    assert len(set(ids)) == busy.ask("GET", "Invoices", page="1")["pagination"]["itemCount"]


def test_a_record_edited_during_a_pass_makes_another_skip_its_page(make_world: Any) -> None:
    world = make_world(customers=3, invoices=40)
    first = world.get("Invoices", page="1", pageSize="20")
    drafts = [one for one in first if one["Status"] == "DRAFT"] or first
    edited = next(one for one in first if one in drafts or one["Status"] == "AUTHORISED")
    world.change(edited, Reference="moved")
    second = world.get("Invoices", page="2", pageSize="20")
    third = world.get("Invoices", page="3", pageSize="20")
    seen = {one["InvoiceID"] for one in (*first, *second, *third)}
    assert len(world.books.table("Invoices")) - len(seen) == 1


def test_the_default_order_is_by_update_then_id(busy: Any) -> None:
    found = busy.get("Invoices")
    rows = [busy.books.row("Invoices", one["InvoiceID"]) for one in found]
    keys = [(row.updated, row.id) for row in rows]
    assert keys == sorted(keys)


def test_orders_by_any_member_with_the_id_last(busy: Any) -> None:
    found = busy.get("Invoices", order="Date DESC")
    days = [one["DateString"] for one in found]
    assert days == sorted(days, reverse=True)
    found = busy.get("Contacts", order="Name")
    names = [one["Name"].casefold() for one in found]
    assert names == sorted(names)
    assert busy.refused("GET", "Invoices", order="Foo").body["ErrorNumber"] == 16
    assert busy.refused("GET", "Invoices", order="Date SIDEWAYS").status == 400


def test_changes_since_a_second_include_that_second(make_world: Any) -> None:
    world = make_world()
    world.invoice()
    world.later(5)
    second = world.invoice()
    row = world.books.row("Invoices", second["InvoiceID"])
    text = instant_text(row.updated, "")
    found = world.get("Invoices", since=text)
    assert [one["InvoiceID"] for one in found] == [second["InvoiceID"]]
    after = instant_text(row.updated + 1000, "")
    assert world.get("Invoices", since=after) == []
    world.options.modified_since_inclusive = False
    assert world.get("Invoices", since=text) == []


@pytest.mark.parametrize(
    "text",
    [
        "2026-10-20T03:14:07",
        "2026-10-20T03:14:07.513",
        "2026-10-20T03:14:07Z",
        "2026-10-20T16:14:07+13:00",
        "Tue, 20 Oct 2026 03:14:07 GMT",
    ],
)
def test_the_since_header_is_read_in_many_forms(world: Any, text: str) -> None:
    assert world.get("Contacts", since=text)[:0] == []
    assert world.refused("GET", "Contacts", since="yesterday").status == 412


def test_deletes_come_back_in_changes_but_hard_ones_leave_no_trace(make_world: Any) -> None:
    world = make_world()
    draft = world.invoice(Status="DRAFT")
    item = world.put("Items", {"Code": "GONE"})
    world.later()
    world.change(draft, Status="DELETED")
    assert world.ask("DELETE", f"Items/{item['ItemID']}") == b""
    since = instant_text(int(world.clock.now().timestamp() * 1000), "")
    assert [one["Status"] for one in world.get("Invoices", since=since)] == ["DELETED"]
    assert world.get("Items", since=since) == []
    assert world.refused("GET", f"Items/{item['ItemID']}").status == 404


def test_lists_of_values_are_parameters_of_their_own(busy: Any) -> None:
    some = busy.get("Invoices", page="1", pageSize="3", order="InvoiceID")
    ids = ",".join(one["InvoiceID"] for one in some)
    assert len(busy.get("Invoices", IDs=ids)) == 3
    numbers = ",".join(one["InvoiceNumber"] for one in some)
    assert len(busy.get("Invoices", InvoiceNumbers=numbers)) == 3
    statuses = busy.get("Invoices", Statuses="VOIDED,DELETED")
    assert {one["Status"] for one in statuses} <= {"VOIDED", "DELETED"}
    contact = some[0]["Contact"]["ContactID"]
    found = busy.get("Invoices", ContactIDs=contact)
    assert {one["Contact"]["ContactID"] for one in found} == {contact}
    assert busy.get("Invoices", searchTerm="inv-0007")[0]["InvoiceNumber"] == "INV-0007"


def test_an_app_may_ask_for_its_own_invoices(make_world: Any) -> None:
    world = make_world(customers=3, invoices=20)
    mine = world.invoice()
    found = world.get("Invoices", createdByMyApp="true")
    assert [one["InvoiceID"] for one in found] == [mine["InvoiceID"]]


@pytest.mark.parametrize(
    ("where", "test"),
    [
        ('Status=="AUTHORISED"', lambda i: i["Status"] == "AUTHORISED"),
        ('Status = "PAID" AND Type == "ACCPAY"',
         lambda i: i["Status"] == "PAID" and i["Type"] == "ACCPAY"),
        ('Type=="ACCREC" && (Status=="DRAFT" || Status=="VOIDED")',
         lambda i: i["Type"] == "ACCREC" and i["Status"] in ("DRAFT", "VOIDED")),
        ("Total > 500.5", lambda i: i["Total"] > Decimal("500.5")),
        ("AmountDue != 0", lambda i: i["AmountDue"] != 0),
        ("Date >= DateTime(2026, 01, 01) AND Date < DateTime(2026,06,01)",
         lambda i: "2026-01-01" <= i["DateString"][:10] < "2026-06-01"),
        ('InvoiceNumber.Contains("001")', lambda i: "001" in i["InvoiceNumber"]),
        ('InvoiceNumber.ToLower().StartsWith("inv-00")',
         lambda i: i["InvoiceNumber"].startswith("INV-00")),
        ('InvoiceNumber.EndsWith("9")', lambda i: i["InvoiceNumber"].endswith("9")),
        ("FullyPaidOnDate != null", lambda i: "FullyPaidOnDate" in i),
        ("BrandingThemeID == null", lambda i: "BrandingThemeID" not in i),
        ("!(Status==\"PAID\")", lambda i: i["Status"] != "PAID"),
        ("SentToContact", lambda i: i.get("SentToContact") is True),
        ("SentToContact == true", lambda i: i.get("SentToContact") is True),
        ("contact.name.contains(\"a\")", lambda i: "a" in i["Contact"]["Name"]),
    ],
)  # fmt: skip
def test_where_keeps_what_fits(busy: Any, where: str, test: Any) -> None:
    everything = busy.get("Invoices")
    wanted = [one["InvoiceID"] for one in everything if test(one)]
    assert [one["InvoiceID"] for one in busy.get("Invoices", where=where)] == wanted
    assert 0 < len(wanted) < len(everything)


def test_ids_are_compared_with_guid(busy: Any) -> None:
    contact = busy.get("Invoices")[0]["Contact"]["ContactID"]
    found = busy.get("Invoices", where=f'Contact.ContactID==Guid("{contact}")')
    assert {one["Contact"]["ContactID"] for one in found} == {contact}
    refused = busy.refused("GET", "Invoices", where=f'Contact.ContactID=="{contact}"')
    assert "incompatible" in refused.body["Message"]
    payment = busy.get("Payments", page="1")[0]
    where = f'Invoice.InvoiceID==guid("{payment["Invoice"]["InvoiceID"]}")'
    assert payment["PaymentID"] in {one["PaymentID"] for one in busy.get("Payments", where=where)}


def test_contact_text_is_compared_without_case_and_accents(world: Any) -> None:
    contact = world.contact("Tui Street Café")
    for text in ("tui street cafe", "TUI STREET CAFÉ"):
        [found] = world.get("Contacts", where=f'Name=="{text}"')
        assert found["ContactID"] == contact["ContactID"]


@pytest.mark.parametrize(
    "where",
    [
        'Foo=="x"',
        'Status=="x',
        "Status==",
        'Status=="A" AND',
        "Total > \"five\"",
        "LineItems == null",
        "Total",
        'Contact.Foo=="x"',
        'Status=="A") ',
        "Guid(\"x\") == InvoiceID",
        "DateTime(2026, 13, 1) == Date",
        'Total.Contains("1")',
    ],
)  # fmt: skip
def test_bad_filters_are_refused_as_the_service_refuses_them(busy: Any, where: str) -> None:
    refused = busy.refused("GET", "Invoices", where=where)
    assert refused.status == 400
    assert refused.body["ErrorNumber"] == 16
    assert refused.body["Type"] == "QueryParseException"


def test_too_much_at_once_is_a_high_volume_refusal(make_world: Any) -> None:
    world = make_world(customers=5, invoices=60, high_volume_rows=50)
    refused = world.refused("GET", "Invoices")
    assert refused.body["Type"] == "HighVolumeException"
    assert len(world.get("Invoices", page="1", where='Status=="PAID"')) > 0
    assert world.refused("GET", "Invoices", page="1", where="Total > 5").status == 400
    assert world.refused("GET", "Invoices", page="1", order="Total").status == 400


@pytest.mark.parametrize("name", sorted(endpoints()))
def test_every_collection_is_listed_and_its_records_read(busy: Any, name: str) -> None:
    endpoint = endpoints()[name]
    found = busy.get(name, page="1")
    if "GET" in endpoint.record_verbs:
        for one in found[:3]:
            [single] = busy.get(f"{name}/{one[endpoint.id_field]}")
            assert single[endpoint.id_field] == one[endpoint.id_field]
    if endpoint.since and name != "Journals":
        later = datetime(2027, 1, 1, tzinfo=UTC) + timedelta(days=1)
        assert busy.get(name, since=later.strftime("%Y-%m-%dT%H:%M:%S")) == []
