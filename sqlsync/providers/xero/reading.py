"""Reading one organisation: histories by pages, changes, single records.

How each list is read without missing a record is decided by what its catalog file says of it
(`calls`) and by `paging`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from schema.model import Catalog, ObjectSpec
from schema.report_model import Report, ReportSpec
from sqlsync.errors import (
    NotFound,
    NotPermitted,
    ProviderFault,
    ProviderRefusal,
    Unreachable,
)
from sqlsync.providers.base import Changes, Page, Record, Tombstone
from sqlsync.providers.messages import HttpRequest
from sqlsync.providers.xero import reports, requests, responses
from sqlsync.providers.xero.added import options_of
from sqlsync.providers.xero.calls import Calls, calls_of
from sqlsync.providers.xero.exchange import Exchange
from sqlsync.providers.xero.faults import TITLE, About
from sqlsync.providers.xero.paging import Numbered, Walk, is_last, next_walk
from sqlsync.providers.xero.values import decode_record, is_uuid

WALK_PAGES = 20  # of changes, before a new backfill is the better way
ALONE_AT_ONCE = 20  # records that must be read one by one, in a page
PARENTS_AT_ONCE = 100  # records whose attachments or histories are read, in a page
STABLE_READINGS = 4  # of a list without any order, until two agree


class Reading:
    """What can be asked without changing anything."""

    def __init__(self, catalog: Catalog, tenant: requests.Tenant, exchange: Exchange) -> None:
        self._catalog = catalog
        self._tenant = tenant
        self._exchange = exchange
        self._calls: dict[str, Calls] = {}

    def calls(self, spec: ObjectSpec) -> Calls:
        """What can be asked about the object."""
        if spec.table not in self._calls:
            self._calls[spec.table] = calls_of(spec)
        return self._calls[spec.table]

    async def now(self) -> datetime:
        """The provider's clock, at or a little before this moment."""
        known = self._exchange.clock()
        if known is not None:
            return known
        refused: ProviderRefusal | None = None
        for request in self._clock_requests():
            try:
                return (await self._exchange.read(request, About())).at
            except ProviderRefusal as error:  # a scope that the consent lacks: another has it
                refused = error
        raise refused or ProviderFault(f"[{TITLE}] Nothing can be asked for the time.")

    async def report(self, spec: ReportSpec, parameters: Mapping[str, Any]) -> Report:
        """A report, computed now."""
        request = reports.report(self._tenant, spec, parameters)
        envelope = await self._exchange.read(request, About(report=spec))
        # Reading a big one takes a while: others go on meanwhile.
        return await asyncio.to_thread(
            reports.read_report, spec, parameters, envelope.members, envelope.at
        )

    def _clock_requests(self) -> list[HttpRequest]:
        paged = (c for c in map(self.calls, self._catalog.objects) if c.paging == "page")
        small = [requests.page(self._tenant, calls, 1, 1) for calls in paged]
        return [requests.organisation(self._tenant), *small]

    # -- histories --------------------------------------------------------------------------

    async def count(self, calls: Calls) -> int | None:
        if calls.paging != "page" or calls.fixed_page:
            return None
        request = requests.count(self._tenant, calls)
        envelope = await self._exchange.read(request, About(calls.spec))
        return envelope.pagination.item_count if envelope.pagination is not None else None

    async def page(self, calls: Calls, cursor: str | None, size: int | None = None) -> Page:
        """A page of all records; a cursor is good for the object it came from."""
        if "parent_endpoint" in calls.list.places:
            return await self._beneath(calls, cursor)
        if calls.whole_alone:
            return await self._one_by_one(calls, cursor)
        if calls.paging == "offset":
            return await self._behind(calls, cursor)
        if calls.paging != "page":
            records, at = await self._whole(calls)
            return _page(records, None, at)
        if calls.order is not None:
            return await self._by_number(calls, cursor, size)
        if calls.modified_since:
            records, following, at = await self.walked(calls, Walk.parse(cursor))
            return _page(records, following.text() if following is not None else None, at)
        records, at = await self._stable(calls)
        return _page(records, None, at)

    async def _by_number(self, calls: Calls, cursor: str | None, size: int | None) -> Page:
        place = Numbered.parse(cursor, size or calls.page_size or requests.FALLBACK_PAGE)
        request = requests.page(self._tenant, calls, place.number, place.size)
        envelope = await self._exchange.read(request, About(calls.spec))
        last = is_last(envelope, len(responses.items(envelope, calls)))
        following = Numbered(place.number + 1, place.size)
        records = responses.records_in(envelope, calls)
        return _page(records, None if last else following.text(), envelope.at)

    async def walked(
        self, calls: Calls, walk: Walk, *, writes: bool = False
    ) -> tuple[list[Record], Walk | None, datetime]:
        """A page of what changed since, where to go on, and the provider's clock."""
        request = requests.changed(
            self._tenant, calls, walk.since, number=walk.by_key or 1, by_key=walk.by_key > 0
        )
        envelope = await self._exchange.read(request, About(calls.spec), writes=writes)
        rows = [responses.record_from(calls, raw) for raw in responses.items(envelope, calls)]
        last = calls.paging != "page" or is_last(envelope, len(rows))
        times = [row.updated_at if isinstance(row, Record) else row.at for row in rows]
        following = next_walk(walk, times, last=last)
        records = [row for row in rows if isinstance(row, Record)]
        if calls.whole_alone:
            records = [
                whole
                for record in records
                if (whole := await self.fetch(calls, record.id, writes=writes)) is not None
            ]
        return records, following, await self._at(envelope)

    async def _at(self, envelope: responses.Envelope) -> datetime:
        """The provider's clock when it answered. An answer without a body (304) may not say:
        then as it is known, or told a moment later, which the overlap of polls makes up for."""
        return envelope.clock or await self.now()

    async def _behind(self, calls: Calls, cursor: str | None) -> Page:
        """Journals: a hundred behind a number, in the order of numbers."""
        request = requests.after(self._tenant, calls, int(cursor or 0))
        envelope = await self._exchange.read(request, About(calls.spec))
        records = responses.records_in(envelope, calls)
        following = str(_last_number(records)) if records else None
        return _page(records, following, envelope.at)

    async def _one_by_one(self, calls: Calls, cursor: str | None) -> Page:
        """A list names the records; each is read at its own address."""
        listed, at = await self._whole(calls)
        due = sorted(r.id for r in listed if cursor is None or r.id > cursor)
        found = [await self.fetch(calls, record_id) for record_id in due[:ALONE_AT_ONCE]]
        following = due[ALONE_AT_ONCE - 1] if len(due) > ALONE_AT_ONCE else None
        return _page([record for record in found if record is not None], following, at)

    async def _beneath(self, calls: Calls, cursor: str | None) -> Page:
        """Attachments and histories: one call for each record that has them."""
        endpoint, _, inner = (cursor or f"{calls.parents[0]}|").partition("|")
        parent = next((o for o in self._catalog.objects if o.resource == endpoint), None)
        found: list[Record] = []
        following: str | None = None
        if parent is not None:
            try:
                page = await self.page(self.calls(parent), inner or None, PARENTS_AT_ONCE)
            except NotPermitted:  # its records are not ours to read, nor what lies beneath them
                page = Page((), None, await self.now())
            for raw in page.items:
                if calls.collection != "Attachments" or _has_attachments(raw):
                    found += await self._lying_beneath(calls, self.calls(parent), raw)
            following = page.next_cursor
        if following is not None:
            return _page(found, f"{endpoint}|{following}", await self.now())
        rest = calls.parents[calls.parents.index(endpoint) + 1 :]
        return _page(found, f"{rest[0]}|" if rest else None, await self.now())

    async def _lying_beneath(self, calls: Calls, parent: Calls, raw: bytes) -> list[Record]:
        key = str(decode_record(raw)[parent.id_member])
        values = {"parent_endpoint": parent.spec.resource, "parent_id": key}
        request = requests.whole(self._tenant, calls, values)
        try:
            envelope = await self._exchange.read(request, About(calls.spec))
        except NotFound:  # the record is gone meanwhile
            return []
        known = {"ParentEndpoint": parent.spec.resource, "ParentID": key}
        return responses.records_in(envelope, calls, known)

    async def _stable(self, calls: Calls) -> tuple[list[Record], datetime]:
        """All of a list that takes no order and no time: read until two readings agree."""
        before: list[str] | None = None
        for _ in range(STABLE_READINGS):
            found: dict[str, Record] = {}
            number, at = 1, None
            while True:
                request = requests.page(self._tenant, calls, number)
                envelope = await self._exchange.read(request, About(calls.spec))
                at = at or envelope.at
                found.update((r.id, r) for r in responses.records_in(envelope, calls))
                if is_last(envelope, len(responses.items(envelope, calls))):
                    break
                number += 1
            if number == 1 or sorted(found) == before:
                return list(found.values()), at
            before = sorted(found)
        raise Unreachable(f"{About(calls.spec).subject}: the list changes while it is read.")

    async def _whole(self, calls: Calls, *, writes: bool = False) -> tuple[list[Record], datetime]:
        """The whole list, and the provider's clock when it began."""
        if calls.paging == "page":
            return await self._stable(calls)
        if calls.parents:  # a list inside the records of another object
            [resource] = calls.parents
            outer = self.calls(next(o for o in self._catalog.objects if o.resource == resource))
            request = requests.whole(self._tenant, outer)
            envelope = await self._exchange.read(request, About(calls.spec), writes=writes)
            rows = options_of(calls, responses.items(envelope, outer))
            return responses.as_records(calls, rows), envelope.at
        request = requests.whole(self._tenant, calls)
        envelope = await self._exchange.read(request, About(calls.spec), writes=writes)
        records = responses.records_in(envelope, calls)
        self._check_ours(calls, records)
        return records, envelope.at

    def _check_ours(self, calls: Calls, records: Sequence[Record]) -> None:
        """An organisation's own record has the tenant id for its key: nothing of another's is
        taken for ours. No other answer of Xero's names the organisation."""
        if calls.spec.resource != "Organisation":
            return
        for record in records:
            if record.id.lower() != self._tenant.tenant_id.lower():
                raise ProviderFault(
                    f"[{TITLE}] The answer is that of another organisation ({record.id}); nothing"
                    " of it was used."
                )

    # -- single records ---------------------------------------------------------------------

    async def fetch(self, calls: Calls, record_id: str, *, writes: bool = False) -> Record | None:
        """The record now; None where there is none, or where it cannot be asked for by its key.

        writes: it is part of a write, and goes before other reads.
        """
        if not _can_be_key(calls, record_id) or "parent_endpoint" in calls.list.places:
            return None
        if calls.get is None:
            return (await self.listed(calls, writes=writes)).get(record_id.lower())
        if calls.alone_is_rounded and calls.ids_filter:
            listed = await self._by_ids(calls, [record_id], writes=writes)
            if record_id.lower() in listed:
                return listed[record_id.lower()]
        request = requests.read(self._tenant, calls, record_id)
        about = About(calls.spec, record_id)
        try:
            envelope = await self._exchange.read(request, about, writes=writes)
        except NotFound:
            return None
        records = responses.records_in(envelope, calls)
        # An address may find another record, by its number or code.
        return next((r for r in records if r.id.lower() == record_id.lower()), None)

    async def fetch_many(
        self, calls: Calls, record_ids: Sequence[str], *, writes: bool = False
    ) -> list[Record]:
        """Those of the records that exist, in few calls."""
        ids = list(dict.fromkeys(i for i in record_ids if _can_be_key(calls, i)))
        if "parent_endpoint" in calls.list.places:
            return []
        found: dict[str, Record] = {}
        if (calls.ids_parameter or calls.ids_filter) and len(ids) > 1:
            found = await self._by_ids(calls, ids, writes=writes)
        elif len(ids) > 2 and calls.paging == "none" and not calls.whole_alone:
            found = await self.listed(calls, writes=writes)
            return [found[i.lower()] for i in ids if i.lower() in found]
        for record_id in ids:
            # Also what a list left out though it was asked for: such records are never gone.
            if record_id.lower() not in found:
                record = await self.fetch(calls, record_id, writes=writes)
                if record is not None:
                    found[record_id.lower()] = record
        return [found[i.lower()] for i in ids if i.lower() in found]

    async def _by_ids(self, calls: Calls, ids: Sequence[str], *, writes: bool) -> dict[str, Record]:
        at_once = requests.IDS_AT_ONCE if calls.ids_parameter else requests.IDS_IN_FILTER
        found: dict[str, Record] = {}
        for start in range(0, len(ids), at_once):
            request = requests.by_ids(self._tenant, calls, ids[start : start + at_once])
            envelope = await self._exchange.read(request, About(calls.spec), writes=writes)
            found.update((r.id.lower(), r) for r in responses.records_in(envelope, calls))
        return found

    async def listed(self, calls: Calls, *, writes: bool = False) -> dict[str, Record]:
        """The whole list, by key in lower case."""
        records, _ = await self._whole(calls, writes=writes)
        return {record.id.lower(): record for record in records}

    # -- changes ----------------------------------------------------------------------------

    async def changes(self, specs: Sequence[ObjectSpec], since: datetime) -> Changes:
        """What changed, one call an object or more.

        A list that takes no time is read whole. One that the consent does not cover is
        `refused`, and the others go on. Deletions are told of by statuses alone.
        """
        parts: list[Changes] = []
        refused: dict[str, ProviderRefusal] = {}
        for spec in specs:
            try:
                parts.append(await self._changed(self.calls(spec), since))
            except ProviderRefusal as refusal:
                refused[spec.table] = refusal
        incomplete = frozenset[str]().union(*(part.incomplete_tables for part in parts))
        return Changes(
            records=[record for part in parts for record in part.records],
            tombstones=[tombstone for part in parts for tombstone in part.tombstones],
            at=min([part.at for part in parts]) if parts else await self.now(),
            complete=not incomplete,
            incomplete_tables=incomplete,
            whole_tables=frozenset[str]().union(*(part.whole_tables for part in parts)),
            refused=refused,
        )

    async def _changed(self, calls: Calls, since: datetime) -> Changes:
        if calls.paging == "offset":
            return await self._behind_since(calls, since)
        if not calls.modified_since:
            return await self._everything(calls)
        latest: dict[str, Record] = {}
        gone: list[Tombstone] = []
        walk: Walk | None = Walk(since)
        at: datetime | None = None
        for _ in range(WALK_PAGES):
            assert walk is not None
            records, walk, answered = await self.walked(calls, walk)
            at = at or answered
            latest.update((record.id, record) for record in records)
            if walk is None:
                return Changes(list(latest.values()), gone, at)
        assert at is not None
        return Changes(list(latest.values()), gone, at, False, frozenset({calls.spec.table}))

    async def _everything(self, calls: Calls) -> Changes:
        found: list[Record] = []
        page = await self.page(calls, None)
        at = page.at
        while True:
            found += responses.as_records(calls, page.items)
            if page.next_cursor is None:
                return Changes(found, (), at, whole_tables=frozenset({calls.spec.table}))
            page = await self.page(calls, page.next_cursor)

    async def _behind_since(self, calls: Calls, since: datetime) -> Changes:
        found: list[Record] = []
        at: datetime | None = None
        number = 0
        while True:
            request = requests.after(self._tenant, calls, number, since)
            envelope = await self._exchange.read(request, About(calls.spec))
            at = at or await self._at(envelope)
            records = responses.records_in(envelope, calls)
            found += records
            following = _last_number(records) if records else number
            if following <= number or len(records) < requests.FALLBACK_PAGE:
                return Changes(found, (), at)
            number = following


def _page(records: Sequence[Record], cursor: str | None, at: datetime) -> Page:
    return Page([record.raw for record in records], cursor, at)


def _can_be_key(calls: Calls, record_id: str) -> bool:
    """Keys that are no GUIDs must not stand in an address: it would find by number or name."""
    return calls.word_key or calls.get is None or is_uuid(record_id)


def _has_attachments(raw: bytes) -> bool:
    said: Mapping[str, Any] = decode_record(raw)
    return bool(said.get("HasAttachments", True))


def _last_number(records: Sequence[Record]) -> int:
    return max(int(decode_record(record.raw)["JournalNumber"]) for record in records)
