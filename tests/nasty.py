"""Records as no provider should send them, made by hypothesis."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from schema.model import ColumnType, FieldSpec, ObjectSpec

_NULL_ID = "00000000-0000-0000-0000-000000000000"
_TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "\\N",
            "\\",
            "a\tb",
            "line\nbreak\r\n",
            "nul\x00",
            "\x01\x7f",
            '"',
            "é😀",
            "\\/",
            _NULL_ID,
            "\ud800",
            ".",
        ]
    ),
    st.text(max_size=8),
)
_KEYS = st.sampled_from(["1", "2", "pos:1", "", "a\tb", _NULL_ID])
_NUMBERS = st.sampled_from(
    ["0", "-0", "10.50", "1e5", "-1E-7", "1e400", "1e99999", "-1e-20000", "9" * 25, "9" * 1100]
)
_DATES = st.sampled_from(
    [
        *("2026-02-20", "2024-02-29", "2023-02-29", "2026-13-01", "0000-01-01", "9999-12-31"),
        *("/Date(1518652800000+0000)/", "/Date(-86400000)/", "/Date(1518652800000+1300)/"),
        *("/Date()/", "now"),
    ]
)
_TIMES = st.sampled_from(
    [
        *("2026-03-02T09:15:40-08:00", "2026-03-02T09:15:40Z", "2026-03-02T09:15:40.123456789Z"),
        *("2026-03-02T09:15:40", "2024-02-29T23:59:59+15:59", "2026-03-02T24:00:00Z", "infinity"),
        *("0001-01-01T00:00:00+15:00", "2026-03-02 09:15+01", "2026-03-02T09:15:60Z"),
        *("/Date(1439434356790+0000)/", "/Date(1439434356790)/", "/Date(-62135596800000+0000)/"),
        *(
            "/Date(999999999999999)/",
            "/Date(-62135596800000-0100)/",
            "/Date(0+9900)/",
            "/Date(0)/ ",
        ),
    ]
)


class Number:
    """A JSON number by its own text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


_ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), _TEXTS, _NUMBERS.map(Number)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_TEXTS, inner, max_size=3)
    ),
    max_leaves=4,
)
_FITTING = {
    ColumnType.TEXT: _TEXTS,
    ColumnType.NUMERIC: _NUMBERS.map(Number),
    ColumnType.BOOLEAN: st.booleans(),
    ColumnType.DATE: _DATES,
    ColumnType.TIMESTAMPTZ: _TIMES,
    ColumnType.JSONB: _ANY,
}


def to_json(value: Any, *, ascii_only: bool) -> str:
    """JSON text with numbers as written."""
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict):
        members = (
            f"{to_json(k, ascii_only=ascii_only)}:{to_json(v, ascii_only=ascii_only)}"
            for k, v in value.items()
        )
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(to_json(v, ascii_only=ascii_only) for v in value) + "]"
    text: str = json.dumps(value, ensure_ascii=ascii_only)
    return text


@st.composite
def members(draw: st.DrawFn, fields: tuple[FieldSpec, ...]) -> dict[str, Any]:
    """An object with some of the fields, now and then of a wrong kind."""
    record: dict[str, Any] = {}
    for field in draw(st.lists(st.sampled_from(fields), max_size=6, unique=True)):
        wrong = draw(st.integers(0, 5)) == 0
        place = record
        for name in field.path[:-1]:
            inner = place.setdefault(name, {})
            if not isinstance(inner, dict):
                inner = place[name] = {}
            place = inner
        place[field.path[-1]] = draw(_ANY if wrong else _FITTING[field.type])
    if draw(st.integers(0, 8)) == 0:
        record[draw(_TEXTS)] = draw(_ANY)
    return record


@st.composite
def records(draw: st.DrawFn, spec: ObjectSpec) -> bytes:
    """A record of the object as JSON text; nearly always with an id."""
    record = draw(members(spec.fields))
    for child in spec.children:
        if draw(st.booleans()):
            rows: list[Any] = []
            for _ in range(draw(st.integers(0, 3))):
                row = draw(members(child.fields))
                if child.key and draw(st.booleans()):
                    row[child.key] = draw(
                        st.sampled_from(["1", "2", "pos:1", "", "a\tb", _NULL_ID])
                    )
                rows.append(row)
            if draw(st.integers(0, 5)) == 0:
                rows.append(draw(_ANY))
            place = record
            for name in child.path[:-1]:
                if not isinstance(place.get(name), dict):
                    place[name] = {}
                place = place[name]
            place[child.path[-1]] = rows
    if spec.custom_fields and draw(st.booleans()):
        element = st.fixed_dictionaries(
            {"DefinitionId": st.sampled_from(["1", "2", "3", "9"])},
            optional={"StringValue": st.one_of(_TEXTS, _ANY)},
        )
        record["CustomField"] = draw(st.lists(element, max_size=3))
    (key,) = spec.by_column["id"].path
    record[key] = draw(st.one_of(st.sampled_from(["1", "2", "3", "a\\b"]), _TEXTS, _ANY))
    ascii_only = draw(st.booleans())
    text = to_json(record, ascii_only=ascii_only)
    return text.encode(errors="surrogatepass")
