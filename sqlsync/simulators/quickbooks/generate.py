"""A believable company of any size from a seed: the same arguments, the same books.

Accounts, items, terms, customers, vendors, employees; then two years of invoices, payments,
bills, bill payments and purchase orders in the order they would have been entered, so that ids
rise with time. Every balance follows from the documents, to the cent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from heapq import heappop, heappush
from random import Random
from typing import Any

from sqlsync.simulators.clock import PACIFIC
from sqlsync.simulators.quickbooks import names, seeded
from sqlsync.simulators.quickbooks.accounts import classification
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.values import Doc, encode, money

USD: Doc = {"value": "USD", "name": "United States Dollar"}
HISTORY_DAYS = 730


@dataclass(slots=True)
class _Calendar:
    """The days of the history: ISO text and the epoch of their morning (8:00 Pacific)."""

    texts: list[str]
    mornings: list[int]

    @classmethod
    def before(cls, today: date) -> _Calendar:
        first = today - timedelta(days=HISTORY_DAYS)
        days = [first + timedelta(days=n) for n in range(HISTORY_DAYS + 121)]
        mornings = [
            int(datetime(d.year, d.month, d.day, 8, tzinfo=PACIFIC).timestamp()) for d in days
        ]
        return cls([d.isoformat() for d in days], mornings)


def generate(customers: int, invoices: int, seed: int, today: date, now: int) -> Books:
    """A company with that many customers and invoices, as of `today` (epoch `now`)."""
    if customers < 1 and invoices:
        raise ValueError("invoices need at least one customer")
    random = Random(seed)  # noqa: S311 (invented data, no secret)
    books = Books()
    calendar = _Calendar.before(today)
    start = calendar.mornings[0] - 86400
    _lists(books, start)
    _customers(books, random, customers, start)
    _vendors(books, random, max(4, min(customers // 20, 2000)) if customers else 0, start)
    _employees(books, random, max(3, min(customers // 40, 300)) if customers else 0, start)
    _company(books, today, start)
    if invoices:
        _transactions(books, random, invoices, calendar, now)
    return books


def _doc_row(books: Books, table: str, doc: Doc, at: int, **more: Any) -> Row:
    row = Row(books.new_id(table), created=at, updated=at, doc=doc, **more)
    books.insert(table, row)
    return row


def _lists(books: Books, at: int) -> None:
    for number, name, type, subtype in names.ACCOUNTS:
        doc: Doc = {
            "Name": name,
            "SubAccount": False,
            "FullyQualifiedName": name,
            "Active": True,
            "Classification": classification(type),
            "AccountType": type,
            "AccountSubType": subtype,
            "CurrentBalance": 0,
            "CurrentBalanceWithSubAccounts": 0,
            "CurrencyRef": USD,
        }
        books.insert("Account", Row(number, created=at, updated=at, name=name, doc=doc))
        books.next_id["Account"] = number + 1
    for number, name, days in names.TERMS:
        doc = {"Name": name, "Active": True, "Type": "STANDARD", "DueDays": days, "DiscountDays": 0}
        books.insert("Term", Row(number, created=at, updated=at, name=name, doc=doc))
    for number, name in ((1, "Cash"), (2, "Check"), (3, "Credit Card"), (4, "ACH")):
        kind = "CREDIT_CARD" if number == 3 else "NON_CREDIT_CARD"
        doc = {"Name": name, "Active": True, "Type": kind}
        books.insert("PaymentMethod", Row(number, created=at, updated=at, name=name, doc=doc))
    rate = {"TaxRateRef": {"value": "3", "name": "California"}, "TaxTypeApplicable": "TaxOnAmount"}
    doc = {
        "Name": "California",
        "Description": "California",
        "Active": True,
        "Hidden": False,
        "Taxable": True,
        "TaxGroup": True,
        "SalesTaxRateList": {"TaxRateDetail": [{**rate, "TaxOrder": 0}]},
        "PurchaseTaxRateList": {"TaxRateDetail": []},
        "TaxCodeConfigType": "SYSTEM_GENERATED",
    }
    books.insert("TaxCode", Row(2, created=at, updated=at, name="California", doc=doc))
    for item in names.ITEMS:
        _item(books, item, at)


def _item(books: Books, facts: tuple[str, str, str, int, int], at: int) -> None:
    name, description, type, price, cost = facts
    stocked = type == "Inventory"
    income = ("1", "Services") if type == "Service" else ("79", "Sales of Product Income")
    doc: Doc = {
        "Name": name,
        "Description": description,
        "Active": True,
        "FullyQualifiedName": name,
        "Taxable": True,
        "UnitPrice": _price(price),
        "Type": type,
        "IncomeAccountRef": {"value": income[0], "name": income[1]},
        "PurchaseCost": _price(cost),
        "TrackQtyOnHand": stocked,
    }
    if cost:
        doc["PurchaseDesc"] = description
        doc["ExpenseAccountRef"] = {"value": "80", "name": "Cost of Goods Sold"}
    if stocked:
        doc["AssetAccountRef"] = {"value": "81", "name": "Inventory Asset"}
        doc["QtyOnHand"] = 24
        doc["InvStartDate"] = "2020-01-01"
        doc["Sku"] = f"{name[:2].upper()}-{books.next_id['Item']:03d}"
    row = _doc_row(books, "Item", doc, at, name=name)
    words = encode(description).decode()
    label = encode(name).decode()
    books.seed_items[row.id] = seeded.ItemFacts(
        price,
        f'"Description":{words},"Amount":',
        ',"DetailType":"SalesItemLineDetail","SalesItemLineDetail":{"ItemRef":{"value":'
        f'"{row.id}","name":{label}}},"UnitPrice":{_price(price)},"ItemAccountRef":{{"value":'
        f'"{income[0]}","name":"{income[1]}"}},"TaxCodeRef":{{"value":"TAX"}},"Qty":',
    )


def _price(cents: int) -> Any:
    """A price as the service writes it: 45, 18.5, 38.99."""
    return cents // 100 if cents % 100 == 0 else money(cents)


def _customers(books: Books, random: Random, count: int, at: int) -> None:
    for number in range(1, count + 1):
        given, family = random.randrange(len(names.GIVEN)), random.randrange(len(names.FAMILY))
        is_company = number == 1 or random.random() < 0.6
        parent = 0
        if number == 1:
            name = "Acme Corp"
        elif is_company:
            name = (
                f"{random.choice(names.PLACE)} {random.choice(names.TRADE)}"
                f"{random.choice(names.FORM)}"
            )
        else:
            name = f"{names.GIVEN[given]} {names.FAMILY[family]}"
        if number > 20 and random.random() < 0.02:
            parent = random.randrange(1, 20)
            name = f"{name} project"
        name = _unused(books, "Customer", name, number)
        gone = number % 97 == 50  # made inactive, and never sold to
        if gone:
            name, parent = f"{name} (deleted)", 0
        seed = seeded.CustomerSeed(
            given,
            family,
            is_company,
            random.randrange(1, 990),
            random.randrange(len(names.STREET)),
            random.randrange(len(names.CITY)),
            random.choice((1, 2, 3, 3, 3, 4)),
            random.random() < 0.7,
        )
        row = Row(
            books.new_id("Customer"),
            created=at,
            updated=at,
            active=not gone,
            name=name,
            parent=parent,
            seed=seed,
        )
        if parent:
            books.jobs.setdefault(parent, set()).add(row.id)
        books.insert("Customer", row)


def _unused(books: Books, table: str, name: str, number: int) -> str:
    """The name, or the name with something added, that no other party has."""
    if books.holder_of(table, 0, name) is None:
        return name
    city = names.CITY[number % len(names.CITY)][0]
    for candidate in (f"{name} of {city}", f"{name} {number}"):
        if books.holder_of(table, 0, candidate) is None:
            return candidate
    return f"{name} {table} {number}"


def _vendors(books: Books, random: Random, count: int, at: int) -> None:
    for number in range(1, count + 1):
        given, family = random.choice(names.GIVEN), random.choice(names.FAMILY)
        name = _unused(books, "Vendor", f"{family} {random.choice(names.TRADE)} Supply", number)
        city, state, postal, area = random.choice(names.CITY)
        doc: Doc = {
            "BillAddr": {
                "Id": str(100_000 + number),
                "Line1": f"{random.randrange(1, 990)} {random.choice(names.STREET)}",
                "City": city,
                "CountrySubDivisionCode": state,
                "PostalCode": postal,
            },
            "CurrencyRef": USD,
            "TermRef": {"value": "3"},
            "GivenName": given,
            "FamilyName": family,
            "CompanyName": name,
            "DisplayName": name,
            "PrintOnCheckName": name,
            "Active": True,
            "Vendor1099": False,
            "BillRate": 0,
            "AcctNum": f"LK-{200 + number}",
            "V4IDPseudonym": f"0022{number:012x}",
            "PrimaryPhone": {"FreeFormNumber": f"({area}) 555-{number % 10000:04d}"},
            "PrimaryEmailAddr": {"Address": seeded.email_of(f"billing.{family}", number)},
            "WebAddr": {"URI": f"https://{seeded.email_of(family, number).replace('@', '.')}"},
        }
        _doc_row(books, "Vendor", doc, at, name=name)


def _employees(books: Books, random: Random, count: int, at: int) -> None:
    for number in range(1, count + 1):
        given, family = random.choice(names.GIVEN), random.choice(names.FAMILY)
        name = _unused(books, "Employee", f"{given} {family}", number)
        city, state, postal, area = random.choice(names.CITY)
        doc: Doc = {
            "PrimaryAddr": {
                "Id": str(200_000 + number),
                "Line1": f"{random.randrange(1, 990)} {random.choice(names.STREET)}",
                "City": city,
                "CountrySubDivisionCode": state,
                "PostalCode": postal,
            },
            "BillableTime": False,
            "GivenName": given,
            "FamilyName": family,
            "DisplayName": name,
            "PrintOnCheckName": name,
            "Active": True,
            "HiredDate": f"20{random.randrange(18, 24)}-{random.randrange(1, 13):02d}-01",
            "PrimaryPhone": {"FreeFormNumber": f"({area}) 555-{5000 + number % 5000:04d}"},
        }
        _doc_row(books, "Employee", doc, at, name=name)


def _company(books: Books, today: date, at: int) -> None:
    address: Doc = {
        "Id": "1",
        "Line1": "12 Quay Road",
        "City": "Oakvale",
        "Country": "USA",
        "CountrySubDivisionCode": "CA",
        "PostalCode": "94901",
    }
    info: Doc = {
        "CompanyName": "Lakeside Bicycle Works",
        "LegalName": "Lakeside Bicycle Works LLC",
        "CompanyAddr": address,
        "CustomerCommunicationAddr": address,
        "LegalAddr": address,
        "CustomerCommunicationEmailAddr": {"Address": "office@lakesidebikes.example"},
        "PrimaryPhone": {"FreeFormNumber": "(415) 555-0100"},
        "CompanyStartDate": (today - timedelta(days=HISTORY_DAYS + 1)).isoformat(),
        "FiscalYearStartMonth": "January",
        "Country": "US",
        "Email": {"Address": "office@lakesidebikes.example"},
        "WebAddr": {},
        "SupportedLanguages": "en",
        "DefaultTimeZone": "America/Los_Angeles",
        "NameValue": [
            {"Name": "NeoEnabled", "Value": "true"},
            {"Name": "IndustryType", "Value": "Bicycle shop"},
            {"Name": "SubscriptionStatus", "Value": "PAID"},
            {"Name": "OfferingSku", "Value": "QuickBooks Online Plus"},
        ],
    }
    books.insert("CompanyInfo", Row(1, token=8, created=at, updated=at, doc=info))
    preferences: Doc = {
        "AccountingInfoPrefs": {
            "UseAccountNumbers": True,
            "TrackDepartments": False,
            "ClassTrackingPerTxn": False,
            "ClassTrackingPerTxnLine": False,
            "FirstMonthOfFiscalYear": "January",
            "TaxYearMonth": "January",
            "CustomerTerminology": "Customers",
        },
        "ProductAndServicesPrefs": {
            "ForSales": True,
            "ForPurchase": True,
            "QuantityWithPriceAndRate": True,
            "QuantityOnHand": True,
        },
        "SalesFormsPrefs": {
            "CustomField": [
                {
                    "CustomField": [
                        {
                            "Name": "SalesFormsPrefs.SalesCustomName1",
                            "Type": "StringType",
                            "StringValue": "Crew #",
                        }
                    ]
                }
            ],
            "CustomTxnNumbers": False,
            "AllowDeposit": True,
            "AllowDiscount": True,
            "AllowEstimates": True,
            "AllowShipping": True,
            "DefaultTerms": {"value": "3"},
            "AutoApplyCredit": False,
        },
        "TaxPrefs": {"UsingSalesTax": True, "TaxGroupCodeRef": {"value": "2"}},
        "CurrencyPrefs": {"MultiCurrencyEnabled": False, "HomeCurrency": {"value": "USD"}},
        "ReportPrefs": {"ReportBasis": "Accrual"},
        "OtherPrefs": {
            "NameValue": [
                {"Name": "VendorAndPurchasesPrefs.UseCustomTxnNumbers", "Value": "false"},
                {"Name": "WarnDuplicateCheckNumber", "Value": "true"},
            ]
        },
    }
    books.insert("Preferences", Row(1, token=5, created=at, updated=at, doc=preferences))


# -- two years of business -------------------------------------------------------------------------


def _transactions(
    books: Books, random: Random, invoices: int, calendar: _Calendar, now: int
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
    for table in ("Invoice", "Bill"):  # a payment was their last change
        rows = books.tables[table].rows
        books.tables[table].rows = {
            row.id: row for row in sorted(rows.values(), key=lambda row: (row.updated, row.id))
        }


class _Entering:
    """Enters documents in the order of time; payments wait in a heap until they are due."""

    def __init__(self, books: Books, random: Random, calendar: _Calendar, now: int) -> None:
        self.books = books
        self.random = random
        self.calendar = calendar
        self.now = now
        self.due: list[tuple[int, int, Row, int]] = []  # when, tie, document, cents
        self.customers = [row for row in books.tables["Customer"].rows.values() if row.active]
        self.vendors = books.tables["Vendor"].ids
        self.items = [i for i in books.seed_items if books.seed_items[i].price < 100_000]
        self.items += [i for i in books.seed_items if books.seed_items[i].price >= 100_000][:1]
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
        seed_of_customer: seeded.CustomerSeed = customer.seed
        discount = (5, 10, 15)[int(draw() * 3)] if draw() < 0.08 else 0
        tax = seeded.tax_cents(subtotal) if seed_of_customer.taxable and draw() < 0.6 else 0
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
            "CurrencyRef": USD,
            "VendorRef": {"value": str(vendor.id), "name": vendor.name},
            "SalesTermRef": {"value": "3"},
            "Line": lines,
        }
        row = _doc_row(
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
            "CurrencyRef": USD,
            "CustomField": [],
            "VendorAddr": {"Line1": vendor.name, "Line2": address.get("Line1", "")},
            "Line": lines,
        }
        _doc_row(
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
            lines.append(
                {
                    "Id": str(number),
                    "LineNum": number,
                    "Amount": money(cost * quantity),
                    "DetailType": "ItemBasedExpenseLineDetail",
                    "ItemBasedExpenseLineDetail": {
                        "BillableStatus": "NotBillable",
                        "ItemRef": {"value": str(item.id), "name": item.name},
                        "UnitPrice": _price(cost),
                        "Qty": quantity,
                        "TaxCodeRef": {"value": "NON"},
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
                        "TaxCodeRef": {"value": "NON"},
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
            "CurrencyRef": USD,
        }
        row = _doc_row(
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

    def _date(self, when: int) -> str:
        day = (when - self.calendar.mornings[0]) // 86400
        return self.calendar.texts[max(0, day)]
