"""The adapter, wired as in production, against the simulated QuickBooks company."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from schema.model import Catalog, ObjectSpec
from sqlsync.clock import SystemClock
from sqlsync.database import EnginePool
from sqlsync.errors import (
    BadReference,
    ConfigError,
    DuplicateValue,
    NeedsReauth,
    NotFound,
    OutcomeUnknown,
    ProviderRefusal,
    RateLimited,
    StaleVersion,
)
from sqlsync.providers.base import Call, Outcome, Provider, Record, Step, StepKind, Tombstone
from sqlsync.providers.connect import Connector
from sqlsync.providers.directory import App, ProviderDirectory
from sqlsync.providers.endpoints import quickbooks_endpoints
from sqlsync.providers.http import HttpClient
from sqlsync.providers.oauth import OAuthClient
from sqlsync.providers.quickbooks.shapes import presented
from sqlsync.settings import QuickBooksSettings
from sqlsync.simulators.testing import Simulator, running_simulator
from sqlsync.vault import Vault, new_key


@dataclass
class World:
    simulator: Simulator
    directory: ProviderDirectory
    provider: Provider
    catalog: Catalog
    pool: EnginePool
    connection_id: int

    def spec(self, table: str) -> ObjectSpec:
        return self.catalog.by_table[table]

    async def send(self, *steps: Step, key: str | None = None) -> list[Outcome]:
        return await self.provider.send(Call(key or uuid4().hex, steps))

    async def created(self, table: str, **fields: Any) -> Record:
        [record] = await self.send(Step(StepKind.CREATE, self.spec(table), fields))
        assert isinstance(record, Record), record
        return record

    async def changed(self, record: Record, kind: StepKind, **fields: Any) -> Outcome:
        step = Step(kind, self.spec(record.table), fields, record.id, record.raw)
        [outcome] = await self.send(step)
        return outcome

    async def some(self, table: str) -> Record:
        spec = self.spec(table)
        page = await self.provider.fetch_page(spec, None)
        record = await self.provider.fetch(spec, str(json.loads(page.items[0])["Id"]))
        assert record is not None
        return record


@pytest.fixture
async def world(pool: EnginePool, vault: Vault, catalog: Catalog) -> AsyncIterator[World]:
    async with running_simulator(customers=8, invoices=30) as simulator, HttpClient() as http:
        app = App.from_settings(
            QuickBooksSettings.model_validate(
                {"environment": "simulator", "api_url": _url(simulator)}
            )
        )
        oauth = OAuthClient(http, app.endpoints, app.client_id, app.client_secret)
        connected = await Connector(pool, vault, oauth).connect_with_refresh_token(
            name="acme", company_id=simulator.realm_id, refresh_token=simulator.refresh_token
        )
        directory = ProviderDirectory(
            pool, vault, {"quickbooks": catalog}, app, clock=SystemClock(), write_wait_seconds=5
        )
        provider = await directory.for_schema("quickbooks")
        yield World(simulator, directory, provider, catalog, pool, connected.connection_id)
        await directory.close()


def _url(simulator: Simulator) -> str:
    address = simulator.address
    return address if address.startswith("http") else f"http://{address}"


def value(record: Outcome) -> dict[str, Any]:
    assert isinstance(record, Record), record
    return dict(json.loads(record.raw, parse_float=Decimal))


def dumps(record: Any) -> bytes:
    return json.dumps(record, default=float).encode()


async def read_all(world: World, table: str) -> list[str]:
    ids: list[str] = []
    cursor: str | None = None
    while True:
        page = await world.provider.fetch_page(world.spec(table), cursor)
        ids += [str(json.loads(item)["Id"]) for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return ids


async def test_every_object_is_counted_and_read_in_full(world: World) -> None:
    for spec in world.catalog.objects:
        ids = await read_all(world, spec.table)
        assert len(ids) == len(set(ids))
        counted = await world.provider.count(spec)
        assert counted == (len(ids) if spec.can("query") else None)
        held = [dumps(record) for record in world.simulator.records(spec.api_name)]
        assert set(ids) == {json.loads(presented(spec, raw))["Id"] for raw in held}
        assert ids, f"no {spec.table} is generated"


async def test_every_object_is_fetched_by_id_and_what_is_not_there_is_none(world: World) -> None:
    for spec in world.catalog.objects:
        (first, *_) = await read_all(world, spec.table)
        found = await world.provider.fetch(spec, first)
        assert found is not None, spec.table
        assert found.id == first
        assert await world.provider.fetch(spec, "99999999") is None
        assert await world.provider.fetch(spec, "XXX:2020-01-01") is None
        assert [r.id for r in await world.provider.fetch_many(spec, [first, "99999999"])] == [first]


async def test_one_write_one_record_though_the_answer_is_lost(world: World) -> None:
    world.simulator.reset()
    world.simulator.trouble("drop", when="after", operation="create")
    record = await world.created("customer", DisplayName="Lost and Found")
    assert value(record)["DisplayName"] == "Lost and Found"
    assert [a["operation"] for a in world.simulator.applied()] == ["create"]
    names = [c["DisplayName"] for c in world.simulator.records("Customer")]
    assert names.count("Lost and Found") == 1


async def test_an_unknown_outcome_is_settled_by_sending_the_same_call_again(world: World) -> None:
    world.simulator.reset()
    world.simulator.trouble("drop", when="after", times=3, operation="create")
    step = Step(StepKind.CREATE, world.spec("customer"), {"DisplayName": "Twice Sent"})
    with pytest.raises(OutcomeUnknown):
        await world.send(step, key="the-key")
    [record] = await world.send(step, key="the-key")
    assert value(record)["DisplayName"] == "Twice Sent"
    assert len(world.simulator.applied()) == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_batch_whose_answer_is_lost_is_done_once(when: str, world: World) -> None:
    world.simulator.reset()
    world.simulator.trouble("drop", when=when, path="batch")
    steps = [
        Step(StepKind.CREATE, world.spec("customer"), {"DisplayName": f"Batch {n}"})
        for n in range(3)
    ]
    outcomes = await world.send(*steps, steps[0])
    assert [type(o) for o in outcomes].count(Record) == 3
    assert [type(o) for o in outcomes].count(DuplicateValue) == 1
    assert len(world.simulator.applied()) == 3


async def test_each_kind_of_field_is_changed_and_cleared(world: World) -> None:
    record = await world.created(
        "customer",
        DisplayName="Clear Me",
        Notes="a note",
        PrimaryEmailAddr={"Address": "clear@me.example"},
        BillAddr={"Line1": "1 Road", "City": "Town"},
    )
    term = {"value": "3"}
    changed = await world.changed(record, StepKind.UPDATE, SalesTermRef=term)
    assert value(changed)["Notes"] == "a note"
    cleared = value(await world.changed(record_of(changed), StepKind.UPDATE, Notes=None))
    assert not cleared.get("Notes") and cleared["DisplayName"] == "Clear Me"
    current = await fresh(world, record)
    moved = await world.changed(current, StepKind.UPDATE, BillAddr={"City": "Berlin"})
    assert value(moved)["BillAddr"]["Line1"] == "1 Road"
    assert value(moved)["BillAddr"]["City"] == "Berlin"
    no_mail = await world.changed(
        record_of(moved), StepKind.UPDATE, PrimaryEmailAddr={"Address": None}
    )
    assert not value(no_mail).get("PrimaryEmailAddr", {}).get("Address")
    no_term = await world.changed(record_of(no_mail), StepKind.UPDATE, SalesTermRef={"value": None})
    after = value(no_term)
    assert "SalesTermRef" not in after and after["DisplayName"] == "Clear Me"
    assert after["BillAddr"]["City"] == "Berlin"


@pytest.mark.parametrize("table", ["vendor", "employee", "item", "account"])
async def test_objects_without_documented_sparse_lose_nothing(table: str, world: World) -> None:
    before = await world.some(table)
    name = "Name" if table in ("item", "account") else "PrintOnCheckName"
    changed = await world.changed(before, StepKind.UPDATE, **{name: "Changed Here"})
    server_made = {"SyncToken", "MetaData", "FullyQualifiedName", name}
    old, new = (
        {k: _without_labels(v) for k, v in value(record).items() if k not in server_made}
        for record in (before, changed)
    )
    assert value(changed)[name] == "Changed Here"
    assert new == old


def _without_labels(member: Any) -> Any:
    """Without what the service gives anew: an address' Id, a reference's label."""
    if not isinstance(member, dict):
        return member
    return {k: v for k, v in member.items() if k not in ("Id", "name")}


def record_of(outcome: Outcome) -> Record:
    assert isinstance(outcome, Record), outcome
    return outcome


async def fresh(world: World, record: Record) -> Record:
    found = await world.provider.fetch(world.spec(record.table), record.id)
    assert found is not None
    return found


async def test_an_invoice_is_created_changed_by_line_voided_and_deleted(world: World) -> None:
    customer, item = await world.some("customer"), await sold_item(world)
    line = {
        "Amount": Decimal("100.10"),
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {"ItemRef": {"value": item}},
    }
    invoice = await world.created(
        "invoice", CustomerRef={"value": customer.id}, Line=[line, {**line, "Amount": 50}]
    )
    assert value(invoice)["TotalAmt"] == Decimal("150.1")
    lines = [*value(invoice)["Line"], {**line, "Amount": Decimal("0.9")}]
    changed = await world.changed(invoice, StepKind.UPDATE, Line=lines)
    assert value(changed)["TotalAmt"] == Decimal("151.0")
    voided = await world.changed(record_of(changed), StepKind.VOID)
    assert value(voided)["TotalAmt"] == 0
    gone = await world.changed(record_of(voided), StepKind.DELETE)
    assert isinstance(gone, Tombstone) and gone.id == invoice.id
    assert await world.provider.fetch(world.spec("invoice"), invoice.id) is None


async def sold_item(world: World) -> str:
    items = world.simulator.records("Item")
    return str(next(i["Id"] for i in items if i["Type"] == "Service" and i.get("Active", True)))


async def test_a_name_is_put_aside_and_taken_up_again(world: World) -> None:
    record = await world.created("customer", DisplayName="Sleeper")
    asleep = await world.changed(record, StepKind.DEACTIVATE)
    assert value(asleep)["Active"] is False and value(asleep)["DisplayName"] != "Sleeper"
    assert record.id in await read_all(world, "customer")
    assert [r.id for r in await world.provider.fetch_many(world.spec("customer"), [record.id])] == [
        record.id
    ]
    awake = value(await world.changed(record_of(asleep), StepKind.REACTIVATE))
    assert awake["Active"] is True and awake["DisplayName"] == "Sleeper"


async def test_refusals_are_typed_and_change_nothing(world: World) -> None:
    first, second = [
        await world.created("customer", DisplayName=name) for name in ("One of Two", "Two of Two")
    ]
    world.simulator.reset()
    duplicate = await world.changed(second, StepKind.UPDATE, DisplayName="One of Two")
    assert isinstance(duplicate, DuplicateValue)
    assert duplicate.constraint == "customer_display_name_key"
    assert duplicate.message.startswith(f"[QuickBooks] Customer `{second.id}`: ")
    bad = await world.send(
        Step(StepKind.CREATE, world.spec("invoice"), {"CustomerRef": {"value": "99999"}})
    )
    assert isinstance(bad[0], ProviderRefusal)
    ghost = Step(
        StepKind.UPDATE,
        world.spec("customer"),
        {"Notes": "boo"},
        "99999",
        b'{"Id":"99999","SyncToken":"0"}',
    )
    [missing] = await world.send(ghost)
    assert isinstance(missing, NotFound)
    assert missing.message == "[QuickBooks] Customer `99999` not found"
    assert world.simulator.applied() == []
    world.simulator.person("Customer", "update", Id=first.id, Notes="by hand")
    stale = await world.changed(first, StepKind.UPDATE, Notes="by program")
    assert isinstance(stale, StaleVersion)
    again = await world.changed(await fresh(world, first), StepKind.UPDATE, Notes="by program")
    assert value(again)["Notes"] == "by program"


async def test_an_unknown_reference_is_a_bad_reference(world: World) -> None:
    invoice = await world.some("invoice")
    outcome = await world.changed(invoice, StepKind.UPDATE, CustomerRef={"value": "99999"})
    assert isinstance(outcome, BadReference)


async def test_changes_and_deletions_are_told(world: World) -> None:
    since = await world.provider.now() - timedelta(seconds=1)
    customer = await world.created("customer", DisplayName="Fresh")
    invoice = await world.some("invoice")
    deleted = world.simulator.person("Invoice", "delete", Id=invoice.id)
    changes = await world.provider.changes(world.catalog.objects, since)
    assert customer.id in {r.id for r in changes.records if r.table == "customer"}
    assert ("invoice", invoice.id) in {(t.table, t.id) for t in changes.tombstones}, deleted
    assert changes.complete
    assert since <= changes.at <= datetime.now(UTC) + timedelta(seconds=5)


@pytest.mark.parametrize("shown_as", ["record", "tombstone"])
async def test_an_inactive_name_stays_however_the_feed_shows_it(
    shown_as: str, world: World
) -> None:
    world.simulator.set_options(cdc_inactive=shown_as)
    since = await world.provider.now() - timedelta(seconds=1)
    record = await world.created("customer", DisplayName="Inactive Soon")
    await world.changed(record, StepKind.DEACTIVATE)
    changes = await world.provider.changes([world.spec("customer")], since)
    assert record.id in {r.id for r in changes.records}
    assert not changes.tombstones


async def test_thirty_steps_travel_in_one_call(world: World) -> None:
    since = await world.provider.now() - timedelta(seconds=1)
    world.simulator.reset()
    created = [
        Step(StepKind.CREATE, world.spec("customer"), {"DisplayName": f"Many {n}"})
        for n in range(30)
    ]
    outcomes = await world.send(*created)
    assert [value(o)["DisplayName"] for o in outcomes] == [f"Many {n}" for n in range(30)]
    assert world.simulator.requests().get("batch") == 1
    changes = await world.provider.changes([world.spec("customer")], since)
    assert len([r for r in changes.records if b"Many" in r.raw]) == 30


async def test_an_expired_token_is_replaced_without_anyone_noticing(world: World) -> None:
    world.simulator.expire_tokens()
    record = await world.created("customer", DisplayName="After Expiry")
    assert record.version == "0"


async def test_a_revoked_grant_needs_a_person_and_says_so(world: World) -> None:
    world.simulator.revoke()
    with pytest.raises(NeedsReauth):
        await world.provider.fetch(world.spec("customer"), "1")
    other = ProviderDirectory(world.pool, Vault([new_key()]), {}, None)
    try:
        with pytest.raises(NeedsReauth, match="must be connected again"):
            await other.for_connection(world.connection_id)
    finally:
        await other.close()


async def test_a_grant_is_given_back(world: World) -> None:
    async with HttpClient() as http:
        endpoints = quickbooks_endpoints("simulator", api_url=_url(world.simulator))
        oauth = OAuthClient(http, endpoints, "simulator", "simulator")
        refresh_token = world.simulator.new_refresh_token()
        tokens = await oauth.refresh(refresh_token)
        await oauth.revoke(tokens.refresh_token)
        with pytest.raises(NeedsReauth):
            await oauth.refresh(tokens.refresh_token)


async def test_throttling_ends_a_write_within_its_deadline(world: World) -> None:
    world.simulator.trouble("throttle", operation="create")
    with pytest.raises(RateLimited):
        await world.created("customer", DisplayName="Throttled")
    assert world.simulator.requests().get("create.customer", 0) <= 1


@pytest.mark.parametrize("kind", ["malformed", "slow", "status"])
async def test_reads_survive_passing_trouble(kind: str, world: World) -> None:
    world.simulator.trouble(kind, seconds=0.05, method="GET")
    assert await world.provider.count(world.spec("customer")) is not None


async def test_connections_that_are_not_there_are_config_errors(world: World) -> None:
    for wanted in (world.directory.for_schema("nowhere"), world.directory.for_connection(999)):
        with pytest.raises(ConfigError):
            await wanted
    again = await world.directory.for_connection(world.connection_id)
    assert again is world.provider
