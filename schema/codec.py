"""A page of records as text for COPY: made once per object from its catalog, then fast.

`copy_encoder(spec).rows(items)` gives, for the object's table and each child table, one blob
for `COPY … FROM STDIN` (text format, UTF-8, NULL as `\\N`). The values are those of
`schema.rows`; a property test holds the two together. Plain records go through the compiled
`schema.cells`: numbers, booleans and lists stay the provider's own text, so 10.50 stays
10.50. A record that is not plain (a null object, a text where a number should be, the 29th
of February, a null id) goes through `schema.rows`, which knows every case.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Raw

from schema.cells import ESCAPES, NULL_RAW, NULL_TEXT, Cells, NotPlain, join_texts
from schema.model import ChildSpec, ColumnType, CustomFieldSpec, FieldSpec, ObjectSpec
from schema.rows import child_rows_of, record_id, row_id, row_of
from schema.values import decode, holdable
from sqlsync.errors import ProviderFault

# What msgspec raises where a record is not as the structs say (or not JSON at all).
_ODD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_json = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class CopyRows:
    """What a page came to.

    ids: keys of the rows in `blob`, in its order, each once (of records with one id the last
    counts). children: child table -> blob. rejected: (index in the page, reason) of items that
    are no record at all: not JSON, or without an id.
    """

    ids: tuple[str, ...]
    blob: bytes
    children: Mapping[str, bytes] = field(default_factory=dict)
    rejected: tuple[tuple[int, str], ...] = ()


_encoders: dict[int, CopyEncoder] = {}


def copy_encoder(spec: ObjectSpec) -> CopyEncoder:
    """The encoder of an object, compiled on first use and kept."""
    encoder = _encoders.get(id(spec))  # the encoder holds the spec, so the id stays its own
    if encoder is None:
        encoder = _encoders[id(spec)] = CopyEncoder(spec)
    return encoder


def copy_statement(target: str, columns: Sequence[str]) -> str:
    """`COPY target (columns) FROM STDIN` for a blob. target: SQL, quoted where need be."""
    names = ", ".join(f'"{column}"' for column in columns)
    return f"copy {target} ({names}) from stdin with (format text, encoding 'UTF8')"


class CopyEncoder:
    """Turns records of one object into COPY text.

    columns: of the object's table, in the order of the blob's cells. child_columns: the same
    for each child table.
    """

    def __init__(self, spec: ObjectSpec) -> None:
        self.spec = spec
        self._children = tuple(_ChildEncoder(spec, child) for child in spec.children)
        self._custom = _custom_readers(spec)
        lists = (*(r.path for r in self._custom), *(c.path for c in spec.children))
        self._cells = Cells(spec.fields, raws=lists)
        texts = self._cells.text_columns
        custom = tuple(column for reader in self._custom for column in reader.columns)
        self.columns = (*texts, *custom, *self._cells.columns[len(texts) :], "raw")
        self.child_columns = {c.child.table: c.columns for c in self._children}
        self._decode = msgspec.json.Decoder(self._cells.struct).decode
        self._null_id = spec.null_id.encode() if spec.null_id else None
        self._id = texts.index("id")
        self._jsonb = _jsonb_columns(spec.fields) | {"raw"}
        identity = Cells([], texts=[spec.by_column["id"].path])
        self._decode_identity = msgspec.json.Decoder(identity.struct).decode
        self._identity = identity.split

    def by_id(self, items: Sequence[bytes]) -> tuple[dict[str, bytes], list[tuple[bytes, str]]]:
        """(records by id: of one id twice the last; items that are no records, with the reason).

        Reads no more than the id, so `rows` may still reject what is not JSON further on.
        """
        found: dict[str, bytes] = {}
        rejected: list[tuple[bytes, str]] = []
        for item in items:
            try:
                found[self._id_of(item)] = item
            except ProviderFault as error:
                rejected.append((item, error.message))
        return found, rejected

    def _id_of(self, item: bytes) -> str:
        try:
            key = self._identity(self._decode_identity(item))[4][0]
        except _ODD:
            key = None
        if not key or key is NULL_TEXT or key == self.spec.null_id or not key.isprintable():
            return record_id(self.spec, decode(holdable(item)))
        return str(key)

    def rows(self, items: Sequence[bytes], *, children: bool = True) -> CopyRows:
        """The page's records as COPY text. children False: the child tables stay out."""
        lines: dict[str, bytes] = {}
        below: dict[str, list[bytes]] = {}
        rejected: list[tuple[int, str]] = []
        for index, item in enumerate(items):
            raw = holdable(item)
            try:
                try:
                    key, line, child_lines = self._plain(raw, children)
                except NotPlain:
                    key, line, child_lines = self._careful(raw, children)
            except ProviderFault as error:
                rejected.append((index, error.message))
                continue
            lines[key] = line
            if children:
                below[key] = child_lines
        blobs = {
            child.child.table: b"".join([rows[number] for rows in below.values()])
            for number, child in enumerate(self._children)
            if children
        }
        return CopyRows(tuple(lines), b"".join(lines.values()), blobs, tuple(rejected))

    def _plain(self, raw: bytes, children: bool) -> tuple[str, bytes, list[bytes]]:
        if self._null_id is not None and self._null_id in raw:
            raise NotPlain
        escaped = b"\\" in raw
        try:
            record = self._decode(raw)
        except _ODD:
            raise NotPlain from None
        texts, times, raws, jsons, lists = self._cells.split(record)
        key = texts[self._id]
        if not key or key is NULL_TEXT:
            raise NotPlain
        if self._custom:
            for reader, value in zip(self._custom, lists, strict=False):
                texts += reader.read(value)
            lists = lists[len(self._custom) :]
        cells = self._cells.line(texts, times, raws, jsons, escaped=escaped)
        whole = raw.replace(b"\\", b"\\\\") if escaped else raw
        below = [
            child.plain(key, value, escaped)
            for child, value in zip(self._children, lists, strict=True)
            if children
        ]
        return key, b"%b\t%b\n" % (cells, whole), below

    def _careful(self, raw: bytes, children: bool) -> tuple[str, bytes, list[bytes]]:
        record = decode(raw)
        row = row_of(self.spec, record)
        line = _line(row, self.columns, self._jsonb)
        below = [child.careful(record) for child in self._children if children]
        return row["id"], line, below


