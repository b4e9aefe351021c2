"""Compares the mirror with the provider, object by object, to the field; and repairs.

The provider is read whole, by page, and each page is compared in Postgres; so the memory needed
does not depend on the number of records. A record that differs is read again by its id, and
counts only where it differs from a row that did not change while it was read: so changes made
meanwhile, by anybody, are no faults. Nor are those that no poll can have brought yet (`behind`).

A repair goes the way of all that comes from the provider (`mirror.ingest`), row by row only as
far as the row is still the one that was compared. It is logged as noticed by `verify`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from backfill.bookkeeping import ObjectRow, database_time, note_changes, object_rows
from backfill.connections import Connection
from backfill.verdicts import Fault, ObjectReport
from backfill.windows import Suspicious, sweep_decision
from schema.model import ObjectSpec
from sqlsync.database import EngineConnection, sql
from sqlsync.errors import (
    HistoryTooOld,
    NotPermitted,
    ProviderRefusal,
    RateLimited,
    Unreachable,
)
from sqlsync.mirror.compare import (
    Difference,
    begin_seen,
    compare,
    note_seen,
    orphans,
    unseen,
    versions_of,
)
from sqlsync.mirror.ingest import ingest, remove
from sqlsync.providers.base import Provider, Record

log = logging.getLogger(__name__)
T = TypeVar("T")

NOTICED_BY = "verify"
_IDS_AT_ONCE = 100
_ATTEMPTS = 6  # to find a record and its row at rest
_PAUSE_SECONDS = 0.2
_PATIENCE_SECONDS = 300.0  # for the provider's limits, and while it cannot be reached
_OVERLAP = timedelta(minutes=2)  # a change can be stamped before it is shown

OnProgress = Callable[[str, int, int | None], None]  # object, records compared, records in all


async def verify(
    session: EngineConnection,
    connection: Connection,
    provider: Provider,
    *,
    tables: Sequence[str] | None = None,
    repair: bool = False,
    children: bool = True,
    on_progress: OnProgress | None = None,
) -> list[ObjectReport]:
    """Compares `tables` (None: all objects), and repairs what differs where told to.

    session: the engine's, in autocommit, and nobody else's for this long. Raises ProviderError
    where the provider cannot be asked at all.
    """
    rows = {row.object: row for row in await object_rows(session, connection)}
    reports = []
    for spec in provider.catalog.objects:
        if spec.table not in rows or (tables is not None and spec.table not in tables):
            continue
        report = ObjectReport(spec.table)
        reports.append(report)
        if (reason := _unready(rows[spec.table])) is not None:
            report.skipped = reason
            continue
        comparison = _Comparison(session, connection, provider, spec, repair, children, report)
        try:
            await comparison.run(on_progress)
        except ProviderRefusal as refusal:
            report.skipped = str(refusal)
    return reports


def _unready(row: ObjectRow) -> str | None:
    if row.state == "paused":
        return "not synced: it is switched off"
    if row.finished_at is None:
        return f"its history is not read yet ({row.state})"
    return None


@dataclass
class _Comparison:
    """One object's."""

    session: EngineConnection
    connection: Connection
    provider: Provider
    spec: ObjectSpec
    repair: bool
    children: bool
    report: ObjectReport

    @property
    def _schema(self) -> str:
        return self.connection.schema_name

    async def run(self, on_progress: OnProgress | None) -> None:
        await begin_seen(self.session)
        total = await _patiently(lambda: self.provider.count(self.spec))
        cursor: str | None = None
        while True:
            at = cursor
            page = await _patiently(lambda: self.provider.fetch_page(self.spec, at))  # noqa: B023
            async with self.session.transaction():
                found = await compare(
                    self.session, self._schema, self.spec, page.items, children=self.children
                )
                await note_seen(self.session, found.ids)
            for reason in found.rejected:
                log.warning("%s: an item of a page is no record: %s", self.spec.table, reason)
            self.report.compared += len(found.ids)
            await self._look_closer([d.id for d in found.differences])
            if on_progress is not None:
                on_progress(self.spec.table, self.report.compared, total)
            if page.next_cursor is None:
                break
            cursor = page.next_cursor
        await self._extra()
        await self._orphans()

    # -- records that differ ---------------------------------------------------------------

    async def _look_closer(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _IDS_AT_ONCE):
            await self._settle(ids[start : start + _IDS_AT_ONCE])

    async def _settle(self, ids: Sequence[str]) -> None:
        """Reads records again until each is equal, gone, behind, or a fault (and repaired)."""
        before: dict[str, str | None] = {}
        open_ids = list(ids)
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_PAUSE_SECONDS)
            versions = await versions_of(self.session, self._schema, self.spec, open_ids)
            fetched_at = await database_time(self.session)
            records = {r.id: r for r in await self._fetch(open_ids)}
            async with self.session.transaction():
                found = await compare(
                    self.session,
                    self._schema,
                    self.spec,
                    [r.raw for r in records.values()],
                    children=self.children,
                )
            differing = {d.id: d for d in found.differences}
            # At rest: the row that the record differs from was there before the record was read.
            at_rest = {i for i, d in differing.items() if d.version == versions.get(i)}
            before = {i: differing[i].version for i in at_rest}
            faults = [
                differing[i]
                for i in sorted(at_rest)
                if not await self._behind(differing[i], records[i])
            ]
            behind = at_rest - {d.id for d in faults}
            self.report.behind += len(behind)
            left = set(differing) - at_rest
            left |= await self._conclude(faults, records, before, fetched_at)
            open_ids = sorted(left)
            if not open_ids:
                return
        self.report.behind += len(open_ids)  # it never stood still

    async def _conclude(
        self,
        faults: Sequence[Difference],
        records: Mapping[str, Record],
        versions: Mapping[str, str | None],
        fetched_at: datetime,
    ) -> set[str]:
        """Notes the faults, repaired where asked for. Returns ids to be looked at once more."""
        if not self.repair or not faults:
            for fault in faults:
                self.report.note(self._fault(fault))
            return set()
        async with self.session.transaction():
            result = await ingest(
                self.session,
                self._schema,
                self.spec,
                [records[d.id].raw for d in faults],
                noticed_by=NOTICED_BY,
                fetched_at=fetched_at,
                children=self.children,
                as_seen={d.id: versions[d.id] for d in faults},
            )
            await note_changes(self.session, self.connection, self.spec.table, result)
        done = {*result.inserted, *result.updated}
        for fault in faults:
            if fault.id in done:
                self.report.note(self._fault(fault, repaired=True))
        return {d.id for d in faults} - done

    def _fault(self, found: Difference, *, repaired: bool = False) -> Fault:
        kind = "missing" if found.version is None else "different"
        return Fault(self.spec.table, found.id, kind, found.fields, repaired)

    async def _behind(self, found: Difference, record: Record) -> bool:
        """Whether the mirror cannot know yet: a change since the last poll, or a create of ours
        whose client has not committed."""
        if not found.is_older:
            return False
        row = await (
            await self.session.execute(
                sql.SQL(
                    "select (select watermark from {cdc} where object = %(table)s),"
                    " exists (select from sqlsync.journal where connection_id = %(id)s"
                    " and table_name = %(table)s and state in ('sent', 'acknowledged', 'in_doubt')"
                    " and (record_id = %(record)s or record_id is null))"
                ).format(cdc=sql.Identifier(self._schema, "_sync_cdc")),
                {"table": self.spec.table, "id": self.connection.id, "record": found.id},
            )
        ).fetchone()
        assert row is not None
        watermark, writing = row
        if writing:
            return True
        if watermark is None or record.updated_at is None:
            return False
        changed: bool = record.updated_at >= watermark - _OVERLAP
        return changed

    async def _fetch(self, ids: Sequence[str]) -> list[Record]:
        """Those of the records that exist. An id that the provider cannot even read is none."""
        try:
            return await _patiently(lambda: self.provider.fetch_many(self.spec, ids))
        except (NotPermitted, HistoryTooOld):
            raise
        except ProviderRefusal as refusal:
            if len(ids) == 1:
                log.info("%s %s: %s", self.spec.table, ids[0], refusal)
                return []
        middle = len(ids) // 2
        return [*await self._fetch(ids[:middle]), *await self._fetch(ids[middle:])]

    # -- rows that the provider does not list ----------------------------------------------

    async def _extra(self) -> None:
        """Asks for each by its id: what is there after all is compared, what is not is extra."""
        after, gone = "", []
        told: set[str] | None = None
        while ids := await unseen(self.session, self._schema, self.spec, after, _IDS_AT_ONCE):
            after = ids[-1]
            there = {record.id for record in await self._fetch(ids)}
            if found := [i for i in ids if i in there]:
                await self._look_closer(found)
            if lacking := [i for i in ids if i not in there]:
                if told is None:
                    told = await self._told_gone()
                self.report.behind += len(told & set(lacking))
                gone += [i for i in lacking if i not in told]
        gone = await self._still_there(gone)
        if gone and self.repair:
            await self._remove(gone)
            return
        for record_id in gone:
            self.report.note(Fault(self.spec.table, record_id, "extra"))

    async def _still_there(self, ids: Sequence[str]) -> list[str]:
        """Those that are mirrored yet, and that no write of ours is taking away just now."""
        if not ids:
            return []
        mirrored = await versions_of(self.session, self._schema, self.spec, ids)
        rows = await self.session.execute(
            "select record_id from sqlsync.journal where connection_id = %s and table_name = %s"
            " and state in ('sent', 'acknowledged', 'in_doubt') and record_id = any(%s)",
            [self.connection.id, self.spec.table, list(mirrored)],
        )
        writing = {row[0] for row in await rows.fetchall()}
        self.report.behind += len(writing)
        return [i for i in ids if i in mirrored and i not in writing]

    async def _told_gone(self) -> set[str]:
        """Ids whose deletion the feed tells since the last poll: the next one brings it."""
        if self.spec.change_feed != "cdc":
            return set()
        row = await (
            await self.session.execute(
                sql.SQL("select watermark from {} where object = %s").format(
                    sql.Identifier(self._schema, "_sync_cdc")
                ),
                [self.spec.table],
            )
        ).fetchone()
        if row is None or row[0] is None:
            return set()
        try:
            answer = await _patiently(lambda: self.provider.changes([self.spec], row[0]))
        except ProviderRefusal:
            return set()
        return {t.id for t in answer.tombstones if t.table == self.spec.table}

    async def _remove(self, gone: Sequence[str]) -> None:
        found = await self.session.execute(
            sql.SQL("select count(*) from {}").format(sql.Identifier(self._schema, self.spec.table))
        )
        row = await found.fetchone()
        assert row is not None
        counted = await _patiently(lambda: self.provider.count(self.spec))
        decision = sweep_decision(row[0], gone, self.report.compared, counted)
        if isinstance(decision, Suspicious):
            self.report.skipped = f"Nothing was removed: {decision.reason}"
            for record_id in gone:
                self.report.note(Fault(self.spec.table, record_id, "extra"))
            return
        for start in range(0, len(gone), 500):
            part = gone[start : start + 500]
            async with self.session.transaction():
                done = await remove(
                    self.session,
                    self._schema,
                    self.spec,
                    part,
                    noticed_by=NOTICED_BY,
                    children=self.children,
                )
            for record_id in part:
                self.report.note(
                    Fault(self.spec.table, record_id, "extra", (), record_id in done.removed)
                )

    async def _orphans(self) -> None:
        if not self.children:
            return
        async with self.session.transaction():
            found = await orphans(self.session, self._schema, self.spec, remove=self.repair)
        for table, ids in found.items():
            for record_id in ids:
                self.report.note(Fault(table, record_id, "extra", (), self.repair))


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Waits for the provider's limits, and while it cannot be reached, for some minutes."""
    waited, failures = 0.0, 0
    while True:
        try:
            return await ask()
        except (RateLimited, Unreachable) as error:
            failures += 1
            wait = error.retry_after if isinstance(error, RateLimited) else 2.0**failures
            if waited + wait > _PATIENCE_SECONDS:
                raise
            log.info("Waiting %.0f s: %s", wait, error)
            waited += wait
            await asyncio.sleep(wait)
