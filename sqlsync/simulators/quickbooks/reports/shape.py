"""The pieces of a report's JSON: cells, rows, sections, columns. Pure.

A section is `{"Header", "Rows", "Summary", "type": "Section", "group"}` of which any part may be
missing, a data row `{"ColData", "type": "Data"}`. All values are texts, the empty one for
nothing. Source: Intuit, reference pages of the reports; Report.xsd.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from sqlsync.simulators.quickbooks.values import Doc

Cell = dict[str, str]
Row = dict[str, Any]


def money(cents: int) -> str:
    """310.50, -34.50, 0.00"""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def amount(cents: int) -> str:
    """As in a row of data, where nought is empty."""
    return money(cents) if cents else ""


def bare(cents: int) -> str:
    """As journals write it: .00, -.50, 12.00"""
    text = money(cents)
    return text.replace("0.", ".", 1) if abs(cents) < 100 else text


def quantity(units: int) -> str:
    """Millionths as 12.00, 1.125"""
    text = f"{Decimal(units) / 1_000_000:f}"
    whole, _, rest = text.partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(2, '0')}"


def cell(value: str, number: int | str | None = None, href: str | None = None) -> Cell:
    """number: the id of what is named; 0 is none, the empty text stays."""
    made: Cell = {"value": value}
    if number not in (None, 0):
        made["id"] = str(number)
    if href is not None:
        made["href"] = href
    return made


def cells(values: Iterable[str]) -> list[Cell]:
    return [{"value": value} for value in values]


def data(columns: Sequence[Cell], group: str | None = None, *, typed: bool = True) -> Row:
    made: Row = {"ColData": list(columns)}
    if typed:
        made["type"] = "Data"
    if group is not None:
        made["group"] = group
    return made


def section(
    header: Sequence[Cell] | None = None,
    rows: Sequence[Row] | None = None,
    summary: Sequence[Cell] | None = None,
    group: str | None = None,
) -> Row:
    made: Row = {}
    if header is not None:
        made["Header"] = {"ColData": list(header)}
    if rows is not None:
        made["Rows"] = {"Row": list(rows)} if rows else {}
    if summary is not None:
        made["Summary"] = {"ColData": list(summary)}
    made["type"] = "Section"
    if group is not None:
        made["group"] = group
    return made


def column(title: str, kind: str, key: str | None = None, **facts: str) -> Doc:
    """facts: StartDate, EndDate."""
    made: Doc = {"ColTitle": title, "ColType": kind}
    about = [{"Name": name, "Value": value} for name, value in facts.items()]
    if key is not None:
        about.append({"Name": "ColKey", "Value": key})
    if about:
        made["MetaData"] = about
    return made
