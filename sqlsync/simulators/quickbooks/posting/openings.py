"""What list records bring into the books: opening balances, stock at the start, stock counted.

They have no transaction of their own that a client could read, so they come without an id.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlsync.simulators.clock import PACIFIC
from sqlsync.simulators.quickbooks.posting.entries import Entry, Move, Transaction
from sqlsync.simulators.quickbooks.posting.goods import is_stocked, units_of
from sqlsync.simulators.quickbooks.posting.poster import Poster
from sqlsync.simulators.quickbooks.store import Row
from sqlsync.simulators.quickbooks.values import Doc, to_cents

OPENING = "Opening"
TABLES = ("Account", "Customer", "Vendor", "Item")
_MEMO = "Opening Balance"


def openings(poster: Poster, table: str, row: Row) -> list[Transaction]:
    """The transactions a list record stands for by itself; mostly none."""
    if table == "Item":
        return _stock(poster, row) if is_stocked(row.doc or {}) else []
    if table == "Account":
        return _account(poster, row)
    return _party(poster, table, row) if row.total else []


def _made(row: Row, label: str, day: str, number: str | None, memo: str) -> Transaction:
    made = Row(0, created=row.created, updated=row.created, number=number, date=day)
    return Transaction(OPENING, label, made, day, memo=memo)


def _day(row: Row, given: object) -> str:
    return str(given) if given else datetime.fromtimestamp(row.created, PACIFIC).date().isoformat()


def _party(poster: Poster, table: str, row: Row) -> list[Transaction]:
    day = _day(row, (row.doc or {}).get("OpenBalanceDate"))
    found = _made(row, "Journal Entry", day, None, _MEMO)
    part, sign = ("receivables", 1) if table == "Customer" else ("payables", -1)
    found.customer, found.vendor = (row.id, 0) if table == "Customer" else (0, row.id)
    found.entries = [
        Entry(poster.chart.part(part), row.total * sign, 0, _MEMO),
        Entry(poster.chart.part("opening"), -row.total * sign, 1, _MEMO),
    ]
    found.row.total = row.total
    return [found]


def _account(poster: Poster, row: Row) -> list[Transaction]:
    doc: Doc = row.doc or {}
    cents = to_cents(doc.get("OpeningBalance") or 0)
    account = poster.chart.accounts.get(row.id)
    if not cents or account is None or account.is_profit:
        return []
    found = _made(row, "Journal Entry", _day(row, doc.get("OpeningBalanceDate")), None, _MEMO)
    found.entries = [
        Entry(row.id, cents * account.sign, 0, _MEMO),
        Entry(poster.chart.part("opening"), -cents * account.sign, 1, _MEMO),
    ]
    found.row.total = cents
    return [found]


def _stock(poster: Poster, row: Row) -> list[Transaction]:
    """What was there at the start, at the purchase cost, and what was counted later."""
    doc: Doc = row.doc or {}
    accounts = poster.goods.accounts(row.id)
    found: list[Transaction] = []
    units = units_of(doc.get("QtyOnHand") or 0)
    if units:
        day = _day(row, doc.get("InvStartDate"))
        memo = f"{row.name} - Opening inventory and value"
        start = _made(row, "Inventory Starting Value", day, "START", memo)
        cents = to_cents(Decimal(doc.get("PurchaseCost") or 0) * units / 1_000_000)
        start.entries = [
            Entry(poster.chart.part("opening"), -cents, 0, memo),
            Entry(accounts.asset, cents, 1, memo, row.id),
        ]
        stage = 0 if units > 0 else 1
        start.moves = [(row.id, Move(day, stage, 0, 1, units, True, cents))]
        start.row.total = cents
        found.append(start)
    for position, (ordinal, counted) in enumerate(row.links, start=2):
        day = date.fromordinal(ordinal).isoformat()
        memo = f"{row.name} - Quantity counted"
        adjustment = _made(row, "Inventory Qty Adjust", day, None, memo)
        stage = 0 if counted > 0 else 1
        adjustment.moves = [(row.id, Move(day, stage, 0, position, counted, False, 0))]
        found.append(adjustment)
    return found
