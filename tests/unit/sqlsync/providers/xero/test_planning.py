"""What is told before sending, and what travels together."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from sqlsync.errors import NotFound, ProviderRefusal, RuleBroken, StaleVersion
from sqlsync.providers.base import Record, Step, StepKind
from sqlsync.providers.xero import requests
from sqlsync.providers.xero.calls import Calls, calls_of
from sqlsync.providers.xero.planning import judge, make_plan
from sqlsync.providers.xero.values import instant_of

from .conftest import ID

Make = Callable[..., Step]
Facts = Callable[[str], Calls]

TENANT = requests.Tenant("https://api.xero.com", "8f2b6c1e-3d47-4a5e-9b0c-51a7d2e64f90")
EARLY, LATE = "/Date(1792466047513+0000)/", "/Date(1792466047514+0000)/"
IDS = [f"{n:08}-1b96-47e2-8d40-5f6b92e7a3c1" for n in range(1, 60)]


def record(table: str, **members: Any) -> Record:
    at = instant_of(members.get("UpdatedDateUTC"))
    assert at is None or isinstance(at, datetime)
    return Record(table, ID, json.dumps(members).encode(), None, at)


def invoice(at: str = EARLY, **members: Any) -> Record:
    return record("invoice", InvoiceID=ID, UpdatedDateUTC=at, Status="DRAFT", **members)


def test_a_record_that_is_gone_is_not_found(step: Make, calls: Facts) -> None:
    update = step(StepKind.UPDATE, "invoice", {"Reference": "x"}, base={})
    found = judge(update, calls("invoice"), None)
    assert isinstance(found, NotFound) and found.message == f"[Xero] Invoice `{ID}` not found"


def test_a_record_that_nobody_changed_may_be_written(step: Make, calls: Facts) -> None:
    base = {"UpdatedDateUTC": EARLY, "Status": "DRAFT", "Reference": "a"}
    for kind in (StepKind.UPDATE, StepKind.VOID):
        fields = {"Reference": "x"} if kind is StepKind.UPDATE else {}
        write = step(kind, "invoice", fields, base=base)
        assert judge(write, calls("invoice"), invoice(Reference="a")) is None


@pytest.mark.parametrize("kind", [StepKind.UPDATE, StepKind.DELETE, StepKind.VOID])
def test_a_record_that_was_changed_since_is_stale(kind: StepKind, step: Make, calls: Facts) -> None:
    base = {"UpdatedDateUTC": EARLY, "Status": "DRAFT", "Reference": "a"}
    fields = {"Reference": "x"} if kind is StepKind.UPDATE else {}
    found = judge(step(kind, "invoice", fields, base=base), calls("invoice"), invoice(LATE))
    assert isinstance(found, StaleVersion) and found.sqlstate == "40001"


def test_a_due_date_that_moved_without_moving_the_time_is_stale(step: Make, calls: Facts) -> None:
    base = {"UpdatedDateUTC": EARLY, "DueDate": "/Date(1795132800000+0000)/"}
    now = invoice(DueDate="/Date(1795219200000+0000)/")
    update = step(StepKind.UPDATE, "invoice", {"DueDate": "2026-12-01"}, base=base)
    assert isinstance(judge(update, calls("invoice"), now), StaleVersion)
    other = step(StepKind.UPDATE, "invoice", {"Reference": "x"}, base=base)
    assert judge(other, calls("invoice"), now) is None


def test_a_write_that_is_there_already_is_done(step: Make, calls: Facts) -> None:
    base = {"UpdatedDateUTC": EARLY, "Status": "AUTHORISED", "Reference": "a"}
    done = invoice(LATE, Reference="x")
    update = step(StepKind.UPDATE, "invoice", {"Reference": "x"}, base=base)
    assert judge(update, calls("invoice"), done) is done
    voided = record("invoice", InvoiceID=ID, UpdatedDateUTC=LATE, Status="VOIDED")
    assert judge(step(StepKind.VOID, "invoice", base=base), calls("invoice"), voided) is voided


def test_objects_without_a_time_are_compared_by_what_is_written(step: Make, calls: Facts) -> None:
    base = {"Name": "Retail", "Status": "ACTIVE"}
    update = step(StepKind.UPDATE, "contact_group", {"Name": "Shops"}, base=base)
    same = record("contact_group", ContactGroupID=ID, Name="Retail", Status="ACTIVE")
    other = record("contact_group", ContactGroupID=ID, Name="Cafés", Status="ACTIVE")
    assert judge(update, calls("contact_group"), same) is None
    assert isinstance(judge(update, calls("contact_group"), other), StaleVersion)


def plan_of(*steps: Step) -> list[tuple[str, str, tuple[int, ...]]]:
    plan = make_plan(TENANT, [(i, s, calls_of(s.spec)) for i, s in enumerate(steps)], "key")
    assert plan.refused == {}
    return [
        (p.request.method, p.request.url.partition("2.0/")[2], p.indexes) for p in plan.requests
    ]


def test_creates_travel_together_and_each_is_answered(step: Make) -> None:
    steps = [step(StepKind.CREATE, "contact", {"Name": f"c{n}"}) for n in range(3)]
    assert plan_of(*steps) == [("PUT", "Contacts", (0, 1, 2))]
    plan = make_plan(TENANT, [(0, steps[0], calls_of(steps[0].spec))], "key")
    assert ("summarizeErrors", "false") in plan.requests[0].request.params


def test_one_update_has_its_address_and_several_have_their_keys(step: Make) -> None:
    base = {"Name": "x"}
    updates = [
        step(StepKind.UPDATE, "contact", {"FirstName": "a"}, base=base, record_id=record_id)
        for record_id in IDS[:3]
    ]
    assert plan_of(updates[0]) == [("POST", f"Contacts/{IDS[0]}", (0,))]
    assert plan_of(*updates) == [("POST", "Contacts", (0, 1, 2))]


def test_the_order_of_a_statement_is_kept(step: Make) -> None:
    create = step(StepKind.CREATE, "contact", {"Name": "a"})
    archive = step(StepKind.DEACTIVATE, "contact", base={"ContactStatus": "ACTIVE"})
    assert plan_of(create, archive, create) == [
        ("PUT", "Contacts", (0,)),
        ("POST", f"Contacts/{ID}", (1,)),
        ("PUT", "Contacts", (2,)),
    ]


def test_one_record_is_never_twice_in_one_request(step: Make) -> None:
    update = step(StepKind.UPDATE, "contact", {"FirstName": "a"}, base={})
    assert [indexes for _, _, indexes in plan_of(update, update)] == [(0,), (1,)]


def test_what_xero_takes_one_by_one_goes_one_by_one(step: Make) -> None:
    accounts = [step(StepKind.CREATE, "account", {"Code": str(n)}) for n in range(2)]
    assert [indexes for _, _, indexes in plan_of(*accounts)] == [(0,), (1,)]
    voids = [
        step(StepKind.VOID, "payment", base={"Status": "AUTHORISED"}, record_id=record_id)
        for record_id in IDS[:2]
    ]
    assert plan_of(*voids) == [
        ("POST", f"Payments/{IDS[0]}", (0,)),
        ("POST", f"Payments/{IDS[1]}", (1,)),
    ]


def test_a_request_stays_under_xeros_size(step: Make) -> None:
    big = {"Type": "ACCREC", "LineItems": [{"Description": "x" * 4000}] * 300}
    steps = [step(StepKind.CREATE, "invoice", big) for _ in range(4)]
    assert [indexes for _, _, indexes in plan_of(*steps)] == [(0, 1), (2, 3)]


def test_an_option_goes_to_its_category(step: Make) -> None:
    made = step(StepKind.CREATE, "tracking_option", {"Name": "North", "TrackingCategoryID": "cat"})
    plan = make_plan(TENANT, [(0, made, calls_of(made.spec))], "key")
    [planned] = plan.requests
    assert planned.request.url.endswith("/TrackingCategories/cat/Options")
    assert planned.request.body == b'{"Name":"North"}'
    assert planned.known == ({"TrackingCategoryID": "cat"},)


REFUSED: list[tuple[StepKind, str, dict[str, Any], dict[str, Any] | None]] = [
    (StepKind.CREATE, "organisation", {}, None),
    (StepKind.CREATE, "overpayment", {}, None),
    (StepKind.CREATE, "credit_note", {"Allocations": [{"Amount": 1}]}, None),
    (StepKind.CREATE, "tracking_option", {"Name": "North"}, None),
    (StepKind.UPDATE, "payment", {"Reference": "x"}, {"Status": "AUTHORISED"}),
    (StepKind.UPDATE, "bank_transfer", {"Reference": "x"}, {"Status": "AUTHORISED"}),
    (StepKind.UPDATE, "overpayment", {"Reference": "x"}, {}),
    (StepKind.UPDATE, "credit_note", {"Allocations": [{"Amount": 1}] * 2}, {}),
    (StepKind.UPDATE, "credit_note", {"Allocations": [{"Amount": 1}], "Reference": "x"}, {}),
    (StepKind.DELETE, "currency", {}, {}),
    (StepKind.VOID, "bank_transaction", {}, {"Type": "SPEND-TRANSFER", "Status": "AUTHORISED"}),
    (StepKind.VOID, "invoice", {}, {"Status": "PAID"}),
]


@pytest.mark.parametrize(("kind", "table", "fields", "base"), REFUSED)
def test_what_xero_cannot_do_is_refused_without_a_request(
    kind: StepKind, table: str, fields: dict[str, Any], base: dict[str, Any] | None, step: Make
) -> None:
    write = step(kind, table, fields, base=base)
    plan = make_plan(TENANT, [(0, write, calls_of(write.spec))], "key")
    assert plan.requests == ()
    assert isinstance(plan.refused[0], ProviderRefusal | RuleBroken)
    assert plan.refused[0].message.startswith("[Xero] ")


def test_refused_steps_do_not_hold_up_the_others(step: Make) -> None:
    good = step(StepKind.VOID, "invoice", base={"Status": "DRAFT"})
    bad = step(StepKind.VOID, "invoice", base={"Status": "PAID"}, record_id=IDS[0])
    plan = make_plan(TENANT, [(i, s, calls_of(s.spec)) for i, s in enumerate((bad, good))], "key")
    assert list(plan.refused) == [0] and [p.indexes for p in plan.requests] == [(1,)]


def test_what_xero_adds_to_its_rows_makes_them_no_others(step: Make, calls: Facts) -> None:
    """An object without a time of change is compared by what is written."""
    components = [{"Name": "GST", "Rate": 15, "IsCompound": False}]
    base = {"TaxType": "TAX001", "Name": "x", "TaxComponents": components}
    now = {**base, "TaxComponents": [{**components[0], "FutureMember": {"a": 1}}]}
    update = step(
        StepKind.UPDATE,
        "tax_rate",
        {"TaxComponents": [{"Name": "GST", "Rate": 7}]},
        base={**base, "TaxComponents": [{**components[0], "FutureMember": 7}]},
        record_id="TAX001",
    )
    record = Record("tax_rate", "TAX001", json.dumps(now).encode())
    assert judge(update, calls("tax_rate"), record) is None
    other = {**base, "TaxComponents": [{**components[0], "Rate": 12}]}
    changed = Record("tax_rate", "TAX001", json.dumps(other).encode())
    assert isinstance(judge(update, calls("tax_rate"), changed), StaleVersion)
