"""A Xero organisation mirrored by a real worker: every object, its changes and its deletions."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from backfill.inbox import Named, named_records
from backfill.requests import request_poll
from backfill.schedule import Rereading
from sqlsync.mirror.compare import compare

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/xero_world.py
from xero_world import (
    CATALOG,
    PER_RECORD,
    SCHEMA,
    World,
    furnish,
    receiving,
    working,
    world,
)

CHANGES = f"select table_name, record_id, operation, noticed_by from {SCHEMA}._sync_change"


async def test_every_object_is_mirrored_as_the_organisation_holds_it(xero_url: str) -> None:
    async with world(xero_url) as w:
        furnish(w.sim)
        async with working(w):
            await w.live()
            off = await w.rows(f"select object from {SCHEMA}._sync_cdc where state = 'paused'")
            assert {row[0] for row in off} == set(PER_RECORD)
            await w.assert_same([t for t in CATALOG.by_table if t not in PER_RECORD], raw=True)
            before = len(w.asked.requests)
            for table in PER_RECORD:
                await w.rows("select sqlsync.enable_object('kestrel', %s)", table)
            await w.live()
            await w.assert_same(PER_RECORD, raw=True)
            assert len(w.asked.requests) - before > 40  # which is why they are off at first
        rows = await w.rows(
            f"select table_name, state from {SCHEMA}._sync_object where kind = 'entity'"
        )
        assert dict(rows) == dict.fromkeys(CATALOG.by_table, "live")
        empty = [
            spec.table
            for spec in CATALOG.objects
            if not await w.value(f"select count(*) from {SCHEMA}.{spec.table}")
        ]
        assert set(empty) <= {"payment_service", "linked_transaction"}


async def test_changes_come_by_polling_and_what_a_list_lacks_is_gone(xero_url: str) -> None:
    async with world(xero_url) as w, working(w):
        await w.settled()
        sim = w.sim
        made = sim.person("contact", "create", Name="Ōtaki Beans", FirstName="Ata")
        quote = min(await w.held("quote"))
        sim.person("quote", "update", QuoteID=quote, Title="Winter offer")
        account = sim.person("account", "create", Code="989", Name="Sundries", Type="EXPENSE")
        theme = min(await w.held("branding_theme"))
        sim.person("branding_theme", "delete", BrandingThemeID=theme)
        await request_poll(w.session, w.connection_id)
        for condition in (
            f"first_name = 'Ata' from {SCHEMA}.contact where id = '{made['ContactID']}'",
            f"title = 'Winter offer' from {SCHEMA}.quote where id = '{quote}'",
            f"name = 'Sundries' from {SCHEMA}.account where id = '{account['AccountID']}'",
            f"count(*) = 0 from {SCHEMA}.branding_theme where id = '{theme}'",
        ):
            await w.until(f"select {condition}")
        await w.assert_same(["contact", "quote", "account", "branding_theme"], raw=True)
        assert ("branding_theme", theme, "delete", "poll") in await w.rows(CHANGES)
        # One question about an object, from a time on.
        asked = [h for m, p, _, h, _ in w.asked.requests if p.endswith("/Quotes") and m == "GET"]
        assert len(asked[-1]["if-modified-since"]) == len("2026-11-02T01:00:00")


async def test_hard_deletions_that_no_feed_reports_leave_with_the_next_sweep(
    xero_url: str,
) -> None:
    async with world(xero_url) as w:
        item = w.sim.person("item", "create", Code="LAST", Name="The last one")["ItemID"]
        await _swept(w, item)


async def _swept(w: World, item: str) -> None:
    async with working(w, rereading=Rereading(daily=timedelta(seconds=2))):
        await w.settled()
        transfer = min(await w.held("bank_transfer"))
        w.sim.person("item", "delete", ItemID=item)
        # Marked deleted, and yet no change for a feed that goes by the day of creation.
        w.sim.person("bank_transfer", "delete", BankTransferID=transfer)
        await w.until(f"select not exists (select from {SCHEMA}.item where id = '{item}')")
        await w.until(
            f"select status = 'DELETED' from {SCHEMA}.bank_transfer where id = '{transfer}'"
        )
        assert ("item", item, "delete", "sweep") in await w.rows(CHANGES)


async def test_webhooks_bring_what_they_name_and_lists_do_not_take_it_away_again(
    xero_url: str,
) -> None:
    async with world(xero_url) as w, working(w), receiving(w):
        await w.settled()
        held = (await w.held("invoice")).items()
        invoice = next(i for i, r in held if b"ACCREC" in r and b'"Status":"AUTHORISED"' in r)
        w.sim.person("invoice", "update", InvoiceID=invoice, Reference="by webhook")
        await w.until(
            f"select reference = 'by webhook' from {SCHEMA}.invoice where id = '{invoice}'"
        )
        noticed = await w.rows(
            f"select noticed_by from {SCHEMA}._sync_change where record_id = '{invoice}'"
        )
        assert noticed == [("webhook",)]
        # Fetched alone it is shown in full; the list's shorter answer of the same state is old.
        whole = await w.value(
            f"select raw->'Contact'->>'EmailAddress' from {SCHEMA}.invoice where id = '{invoice}'"
        )
        assert whole
        wanted = await w.value("select clock_timestamp()")
        await request_poll(w.session, w.connection_id)
        await w.until(
            f"select last_poll_at > '{wanted}' from {SCHEMA}._sync_cdc where object = 'invoice'"
        )
        assert whole == await w.value(
            f"select raw->'Contact'->>'EmailAddress' from {SCHEMA}.invoice where id = '{invoice}'"
        )
        assert noticed == await w.rows(
            f"select noticed_by from {SCHEMA}._sync_change where record_id = '{invoice}'"
        )
        await w.assert_same(["invoice", "contact", "payment"])
        listed = list((await w.held("invoice")).values())
        async with w.pool.connection() as session, session.transaction():
            found = await compare(session, SCHEMA, CATALOG.by_table["invoice"], listed)
        assert found.differences == ()  # nor does `verify` see one


async def test_a_scope_that_is_missing_hurts_its_own_tables_only_and_is_said_once(
    xero_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(xero_url, broad_scopes=False) as w, working(w):
        await w.until(
            "select count(*) filter (where state = 'live') = 29"
            f" and count(*) filter (where state = 'error') = 2 from {SCHEMA}._sync_cdc"
        )
        rows = await w.rows(
            f"select object, error, next_run_at > now() + interval '30 minutes'"
            f" from {SCHEMA}._sync_cdc where state = 'error' order by object"
        )
        assert [(row[0], row[2]) for row in rows] == [("expense_claim", True), ("receipt", True)]
        assert "the consent does not cover it" in rows[0][1]
        await w.until("select state = 'live' from sqlsync.connection")
        # Asked again it says the same, and not again in the log.
        caplog.clear()
        ask = f"update {SCHEMA}._sync_cdc set next_run_at = now(), updated_at = '2026-01-01'"
        await w.rows(ask + " where state = 'error' returning object")
        await w.rows("select pg_notify('sqlsync_work', '')")
        await w.until(
            "select count(*) = 2 from xero._sync_cdc"
            " where state = 'error' and updated_at > '2026-01-01' and next_run_at > now()"
        )
        assert not [record for record in caplog.records if "does not cover" in record.message]


async def test_a_write_that_changes_other_records_has_them_asked_for(xero_url: str) -> None:
    """Nothing tells of it here: no webhooks, and invoices have been quiet for long."""
    async with world(xero_url) as w, working(w):
        await w.settled()
        invoices = w.sim.records("invoice")
        due = next(i for i in invoices if i["AmountDue"] > 1 and i["Status"] == "AUTHORISED")
        bank = next(a["AccountID"] for a in w.sim.records("account") if a["Type"] == "BANK")
        key = due["InvoiceID"]
        w.sim.person(
            "payment",
            "create",
            Invoice={"InvoiceID": key},
            Account={"AccountID": bank},
            Date="2026-11-20",
            Amount=0.5,
        )
        asked = len(w.asked.of("GET", "Invoices"))
        # As a write through the proxy leaves it.
        await w.rows(
            "insert into sqlsync.journal (id, connection_id, state, owner, transaction_id, seq,"
            " role_name, table_name, kind, call_key, call_item, fields, answer)"
            " values (gen_random_uuid(), %s, 'mirrored', 1, gen_random_uuid(), 1, 'ada', 'payment',"
            " 'create', 'k', 0, %s, '{}') returning id",
            w.connection_id,
            json.dumps({"Invoice": {"InvoiceID": key}}),
        )
        await w.rows("select pg_notify('sqlsync_poll', %s)", str(w.connection_id))
        await w.until(
            f"select amount_paid > {due['AmountPaid']} from {SCHEMA}.invoice where id = '{key}'"
        )
        assert len(w.asked.of("GET", "Invoices")) == asked + 1


async def test_polls_spare_the_calls_of_a_day(xero_url: str) -> None:
    async with world(xero_url, requests_per_day=1000) as w, working(w):
        await w.settled()
        asked = len(w.asked.requests)
        assert asked < 160  # two for each, and those that are read one by one
        for _ in range(3):
            await w.rows("select pg_notify('sqlsync_poll', %s)", str(w.connection_id))
            await w.until(
                "select not exists (select from sqlsync_jobs.procrastinate_jobs"
                " where task_name = 'poll' and status in ('todo', 'doing'))"
            )
        assert len(w.asked.requests) == asked


def test_a_delivery_of_xero_names_tenants_tables_and_ids() -> None:
    tenant = "8f2b6c1e-3d47-4a5e-9b0c-51a7d2e64f90"
    event = {
        "resourceId": "c3a5f08d-1b96-47e2-8d40-5f6b92e7a3c1",
        "tenantId": tenant,
        "tenantType": "ORGANISATION",
        "eventCategory": "INVOICE",
        "eventType": "UPDATE",
        "eventDateUtc": "2026-10-20T03:14:07.513",
    }
    body = json.dumps({"events": [event, event]}).encode()
    found = named_records("xero", body, {"xero": CATALOG})
    assert found == [Named(tenant, "invoice", event["resourceId"])]
    assert named_records("xero", b'{"events":[]}', {"xero": CATALOG}) == []
