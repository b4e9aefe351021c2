"""QuickBooks Online as a Provider: the calls, and nothing but the calls.

What is sent and how an answer is read is decided in `requests`, `bodies`, `paging`, `faults`
and `responses`; here calls are made, paced, given a token and repeated. Reads are repeated on
what may pass. A write is repeated only under its own requestid, a few times, and only where it
was not carried out or nobody knows; a refusal is never repeated. A write of whose tries one
may have been carried out ends as OutcomeUnknown, whatever became of the later ones, unless
QuickBooks gives its answer after all.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import stamina

from schema.model import Catalog, ObjectSpec
from schema.report_model import Report, ReportSpec
from sqlsync.clock import Clock
from sqlsync.errors import (
    HistoryTooOld,
    NeedsReauth,
    NotFound,
    OutcomeUnknown,
    ProviderError,
    ProviderFault,
    ProviderRefusal,
    RateLimited,
    SqlsyncError,
    Unreachable,
)
from sqlsync.providers.base import (
    Call,
    Changes,
    Files,
    Outcome,
    Page,
    Record,
    Step,
    StepKind,
    Tombstone,
)
from sqlsync.providers.http import HttpClient
from sqlsync.providers.limits import Limits
from sqlsync.providers.messages import HttpRequest, HttpResponse
from sqlsync.providers.quickbooks import (
    paging,
    reports,
    requests,
    responses,
    shapes,
    taxservice,
)
from sqlsync.providers.quickbooks.faults import NOT_FOUND, TITLE, About, bad_reference
from sqlsync.providers.quickbooks.files import QuickBooksFiles
from sqlsync.providers.tokens import TokenSource

CDC_LIMIT = 1000
CDC_HORIZON = timedelta(days=30)
_HORIZON_MARGIN = timedelta(minutes=10)  # our clock and theirs differ
_QUERY_PAGES = 10  # of changes, before a new backfill is the better way
_IDS_AT_ONCE = 300
# Codes by which the feed says that it does not know an object. HistoryTooOld is told apart.
_NOT_FED = ("500", "2000", "4000", "4001")
READ_ATTEMPTS = 5
WRITE_ATTEMPTS = 3
# Codes that say "no such id": unknown or deleted, and not even an id.
_NO_SUCH_ID = (NOT_FOUND, "2030")

_T = TypeVar("_T")


class _Throttled(RateLimited):
    """QuickBooks itself said 429. All processes now keep away for a while; then it may go."""


class QuickBooksProvider:
    """One QuickBooks company. Implements `sqlsync.providers.base.Provider`."""

    batch_limit = requests.BATCH_LIMIT

    def __init__(
        self,
        *,
        catalog: Catalog,
        http: HttpClient,
        tokens: TokenSource,
        limits: Limits,
        clock: Clock,
        api_url: str,
        realm_id: str,
        page_size: int = requests.PAGE_SIZE,
    ) -> None:
        self.catalog = catalog
        self._http = http
        self._tokens = tokens
        self._limits = limits
        self._clock = clock
        self._company = requests.Company(api_url, realm_id)
        self._page_size = page_size
        self._not_fed: set[str] = set()  # tables that the change feed turned out not to know

    @property
    def files(self) -> Files:
        spec = self.catalog.by_table["attachable"]
        return QuickBooksFiles(spec, self._company, self._exchange, self._http)

    # -- reading ----------------------------------------------------------------------------

    async def count(self, spec: ObjectSpec) -> int | None:
        if not spec.can("query"):
            return None
        envelope = await self._read(requests.count(self._company, spec), About(spec))
        return responses.query_count(envelope)

    async def fetch_page(self, spec: ObjectSpec, cursor: str | None) -> Page:
        if not spec.can("query"):
            return await self._whole(spec)
        at_cursor = paging.Cursor.parse(cursor)
        steps_back = 0
        while True:
            asked = paging.ask(at_cursor, steps_back, self._page_size)
            envelope = await self._read(
                requests.page(self._company, spec, asked.start, asked.size), About(spec)
            )
            rows = responses.query_rows(envelope, spec)
            taken = paging.take(at_cursor, asked, rows, responses.id_of)
            if taken is not None:
                next_cursor = taken.cursor.text() if taken.cursor is not None else None
                return Page(taken.rows, next_cursor, envelope.at)
            steps_back += 1

    async def _whole(self, spec: ObjectSpec) -> Page:
        """All records of an object that the query language does not know. They are few."""
        if spec.extra.get("read") == "entitlements":
            return await self._entitlements(spec)
        request = requests.whole_list(self._company, spec)
        envelope = await self._read(request, About(spec))
        return Page(responses.list_rows(envelope, spec), None, envelope.at)

    async def _entitlements(self, spec: ObjectSpec) -> Page:
        first, second = requests.entitlements(self._company)
        response = await self._exchange(first)
        if response.status == 404:
            response = await self._exchange(second)
        record = shapes.entitlements(response.body) if response.status == 200 else None
        if record is None:
            envelope = responses.read_answer(response, About(spec))
            raise ProviderFault(f"[{TITLE}] {spec.title}: no entitlements in {envelope.members}.")
        return Page([record], None, self._clock.now())

    async def fetch(self, spec: ObjectSpec, record_id: str) -> Record | None:
        if not spec.can("query") or "key" in spec.extra:
            return next(iter(await self.fetch_many(spec, [record_id])), None)
        if spec.kind == "singleton" and record_id != shapes.ONLY_ID:
            return None
        try:
            envelope = await self._read(
                requests.read(self._company, spec, record_id), About(spec, record_id)
            )
        except ProviderRefusal as refused:
            if refused.code in _NO_SUCH_ID:
                return None
            raise
        found = responses.single(envelope, spec)
        return found if isinstance(found, Record) else None

    async def fetch_many(self, spec: ObjectSpec, record_ids: Sequence[str]) -> list[Record]:
        ids = list(dict.fromkeys(record_ids))
        found: list[Record] = []
        if not spec.can("query"):
            page = await self._whole(spec)
            return [record for record in _records(spec, page.items) if record.id in ids]
        if "key" in spec.extra:
            for record_id in ids:
                request = requests.by_key(self._company, spec, record_id)
                if request is not None:
                    envelope = await self._read(request, About(spec, record_id))
                    found += _records(spec, responses.query_rows(envelope, spec))
            return [record for record in found if record.id in ids]
        for start in range(0, len(ids), _IDS_AT_ONCE):
            chunk = ids[start : start + _IDS_AT_ONCE]
            envelope = await self._read(requests.by_ids(self._company, spec, chunk), About(spec))
            found += _records(spec, responses.query_rows(envelope, spec))
        return found

    async def now(self) -> datetime:
        spec = self.catalog.by_api_name.get("account") or self.catalog.objects[0]
        return (await self._read(requests.count(self._company, spec), About(spec))).at

    def poll_calls(self, spec: ObjectSpec, rows: int) -> int:
        return 1 if self._by_time(spec) else 0  # one call of CDC tells of all others

    def calls_left(self) -> float | None:
        return math.inf

    def _by_time(self, spec: ObjectSpec) -> bool:
        """Whether the feed does not know the object, or may pass over it in silence."""
        unfed = spec.change_feed == "query" or spec.table in self._not_fed
        return unfed or spec.extra.get("feed") == "unverified"

    async def report(self, spec: ReportSpec, parameters: Mapping[str, Any]) -> Report:
        request = reports.report(self._company, spec, parameters)
        envelope = await self._read(request, About(report=spec))
        # Of hundreds of thousands of cells, reading takes seconds: others go on meanwhile.
        return await asyncio.to_thread(reports.read_report, spec, envelope.members, envelope.at)

    # -- changes ----------------------------------------------------------------------------

    async def changes(self, specs: Sequence[ObjectSpec], since: datetime) -> Changes:
        if since < self._clock.now() - CDC_HORIZON + _HORIZON_MARGIN:
            raise _too_old(since)
        followed = [s for s in specs if s.change_feed == "cdc" and s.table not in self._not_fed]
        # Where the feed may pass over an object in silence, its records are asked for by time;
        # its deletions are the feed's, if it tells of them.
        asked = [s for s in specs if self._by_time(s)]
        by_time = {s.table for s in asked}
        parts: list[Changes] = []
        if followed:
            for part in await self._followed(followed, since):
                records = [record for record in part.records if record.table not in by_time]
                parts.append(replace(part, records=records))
        for spec in asked:
            parts.append(await self._asked(spec, since))
        if not parts:
            return Changes((), (), await self.now())
        incomplete = frozenset[str]().union(*(part.incomplete_tables for part in parts))
        return Changes(
            records=[record for part in parts for record in part.records],
            tombstones=[tombstone for part in parts for tombstone in part.tombstones],
            at=min(part.at for part in parts),
            complete=not incomplete,
            incomplete_tables=incomplete,
        )

    async def _followed(self, specs: Sequence[ObjectSpec], since: datetime) -> list[Changes]:
        """By the change feed; a full answer is asked again, one object at a time.

        Raises ProviderRefusal where it refuses several, one of which it may not know. Which
        objects it knows is not documented for all; one that it refuses is asked for by time,
        from then on. Its deletions show when its history is read again.
        """
        try:
            answer = await self._cdc(specs, since)
        except ProviderRefusal as refused:
            if len(specs) > 1 or refused.code not in _NOT_FED or not specs[0].can("query"):
                raise
            found = await self._asked(specs[0], since)
            self._not_fed.add(specs[0].table)
            return [found]
        if answer.total < CDC_LIMIT:
            return [await self._sorted(spec, answer.of(spec), answer.at) for spec in specs]
        if len(specs) > 1:
            return [part for spec in specs for part in await self._followed([spec], since)]
        # Too much even for one object. Its records can be asked for by time; deletions cannot,
        # those in this answer may be some of many.
        [spec] = specs
        by_time = await self._asked(spec, since)
        from_feed = await self._sorted(spec, answer.of(spec), answer.at)
        known = {record.id for record in by_time.records}
        return [
            Changes(
                [*by_time.records, *(r for r in from_feed.records if r.id not in known)],
                from_feed.tombstones,
                min(by_time.at, answer.at),
                False,
                frozenset({spec.table}),
            )
        ]

    async def _cdc(self, specs: Sequence[ObjectSpec], since: datetime) -> responses.CdcAnswer:
        about = About()
        try:
            envelope = await self._read(requests.cdc(self._company, specs, since), about)
        except ProviderRefusal as refused:
            # The code for "too long ago" is not documented; the age of the question is known.
            if since < self._clock.now() - CDC_HORIZON + timedelta(days=1):
                raise _too_old(since) from refused
            raise
        return responses.cdc_answer(envelope, about)

    async def _sorted(self, spec: ObjectSpec, rows: Sequence[bytes], at: datetime) -> Changes:
        """Records and tombstones. A name list's tombstone may be a record made inactive."""
        records: list[Record] = []
        gone: list[Tombstone] = []
        for row in rows:
            found = responses.record_from(spec, row)
            if isinstance(found, Record):
                records.append(found)
            else:
                gone.append(found)
        if gone and spec.kind == "name_list":
            living = await self.fetch_many(spec, [tombstone.id for tombstone in gone])
            records += living
            ids = {record.id for record in living}
            gone = [tombstone for tombstone in gone if tombstone.id not in ids]
        return Changes(records, gone, at)

    async def _asked(self, spec: ObjectSpec, since: datetime) -> Changes:
        """By LastUpdatedTime: for what the feed leaves out. Knows no deletions.

        Goes on from the last time seen and not by position, since a record that changes
        meanwhile moves to the end and would pull one before it out of the next page.
        """
        found: dict[str, Record] = {}
        moment, start, at = since, 1, None
        for _ in range(_QUERY_PAGES):
            envelope = await self._read(
                requests.changed_since(self._company, spec, moment, start, self._page_size),
                About(spec),
            )
            at = at or envelope.at
            records = _records(spec, responses.query_rows(envelope, spec))
            found.update((record.id, record) for record in records)
            if len(records) < self._page_size:
                return Changes(list(found.values()), (), at)
            latest = records[-1].updated_at
            if latest is None:
                raise ProviderFault(f"[{TITLE}] {spec.title}: a record without LastUpdatedTime.")
            if requests.instant(latest) == requests.instant(moment):
                start += len(records)  # a whole page of one second
            else:
                moment, start = latest, 1
        assert at is not None
        return Changes(list(found.values()), (), at, False, frozenset({spec.table}))

    # -- writing ----------------------------------------------------------------------------

    async def send(self, call: Call) -> list[Outcome]:
        """Carries out the steps; see Provider.send.

        Steps that a batch cannot hold (voids) travel alone, under keys made from the call's.
        """
        if not call.steps or len(call.steps) > self.batch_limit:
            raise ValueError(f"a call has 1 to {self.batch_limit} steps, not {len(call.steps)}")
        if not 0 < len(call.key) <= requests.KEY_LENGTH:
            raise ValueError(f"a call's key has 1 to {requests.KEY_LENGTH} characters")
        if len(call.steps) == 1:
            return [
                await self._settled(call.steps[0], await self._send_one(call.steps[0], call.key))
            ]
        batched = [i for i, step in enumerate(call.steps) if requests.can_batch(step)]
        alone = [i for i in range(len(call.steps)) if i not in batched]
        if len(batched) == 1:
            batched, alone = [], list(range(len(call.steps)))
        outcomes: dict[int, Outcome] = {}
        if batched:
            outcomes = await self._send_batch([(i, call.steps[i]) for i in batched], call.key)
        for index in alone:
            key = f"{call.key}-{index}"
            try:
                outcomes[index] = await self._send_one(call.steps[index], key)
            except SqlsyncError as error:
                if not outcomes:
                    raise
                # Others are done: only this one is not.
                if not isinstance(error, ProviderError):
                    error = Unreachable(str(error))
                outcomes[index] = error
        return [await self._settled(step, outcomes[index]) for index, step in enumerate(call.steps)]

    async def _send_one(self, step: Step, key: str) -> Outcome:
        about = _about(step)
        try:
            request = requests.write(self._company, step, key)
            envelope = await self._write(lambda: self._answered(request, about))
        except ProviderRefusal as refused:
            return refused
        try:
            if requests.by_service(step):
                return await self._made(step.spec, taxservice.code_id(envelope))
            return responses.single(envelope, step.spec)
        except ProviderFault as error:
            raise OutcomeUnknown(str(error)) from error

    async def _made(self, spec: ObjectSpec, record_id: str) -> Record:
        """What a service has made. Raises OutcomeUnknown: the same call again gives the same id."""
        try:
            record = await self.fetch(spec, record_id)
        except SqlsyncError as error:
            raise OutcomeUnknown(
                f"[{TITLE}] {spec.title} `{record_id}` was made: {error}"
            ) from error
        if record is None:
            raise OutcomeUnknown(f"[{TITLE}] {spec.title} `{record_id}` was made and is not there.")
        return record

    async def _send_batch(self, steps: Sequence[tuple[int, Step]], key: str) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        sendable: list[tuple[str, Step]] = []
        for index, step in steps:
            try:
                requests.write(self._company, step, key)
            except ProviderRefusal as refused:
                outcomes[index] = refused
            else:
                sendable.append((str(index), step))
        if not sendable:
            return outcomes
        request = requests.batch(self._company, sendable, key)
        abouts = {item_id: _about(step) for item_id, step in sendable}

        async def once() -> dict[str, Outcome]:
            response = await self._exchange(request, batch=True)
            envelope = responses.read_answer(response, About(changes=True))
            try:
                found = responses.batch_answer(envelope, abouts, trace_id=response.trace_id)
            except ProviderFault as error:
                raise OutcomeUnknown(str(error), trace_id=response.trace_id) from error
            if any(isinstance(outcome, RateLimited) for outcome in found.values()):
                await self._limits.keep_away(responses.retry_after(response))
            return found

        answered = await self._write(once)
        return outcomes | {int(item_id): outcome for item_id, outcome in answered.items()}

    async def _settled(self, step: Step, outcome: Outcome) -> Outcome:
        """Tells the two meanings of 610 apart: the record is gone, or what it refers to is.

        QuickBooks says the same for both, so the record is read. Where that fails, its words
        stand, without the claim that the record is gone.
        """
        if (
            step.kind is not StepKind.UPDATE
            or step.id is None
            or not isinstance(outcome, NotFound)
            or outcome.code != NOT_FOUND
        ):
            return outcome
        try:
            if await self.fetch(step.spec, step.id) is None:
                return outcome
        except SqlsyncError:
            pass
        return bad_reference(outcome, _about(step))

    # -- one call ---------------------------------------------------------------------------

    async def _read(self, request: HttpRequest, about: About) -> responses.Envelope:
        async for attempt in stamina.retry_context(
            on=(Unreachable, ProviderFault, _Throttled),
            attempts=READ_ATTEMPTS,
            timeout=None,
            wait_initial=0.2,
            wait_max=10.0,
            wait_jitter=0.2,
        ):
            with attempt:
                return await self._answered(request, about)
        raise AssertionError("unreachable")

    async def _write(self, once: Callable[[], Awaitable[_T]]) -> _T:
        """The answer of one of a few tries under the same key."""
        unsure: OutcomeUnknown | None = None
        last: ProviderError | None = None
        for attempt in range(WRITE_ATTEMPTS):
            if attempt:
                await asyncio.sleep(0.2 * 4 ** (attempt - 1) * random.uniform(0.5, 1.0))  # noqa: S311
            try:
                return await once()
            except OutcomeUnknown as error:
                last = unsure = error
            except (Unreachable, ProviderFault, _Throttled) as error:
                last = error
            except ProviderRefusal:
                raise  # an answer, to the first try or to this one: the key makes them one
            except Exception as error:  # our limits, the grant, our database: no use to go on
                if unsure is None:
                    raise
                raise unsure from error
        if unsure is not None:
            raise unsure
        assert last is not None
        raise last

    async def _answered(self, request: HttpRequest, about: About) -> responses.Envelope:
        return responses.read_answer(await self._exchange(request), about)

    async def _exchange(self, request: HttpRequest, *, batch: bool = False) -> HttpResponse:
        """One call with a valid token, inside the limits. The answer may be a refusal."""
        async with self._limits.slot(writes=request.changes, batch=batch):
            token = await self._tokens.access_token()
            response = await self._http.send(_with_token(request, token))
            if responses.needs_new_token(response):
                token = await self._tokens.renew(token)
                response = await self._http.send(_with_token(request, token))
        if responses.needs_new_token(response) or responses.is_foreign_grant(response):
            refused = NeedsReauth(
                f"[{TITLE}] The grant is for another company."
                if responses.is_foreign_grant(response)
                else f"[{TITLE}] A fresh access token is not accepted either.",
                trace_id=response.trace_id,
            )
            await self._tokens.lost(refused, token)
            raise refused
        if response.status == 429:
            seconds = responses.retry_after(response)
            await self._limits.keep_away(seconds)
            raise _Throttled(
                f"[{TITLE}] Too many calls for this company; QuickBooks asks for a pause.",
                retry_after=seconds,
            )
        return response


def _with_token(request: HttpRequest, token: str) -> HttpRequest:
    return request.with_header("authorization", f"Bearer {token}")


def _about(step: Step) -> About:
    return About(step.spec, step.id, creates=step.kind is StepKind.CREATE, changes=True)


def _records(spec: ObjectSpec, rows: Sequence[bytes]) -> list[Record]:
    found = (responses.record_from(spec, row) for row in rows)
    return [record for record in found if isinstance(record, Record)]


def _too_old(since: datetime) -> HistoryTooOld:
    return HistoryTooOld(
        f"[{TITLE}] The change feed reaches back 30 days, not to {since.isoformat()}.",
        hint="A new backfill with a sweep is needed.",
    )
