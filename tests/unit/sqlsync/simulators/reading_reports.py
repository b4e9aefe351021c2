"""Short words for what stands in a report."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from sqlsync.simulators.quickbooks.values import decode

Doc = dict[str, Any]


class Report:
    """One answer. Columns by position, rows flattened."""

    def __init__(self, body: bytes) -> None:
        self.doc: Doc = decode(body)
        self.header: Doc = self.doc["Header"]
        self.options = {option["Name"]: option["Value"] for option in self.header["Option"]}
        self.columns = list(leaves(self.doc["Columns"]["Column"]))
        self.rows = list(flatten(self.doc["Rows"].get("Row", [])))

    @property
    def data(self) -> list[list[Doc]]:
        """The cells of rows of data."""
        return [cells for kind, _, cells in self.rows if kind == "ColData"]

    def group(self, name: str) -> list[Decimal]:
        """The amounts of the one row or summary of a group; nought of an empty report."""
        if self.options["NoReportData"] == "true":
            return [Decimal(0)] * (len(self.columns) - 1)
        (cells,) = [cells for kind, group, cells in self.rows if group == name and kind != "Header"]
        return [number(cell) for cell in cells[1:]]

    def by_id(self) -> dict[str, list[Decimal]]:
        """The amounts of rows whose first cell has an id; of parents, those of their own."""
        return {
            cells[0]["id"]: [number(cell) for cell in cells[1:]]
            for kind, _, cells in self.rows
            if kind != "Summary" and cells[0].get("id")
        }

    def column(self, title: str) -> int:
        return [column["ColTitle"] for column in self.columns].index(title)


def leaves(columns: list[Doc]) -> Iterator[Doc]:
    for column in columns:
        inner = column.get("Columns")
        if inner:
            yield from leaves(inner["Column"])
        else:
            yield column


def flatten(rows: list[Doc]) -> Iterator[tuple[str, str | None, list[Doc]]]:
    """(part, group, cells) from top to bottom; a group's name stands at its Summary."""
    for row in rows:
        group = row.get("group")
        if "ColData" in row:
            yield "ColData", group, row["ColData"]
        if "Header" in row:
            yield "Header", None, row["Header"]["ColData"]
        yield from flatten(row.get("Rows", {}).get("Row", []))
        if "Summary" in row:
            yield "Summary", group, row["Summary"]["ColData"]


def number(cell: Doc) -> Decimal:
    text = cell["value"].removesuffix(" %").strip()
    return Decimal(text) if text else Decimal(0)
