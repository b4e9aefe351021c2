"""Catalog files into `schema.model` values, with every fault named by file and field.

A catalog is a folder of TOML files: `_provider.toml` and one file an object. The vocabulary is
closed and written down in `schema/catalog/README`; what is not in it is a fault. All faults
of all files are reported together, in one CatalogError.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from schema.model import (
    Catalog,
    ChildSpec,
    ColumnType,
    CustomFieldSpec,
    DeleteMeans,
    FieldSpec,
    ObjectSpec,
    OtherSpec,
    Writable,
)
from schema.naming import parent_column_name
from schema.reader import REQUIRED, SNAKE, Reader
from schema.report_loader import read_reports
from schema.report_model import ReportSpec
from sqlsync.errors import CatalogError

OPERATIONS = {
    *("create", "read", "query", "update", "sparse_update"),
    *("delete", "void", "deactivate", "send", "pdf"),
}
_KINDS = ("transaction", "name_list", "singleton", "other")
_FEEDS = ("cdc", "query", "modified_since", "whole", "none")
_EXTRA = (
    *("void", "deep_link", "delete_notice", "inactive_suffix", "inactive_suffix_column"),
    *("provider_made_rows", "wrapper", "wrapped", "key", "read", "list", "feed"),
    # Xero
    *("collection", "get", "create", "update", "delete", "list_calls", "created_by"),
    *("delete_status", "status_member", "status_flow", "when_paid", "only_for"),
    *("paging", "page_size", "order", "include", "modified_by", "sweep"),
    *(
        "unpaged_lacks",
        "summary_lacks",
        "lists_lack",
        "single_adds",
        "added",
        "parents",
    ),
    *("scope", "bulk", "unitdp", "summarize_errors", "idempotency_key", "files", "history"),
    *("required_when", "one_of", "also_get_by", "match_by", "lifecycle", "deep_link_bill"),
    "affects",  # "invoice:Payments": a write whose record has Payments changes invoices too
)
_RESERVED_CHILD = ("id", "position")
_VERSIONS = ("sync_token", "updated_at")  # the first of these columns tells which is newer


def load_catalog(provider: str) -> Catalog:
    """The catalog that comes with sqlsync for `provider` ("quickbooks"). Read once."""
    return _packaged(provider)


@cache
def _packaged(provider: str) -> Catalog:
    folder = files("schema").joinpath("catalog", provider)
    if not SNAKE.fullmatch(provider) or not folder.is_dir():
        raise CatalogError(f"there is no catalog for provider {provider!r}")
    return _load(provider, folder)


def load_catalog_from(path: Path) -> Catalog:
    """A catalog from a folder of the user's own; the folder's name is the provider's."""
    if not path.is_dir():
        raise CatalogError(f"{path}: there is no such folder")
    return _load(path.name, path)


