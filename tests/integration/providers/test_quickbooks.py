"""The QuickBooks adapter against a scripted service over real HTTP, with a real Postgres."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schema.model import Catalog
from sqlsync.clock import FrozenClock
from sqlsync.database import EnginePool
from sqlsync.errors import (
    BadReference,
    DuplicateValue,
    HistoryTooOld,
    NeedsReauth,
    NotFound,
    OutcomeUnknown,
    ProviderFault,
    ProviderRefusal,
    RateLimited,
    StaleVersion,
    Unreachable,
)
from sqlsync.providers.base import Call, Record, Step, StepKind, Tombstone
from sqlsync.providers.connect import Connector
from sqlsync.providers.endpoints import quickbooks_endpoints
from sqlsync.providers.http import HttpClient
from sqlsync.providers.limits import SIMULATOR_BUDGET, Limits
from sqlsync.providers.oauth import OAuthClient
from sqlsync.providers.quickbooks.adapter import QuickBooksProvider
from sqlsync.providers.tokens import TokenSource
from sqlsync.vault import Vault

from .conftest import DROP, Reply, Seen, loopback

NOW = datetime(2026, 3, 2, 17, 15, 42, tzinfo=UTC)
TIME = "2026-03-02T09:15:42.117-08:00"
BASE = b'{"Id":"58","SyncToken":"3","DisplayName":"Ostrow","Active":true}'
INVOICE = b'{"Id":"145","SyncToken":"1","CustomerRef":{"value":"58"}}'

Script = Callable[[Seen], Reply | Awaitable[Reply]]


def fault(code: str, status: int = 400, detail: str = "d", kind: str = "ValidationFault") -> Reply:
    error = {"Message": "m", "Detail": detail, "code": code, "element": ""}
    return Reply({"Fault": {"Error": [error], "type": kind}, "time": TIME}, status)


def ok(**members: Any) -> Reply:
    return Reply({**members, "time": TIME})


def customer(record_id: str = "58", token: str = "4", **members: Any) -> dict[str, Any]:
    meta = {"LastUpdatedTime": "2026-03-02T09:15:40-08:00"}
    return {"Id": record_id, "SyncToken": token, "MetaData": meta, **members}


EXPIRED = Reply(
    {"fault": {"error": [{"message": "m", "detail": "Token expired", "code": "3200"}],
               "type": "AUTHENTICATION"}, "time": 1772471742117},
    401,
)  # fmt: skip


@dataclass
class Service:
    """Answers data calls from a list of replies, the last of which repeats."""

    replies: list[Reply | Script] = field(default_factory=list)
    calls: list[Seen] = field(default_factory=list)
    issued: int = 0
    token_reply: Reply | None = None

    async def __call__(self, seen: Seen) -> Reply:
        if seen.path == "/oauth2/v1/tokens/bearer":
            if self.token_reply is not None:
                return self.token_reply
            self.issued += 1
            return Reply(
                {
                    "access_token": f"access-{self.issued}",
                    "refresh_token": f"refresh-{self.issued}",
                    "expires_in": 3600,
                }
            )
        self.calls.append(seen)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Reply):
            return reply
        made = reply(seen)
        return made if isinstance(made, Reply) else await made

    def will(self, *replies: Reply | Script) -> None:
        self.replies = list(replies)
        self.calls.clear()

    @property
    def keys(self) -> list[str | None]:
        return [call.query.get("requestid") for call in self.calls]

    @property
    def statements(self) -> list[str]:
        return [call.query.get("query", call.body.decode()) for call in self.calls]


@dataclass
class World:
    provider: QuickBooksProvider
    service: Service
    catalog: Catalog
    limits_pool: EnginePool

    def step(self, kind: StepKind, table: str = "customer", **fields: Any) -> Step:
        spec = self.catalog.by_table[table]
        if kind is StepKind.CREATE:
            return Step(kind, spec, fields)
        base = BASE if table == "customer" else INVOICE
        return Step(kind, spec, fields, json.loads(base)["Id"], base)

    async def send(self, *steps: Step) -> list[Any]:
        return await self.provider.send(Call("key-1", steps))


@pytest.fixture
async def world(
    pool: EnginePool, other_pool: EnginePool, vault: Vault, catalog: Catalog
) -> AsyncIterator[World]:
    service = Service()
    async with loopback(service) as server, HttpClient(read_seconds=2) as http:
        endpoints = quickbooks_endpoints("simulator", api_url=server.url)
        oauth = OAuthClient(http, endpoints, "id", "secret")
        connected = await Connector(pool, vault, oauth).connect_with_refresh_token(
            name="acme", company_id="9341", refresh_token="r"
        )
        provider = QuickBooksProvider(
            catalog=catalog,
            http=http,
            tokens=TokenSource(pool, vault, oauth, connected.connection_id),
            limits=Limits(
                other_pool, "t", SIMULATOR_BUDGET, read_wait_seconds=2, write_wait_seconds=2
            ),
            clock=FrozenClock(NOW),
            api_url=server.url,
            realm_id="9341",
        )
        yield World(provider, service, catalog, other_pool)


async def test_a_write_whose_answer_was_lost_is_repeated_under_its_key(world: World) -> None:
    world.service.will(DROP, ok(Customer=customer(DisplayName="Acme")))
    [record] = await world.send(world.step(StepKind.UPDATE, DisplayName="Acme"))
    assert isinstance(record, Record) and (record.id, record.version) == ("58", "4")
    assert world.service.keys == ["key-1", "key-1"]
    assert world.service.calls[0].body == world.service.calls[1].body
    assert world.service.calls[0].headers["authorization"] == "Bearer access-1"


async def test_a_write_that_is_never_answered_is_unknown(world: World) -> None:
    world.service.will(DROP)
    with pytest.raises(OutcomeUnknown):
        await world.send(world.step(StepKind.UPDATE, DisplayName="Acme"))
    assert world.service.keys == ["key-1"] * 3


async def test_a_lost_answer_stays_unknown_though_the_service_then_is_down(world: World) -> None:
    world.service.will(Reply(b'{"Customer"', cut=5), Reply(b"", 503))
    with pytest.raises(OutcomeUnknown):
        await world.send(world.step(StepKind.UPDATE, DisplayName="Acme"))


async def test_a_lost_answer_stays_unknown_though_our_own_database_then_is_gone(
    world: World,
) -> None:
    async def close_and_drop(seen: Seen) -> Reply:
        await world.limits_pool.close()
        return DROP

    world.service.will(close_and_drop)
    with pytest.raises(OutcomeUnknown):
        await world.send(world.step(StepKind.UPDATE, DisplayName="Acme"))
    assert len(world.service.calls) == 1


async def test_a_wrong_client_secret_is_no_answer_to_a_write(world: World) -> None:
    world.service.token_reply = Reply({"error": "invalid_client"}, 401)
    world.service.will(EXPIRED)
    with pytest.raises(ProviderFault, match="client_secret"):
        await world.send(world.step(StepKind.UPDATE, DisplayName="Acme"))


async def test_a_service_that_is_down_has_done_nothing(world: World) -> None:
    world.service.will(Reply(b"", 503))
    with pytest.raises(Unreachable):
        await world.send(world.step(StepKind.UPDATE, DisplayName="Acme"))


async def test_a_failure_inside_is_repeated_under_the_same_key(world: World) -> None:
    world.service.will(fault("10000", 500, kind="SystemFault"), ok(Customer=customer()))
    [record] = await world.send(world.step(StepKind.UPDATE, DisplayName="Acme"))
    assert isinstance(record, Record)
    assert world.service.keys == ["key-1", "key-1"]


@pytest.mark.parametrize(
    ("code", "error"),
    [("5010", StaleVersion), ("6240", DuplicateValue), ("77777", ProviderRefusal)],
)
async def test_a_refusal_is_an_outcome_and_never_repeated(
    code: str, error: type[Exception], world: World
) -> None:
    world.service.will(fault(code))
    [outcome] = await world.send(world.step(StepKind.UPDATE, DisplayName="Acme"))
    assert type(outcome) is error
    assert len(world.service.calls) == 1


async def test_an_expired_token_is_renewed_and_the_write_repeated_under_its_key(
    world: World,
) -> None:
    world.service.will(EXPIRED, ok(Customer=customer()))
    [record] = await world.send(world.step(StepKind.UPDATE, DisplayName="Acme"))
    assert isinstance(record, Record)
    assert world.service.keys == ["key-1", "key-1"]
    assert [call.headers["authorization"] for call in world.service.calls] == [
        "Bearer access-1",
        "Bearer access-2",
    ]
    assert world.service.issued == 2


async def test_a_fresh_token_that_is_refused_too_needs_a_person(world: World) -> None:
    world.service.will(EXPIRED)
    with pytest.raises(NeedsReauth):
        await world.provider.fetch(world.catalog.by_table["customer"], "58")
    assert len(world.service.calls) == 2


async def test_a_throttled_write_does_not_outwait_its_deadline(world: World) -> None:
    world.service.will(Reply(b"", 429, headers={"retry-after": "30"}))
    with pytest.raises(RateLimited):
        await world.send(world.step(StepKind.UPDATE, DisplayName="Acme"))
    assert len(world.service.calls) == 1


async def test_a_short_pause_is_waited_for(world: World) -> None:
    throttled = Reply(b"", 429, headers={"retry-after": "1"})
    world.service.will(throttled, ok(Customer=customer()))
    [record] = await world.send(world.step(StepKind.UPDATE, DisplayName="Acme"))
    assert isinstance(record, Record)


async def test_610_on_an_update_means_gone_only_if_a_read_says_so(world: World) -> None:
    world.service.will(fault("610"), fault("610"))
    [gone] = await world.send(world.step(StepKind.UPDATE, DisplayName="Acme"))
    assert type(gone) is NotFound and gone.message == "[QuickBooks] Customer `58` not found"
    world.service.will(fault("610"), ok(Customer=customer()))
    [refers] = await world.send(world.step(StepKind.UPDATE, DisplayName="Acme"))
    assert type(refers) is BadReference


async def test_a_deleted_record_is_a_tombstone(world: World) -> None:
    world.service.will(ok(Invoice={"status": "Deleted", "domain": "QBO", "Id": "145"}))
    assert await world.send(world.step(StepKind.DELETE, "invoice")) == [
        Tombstone("invoice", "145", None)
    ]
    assert world.service.calls[0].query["operation"] == "delete"


async def test_steps_travel_in_a_batch_and_voids_alone(world: World) -> None:
    def answer(seen: Seen) -> Reply:
        if seen.path.endswith("/batch"):
            items = json.loads(seen.body)["BatchItemRequest"]
            return ok(
                BatchItemResponse=[
                    {"bId": items[1]["bId"], "Customer": customer()},
                    {"bId": items[0]["bId"], "Customer": customer("59", "0")},
                ]
            )
        return ok(Invoice={"Id": "145", "SyncToken": "2"})

    world.service.will(answer)
    outcomes = await world.send(
        world.step(StepKind.CREATE, DisplayName="New"),
        world.step(StepKind.VOID, "invoice"),
        world.step(StepKind.UPDATE, DisplayName="Acme"),
    )
    assert [outcome.id for outcome in outcomes] == ["59", "145", "58"]
    assert world.service.keys == ["key-1", "key-1-1"]


async def test_what_fails_after_others_were_done_is_told_per_step(world: World) -> None:
    world.service.will(
        ok(
            BatchItemResponse=[
                {"bId": "0", "Customer": customer("59", "0")},
                {"bId": "1", **json.loads(fault("6240").bytes().split(b"\r\n\r\n", 1)[1])},
            ]
        ),
        DROP,
    )
    outcomes = await world.send(
        world.step(StepKind.CREATE, DisplayName="New"),
        world.step(StepKind.CREATE, DisplayName="New"),
        world.step(StepKind.VOID, "invoice"),
    )
    assert [type(outcome) for outcome in outcomes] == [Record, DuplicateValue, OutcomeUnknown]


async def test_a_call_has_a_few_steps_and_a_short_key(world: World) -> None:
    step = world.step(StepKind.CREATE, DisplayName="New")
    for call in (
        Call("k", ()),
        Call("k", (step,) * 31),
        Call("k" * 37, (step,)),
        Call("", (step,)),
    ):
        with pytest.raises(ValueError):
            await world.provider.send(call)


async def test_reads_are_repeated_on_what_may_pass(world: World) -> None:
    spec = world.catalog.by_table["customer"]
    world.service.will(DROP, Reply(b"<html>", 502), ok(Customer=customer()))
    found = await world.provider.fetch(spec, "58")
    assert found is not None and found.id == "58"
    for code in ("610", "2030"):
        world.service.will(fault(code))
        assert await world.provider.fetch(spec, "nope") is None
        assert len(world.service.calls) == 1


async def test_records_are_fetched_by_many_ids_at_once(world: World) -> None:
    world.service.will(ok(QueryResponse={"Customer": [customer("1"), customer("2")]}))
    found = await world.provider.fetch_many(
        world.catalog.by_table["customer"], ["1", "2", "1", "3"]
    )
    assert [record.id for record in found] == ["1", "2"]
    [statement] = world.service.statements
    assert statement == (
        "select * from Customer where Id in ('1', '2', '3') and Active in (true, false)"
        " maxresults 1000"
    )


async def test_a_name_list_tombstone_may_be_a_record_made_inactive(world: World) -> None:
    feed = [
        customer("1"),
        {"Id": "2", "status": "Deleted"},
        {"Id": "3", "status": "Deleted"},
    ]
    cdc = ok(CDCResponse=[{"QueryResponse": [{"Customer": feed, "maxResults": 3}, {}]}])
    world.service.will(cdc, ok(QueryResponse={"Customer": [customer("3", Active=False)]}))
    specs = [world.catalog.by_table["customer"], world.catalog.by_table["invoice"]]
    changes = await world.provider.changes(specs, NOW - timedelta(hours=1))
    assert [record.id for record in changes.records] == ["1", "3"]
    assert [(t.table, t.id) for t in changes.tombstones] == [("customer", "2")]
    assert changes.complete and changes.at == datetime(2026, 3, 2, 17, 15, 42, 117000, UTC)


async def test_a_full_feed_is_split_by_object_and_one_that_is_still_full_is_incomplete(
    world: World,
) -> None:
    full = [customer(str(n)) for n in range(1000)]
    invoices = [{"Id": "7", "SyncToken": "0"}]

    def answer(seen: Seen) -> Reply:
        if "query" in seen.query:
            return ok(QueryResponse={"Customer": full[:3]})
        asked = seen.query["entities"].split(",")
        rows = {"Customer": full, "Invoice": invoices}
        return ok(CDCResponse=[{"QueryResponse": [{name: rows[name]} for name in asked]}])

    world.service.will(answer)
    specs = [world.catalog.by_table["customer"], world.catalog.by_table["invoice"]]
    changes = await world.provider.changes(specs, NOW - timedelta(hours=1))
    assert not changes.complete and changes.incomplete_tables == {"customer"}
    assert len(changes.records) == 1001
    assert [call.query.get("entities") for call in world.service.calls] == [
        "Customer,Invoice",
        "Customer",
        None,
        "Invoice",
    ]


async def test_an_object_that_the_feed_refuses_is_asked_for_by_time_from_then_on(
    world: World,
) -> None:
    def answer(seen: Seen) -> Reply:
        if "query" in seen.query:
            return ok(QueryResponse={"Budget": [customer("4")]})
        if "Budget" in seen.query["entities"]:
            return fault("2000", detail="Object Name: Budget")
        return ok(CDCResponse=[{"QueryResponse": [{"Customer": [customer("1")]}]}])

    world.service.will(answer)
    specs = [world.catalog.by_table["budget"], world.catalog.by_table["customer"]]
    since = NOW - timedelta(hours=1)
    with pytest.raises(ProviderRefusal):  # of several it does not say which
        await world.provider.changes(specs, since)
    alone = await world.provider.changes(specs[:1], since)
    assert [record.id for record in alone.records] == ["4"]
    world.service.calls.clear()
    both = await world.provider.changes(specs, since)
    assert [(record.table, record.id) for record in both.records] == [
        ("customer", "1"),
        ("budget", "4"),
    ]
    assert [call.query.get("entities") for call in world.service.calls] == ["Customer", None]


async def test_recurring_transactions_are_asked_for_beside_the_feed(world: World) -> None:
    def answer(seen: Seen) -> Reply:
        wrapped = [{"Invoice": customer("7")}]
        if "query" in seen.query:
            return ok(QueryResponse={"RecurringTransaction": wrapped})
        gone = {"Id": "8", "status": "Deleted", "domain": "QBO"}
        rows = [*wrapped, gone] if told else []
        return ok(CDCResponse=[{"QueryResponse": [{"RecurringTransaction": rows}]}])

    world.service.will(answer)
    spec = world.catalog.by_table["recurring_transaction"]
    for told in (False, True):
        changes = await world.provider.changes([spec], NOW - timedelta(hours=1))
        assert [record.id for record in changes.records] == ["7"]
        assert [tombstone.id for tombstone in changes.tombstones] == ["8"] * told


async def test_the_plan_is_asked_for_at_its_other_address_where_the_first_is_not_known(
    world: World,
) -> None:
    plan = b"<EntitlementsResponse><PlanName>Plus</PlanName></EntitlementsResponse>"

    def answer(seen: Seen) -> Reply:
        if seen.path.startswith("/manage/"):
            return Reply(b"<html>no</html>", 404)
        return Reply(plan)

    world.service.will(answer)
    page = await world.provider.fetch_page(world.catalog.by_table["entitlements"], None)
    assert json.loads(page.items[0])["PlanName"] == "Plus"
    assert [call.path for call in world.service.calls][1] == "/entitlements/v3/9341"


async def test_changes_too_long_ago_are_refused_without_a_call(world: World) -> None:
    spec = world.catalog.by_table["customer"]
    with pytest.raises(HistoryTooOld):
        await world.provider.changes([spec], NOW - timedelta(days=31))
    assert not world.service.calls
    world.service.will(fault("9999"))
    with pytest.raises(HistoryTooOld):
        await world.provider.changes([spec], NOW - timedelta(days=29, hours=23))


async def test_pages_go_on_over_a_deletion_made_meanwhile(world: World) -> None:
    ids = [str(n) for n in range(1, 2501)]

    def answer(seen: Seen) -> Reply:
        words = seen.query["query"].split()
        start = int(words[words.index("startposition") + 1])
        size = int(words[words.index("maxresults") + 1])
        rows = [customer(i) for i in ids[start - 1 : start - 1 + size]]
        return ok(QueryResponse={"Customer": rows} if rows else {})

    world.service.will(answer)
    spec = world.catalog.by_table["customer"]
    found: list[str] = []
    cursor: str | None = None
    for number in range(10):
        page = await world.provider.fetch_page(spec, cursor)
        found += [json.loads(item)["Id"] for item in page.items]
        if number == 0:
            del ids[10:15]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == [str(n) for n in range(1, 2501)]


@pytest.mark.parametrize("told", [29, 29.0])
async def test_counting_and_the_clock(world: World, told: float) -> None:
    world.service.will(ok(QueryResponse={"totalCount": told}))
    assert await world.provider.count(world.catalog.by_table["customer"]) == 29
    assert await world.provider.now() == datetime(2026, 3, 2, 17, 15, 42, 117000, UTC)
