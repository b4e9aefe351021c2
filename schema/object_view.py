"""The SQL of `_sync_object`: what each name of the provider's reference is here. Pure.

One row a name, tables and all others alike, so that nobody has to guess what is mirrored,
what may be written, and how changes come. Where an object stands is `_sync_cdc`'s.
"""

from __future__ import annotations

from schema.ddl import ADMIN, READER, literal, quote
from schema.model import Catalog, DeleteMeans, ObjectSpec, OtherSpec

COLUMNS = (
    ("name", "text"),
    ("kind", "text"),
    ("table_name", "text"),
    ("readable", "boolean"),
    ("insertable", "boolean"),
    ("updatable", "boolean"),
    ("deletable", "boolean"),
    ("delete_means", "text"),
    ("operations", "text[]"),
    ("change_feed", "text"),
    ("webhook", "text"),
    ("report", "text"),
    ("note", "text"),
    ("function", "text"),
)


def object_rows(catalog: Catalog) -> list[dict[str, object]]:
    """The view's rows by column, by name. Without the two that say how an object stands."""
    rows = [_entity(spec) for spec in catalog.objects] + [_other(o) for o in catalog.others]
    return sorted(rows, key=lambda row: str(row["name"]))


def object_view_ddl(catalog: Catalog, schema_name: str) -> list[str]:
    """The view, its comment and its grant. Safe to run again."""
    view = f"{quote(schema_name)}._sync_object"
    values = ",\n".join(
        "(" + ", ".join(_value(row[name], kind) for name, kind in COLUMNS) + ")"
        for row in object_rows(catalog)
    )
    names = ", ".join(name for name, _ in COLUMNS)
    # The columns stay in their order, for what is built on the view: new ones come last.
    known = ", ".join(f"o.{name}" for name, _ in COLUMNS[:13])
    comment = f"Every name of the reference of {catalog.title}: what it is here"
    return [
        f"""create or replace view {view} as
select {known}, coalesce(c.state, r.state) as state, coalesce(c.error, r.error) as error,
    case when coalesce(c.object, r.report) is not null then not exists (
        select from sqlsync.off f join sqlsync.connection k on k.id = f.connection_id
        where k.schema_name = {literal(schema_name)} and f.table_name = o.table_name
        and f.column_name = '') end as enabled, o.function
from (values
{values}
) o ({names})
left join {quote(schema_name)}._sync_cdc c on c.object = o.table_name
left join {quote(schema_name)}._sync_report r on r.report = o.name and r.is_default""",
        f"""create or replace trigger chosen instead of update on {view}
    for each row execute function sqlsync.object_chosen()""",
        f"comment on view {view} is {literal(comment)}",
        f"grant select on {view} to {READER}",
        f"grant update (enabled) on {view} to {ADMIN}",
    ]


def _entity(spec: ObjectSpec) -> dict[str, object]:
    deletable = spec.delete_means is not DeleteMeans.NONE
    return {
        "name": spec.api_name,
        "kind": "entity",
        "table_name": spec.table,
        "readable": True,
        "insertable": spec.can("create"),
        "updatable": spec.can("update") or spec.can("sparse_update"),
        "deletable": deletable,
        "delete_means": spec.delete_means.value if deletable else None,
        "operations": sorted(spec.operations),
        "change_feed": spec.change_feed,
        "webhook": spec.webhook,
        "report": None,
        "note": spec.comment,
        "function": None,
    }


def _other(other: OtherSpec) -> dict[str, object]:
    return {
        "name": other.name,
        "kind": other.kind,
        "table_name": other.table,
        "readable": other.table is not None,
        "insertable": False,
        "updatable": False,
        "deletable": False,
        "delete_means": None,
        "operations": ["read"] if other.kind == "report" else [],
        "change_feed": "none",
        "webhook": None,
        "report": other.endpoint if other.kind == "report" else None,
        "note": other.note,
        "function": other.table if other.kind == "report" else None,
    }


def _value(value: object, kind: str) -> str:
    if value is None:
        return f"null::{kind}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"array[{', '.join(literal(str(v)) for v in value)}]::text[]"
    return literal(str(value))
