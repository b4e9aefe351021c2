"""A Xero organisation mirrored by a real worker: every object, its changes and its deletions."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from backfill.inbox import Named, named_records
from backfill.requests import request_poll
from backfill.schedule import Rereading
from schema.loader import load_catalog

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/xero_world.py
from xero_world import CATALOG, PER_RECORD, SCHEMA, World, working, world

CHANGES = f"select table_name, record_id, operation, noticed_by from {SCHEMA}._sync_change"


async def enable(w: World, *tables: str) -> None:
    await w.rows(
        f"update {SCHEMA}._sync_cdc set state = 'pending' where object = any(%s) returning object",
        list(tables),
    )


def furnish(w: World) -> None:
    """What a generated organisation lacks: a file, a batch, a link, a claim."""
    sim = w.sim
    invoices = {i["InvoiceID"]: i for i in _list(sim.call("GET", "/Invoices", page="1"))}
    open_bill = next(
        i for i in invoices.values() if i["Type"] == "ACCPAY" and i["Status"] == "AUTHORISED"
    )
    bank = next(a for a in _list(sim.call("GET", "/Accounts")) if a["Type"] == "BANK")
    done = [
        sim.call("PUT", f"/Invoices/{open_bill['InvoiceID']}/Attachments/bill.pdf", b"%PDF-1.4"),
        sim.call(
            "PUT",
            "/BatchPayments",
            {
                "BatchPayments": [
                    {
                        "Account": {"AccountID": bank["AccountID"]},
                        "Date": "2026-11-20",
                        "Reference": "Friday run",
                        "Payments": [
                            {"Invoice": {"InvoiceID": open_bill["InvoiceID"]}, "Amount": 1.25}
                        ],
                    }
                ]
            },
        ),
    ]
    receipt = next(iter(_list(sim.call("GET", "/Receipts"))))
    user = receipt["User"]["UserID"]
    claim = {"User": {"UserID": user}, "Receipts": [{"ReceiptID": receipt["ReceiptID"]}]}
    done.append(sim.call("PUT", "/ExpenseClaims", {"ExpenseClaims": [claim]}))
    assert [status for status, _ in done] == [200] * len(done), done


def _list(answered: tuple[int, Any]) -> list[dict[str, Any]]:
    status, answer = answered
    assert status == 200, answer
    return next(list(v) for v in answer.values() if isinstance(v, list))


async def test_every_object_is_mirrored_as_the_organisation_holds_it(migrated_url: str) -> None:
    async with world(migrated_url) as w:
        furnish(w)
        async with working(w):
            await w.live()
            off = await w.rows(f"select object from {SCHEMA}._sync_cdc where state = 'paused'")
            assert {row[0] for row in off} == set(PER_RECORD)
            await w.assert_same([t for t in CATALOG.by_table if t not in PER_RECORD], raw=True)
            before = len(w.asked.requests)
            await enable(w, *PER_RECORD)
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
