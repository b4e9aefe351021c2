"""What accounts come to for a report: all of it, what is tracked to an option, or what was paid.

On the cash basis (`paymentsOnly`) an invoice, bill or credit note counts when, and in the
proportion in which, it is paid or allocated; until then it is not there at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from sqlsync.simulators.xero.invoicing import APPROVED
from sqlsync.simulators.xero.ledger import Ledger, Post, posts_of
from sqlsync.simulators.xero.store import Books
from sqlsync.simulators.xero.values import ZERO, Doc, rounded, total

_DEFERRED = ("Invoices", "CreditNotes")


class Figures:
    """The figures of one request. options: a line counts where it is tracked to all of them."""

    def __init__(
        self,
        books: Books,
        ledger: Ledger,
        *,
        paid_only: bool = False,
        options: tuple[str, ...] = (),
        none_of: frozenset[str] = frozenset(),
    ) -> None:
        """none_of: … and to none of these."""
        self.books = books
        self.ledger = ledger
        self.paid_only = paid_only
        self.options = options
        self.none_of = none_of
        self._days: dict[str, dict[date, Decimal]] | None = None

    def balance(self, account_id: str, start: date | None, end: date) -> Decimal:
        """The net of an account's lines dated within a span, both ends included."""
        if not (self.paid_only or self.options or self.none_of):
            return self.ledger.balance(account_id, start, end)
        if self._days is None:
            self._days = {}
            for day, post in self._posts():
                days = self._days.setdefault(post.account, {})
                days[day] = days.get(day, ZERO) + post.net
        days = self._days.get(account_id, {})
        return total(
            net for day, net in days.items() if day <= end and (start is None or day >= start)
        )

    def _posts(self) -> Iterator[tuple[date, Post]]:
        for day, post in self._paid() if self.paid_only else self._all():
            tracked = {option for _, option in post.tracking}
            if tracked.issuperset(self.options) and not tracked & self.none_of:
                yield day, post

    def _all(self) -> Iterator[tuple[date, Post]]:
        for journal, post in self.ledger.lines(None, None):
            yield journal.day, post

    def _paid(self) -> Iterator[tuple[date, Post]]:
        for journal in self.ledger.journals:
            if journal.table not in _DEFERRED:
                for post in self.ledger.posts(journal):
                    yield journal.day, post
        for table in _DEFERRED:
            for record, doc in self.books.table(table).docs():
                if doc["Status"] in APPROVED:
                    yield from self._settled(table, record.id, doc)

    def _settled(self, table: str, record_id: str, doc: Doc) -> Iterator[tuple[date, Post]]:
        """A document's lines, in the parts in which it was settled; never a cent over."""
        posts = posts_of(self.books, table, doc)
        whole = doc["Total"]
        if not whole:
            yield from ((doc["Date"], post) for post in posts)
            return
        so_far = ZERO
        for day, amount in sorted(self._steps(table, record_id)):
            parts = [
                rounded(post.net * (so_far + amount) / whole) - rounded(post.net * so_far / whole)
                for post in posts
            ]
            so_far += amount
            parts[0] -= total(parts)  # the control account takes what rounding leaves
            for post, part in zip(posts, parts, strict=True):
                yield day, post._replace(net=part)

    def _steps(self, table: str, record_id: str) -> Iterator[tuple[date, Decimal]]:
        payments, allocations = self.books.table("Payments"), self.books.table("Allocations")
        for row in payments.rows_of("target", record_id):
            doc = payments.doc(row)
            if doc["Status"] == "AUTHORISED":
                yield doc["Date"], doc["Amount"]
        index = "invoice" if table == "Invoices" else "source"
        for row in allocations.rows_of(index, record_id):
            doc = allocations.doc(row)
            yield doc["Date"], doc["Amount"]
