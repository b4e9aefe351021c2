"""A believable organisation of any size from a seed: the same arguments, the same books.

Settings first, then two years of business: contacts, invoices, bills and their payments as
seeds; credit notes, bank transactions, orders and the rest written by the rules themselves, at
moments of the past. Every total follows from the documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random

from sqlsync.errors import ConfigError
from sqlsync.simulators.words import FAMILY, GIVEN, PLACE, STREET, TRADE
from sqlsync.simulators.xero.generate_settings import ITEMS, add_settings
from sqlsync.simulators.xero.generate_various import add_various
from sqlsync.simulators.xero.ledger import Ledger
from sqlsync.simulators.xero.seeded import (
    CITY,
    COSTS,
    PRICES,
    Builder,
    ContactSeed,
    InvoiceSeed,
    PaymentSeed,
    money,
    tax_of,
)
from sqlsync.simulators.xero.store import Books, Key, Row, Standing
from sqlsync.simulators.xero.tables import empty_books
from sqlsync.simulators.xero.values import fold, millis, uuid_of

HISTORY_DAYS = 730
FORM = ("", " Ltd", " & Co", " Collective", " House", " Group")
PAID, AUTHORISED, DRAFT, SUBMITTED, VOIDED, DELETED = range(6)


@dataclass(slots=True)
class Made:
    """What generation gives: the books and their journals."""

    books: Books
    ledger: Ledger


@dataclass(slots=True)
class _Posted:
    """A document that posts, to be numbered in the order of time."""

    at: int
    table: str
    row: Row
    day: date
    kind: str
    reference: str


def generate(
    customers: int, invoices: int, seed: int, tenant_id: str, name: str, now: datetime
) -> Made:
    """An organisation with that many customers and sales invoices, as of `now`."""
    if min(customers, invoices) < 0:
        raise ConfigError("An organisation has no negative number of customers or invoices.")
    if customers < 1 and invoices:
        raise ConfigError("An organisation with invoices needs at least one customer.")
    random = Random(seed)  # noqa: S311 (invented data, no secret)
    books = empty_books(seed)
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=HISTORY_DAYS)
    start = millis(datetime(first.year, first.month, first.day, 8, tzinfo=UTC)) - 86_400_000
    lock = date(first.year - 1 if first.month <= 3 else first.year, 3, 31)
    lock = min(lock, first - timedelta(days=1))
    add_settings(books, random, tenant_id, name, start, lock)
    Builder(books).install(books)
    ledger = Ledger(books)
    maker = _Maker(books, random, first, millis(now))
    maker.contacts(customers, start)
    posted: list[_Posted] = []
    if invoices:
        maker.documents(invoices, posted)
        posted += [
            _Posted(row.created, table, row, day, kind, reference)
            for table, row, day, kind, reference in add_various(books, random, first, now, invoices)
        ]
    posted.sort(key=lambda entry: (entry.at, entry.row.id))
    for entry in posted:
        ledger.enter(entry.table, entry.row, entry.day, entry.kind, entry.reference)
    return Made(books, ledger)


class _Maker:
    """Draws contacts and documents; all of them stay seeds."""

    def __init__(self, books: Books, random: Random, first: date, now: int) -> None:
        self.books = books
        self.random = random
        self.first = first.toordinal()
        self.now = now
        self.customers: list[str] = []
        self.suppliers: list[str] = []
        self.pieces = len(ITEMS) - 2  # tracked items are left to the rules

    def _id(self) -> str:
        return uuid_of(self.random.getrandbits(128))

    def contacts(self, customers: int, start: int) -> None:
        table = self.books.table("Contacts")
        taken: set[str] = set()
        suppliers = max(4, min(customers // 20, 2000)) if customers else 0
        draw = self.random.random
        span = HISTORY_DAYS * 43_200_000
        for number in range(customers + suppliers):
            is_supplier = number >= customers
            name = self._name(number, taken)
            is_active = is_supplier or number == 0 or draw() >= 0.03
            seed = ContactSeed(
                number,
                name,
                int(draw() * len(GIVEN)),
                int(draw() * len(FAMILY)),
                1 + int(draw() * 240),
                int(draw() * len(STREET)),
                int(draw() * len(CITY)),
                is_supplier,
                is_active,
            )
            at = start + int(draw() * span)
            row = Row(self._id(), at, at, None, seed)
            keys: list[Key] = [("name" if is_active else "archived", fold(name))]
            if not is_supplier:
                keys.append(("number", fold(f"CRM-{1000 + number}")))
            self.books.insert(table, row, keys, None)
            if is_supplier:
                self.suppliers.append(row.id)
            elif is_active:
                self.customers.append(row.id)

    def _name(self, number: int, taken: set[str]) -> str:
        draw = self.random.random
        for _ in range(4):
            if draw() < 0.25:
                name = f"{GIVEN[int(draw() * len(GIVEN))]} {FAMILY[int(draw() * len(FAMILY))]}"
            else:
                place, trade = int(draw() * len(PLACE)), int(draw() * len(TRADE))
                name = f"{PLACE[place]} {TRADE[trade]}{FORM[int(draw() * len(FORM))]}"
            if fold(name) not in taken:
                break
        else:
            name = f"{name} {number}"
        taken.add(fold(name))
        return name

    def documents(self, invoices: int, posted: list[_Posted]) -> None:
        draw = self.random.random
        days = sorted(int(draw() * HISTORY_DAYS) for _ in range(invoices))
        for number, day in enumerate(days, start=1):
            contact = self.customers[int(draw() * draw() * len(self.customers))]
            self._document(True, f"INV-{number:04d}", contact, day, posted)
        self.books.numbers["INV-"] = invoices
        bills = max(2, invoices // 5)
        days = sorted(int(draw() * HISTORY_DAYS) for _ in range(bills))
        for number, day in enumerate(days, start=1):
            contact = self.suppliers[int(draw() * len(self.suppliers))]
            self._document(False, f"{8000 + number}", contact, day, posted)

    def _lines(self, is_sale: bool) -> tuple[tuple[int, ...], int]:
        """Lines and their total with tax, in cents."""
        draw = self.random.random
        lines: list[int] = []
        total = 0
        prices = PRICES if is_sale else COSTS
        for _ in range(1 + int(draw() * draw() * 5)):
            item = int(draw() * self.pieces)
            while not prices[item]:
                item = int(draw() * self.pieces)
            quantity = 1 + int(draw() * draw() * (24 if is_sale else 80))
            amount = prices[item] * quantity
            lines += (item, quantity)
            total += amount + tax_of(amount)
        return tuple(lines), total

    def _document(
        self, is_sale: bool, number: str, contact: str, day: int, posted: list[_Posted]
    ) -> None:
        draw = self.random.random
        lines, total = self._lines(is_sale)
        at = self._moment(day)
        due = day + 14 + int(draw() * 30)
        status = self._status()
        paid, paid_day = 0, day
        chance = draw()
        if status == AUTHORISED:
            paid_day = day + 3 + int(draw() * 40)
            if paid_day < HISTORY_DAYS and chance < 0.86:
                paid = total if chance < 0.8 else max(1, total // 3)
                status = PAID if paid == total else AUTHORISED
        row_id = self._id()
        reference = f"PO {7000 + int(draw() * 2000)}" if is_sale and draw() < 0.4 else ""
        region = int(draw() * 4) - 1
        seed = InvoiceSeed(
            is_sale,
            number,
            contact,
            self.first + day,
            self.first + due,
            status,
            lines,
            reference,
            paid,
            self.first + paid_day,
            region,
            total,
        )
        row = Row(row_id, at, at, None, seed)
        standing = None
        if status in (PAID, AUTHORISED, SUBMITTED):
            is_open = status == AUTHORISED and total > paid
            standing = Standing(
                contact,
                is_sale,
                money(total - paid) if is_open else money(0),
                date.fromordinal(seed.due) if is_open else None,
            )
        keys = [("contact", contact), ("number", fold(number))]
        self.books.insert(self.books.table("Invoices"), row, keys, standing)
        if status in (PAID, AUTHORISED):
            kind = "ACCREC" if is_sale else "ACCPAY"
            on = date.fromordinal(seed.day)
            posted.append(_Posted(at, "Invoices", row, on, kind, reference))
        if status in (VOIDED, DELETED):
            row.updated = min(at + 86_400_000 * 2, self.now)
        if paid:
            self._payment(row, seed, paid_day, posted)

    def _payment(self, invoice: Row, seed: InvoiceSeed, day: int, posted: list[_Posted]) -> None:
        at = max(self._moment(day), invoice.created + 1000)
        words = "Payment" if seed.is_sale else f"DD {seed.number}"
        made = PaymentSeed(invoice.id, seed.is_sale, self.first + day, seed.paid, words)
        row = Row(self._id(), at, at, None, made)
        keys = [("target", invoice.id)]
        self.books.insert(self.books.table("Payments"), row, keys, None)
        invoice.updated = at + 13
        kind = "ACCRECPAYMENT" if seed.is_sale else "ACCPAYPAYMENT"
        on = date.fromordinal(made.day)
        posted.append(_Posted(at, "Payments", row, on, kind, words))

    def _status(self) -> int:
        chance = self.random.random()
        if chance < 0.03:
            return DRAFT
        if chance < 0.045:
            return SUBMITTED
        if chance < 0.06:
            return VOIDED
        return DELETED if chance < 0.07 else AUTHORISED

    def _moment(self, day: int) -> int:
        found = date.fromordinal(self.first + day)
        midnight = datetime(found.year, found.month, found.day, tzinfo=UTC)
        at = millis(midnight) + 28_800_000 + int(self.random.random() * 36_000_000)
        return min(at, self.now - 60_000)
