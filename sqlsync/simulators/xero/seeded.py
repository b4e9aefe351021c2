"""Generated contacts, invoices and payments: a few numbers, made into documents when asked for.

A seeded row's document is made here from its seed in microseconds, and always the same; once
somebody changes the record it keeps a document of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from sqlsync.simulators.words import FAMILY, GIVEN, STREET
from sqlsync.simulators.xero.generate_settings import ITEMS, SERVICE_ACCOUNT
from sqlsync.simulators.xero.store import Books, Row
from sqlsync.simulators.xero.values import ONE, ZERO, Doc, uuid_of

CITY = (  # city, region, postal code, area code
    ("Auckland", "", "1010", "09"),
    ("Wellington", "", "6011", "04"),
    ("Christchurch", "Canterbury", "8011", "03"),
    ("Dunedin", "Otago", "9054", "03"),
    ("Hamilton", "Waikato", "3204", "07"),
    ("Tauranga", "Bay of Plenty", "3110", "07"),
    ("Nelson", "", "7010", "03"),
    ("Napier", "Hawke's Bay", "4110", "06"),
)
TERM_DAYS = 20  # of the following month, as the samples

SALE_STATUS = ("PAID", "AUTHORISED", "DRAFT", "SUBMITTED", "VOIDED", "DELETED")
_CENT = Decimal("0.01")
_UNIT = Decimal("0.0001")


class ContactSeed(NamedTuple):
    number: int
    name: str
    given: int
    family: int
    house: int
    street: int
    city: int
    is_supplier: bool
    is_active: bool


class InvoiceSeed(NamedTuple):
    is_sale: bool
    number: str
    contact: str
    day: int  # ordinal
    due: int
    status: int  # of SALE_STATUS
    lines: tuple[int, ...]  # item, quantity, item, quantity …
    reference: str
    paid: int  # cents
    paid_on: int
    region: int  # tracking option, -1 for none
    total: int  # cents


class PaymentSeed(NamedTuple):
    invoice: str
    is_sale: bool
    day: int
    cents: int
    reference: str


def money(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


def tax_of(cents: int) -> int:
    """15 %, half a cent up."""
    return (cents * 15 + 50) // 100


PRICES = tuple(int(Decimal(price) * 100) for _, _, _, price, _, _ in ITEMS)
COSTS = tuple(int(Decimal(cost) * 100) for _, _, _, _, cost, _ in ITEMS)


class Builder:
    """Makes documents of one organisation's seeds."""

    def __init__(self, books: Books) -> None:
        accounts = books.table("Accounts")
        items = list(books.table("Items").rows)
        self.item_ids = tuple(items[: len(ITEMS)])
        code = {
            kind: accounts.ids_of("code", number)[0] for kind, number in SERVICE_ACCOUNT.items()
        }
        self.sales_accounts = tuple(code[kind] for *_, kind in ITEMS)
        self.cost_account = accounts.ids_of("code", "310")[0]
        self.bank = accounts.ids_of("code", "090")[0]
        category = next(iter(books.table("TrackingCategories").rows.values()))
        options = books.table("TrackingCategories").doc(category)["Options"]
        self.regions = tuple(
            ({"TrackingCategoryID": category.id, "TrackingOptionID": o["TrackingOptionID"]},)
            for o in options
        )
        self.branding = next(iter(books.table("BrandingThemes").rows))

    def install(self, books: Books) -> None:
        makers: dict[str, Callable[[Row], Doc]] = {
            "Contacts": contact,
            "Invoices": self.invoice,
            "Payments": self.payment,
        }
        for name, make in makers.items():
            books.table(name).build = make

    def invoice(self, row: Row) -> Doc:
        seed: InvoiceSeed = row.seed
        status = SALE_STATUS[seed.status]
        lines: list[Doc] = []
        sub_total = tax = 0
        base = int(row.id.replace("-", ""), 16)
        prices = PRICES if seed.is_sale else COSTS
        region = list(self.regions[seed.region]) if seed.region >= 0 else []
        for place in range(0, len(seed.lines), 2):
            item, quantity = seed.lines[place], seed.lines[place + 1]
            amount = prices[item] * quantity
            line_tax = tax_of(amount)
            sub_total += amount
            tax += line_tax
            lines.append(
                {
                    "LineItemID": uuid_of(base ^ ((place + 1) << 80)),
                    "ItemID": self.item_ids[item],
                    "Description": ITEMS[item][2],
                    "Quantity": Decimal(quantity).quantize(_UNIT),
                    "UnitAmount": money(prices[item]).quantize(_UNIT),
                    "LineAmount": money(amount),
                    "AccountID": self.sales_accounts[item] if seed.is_sale else self.cost_account,
                    "Tracking": region,
                    "TaxType": "OUTPUT2" if seed.is_sale else "INPUT2",
                    "TaxAmount": money(line_tax),
                }
            )
        is_dead = status in ("VOIDED", "DELETED")
        doc: Doc = {
            "Type": "ACCREC" if seed.is_sale else "ACCPAY",
            "Status": status,
            "ContactID": seed.contact,
            "Date": date.fromordinal(seed.day),
            "DueDate": date.fromordinal(seed.due),
            "CurrencyCode": "NZD",
            "CurrencyRate": ONE,
            "Reference": seed.reference,
            "LineAmountTypes": "Exclusive",
            "LineItems": lines,
            "SubTotal": money(sub_total),
            "TotalTax": money(tax),
            "Total": money(sub_total + tax),
            "InvoiceNumber": seed.number,
            "AmountPaid": money(seed.paid),
            "AmountCredited": ZERO,
            "AmountDue": ZERO if is_dead else money(seed.total - seed.paid),
            "_client": "",
        }
        if seed.is_sale:
            doc["SentToContact"] = status in ("PAID", "AUTHORISED")
            doc["BrandingThemeID"] = self.branding
        if status == "PAID":
            doc["FullyPaidOnDate"] = date.fromordinal(seed.paid_on)
        return doc

    def payment(self, row: Row) -> Doc:
        seed: PaymentSeed = row.seed
        amount = money(seed.cents)
        return {
            "Date": date.fromordinal(seed.day),
            "BankAmount": amount,
            "Amount": amount,
            "CurrencyRate": ONE,
            "PaymentType": "ACCRECPAYMENT" if seed.is_sale else "ACCPAYPAYMENT",
            "Status": "AUTHORISED",
            "IsReconciled": False,
            "AccountID": self.bank,
            "TargetTable": "Invoices",
            "TargetID": seed.invoice,
            "Reference": seed.reference,
        }


