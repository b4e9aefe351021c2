"""Change data capture: what changed, tombstones, limits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sqlsync.simulators.quickbooks.faults import Fault


def test_side_effects_show_as_changes_of_what_they_touched(world: Any) -> None:
    customer = world.customer()
    invoice = world.invoice(customer, 100)
    world.later()
    since = world.clock.now()
    world.payment(customer, 100, {invoice["Id"]: 100})
    customers, invoices, payments = world.cdc("Customer,Invoice,Payment", since)
    assert [record["Id"] for record in customers["Customer"]] == [customer["Id"]]
    assert [record["Balance"] for record in invoices["Invoice"]] == [0]
    assert len(payments["Payment"]) == 1


def test_look_back_is_limited_to_thirty_days(world: Any) -> None:
    world.cdc("Customer", world.clock.now() - timedelta(days=29))
    with pytest.raises(Fault):
        world.cdc("Customer", world.clock.now() - timedelta(days=31))


def test_answer_holds_at_most_the_limit_over_all_entities(make_world: Any) -> None:
    world = make_world(customers=3, invoices=0, cdc_max=5)
    customer = world.customer()
    since = world.clock.now()
    for _ in range(4):
        world.invoice(customer)
    customers, invoices = world.cdc("Customer,Invoice", since - timedelta(minutes=1))
    assert len(customers["Customer"]) + len(invoices["Invoice"]) == 5


def test_deactivated_names_come_as_records_or_as_tombstones(make_world: Any) -> None:
    for how in ("record", "tombstone"):
        world = make_world(cdc_inactive=how)
        world.sparse("Customer", world.customer(), Active=False)
        (found,) = world.cdc("Customer", world.clock.now())
        (record,) = found["Customer"]
        assert (record.get("Active"), record.get("status")) == (
            (False, None) if how == "record" else (None, "Deleted")
        )


def test_uncovered_and_unknown_entities_are_refused_and_empty_ones_are_not(world: Any) -> None:
    for name in ("TaxCode", "Nonsense", ""):
        with pytest.raises(Fault):
            world.cdc(name, world.clock.now())
    assert world.cdc("Estimate", world.clock.now()) == [{}]
