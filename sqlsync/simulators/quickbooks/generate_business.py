"""Two years of business of a generated company, entered in the order it happened.

Invoices, bills and purchase orders are drawn and sorted by time; a payment is entered when its
time comes, so that ids rise with time and every balance follows from the documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from heapq import heappop, heappush
from random import Random
from typing import Any

from sqlsync.simulators.clock import PACIFIC
from sqlsync.simulators.quickbooks import names, seeded
from sqlsync.simulators.quickbooks.generate_lists import HISTORY_DAYS, doc_row, price_of
from sqlsync.simulators.quickbooks.regions import region_of
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.values import Doc, money


@dataclass(slots=True)
class Calendar:
    """The days of the history: ISO text and the epoch of their morning (8:00 Pacific)."""

    texts: list[str]
    mornings: list[int]

    @classmethod
    def before(cls, today: date) -> Calendar:
        first = today - timedelta(days=HISTORY_DAYS)
        days = [first + timedelta(days=n) for n in range(HISTORY_DAYS + 121)]
        mornings = [
            int(datetime(d.year, d.month, d.day, 8, tzinfo=PACIFIC).timestamp()) for d in days
        ]
        return cls([d.isoformat() for d in days], mornings)


def add_transactions(
    books: Books, random: Random, invoices: int, calendar: Calendar, now: int
) -> None:
    """Draws what happens, sorts it by time, then enters it."""
    events: list[tuple[int, int, Any]] = []  # when, kind, what
    draw = random.random
    mornings, last_day = calendar.mornings, HISTORY_DAYS
    for number in range(invoices):
        day = int(draw() * last_day)
        at = mornings[day] + int(draw() * 36000)
        if at >= now:
            at -= 86400
        events.append((at, 0, (number, day)))
    if books.tables["Vendor"].ids:
        for number in range(max(2, invoices // 10)):
            day = int(draw() * last_day)
            events.append((mornings[day] + int(draw() * 3600) - 3600, 1, (number, day)))
        for number in range(max(2, invoices // 25)):
            day = int(draw() * last_day)
            events.append((mornings[day] + int(draw() * 3600) - 3600, 2, (number, day)))
    events.sort(key=lambda event: event[:2])
    entering = _Entering(books, random, calendar, now)
    for at, kind, what in events:
        entering.pay_until(at)
        entering.STEPS[kind](entering, at, *what)
    entering.pay_until(now)
    entering.stock_up()
    for table in ("Invoice", "Bill"):  # a payment was their last change
        rows = books.tables[table].rows
        books.tables[table].rows = {
            row.id: row for row in sorted(rows.values(), key=lambda row: (row.updated, row.id))
        }


class _Entering:
    """Enters documents in the order of time; payments wait in a heap until they are due."""

    def __init__(self, books: Books, random: Random, calendar: Calendar, now: int) -> None:
        self.books = books
        # What is bought is untaxed, which is said by the row in the US and by the form elsewhere.
        is_us = books.country == "US"
        self.tax_permille = region_of(books.country).tax_permille
        self.untaxed_row: Doc = {"TaxCodeRef": {"value": "NON"}} if is_us else {}
        self.untaxed_form: Doc = {} if is_us else {"GlobalTaxCalculation": "NotApplicable"}
        self.random = random
        self.calendar = calendar
        self.now = now
        self.due: list[tuple[int, int, Row, int]] = []  # when, tie, document, cents
        self.customers = [row for row in books.tables["Customer"].rows.values() if row.active]
        self.vendors = books.tables["Vendor"].ids
        self.items = [i for i in books.seed_items if books.seed_items[i].price < 100_000]
        self.items += [i for i in books.seed_items if books.seed_items[i].price >= 100_000][:1]
        self.sold: dict[int, int] = {}  # item -> pieces sold less pieces bought so far
        self.missing: dict[int, int] = {}  # item -> the most of that at any time
        self.bought = [
            row
            for row in books.tables["Item"].rows.values()
            if row.doc and "PurchaseDesc" in row.doc
        ]

    def invoice(self, at: int, number: int, day: int) -> None:
        books, draw = self.books, self.random.random
        customer = self.customers[int(draw() * draw() * len(self.customers))]
        lines: list[int] = []
        subtotal = 0
        for _ in range(1 + int(draw() * draw() * 5)):
            item = self.items[int(draw() * len(self.items))]
            quantity = 1 + int(draw() * draw() * 8)
            lines += (item, quantity)
            subtotal += books.seed_items[item].price * quantity
            self.sold[item] = self.sold.get(item, 0) + quantity
            self.missing[item] = max(self.missing.get(item, 0), self.sold[item])
        seed_of_customer: seeded.CustomerSeed = customer.seed
        discount = (5, 10, 15)[int(draw() * 3)] if draw() < 0.08 else 0
        is_taxed = seed_of_customer.taxable and draw() < 0.6
        tax = seeded.tax_cents(subtotal, self.tax_permille) if is_taxed else 0
        due = self.calendar.texts[day + names.TERM_DAYS[seed_of_customer.term]]
        total = subtotal - seeded.discount_cents(subtotal, discount) + tax
        row = Row(
            books.new_id("Invoice"),
            created=at,
            updated=at,
            number=str(1001 + len(books.tables["Invoice"].ids)),
            date=self.calendar.texts[day],
            party=customer.id,
            total=total,
            open=total,
            seed=seeded.InvoiceSeed(due, discount, tax, tuple(lines)),
        )
        books.insert("Invoice", row)
        customer.open += total
        chance = draw()
        if chance < 0.86:
            self._expect(at, row, total, latest=45)
        elif chance < 0.92 and total > 4000:
            self._expect(at, row, total * (1 + int(draw() * 3)) // 4, latest=45)

    def bill(self, at: int, number: int, day: int) -> None:
        vendor = self._vendor()
        lines, total = self._purchase_lines(with_costs=True)
        doc: Doc = {
            "APAccountRef": {"value": "33", "name": "Accounts Payable (A/P)"},
            "DocNumber": f"B-{1000 + number}",
            "TxnDate": self.calendar.texts[day],
            "DueDate": self.calendar.texts[day + 30],
            "CurrencyRef": self.books.home,
            "VendorRef": {"value": str(vendor.id), "name": vendor.name},
            "SalesTermRef": {"value": "3"},
            **self.untaxed_form,
            "Line": lines,
        }
        row = doc_row(
            self.books,
            "Bill",
            doc,
            at,
            number=doc["DocNumber"],
            date=doc["TxnDate"],
            party=vendor.id,
            total=total,
            open=total,
        )
        vendor.open += total
        if self.random.random() < 0.75:
            self._expect(at, row, total, latest=35)

    def purchase_order(self, at: int, number: int, day: int) -> None:
        vendor = self._vendor()
        lines, total = self._purchase_lines(with_costs=False)
        address = (vendor.doc or {}).get("BillAddr", {})
        doc: Doc = {
            "APAccountRef": {"value": "33", "name": "Accounts Payable (A/P)"},
            "VendorRef": {"value": str(vendor.id), "name": vendor.name},
            "DocNumber": str(max(1000, self.books.tables["PurchaseOrder"].last_number) + 1),
            "TxnDate": self.calendar.texts[day],
            "POStatus": "Closed" if day < HISTORY_DAYS - 60 else "Open",
            "EmailStatus": "NotSet",
            "CurrencyRef": self.books.home,
            "CustomField": [],
            "VendorAddr": {"Line1": vendor.name, "Line2": address.get("Line1", "")},
            **self.untaxed_form,
            "Line": lines,
        }
        doc_row(
            self.books,
            "PurchaseOrder",
            doc,
            at,
            number=doc["DocNumber"],
            date=doc["TxnDate"],
            party=vendor.id,
            total=total,
        )

    STEPS = (invoice, bill, purchase_order)

    def _vendor(self) -> Row:
        return self.books.row("Vendor", self.vendors[int(self.random.random() * len(self.vendors))])

    def _purchase_lines(self, *, with_costs: bool) -> tuple[list[Doc], int]:
        draw = self.random.random
        lines: list[Doc] = []
        total = 0
        for number in range(1, 2 + int(draw() * 3)):
            item = self.bought[int(draw() * len(self.bought))]
            quantity = 1 + int(draw() * 12)
            cost = int(item.doc["PurchaseCost"] * 100) if item.doc else 0
            total += cost * quantity
            if with_costs:
                self.sold[item.id] = self.sold.get(item.id, 0) - quantity
            lines.append(
                {
                    "Id": str(number),
                    "LineNum": number,
                    "Amount": money(cost * quantity),
                    "DetailType": "ItemBasedExpenseLineDetail",
                    "ItemBasedExpenseLineDetail": {
                        "BillableStatus": "NotBillable",
                        "ItemRef": {"value": str(item.id), "name": item.name},
                        "UnitPrice": price_of(cost),
                        "Qty": quantity,
                        **self.untaxed_row,
                    },
                }
            )
        if with_costs and draw() < 0.5:
            cost = 500 + int(draw() * 4000)
            total += cost
            lines.append(
                {
                    "Id": str(len(lines) + 1),
                    "LineNum": len(lines) + 1,
                    "Amount": money(cost),
                    "DetailType": "AccountBasedExpenseLineDetail",
                    "AccountBasedExpenseLineDetail": {
                        "AccountRef": {"value": "60", "name": "Shipping"},
                        "BillableStatus": "NotBillable",
                        **self.untaxed_row,
                    },
                }
            )
        return lines, total

    def _expect(self, at: int, document: Row, cents: int, *, latest: int) -> None:
        when = at + 86400 * (2 + int(self.random.random() * latest))
        if when < self.now:
            heappush(self.due, (when, document.id, document, cents))

    def pay_until(self, at: int) -> None:
        while self.due and self.due[0][0] <= at:
            when, _, document, cents = heappop(self.due)
            if document.seed is not None:
                self._receive(when, document, cents)
            else:
                self._pay(when, document, cents)

    def _receive(self, when: int, invoice: Row, cents: int) -> None:
        draw = self.random.random
        extra = 2500 if draw() < 0.01 else 0  # now and then somebody pays too much
        row = Row(
            self.books.new_id("Payment"),
            created=when,
            updated=when,
            date=self._date(when),
            party=invoice.party,
            total=cents + extra,
            open=extra,
            links=((invoice.id, cents),),
            seed=seeded.PaymentSeed(1 + int(draw() * 4)),
        )
        self.books.insert("Payment", row)
        self._settle(invoice, row, when, cents)
        self.books.row("Customer", invoice.party).open -= cents + extra

    def _pay(self, when: int, bill: Row, cents: int) -> None:
        vendor = self.books.row("Vendor", bill.party)
        number = str(max(70, self.books.tables["BillPayment"].last_number) + 1)
        doc: Doc = {
            "VendorRef": {"value": str(vendor.id), "name": vendor.name},
            "PayType": "Check",
            "CheckPayment": {
                "BankAccountRef": {"value": "35", "name": "Checking"},
                "PrintStatus": "NotSet",
            },
            "DocNumber": number,
            "TxnDate": self._date(when),
            "CurrencyRef": self.books.home,
        }
        row = doc_row(
            self.books,
            "BillPayment",
            doc,
            when,
            number=number,
            date=doc["TxnDate"],
            party=vendor.id,
            total=cents,
            links=((bill.id, cents),),
        )
        self._settle(bill, row, when, cents)
        vendor.open -= cents

    @staticmethod
    def _settle(document: Row, payment: Row, when: int, cents: int) -> None:
        document.open -= cents
        document.links = (*document.links, (payment.id, cents))
        document.updated = when
        document.token += 1

    def stock_up(self) -> None:
        """The company started with so much of each item that it never ran out."""
        for item, pieces in self.missing.items():
            row = self.books.row("Item", item)
            if row.doc and row.doc.get("Type") == "Inventory":
                row.doc = {**row.doc, "QtyOnHand": row.doc["QtyOnHand"] + pieces}

    def _date(self, when: int) -> str:
        day = (when - self.calendar.mornings[0]) // 86400
        return self.calendar.texts[max(0, day)]
