"""What a connection's tables hold now: their columns, and which of them are switched off."""

from __future__ import annotations

from dataclasses import dataclass, field

from schema.model import ObjectSpec
from schema.narrow import Columns, narrowed
from sqlsync.database import EngineConnection, sql

# {table: {column: type}} of the tables %s names; then the names of tables that are off.
SHAPE = """
(select coalesce(jsonb_object_agg(c.relname, (
    select jsonb_object_agg(a.attname, a.atttypid::regtype::text) from pg_attribute a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)), '{{}}')
 from pg_class c where c.relkind = 'r' and c.relnamespace = to_regnamespace({schema_ident})
 and c.relname = any({tables})),
(select coalesce(array_agg(f.table_name::text), '{{}}')
 from sqlsync.connection k join sqlsync.off f on f.connection_id = k.id
 where k.schema_name = {schema_name} and f.column_name = '' and f.table_name = any({tables}))
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """The tables of one object as they are. off: those that are switched off."""

    tables: dict[str, Columns] = field(default_factory=dict)
    off: frozenset[str] = frozenset()

    def narrow(self, spec: ObjectSpec) -> ObjectSpec:
        """The object as far as these tables hold it."""
        return narrowed(spec, self.tables, self.off)


def shape_columns(schema_name: str, spec: ObjectSpec) -> sql.Composed:
    """Two columns of a SELECT from which a Shape is made."""
    return sql.SQL(SHAPE).format(
        schema_ident=sql.Literal(sql.Identifier(schema_name).as_string(None)),
        schema_name=sql.Literal(schema_name),
        tables=sql.SQL("array[{}]").format(
            sql.SQL(", ").join(sql.Literal(t) for t in (spec.table, *spec.child_by_table))
        ),
    )


async def read_shape(connection: EngineConnection, schema_name: str, spec: ObjectSpec) -> Shape:
    """True as long as the caller's transaction holds a lock on the object's own table."""
    found = await connection.execute(sql.SQL("select {}").format(shape_columns(schema_name, spec)))
    row = await found.fetchone()
    assert row is not None
    return Shape(row[0], frozenset(row[1]))
