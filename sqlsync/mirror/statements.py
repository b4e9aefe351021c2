"""The SQL by which pages enter the mirror, made once per table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from schema.codec import copy_encoder, copy_statement
from schema.model import FieldSpec, ObjectSpec
from sqlsync.database import sql
from sqlsync.mirror.columns import shape_columns


@dataclass(frozen=True, slots=True)
class IngestStatements:
    """Statements for one mirrored table and its child tables, as bytes.

    look: %(ids)s, %(at)s → mirrored ids, those of them locked now, whether a create whose id
    is not known yet is on its way, ids of creates answered but not committed, removed ids,
    and the tables as they are (`mirror.columns`).
    """

    look: bytes
    stage: bytes  # makes and empties the temporary tables
    copy_fresh: bytes
    copy_fresh_children: tuple[tuple[str, bytes], ...]
    copy_staged: bytes
    copy_staged_children: tuple[tuple[str, bytes], ...]
    upsert: bytes
    overwrite: bytes  # the same, whatever the versions say
    seen: bytes  # %(ids)s → id, and the version of the row in Postgres (xmin)
    compare: bytes  # staged against mirrored rows; see mirror.compare
    compare_children: tuple[tuple[str, bytes], ...]  # child table; %(ids)s: those mirrored
    replace_children: tuple[tuple[bytes, bytes], ...]  # delete, insert; the changed ids
    log: bytes
    delete_children: tuple[bytes, ...]
    delete: bytes


@lru_cache(maxsize=1024)
def _build(schema_name: str, key: _SpecKey) -> IngestStatements:
    spec, with_children = key.spec, key.children
    table = sql.Identifier(schema_name, spec.table)
    encoder = copy_encoder(spec)
    columns = encoder.columns
    staged = _staging_name(schema_name, spec.table, columns, spec.fields)
    children = spec.children if with_children else ()
    child_tables = [
        (
            child,
            sql.Identifier(schema_name, child.table),
            encoder.child_columns[child.table],
            _staging_name(
                schema_name, child.table, encoder.child_columns[child.table], child.fields
            ),
        )
        for child in children
    ]
    stages = [_stage(staged, table)] + [_stage(t, target) for _, target, _, t in child_tables]
    return IngestStatements(
        look=_bytes(
            sql.SQL(_LOOK).format(
                table=table,
                changes=sql.Identifier(schema_name, "_sync_change"),
                schema_name=sql.Literal(schema_name),
                table_name=sql.Literal(spec.table),
                shape=shape_columns(schema_name, spec),
            )
        ),
        stage=_bytes(sql.SQL("").join(stages)),
        copy_fresh=_copy(table, columns),
        copy_fresh_children=tuple((c.table, _copy(t, cols)) for c, t, cols, _ in child_tables),
        copy_staged=_copy(staged, columns),
        copy_staged_children=tuple((c.table, _copy(s, cols)) for c, _, cols, s in child_tables),
        upsert=_bytes(_upsert(table, staged, columns, spec)),
        overwrite=_bytes(_upsert(table, staged, columns, spec, always=True)),
        seen=_bytes(sql.SQL("select id, xmin::text from {} where id = any(%(ids)s)").format(table)),
        compare=_bytes(_compare(table, staged, columns, spec)),
        compare_children=tuple(
            (c.table, _bytes(_compare_child(t, s, cols, c.key_columns)))
            for c, t, cols, s in child_tables
            if c.path[0] not in _shown_alone(spec)
        ),
        replace_children=tuple(
            (
                _delete_children(t, c.parent_column),
                _bytes(
                    sql.SQL(
                        "insert into {t} ({cols}) select {cols} from {s} where {p} = any(%s)"
                        " order by {p}, position"
                    ).format(t=t, cols=_list(cols), s=s, p=sql.Identifier(c.parent_column))
                ),
            )
            for c, t, cols, s in child_tables
        ),
        log=_bytes(
            sql.SQL(_LOG).format(
                changes=sql.Identifier(schema_name, "_sync_change"),
                table_name=sql.Literal(spec.table),
            )
        ),
        delete_children=tuple(_delete_children(t, c.parent_column) for c, t, _, _ in child_tables),
        delete=_bytes(
            sql.SQL(
                "with gone as (delete from {t} where id = any(%s) returning id, raw)"
                " insert into {changes} (table_name, record_id, operation, noticed_by, image)"
                " select %s, id, 'delete', %s, raw from gone order by id"
            ).format(t=table, changes=sql.Identifier(schema_name, "_sync_change"))
        ),
    )


@dataclass(frozen=True, slots=True)
class _SpecKey:
    """A spec is compared by identity: catalogs are loaded once and never change."""

    identity: int
    children: bool
    spec: ObjectSpec

    def __hash__(self) -> int:
        return hash((self.identity, self.children))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _SpecKey)
            and self.spec is other.spec
            and self.children == other.children
        )


def ingest_statements(
    schema_name: str, spec: ObjectSpec, children: bool = True
) -> IngestStatements:
    """Returns the statements for the table of `spec` in a connection's schema."""
    return _build(schema_name, _SpecKey(id(spec), children, spec))


