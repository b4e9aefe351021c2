"""All transactions of a company for a report, on the accrual or the cash basis.

On the cash basis what a customer owes is no income yet and what is owed no expense: the rows
of an invoice, bill or credit on income and expense accounts count when, and in the proportion
in which, it is paid; money paid in advance counts as unapplied. Rows on balance sheet accounts
and the cost of goods that moved stay where they are (the reference does not say; unverified).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sqlsync.simulators.quickbooks.posting.entries import Entry, Transaction, share
from sqlsync.simulators.quickbooks.posting.lines import home, rate_of
from sqlsync.simulators.quickbooks.posting.openings import TABLES, openings
from sqlsync.simulators.quickbooks.posting.poster import KINDS, NON_POSTING, applied
from sqlsync.simulators.quickbooks.posting.standing import POSTING, Standing
from sqlsync.simulators.quickbooks.values import to_cents

_DEFERRED = {
    "Invoice": "Payment",
    "CreditMemo": "Payment",
    "Bill": "BillPayment",
    "VendorCredit": "BillPayment",
}
_UNAPPLIED = {"Payment": "unapplied_income", "BillPayment": "unapplied_expense"}


class Daybook:
    """The transactions of one company's books as they are now."""

    def __init__(self, standing: Standing, basis: str = "Accrual") -> None:
        self.standing = standing
        self.books = standing.books
        self.chart = standing.poster.chart
        self.on_cash = basis == "Cash"

    def transactions(
        self,
        start: str = "",
        end: str = "9999-12-31",
        kinds: Iterable[str] = POSTING,
        *,
        with_openings: bool = True,
    ) -> Iterator[Transaction]:
        """Those dated within start and end (both included), in no order."""
        for kind in kinds:
            moved = self.on_cash and (kind in _DEFERRED or kind in _UNAPPLIED)
            for row in self.books.table(kind).rows.values():
                if row.date and not moved and not start <= row.date <= end:
                    continue
                found = self.costed(kind, self.standing.poster.post(kind, row))
                if not moved:
                    if start <= found.date <= end:
                        yield found
                    continue
                for part in self._paid(found):
                    if start <= part.date <= end:
                        yield part
        if with_openings:
            yield from self._openings(start, end)

    def all_kinds(self, start: str, end: str) -> Iterator[Transaction]:
        """Those that post nothing too."""
        return self.transactions(start, end, (*POSTING, *NON_POSTING))

    def _openings(self, start: str, end: str) -> Iterator[Transaction]:
        for table in TABLES:
            for row in self.books.table(table).rows.values():
                if row.total or table in ("Account", "Item"):
                    for found in openings(self.standing.poster, table, row):
                        if start <= found.date <= end:
                            yield self.costed(table, found)

    def costed(self, kind: str, found: Transaction) -> Transaction:
        """With what its goods cost."""
        if not found.moves or kind not in (*KINDS, "Item"):
            return found
        for item, move in found.moves:
            extra = self.standing.stock.of(item).extra.get((move.id, move.line))
            if not extra:
                continue
            accounts = self.standing.poster.goods.accounts(item)
            row = next((e for e in found.entries if e.line == move.line), None)
            like = row or Entry(0, 0, move.line, found.memo)
            for account, cents in ((accounts.expense, -extra), (accounts.asset, extra)):
                cost = like._replace(account=account, cents=cents, item=item, units=0)
                found.entries.append(cost._replace(is_cost=True))
        return found

    def _paid(self, found: Transaction) -> list[Transaction]:
        if found.kind in _UNAPPLIED:
            return [self._unapplied(found)]
        return list(self._deferred(found))

    def _unapplied(self, found: Transaction) -> Transaction:
        """What a payment does not apply stands on an account of its own."""
        row = found.row
        cents = home(row.open, rate_of(row.doc or {}))
        if not cents:
            return found
        sign = -1 if found.kind == "Payment" else 1
        entries = list(found.entries)
        entries[1] = entries[1]._replace(cents=entries[1].cents - cents * sign)
        account = self.chart.part(_UNAPPLIED[found.kind])
        entries.append(Entry(account, cents * sign, len(entries)))
        return replace(found, entries=entries)

    def _deferred(self, found: Transaction) -> Iterator[Transaction]:
        row = found.row
        rate = rate_of(row.doc or {})
        total = home(row.total, rate)
        later = [e for e in found.entries[1:] if self.chart.is_profit(e.account) and not e.is_cost]
        if not total or not later:
            yield found
            return
        own = found.entries[0]
        held = own.cents + sum(entry.cents for entry in later)
        rest = [e for e in found.entries[1:] if not self.chart.is_profit(e.account) or e.is_cost]
        yield replace(found, entries=[own._replace(cents=held), *rest])
        payments = self.books.table(_DEFERRED[found.kind])
        deposit = to_cents((row.doc or {}).get("Deposit") or 0) if found.kind == "Invoice" else 0
        steps = [(found.date, home(deposit, rate))] if deposit else []
        steps += [(payments.rows[number].date, cents) for number, cents in applied(row)]
        paid = 0
        for day, cents in steps:
            parts = [
                entry._replace(
                    cents=share(entry.cents, paid + cents, total) - share(entry.cents, paid, total)
                )
                for entry in later
            ]
            paid += cents
            settled = own._replace(cents=-sum(part.cents for part in parts))
            yield replace(found, date=day, entries=[settled, *parts], moves=[])
