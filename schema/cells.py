"""The compiled half of `schema.codec`: JSON text to COPY cells of one table, when all is plain.

A list of fields becomes msgspec structs, which decode no more than the columns need, and a
generated function that lays a record's values out by kind: texts, dates and times, numbers and
booleans (still the provider's own text), jsonb (likewise). So one join and one regular
expression do for all cells of a kind. What is not plain raises NotPlain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from schema.model import ColumnType, FieldSpec
from schema.values import (
    DATE_PATTERN,
    NUMBER_PATTERN,
    TIMESTAMP_PATTERN,
    day_of_milliseconds,
    moment_of_milliseconds,
)

NULL_TEXT = "\\N"  # the default of a missing text: told from a real text by identity
NULL = b"\\N"
NULL_RAW = Raw(b"null")

ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

_TIMES = (ColumnType.DATE, ColumnType.TIMESTAMPTZ)
_RAWS = (ColumnType.NUMERIC, ColumnType.BOOLEAN)
_ORDER = (ColumnType.TEXT, *_TIMES, *_RAWS, ColumnType.JSONB)

Path = tuple[str, ...]


class NotPlain(Exception):
    """The record needs the careful way."""


class Cells:
    """The cells of one table.

    columns: in the order of the cells. extras: paths whose values `split` gives besides:
    as text where in `texts`, else as Raw.
    """

    def __init__(
        self, fields: Sequence[FieldSpec], *, texts: Iterable[Path] = (), raws: Iterable[Path] = ()
    ) -> None:
        ordered = sorted(fields, key=lambda f: _ORDER.index(f.type))
        kinds = [f.type for f in ordered]
        self.columns = tuple(f.column for f in ordered)
        self.text_columns = tuple(f.column for f in ordered if f.type is ColumnType.TEXT)
        texts, raws = tuple(texts), tuple(raws)
        leaves = {f.path: f.type in (ColumnType.TEXT, *_TIMES) for f in ordered}
        leaves |= dict.fromkeys(texts, True) | {p: False for p in raws if p not in leaves}
        self.struct, places = _struct("Record", leaves)
        groups = [
            [places[f.path] for f in ordered if f.type in wanted]
            for wanted in ((ColumnType.TEXT,), _TIMES, _RAWS, (ColumnType.JSONB,))
        ]
        groups.append([places[p] for p in (*texts, *raws)])
        self.split: Callable[[Any], tuple[tuple[Any, ...], ...]] = _compile(groups)
        self._times = _pattern(
            (kinds.count(ColumnType.DATE), rf"\\N|{DATE_PATTERN}"),
            (kinds.count(ColumnType.TIMESTAMPTZ), rf"\\N|{TIMESTAMP_PATTERN}"),
        )
        self._dates = kinds.count(ColumnType.DATE)
        raw_pattern = _pattern(
            (kinds.count(ColumnType.NUMERIC), f"null|{NUMBER_PATTERN}"),
            (kinds.count(ColumnType.BOOLEAN), "null|true|false"),
        )
        self._raws = re.compile(raw_pattern.pattern.encode())

    def line(
        self,
        texts: Sequence[str | None],
        times: Sequence[str | None],
        raws: Sequence[Raw],
        jsons: Sequence[Raw],
        *,
        escaped: bool,
    ) -> bytes:
        """One line of COPY text, without its end.

        escaped: the JSON text holds a backslash, so texts may hold what COPY must escape;
        without one they cannot. Raises NotPlain where a cell is not of its kind.
        """
        head = join_texts(texts, escaped)
        if times:
            joined = join_texts(times, False)
            if self._times.fullmatch(joined) is None:
                joined = self._of_milliseconds(times)
            head = f"{head}\t{joined}" if texts else joined
        parts = [head.encode()] if texts or times else []
        if raws:
            numbers = b"\t".join(raws)
            if self._raws.fullmatch(numbers) is None:
                raise NotPlain
            parts.append(numbers.replace(b"null", NULL))
        for cell in jsons:
            if cell is NULL_RAW or cell == NULL_RAW:
                parts.append(NULL)
            elif escaped:
                parts.append(bytes(cell).replace(b"\\", b"\\\\"))
            else:
                parts.append(cell)  # a buffer; join takes any
        return b"\t".join(parts)

    def _of_milliseconds(self, times: Sequence[str | None]) -> str:
        """The cells where all of them are written as `/Date(…)/`. Raises NotPlain."""
        cells = [
            NULL_TEXT
            if time is None or time is NULL_TEXT
            else (day_of_milliseconds if number < self._dates else moment_of_milliseconds)(time)
            for number, time in enumerate(times)
        ]
        if None in cells:
            raise NotPlain
        return "\t".join(cells)  # type: ignore[arg-type]


def join_texts(texts: Sequence[str | None], escaped: bool) -> str:
    """Cells of text with tabs between; None is NULL."""
    if escaped:
        return "\t".join([_escape(c) for c in texts])
    try:
        return "\t".join(texts)  # type: ignore[arg-type]
    except TypeError:  # a null
        return "\t".join([NULL_TEXT if c is None else c for c in texts])


def _escape(cell: str | None) -> str:
    if cell is None or cell is NULL_TEXT:
        return NULL_TEXT
    return cell if cell.isprintable() and "\\" not in cell else cell.translate(ESCAPES)


def _struct(name: str, leaves: dict[Path, bool]) -> tuple[type[Any], dict[Path, str]]:
    """A struct type for JSON with these leaves (True: text), and each leaf's attribute path.

    A member that is missing is NULL_TEXT, NULL_RAW, or a struct of nothing but those.
    """
    members = dict.fromkeys(path[0] for path in leaves)
    attributes: list[tuple[str, Any, Any]] = []
    places: dict[Path, str] = {}
    for number, member in enumerate(members):
        attribute = f"m{number}"
        below = {path[1:]: text for path, text in leaves.items() if path[0] == member}
        if () in below:
            leaf: tuple[Any, Any] = (str | None, NULL_TEXT) if below[()] else (Raw, NULL_RAW)
            attributes.append((attribute, *leaf))
            places[(member,)] = attribute
        else:
            struct, inner = _struct(f"{name}_{member}", below)
            attributes.append((attribute, struct, struct()))
            places |= {(member, *path): f"{attribute}.{place}" for path, place in inner.items()}
    made = msgspec.defstruct(
        name,
        attributes,
        frozen=True,
        gc=False,
        rename={f"m{n}": member for n, member in enumerate(members)},
    )
    return made, places


def _compile(groups: Sequence[Sequence[str]]) -> Callable[[Any], tuple[tuple[Any, ...], ...]]:
    """A function from a struct to tuples of the values at these attribute paths.

    The source holds nothing but generated names: `a0 = r.m3`, `return (r.m0, a0.m1,), …`.
    """
    lines = ["def split(r):"]
    locals_: dict[str, str] = {"": "r"}

    def owner(place: str) -> str:
        if place not in locals_:
            parent, _, attribute = place.rpartition(".")
            above = owner(parent)
            locals_[place] = f"a{len(locals_)}"
            lines.append(f"    {locals_[place]} = {above}.{attribute}")
        return locals_[place]

    def value(place: str) -> str:
        parent, _, attribute = place.rpartition(".")
        return f"{owner(parent)}.{attribute}"

    tuples = ["(" + "".join(f"{value(p)}, " for p in group) + ")" for group in groups]
    lines.append(f"    return {', '.join(tuples)}")
    namespace: dict[str, Any] = {}
    exec("\n".join(lines), namespace)  # noqa: S102
    split: Callable[[Any], tuple[tuple[Any, ...], ...]] = namespace["split"]
    return split


def _pattern(*runs: tuple[int, str]) -> re.Pattern[str]:
    """Matches cells with tabs between: so many of the first form, then of the second."""
    cells = [f"(?:{form})" for count, form in runs for _ in range(count)]
    return re.compile("\t".join(cells))