def _load(provider: str, folder: Traversable) -> Catalog:
    faults: list[str] = []
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".toml"))
    if "_provider.toml" not in names:
        raise CatalogError(f"{provider}/_provider.toml: the file is missing")
    tables: dict[str, dict[str, Any]] = {}
    for name in names:
        try:
            tables[name] = tomllib.loads(folder.joinpath(name).read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            faults.append(f"{provider}/{name}: not valid TOML: {error}")

    reports_file = Reader(f"{provider}/_reports.toml", tables.pop("_reports.toml", {}), faults)
    reports = read_reports(provider, reports_file)
    facts = Reader(f"{provider}/_provider.toml", tables.pop("_provider.toml", {}), faults)
    title = facts.text("title") if facts.data or not faults else ""
    null_id = facts.text("null_id", default=None)
    elsewhere = facts.names("elsewhere")
    others = (*(_other(r) for r in facts.tables("other")), *(_listed(r) for r in reports))
    facts.unique("other", (o.name for o in others))
    facts.close()

    specs: list[ObjectSpec] = []
    for name, data in tables.items():
        before = len(faults)
        spec = _object(provider, name, Reader(f"{provider}/{name}", data, faults), null_id)
        if len(faults) == before:
            specs.append(spec)
    _check_reports(provider, reports, specs, {*elsewhere, *(n[:-5] for n in tables)}, faults)
    _check_together(provider, specs, {*elsewhere, *(n[:-5] for n in tables)}, faults)
    if faults:
        raise CatalogError("\n".join(faults))
    objects = tuple(sorted(specs, key=lambda s: (s.rank, s.table)))
    return Catalog(provider, title, objects, others, reports)


def _other(reader: Reader) -> OtherSpec:
    other = OtherSpec(
        name=reader.text("name"),
        kind=reader.one_of("kind", ("operation",)),
        endpoint=reader.text("endpoint"),
        note=reader.text("note"),
        table=reader.name("table", default=None),
    )
    reader.close()
    return other


def _listed(report: ReportSpec) -> OtherSpec:
    """A report among the names of the reference."""
    return OtherSpec(report.name, "report", report.endpoint, report.comment, report.table)


def _check_reports(
    provider: str,
    reports: Iterable[ReportSpec],
    specs: Iterable[ObjectSpec],
    known: set[str],
    faults: list[str],
) -> None:
    where = f"{provider}/_reports.toml"
    tables = {t for s in specs for t in (s.table, *(c.table for c in s.children))}
    for report in reports:
        if report.table in tables:
            faults.append(f"{where}: report[{report.name}]: {report.table!r} is a table already")
        faults.extend(
            f"{where}: parameter.{p.name}.references: there is no object {p.references!r}"
            for p in report.parameters
            if p.references is not None and p.references not in known
        )


def _object(provider: str, file_name: str, reader: Reader, null_id: str | None) -> ObjectSpec:
    table = reader.name("table")
    if table and f"{table}.toml" != file_name:
        reader.fault("table", f"{table!r} is not the file's name")
    fields = _fields(reader)
    columns = {f.column for f in fields}
    for column, path in (("id", None), ("raw", "raw")):
        if path is None and column not in columns:
            reader.fault("fields", f"there is no column {column!r}")
        elif path is not None and column in columns:
            reader.fault(f"fields.{column}", "the name is reserved")
    custom_fields = tuple(_custom_field(r, columns) for r in reader.tables("custom_field"))
    children = tuple(_child(r, table, fields) for r in reader.tables("child"))
    reader.unique("custom_field", (c.column for c in custom_fields), taken=columns)
    reader.unique("child", (c.table for c in children))
    spec = ObjectSpec(
        provider=provider,
        table=table,
        api_name=reader.text("api_name"),
        resource=reader.text("resource"),
        title=reader.text("title"),
        kind=reader.one_of("kind", _KINDS),
        comment=reader.text("comment"),
        operations=frozenset(reader.texts("operations", among=OPERATIONS, default=REQUIRED)),
        delete_means=reader.member("delete_means", DeleteMeans),
        fields=fields,
        custom_fields=custom_fields,
        children=children,
        rank=reader.integer("rank") or 0,
        change_feed=reader.one_of("change_feed", _FEEDS),
        webhook=reader.text("webhook", default=None),
        natural_keys=reader.texts("natural_keys", among=columns),
        update_requires=reader.texts("update_requires", among={f.path[0] for f in fields}),
        duplicate_column=reader.one_of("duplicate_column", sorted(columns), default=None),
        version_column=next((c for c in _VERSIONS if c in columns), None),
        null_id=null_id,
        enabled=reader.boolean("enabled", default=True),
        extra=_extra(reader),
    )
    reader.close()
    return spec


def _fields(reader: Reader) -> tuple[FieldSpec, ...]:
    readers = reader.tables("fields", required=True)
    fields = tuple(_field(r) for r in readers)
    reader.unique("fields", (f.column for f in fields))
    # A key that users know by another name has a column of that name too.
    reader.unique("fields (path)", (f.api_path for f in fields if f.column != "id"))
    paths = {f.path for f in fields}
    for field in fields:
        if any(field.path[:n] in paths for n in range(1, len(field.path))):
            reader.fault(f"fields[{field.column}].path", "lies inside another field's path")
    return fields


def _field(reader: Reader) -> FieldSpec:
    column = reader.name("column")
    reader.where = f"{reader.where.rpartition('[')[0]}[{column or '?'}]"
    field = FieldSpec(
        column=column,
        path=reader.path("path"),
        type=reader.member("type", ColumnType),
        comment=reader.text("comment"),
        writable=reader.member("writable", Writable, default=Writable.ALWAYS),
        required=reader.boolean("required"),
        max_length=reader.integer("max_length", default=None),
        enum=reader.texts("enum", empty=False),
        references=reader.name("references", default=None),
        filterable=reader.boolean("filterable"),
    )
    reader.close()
    return field


def _custom_field(reader: Reader, columns: Iterable[str]) -> CustomFieldSpec:
    match = reader.take("match", dict, REQUIRED)
    if match is None or len(match) != 1 or not all(isinstance(v, str) for v in match.values()):
        reader.fault("match", 'is one member with its text: { DefinitionId = "1" }')
        match = {"": ""}
    (member,) = match.items()
    field = CustomFieldSpec(
        column=reader.name("column"),
        path=reader.path("path"),
        match=member,
        value=reader.text("value"),
        comment=reader.text("comment"),
        writable=reader.member("writable", Writable, default=Writable.ALWAYS),
        max_length=reader.integer("max_length", default=None),
    )
    reader.close()
    return field


def _child(reader: Reader, parent: str, parent_fields: Iterable[FieldSpec]) -> ChildSpec:
    table = reader.name("table")
    reader.where = f"{reader.where.rpartition('[')[0]}[{table or '?'}]"
    path = reader.path("path")
    lists = {f.path: f.column for f in parent_fields if f.type is ColumnType.JSONB}
    if path and path not in lists:
        reader.fault("path", f"{'.'.join(path)!r} is not the path of a jsonb column")
    fields = _fields(reader)
    parent_column = parent_column_name(parent, [f.column for f in fields])
    for field in fields:
        if field.column in _RESERVED_CHILD:
            reader.fault(f"fields[{field.column}]", "the name is reserved")
    child = ChildSpec(
        table=table,
        path=path,
        parent_column=parent_column,
        key=reader.text("key", default=None),
        fields=fields,
        comment=reader.text("comment"),
        list_column=lists.get(path, ""),
        read_only=reader.boolean("read_only"),
    )
    reader.close()
    return child


def _check_together(
    provider: str, specs: Iterable[ObjectSpec], known: set[str], faults: list[str]
) -> None:
    """What one file alone can't tell: names of tables, and what fields refer to."""
    owners: dict[str, str] = {}
    for spec in specs:
        where = f"{provider}/{spec.table}.toml"
        for table in (spec.table, *(c.table for c in spec.children)):
            if table in owners:
                faults.append(f"{where}: table {table!r} is also in {owners[table]}")
            owners[table] = where
        groups = [("fields", spec.fields)]
        groups += [(f"child[{c.table}].fields", c.fields) for c in spec.children]
        faults.extend(
            f"{where}: {name}[{f.column}].references: there is no object {f.references!r}"
            for name, fields in groups
            for f in fields
            if f.references is not None and f.references not in known
        )


def _extra(reader: Reader) -> Mapping[str, str]:
    inner = reader.table("extra")
    extra = {key: inner.text(key) for key in _EXTRA if key in inner.data}
    inner.close()
    return extra