# One snapshot answers all: where a create is settled in it, its row is seen in it too.
_LOOK = """
with mirrored as materialized (
    select id from {table} where id = any(%(ids)s)
), locked as materialized (
    select id from {table} where id = any(%(ids)s) order by id for update skip locked
), created as materialized (
    select j.record_id from sqlsync.journal j
    join sqlsync.connection c on c.id = j.connection_id
    where c.schema_name = {schema_name} and j.table_name = {table_name} and j.kind = 'create'
    and j.state in ('sent', 'acknowledged', 'in_doubt')
)
select
    coalesce((select array_agg(id) from mirrored), '{{}}'),
    coalesce((select array_agg(id) from locked), '{{}}'),
    exists (select from created where record_id is null),
    coalesce((select array_agg(record_id) from created where record_id is not null), '{{}}'),
    coalesce((
        select array_agg(distinct record_id) from {changes}
        where table_name = {table_name} and operation = 'delete'
        and at > %(at)s::timestamptz and record_id = any(%(ids)s)
    ), '{{}}'),
    {shape}
from (select set_config('lock_timeout', '5s', true)) as patience
"""

_LOG = """
insert into {changes} (table_name, record_id, operation, noticed_by)
select {table_name}, id, operation, %(by)s from (
    select unnest(%(inserted)s::text[]) as id, 'insert' as operation
    union all select unnest(%(updated)s::text[]), 'update'
) as changed order by id
"""


def _upsert(
    table: sql.Composable,
    staged: sql.Composable,
    columns: tuple[str, ...],
    spec: ObjectSpec,
    *,
    always: bool = False,
) -> sql.Composed:
    settable = [c for c in columns if c != "id"]
    return sql.SQL(
        "insert into {t} as old ({cols}) select {cols} from {s} order by id"
        " on conflict (id) do update set {sets} where {newer} returning id"
    ).format(
        t=table,
        s=staged,
        cols=_list(columns),
        sets=sql.SQL(", ").join(
            sql.SQL("{c} = excluded.{c}").format(c=sql.Identifier(c)) for c in settable
        ),
        newer=sql.SQL("true") if always else _newer(columns, spec),
    )


def _compare(
    table: sql.Composable, staged: sql.Composable, columns: tuple[str, ...], spec: ObjectSpec
) -> sql.Composed:
    """id, the row's version in Postgres (null: not mirrored), is it older, fields that differ.

    A row that shows more than the record now given is no other: see `_says_more`.
    """
    parts = _versions(columns, spec.version_column, "s", "t")
    older: sql.Composable = sql.SQL("false")
    if parts:
        older = sql.SQL("coalesce(({}) < ({}), true)").format(
            sql.SQL(", ").join(old for _, old in parts),
            sql.SQL(", ").join(new for new, _ in parts),
        )
    fuller = _shown_alone(spec)
    left_out = {f.column for f in spec.fields if len(f.path) == 1 and f.path[0] in fuller}
    left_out |= {"raw"} if fuller else set()
    compared = tuple(column for column in columns if column not in left_out)
    differs: sql.Composable = _differs(compared)
    if fuller:
        differs = sql.SQL("({} or {})").format(differs, _says_more(spec, "s", "t"))
    return sql.SQL(
        "select s.id, t.xmin::text, t.id is null or {older}, {fields} from {s} s"
        " left join {t} t on t.id = s.id where t.id is null or {differs} order by s.id"
    ).format(older=older, fields=_differing(compared), s=staged, t=table, differs=differs)


def _compare_child(
    table: sql.Composable,
    staged: sql.Composable,
    columns: tuple[str, ...],
    key: tuple[str, ...],
) -> sql.Composed:
    """Parent's id, the row's key, fields that differ; none: the row is on one side only."""
    parent, row = (sql.Identifier(column) for column in key)
    return sql.SQL(
        "select coalesce(s.{p}, t.{p}), coalesce(s.{k}, t.{k})::text,"
        " case when s.{p} is null or t.{p} is null then '{{}}' else {fields} end"
        " from (select * from {s} where {p} = any(%(ids)s)) s"
        " full join (select * from {t} where {p} = any(%(ids)s)) t"
        " on s.{p} = t.{p} and s.{k} = t.{k}"
        " where s.{p} is null or t.{p} is null or {differs} order by 1, 2"
    ).format(
        p=parent, k=row, fields=_differing(columns), s=staged, t=table, differs=_differs(columns)
    )


