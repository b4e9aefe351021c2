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
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from proxy.session import wire
from proxy.session.core import OWN_WRITE, Facts, OpenWrites, SessionCore
from proxy.session.effects import (
    Execute,
    FetchMissing,
    OwnResult,
    Refused,
    Script,
)
from proxy.statements.model import Relation, Write
from proxy.statements.returning import (
    CannotReturn,
    Returning,
    answer_query,
    read_returning,
    second_run,
)
from sqlsync.errors import NotFound, SqlsyncError, StaleVersion, Unsupported
from sqlsync.writes.model import CancelToken, Change, WriteRequest, WriteResult

REHEARSALS = 3  # tries until the rows hold still
_DECODE = msgspec.json.Decoder(float_hook=Decimal).decode
_ENCODE = msgspec.json.Encoder(decimal_format="number").encode

_SAVEPOINT = SessionCore.own(b"SAVEPOINT __sqlsync")
_UNDO = SessionCore.own(b"ROLLBACK TO SAVEPOINT __sqlsync") + SessionCore.own(
    b"RELEASE SAVEPOINT __sqlsync"
)
_CAPTURED = SessionCore.own(
    b"/* sqlsync */ select sqlsync.rehearsed(),"
    b" pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text",
    wire.values(results=(1,)),
)
_TICKETED = wire.typed(wire.BYTEA_OID, wire.BYTEA_OID)
_UNITS = {"": 0.001, "us": 1e-6, "ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Held:
    """The statement as the client gave it.

    tail: of its Bind. by_name: SQL EXECUTE, whose text is not the write's own.
    """

    write: Write
    text: bytes
    end: int  # characters of the text up to the statement's end
    oids: bytes = wire.NO_PARAMETERS
    tail: bytes = wire.NO_BIND
    by_name: bool = False


@dataclass(slots=True)
class Answer:
    """What the client gets: DataRow messages and the command tag."""

    tag: bytes
    rows: deque[bytes] = field(default_factory=deque)


class Native:
    """The statement turned out to be none of ours: let upstream run it as it is."""


@dataclass(slots=True)
class Rehearsed:
    result: OwnResult
    changes: list[Change]
    schema: str
    xid: str | None


def run_write(session: SessionCore, held: Held, facts: Facts) -> Script:
    """Returns Answer or Native. Raises UpstreamError, or Refused with the client's error."""
    relation = facts.relation
    assert relation is not None
    returning = _returning(held, relation)
    looked = False
    for attempt in range(REHEARSALS + 2):
        rehearsed: Rehearsed = yield from _rehearse(session, held, facts, returning)
        if not rehearsed.changes:
            count = wire.tag_count(rehearsed.result.tag)
            missing = _missing_id(held, relation, facts) if count == 0 and not looked else None
            if missing is not None:
                looked = True
                yield from _fetch_missing(session, relation, facts, missing)
                continue
            if count and not held.write.around:
                return Native()
            session.to_client.extend(rehearsed.result.notices)
            if held.write.around and _writes_locally(held.write):
                return (yield from _second(session, held, facts, rehearsed, WriteResult()))
            return _plain_answer(rehearsed, returning)
        locked = yield from _lock(session, facts, rehearsed)
        if locked is not None:
            break
        if attempt >= REHEARSALS:
            raise Refused(StaleVersion("could not serialize access due to concurrent update"))
    session.to_client.extend(rehearsed.result.notices)
    result: WriteResult = yield from _call(session, facts, rehearsed, locked)
    session.applying = True
    try:
        answer = yield from _apply_and_answer(session, held, facts, rehearsed, result, returning)
    finally:
        session.applying = False
    session.say_notices(result.notices)
    return answer


def _returning(held: Held, relation: Relation) -> Returning | None:
    if not held.write.returns or held.write.around:
        return None
    if held.by_name:
        raise Refused(
            Unsupported(
                "EXECUTE of a prepared write with RETURNING is not supported",
                hint="Run the statement itself, or prepare it through the driver.",
            )
        )
    try:
        return read_returning(held.write, relation)
    except CannotReturn as error:
        raise Refused(Unsupported(error.refusal.message, hint=error.refusal.hint)) from error


def _rehearse(
    session: SessionCore, held: Held, facts: Facts, returning: Returning | None
) -> Script:
    nonce = session.nonce()
    text, tail = held.text, held.tail
    if returning is not None:
        codec = session.codec or "ascii"
        whole = held.text.decode(codec)
        text = (whole[: held.end] + returning.hidden + whole[held.end :]).encode(codec)
        tail = wire.BindTail.read(held.tail).with_hidden(len(_keys(returning)))
    session.to_upstream.append(
        _SAVEPOINT
        + session.own(
            b"/* sqlsync */ select sqlsync.open_rehearsal($1, $2)",
            _ticket(session, facts, "rehearse", nonce),
            _TICKETED,
        )
        + session.own(text, tail, held.oids, name=OWN_WRITE, described=True)
        + _CAPTURED
        + _UNDO
        + wire.FLUSH
    )
    yield from session.result()
    yield from session.result()
    result: OwnResult = yield from session.result()
    captured: OwnResult = yield from session.result()
    yield from session.result()
    yield from session.result()
    payload, xid = wire.columns_of(captured.rows[0])
    schema, changes = _changes(_DECODE(payload or b"[]"))
    return Rehearsed(result, changes, schema, xid.decode() if xid else None)


def _keys(returning: Returning) -> range:
    return range(returning.hidden.count('"__key'))


def _ticket(session: SessionCore, facts: Facts, purpose: str, payload: bytes) -> bytes:
    mac = session.host.tickets.mac(purpose, facts.pid, payload)
    return wire.values(wire.Value(payload, True), wire.Value(mac, True))


def _changes(captured: list[dict[str, Any]]) -> tuple[str, list[Change]]:
    """Raises Refused where two connections' tables were written."""
    schemas = {part["schema"] for part in captured}
    if len(schemas) > 1:
        raise Refused(
            Unsupported(
                "one statement wrote tables of two connections",
                hint="Write each company in a statement of its own.",
            )
        )
    changes = []
    for part in captured:
        old, new = part["old"], part["new"]
        for n in range(len(old or new)):
            changes.append(
                Change(
                    part["table"],
                    part["operation"],
                    old[n] if old else None,
                    new[n] if new else None,
                )
            )
    return (schemas.pop() if schemas else ""), changes


def _missing_id(held: Held, relation: Relation, facts: Facts) -> str | None:
    """The id that the WHERE names, where a row the mirror lacks is worth a question."""
    if held.write.by_id is None or relation.is_child or facts.on_missing == "zero":
        return None
    kind, value = held.write.by_id
    if kind == "text":
        return str(value)
    parameters = wire.BindTail.read(held.tail).parameters()
    if not 0 < int(value) <= len(parameters):
        return None
    data = parameters[int(value) - 1].data
    return None if data is None else data.decode("utf-8", "replace")


def _fetch_missing(
    session: SessionCore, relation: Relation, facts: Facts, record_id: str
) -> Script:
    schema = relation.base[0] if relation.base else relation.schema
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
    yield from _flight(session, facts, payload, b"")


def _lock(session: SessionCore, facts: Facts, rehearsed: Rehearsed) -> Script:
    """Returns the parents' raw by (table, id), or None where a row has changed meanwhile."""
    relations = session.host.names.relations
    wanted: dict[tuple[str, str], set[str]] = {}
    for change in rehearsed.changes:
        relation = relations.get((rehearsed.schema, change.table))
        if relation is None:
            raise Refused(
                Unsupported(
                    f'"{change.table}" is mirrored, but not known here yet',
                    hint="Run the statement again in a moment.",
                )
            )
        image = change.old or change.new or {}
        parent = relation.keys[0]
        if relation.is_child:
            for side in (change.old, change.new):
                if side is not None and side.get(parent) is not None:
                    wanted.setdefault((relation.object_table, "id"), set()).add(side[parent])
                    wanted.setdefault((change.table, parent), set()).add(side[parent])
        elif change.old is not None:
            wanted.setdefault((change.table, "id"), set()).add(image["id"])
    if not wanted:
        return {}
    # Parents before children, always in the same order, so that nobody waits in a circle.
    order = sorted(wanted, key=lambda place: (place[1] != "id", place))
    payload = _ENCODE(
        {
            "schema": rehearsed.schema,
            "locks": [{"table": t, "column": c, "ids": sorted(wanted[t, c])} for t, c in order],
        }
    )
    session.to_upstream.append(
        session.own(
            b"/* sqlsync */ select sqlsync.lock_rows($1, $2)",
            _binary(_ticket(session, facts, "lock", payload)),
            _TICKETED,
        )
    )
    if facts.transaction_timeout not in ("", "0"):
        session.to_upstream.append(_set("transaction_timeout", "0"))
    session.to_upstream.append(wire.FLUSH)
    found: OwnResult = yield from session.result()
    if facts.transaction_timeout not in ("", "0"):
        yield from session.result()
    (column,) = wire.columns_of(found.rows[0])
    parents: dict[tuple[str, str], bytes] = {}
    images: dict[str, list[Mapping[str, Any]]] = {}
    for (table, key), rows in zip(order, _DECODE(column or b"[]"), strict=True):
        images[table] = [row["image"] for row in rows]
        if key == "id":
            for row in rows:
                parents[table, row["image"]["id"]] = _ENCODE(row["raw"])
    for change in rehearsed.changes:
        if change.old is not None and change.old not in images.get(change.table, ()):
            return None
    return parents


def _binary(tail: bytes) -> bytes:
    return tail[:-4] + b"\0\x01\0\x01"


def _set(name: str, value: str) -> bytes:
    return SessionCore.own(
        b"/* sqlsync */ select pg_catalog.set_config($1, $2, true)",
        wire.values(wire.Value(name.encode()), wire.Value(value.encode())),
        wire.typed(wire.TEXT_OID, wire.TEXT_OID),
    )


def _call(
    session: SessionCore,
    facts: Facts,
    rehearsed: Rehearsed,
    parents: dict[tuple[str, str], bytes],
) -> Script:
    if session.open is None:
        session.open = OpenWrites()
    session.open.xid = rehearsed.xid or session.open.xid
    session.token = CancelToken()
    try:
        result: WriteResult = yield Execute(
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
    session.open.entries.update(UUID(str(entry)) for entry in result.entries)
    return result


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


def _flight(session: SessionCore, facts: Facts, payload: bytes, then: bytes) -> Script:
    """Applies a payload with the client's timeouts off, then runs `then` in the same flight.

    Returns the result of `then`, None where it is empty. An accepted write must not fail
    because the client is in a hurry.
    """
    timeouts = [
        (name, value)
        for name, value in (
            ("statement_timeout", facts.statement_timeout),
            ("lock_timeout", facts.lock_timeout),
        )
        if value not in ("", "0")
    ]
    back = list(timeouts)
    if facts.transaction_timeout not in ("", "0"):
        back.append(("transaction_timeout", facts.transaction_timeout))
    session.to_upstream.append(
        b"".join(_set(name, "0") for name, _ in timeouts)
        + session.own(
            b"/* sqlsync */ select sqlsync.apply($1, $2)",
            _ticket(session, facts, "apply", payload),
            _TICKETED,
        )
        + then
        + b"".join(_set(name, value) for name, value in back)
        + wire.FLUSH
    )
    for _ in timeouts:
        yield from session.result()
    yield from session.result()
    found = (yield from session.result()) if then else None
    for _ in back:
        yield from session.result()
    return found


def _apply_and_answer(
    session: SessionCore,
    held: Held,
    facts: Facts,
    rehearsed: Rehearsed,
    result: WriteResult,
    returning: Returning | None,
) -> Script:
    if held.write.around:
        return (yield from _second(session, held, facts, rehearsed, result))
    relation = facts.relation
    assert relation is not None
    if returning is None:
        if result.payload:
            yield from _flight(session, facts, result.payload, b"")
        return Answer(rehearsed.result.tag)
    if not (result.payload and returning.answer_list and rehearsed.result.rows):
        if result.payload:
            yield from _flight(session, facts, result.payload, b"")
        return _plain_answer(rehearsed, returning)
    keys = _row_keys(relation, rehearsed, returning, result)
    oids = wire.parameter_oids(rehearsed.result.parameters)
    tail = wire.BindTail.read(held.tail)
    total = wire.column_count(rehearsed.result.description) - len(relation.keys)
    places = _asked_columns(returning, total)
    asked: OwnResult = yield from _flight(
        session,
        facts,
        result.payload,
        session.own(
            answer_query(returning, relation, len(oids)).encode(session.codec or "ascii"),
            wire.values(
                *tail.parameters(),
                *(wire.Value(wire.text_array(list(column))) for column in zip(*keys, strict=True)),
                results=(0, *(tail.result_code(n) for n in places)),
            ),
            wire.typed(*oids, *(wire.TEXT_ARRAY_OID,) * len(relation.keys)),
            name=OWN_WRITE,
        ),
    )
    answers = {}
    for row in asked.rows:
        ordinal, *shown = wire.columns_of(row)
        answers[int(ordinal or 0)] = shown
    rows: deque[bytes] = deque()
    for n, row in enumerate(rehearsed.result.rows, 1):
        columns = wire.columns_of(row)[:total]
        for place, value in zip(places, answers.get(n, ()), strict=False):
            columns[place] = value
        rows.append(wire.data_row(columns))
    return Answer(rehearsed.result.tag, rows)


def _plain_answer(rehearsed: Rehearsed, returning: Returning | None) -> Answer:
    """The rehearsed rows, less the hidden columns."""
    if returning is None:
        return Answer(rehearsed.result.tag, deque(rehearsed.result.rows))
    hidden = len(_keys(returning))
    rows = (wire.data_row(wire.columns_of(r)[:-hidden]) for r in rehearsed.result.rows)
    return Answer(rehearsed.result.tag, deque(rows))


def _asked_columns(returning: Returning, total: int) -> list[int]:
    """Places, among the visible columns, of the outputs that are asked again."""
    known = sum(o.width for o in returning.outputs if o.width is not None)
    at = 0
    places: list[int] = []
    for output in returning.outputs:
        width = output.width if output.width is not None else total - known
        if output.asked_again:
            places.extend(range(at, at + width))
        at += width
    return places


def _row_keys(
    relation: Relation, rehearsed: Rehearsed, returning: Returning, result: WriteResult
) -> list[tuple[str, ...]]:
    hidden = len(_keys(returning))
    keys = []
    for row in rehearsed.result.rows:
        values = [(c or b"").decode() for c in wire.columns_of(row)[-hidden:]]
        keys.append(_real_key(relation, values, result))
    return keys


def _real_key(relation: Relation, values: list[str], result: WriteResult) -> tuple[str, ...]:
    """The key a row has now; the last column is the row's own, one before it the parent's."""
    table = relation.base[1] if relation.base else relation.name
    own = result.keys.get((table, values[-1]), values[-1])
    if len(values) == 1:
        return (own,)
    return (result.keys.get((relation.object_table, values[0]), values[0]), own)


def _writes_locally(write: Write) -> bool:
    return type(write.tree).__name__ != "SelectStmt"


def _second(
    session: SessionCore, held: Held, facts: Facts, rehearsed: Rehearsed, result: WriteResult
) -> Script:
    """Runs the statement around a writing WITH, with the write replaced by its rows."""
    relation = facts.relation
    assert relation is not None
    oids = wire.parameter_oids(rehearsed.result.parameters)
    tail = wire.BindTail.read(held.tail)
    table = relation.base[1] if relation.base else relation.name
    ours = [c for c in rehearsed.changes if c.table == table]
    ours = [c for c in ours if c.operation == held.write.verb.lower()] or ours
    if held.write.target.returningClause is None:
        extra: list[wire.Value] = []
        types: tuple[int, ...] = ()
    elif held.write.verb == "DELETE":
        extra = [wire.Value(_ENCODE([c.old for c in ours]))]
        types = (wire.JSONB_OID,)
    else:
        keys = [
            _real_key(relation, [str((c.new or {})[k]) for k in relation.keys], result)
            for c in ours
        ]
        columns = list(zip(*keys, strict=True)) or [()] * len(relation.keys)
        extra = [wire.Value(wire.text_array(list(column))) for column in columns]
        types = (wire.TEXT_ARRAY_OID,) * len(relation.keys)
    try:
        sql = second_run(held.write, relation, len(oids))
    except CannotReturn as error:
        raise Refused(Unsupported(error.refusal.message, hint=error.refusal.hint)) from error
    own = session.own(
        sql.encode(session.codec or "ascii"),
        wire.values(*tail.parameters(), *extra, results=tail.results),
        wire.typed(*oids, *types),
        name=OWN_WRITE,
    )
    if result.payload:
        found: OwnResult = yield from _flight(session, facts, result.payload, own)
    else:
        session.to_upstream.append(own + wire.FLUSH)
        found = yield from session.result()
    return Answer(found.tag, deque(found.rows))
