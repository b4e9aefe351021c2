"""The lists of a generated company: accounts, items, terms, customers, vendors, employees."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any

from sqlsync.simulators.quickbooks import names, seeded
from sqlsync.simulators.quickbooks.accounts import classification
from sqlsync.simulators.quickbooks.entitlements import plan
from sqlsync.simulators.quickbooks.regions import region_of
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.values import Doc, encode, money

HISTORY_DAYS = 730  # how long the company has been in business


def doc_row(books: Books, table: str, doc: Doc, at: int, **more: Any) -> Row:
    row = Row(books.new_id(table), created=at, updated=at, doc=doc, **more)
    books.insert(table, row)
    return row


def add_lists(books: Books, at: int) -> None:
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
            "CurrencyRef": books.home,
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
    tax = region_of(books.country).tax_code
    rate = {"TaxRateRef": {"value": "3", "name": tax}, "TaxTypeApplicable": "TaxOnAmount"}
    bought = [] if books.country == "US" else [{**rate, "TaxOrder": 0}]
    doc = {
        "Name": tax,
        "Description": tax,
        "Active": True,
        "Hidden": False,
        "Taxable": True,
        "TaxGroup": True,
        "SalesTaxRateList": {"TaxRateDetail": [{**rate, "TaxOrder": 0}]},
        "PurchaseTaxRateList": {"TaxRateDetail": bought},
        "TaxCodeConfigType": "SYSTEM_GENERATED",
    }
    books.insert("TaxCode", Row(2, created=at, updated=at, name=tax, doc=doc))
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
        "UnitPrice": price_of(price),
        "Type": type,
        "IncomeAccountRef": {"value": income[0], "name": income[1]},
        "PurchaseCost": price_of(cost),
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
    row = doc_row(books, "Item", doc, at, name=name)
    row_code = "TAX" if books.country == "US" else seeded.TAX_CODE
    words = encode(description).decode()
    label = encode(name).decode()
    books.seed_items[row.id] = seeded.ItemFacts(
        price,
        f'"Description":{words},"Amount":',
        ',"DetailType":"SalesItemLineDetail","SalesItemLineDetail":{"ItemRef":{"value":'
        f'"{row.id}","name":{label}}},"UnitPrice":{price_of(price)},"ItemAccountRef":{{"value":'
        f'"{income[0]}","name":"{income[1]}"}},"TaxCodeRef":{{"value":"{row_code}"}},"Qty":',
        int(income[0]),
        description,
    )


def price_of(cents: int) -> Any:
    """A price as the service writes it: 45, 18.5, 38.99."""
    return cents // 100 if cents % 100 == 0 else money(cents)


def add_customers(books: Books, random: Random, count: int, at: int) -> None:
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


def add_vendors(books: Books, random: Random, count: int, at: int) -> None:
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
            "CurrencyRef": books.home,
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
        doc_row(books, "Vendor", doc, at, name=name)


def add_employees(books: Books, random: Random, count: int, at: int) -> None:
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
        doc_row(books, "Employee", doc, at, name=name)


def add_company(books: Books, today: date, at: int) -> None:
    address: Doc = {
        "Id": "1",
        "Line1": "12 Quay Road",
        "City": "Oakvale",
        "Country": "USA",
        "CountrySubDivisionCode": "CA",
        "PostalCode": "94901",
    }
    start = (today - timedelta(days=HISTORY_DAYS + 1)).isoformat()
    info: Doc = {
        "CompanyName": "Lakeside Bicycle Works",
        "LegalName": "Lakeside Bicycle Works LLC",
        "CompanyAddr": address,
        "CustomerCommunicationAddr": address,
        "LegalAddr": address,
        "CustomerCommunicationEmailAddr": {"Address": "office@lakesidebikes.example"},
        "PrimaryPhone": {"FreeFormNumber": "(415) 555-0100"},
        "CompanyStartDate": start,
        "FiscalYearStartMonth": "January",
        "Country": books.country,
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
        "CurrencyPrefs": {
            "MultiCurrencyEnabled": False,
            "HomeCurrency": {"value": books.home["value"]},
        },
        "ReportPrefs": {"ReportBasis": "Accrual"},
        "OtherPrefs": {
            "NameValue": [
                {"Name": "VendorAndPurchasesPrefs.UseCustomTxnNumbers", "Value": "false"},
                {"Name": "WarnDuplicateCheckNumber", "Value": "true"},
            ]
        },
    }
    books.insert("Entitlements", Row(1, created=at, updated=at, doc=plan(start)))
    books.insert("Preferences", Row(1, token=5, created=at, updated=at, doc=preferences))
