"""Files up and down, through the engine's own hands, at both simulated providers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sqlsync.errors import NotFound, OutcomeUnknown
from sqlsync.providers.base import File
from sqlsync.writes.files import RecordFiles

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/sync_world.py
from sync_world import KEY, SCHEMA, hands, world

RECEIPT = File("receipt (März).txt", "text/plain", b"paid\0in full\r\n--x")


async def test_a_file_of_an_invoice_comes_back_as_it_went_and_is_mirrored(
    quickbooks_url: str,
) -> None:
    async with (
        world(quickbooks_url, customers=2, invoices=2) as w,
        hands(w.url, w.api_url, KEY) as e,
    ):
        invoice = min(await w.books_of("invoice"))
        files = await RecordFiles.open(e.pool, e.providers, SCHEMA, "invoice", invoice)
        assert await files.listed() == []
        made = await files.upload(RECEIPT, note="by hand", public=False)
        assert (made.name, made.size) == (RECEIPT.name, len(RECEIPT.data))
        assert await w.rows(
            f"select file_name, note, entity_id from {SCHEMA}.attachable a"
            f" join {SCHEMA}.attachable_attachable_ref r on r.attachable_id = a.id"
        ) == [(RECEIPT.name, "by hand", invoice)]
        for wanted in (None, made.id, made.name):
            assert (await files.download(wanted)).data == RECEIPT.data
        with pytest.raises(NotFound, match="no file 'other'"):
            await files.download("other")


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_upload_whose_answer_is_lost_is_looked_up(quickbooks_url: str, when: str) -> None:
    async with (
        world(quickbooks_url, customers=2, invoices=2) as w,
        hands(w.url, w.api_url, KEY) as e,
    ):
        invoice = min(await w.books_of("invoice"))
        files = await RecordFiles.open(e.pool, e.providers, SCHEMA, "invoice", invoice)
        await w.control("trouble", kind="drop", when=when, times=1, match={"operation": "upload"})
        if when == "after":
            await files.upload(RECEIPT, note=None, public=False)
        else:
            with pytest.raises(OutcomeUnknown):
                await files.upload(RECEIPT, note=None, public=False)
        names = [
            json.loads(raw).get("FileName") for raw in (await w.books_of("attachable")).values()
        ]
        assert names.count(RECEIPT.name) == (1 if when == "after" else 0)
