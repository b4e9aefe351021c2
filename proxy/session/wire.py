"""Frontend messages the proxy makes, and the parts of the client's that it reads.

All bodies are as the protocol has them: names end with NUL, counts are int16, lengths
int32 with -1 for NULL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct, pack, unpack_from

_INT16 = Struct("!h")
_HEADER = Struct("!cI")

BOOL_OID, BYTEA_OID, TEXT_OID, TEXT_ARRAY_OID = 16, 17, 25, 1009
UUID_ARRAY_OID, JSONB_OID = 2951, 3802
OWN = b"__sqlsync"  # statement and portal of every own run
OWN_WRITE = OWN + b"_w"  # those of the client's write, when we run it
OWN_PREPARED = OWN + b"_p"  # prepared by SQL, where the client's EXECUTE has a RETURNING
FLUSH = b"H\0\0\0\x04"
SYNC = b"S\0\0\0\x04"
NO_PARAMETERS = b"\0\0"
NO_BIND = b"\0\0\0\0\0\0"


def message(kind: bytes, body: bytes) -> bytes:
    return _HEADER.pack(kind, len(body) + 4) + body


def close(what: bytes, name: bytes) -> bytes:
    return message(b"C", what + name + b"\0")


def describe(what: bytes, name: bytes) -> bytes:
    return message(b"D", what + name + b"\0")


def parse(name: bytes, sql: bytes, oids: bytes = NO_PARAMETERS) -> bytes:
    """oids: count and OIDs, as in the body of Parse."""
    return message(b"P", name + b"\0" + sql + b"\0" + oids)


def bind(portal: bytes, statement: bytes, tail: bytes = NO_BIND) -> bytes:
    return message(b"B", portal + b"\0" + statement + b"\0" + tail)


def execute(portal: bytes, limit: int = 0) -> bytes:
    return message(b"E", portal + b"\0" + pack("!i", limit))


def query(sql: bytes) -> bytes:
    return message(b"Q", sql + b"\0")


def typed(*oids: int) -> bytes:
    return pack(f"!h{len(oids)}I", len(oids), *oids)


@dataclass(frozen=True, slots=True)
class Value:
    """One parameter: its bytes (None for NULL) and whether they are binary."""

    data: bytes | None
    binary: bool = False


def values(*given: Value, results: tuple[int, ...] = (0,)) -> bytes:
    """The tail of a Bind."""
    body = [pack("!h", len(given)), *(pack("!h", v.binary) for v in given)]
    body.append(pack("!h", len(given)))
    for value in given:
        body.append(_sized(value.data))
    body.append(pack(f"!h{len(results)}h", len(results), *results))
    return b"".join(body)


def _sized(data: bytes | None) -> bytes:
    return b"\xff\xff\xff\xff" if data is None else pack("!i", len(data)) + data


@dataclass(frozen=True, slots=True)
class BindTail:
    """A Bind's formats, values and result formats, taken apart."""

    formats: tuple[int, ...]  # none: all text; one: for all
    data: tuple[bytes | None, ...]
    results: tuple[int, ...]  # none: all text; one: for all

    @classmethod
    def read(cls, tail: bytes) -> BindTail:
        at = 0

        def codes() -> tuple[int, ...]:
            nonlocal at
            (count,) = _INT16.unpack_from(tail, at)
            found: tuple[int, ...] = unpack_from(f"!{count}h", tail, at + 2)
            at += 2 + 2 * count
            return found

        formats = codes()
        (count,) = _INT16.unpack_from(tail, at)
        at += 2
        data: list[bytes | None] = []
        for _ in range(count):
            (size,) = unpack_from("!i", tail, at)
            at += 4
            data.append(None if size < 0 else tail[at : at + size])
            at += max(size, 0)
        return cls(formats, tuple(data), codes())

    def parameters(self) -> list[Value]:
        codes = self.formats
        if len(codes) <= 1:
            codes = (codes[0] if codes else 0,) * len(self.data)
        return [Value(d, bool(c)) for d, c in zip(self.data, codes, strict=True)]

    def result_code(self, column: int) -> int:
        if len(self.results) <= 1:
            return self.results[0] if self.results else 0
        return self.results[column]

    def with_hidden(self, hidden: int) -> bytes:
        """The same Bind for a statement with hidden text outputs at its end."""
        results = self.results
        if len(results) > 1:
            results = (*results, *(0,) * hidden)
        return values(*self.parameters(), results=results)


