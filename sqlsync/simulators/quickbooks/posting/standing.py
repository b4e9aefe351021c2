"""What accounts and stock items stand at now, kept from write to write.

Worked out from the whole books when first asked for (a second or two for 100,000 invoices);
after that a write only changes what it changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlsync.simulators.quickbooks.posting.entries import UNIT, Transaction
from sqlsync.simulators.quickbooks.posting.openings import TABLES, openings
from sqlsync.simulators.quickbooks.posting.poster import KINDS, NON_POSTING, Poster
from sqlsync.simulators.quickbooks.posting.stock import Stock
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.values import to_cents

POSTING = tuple(kind for kind in KINDS if kind not in NON_POSTING)


def standing_of(books: Books) -> Standing:
    """The one Standing of a company's books."""
    if books.standing is None:
        books.standing = Standing(books)
    found: Standing = books.standing
    return found


class Standing:
    """Balances and stock of one company."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.poster = Poster(books)
        self._stock: Stock | None = None
        self._posted: dict[int, int] = {}  # by the forms themselves
        self._costs: dict[int, int] | None = None  # what goods that moved add to that

    def balance(self, account: int) -> int:
        """Cents; a debit balance is positive."""
        self.stock  # noqa: B018 (read the books, if that was not done yet)
        if self._costs is None:
            self._costs = self._cost_totals()
        return self._posted.get(account, 0) + self._costs.get(account, 0)

    def on_hand(self, item: int) -> int:
        """Millionths."""
        return self.stock.of(item).units

    @property
    def stock(self) -> Stock:
        if self._stock is None:
            self._stock = Stock(self._unit_cost)
            self._posted = {}
            for found in self._everything():
                for entry in found.entries:
                    self._posted[entry.account] = self._posted.get(entry.account, 0) + entry.cents
                for item, move in found.moves:
                    self._stock.collect(item, move)
        return self._stock

    def change(self, before: list[Transaction], after: list[Transaction]) -> None:
        """Takes a write into account."""
        if self._stock is None:
            return
        for transactions, sign in ((before, -1), (after, 1)):
            for found in transactions:
                for entry in found.entries:
                    known = self._posted.get(entry.account, 0)
                    self._posted[entry.account] = known + entry.cents * sign
                for item, move in found.moves:
                    if sign < 0:
                        self._stock.remove(item, move)
                    else:
                        self._stock.add(item, move)
        self._costs = None

    def renew(
        self, new_accounts: Iterable[Row] = (), new_items: Iterable[Row] = (), *, whole: bool
    ) -> None:
        """Accounts or items have changed; whole: so much that all must be posted anew."""
        self.poster = Poster(self.books, new_accounts, new_items)
        self._costs = None
        if whole:
            self._stock = None

    def _everything(self) -> Iterator[Transaction]:
        post = self.poster.post
        for kind in POSTING:
            for row in self.books.table(kind).rows.values():
                yield post(kind, row)
        for table in TABLES:
            for row in self.books.table(table).rows.values():
                if row.total or table in ("Account", "Item"):
                    yield from openings(self.poster, table, row)

    def _unit_cost(self, item: int) -> tuple[int, int]:
        row = self.books.table("Item").get(item)
        return to_cents(((row.doc or {}) if row else {}).get("PurchaseCost") or 0), UNIT

    def _cost_totals(self) -> dict[int, int]:
        found: dict[int, int] = {}
        for item in self.stock.items():
            extra = self.stock.of(item).extra_total
            accounts = self.poster.goods.accounts(item)
            found[accounts.asset] = found.get(accounts.asset, 0) + extra
            found[accounts.expense] = found.get(accounts.expense, 0) - extra
        return found
