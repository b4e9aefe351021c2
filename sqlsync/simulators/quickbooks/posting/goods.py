"""What the ledger asks of items: their accounts, and which of them are kept in stock."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from sqlsync.simulators.quickbooks.posting.chart import Chart
from sqlsync.simulators.quickbooks.posting.entries import UNIT
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.values import Doc


class ItemAccounts(NamedTuple):
    """Where an item's sales, purchases and stock are posted."""

    income: int
    expense: int  # of an item in stock: its cost of goods sold
    asset: int
    is_stocked: bool


class Goods:
    """The items of one company, as they are now."""

    def __init__(self, books: Books, chart: Chart, new: Iterable[Row] = ()) -> None:
        """new: items that are being made, and not in the books yet."""
        self._table = books.table("Item")
        self.chart = chart
        self._known = {row.id: accounts_of(row.doc or {}, chart) for row in new}
        self.stocked = {
            row.id for row in (*self._table.rows.values(), *new) if is_stocked(row.doc or {})
        }

    def accounts(self, item: int) -> ItemAccounts:
        found = self._known.get(item)
        if found is None:
            row = self._table.get(item)
            found = self._known[item] = accounts_of((row.doc or {}) if row else {}, self.chart)
        return found


def accounts_of(doc: Doc, chart: Chart) -> ItemAccounts:
    stocked = is_stocked(doc)
    cost = chart.part("cost" if stocked else "expense")
    return ItemAccounts(
        number_of(doc.get("IncomeAccountRef")) or chart.part("sales"),
        number_of(doc.get("ExpenseAccountRef")) or cost,
        number_of(doc.get("AssetAccountRef")) or chart.part("stock"),
        stocked,
    )


def is_stocked(doc: Doc) -> bool:
    return doc.get("Type") == "Inventory"


def number_of(reference: Any) -> int:
    """The id a reference holds; 0 where it holds no number."""
    value = str((reference or {}).get("value") or "")
    return int(value) if value.isdigit() else 0


def units_of(quantity: Any) -> int:
    """A quantity in whole millionths. None: one piece, as the forms take it."""
    if quantity is None:
        return UNIT
    return int(quantity) * UNIT if isinstance(quantity, int) else int(Decimal(quantity) * UNIT)
