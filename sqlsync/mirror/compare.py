"""Does the mirror hold what a provider gave? Compared in Postgres, to the field.

The records go the way of every page (`schema.codec`, temporary tables), and are then joined with
the mirrored rows instead of put in their place. So what is compared is what would be stored:
each column as it follows from the record, the record itself (`raw`), and the child rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from schema.codec import copy_encoder
from schema.model import ObjectSpec
from sqlsync.database import EngineConnection, sql
from sqlsync.mirror.columns import read_shape
from sqlsync.mirror.statements import ingest_statements

SEEN = "sqlsync_verify_seen"  # a temporary table: ids that the provider listed


@dataclass(frozen=True, slots=True)
class Difference:
    """A record that the mirror does not hold as given.

    version: of the mirrored row in Postgres (xmin); None: there is none. is_older: by its own
    version the mirrored row is older than the record, or is not there. fields: columns that
    differ; of child rows `invoice_line[2].amount`, and `invoice_line[2]` where a whole row is
    missing or too many.
    """

    id: str
    version: str | None
    is_older: bool
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """ids: of all records given, each once. rejected: reasons of items that are no record."""

    ids: tuple[str, ...]
    differences: tuple[Difference, ...]
    rejected: tuple[str, ...] = ()


async def compare(
    connection: EngineConnection,
    schema_name: str,
    spec: ObjectSpec,
    items: Sequence[bytes],
    *,
    children: bool = True,
) -> Compared:
    """Compares the records whose JSON texts are `items`. To be called in a transaction."""
    table = sql.Identifier(schema_name, spec.table)
    await connection.execute(sql.SQL("lock table {} in access share mode").format(table))
    there = (await read_shape(connection, schema_name, spec)).narrow(spec)
    page = copy_encoder(there).rows(items, children=children)
    rejected = tuple(reason for _, reason in page.rejected)
    if not page.ids:
        return Compared((), (), rejected)
    statements = ingest_statements(schema_name, there, children)
    await connection.execute(statements.stage)
    blobs = [(statements.copy_staged, page.blob)]
    blobs += [(copy, page.children.get(t, b"")) for t, copy in statements.copy_staged_children]
    for statement, blob in blobs:
        if blob:
            async with connection.cursor() as cursor, cursor.copy(statement) as copy:
                await copy.write(blob)
    found: dict[str, Difference] = {}
    for row in await (await connection.execute(statements.compare)).fetchall():
        record_id, version, is_older, fields = row
        shown = tuple(fields) if version is not None else ()
        found[record_id] = Difference(record_id, version, is_older, shown)
    absent = {i for i, difference in found.items() if difference.version is None}
    present = [i for i in page.ids if i not in absent]
    below: dict[str, list[str]] = defaultdict(list)
    for child, statement in statements.compare_children:
        rows = await (await connection.execute(statement, {"ids": present})).fetchall()
        for parent, key, fields in rows:
            place = f"{child}[{key}]"
            below[parent] += [f"{place}.{field}" for field in fields] or [place]
    if alike := [record_id for record_id in below if record_id not in found]:
        versions = await connection.execute(statements.seen, {"ids": alike})
        for record_id, version in await versions.fetchall():
            found[record_id] = Difference(record_id, version, False)
    differences = tuple(
        Difference(d.id, d.version, d.is_older, (*d.fields, *below[d.id]))
        for d in sorted(found.values(), key=lambda d: d.id)
    )
    return Compared(page.ids, differences, rejected)


async def begin_seen(connection: EngineConnection) -> None:
    """Starts to note what the provider lists. The session keeps it, not the process."""
    await connection.execute(
        f"create temporary table if not exists {SEEN} (id text primary key)".encode()
    )
    await connection.execute(f"truncate {SEEN}".encode())


async def note_seen(connection: EngineConnection, ids: Collection[str]) -> None:
    await connection.execute(
        f"insert into {SEEN} select unnest(%s::text[]) on conflict do nothing".encode(),
        [list(ids)],
    )


async def unseen(
    connection: EngineConnection, schema_name: str, spec: ObjectSpec, after: str, limit: int
) -> list[str]:
    """The next mirrored ids that the provider did not list, in order."""
    found = await connection.execute(
        sql.SQL(
            "select t.id from {t} t where t.id > %s and not exists"
            " (select from {seen} s where s.id = t.id) order by t.id limit %s"
        ).format(t=sql.Identifier(schema_name, spec.table), seen=sql.SQL(SEEN)),
        [after, limit],
    )
    return [row[0] for row in await found.fetchall()]


async def versions_of(
    connection: EngineConnection, schema_name: str, spec: ObjectSpec, ids: Sequence[str]
) -> dict[str, str]:
    """The versions in Postgres (xmin) of those of the rows that are mirrored."""
    statement = ingest_statements(schema_name, spec, False).seen
    return dict(await (await connection.execute(statement, {"ids": list(ids)})).fetchall())


async def orphans(
    connection: EngineConnection, schema_name: str, spec: ObjectSpec, *, remove: bool = False
) -> dict[str, list[str]]:
    """Child rows whose record is not mirrored: child table -> the record's ids."""
    found: dict[str, list[str]] = {}
    for child in spec.children:
        names = {
            "c": sql.Identifier(schema_name, child.table),
            "p": sql.Identifier(child.parent_column),
            "t": sql.Identifier(schema_name, spec.table),
        }
        alone = "where not exists (select from {t} t where t.id = c.{p})"
        statement = (
            f"with gone as (delete from {{c}} c {alone} returning c.{{p}} as id)"
            " select distinct id from gone order by id"
            if remove
            else f"select distinct c.{{p}} from {{c}} c {alone} order by 1"
        )
        rows = await (await connection.execute(sql.SQL(statement).format(**names))).fetchall()
        if rows:
            found[child.table] = [row[0] for row in rows]
    return found