class _ChildEncoder:
    """Lines of one child table."""

    def __init__(self, spec: ObjectSpec, child: ChildSpec) -> None:
        self.spec = spec
        self.child = child
        self._cells = Cells(child.fields, texts=[(child.key,)] if child.key else [])
        self._decode = msgspec.json.Decoder(list[self._cells.struct] | None).decode  # type: ignore[name-defined]
        keys = (child.parent_column, *(["id"] if child.key else []), "position")
        self._jsonb = _jsonb_columns(child.fields)
        self.columns = (*keys, *self._cells.columns)

    def plain(self, parent_id: str, value: Raw, escaped: bool) -> bytes:
        if value is NULL_RAW:
            return b""
        try:
            elements = self._decode(value)
        except _ODD:
            raise NotPlain from None
        parent = parent_id.translate(ESCAPES) if escaped else parent_id
        lines: list[bytes] = []
        seen: set[str] = set()
        for position, element in enumerate(elements or (), start=1):
            texts, times, raws, jsons, keys = self._cells.split(element)
            head = f"{parent}\t{position}"
            if keys:
                given = None if keys[0] is NULL_TEXT else keys[0]
                key = join_texts([row_id(given, position, seen)], escaped)
                head = f"{parent}\t{key}\t{position}"
            cells = self._cells.line(texts, times, raws, jsons, escaped=escaped)
            lines.append(b"%b\t%b\n" % (head.encode(), cells))
        return b"".join(lines)

    def careful(self, record: Any) -> bytes:
        rows = child_rows_of(self.spec, self.child, record)
        return b"".join([_line(row, self.columns, self._jsonb) for row in rows])


class _CustomReader:
    """Finds custom fields of one list in its JSON text, which is read once for all of them."""

    def __init__(self, path: tuple[str, ...], customs: Sequence[CustomFieldSpec]) -> None:
        self.path = path
        self.columns = tuple(custom.column for custom in customs)
        names = dict.fromkeys(n for c in customs for n in (c.match[0], c.value))
        places = {name: place for place, name in enumerate(names)}
        cells = Cells([], texts=[(name,) for name in names])
        self._wanted = [(places[c.match[0]], c.match[1], places[c.value]) for c in customs]
        self._nothing = (NULL_TEXT,) * len(customs)
        self._split = cells.split
        self._decode = msgspec.json.Decoder(list[cells.struct] | None).decode  # type: ignore[name-defined]

    def read(self, value: Raw) -> tuple[str | None, ...]:
        """A value for each column; of elements with the same name the first counts."""
        if value is NULL_RAW:
            return self._nothing
        try:
            elements = self._decode(value)
        except _ODD:
            raise NotPlain from None
        if not elements:
            return self._nothing
        rows = [self._split(element)[4] for element in elements]
        return tuple(
            next((row[at] for row in rows if row[name] == wanted), NULL_TEXT)
            for name, wanted, at in self._wanted
        )


def _custom_readers(spec: ObjectSpec) -> tuple[_CustomReader, ...]:
    by_path: dict[tuple[str, ...], list[CustomFieldSpec]] = {}
    for custom in spec.custom_fields:
        by_path.setdefault(custom.path, []).append(custom)
    return tuple(_CustomReader(path, customs) for path, customs in by_path.items())


def _line(row: Mapping[str, Any], columns: Sequence[str], jsonb: Collection[str]) -> bytes:
    """A row of `schema.rows` as COPY text."""
    cells = [_cell(row[column], column in jsonb) for column in columns]
    return "\t".join(cells).encode() + b"\n"


def _cell(value: Any, jsonb: bool) -> str:
    if value is None:
        return NULL_TEXT
    if jsonb:
        return _json.encode(value).decode().translate(ESCAPES)
    return str(value).translate(ESCAPES)


def _jsonb_columns(fields: Sequence[FieldSpec]) -> frozenset[str]:
    return frozenset(f.column for f in fields if f.type is ColumnType.JSONB)
