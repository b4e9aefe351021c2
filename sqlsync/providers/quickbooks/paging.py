"""A way through all records that neither skips nor repeats, while they change. No I/O.

QuickBooks pages by position and takes no `Id > 'last'`. In the order of Id new records come
last and changed ones stay, but a deletion moves all that follow one place up, and a reader
that goes on at its next position would skip one. So each page begins with the last row of the
page before. If that row is there, nothing moved. If it is not, the reader steps back, twice as
far each time, until it meets one of the last rows it has seen, and goes on behind it; where
it meets none of them even at the beginning, it reads all again, which is harmless since in
the mirror the newer wins. Nothing is assumed of Ids but that their order does not change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from sqlsync.errors import ConfigError

ANCHORS = 8  # all of them deleted between two pages: read again from the beginning


class _Text(msgspec.Struct, array_like=True):
    position: int
    seen: list[str]


_decoder = msgspec.json.Decoder(_Text)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the reader stands.

    position: of the last row it has read, from 1; 0 before the first. seen: ids of the last
    rows it has read, the very last one at the end.
    """

    position: int = 0
    seen: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """From what `text` gave. None: the beginning. Raises ConfigError where it is not ours."""
        if text is None:
            return cls()
        try:
            found = _decoder.decode(text)
        except msgspec.DecodeError:
            found = _Text(-1, [])
        if found.position < 0 or (found.position > 0 and not found.seen):
            raise ConfigError(f"The cursor {text!r} is not one of QuickBooks' pages.")
        return cls(found.position, tuple(found.seen))

    def text(self) -> str:
        return msgspec.json.encode(_Text(self.position, list(self.seen))).decode("utf-8")


@dataclass(frozen=True, slots=True)
class Ask:
    """Rows to ask for: from position `start`, at most `size`."""

    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What an answer brought: the new rows, and where to go on (None: that was all)."""

    rows: Sequence[bytes]
    cursor: Cursor | None


def ask(cursor: Cursor, steps_back: int, size: int) -> Ask:
    """What to ask for at the cursor, having had to step back `steps_back` times."""
    if cursor.position == 0:
        return Ask(1, size)
    back = 0 if steps_back == 0 else (size - 1) * (2 ** (steps_back - 1))
    return Ask(max(1, cursor.position - back), size)


def take(
    cursor: Cursor, asked: Ask, rows: Sequence[bytes], id_of: Callable[[bytes], str]
) -> Taken | None:
    """The new rows of an answer. None: what was read before is not among them; step back."""
    behind = _behind(cursor, rows, id_of)
    if behind is None:
        if asked.start > 1:
            return None
        behind = 0
    new = rows[behind:]
    if len(rows) < asked.size:
        return Taken(new, None)
    seen = tuple(id_of(row) for row in rows[-ANCHORS:])
    return Taken(new, Cursor(asked.start + len(rows) - 1, seen))


def _behind(cursor: Cursor, rows: Sequence[bytes], id_of: Callable[[bytes], str]) -> int | None:
    """Where the new rows begin: behind the latest row that was seen before."""
    if cursor.position == 0:
        return 0
    last = cursor.seen[-1]
    if rows and id_of(rows[0]) == last:
        return 1  # nothing moved: the usual case, one row looked at
    ids = [id_of(row) for row in rows]
    for seen in reversed(cursor.seen):
        if seen in ids:
            return ids.index(seen) + 1
    return None