def contact(row: Row) -> Doc:
    seed: ContactSeed = row.seed
    given, family = GIVEN[seed.given], FAMILY[seed.family]
    city, region, postal, area = CITY[seed.city]
    slug = "".join(c for c in f"{given}.{family}".lower() if c.isalnum() or c == ".")
    side = "Bills" if seed.is_supplier else "Sales"
    doc: Doc = {
        "ContactStatus": "ACTIVE" if seed.is_active else "ARCHIVED",
        "Name": seed.name,
        "FirstName": given,
        "LastName": family,
        "EmailAddress": f"{slug}{seed.number}@mail.example",
        "DefaultCurrency": "NZD",
        "Addresses": {
            "POBOX": {
                "AddressType": "POBOX",
                "AddressLine1": f"{seed.house} {STREET[seed.street]}",
                "City": city,
                "Region": region,
                "PostalCode": postal,
                "Country": "New Zealand",
            }
        },
        "Phones": {
            "DEFAULT": {
                "PhoneType": "DEFAULT",
                "PhoneNumber": f"555 {seed.number % 10000:04d}",
                "PhoneAreaCode": area,
                "PhoneCountryCode": "64",
            }
        },
        "ContactPersons": [],
        "PaymentTerms": {side: {"Day": TERM_DAYS, "Type": "OFFOLLOWINGMONTH"}},
    }
    if seed.is_supplier:
        doc["BankAccountDetails"] = f"12-34{seed.number % 90 + 10}-0{seed.number:06d}-00"
        doc["PurchasesDefaultAccountCode"] = "310"
    else:
        doc["ContactNumber"] = f"CRM-{1000 + seed.number}"
        doc["SalesDefaultAccountCode"] = "200"
        doc["SalesDefaultLineAmountType"] = "EXCLUSIVE"
    return doc
