"""The rehearsal: the client's own statement, run and undone, and the rows it changed locked.

The statement runs in a savepoint with the guard open; what it did is captured by triggers, and
the savepoint rolled back. That gives up the row locks too, so the rows are then locked by key,
in key order; one that changed in between shows by its image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from proxy.session import wire
from proxy.session.core import SessionCore
from proxy.session.effects import OwnResult, Refused, Script, UpstreamError
from proxy.session.facts import ByName, Facts
from proxy.session.runs import own, result, run
from proxy.statements.model import Relation, Write
from proxy.statements.returning import Returning, printed
from schema.values import decode
from sqlsync.errors import Unsupported
from sqlsync.writes.model import Change

ENCODE = msgspec.json.Encoder(decimal_format="number").encode
TICKETED = wire.typed(wire.BYTEA_OID, wire.BYTEA_OID)

_SAVEPOINT = own(b"SAVEPOINT __sqlsync")
_UNDO = own(b"ROLLBACK TO SAVEPOINT __sqlsync") + own(b"RELEASE SAVEPOINT __sqlsync")
_CAPTURED = own(
    b"/* sqlsync */ select sqlsync.rehearsed(),"
    b" pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text",
    wire.values(results=(1,)),
)
_TYPES = (
    b"/* sqlsync */ select pg_catalog.array_to_string(parameter_types, ', ')"
    b" from pg_catalog.pg_prepared_statements where name = $1"
)


@dataclass(frozen=True, slots=True)
class Held:
    """The statement as the client gave it.

    end: characters of the text up to the statement's end. tail: of its Bind. by_name: the
    text is an EXECUTE, not the write's own.
    """

    write: Write
    text: bytes
    end: int
    oids: bytes = wire.NO_PARAMETERS
    tail: bytes = wire.NO_BIND
    by_name: ByName | None = None


@dataclass(slots=True)
class Rehearsed:
    """What the statement answered and changed, before it was undone.

    schema: of the connection whose tables it changed; empty where it changed none.
    """

    ran: OwnResult
    changes: list[Change]
    schema: str
    xid: str | None


def rehearse(session: SessionCore, held: Held, facts: Facts, returning: Returning | None) -> Script:
    """Returns Rehearsed. Raises UpstreamError with what Postgres says of the statement."""
    codec = session.codec or "ascii"
    text, tail, prepared = held.text, held.tail, b""
    if returning is not None:
        tail = wire.BindTail.read(held.tail).with_hidden(returning.hidden_count)
        if held.by_name is None:
            whole = held.text.decode(codec)
            text = (whole[: held.end] + returning.hidden + whole[held.end :]).encode(codec)
        else:
            prepared = yield from _prepared(session, held, held.by_name, returning)
            text = f'EXECUTE "__sqlsync_p" ({held.by_name.arguments})'.encode(codec)
            if not held.by_name.arguments:
                text = b'EXECUTE "__sqlsync_p"'
    session.to_upstream.append(
        _SAVEPOINT
        + own(
            b"/* sqlsync */ select sqlsync.open_rehearsal($1, $2)",
            ticket(session, facts, "rehearse", session.host.nonce()),
            TICKETED,
        )
        + prepared
        + own(text, tail, held.oids, name=wire.OWN_WRITE, described=True)
        + (wire.close(b"S", wire.OWN_PREPARED) if prepared else b"")
        + _CAPTURED
        + _UNDO
        + wire.FLUSH
    )
    yield from result(session)
    yield from result(session)
    if prepared:
        yield from result(session, closes=5)
    try:
        ran: OwnResult = yield from result(session, closes=5 if prepared else 4)
    except UpstreamError as error:
        if held.by_name is None:
            raise
        raise UpstreamError(_renamed(error.message, held.by_name)) from error
    captured: OwnResult = yield from result(session)
    yield from result(session)
    yield from result(session)
    payload, xid = wire.columns_of(captured.rows[0])
    schema, changes = _changes(decode(payload or b"[]"))
    return Rehearsed(ran, changes, schema, xid.decode() if xid else None)


def _prepared(session: SessionCore, held: Held, by_name: ByName, returning: Returning) -> Script:
    """A statement like the client's, prepared by SQL, with the hidden outputs."""
    found: OwnResult = yield from run(
        session, _TYPES, wire.values(wire.Value(by_name.name)), wire.typed(wire.TEXT_OID)
    )
    types = b"".join(column or b"" for row in found.rows for column in wire.columns_of(row))
    query = (printed(held.write) + returning.hidden).encode(session.codec or "ascii")
    listed = b" (" + types + b")" if types else b""
    return wire.close(b"S", wire.OWN_PREPARED) + own(
        b'PREPARE "__sqlsync_p"' + listed + b" AS " + query
    )


