"""What the provider answered, as `sqlsync.apply_rows` takes it. Pure.

Source: schema/migrations/0002_write_path.sql.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from schema.model import ObjectSpec
from schema.rows import child_rows, record_row
from sqlsync.writes.lists import list_at, without_provider_rows
from sqlsync.writes.plan import NewChildren
from sqlsync.writes.values import decode, encode, get_path


@dataclass(slots=True)
class Payload:
    """Rows to put into the mirror and to take out of it, for one connection's schema."""

    schema_name: str
    entries: list[UUID] = field(default_factory=list)
    upserts: list[tuple[ObjectSpec, bytes]] = field(default_factory=list)
    deletes: list[tuple[ObjectSpec, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.entries or self.upserts or self.deletes)

    def to_json(self) -> bytes:
        """UTF-8 JSON for sqlsync.apply_rows; empty bytes where there is nothing to apply."""
        if not self:
            return b""
        document = {
            "schema": self.schema_name,
            "noticed_by": "write",
            "entries": [str(entry) for entry in self.entries],
            "upserts": [
                _upsert(spec, [raw for other, raw in self.upserts if other is spec])
                for spec in _distinct(spec for spec, _ in self.upserts)
            ],
            "deletes": [
                {
                    "table": spec.table,
                    "ids": [record_id for other, record_id in self.deletes if other is spec],
                    "children": [
                        {"table": child.table, "parent_column": child.parent_column}
                        for child in spec.children
                    ],
                }
                for spec in _distinct(spec for spec, _ in self.deletes)
            ],
        }
        return encode(document)


def new_child_keys(
    spec: ObjectSpec, before: bytes | None, answer: bytes, added: Sequence[NewChildren]
) -> Mapping[tuple[str, str], str]:
    """(child table, provisional id) -> the id the provider gave the row.

    The provider names new rows and keeps their order: its rows with an id that was not there
    before are ours, first to first.
    """
    keys: dict[tuple[str, str], str] = {}
    now = decode(answer)
    then = decode(before) if before is not None else {}
    for new in added:
        child = spec.child_by_table[new.table]
        if child.key is None:
            continue
        known = {get_path(row, (child.key,)) for row in list_at(then, child)}
        fresh = [
            row_id
            for row in without_provider_rows(spec, list_at(now, child))
            if isinstance(row_id := get_path(row, (child.key,)), str) and row_id not in known
        ]
        for provisional, row_id in zip(new.provisional_ids, fresh, strict=False):
            keys[new.table, provisional] = row_id
    return keys


def _upsert(spec: ObjectSpec, raws: Sequence[bytes]) -> dict[str, Any]:
    return {
        "table": spec.table,
        "version": spec.version_column,
        "rows": [record_row(spec, raw) for raw in raws],
        "children": [
            {
                "table": child.table,
                "parent_column": child.parent_column,
                "rows": [row for raw in raws for row in child_rows(spec, child, raw)],
            }
            for child in spec.children
        ],
    }


def _distinct(specs: Iterable[ObjectSpec]) -> list[ObjectSpec]:
    return list({spec.table: spec for spec in specs}.values())
