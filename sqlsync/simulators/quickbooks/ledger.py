"""Who owes what: payments applied to documents, and the balances of customers and vendors.

At any time, to the cent: a document's `open` is its total less its deposit and what is linked
to it; a payment's `open` is its total less what it is linked to; a party's `open` is the sum of
its documents' less the sum of its payments' (and an opening balance). Changes are booked on a
Unit, so a refusal in the middle leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlsync.simulators.quickbooks import faults
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.store import Links, Row
from sqlsync.simulators.quickbooks.unit import Unit


@dataclass(frozen=True, slots=True)
class Side:
    """Sales (invoices, payments, customers) or purchases (bills, bill payments, vendors)."""

    payment: str
    document: str
    party: str


SALES = Side("Payment", "Invoice", "Customer")
PURCHASES = Side("BillPayment", "Bill", "Vendor")


class Ledger:
    """The bookings of one write. Call `finish` when all are made."""

    def __init__(self, unit: Unit, options: Options) -> None:
        self.unit = unit
        self.books = unit.books
        self.options = options
        self._owed: dict[tuple[str, int], int] = {}

    def owe(self, side: Side, party: int, cents: int) -> None:
        """The party owes us (sales) or we owe it (purchases) that much more."""
        if cents:
            key = (side.party, party)
            self._owed[key] = self._owed.get(key, 0) + cents

    def set_document(self, side: Side, row: Row, *, total: int, due: int, party: int) -> None:
        """A document's total, what is due of it before payments, and its party.

        Payments are let go where the party changes, and as far as they exceed what is due.
        """
        if row.party != party:
            self.release(side, row, 0)
        paid = sum(cents for _, cents in row.links)
        if paid > due:
            self.release(side, row, max(due, 0))
            paid = sum(cents for _, cents in row.links)
        self.owe(side, row.party, -row.open)
        self.owe(side, party, due - paid)
        row.total, row.open, row.party = total, due - paid, party

    def release(self, side: Side, document: Row, keep: int) -> None:
        """Unlinks payments, the latest first, until at most `keep` cents are linked."""
        excess = sum(cents for _, cents in document.links) - keep
        for payment_id, cents in reversed(document.links):
            if excess <= 0:
                return
            freed = min(cents, excess)
            excess -= freed
            payment = self.books.row(side.payment, payment_id)
            wanted = dict(payment.links)
            wanted[document.id] = cents - freed
            self.unit.edit(self.books.table(side.payment), payment)
            self.set_payment(side, payment, total=payment.total, party=payment.party, links=wanted)

    def set_payment(
        self, side: Side, row: Row, *, total: int, party: int, links: Mapping[int, int]
    ) -> None:
        """A payment's total, payer and what it pays (document id -> cents).

        Raises 6000 where more is applied than was paid, or than a document has open.
        """
        wanted = {document: cents for document, cents in links.items() if cents}
        applied = sum(wanted.values())
        if applied > total:
            raise faults.business(
                "The amount applied to transactions is more than the amount of the payment."
            )
        held = dict(row.links)
        for document_id in (*held, *(d for d in wanted if d not in held)):
            delta = wanted.get(document_id, 0) - held.get(document_id, 0)
            if delta:
                self._apply(side, document_id, row.id, delta, wanted.get(document_id, 0))
        self.owe(side, row.party, row.open)
        self.owe(side, party, -(total - applied))
        row.total, row.open, row.party = total, total - applied, party
        row.links = tuple(wanted.items())

    def _apply(self, side: Side, document_id: int, payment: int, delta: int, amount: int) -> None:
        table = self.books.table(side.document)
        document = table.rows[document_id]
        if delta > document.open:
            raise faults.business(
                f"You can't apply more than the open balance of {side.document} {document_id}."
            )
        self.unit.edit(table, document)
        document.open -= delta
        document.links = _relinked(document.links, payment, amount)
        self.owe(side, document.party, -delta)

    def finish(self) -> None:
        """Books what parties owe."""
        options = self.options
        for (table_name, party), cents in self._owed.items():
            if not cents:
                continue
            table = self.books.table(table_name)
            row = table.rows[party]
            self.unit.edit(
                table,
                row,
                token=options.balance_raises_customer_token,
                touch=options.balance_touches_customer,
                operation="Balance",
            )
            row.open += cents
            while table_name == "Customer" and row.parent:  # its BalanceWithJobs changes too
                row = table.rows[row.parent]
                self.unit.edit(
                    table,
                    row,
                    token=options.balance_raises_customer_token,
                    touch=options.balance_touches_customer,
                    operation="Balance",
                )
        self._owed.clear()


def _relinked(links: Links, number: int, cents: int) -> Links:
    kept = tuple((n, cents if n == number else c) for n, c in links)
    if number not in dict(links):
        kept = (*kept, (number, cents))
    return tuple((n, c) for n, c in kept if c)
