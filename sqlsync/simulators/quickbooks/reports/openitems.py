"""What customers owe and what vendors are owed on a day, document by document.

A document's open amount on a day is its total less what was linked to it by then; a payment's
is what it had not yet applied. So their sum is the balance of the receivables or payables on
that day, whatever was paid since.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlsync.simulators.quickbooks.owing import links_of, other_document, owed
from sqlsync.simulators.quickbooks.posting.entries import Entry, Transaction
from sqlsync.simulators.quickbooks.posting.lines import rate_of
from sqlsync.simulators.quickbooks.posting.openings import openings
from sqlsync.simulators.quickbooks.posting.poster import applied
from sqlsync.simulators.quickbooks.reports.run import Run
from sqlsync.simulators.quickbooks.store import Row, Table
from sqlsync.simulators.quickbooks.values import to_cents


@dataclass(frozen=True, slots=True)
class Side:
    """Receivables or payables."""

    party: str
    part: str  # of the chart
    kind: str  # account type
    document: str
    credit: str
    payment: str
    sign: int  # of a debit


RECEIVABLES = Side(
    "Customer", "receivables", "Accounts Receivable", "Invoice", "CreditMemo", "Payment", 1
)
PAYABLES = Side("Vendor", "payables", "Accounts Payable", "Bill", "VendorCredit", "BillPayment", -1)


@dataclass(frozen=True, slots=True)
class OpenItem:
    """One document. amount, open: cents, positive where it raises what is owed."""

    found: Transaction
    entry: Entry
    party: int
    due: str
    amount: int
    open: int


_CUSTOM = ("custom1", "custom2", "custom3")
_OTHERS = ("JournalEntry", "Deposit", "Purchase", "Transfer")


def open_items(run: Run, side: Side, day: str) -> list[OpenItem]:
    """Every document of the side up to a day that passes the request's lists, by date."""
    items = [item for item in _all(run, side, day) if _passes(run, side, item)]
    items.sort(key=lambda item: (item.found.date, item.found.row.id, item.entry.line))
    return items


def _passes(run: Run, side: Side, item: OpenItem) -> bool:
    asked = run.asked
    for name, number in (
        (side.party.lower(), item.party),
        ("department", item.found.department_of(item.entry)),
    ):
        wanted = asked.ids.get(name)
        if wanted is not None and number not in wanted:
            return False
    terms = asked.ids.get("term")
    if terms is not None and run.term(item.found) not in terms:
        return False
    if not _ships(run, item):
        return False
    first, last = asked.span("duedate")
    if not first <= item.due <= last:
        return False
    paid = asked.word("arpaid" if side is RECEIVABLES else "appaid", "unpaid")
    return paid == "all" or (paid == "paid") == (item.open == 0)


def _ships(run: Run, item: OpenItem) -> bool:
    """The ship method and the custom fields that were asked for are the document's."""
    given = run.asked.given
    if not {"shipvia", *_CUSTOM} & set(given):
        return True
    doc = run.document(item.found)
    via = str((doc.get("ShipMethodRef") or {}).get("name") or "")
    if "shipvia" in given and via.lower() != given["shipvia"].lower():
        return False
    fields = {f.get("DefinitionId"): f.get("StringValue") for f in doc.get("CustomField") or ()}
    return all(fields.get(name[-1]) == given[name] for name in _CUSTOM if name in given)


def _all(run: Run, side: Side, day: str) -> Iterator[OpenItem]:
    """Documents that are settled are left out where nobody asks for them."""
    paid = "arpaid" if side is RECEIVABLES else "appaid"
    all_asked = run.asked.word(paid, "unpaid") != "unpaid"
    post = run.standing.poster.post
    payments = run.books.table(side.payment)
    tables = ((side.document, 1), (side.credit, -1))
    for kind, sign in tables:
        for row in run.books.table(kind).rows.values():
            if row.date > day:
                continue
            settled = _settled(payments, row, day)
            if not all_asked and not row.open and settled == _whole(row):
                continue
            found = post(kind, row)
            entry = found.entries[0]
            owed = entry.cents * side.sign
            due = run.due(found) if sign > 0 else found.date
            yield OpenItem(found, entry, row.party, due, owed, owed - settled * sign)
    for row in payments.rows.values():
        if row.date > day:
            continue
        used = sum(_applied_to(run.books.table(kind), row, day) * sign for kind, sign in tables)
        used += _applied_to_others(run, side, row, day)
        if not all_asked and not row.open and used == _whole(row):
            continue
        found = post(side.payment, row)
        entry = found.entries[1]
        owed = entry.cents * side.sign
        yield OpenItem(found, entry, row.party, found.date, owed, owed + used)
    yield from _booked(run, side, day)


def _whole(row: Row) -> int:
    """The total less its deposit, of a document in the home currency; else no such number."""
    doc = row.doc or {}
    return -1 if rate_of(doc) != 1 else row.total - to_cents(doc.get("Deposit") or 0)


def _settled(payments: Table, document: Row, day: str) -> int:
    return sum(cents for number, cents in applied(document) if payments.rows[number].date <= day)


def _applied_to(documents: Table, payment: Row, day: str) -> int:
    """What a payment applies to documents that there were by then."""
    total = 0
    for number, cents in payment.links:
        document = documents.get(number)
        if document is not None and document.date <= day:
            if rate_of(document.doc or {}) != 1:
                cents = dict(applied(document)).get(payment.id, 0)
            total += cents
    return total


def _applied_to_others(run: Run, side: Side, payment: Row, day: str) -> int:
    """What a payment applies to journal entries and the like, less what those give it."""
    total = 0
    for number, cents in payment.links:
        found = other_document(run.books, side.party, number)
        if found is not None and found[2].date <= day:
            total += _signed(run, side, found[1].name, found[2], [(payment.id, cents)])
    return total


def _signed(run: Run, side: Side, kind: str, row: Row, links: list[tuple[int, int]]) -> int:
    """So much of what a form makes somebody owe is settled by the payments of `links`."""
    standing = owed(run.books, side.party, kind, row.doc or {})
    if standing is None:
        return 0
    in_home = dict(applied(row))
    settled = sum(in_home.get(number, 0) for number, _ in links)
    return settled if standing.cents > 0 else -settled


def _booked(run: Run, side: Side, day: str) -> Iterator[OpenItem]:
    """Rows of other forms on the side's accounts, and opening balances."""
    accounts = {a.id for a in run.chart.accounts.values() if a.type == side.kind}
    post = run.standing.poster.post
    others = [post(kind, row) for kind in _OTHERS for row in run.books.table(kind).rows.values()]
    for row in run.books.table(side.party).rows.values():
        if row.total:
            others += openings(run.standing.poster, side.party, row)
    for found in others:
        if found.date > day:
            continue
        payments = run.books.table(side.payment)
        linked = [] if found.kind == side.party else links_of(payments, found.row)
        linked = [(number, cents) for number, cents in linked if payments.rows[number].date <= day]
        settled = _signed(run, side, found.kind, found.row, linked) if linked else 0
        for entry in found.entries:
            if entry.account in accounts:
                table, number = found.name_of(entry)
                party = number if table == side.party else 0
                cents = entry.cents * side.sign
                yield OpenItem(found, entry, party, found.date, cents, cents - settled)
                settled = 0
