"""One write, from rehearsal to answer, inside a block that is already open.

    rehearse   the client's own statement runs in a savepoint with the guard open; what it did
               is captured, and the savepoint rolled back
    lock       the rows by key, in key order; if one changed since, rehearse again
    call       the write engine plans, journals and asks the provider
    apply      the provider's answer, by ticket
    answer     RETURNING over the applied rows

Everything Postgres has to say about the statement is said before any call, in its own words.
"""

from __future__ import annotations

import re
from uuid import UUID

from proxy.session import wire
from proxy.session.answer import answer, plain_answer, second_answer, writes_locally
from proxy.session.apply import apply, set_for_transaction
from proxy.session.core import OpenWrites, SessionCore
from proxy.session.effects import Execute, FetchMissing, Refused, Script, UpstreamError
from proxy.session.facts import Facts
from proxy.session.rehearsal import Held, Rehearsed, lock, lock_rows, rehearse, undone
from proxy.session.runs import result, synced
from proxy.statements.model import Relation
from proxy.statements.returning import CannotReturn, Returning, read_returning
from sqlsync.errors import NotFound, SqlsyncError, StaleVersion, Unsupported
from sqlsync.writes.model import CancelToken, WriteRequest, WriteResult

REHEARSALS = 3  # more of them than this, until the rows hold still, is 40001
_UNITS = {"": 0.001, "us": 1e-6, "ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}
_DEADLOCK = b"\0C40P01\0"


class Native:
    """The statement turned out to be none of ours: let upstream run it as it is."""


def run_write(session: SessionCore, held: Held, facts: Facts) -> Script:
    """Returns Answer or Native. Raises UpstreamError, or Refused with the client's error."""
    relation = facts.relation
    assert relation is not None
    returning = _returning(held, relation)
    looked = deadlocked = False
    stale = 0
    while True:
        try:
            rehearsed: Rehearsed = yield from rehearse(session, held, facts, returning)
        except UpstreamError as error:
            if deadlocked or _DEADLOCK not in error.message:
                raise
            # It took its locks in the order of the scan, and nothing has been called yet.
            deadlocked = True
            yield from synced(session)
            yield from undone(session)
            continue
        if not rehearsed.changes:
            if not looked and (yield from _fetched(session, held, facts, relation, rehearsed)):
                looked = True
                continue
            if not held.write.around and wire.tag_count(rehearsed.ran.tag):
                return Native()
            session.to_client.extend(rehearsed.ran.notices)
            if held.write.around and writes_locally(held.write):
                return (yield from second_answer(session, held, facts, rehearsed, WriteResult()))
            return plain_answer(rehearsed, returning)
        locked = yield from lock(session, facts, rehearsed)
        if locked is not None:
            break
        stale += 1
        if stale > REHEARSALS:
            raise Refused(StaleVersion("could not serialize access due to concurrent update"))
    session.to_client.extend(rehearsed.ran.notices)
    called: WriteResult = yield from _call(session, facts, rehearsed, locked)
    session.applying = True
    try:
        answered = yield from answer(session, held, facts, rehearsed, called, returning)
    finally:
        session.applying = False
    if facts.client_min_messages not in ("warning", "error"):
        session.say_notices(called.notices)
    return answered


def _returning(held: Held, relation: Relation) -> Returning | None:
    write = held.write
    if held.by_name is not None and write.around and write.parameters:
        raise Refused(
            Unsupported(
                "EXECUTE with parameters of a write in a WITH is not supported",
                hint="Run the statement itself, or prepare it through the driver.",
            )
        )
    if not write.returns or write.around:
        return None
    try:
        return read_returning(write, relation, by_name=held.by_name is not None)
    except CannotReturn as error:
        raise Refused(Unsupported(error.refusal.message, hint=error.refusal.hint)) from error


# -- a row that the mirror lacks -----------------------------------------------------------


def _fetched(
    session: SessionCore, held: Held, facts: Facts, relation: Relation, rehearsed: Rehearsed
) -> Script:
    """Whether a row that the WHERE names by id, and the mirror lacked, has been mirrored now.

    Raises Refused where the provider has none either.
    """
    if relation.is_child or facts.on_missing == "zero" or wire.tag_count(rehearsed.ran.tag):
        return False
    record_id = _named_id(held)
    if record_id is None:
        return False
    schema = relation.base[0] if relation.base else relation.schema
    place = (relation.object_table, "id")
    held_rows = yield from lock_rows(session, facts, schema, {place: {record_id}})
    if held_rows[place]:
        return False  # a policy, a view or a trigger hides it: no rows, as natively
    try:
        payload = yield FetchMissing(schema, relation.object_table, record_id)
    except SqlsyncError as error:
        raise Refused(error) from error
    if payload is None:
        raise Refused(
            NotFound(
                f"[{relation.provider_title}] {relation.object_title} `{record_id}` not found",
                hint="set sqlsync.on_missing = 'zero' to get a row count of 0 instead.",
                table=relation.object_table,
            )
        )
    yield from apply(session, facts, payload)
    return True


def _named_id(held: Held) -> str | None:
    if held.write.by_id is None:
        return None
    kind, value = held.write.by_id
    if kind == "text":
        return str(value)
    parameters = wire.BindTail.read(held.tail).parameters()
    if not 0 < int(value) <= len(parameters):
        return None
    data = parameters[int(value) - 1].data
    return None if data is None else data.decode("utf-8", "replace")


# -- the call ------------------------------------------------------------------------------


def _call(
    session: SessionCore,
    facts: Facts,
    rehearsed: Rehearsed,
    parents: dict[tuple[str, str], bytes],
) -> Script:
    """Returns a WriteResult. Raises Refused."""
    if facts.transaction_timeout != "0":
        # The one limit that would end the session while we wait; honoured by deadline.
        session.to_upstream.append(set_for_transaction("transaction_timeout", "0") + wire.FLUSH)
        yield from result(session)
    if session.open is None:
        session.open = OpenWrites()
    session.open.xid = rehearsed.xid or session.open.xid
    session.token = CancelToken()
    try:
        called: WriteResult = yield Execute(
            WriteRequest(
                schema_name=rehearsed.schema,
                changes=tuple(rehearsed.changes),
                parents=parents,
                role=facts.user,
                transaction=session.open.transaction,
                xid=session.open.xid,
                explicit_block=not session.own_block,
            ),
            session.token,
            _timeout_seconds(facts),
        )
    except SqlsyncError as error:
        raise Refused(error) from error
    finally:
        session.token = None
    session.open.entries.update(UUID(str(entry)) for entry in called.entries)
    return called


def _timeout_seconds(facts: Facts) -> float | None:
    """The client's own limits, honoured up to the moment the call goes out."""
    limits = [
        seconds
        for text in (facts.statement_timeout, facts.transaction_timeout)
        if (seconds := _seconds(text)) > 0
    ]
    return min(limits) if limits else None


def _seconds(setting: str) -> float:
    found = re.fullmatch(r"(\d+)\s*([a-z]*)", setting)
    return int(found[1]) * _UNITS.get(found[2], 0) if found else 0.0
