"""The sync engine against a simulated company over HTTP, in real Postgres."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from backfill.requests import request_backfill, request_poll, status
from sqlsync.database import connect_engine
from sqlsync.errors import ConfigError

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/sync_world.py
from sync_world import SCHEMA, World, receiving, working, world

CHANGES = f"select table_name, record_id, operation, noticed_by from {SCHEMA}._sync_change"


async def test_a_backfill_equals_the_books_field_by_field(quickbooks_url: str) -> None:
    async with world(quickbooks_url, customers=30, invoices=150) as w, working(w):
        await w.live()
        await w.assert_same()
        assert await w.rows(CHANGES) == []
        standing = await status(w.session, "books")
        assert {o.state for o in standing.objects} == {"live"}
        assert standing.rows_done == standing.rows_total


async def test_a_change_made_while_the_history_is_read_is_caught_up(quickbooks_url: str) -> None:
    async with world(quickbooks_url, customers=30, invoices=150) as w:
        customer = min((await w.books_of("customer")), key=int)
        await w.control("trouble", kind="slow", seconds=0.7, match={"entity": "invoice"}, times=4)
        async with working(w):
            await w.until(f"select state = 'live' from {SCHEMA}._sync_cdc where object='customer'")
            await w.change("customer", "update", Id=customer, Notes="changed meanwhile")
            await w.live()
            await w.until(
                f"select notes = 'changed meanwhile' from {SCHEMA}.customer where id='{customer}'"
            )
            await w.assert_same(["customer"])


async def test_a_history_asked_for_while_a_page_commits_is_read_anew(quickbooks_url: str) -> None:
    """The page and the request want the same two rows, the request first."""
    waiting = (
        "select exists (select from pg_stat_activity where wait_event_type = 'Lock'"
        " and application_name = {})"
    )
    job = (
        "(select 'sqlsync worker job ' || id from sqlsync_jobs.procrastinate_jobs"
        " where args ->> 'table' = 'customer' and status = 'doing')"
    )
    async with world(quickbooks_url) as w:
        await w.session.execute("reset role")  # to see what the others wait for
        await w.control("trouble", kind="slow", seconds=0.7, match={"entity": "customer"}, times=3)
        async with working(w):
            await w.until(
                f"select state = 'backfilling' from {SCHEMA}._sync_cdc where object = 'customer'"
            )
            async with await connect_engine(quickbooks_url) as holder:
                async with holder.transaction():
                    await holder.execute(
                        f"select from {SCHEMA}._sync_cdc where object = 'customer'"
                        " for update".encode()
                    )
                    asking = asyncio.create_task(_request(quickbooks_url))
                    await w.until(waiting.format("'asking'"))
                    await w.until(waiting.format(job))
                assert "customer" in await asking
            await w.live()
            await w.assert_same(["customer"])


async def _request(url: str) -> list[str]:
    async with await connect_engine(url) as session:
        # Of two that wait for each other the one that looks first gives up: let it be this one.
        await session.execute(
            "reset role; set deadlock_timeout = '10ms'; set application_name = 'asking';"
            " set role sqlsync_engine"
        )
        return await request_backfill(session, "books")


async def test_without_webhooks_polling_converges(quickbooks_url: str) -> None:
    async with world(quickbooks_url) as w, working(w):
        await w.live()
        await make_changes(w)
        await request_poll(w.session, w.connection_id)
        await converged(w)
        assert {row[3] for row in await w.rows(CHANGES)} == {"poll"}


async def test_a_webhook_shows_in_the_table_within_two_seconds(quickbooks_url: str) -> None:
    async with world(quickbooks_url) as w, receiving(w), working(w):
        await w.live()
        customer = min((await w.books_of("customer")), key=int)
        await w.change("customer", "update", Id=customer, Notes="by webhook")
        await w.until(
            f"select notes = 'by webhook' from {SCHEMA}.customer where id='{customer}'", seconds=2
        )
        assert ("customer", customer, "update", "webhook") in await w.rows(CHANGES)
        assert await w.value(
            f"select last_webhook_at is not null and lag_seconds < 5 from {SCHEMA}._sync_cdc"
            " where object = 'customer'"
        )
        assert await w.value(f"select last_webhook_at is not null from {SCHEMA}._sync_connection")


@pytest.mark.parametrize("mischief", ["duplicate", "reverse", "drop", "wrong_signature"])
@pytest.mark.parametrize("webhook_format", ["cloudevents", "classic"])
async def test_webhooks_twice_out_of_order_lost_or_forged_converge(
    quickbooks_url: str, mischief: str, webhook_format: str
) -> None:
    async with (
        world(quickbooks_url, webhook_format=webhook_format) as w,
        receiving(w),
        working(w),
    ):
        await w.live()
        await w.control("webhooks", **{mischief: 2})
        await make_changes(w)
        if mischief in ("drop", "wrong_signature"):
            await request_poll(w.session, w.connection_id)
        await converged(w)


async def test_a_deleted_transaction_leaves_and_its_last_image_stays(quickbooks_url: str) -> None:
    async with world(quickbooks_url) as w, working(w):
        await w.live()
        invoice = max((await w.books_of("invoice")), key=int)
        await w.change("invoice", "delete", Id=invoice)
        await request_poll(w.session, w.connection_id)
        await w.until(f"select not exists (select from {SCHEMA}.invoice where id = '{invoice}')")
        assert await w.rows(
            f"select record_id, noticed_by, image ->> 'Id' from {SCHEMA}._sync_change"
            " where operation = 'delete'"
        ) == [(invoice, "poll", invoice)]
        await w.assert_same(["invoice"])


async def test_a_name_reported_as_deleted_stays_as_inactive(quickbooks_url: str) -> None:
    async with world(quickbooks_url, cdc_inactive="tombstone") as w, working(w):
        await w.live()
        vendor = await w.value(f"select id from {SCHEMA}.vendor where balance = 0 limit 1")
        await w.change("vendor", "deactivate", Id=vendor)
        await request_poll(w.session, w.connection_id)
        await w.until(f"select not active from {SCHEMA}.vendor where id = '{vendor}'")


async def test_a_new_reading_sweeps_what_no_feed_reported(quickbooks_url: str) -> None:
    async with world(quickbooks_url) as w, working(w):
        await w.live()
        await w.session.execute(
            f"insert into {SCHEMA}.invoice (id, sync_token, raw)"
            " values ('999999', '0', '{}')".encode()
        )
        assert await request_backfill(w.session, "books", "invoice") == ["invoice"]
        await w.until(f"select not exists (select from {SCHEMA}.invoice where id = '999999')")
        await w.live()
        await w.assert_same(["invoice"])


async def test_a_watermark_older_than_the_feed_leads_to_a_new_reading(quickbooks_url: str) -> None:
    async with world(quickbooks_url) as w, working(w):
        await w.live()
        before = await w.value("select max(number) from sqlsync.reading")
        await w.session.execute(
            f"update {SCHEMA}._sync_cdc set watermark = now() - interval '40 days'"
            " where object = 'customer'".encode()
        )
        await request_poll(w.session, w.connection_id)
        await w.until(f"select exists (select from sqlsync.reading where number > {before})")
        await w.live()
        await w.assert_same(["customer"])


async def test_a_locked_row_is_brought_once_its_client_is_done(quickbooks_url: str) -> None:
    async with world(quickbooks_url) as w, working(w):
        await w.live()
        customer = min((await w.books_of("customer")), key=int)
        async with await connect_engine(w.url) as client, client.transaction():
            await client.execute(
                f"select 1 from {SCHEMA}.customer where id = %s for update".encode(), [customer]
            )
            await w.change("customer", "update", Id=customer, Notes="late")
            await request_poll(w.session, w.connection_id)
            await w.until("select exists (select from sqlsync.refetch)")
        await w.until(f"select notes = 'late' from {SCHEMA}.customer where id = '{customer}'")
        await w.until("select not exists (select from sqlsync.refetch)")


async def test_an_error_of_one_object_is_shown_and_the_others_go_on(quickbooks_url: str) -> None:
    async with world(quickbooks_url) as w:
        await w.control(
            "trouble", kind="malformed", match={"entity": "vendor", "operation": "query"}, times=8
        )
        async with working(w):
            await w.until(
                f"select state = 'error' and error is not null from {SCHEMA}._sync_cdc"
                " where object = 'vendor'"
            )
            await w.until(
                f"select count(*) filter (where state = 'live') >= 8 from {SCHEMA}._sync_cdc"
            )
            await w.until(
                f"select state = 'live' and error is null from {SCHEMA}._sync_cdc"
                " where object = 'vendor'"
            )
            await w.assert_same(["vendor"])


async def test_a_revoked_grant_stops_its_connection_and_says_why(quickbooks_url: str) -> None:
    async with world(quickbooks_url) as w:
        await w.control("tokens", expire=True, revoke=True)
        async with working(w):
            await w.until("select state = 'needs_reauth' from sqlsync.connection")
            assert await w.value("select state_reason from sqlsync.connection")


async def test_deliveries_of_unknown_companies_and_nonsense_are_harmless(
    quickbooks_url: str,
) -> None:
    bodies = [
        (
            b'{"eventNotifications":[{"realmId":"1","dataChangeEvent":{"entities":'
            b'[{"name":"Customer","id":"1","operation":"Update","lastUpdated":"x"}]}}]}'
        ),
        b"not json",
        b'{"eventNotifications":7}',
    ]
    async with world(quickbooks_url) as w, working(w):
        await w.live()
        for n, body in enumerate(bodies):
            await w.session.execute(
                "insert into sqlsync.inbox (provider, body, body_hash) values (%s, %s, %s)",
                ["quickbooks", body, b"%d" % n],
            )
        await w.until("select not exists (select from sqlsync.inbox where state = 'new')")
        assert [r[0] for r in await w.rows("select state from sqlsync.inbox order by id")] == [
            "done",
            "failed",
            "failed",
        ]


async def test_two_workers_share_the_work_and_one_leads(quickbooks_url: str) -> None:
    async with world(quickbooks_url, customers=30, invoices=150) as w, working(w), working(w):
        await w.live()
        await w.assert_same()
        asked = w.pages_asked()
        assert len(asked) == len(set(asked))


async def test_a_request_for_what_is_not_there_is_refused(quickbooks_url: str) -> None:
    async with world(quickbooks_url) as w:
        with pytest.raises(ConfigError, match="no connection"):
            await request_backfill(w.session, "nobody")
        with pytest.raises(ConfigError, match="no object"):
            await request_backfill(w.session, "books", "nothing")


async def test_a_quiet_company_is_polled_without_being_asked(quickbooks_url: str) -> None:
    from backfill.schedule import Pace

    pace = Pace(steps=((timedelta(0), timedelta(seconds=0.5)),))
    async with world(quickbooks_url) as w, working(w, pace=pace):
        await w.live()
        await make_changes(w)
        await converged(w)


async def make_changes(w: World) -> None:
    """A payment (which changes its invoice and customer), an update, a delete."""
    customers = sorted(await w.books_of("customer"), key=int)
    await w.change("customer", "update", Id=customers[0], Notes="one")
    await w.change("customer", "update", Id=customers[0], Notes="two")
    await w.change("customer", "update", Id=customers[1], Notes="three")
    row = (
        await w.rows(
            f"select id, customer_id, balance from {SCHEMA}.invoice where balance > 0"
            " order by id limit 1"
        )
    )[0]
    await w.change(
        "payment",
        "create",
        CustomerRef={"value": row[1]},
        TotalAmt=float(row[2]),
        Line=[{"Amount": float(row[2]), "LinkedTxn": [{"TxnId": row[0], "TxnType": "Invoice"}]}],
    )
    doomed = await w.value(
        f"select id from {SCHEMA}.invoice where id <> '{row[0]}' and balance = total_amt"
        " and balance > 0 order by id desc limit 1"
    )
    await w.change("invoice", "delete", Id=doomed)


async def converged(w: World, tables: tuple[str, ...] = ("customer", "invoice", "payment")) -> None:
    """Waits until the mirror equals the books."""
    async with asyncio.timeout(15):
        while True:
            try:
                await w.assert_same(tables)
            except AssertionError:
                await asyncio.sleep(0.1)
            else:
                return
