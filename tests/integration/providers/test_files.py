"""Files up and down, through the engine's own hands, at both simulated providers."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sqlsync.errors import ConfigError, DatabaseUnavailable, NotFound, OutcomeUnknown
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
        customer = await RecordFiles.open(e.pool, e.providers, SCHEMA, "customer", invoice)
        assert await customer.listed() == []  # the same id, of another object

        # With the references switched off it is still known where a file hangs.
        await w.session.execute(
            "select sqlsync.disable_object('books', 'attachable_attachable_ref')"
        )
        assert [f.name for f in await files.listed()] == [RECEIPT.name]
        # With all of it off nothing is mirrored, nor believed; a name can still be asked for.
        await w.session.execute("select sqlsync.disable_object('books', 'attachable')")
        second = await files.upload(replace(RECEIPT, name="second"), note=None, public=False)
        assert (
            await w.value(f"select count(*) from {SCHEMA}.attachable where id = '{second.id}'") == 0
        )
        with pytest.raises(ConfigError, match="attachable is switched off"):
            await files.listed()
        assert (await files.download("second")).name == "second"


async def test_a_file_the_mirror_cannot_take_is_told_with_its_id(quickbooks_url: str) -> None:
    strange = 'odd"name'
    async with (
        world(quickbooks_url, customers=2, invoices=2) as w,
        hands(w.url, w.api_url, KEY) as e,
    ):
        await w.session.execute("reset role")
        await w.session.execute(
            'alter schema quickbooks rename to "odd""name";'
            " update sqlsync.connection set schema_name = 'odd\"name'"
        )
        invoice = min(await w.books_of("invoice"))
        files = await RecordFiles.open(e.pool, e.providers, strange, "invoice", invoice)
        made = await files.upload(RECEIPT, note=None, public=False)
        assert [f.id for f in await files.listed()] == [made.id]
        await w.session.execute('alter table "odd""name".attachable rename to gone')
        with pytest.raises(DatabaseUnavailable) as caught:
            await files.upload(replace(RECEIPT, name="third"), note=None, public=False)
        [third] = [
            json.loads(raw)["Id"]
            for raw in (await w.books_of("attachable")).values()
            if json.loads(raw).get("FileName") == "third"
        ]
        assert f"is at QuickBooks as Attachable `{third}`" in caught.value.message
        assert "Do not send it again" in (caught.value.hint or "")


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
