"""Rows and cells of reports. Values are text; empty means none."""

from __future__ import annotations

from decimal import Decimal

from sqlsync.simulators.xero.values import Doc

Rows = list[Doc]


def text(amount: Decimal) -> str:
    """`-722.00`, never `-0.00`."""
    return f"{amount:.2f}" if amount else "0.00"


def cell(value: str, **attributes: str) -> Doc:
    found: Doc = {"Value": value}
    if attributes:
        found["Attributes"] = [{"Value": of, "Id": name} for name, of in attributes.items()]
    return found


def header(*titles: str) -> Doc:
    return {"RowType": "Header", "Cells": [cell(title) for title in titles]}


def row(*cells: Doc, kind: str = "Row") -> Doc:
    return {"RowType": kind, "Cells": list(cells)}


def section(title: str, rows: Rows) -> Doc:
    return {"RowType": "Section", "Title": title, "Rows": rows}
