"""What is in stock and what it cost."""

from __future__ import annotations

from sqlsync.simulators.quickbooks.posting.entries import UNIT, share
from sqlsync.simulators.quickbooks.reports.run import Made, Run
from sqlsync.simulators.quickbooks.reports.shape import (
    Row,
    cell,
    cells,
    column,
    data,
    money,
    quantity,
)


def inventory_valuation(run: Run) -> Made:
    """Pieces and what they cost, at the end of the day."""
    wanted = run.asked.ids.get("item")
    items = [
        number
        for number in run.standing.stock.items()
        if (wanted is None or number in wanted) and number in run.standing.poster.goods.stocked
    ]
    items.sort(key=lambda n: (run.name("Item", n).casefold(), n), reverse=run.asked.descending)
    rows: list[Row] = []
    total = 0
    for number in items:
        units, value = run.standing.stock.of(number).at(run.asked.day)
        if not units and not value:
            continue
        row = run.books.row("Item", number)
        total += value
        average = money(share(value * UNIT, 1, units)) if units > 0 else ""
        shown = cells(
            (str((row.doc or {}).get("Sku") or ""), quantity(units), money(value), average)
        )
        rows.append(data([cell(run.name("Item", number), number), *shown], typed=False))
    empty = not rows
    last = cells(("TOTAL", " ", "", money(total), ""))
    rows.append(data(last, "GrandTotal", typed=False))
    columns = [column("", "ProductsAndService"), column("SKU", "String")]
    columns += [column(title, "Money") for title in ("Qty", "Asset Value", "Calc. Avg")]
    return Made(columns, rows, is_empty=empty)
