"""Every request the adapter can make, by itself and against Xero's own OpenAPI file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import xero_openapi

from schema.loader import load_catalog
from schema.model import ColumnType, ObjectSpec, Writable
from schema.rows import row_changes_to_fields
from sqlsync.providers.base import Step, StepKind
from sqlsync.providers.messages import HttpRequest
from sqlsync.providers.xero import requests
from sqlsync.providers.xero.calls import BARE, EACH_ANSWERED, TABLE, UNITDP, Calls, calls_of
from sqlsync.providers.xero.planning import make_plan
from sqlsync.providers.xero.values import ZERO_ID

from .conftest import ID

TENANT = requests.Tenant("https://api.xero.com", "8f2b6c1e-3d47-4a5e-9b0c-51a7d2e64f90")
BASE = "https://api.xero.com/api.xro/2.0"
SINCE = datetime(2026, 10, 20, 3, 14, 7, 513000, UTC)
OTHER = "e7d20b4f-69a8-4c53-b1f7-38c05d9a6e12"
OBJECTS = load_catalog("xero").objects

Facts = Callable[[str], Calls]
Make = Callable[..., Step]


def named(spec: ObjectSpec) -> str:
    return spec.table


def check(request: HttpRequest) -> None:
    """Against the OpenAPI file, where it is there."""
    if not xero_openapi.is_there():
        pytest.skip(f"the reference pack is not beside the project: {xero_openapi.FILE} is missing")
    wrong = xero_openapi.problems(
        request.method,
        request.url.removeprefix("https://api.xero.com"),
        dict(request.params),
        request.headers,
        request.body,
    )
    assert wrong == []


def test_a_page_is_asked_for_by_number_size_and_key_with_archived_ones(calls: Facts) -> None:
    request = requests.page(TENANT, calls("contact"), 3)
    assert request.url == f"{BASE}/Contacts" and not request.changes
    assert dict(request.params) == {
        "page": "3",
        "pageSize": "1000",
        "order": "ContactID",
        "includeArchived": "true",
    }
    assert request.headers == {
        "accept": "application/json",
        "xero-tenant-id": "8f2b6c1e-3d47-4a5e-9b0c-51a7d2e64f90",
    }


def test_prices_are_asked_for_with_four_decimals(calls: Facts) -> None:
    for table in ("invoice", "credit_note", "bank_transaction", "overpayment"):
        assert dict(requests.page(TENANT, calls(table), 1).params)["unitdp"] == "4"
    assert dict(requests.read(TENANT, calls("item"), ID).params)["unitdp"] == "4"
    assert "unitdp" not in dict(requests.page(TENANT, calls("purchase_order"), 1).params)


def test_a_size_that_is_fixed_is_not_asked_for(calls: Facts) -> None:
    assert dict(requests.page(TENANT, calls("quote"), 1).params) == {
        "page": "1",
        "order": "QuoteID",
    }


def test_changes_are_always_paged_and_in_xeros_own_order(calls: Facts) -> None:
    request = requests.changed(TENANT, calls("invoice"), SINCE)
    assert request.headers["if-modified-since"] == "2026-10-20T03:14:07"
    assert dict(request.params)["page"] == "1" and "order" not in dict(request.params)
    by_key = requests.changed(TENANT, calls("invoice"), SINCE, number=2, by_key=True)
    assert dict(by_key.params)["order"] == "InvoiceID" and dict(by_key.params)["page"] == "2"


def test_records_are_asked_for_by_their_ids(calls: Facts) -> None:
    by_list = requests.by_ids(TENANT, calls("invoice"), [ID, OTHER])
    assert dict(by_list.params)["IDs"] == f"{ID},{OTHER}" and dict(by_list.params)["page"] == "1"
    by_filter = dict(requests.by_ids(TENANT, calls("credit_note"), [ID, OTHER]).params)
    assert by_filter["where"] == f'CreditNoteID==Guid("{ID}") OR CreditNoteID==Guid("{OTHER}")'


def test_deleted_transfers_are_asked_for(calls: Facts) -> None:
    assert dict(requests.whole(TENANT, calls("bank_transfer")).params) == {"includeDeleted": "true"}


def test_a_key_cannot_leave_its_place_in_the_address(calls: Facts) -> None:
    request = requests.read(TENANT, calls("tax_rate"), "../Invoices?x=1")
    assert request.url == f"{BASE}/TaxRates/..%2FInvoices%3Fx%3D1"


def test_the_key_is_of_the_call_and_of_what_is_sent(calls: Facts) -> None:
    create = calls("contact").create
    assert create is not None

    def key(body: dict[str, Any], call_key: str = "k" * 36) -> str:
        request = requests.write(TENANT, create, call_key, body, collection="Contacts")
        assert request.changes
        return request.headers["idempotency-key"]

    one = key({"Name": "A", "FirstName": "B"})
    assert one == key({"FirstName": "B", "Name": "A"}) and len(one) <= 128
    assert one.startswith("k" * 36)
    assert len({one, key({"Name": "A"}), key({"Name": "A"}, "other")}) == 3


def one_plan(step: Step) -> HttpRequest:
    plan = make_plan(TENANT, [(0, step, calls_of(step.spec))], "key")
    assert plan.refused == {}
    [planned] = plan.requests
    return planned.request


# -- every object ----------------------------------------------------------------------------


@pytest.mark.parametrize("spec", OBJECTS, ids=named)
def test_every_list_is_one_that_xero_knows(spec: ObjectSpec) -> None:
    calls = calls_of(spec)
    values = {"parent_endpoint": "Invoices", "parent_id": ID}
    if spec.table == "tracking_option":
        return
    if "parent_endpoint" in calls.list.places:
        check(requests.whole(TENANT, calls, values))
        return
    if calls.paging == "page":
        check(requests.page(TENANT, calls, 1))
        if calls.ids_parameter or calls.ids_filter:
            check(requests.by_ids(TENANT, calls, [ID, OTHER]))
    elif calls.paging == "offset":
        check(requests.after(TENANT, calls, 0))
        check(requests.after(TENANT, calls, 100, SINCE))
    else:
        check(requests.whole(TENANT, calls))
    if calls.modified_since and calls.paging != "offset":
        check(requests.changed(TENANT, calls, SINCE))
        check(requests.changed(TENANT, calls, SINCE, number=2, by_key=True))
    if calls.get is not None and "id" in calls.get.places and "parent_id" not in calls.get.places:
        check(requests.read(TENANT, calls, ID))
    check(requests.organisation(TENANT))


_VALUES: dict[ColumnType, Any] = {
    ColumnType.TEXT: "text",
    ColumnType.NUMERIC: 1,
    ColumnType.BOOLEAN: True,
    ColumnType.DATE: "2026-11-02",
    ColumnType.TIMESTAMPTZ: "2026-11-02T00:00:00",
    ColumnType.JSONB: [],
}


def filled(spec: ObjectSpec, *writable: Writable) -> dict[str, Any]:
    """A value for each column that may be written, lines and other lists of objects too."""
    columns: dict[str, Any] = {}
    for field in spec.fields:
        if field.column == "id" or field.writable not in writable:
            continue
        is_key = field.references is not None and field.path[-1].endswith("ID")
        columns[field.column] = (
            ID if is_key else field.enum[0] if field.enum else _VALUES[field.type]
        )
        if field.path[-1] in ("CurrencyCode", "DefaultCurrency") or spec.table == "currency":
            columns[field.column] = "NZD"
        if field.column == "report_tax_type":
            columns[field.column] = "OUTPUT"
    fields = row_changes_to_fields(spec, columns)
    own = calls_of(spec).lists
    for child in spec.children:
        [member, *deeper] = child.path
        if child.read_only or deeper or member in own:
            fields.pop(member, None)
            continue
        if member in fields:
            fields[member] = [row(child.fields)]
    return fields


def row(fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields:
        if field.writable is Writable.NEVER or field.type is ColumnType.JSONB:
            continue
        place = found
        for member in field.path[:-1]:
            place = place.setdefault(member, {})
        place[field.path[-1]] = (
            ID
            if field.references is not None and field.path[-1].endswith("ID")
            else field.enum[0]
            if field.enum
            else _VALUES[field.type]
        )
    return found


def can(*operations: str) -> list[ObjectSpec]:
    return [spec for spec in OBJECTS if any(spec.can(o) for o in operations)]


@pytest.mark.parametrize("spec", can("create"), ids=named)
def test_every_create_is_a_put_that_xero_knows(spec: ObjectSpec) -> None:
    fields = filled(spec, Writable.ALWAYS, Writable.CREATE)
    if spec.table == "history_record":
        fields |= {"ParentEndpoint": "Invoices", "ParentID": ID}
    request = one_plan(Step(StepKind.CREATE, spec, fields))
    assert request.method == "PUT" and request.headers["idempotency-key"].startswith("key-")
    check(request)


@pytest.mark.parametrize("spec", [s for s in can("update") if calls_of(s).update], ids=named)
def test_every_update_is_a_post_with_the_key(spec: ObjectSpec) -> None:
    calls = calls_of(spec)
    fields = filled(spec, Writable.ALWAYS)
    fields.pop(calls.status_member, None)  # goes alone where it archives
    if calls.match_by is not None:
        fields.pop(calls.match_by, None)
    record_id = "OUTPUT2" if calls.word_key else ID
    base = {
        calls.id_member: record_id,
        "TrackingCategoryID": ID,
        "Name": "x",
        "Code": "x",
        "Status": "ACTIVE",
        "UpdatedDateUTC": "/Date(1792466047513+0000)/",
    }
    request = one_plan(Step(StepKind.UPDATE, spec, fields, record_id, json.dumps(base).encode()))
    assert request.method == "POST" and request.body is not None
    body = json.loads(request.body)
    [element] = body.get(calls.collection, [body])
    assert element[calls.id_member] == record_id
    check(request)


@pytest.mark.parametrize("spec", can("delete", "void"), ids=named)
def test_every_delete_is_one_that_xero_knows(spec: ObjectSpec) -> None:
    calls = calls_of(spec)
    record_id = "OUTPUT2" if calls.word_key else ID
    status = next(iter(calls.delete_status), "ACTIVE").replace("*", "ACTIVE")
    base = {
        calls.id_member: record_id,
        calls.status_member: status,
        "TrackingCategoryID": ID,
        "Name": "x",
        "Narration": "x",
        "Type": "SPEND",
        "BankAccount": {"AccountID": ID, "Name": "x"},
        "LineItems": [{"LineItemID": OTHER, "Description": "x", "AccountID": ID}],
    }
    raw = json.dumps(base).encode()
    request = one_plan(Step(StepKind.DELETE, spec, {}, record_id, raw))
    assert request.changes
    check(request)
    if calls.delete is not None and calls.delete.method == "DELETE":
        assert request.method == "DELETE" and request.body is None
        assert "idempotency-key" not in request.headers
        return
    assert request.body is not None
    body = json.loads(request.body)
    [element] = body.get(calls.collection, [body])
    assert element[calls.status_member] in ("DELETED", "VOIDED")


@pytest.mark.parametrize("spec", can("deactivate"), ids=named)
def test_every_archiving_says_the_status_and_nothing_else(spec: ObjectSpec) -> None:
    calls = calls_of(spec)
    base = {calls.id_member: ID, calls.status_member: "ACTIVE", "TrackingCategoryID": ID}
    request = one_plan(Step(StepKind.DEACTIVATE, spec, {}, ID, json.dumps(base).encode()))
    assert request.body is not None
    body = json.loads(request.body)
    [element] = body.get(calls.collection, [body])
    assert element.pop(calls.id_member, ID) == ID and request.url.endswith(ID)
    assert element == {calls.status_member: "ARCHIVED"}
    check(request)


ROWS = [
    ("credit_note", "Allocations", "AllocationID"),
    ("overpayment", "Allocations", "AllocationID"),
    ("prepayment", "Allocations", "AllocationID"),
    ("contact_group", "Contacts", "ContactID"),
]


@pytest.mark.parametrize(("table", "member", "key"), ROWS)
def test_rows_with_calls_of_their_own_come_and_go_one_by_one(
    table: str, member: str, key: str, step: Make
) -> None:
    old = {key: OTHER, "Amount": 5, "Invoice": {"InvoiceID": ID}, "Date": "/Date(1792454400000)/"}
    new: dict[str, Any] = {"Amount": 10, "Invoice": {"InvoiceID": ID}, "Date": "2026-11-02"}
    if member == "Contacts":
        old, new = {"ContactID": OTHER, "Name": "x"}, {"ContactID": ID}
    base = {member: [old], "Name": "x", "UpdatedDateUTC": "/Date(1)/"}
    added = one_plan(step(StepKind.UPDATE, table, {member: [old, new]}, base=base))
    assert added.method == "PUT" and added.url.endswith(f"/{ID}/{member}")
    assert added.body is not None and json.loads(added.body) == {member: [new]}
    check(added)
    removed = one_plan(step(StepKind.UPDATE, table, {member: []}, base=base))
    assert removed.method == "DELETE" and removed.url.endswith(f"/{ID}/{member}/{OTHER}")
    check(removed)


def test_several_voids_of_transfers_travel_as_their_own_kind_of_body(step: Make) -> None:
    steps = [
        step(StepKind.VOID, "bank_transfer", base={"Status": "AUTHORISED"}, record_id=record_id)
        for record_id in (ID, OTHER)
    ]
    plan = make_plan(TENANT, [(i, s, calls_of(s.spec)) for i, s in enumerate(steps)], "key")
    [planned] = plan.requests
    assert planned.request.url == f"{BASE}/BankTransfers" and planned.request.body is not None
    assert len(json.loads(planned.request.body)["BankTransfers"]) == 2
    check(planned.request)


# -- the lists of calls.toml ------------------------------------------------------------------


def operations() -> dict[str, Any]:
    if not xero_openapi.is_there():
        pytest.skip(f"the reference pack is not beside the project: {xero_openapi.FILE} is missing")
    found = {}
    for path, item in xero_openapi.document()["paths"].items():
        for method in ("get", "put", "post", "delete"):
            if method in item:
                found[f"{method.upper()} {re.sub(r'{[^}]*}', '{}', path.strip('/'))}"] = item[
                    method
                ]
    return found


def plain(call: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", call)


def takes(operation: dict[str, Any], name: str) -> bool:
    listed = [xero_openapi._resolved(p) for p in operation.get("parameters", [])]
    return any(p["name"] == name for p in listed)


def test_the_calls_that_take_unitdp_are_those_of_the_file() -> None:
    found = operations()
    ours = {plain(call) for call in UNITDP}
    assert ours == {call for call, operation in found.items() if takes(operation, "unitdp")}


def test_the_calls_that_answer_each_element_are_those_of_the_file() -> None:
    found = operations()
    ours = {plain(call) for call in EACH_ANSWERED}
    theirs = {call for call, operation in found.items() if takes(operation, "summarizeErrors")}
    assert ours == theirs


def test_the_calls_with_a_bare_body_are_those_of_the_file() -> None:
    found = operations()
    for call in BARE:
        content = found[plain(call)]["requestBody"]["content"]["application/json"]
        schema = xero_openapi._resolved(content["schema"])
        assert not any(p.get("type") == "array" and name == call.split("/")[0].split(" ")[1]
                       for name, p in schema["properties"].items()), call  # fmt: skip


def test_lists_that_take_ids_are_those_of_the_file() -> None:
    found = operations()
    for collection in TABLE["ids_parameter"]:
        assert takes(found[f"GET {collection}"], "IDs")
    for collection in TABLE["ids_filter"]:
        assert takes(found[f"GET {collection}"], "where")


def test_every_object_of_calls_toml_is_in_the_catalog() -> None:
    names = {spec.api_name for spec in OBJECTS}
    assert {*TABLE["word_keys"], *TABLE["gone"]} <= names
    assert ZERO_ID.count("0") == 32


WRONG = [
    ("PATCH", "/Invoices", {}, None, "no such call"),
    ("GET", "/Contacts", {"unitdp": "4"}, None, "unitdp is no parameter"),
    ("PUT", "/Contacts", {}, {"Contacts": [{"Nmae": "x"}]}, "Nmae is not known"),
    ("PUT", "/Invoices", {}, {"Invoices": [{"Total": 5}]}, "Total is read-only"),
    ("PUT", "/Invoices", {}, {"Invoices": [{"Status": "OPEN"}]}, "is not one of"),
    ("PUT", "/Payments", {}, {"Payments": [{"Amount": "five"}]}, "is not of type"),
    ("PUT", "/Contacts", {}, None, "lacks its body"),
]


@pytest.mark.parametrize(("method", "path", "query", "body", "problem"), WRONG)
def test_the_check_itself_sees_what_is_wrong(
    method: str, path: str, query: dict[str, str], body: Any, problem: str
) -> None:
    operations()  # skips where the file is not there
    headers = {"accept": "application/json", "xero-tenant-id": "t"}
    content = None if body is None else json.dumps(body).encode()
    if content is not None:
        headers["content-type"] = "application/json"
    found = xero_openapi.problems(method, f"/api.xro/2.0{path}", query, headers, content)
    assert len(found) == 1 and problem in found[0]
