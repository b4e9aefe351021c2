"""Catalog files into `schema.model` values, with every fault named by file and field.

A catalog is a folder of TOML files: `_provider.toml` and one file an object. The vocabulary is
closed and written down in `schema/catalog/README`; what is not in it is a fault. All faults
of all files are reported together, in one CatalogError.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

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
from schema.naming import NAME_BYTES, parent_column_name
from sqlsync.errors import CatalogError

OPERATIONS = {
    *("create", "read", "query", "update", "sparse_update"),
    *("delete", "void", "deactivate", "send", "pdf"),
}
_KINDS = ("transaction", "name_list", "singleton", "other")
_FEEDS = ("cdc", "query", "modified_since", "whole", "none")
_EXTRA = (
    *("void", "deep_link", "delete_notice", "inactive_suffix", "inactive_suffix_column"),
    *("provider_made_rows", "wrapper", "wrapped", "key", "read", "list"),
    # Xero
    *("collection", "get", "create", "update", "delete", "list_calls", "created_by"),
    *("delete_status", "status_member", "status_flow", "when_paid", "only_for"),
    *("paging", "page_size", "order", "include", "modified_by", "sweep"),
    *("unpaged_lacks", "summary_lacks", "lists_lack", "added", "parents"),
    *("scope", "bulk", "unitdp", "summarize_errors", "idempotency_key", "files", "history"),
    *("required_when", "one_of", "also_get_by", "match_by", "lifecycle", "deep_link_bill"),
)
_RESERVED_CHILD = ("id", "position")
_VERSIONS = ("sync_token", "updated_at")  # the first of these columns tells which is newer

_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_PATH = re.compile(r"[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9]*)*")

_REQUIRED = object()
_E = TypeVar("_E", bound=StrEnum)


def load_catalog(provider: str) -> Catalog:
    """The catalog that comes with sqlsync for `provider` ("quickbooks"). Read once."""
    return _packaged(provider)


@cache
def _packaged(provider: str) -> Catalog:
    folder = files("schema").joinpath("catalog", provider)
    if not _SNAKE.fullmatch(provider) or not folder.is_dir():
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

    facts = _Reader(f"{provider}/_provider.toml", tables.pop("_provider.toml", {}), faults)
    title = facts.text("title") if facts.data or not faults else ""
    null_id = facts.text("null_id", default=None)
    elsewhere = facts.names("elsewhere")
    others = tuple(_other(r) for r in facts.tables("other"))
    facts.unique("other", (o.name for o in others))
    facts.close()

    specs: list[ObjectSpec] = []
    for name, data in tables.items():
        before = len(faults)
        spec = _object(provider, name, _Reader(f"{provider}/{name}", data, faults), null_id)
        if len(faults) == before:
            specs.append(spec)
    _check_together(provider, specs, {*elsewhere, *(n[:-5] for n in tables)}, faults)
    if faults:
        raise CatalogError("\n".join(faults))
    objects = tuple(sorted(specs, key=lambda s: (s.rank, s.table)))
    return Catalog(provider, title, objects, others)


def _other(reader: _Reader) -> OtherSpec:
    other = OtherSpec(
        name=reader.text("name"),
        kind=reader.one_of("kind", ("report", "operation")),
        endpoint=reader.text("endpoint"),
        note=reader.text("note"),
        table=reader.name("table", default=None),
    )
    reader.close()
    return other


def _object(provider: str, file_name: str, reader: _Reader, null_id: str | None) -> ObjectSpec:
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
        operations=frozenset(reader.texts("operations", among=OPERATIONS, default=_REQUIRED)),
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
        extra=reader.extra(),
    )
    reader.close()
    return spec


def _fields(reader: _Reader) -> tuple[FieldSpec, ...]:
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


def _field(reader: _Reader) -> FieldSpec:
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


def _custom_field(reader: _Reader, columns: Iterable[str]) -> CustomFieldSpec:
    match = reader.take("match", dict, _REQUIRED)
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


def _child(reader: _Reader, parent: str, parent_fields: Iterable[FieldSpec]) -> ChildSpec:
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


@dataclass
class _Reader:
    """One table of a file; takes keys out by kind and reports what is wrong with them."""

    file: str
    data: dict[str, Any]
    faults: list[str]
    where: str = ""

    def fault(self, key: str, text: str) -> None:
        place = f"{self.where}.{key}" if self.where else key
        self.faults.append(f"{self.file}: {place}: {text}")

    def take(self, key: str, kind: type, default: Any) -> Any:
        """The value, taken out; None (and a fault) where it is missing or of another kind."""
        if key not in self.data:
            if default is _REQUIRED:
                self.fault(key, "is missing")
                return None
            return default
        value = self.data.pop(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            kinds = {str: "text", int: "a whole number", bool: "true or false", list: "a list"}
            self.fault(key, f"must be {kinds.get(kind, 'a table')}, not {value!r}")
            return None if default is _REQUIRED else default
        return value

    def close(self) -> None:
        for key in self.data:
            self.fault(key, "the key is unknown")

    def text(self, key: str, default: Any = _REQUIRED) -> Any:
        value = self.take(key, str, default)
        if value is not None and not value.strip():
            self.fault(key, "is empty")
        return "" if value is None and default is _REQUIRED else value

    def name(self, key: str, default: Any = _REQUIRED) -> Any:
        value = self.text(key, default)
        if value and (not _SNAKE.fullmatch(value) or len(value) > NAME_BYTES):
            self.fault(key, f"{value!r} is not snake_case of at most {NAME_BYTES} characters")
        return value

    def path(self, key: str) -> tuple[str, ...]:
        value = self.text(key)
        if value and not _PATH.fullmatch(value):
            self.fault(key, f"{value!r} is not member names joined by dots")
        return tuple(value.split(".")) if value else ()

    def integer(self, key: str, default: Any = _REQUIRED) -> int | None:
        value: int | None = self.take(key, int, default)
        if value is not None and value < 1:
            self.fault(key, f"must be at least 1, not {value}")
        return value

    def boolean(self, key: str, *, default: bool = False) -> bool:
        return bool(self.take(key, bool, default))

    def texts(
        self,
        key: str,
        *,
        among: Iterable[str] | None = None,
        default: Any = (),
        empty: bool = True,
    ) -> tuple[str, ...]:
        given = key in self.data
        values = self.take(key, list, default) or []
        if given and not values and not empty:
            self.fault(key, "is empty")
        texts = tuple(v for v in values if isinstance(v, str) and v)
        if len(texts) != len(values):
            self.fault(key, "must hold texts that are not empty, and nothing else")
        if len(set(texts)) != len(texts):
            self.fault(key, "holds a text twice")
        if among is not None:
            for text in sorted(set(texts) - set(among)):
                self.fault(key, f"{text!r} is unknown here")
        return texts

    def names(self, key: str) -> tuple[str, ...]:
        texts = self.texts(key)
        for text in texts:
            if not _SNAKE.fullmatch(text):
                self.fault(key, f"{text!r} is not snake_case")
        return texts

    def one_of(self, key: str, values: Iterable[str], default: Any = _REQUIRED) -> Any:
        value = self.text(key, default)
        if value and value not in values:
            self.fault(key, f"{value!r} is not one of {', '.join(values)}")
        return value

    def member(self, key: str, kind: type[_E], default: _E | None = None) -> _E:
        """The member of an enum; its first one where there is a fault."""
        value = self.text(key, _REQUIRED if default is None else default.value)
        try:
            return kind(value)
        except ValueError:
            if value:
                self.fault(key, f"{value!r} is not one of {', '.join(kind)}")
            return next(iter(kind))

    def tables(self, key: str, *, required: bool = False) -> list[_Reader]:
        """A list of tables, each with a reader of its own."""
        rows = self.take(key, list, _REQUIRED if required else [])
        if rows is None:
            return []
        if required and not rows:
            self.fault(key, "is empty")
        prefix = f"{self.where}.{key}" if self.where else key
        readers = []
        for number, row in enumerate(rows, start=1):
            if isinstance(row, dict):
                readers.append(_Reader(self.file, dict(row), self.faults, f"{prefix}[{number}]"))
            else:
                self.fault(key, f"entry {number} must be a table, not {row!r}")
        return readers

    def extra(self) -> Mapping[str, str]:
        data = dict(self.take("extra", dict, {}))
        reader = _Reader(self.file, data, self.faults, "extra")
        extra = {key: reader.text(key) for key in _EXTRA if key in data}
        reader.close()
        return extra

    def unique(self, key: str, names: Iterable[str], *, taken: Iterable[str] = ()) -> None:
        seen = set(taken)
        for name in names:
            if name and name in seen:
                self.fault(key, f"{name!r} is there twice")
            seen.add(name)
