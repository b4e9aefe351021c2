"""Writing to one organisation.

Two things that QuickBooks has and Xero has not are made up for. There is no version to send with
a change, so the record is read first, and one that was changed since is StaleVersion. And a key
is remembered for six minutes only, so a call whose outcome is unknown is not simply sent again:
what it wanted is looked for first, and only what is not there goes out, under the same key.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from time import monotonic

import structlog

from sqlsync.errors import (
    OutcomeUnknown,
    ProviderError,
    ProviderRefusal,
    SqlsyncError,
    Unreachable,
)
from sqlsync.providers.base import Call, Outcome, Record, Step, StepKind, Tombstone
from sqlsync.providers.messages import HttpResponse
from sqlsync.providers.xero import bodies, planning, responses
from sqlsync.providers.xero.calls import BULK, Calls
from sqlsync.providers.xero.exchange import Exchange
from sqlsync.providers.xero.faults import About, warnings_in
from sqlsync.providers.xero.matching import shows
from sqlsync.providers.xero.paging import Walk
from sqlsync.providers.xero.planning import Planned
from sqlsync.providers.xero.reading import Reading
from sqlsync.providers.xero.requests import Tenant
from sqlsync.providers.xero.values import Json, decode_record, instant_of

log = structlog.get_logger(__name__)

KEY_LENGTH = 36  # of a call's key; what is sent is added to it, Xero takes 128
LOOK_PAGES = 10  # of what was created since, when an unanswered create is looked for
_SKEW = timedelta(minutes=1)  # times are compared that two machines have written
_DOUBTS = 1000  # calls of unknown outcome that are remembered


class Writing:
    """Carries out steps. Remembers calls whose outcome it does not know."""

    def __init__(self, tenant: Tenant, exchange: Exchange, reading: Reading) -> None:
        self._tenant = tenant
        self._exchange = exchange
        self._reading = reading
        self._doubts: OrderedDict[str, float] = OrderedDict()  # call's key -> when (monotonic)

    async def send(self, call: Call) -> list[Outcome]:
        """Carries out the steps; see Provider.send.

        More than one request where Xero takes only one element at a time, each under a key of
        its own; what fails after others were done is told per step.
        """
        if not 0 < len(call.steps) <= BULK:
            raise ValueError(f"a call has 1 to {BULK} steps, not {len(call.steps)}")
        if not 0 < len(call.key) <= KEY_LENGTH:
            raise ValueError(f"a call's key has 1 to {KEY_LENGTH} characters")
        began = monotonic()
        try:
            outcomes = await self._sent(call)
        except OutcomeUnknown:
            self._doubt(call.key, began)
            raise
        if any(isinstance(outcome, OutcomeUnknown) for outcome in outcomes):
            self._doubt(call.key, began)
        else:
            self._doubts.pop(call.key, None)
        return outcomes

    async def _sent(self, call: Call) -> list[Outcome]:
        outcomes = await self._settled_before(call)
        waiting = [
            (index, step, self._reading.calls(step.spec))
            for index, step in enumerate(call.steps)
            if index not in outcomes
        ]
        plan = planning.make_plan(self._tenant, waiting, call.key)
        outcomes.update(plan.refused)
        begun = any(isinstance(outcome, Record | Tombstone) for outcome in outcomes.values())
        down: ProviderError | None = None
        for planned in plan.requests:
            if down is not None:
                outcomes.update(dict.fromkeys(planned.indexes, down))
                continue
            try:
                outcomes.update(await self._carry_out(planned, call.steps))
            except ProviderRefusal as refused:
                outcomes.update(dict.fromkeys(planned.indexes, refused))
            except SqlsyncError as error:
                if not begun:
                    raise
                # Others are done: only these are not, and what comes after them.
                if not isinstance(error, ProviderError):
                    error = Unreachable(str(error))
                outcomes.update(dict.fromkeys(planned.indexes, error))
                down = None if isinstance(error, OutcomeUnknown) else error
            begun = True
        return [outcomes[index] for index in range(len(call.steps))]

    # -- before anything is sent --------------------------------------------------------------

    async def _settled_before(self, call: Call) -> dict[int, Outcome]:
        """What can be told without sending: records that changed or are gone; and for a call
        that went out before, what it has done already."""
        outcomes: dict[int, Outcome] = {}
        first_sent = await self._first_sent(call)
        by_table: dict[str, list[tuple[int, Step]]] = {}
        for index, step in enumerate(call.steps):
            by_table.setdefault(step.spec.table, []).append((index, step))
        for steps in by_table.values():
            calls = self._reading.calls(steps[0][1].spec)
            standing = [(i, step) for i, step in steps if step.kind is not StepKind.CREATE]
            ids = [str(step.id) for _, step in standing]
            found = await self._reading.fetch_many(calls, ids, writes=True) if ids else []
            current = {record.id.lower(): record for record in found}
            for index, step in standing:
                said = planning.judge(step, calls, current.get(str(step.id).lower()))
                if said is not None:
                    outcomes[index] = said
            if first_sent is not None:
                created = [(i, step) for i, step in steps if step.kind is StepKind.CREATE]
                outcomes.update(await self._created_before(calls, created, first_sent))
        return outcomes

    async def _created_before(
        self, calls: Calls, steps: Sequence[tuple[int, Step]], first_sent: datetime
    ) -> dict[int, Record]:
        """Records that creates of unknown outcome have made, by the index of the step.

        Raises OutcomeUnknown where more records fit than creates: nobody can tell which is ours.
        """
        wanted: dict[int, Json] = {}
        for index, step in steps:
            try:
                wanted[index] = bodies.created(step, calls)
            except ProviderRefusal:
                continue  # was never sent, and will not be
        candidates = await self._made_since(calls, first_sent - _SKEW) if wanted else []
        found: dict[int, Record] = {}
        for index, body in wanted.items():
            fitting = [
                r
                for r in candidates
                if shows(decode_record(r.raw), body, fine=calls.price_rounding)
            ]
            alike = sum(1 for other in wanted.values() if other == body)
            if len(fitting) > alike:
                raise OutcomeUnknown(
                    f"{About(calls.spec).subject}: {len(fitting)} records in Xero could be the one"
                    " that an unanswered write was to create",
                    detail=", ".join(record.id for record in fitting),
                )
            free = [r for r in fitting if all(r.id != other.id for other in found.values())]
            if free:
                found[index] = free[0]
        return found

    async def _made_since(self, calls: Calls, since: datetime) -> list[Record]:
        if not calls.modified_since:
            records = (await self._reading.listed(calls, writes=True)).values()
            return [r for r in records if (_made_at(calls, r) or since) >= since]
        found: dict[str, Record] = {}
        walk: Walk | None = Walk(since)
        for _ in range(LOOK_PAGES):
            assert walk is not None
            page, walk, _at = await self._reading.walked(calls, walk, writes=True)
            found.update((r.id, r) for r in page if (r.updated_at or since) >= since)
            if walk is None:
                return list(found.values())
        raise OutcomeUnknown(
            f"{About(calls.spec).subject}: too much was changed since to find what an unanswered"
            " write has created"
        )

    async def _first_sent(self, call: Call) -> datetime | None:
        """When a call went out first, by their clock; None where this is the first time."""
        seconds = [call.first_sent_seconds_ago] if call.first_sent_seconds_ago is not None else []
        if call.key in self._doubts:
            seconds.append(monotonic() - self._doubts[call.key])
        if not seconds:
            return None
        return await self._reading.now() - timedelta(seconds=max(seconds))

    def _doubt(self, key: str, since: float) -> None:
        self._doubts.setdefault(key, since)
        while len(self._doubts) > _DOUBTS:
            self._doubts.popitem(last=False)

    # -- one request --------------------------------------------------------------------------

    async def _carry_out(self, planned: Planned, steps: Sequence[Step]) -> Mapping[int, Outcome]:
        abouts = [bodies.about_step(steps[index]) for index in planned.indexes]
        calls = self._reading.calls(steps[planned.indexes[0]].spec)
        tried = 0

        async def once() -> tuple[HttpResponse, responses.Envelope]:
            nonlocal tried
            tried += 1
            response = await self._exchange.send(planned.request, abouts[0], writes=True)
            if planned.answer == "nothing" and response.status == 404 and tried > 1:
                response = HttpResponse(204, response.headers, b"")  # an earlier try has done it
            return response, responses.read_answer(response, abouts[0])

        response, envelope = await self._exchange.write(once)
        trace = response.trace_id
        if planned.answer == "nothing":
            [index] = planned.indexes
            return {index: Tombstone(calls.spec.table, str(steps[index].id))}
        if planned.answer == "row":
            [index] = planned.indexes
            refused = responses.row_refusal(envelope, planned.collection, abouts[0], trace_id=trace)
            return {index: refused or await self._read_back(calls, str(steps[index].id), abouts[0])}
        found = responses.written(envelope, calls, abouts, known=planned.known, trace_id=trace)
        _tell_warnings(envelope, calls)
        return {
            index: await self._shown(calls, steps[index], about, outcome)
            for index, about, outcome in zip(planned.indexes, abouts, found, strict=True)
        }

    async def _shown(self, calls: Calls, step: Step, about: About, outcome: Outcome) -> Outcome:
        """The outcome, with the record read again where the answer shows a part of it only."""
        if not isinstance(outcome, Record):
            return outcome
        if step.id is not None and outcome.id.lower() != step.id.lower():
            return OutcomeUnknown(
                f"{about.subject}: Xero answered with another record, {outcome.id}."
            )
        if responses.is_whole(calls, outcome, step.fields):
            return outcome
        return await self._read_back(calls, outcome.id, about)

    async def _read_back(self, calls: Calls, record_id: str, about: About) -> Outcome:
        """A record that was just written. It is written: failing to read it is no refusal."""
        try:
            record = await self._reading.fetch(calls, record_id, writes=True)
        except SqlsyncError as error:
            return OutcomeUnknown(f"{about.subject}: written, and not read back: {error}")
        if record is None:
            return OutcomeUnknown(f"{about.subject}: written, and not found afterwards.")
        return record


def _tell_warnings(envelope: responses.Envelope, calls: Calls) -> None:
    for raw in responses.items(envelope, calls):
        if b'"Warnings"' in raw:
            told = [warning.message for warning in warnings_in(decode_record(raw))]
            if told:
                log.warning("Xero saved with a warning", object=calls.spec.title, said=told)


def _made_at(calls: Calls, record: Record) -> datetime | None:
    """When a record was made or changed, where it says so."""
    if record.updated_at is not None:
        return record.updated_at
    created = calls.spec.by_column.get("created_at")
    return instant_of(decode_record(record.raw).get(created.path[-1])) if created else None
