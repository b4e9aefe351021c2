"""What a write changes in figures that other records show: balances of accounts, stock of items.

Called once a write is decided, before it is committed. Source for the figures being shown at
all: Intuit's reference of Account (CurrentBalance) and Item (QtyOnHand); that they change the
time of the record and not its SyncToken is unverified, and an option.
"""

from __future__ import annotations

from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.posting.entries import Transaction
from sqlsync.simulators.quickbooks.posting.goods import accounts_of
from sqlsync.simulators.quickbooks.posting.lines import rate_of
from sqlsync.simulators.quickbooks.posting.openings import TABLES, openings
from sqlsync.simulators.quickbooks.posting.standing import POSTING, Standing, standing_of
from sqlsync.simulators.quickbooks.store import Row
from sqlsync.simulators.quickbooks.unit import Unit


def mark_figures(unit: Unit, options: Options) -> None:
    """Marks accounts and items whose figures the unit changes, and keeps the Standing."""
    touched = [change for change in unit.touched() if change[0] in (*POSTING, *TABLES)]
    if not touched:
        return
    standing = standing_of(unit.books)
    lists_changed = any(name in ("Account", "Item") for name, _, _ in touched)
    before = _posted(standing, [(name, old) for name, old, _ in touched if old is not None])
    accounts, whole = _restructured(standing, touched)
    if lists_changed or whole:
        made = {
            table: [new for name, old, new in touched if name == table and old is None and new]
            for table in ("Account", "Item")
        }
        standing.renew(made["Account"], made["Item"], whole=whole)
    after = _posted(standing, [(name, new) for name, _, new in touched if new is not None])
    figures: dict[int, int] = {}
    moved: dict[int, int] = {}
    for transactions, sign in ((before, -1), (after, 1)):
        for found in transactions:
            for entry in found.entries:
                figures[entry.account] = figures.get(entry.account, 0) + entry.cents * sign
            for item, move in found.moves:
                moved[item] = moved.get(item, 0) + move.units * sign
                accounts.add(standing.poster.goods.accounts(item).asset)
    accounts |= {number for number, cents in figures.items() if cents}
    standing.change(before, after)
    _mark_accounts(unit, standing, accounts, options)
    items = unit.books.table("Item")
    for item, units in moved.items():
        row = items.get(item)
        if units and row is not None and not unit.holds(row):
            touch = options.stock_touches_item
            unit.edit(items, row, token=False, touch=touch, operation="Balance")


def _posted(standing: Standing, rows: list[tuple[str, Row]]) -> list[Transaction]:
    found: list[Transaction] = []
    for name, row in rows:
        if name in TABLES:
            found += openings(standing.poster, name, row)
        else:
            found.append(standing.poster.post(name, row))
    return found


def _restructured(
    standing: Standing, touched: list[tuple[str, Row | None, Row | None]]
) -> tuple[set[int], bool]:
    """Accounts that old postings leave or reach, and whether everything is to be posted anew."""
    accounts: set[int] = set()
    whole = False
    chart = standing.poster.chart
    for name, old, new in touched:
        if any(row is not None and rate_of(row.doc or {}) != 1 for row in (old, new)):
            whole = True  # what is paid on it is settled at a rate of its own
            accounts |= {chart.part(part) for part in ("receivables", "payables", "exchange")}
        elif old is None or new is None:
            continue
        elif name == "Item":
            one, other = (accounts_of(row.doc or {}, chart) for row in (old, new))
            if one != other:
                whole = True
                accounts |= {*one[:3], *other[:3]}
        elif name == "Account":
            accounts |= {old.parent, new.parent} if old.parent != new.parent else set()
    return accounts, whole


def _mark_accounts(unit: Unit, standing: Standing, numbers: set[int], options: Options) -> None:
    """Each account and those above it, whose balance includes it."""
    table = unit.books.table("Account")
    done: set[int] = set()
    for number in sorted(numbers):
        row = table.get(number)
        if row is None or standing.poster.chart.is_profit(number):
            continue
        while row is not None and row.id not in done:
            done.add(row.id)
            if not unit.holds(row):
                touch = options.balance_touches_account
                unit.edit(table, row, token=False, touch=touch, operation="Balance")
            row = table.get(row.parent)
