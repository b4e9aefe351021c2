"""What only some objects need: no feed, no deletions in the feed, no place in the plan."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from backfill.requests import request_poll
from backfill.schedule import Rereading
from schema.loader import load_catalog

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/sync_world.py
from sync_world import SCHEMA, working, world

CATALOG = load_catalog("quickbooks")
CHANGES = f"select table_name, record_id, operation, noticed_by from {SCHEMA}._sync_change"


async def test_every_object_has_rows_and_a_standing_of_its_own(quickbooks_url: str) -> None:
    async with world(quickbooks_url) as w, working(w):
        await w.live()
        await w.assert_same()
        for spec in CATALOG.objects:
            assert await w.value(f"select count(*) > 0 from {SCHEMA}.{spec.table}"), spec.table
        rows = await w.rows(
            f"select table_name, state from {SCHEMA}._sync_object where kind = 'entity'"
        )
        assert dict(rows) == dict.fromkeys(CATALOG.by_table, "live")
        assert await w.value(f"select count(*) from {SCHEMA}._sync_object") == 75


async def test_polling_brings_changes_of_objects_with_a_feed_and_with_a_query(
    quickbooks_url: str,
) -> None:
    async with world(quickbooks_url) as w, working(w):
        await w.live()
        rate = min(await w.books_of("exchange_rate"))
        code, day = rate.split(":")
        await w.change(
            "exchangerate",
            "update",
            Id="1",
            SourceCurrencyCode=code,
            AsOfDate=day,
            Rate=1.5,
            sparse=False,
        )
        time = min(await w.books_of("time_activity"), key=int)
        await w.change("timeactivity", "update", Id=time, Description="Bench time")
        template = min(await w.books_of("recurring_transaction"), key=int)
        await w.change("recurringtransaction", "delete", Id=template)
        await request_poll(w.session, w.connection_id)
        for condition in (
            f"rate = 1.5 from {SCHEMA}.exchange_rate where id = '{rate}'",
            f"description = 'Bench time' from {SCHEMA}.time_activity where id = '{time}'",
            f"count(*) = 0 from {SCHEMA}.recurring_transaction where id = '{template}'",
        ):
            await w.until(f"select {condition}")
        await w.assert_same(["exchange_rate", "time_activity", "recurring_transaction"])


async def test_what_no_feed_reports_is_noticed_by_reading_again(quickbooks_url: str) -> None:
    async with (
        world(quickbooks_url) as w,
        working(w, rereading=Rereading(often=timedelta(seconds=2))),
    ):
        await w.live()
        time = min(await w.books_of("time_activity"), key=int)
        await w.change("timeactivity", "delete", Id=time)
        gone = f"select not exists (select from {SCHEMA}.time_activity where id = '{time}')"
        await w.until(gone)
        assert ("time_activity", time, "delete", "sweep") in await w.rows(CHANGES)


async def test_an_object_the_plan_lacks_says_so_and_the_others_go_on(quickbooks_url: str) -> None:
    async with (
        world(quickbooks_url, features_missing=("Class", "JournalCode")) as w,
        working(w),
    ):
        await w.live()
        rows = await w.rows(
            f"select object, error, next_run_at > now() + interval '30 minutes'"
            f" from {SCHEMA}._sync_cdc where state <> 'live' order by object"
        )
        assert [(row[0], row[2]) for row in rows] == [("class", True), ("journal_code", True)]
        assert "not supported by this company's subscription" in rows[0][1]
        customer = min(await w.books_of("customer"), key=int)
        await w.change("customer", "update", Id=customer, Notes="still in sync")
        await request_poll(w.session, w.connection_id)
        await w.until(
            f"select notes = 'still in sync' from {SCHEMA}.customer where id = '{customer}'"
        )


async def test_a_plan_that_shrinks_stops_one_object_only(quickbooks_url: str) -> None:
    async with world(quickbooks_url) as w, working(w):
        await w.live()
        await w.control("options", features_missing=["Class"])
        customer = min(await w.books_of("customer"), key=int)
        await w.change("customer", "update", Id=customer, Notes="after the downgrade")
        await request_poll(w.session, w.connection_id)
        await w.until(f"select state = 'error' from {SCHEMA}._sync_cdc where object = 'class'")
        await w.until(
            f"select notes = 'after the downgrade' from {SCHEMA}.customer where id = '{customer}'"
        )
        assert await w.value(f"select count(*) > 0 from {SCHEMA}.class")
