"""Every table of both providers with psql, through the running proxy: read, and written if it can.

One psql for each provider runs a script that is made from the catalog and the tables of
statements; the tests here look at what it said. Then both sides are compared.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx
import pytest
import sync_world
import xero_reading
import xero_world
from acceptance.every_table import (
    CATALOGS,
    House,
    Told,
    quickbooks_of,
    script_of,
    xero_of,
)
from child_writes import ELSEWHERE, NOT_HERE

from backfill.requests import request_poll
from schema.model import DeleteMeans, ObjectSpec
from sqlsync.app.connecting import pause, resume
from sqlsync.database import connect_engine

pytestmark = pytest.mark.timeout(300)
OBJECTS = [spec for catalog in CATALOGS.values() for spec in catalog.objects]
WRITABLE = [spec for spec in OBJECTS if spec.can("create") or spec.can("update")]
PREFIXES = {catalog.provider: f"[{catalog.title}] " for catalog in CATALOGS.values()}
REPORTS = [(c.provider, report.table) for c in CATALOGS.values() for report in c.reports]
# A generated organisation has none of them; they are made here.
EMPTY_AT_FIRST = {"payment_service", "linked_transaction"}


@pytest.fixture(scope="module")
def told(house: House) -> dict[str, Told]:
    """Both scripts, run at the same time.

    The sync is paused meanwhile: a poll behind every write would take longer than the writes.
    """
    writes = {"quickbooks": quickbooks_of(house), "xero": xero_of(house)}
    scripts = {name: script_of(given) for name, given in writes.items()}
    for name in writes:
        pause(house.direct, name)
    running = {name: script.start(house.url) for name, script in scripts.items()}
    found = {name: Told(writes[name], *scripts[name].run(p)) for name, p in running.items()}
    for name in writes:
        resume(house.direct, name)
    return found


def named(spec: ObjectSpec) -> str:
    return f"{spec.provider}.{spec.table}"


def takes(spec: ObjectSpec, verb: str) -> bool:
    if verb == "delete":
        return spec.delete_means is not DeleteMeans.NONE
    return spec.can("create" if verb == "insert" else verb)


@pytest.mark.parametrize("spec", OBJECTS, ids=named)
def test_a_table_is_filled_and_read(told: dict[str, Told], spec: ObjectSpec) -> None:
    for table in (spec.table, *spec.child_by_table):
        assert told[spec.provider].of(table, "read").sqlstate == "00000"
    assert told[spec.provider].of(spec.table, "read").count or spec.table in EMPTY_AT_FIRST


@pytest.mark.parametrize("spec", WRITABLE, ids=named)
def test_an_object_is_inserted_updated_and_deleted(told: dict[str, Told], spec: ObjectSpec) -> None:
    said = told[spec.provider]
    assert not spec.can("create") or said.of(spec.table, "inserted")
    for table, what, step in said.steps(spec):
        if what not in ("read", "left", "id") and not what.endswith("refused"):
            assert step.sqlstate == (said.refused(table) or "00000"), str(step)
            assert step.count > 0 or said.refused(table), str(step)
    if spec.delete_means is not DeleteMeans.NONE:
        stays = spec.delete_means is not DeleteMeans.DELETE
        assert said.of(spec.table, "left").count == stays
        if stays:
            assert f"`{said.of(spec.table, 'id').message}` was " in said.notices


@pytest.mark.parametrize("spec", OBJECTS, ids=named)
def test_what_an_object_does_not_take_is_refused(told: dict[str, Told], spec: ObjectSpec) -> None:
    said = told[spec.provider]
    for verb in ("insert", "update", "delete"):
        assert takes(spec, verb) or said.of(spec.table, f"{verb} refused")
    for _, what, step in said.steps(spec):
        if what.endswith("refused"):
            assert step.sqlstate == "55000", str(step)
            assert step.message.startswith(PREFIXES[spec.provider]), str(step)


@pytest.mark.parametrize(("provider", "table"), REPORTS)
def test_a_report_takes_no_write(told: dict[str, Told], provider: str, table: str) -> None:
    for verb in ("insert", "update", "delete"):
        step = told[provider].of(table, f"{verb} refused")
        assert step.sqlstate == "55000", str(step)
        assert step.message.startswith(PREFIXES[provider])
        assert step.message.endswith("is a report: it can be read only")


def test_every_child_table_that_can_be_written_is(told: dict[str, Told]) -> None:
    written = {table for t in told.values() for table in t.writes.children}
    assert written | ELSEWHERE | NOT_HERE == {
        child.table
        for spec in WRITABLE
        if spec.can("update")
        for child in spec.children
        if not child.read_only
    }
    assert not written & NOT_HERE


async def test_afterwards_the_tables_hold_what_the_companies_hold(
    house: House, told: dict[str, Told]
) -> None:
    """Every object of QuickBooks and of Xero, every column and every child row."""
    history = told["xero"].of("history_record", "id").message
    assert xero_reading.single(house.xero, "history_record", history) is not None
    async with (
        await connect_engine(house.direct) as session,
        httpx.AsyncClient(base_url=house.quickbooks.base_url) as http,
    ):
        books = sync_world.World(
            house.direct, house.quickbooks.base_url, house.quickbooks.realm_id, 1, session, http
        )
        kestrel = xero_world.Mirror(house.xero, session)
        tables = [spec.table for spec in xero_world.CATALOG.objects if spec.enabled]
        for connection_id in (1, 2):
            await request_poll(session, connection_id)
        await until_same(books.assert_same)
        await until_same(lambda: kestrel.assert_same(tables, but=xero_world.FOLLOWS))
        open_writes = (
            "select count(*) from sqlsync.journal where state not in ('mirrored', 'refused')"
        )
        assert await books.value(open_writes) == 0
        writers = "select distinct role_name from {}._sync_write"
        for schema in told:
            assert await books.rows(writers.format(schema)) == [("house",)]


async def until_same(compare: Callable[[], Awaitable[None]]) -> None:
    """What follows from a write, such as a balance, comes by the next poll."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(AssertionError):
            await compare()
            return
        await asyncio.sleep(0.3)
    await compare()