@dataclass(frozen=True, slots=True)
class ParseBody:
    name: bytes
    sql: bytes
    oids: bytes

    @classmethod
    def read(cls, body: bytes) -> ParseBody:
        """Raises ValueError for a body that is no Parse; upstream will say so itself."""
        first = body.index(b"\0")
        second = body.index(b"\0", first + 1)
        return cls(body[:first], body[first + 1 : second], body[second + 1 :])


def read_bind(body: bytes) -> tuple[bytes, bytes, bytes]:
    """Returns (portal, statement, tail). Raises ValueError."""
    first = body.index(b"\0")
    second = body.index(b"\0", first + 1)
    return body[:first], body[first + 1 : second], body[second + 1 :]


def read_execute(body: bytes) -> tuple[bytes, int]:
    """Returns (portal, row limit). Raises ValueError."""
    end = body.index(b"\0")
    if len(body) < end + 5:
        raise ValueError("no row limit")
    (limit,) = unpack_from("!i", body, end + 1)
    return body[:end], max(int(limit), 0)


def columns_of(row: bytes) -> list[bytes | None]:
    """The values of a whole DataRow message."""
    (count,) = _INT16.unpack_from(row, 5)
    at = 7
    found: list[bytes | None] = []
    for _ in range(count):
        (size,) = unpack_from("!i", row, at)
        at += 4
        found.append(None if size < 0 else row[at : at + size])
        at += max(size, 0)
    return found


def data_row(columns: list[bytes | None]) -> bytes:
    return message(b"D", pack("!h", len(columns)) + b"".join(_sized(c) for c in columns))


def parameter_oids(description: bytes) -> tuple[int, ...]:
    """OIDs of a ParameterDescription body."""
    if not description:
        return ()
    (count,) = _INT16.unpack_from(description)
    found: tuple[int, ...] = unpack_from(f"!{count}I", description, 2)
    return found


def column_count(row_description: bytes) -> int:
    """Columns of a whole RowDescription message; 0 for none."""
    return int(_INT16.unpack_from(row_description, 5)[0]) if row_description else 0


def text_array(items: Sequence[str | None], codec: str = "utf-8") -> bytes:
    """A text[] literal in the client's encoding."""
    quoted = (
        "NULL" if i is None else '"' + i.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for i in items
    )
    return ("{" + ",".join(quoted) + "}").encode(codec)


def tag_count(tag: bytes) -> int:
    """Rows named in a command tag: the last word of `INSERT 0 2`."""
    last = tag.rsplit(b" ", 1)[-1]
    return int(last) if last.isdigit() else 0


def with_count(tag: bytes, count: int) -> bytes:
    return tag.rsplit(b" ", 1)[0] + b" %d" % count


def is_last_word(message: bytes) -> bool:
    """Whether an ErrorResponse says that upstream ends the connection."""
    severity = message.find(b"\0V", 5)  # the first field is the severity in words
    return message.startswith((b"FATAL\0", b"PANIC\0"), severity + 2)


def moved(message: bytes, characters: int | None) -> bytes:
    """An ErrorResponse or NoticeResponse with its position moved, or without it for None."""
    fields = message[5:].split(b"\0")
    changed = []
    for field_ in fields:
        if field_[:1] == b"P":
            if characters is None:
                continue
            field_ = b"P%d" % (int(field_[1:]) + characters)
        changed.append(field_)
    return _HEADER.pack(message[:1], len(b"\0".join(changed)) + 4) + b"\0".join(changed)
