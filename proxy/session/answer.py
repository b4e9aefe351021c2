"""What the client is told of a write that has been accepted: its tag, and RETURNING.

Outputs that look at the written table are asked again, by key, over the applied rows; the rest
keeps the rehearsed value. A statement around a writing WITH is run a second time, with the
write replaced by its applied rows.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from proxy.session import wire
from proxy.session.apply import apply
from proxy.session.core import SessionCore
from proxy.session.effects import OwnResult, Refused, Script
from proxy.session.facts import Facts
from proxy.session.rehearsal import ENCODE, Held, Rehearsed
from proxy.session.runs import own
from proxy.statements.model import Relation, Write
from proxy.statements.returning import CannotReturn, Returning, answer_query, second_run
from sqlsync.errors import Unsupported
from sqlsync.writes.model import WriteResult


@dataclass(slots=True)
class Answer:
    """What the client gets: DataRow messages and the command tag."""

    tag: bytes
    rows: deque[bytes] = field(default_factory=deque)


def answer(
    session: SessionCore,
    held: Held,
    facts: Facts,
    rehearsed: Rehearsed,
    called: WriteResult,
    returning: Returning | None,
) -> Script:
    """Applies what the provider answered and returns an Answer. Raises UpstreamError."""
    if held.write.around:
        return (yield from second_answer(session, held, facts, rehearsed, called))
    relation = facts.relation
    assert relation is not None
    asks = returning is not None and returning.asks and rehearsed.ran.rows
    if returning is None or not called.payload or not asks:
        if called.payload:
            yield from apply(session, facts, called.payload)
        return plain_answer(rehearsed, returning)
    hidden = [wire.columns_of(row)[-returning.hidden_count :] for row in rehearsed.ran.rows]
    oids = () if held.by_name else wire.parameter_oids(rehearsed.ran.parameters)
    tail = wire.BindTail.read(held.tail)
    total = wire.column_count(rehearsed.ran.description) - returning.hidden_count
    places = returning.asked_places(total)
    codec = session.codec or "ascii"
    arrays = _arrays(relation, returning, hidden, called, codec)
    try:
        query = answer_query(returning, relation, len(oids), _types(returning, hidden))
    except CannotReturn as error:
        raise Refused(Unsupported(error.refusal.message, hint=error.refusal.hint)) from error
    asked: OwnResult = yield from apply(
        session,
        facts,
        called.payload,
        own(
            query.encode(codec),
            wire.values(
                *tail.parameters(),
                *arrays,
                results=(0, *(tail.result_code(place) for place in places)),
            ),
            wire.typed(*oids, *(wire.TEXT_ARRAY_OID,) * len(arrays)),
            name=wire.OWN_WRITE,
        ),
    )
    answers = {}
    for row in asked.rows:
        ordinal, *shown = wire.columns_of(row)
        answers[int(ordinal or 0)] = shown
    rows: deque[bytes] = deque()
    for n, row in enumerate(rehearsed.ran.rows, 1):
        columns = wire.columns_of(row)[:total]
        for place, value in zip(places, answers.get(n, ()), strict=False):
            columns[place] = value
        rows.append(wire.data_row(columns))
    return Answer(rehearsed.ran.tag, rows)


def plain_answer(rehearsed: Rehearsed, returning: Returning | None) -> Answer:
    """The rehearsed rows, less the hidden columns."""
    if returning is None:
        return Answer(rehearsed.ran.tag, deque(rehearsed.ran.rows))
    hidden = returning.hidden_count
    rows = (wire.data_row(wire.columns_of(row)[:-hidden]) for row in rehearsed.ran.rows)
    return Answer(rehearsed.ran.tag, deque(rows))


def _arrays(
    relation: Relation,
    returning: Returning,
    hidden: list[list[bytes | None]],
    called: WriteResult,
    codec: str,
) -> list[wire.Value]:
    """Keys, then carried values, each a text[] with one item a row."""
    count = len(relation.keys)
    keys = [
        _real_key(relation, [(value or b"").decode(codec) for value in row[:count]], called)
        for row in hidden
    ]
    arrays = [wire.Value(wire.text_array(column, codec)) for column in zip(*keys, strict=True)]
    for n in range(len(returning.carried)):
        carried = (row[count + 2 * n] for row in hidden)
        texts = [None if value is None else value.decode(codec) for value in carried]
        arrays.append(wire.Value(wire.text_array(texts, codec)))
    return arrays


def _types(returning: Returning, hidden: list[list[bytes | None]]) -> list[str]:
    """Names of the carried values' types, as the session itself writes them."""
    count = len(returning.carried)
    return [
        (hidden[0][2 * n - 2 * count + 1] or b"text").decode("ascii", "replace")
        for n in range(count)
    ]


def _real_key(relation: Relation, values: list[str], called: WriteResult) -> tuple[str, ...]:
    """The key a row has now; the last column is the row's own, one before it the parent's."""
    table = relation.base[1] if relation.base else relation.name
    own_key = called.keys.get((table, values[-1]), values[-1])
    if len(values) == 1:
        return (own_key,)
    return (called.keys.get((relation.object_table, values[0]), values[0]), own_key)


def writes_locally(write: Write) -> bool:
    return type(write.tree).__name__ != "SelectStmt"


def second_answer(
    session: SessionCore, held: Held, facts: Facts, rehearsed: Rehearsed, called: WriteResult
) -> Script:
    """Runs the statement around a writing WITH, with the write replaced by its rows."""
    relation = facts.relation
    assert relation is not None
    oids = wire.parameter_oids(rehearsed.ran.parameters)
    tail = wire.BindTail.read(held.tail)
    table = relation.base[1] if relation.base else relation.name
    ours = [c for c in rehearsed.changes if c.table == table]
    ours = [c for c in ours if c.operation == held.write.verb.lower()] or ours
    if not held.write.returns:
        extra: list[wire.Value] = []
        types: tuple[int, ...] = ()
    elif held.write.verb == "DELETE":
        extra = [wire.Value(ENCODE([c.old for c in ours]))]
        types = (wire.JSONB_OID,)
    else:
        keys = [
            _real_key(relation, [str((c.new or {})[k]) for k in relation.keys], called)
            for c in ours
        ]
        columns = list(zip(*keys, strict=True)) or [()] * len(relation.keys)
        extra = [wire.Value(wire.text_array(list(column))) for column in columns]
        types = (wire.TEXT_ARRAY_OID,) * len(relation.keys)
    try:
        sql = second_run(held.write, relation, len(oids))
    except CannotReturn as error:
        raise Refused(Unsupported(error.refusal.message, hint=error.refusal.hint)) from error
    found: OwnResult = yield from apply(
        session,
        facts,
        called.payload,
        own(
            sql.encode(session.codec or "ascii"),
            wire.values(*tail.parameters(), *extra, results=tail.results),
            wire.typed(*oids, *types),
            name=wire.OWN_WRITE,
        ),
    )
    return Answer(found.tag, deque(found.rows))
