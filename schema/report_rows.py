"""A report's answer as rows of its table. Pure.

The columns of an answer depend on what was asked and on the company's language, so each is
looked for by its key, then its title, then its place; what the table has no column for is in
`cells`, by title, and nothing is lost: `raw` keeps the row as it came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from schema.model import ColumnType
from schema.report_model import (
    Heading,
    Report,
    ReportColumnSpec,
    ReportRow,
    ReportSpec,
    RowType,
)
from schema.values import column_value

# What stands in every row of a run, and what only this row has.
RUN_COLUMNS = (
    *("run_id", "period_start", "period_end", "accounting_method", "currency", "as_of"),
    "parameters",
)
ROW_COLUMNS = (
    *("row_number", "section", "section_ids", "depth", "row_type", "row_group", "label"),
    *("label_id", "cells", "raw"),
)

_GROUPED = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_PLAIN = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_AMOUNTS = frozenset({"money", "numeric", "amount", "quantity", "percent", "rate"})

_json = msgspec.json.Encoder(decimal_format="number")


def number_of(text: str) -> Decimal | None:
    """The number a cell shows: "1,234.50", "(12.00)", "7.3%" are numbers; "" is none."""
    shown = text.strip().removesuffix("%").strip()
    if shown.startswith("(") and shown.endswith(")"):
        shown = f"-{shown[1:-1].strip()}"
    if _GROUPED.fullmatch(shown):
        shown = shown.replace(",", "")
    if len(shown) > 1000 or not _PLAIN.fullmatch(shown):
        return None
    return Decimal(shown)


def day_of(text: str) -> date | None:
    """The day a cell shows: "2026-02-20", "2026-10-06T00:00:00"."""
    found = column_value(ColumnType.DATE, text.strip())
    return None if found is None else date.fromisoformat(found)


def place_columns(spec: ReportSpec, headings: Sequence[Heading]) -> dict[int, ReportColumnSpec]:
    """Which column of the answer (from 0) is which of the report's."""
    wanted = [c for c in spec.columns if c.attribute is None]
    by_key = {c.key.casefold(): c for c in wanted if not c.titles and c.place is None}
    by_title = {title.casefold(): c for c in wanted for title in c.titles}
    by_place = {c.place - 1: c for c in wanted if c.place is not None}
    found: dict[int, ReportColumnSpec] = {}
    for number, heading in enumerate(headings):
        for column in (
            by_key.get(heading.key.casefold()),
            by_key.get(heading.type.casefold()),
            by_title.get(heading.title.strip().casefold()),
            by_place.get(number),
        ):
            if column is not None and column not in found.values():
                found[number] = column
                break
    # In the company's own language the only amount there is still is the total.
    totals = [c for c in wanted if c.key == "total" and c not in found.values()]
    others = [number for number in range(1, len(headings)) if number not in found]
    if totals and len(headings) == 2 and others == [1]:
        found[1] = totals[0]
    return found


def cell_keys(headings: Sequence[Heading]) -> list[str]:
    """The names of an answer's columns in `cells`: their titles, each once."""
    keys: list[str] = []
    for heading in headings:
        name = heading.title.strip() or heading.key or heading.type or f"column {len(keys) + 1}"
        unique, count = name, 1
        while unique in keys:
            count += 1
            unique = f"{name} ({count})"
        keys.append(unique)
    return keys


def headings_json(headings: Sequence[Heading]) -> bytes:
    """The columns of an answer as `_sync_report.columns` has them."""
    return _json.encode(
        [
            {"cell": key, "title": h.title, "type": h.type, "key": h.key, **_lower(h)}
            for key, h in zip(cell_keys(headings), headings, strict=True)
        ]
    )


def _lower(heading: Heading) -> dict[str, str]:
    """Of a column that is a period: which one."""
    return {
        name: heading.facts[fact]
        for fact, name in (("StartDate", "start_date"), ("EndDate", "end_date"))
        if fact in heading.facts
    }


def own_columns(spec: ReportSpec) -> tuple[str, ...]:
    """The columns of `table_rows`' rows, in order."""
    return (*ROW_COLUMNS, *(name for name, _, _ in spec.table_columns))


def table_rows(spec: ReportSpec, report: Report) -> Iterator[tuple[Any, ...]]:
    """The rows of `own_columns`. Texts, Decimals, dates, lists; jsonb columns are JSON text."""
    placed = place_columns(spec, report.headings)
    keys = cell_keys(report.headings)
    numeric = [_may_be_number(placed.get(n), h, n) for n, h in enumerate(report.headings)]
    names = [name for name, _, _ in spec.table_columns]
    attributes = [c for c in spec.columns if c.attribute is not None]
    # The first cell is the label, unless the row is data and its column one of the table's.
    has_first = 0 in placed and placed[0].column is not None
    for number, row in enumerate(report.rows, start=1):
        values = dict.fromkeys(names)
        for column in attributes:
            values |= _from_attribute(column, row)
        cells: dict[str, Any] = {}
        says_first = has_first and row.type is RowType.DATA
        for index, cell in enumerate(row.cells[: len(keys)]):
            text = cell.value if index or says_first else ""
            shown = number_of(text) if numeric[index] else None
            if text:
                cells[keys[index]] = text if shown is None else shown
            if index in placed:
                values |= _from_cell(placed[index], text, cell.id, shown)
        yield (
            number,
            list(row.section),
            list(row.section_ids),
            row.depth,
            row.type.value,
            row.group,
            row.label,
            row.cells[0].id or None if row.cells else None,
            _json.encode(cells).decode(),
            row.raw.decode(),
            *(values[name] for name in names),
        )


def _may_be_number(column: ReportColumnSpec | None, heading: Heading, number: int) -> bool:
    """Columns without a type (Xero's) hold numbers, save the first and those known better."""
    if column is not None and column.column is not None:
        return column.type is ColumnType.NUMERIC
    return heading.type.casefold() in _AMOUNTS or (not heading.type and number > 0)


def _from_attribute(column: ReportColumnSpec, row: ReportRow) -> dict[str, Any]:
    found = row.attributes.get(column.attribute or "") or None
    return {column.id_column: found} if column.id_column and found else {}


def _from_cell(
    column: ReportColumnSpec, text: str, record_id: str | None, shown: Decimal | None
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if column.column is not None and text:
        if column.type is ColumnType.NUMERIC:
            found[column.column] = number_of(text) if shown is None else shown
        elif column.type is ColumnType.DATE:
            found[column.column] = day_of(text)
        else:
            found[column.column] = text
    if column.id_column is not None and record_id:
        found[column.id_column] = record_id
    return found