def _renamed(error: bytes, by_name: ByName) -> bytes:
    """Of an EXECUTE the client knows the name that it gave."""
    fields = error[5:].replace(b'"__sqlsync_p"', b'"' + by_name.name + b'"')
    return wire.message(b"E", fields)


def undone(session: SessionCore) -> Script:
    """After an error in a rehearsal that is to be repeated. Upstream has skipped to a Sync."""
    session.to_upstream.append(_UNDO + wire.FLUSH)
    yield from result(session)
    yield from result(session)


def ticket(session: SessionCore, facts: Facts, purpose: str, payload: bytes) -> bytes:
    """The tail of a Bind with a payload and its mac; the result is asked for in binary."""
    mac = session.host.tickets.mac(purpose, facts.pid, payload)
    return wire.values(wire.Value(payload, True), wire.Value(mac, True), results=(1,))


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


def lock(session: SessionCore, facts: Facts, rehearsed: Rehearsed) -> Script:
    """Locks what was changed. Returns `raw` of the objects' rows by (table, id).

    Returns None where a row is no longer what the rehearsal saw.
    """
    wanted: dict[tuple[str, str], set[str]] = {}
    for change in rehearsed.changes:
        relation = _relation(session, rehearsed, change)
        parent = relation.keys[0]
        for image in (change.old, change.new if relation.is_child else None):
            if image is None or image.get(parent) is None:
                continue
            wanted.setdefault((relation.object_table, "id"), set()).add(image[parent])
            if relation.is_child:
                wanted.setdefault((change.table, parent), set()).add(image[parent])
    found = yield from lock_rows(session, facts, rehearsed.schema, wanted)
    current = {
        (table, *_key(_by_table(session, rehearsed.schema, table), row["image"])): row["image"]
        for (table, _), rows in found.items()
        for row in rows
    }
    for change in rehearsed.changes:
        if change.old is None:
            continue
        key = _key(_relation(session, rehearsed, change), change.old)
        if current.get((change.table, *key)) != change.old:
            return None
    return {
        (table, row["image"]["id"]): ENCODE(row["raw"])
        for (table, column), rows in found.items()
        if column == "id"
        for row in rows
    }


def lock_rows(
    session: SessionCore,
    facts: Facts,
    schema: str,
    wanted: Mapping[tuple[str, str], set[str]],
) -> Script:
    """wanted: (table, column) -> values. Returns the rows of each, as {"image", "raw"}."""
    if not wanted:
        return {}
    # Parents before children, always in the same order, so that nobody waits in a circle.
    order = sorted(wanted, key=lambda place: (place[1] != "id", place))
    payload = ENCODE(
        {
            "schema": schema,
            "locks": [{"table": t, "column": c, "ids": sorted(wanted[t, c])} for t, c in order],
        }
    )
    found: OwnResult = yield from run(
        session,
        b"/* sqlsync */ select sqlsync.lock_rows($1, $2)",
        ticket(session, facts, "lock", payload),
        TICKETED,
    )
    (column,) = wire.columns_of(found.rows[0])
    return dict(zip(order, decode(column or b"[]"), strict=True))


def _relation(session: SessionCore, rehearsed: Rehearsed, change: Change) -> Relation:
    return _by_table(session, rehearsed.schema, change.table)


def _by_table(session: SessionCore, schema: str, table: str) -> Relation:
    relation = session.host.names.relations.get((schema, table))
    if relation is None:
        raise Refused(
            Unsupported(
                f'"{table}" is mirrored, but not known here yet',
                hint="Run the statement again in a moment.",
            )
        )
    return relation


def _key(relation: Relation, image: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(image[column] for column in relation.keys)
