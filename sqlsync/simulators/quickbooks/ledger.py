"""Who owes what: payments applied to documents, credits used up, balances of parties.

At any time, to the cent: a document's `open` is its total less its deposit and what is linked
to it; a credit's (credit memo, vendor credit) is its total less what payments use of it; a
payment's is its total and the credits it uses, less the documents it pays; a party's is the sum
of its documents' less those of its payments and credits (and an opening balance, and what
journal entries booked). Changes are booked on a Unit, so a refusal in the middle leaves nothing
behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlsync.simulators.quickbooks import faults
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.owing import links_of, other_document, owed
from sqlsync.simulators.quickbooks.store import Links, Row, Table
from sqlsync.simulators.quickbooks.unit import Unit
from sqlsync.simulators.quickbooks.values import Doc


@dataclass(frozen=True, slots=True)
class Side:
    """Sales (invoices, payments, customers) or purchases (bills, bill payments, vendors)."""

    payment: str
    document: str
    credit: str
    party: str


SALES = Side("Payment", "Invoice", "CreditMemo", "Customer")
PURCHASES = Side("BillPayment", "Bill", "VendorCredit", "Vendor")
SIDE_OF = {
    name: side
    for side in (SALES, PURCHASES)
    for name in (side.payment, side.document, side.credit, side.party)
}


@dataclass(frozen=True, slots=True)
class _Linked:
    """What a payment links. sign: -1 where it gives instead of being paid; open: cents."""

    table: Table
    row: Row
    sign: int
    party: int
    open: int


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
        self._set(side, row, total, due, party, sign=1)

    def set_credit(self, side: Side, row: Row, *, total: int, party: int) -> None:
        """A credit's total and party. Payments that use more of it use less from now on."""
        self._set(side, row, total, total, party, sign=-1)

    def _set(self, side: Side, row: Row, total: int, due: int, party: int, *, sign: int) -> None:
        if row.party != party:
            self.release(side, row, 0)
        used = sum(cents for _, cents in row.links)
        if used > due:
            self.release(side, row, max(due, 0))
            used = sum(cents for _, cents in row.links)
        self.owe(side, row.party, -row.open * sign)
        self.owe(side, party, (due - used) * sign)
        row.total, row.open, row.party = total, due - used, party

    def refit(self, name: str, row: Row, doc: Doc) -> None:
        """Payments let go what a journal entry, a deposit or an expense will no longer be owed.

        To be called before `doc` is put into its row.
        """
        for side in (SALES, PURCHASES):
            linked = links_of(self.books.table(side.payment), row)
            if not linked:
                continue
            before = owed(self.books, side.party, name, row.doc or {})
            after = owed(self.books, side.party, name, doc)
            keep = 0
            if before and after and before.party == after.party:
                keep = max(after.cents * (1 if before.cents > 0 else -1), 0)
            self.release(side, row, keep)

    def release(self, side: Side, document: Row, keep: int) -> None:
        """Unlinks the side's payments, the latest first, until at most `keep` cents are linked."""
        linked = links_of(self.books.table(side.payment), document)
        excess = sum(cents for _, cents in linked) - keep
        for payment_id, cents in reversed(linked):
            if excess <= 0:
                return
            freed = min(cents, excess)
            excess -= freed
            payment = self.books.row(side.payment, payment_id)
            wanted = dict(payment.links)
            wanted[document.id] = cents - freed
            self.unit.edit(self.books.table(side.payment), payment)
            self._uncover(side, payment.total, wanted)
            self.set_payment(side, payment, total=payment.total, party=payment.party, links=wanted)

    def _uncover(self, side: Side, total: int, links: dict[int, int]) -> None:
        """Less of a credit is left than a payment used: it pays that much less, the last first."""
        excess = self._applied(side, links) - total
        for number in reversed(list(links)):
            if excess <= 0:
                return
            if self._linked(side, number).sign > 0:
                freed = min(links[number], excess)
                links[number] -= freed
                excess -= freed

    def set_payment(
        self, side: Side, row: Row, *, total: int, party: int, links: Mapping[int, int]
    ) -> None:
        """A payment's total, payer, what it pays and what it uses (document id -> cents).

        Raises 6000 where more is applied than was paid, or than a document has open.
        """
        wanted = {document: cents for document, cents in links.items() if cents}
        applied = self._applied(side, wanted)
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

    def _applied(self, side: Side, links: Mapping[int, int]) -> int:
        """What documents get less what credits give."""
        return sum(cents * self._linked(side, number).sign for number, cents in links.items())

    def _linked(self, side: Side, number: int) -> _Linked:
        """A linked document or credit, or another form on the side's accounts."""
        for name, sign in ((side.document, 1), (side.credit, -1)):
            row = self.books.table(name).get(number)
            if row is not None:
                return _Linked(self.books.table(name), row, sign, row.party, row.open)
        found = other_document(self.books, side.party, number)
        standing = found and owed(self.books, side.party, found[1].name, found[2].doc or {})
        if not found or not standing:
            raise faults.cannot_be_linked()
        _, table, row = found
        used = sum(cents for _, cents in links_of(self.books.table(side.payment), row))
        sign = 1 if standing.cents > 0 else -1
        return _Linked(table, row, sign, standing.party, abs(standing.cents) - used)

    def _apply(self, side: Side, document_id: int, payment: int, delta: int, amount: int) -> None:
        found = self._linked(side, document_id)
        document = found.row
        if delta > found.open:
            raise faults.business(
                f"You can't apply more than the open balance of {found.table.name} {document_id}."
            )
        self.unit.edit(found.table, document)
        if found.table.name in (side.document, side.credit):
            document.open -= delta
        document.links = _relinked(document.links, payment, amount)
        self.owe(side, found.party, -delta * found.sign)

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
    kept = tuple((n, c) if n != number else (n, cents) for n, c in links)
    if number not in dict(links):
        kept = (*kept, (number, cents))
    return tuple((n, c) for n, c in kept if c)
