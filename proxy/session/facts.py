"""The marker: what holds upstream just now, behind all the replies that the client is owed.

It proves what a held Execute would run (pg_cursors shows the unnamed portal too, with the
client's exact text), resolves the written name as the session sees it, and reads the settings
that a write depends on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from proxy.session import wire
from proxy.session.core import Prepared, SessionCore
from proxy.session.effects import OwnResult, Script
from proxy.session.runs import NONCE, separated
from proxy.statements.model import Place, Relation, Statement

# $4: the portal runs a statement of SQL PREPARE, whose text stands somewhere in the string.
# $5, $6: the name and the text of what is run by SQL EXECUTE, if anything is.
_FACTS = (
    b"/* sqlsync */ select exists(select from pg_catalog.pg_cursors c where c.name = $1"
    b" and case when $4 then pg_catalog.strpos(c.statement, $2) > 0 else c.statement = $2 end)"
    b' as "' + NONCE + b'",'
    b" pg_catalog.current_setting('transaction_read_only'),"
    b" pg_catalog.current_setting('client_min_messages'),"
    b" pg_catalog.current_setting('statement_timeout'),"
    b" pg_catalog.current_setting('lock_timeout'),"
    b" coalesce(pg_catalog.current_setting('transaction_timeout', true), '0'),"
    b" coalesce(pg_catalog.current_setting('sqlsync.on_missing', true), ''),"
    b" pg_catalog.pg_backend_pid(), session_user,"
    b" (select n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n"
    b" on n.oid = c.relnamespace where c.oid = pg_catalog.to_regclass($3)),"
    b" (select c.relname from pg_catalog.pg_class c where c.oid = pg_catalog.to_regclass($3)),"
    b" (select pg_catalog.json_agg(a.attname order by a.attnum) from pg_catalog.pg_attribute a"
    b" where a.attrelid = pg_catalog.to_regclass($3) and a.attnum > 0 and not a.attisdropped),"
    b" $5 is null or exists(select from pg_catalog.pg_prepared_statements p where p.name = $5"
    b" and pg_catalog.strpos(p.statement, $6) > 0)"
)
_FACTS_TYPES = wire.typed(
    *(wire.TEXT_OID, wire.TEXT_OID, wire.TEXT_OID),
    *(wire.BOOL_OID, wire.TEXT_OID, wire.TEXT_OID),
)
_TAKEN = {
    b"P": b"/* sqlsync */ select exists(select from pg_catalog.pg_cursors where name = $1)",
    b"S": b"/* sqlsync */ select exists("
    b"select from pg_catalog.pg_prepared_statements where name = $1)",
}


@dataclass(frozen=True, slots=True)
class ByName:
    """SQL EXECUTE: its arguments as text, and the name and text of the prepared statement."""

    name: bytes
    text: bytes
    arguments: str


def by_name_of(session: SessionCore, execute: Statement, named: Prepared) -> ByName:
    """execute: the EXECUTE; named: what it runs."""
    # A character that the client's encoding has lost by now makes it another text: unproven.
    text = named.statement.text.strip().encode(session.codec or "ascii", "replace")
    whole = named.parse.sql if named.parse else text
    return ByName(session.statement_name(execute), whole, execute.arguments)


@dataclass(frozen=True, slots=True)
class Facts:
    """What holds on upstream's side at the moment a write is held."""

    proven: bool  # the client's portal is there and would run this very text
    read_only: bool
    client_min_messages: str
    statement_timeout: str
    lock_timeout: str
    transaction_timeout: str
    on_missing: str
    pid: int
    user: str
    relation: Relation | None  # None: the name means something that is not mirrored; columns as now
    is_prepared: bool  # what SQL EXECUTE names is there and is what we take it for


def ask_facts(
    session: SessionCore,
    place: Place | None = None,
    portal: bytes = b"",
    text: bytes = b"",
    *,
    inside: bool = False,
    by_name: ByName | None = None,
) -> Script:
    """Returns Facts. place: what the write names. inside: `text` is part of a longer string.

    by_name: what SQL EXECUTE runs.

    Raises SegmentFailed, UpstreamError.
    """
    codec = session.codec or "ascii"
    name = None
    if place is not None:
        parts = [part for part in place if part is not None]
        quoted = ".".join('"' + part.replace('"', '""') + '"' for part in parts)
        name = quoted.encode(codec, "replace")
    found: OwnResult = yield from separated(
        session,
        _FACTS,
        wire.values(
            wire.Value(portal),
            wire.Value(text),
            wire.Value(name),
            wire.Value(b"t" if inside else b"f"),
            wire.Value(by_name.name if by_name else None),
            wire.Value(by_name.text if by_name else None),
        ),
        _FACTS_TYPES,
    )
    row = [
        None if column is None else column.decode(codec, "replace")
        for column in wire.columns_of(found.rows[0])
    ]
    return Facts(
        proven=row[0] == "t",
        read_only=row[1] == "on",
        client_min_messages=row[2] or "",
        statement_timeout=row[3] or "0",
        lock_timeout=row[4] or "0",
        transaction_timeout=row[5] or "0",
        on_missing=row[6] or "",
        pid=int(row[7] or 0),
        user=row[8] or "",
        relation=_with_columns(
            session.host.names.relations.get((row[9] or "", row[10] or "")), row[11]
        ),
        is_prepared=row[12] == "t",
    )


def _with_columns(relation: Relation | None, columns: str | None) -> Relation | None:
    """Columns come and go while people choose; the names are some seconds old."""
    if relation is None or columns is None:
        return relation
    return replace(relation, columns=tuple(json.loads(columns)))


def is_taken(session: SessionCore, what: bytes, name: bytes) -> Script:
    """Whether upstream has a portal (b"P") or statement (b"S") of this name."""
    found: OwnResult = yield from separated(
        session,
        _TAKEN[what] + b' as "' + NONCE + b'"',
        wire.values(wire.Value(name)),
        wire.typed(wire.TEXT_OID),
    )
    return wire.columns_of(found.rows[0]) == [b"t"]