def _differs(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL("row({}) is distinct from row({})").format(
        sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(c)) for c in columns),
        sql.SQL(", ").join(sql.SQL("s.{}").format(sql.Identifier(c)) for c in columns),
    )


def _differing(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL("array_remove(array[{}], null)").format(
        sql.SQL(", ").join(
            sql.SQL("case when t.{c} is distinct from s.{c} then {name} end").format(
                c=sql.Identifier(c), name=sql.Literal(c)
            )
            for c in columns
        )
    )


def _newer(columns: tuple[str, ...], spec: ObjectSpec) -> sql.Composable:
    """Is `excluded` newer than `old`? The version as a number, then updated_at.

    Two answers of one version that differ happen (a change within the same second, a name
    that follows its customer without a new version): then the one read later stands, since
    the next reading repairs a wrong guess, and ignoring it would repair nothing.
    """
    parts = _versions(columns, spec.version_column, "excluded", "old")
    differs = _says_more(spec, "excluded", "old")
    if not parts:
        return differs
    new_version = sql.SQL(", ").join(new for new, _ in parts)
    old_version = sql.SQL(", ").join(old for _, old in parts)
    return sql.SQL("(({n}) > ({o}) or (({n}) = ({o}) and {d}))").format(
        n=new_version, o=old_version, d=differs
    )


def _shown_alone(spec: ObjectSpec) -> list[str]:
    """Members that a record's own address shows in full, and a list only in part."""
    return spec.extra.get("single_adds", "").split()


def _says_more(spec: ObjectSpec, new: str, old: str) -> sql.Composable:
    """Does `new` say anything that `old` does not, of the same version?

    The fuller answer stays: what a list shows of a member is contained in what the record's own
    address shows of it, and must not take it away.
    """
    fuller = _shown_alone(spec)
    names = {"n": sql.SQL(new), "o": sql.SQL(old)}
    if not fuller:
        return sql.SQL("{n}.raw is distinct from {o}.raw").format(**names)
    return sql.SQL(
        "({n}.raw - {m}::text[] is distinct from {o}.raw - {m}::text[]"
        " or not coalesce({o}.raw @> {n}.raw, false))"
    ).format(m=sql.Literal("{" + ",".join(fuller) + "}"), **names)


def _versions(
    columns: tuple[str, ...], version: str | None, new: str, old: str
) -> list[tuple[sql.Composable, sql.Composable]]:
    """What says which of two rows is newer: pairs to be compared in order, of `new` and `old`."""
    parts: list[tuple[sql.Composable, sql.Composable]] = []
    if version in columns and version != "updated_at":  # that one is compared below, as a time
        number = "case when {}.{} ~ '^[0-9]+$' then {}.{}::numeric else -1 end"
        name = sql.Identifier(str(version))
        parts.append(
            (
                sql.SQL(number).format(sql.SQL(new), name, sql.SQL(new), name),
                sql.SQL(number).format(sql.SQL(old), name, sql.SQL(old), name),
            )
        )
    if "updated_at" in columns:
        time = "coalesce({}.updated_at, '-infinity')"
        parts.append((sql.SQL(time).format(sql.SQL(new)), sql.SQL(time).format(sql.SQL(old))))
    return parts


def _stage(staged: sql.Composable, target: sql.Composable) -> sql.Composed:
    # Stored the same way, so that nothing is compressed twice.
    return sql.SQL(
        "create temporary table if not exists {s}"
        " (like {t} including storage including compression) on commit delete rows;"
        " delete from {s};"
    ).format(s=staged, t=target)


def _delete_children(table: sql.Composable, parent_column: str) -> bytes:
    return _bytes(
        sql.SQL("delete from {} where {} = any(%s)").format(table, sql.Identifier(parent_column))
    )


def _staging_name(
    schema_name: str, table: str, columns: tuple[str, ...], fields: tuple[FieldSpec, ...]
) -> sql.Identifier:
    # Named by its shape: a column added later makes a new temporary table, and so does a type.
    types = [field.type.value for field in fields]
    shape = sha256("\0".join((schema_name, table, *columns, *types)).encode()).hexdigest()[:16]
    return sql.Identifier("pg_temp", f"sqlsync_{shape}")


def _copy(table: sql.Composable, columns: tuple[str, ...]) -> bytes:
    return copy_statement(table.as_string(None), columns).encode()


def _list(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(c) for c in columns)


def _bytes(statement: sql.Composable) -> bytes:
    return statement.as_string(None).encode()
