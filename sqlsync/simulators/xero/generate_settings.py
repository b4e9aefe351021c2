"""The settings of a generated organisation: chart, tax rates, items, tracking, users. NZ edition.

The accounts and rates of the reference's samples are among them, with their ids.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from random import Random

from sqlsync.simulators.xero.chart import CLASS_OF
from sqlsync.simulators.xero.items import NOTHING
from sqlsync.simulators.xero.store import Books, Row
from sqlsync.simulators.xero.values import ZERO, Doc, rounded, uuid_of

# code, name, type, tax, system account, id of the samples ("" makes one up)
ACCOUNTS = (
    ("090", "Business Cheque", "BANK", "NONE", "", "3e9c7d14-85b0-4f62-a1e8-d60f2b4a9c75"),
    ("091", "Business Savings", "BANK", "NONE", "", ""),
    ("092", "Visa Card", "BANK", "NONE", "", ""),
    ("200", "Sales", "REVENUE", "OUTPUT2", "", "f1a2803b-7c5d-4e96-b4f0-82d91e6a3c57"),
    ("205", "Old sales code", "REVENUE", "OUTPUT2", "", "eb142d91-8f53-427c-961a-43cf70be5928"),
    ("210", "Service Income", "SALES", "OUTPUT2", "", ""),
    ("260", "Other Revenue", "REVENUE", "OUTPUT2", "", "0b6d94e8-13fa-4c27-9d85-a7e30f5c61b2"),
    ("270", "Interest Income", "OTHERINCOME", "NONE", "", ""),
    (
        "310",
        "Cost of Goods Sold",
        "DIRECTCOSTS",
        "INPUT2",
        "",
        "58e0f3a7-b2c9-4d16-8f74-c1905a7d2e3b",
    ),
    ("400", "Advertising", "OVERHEADS", "INPUT2", "", ""),
    ("404", "Bank Fees", "OVERHEADS", "NONE", "", ""),
    ("408", "Cleaning", "OVERHEADS", "INPUT2", "", ""),
    ("412", "Consulting & Accounting", "OVERHEADS", "INPUT2", "", ""),
    ("416", "Depreciation", "DEPRECIATN", "NONE", "", ""),
    ("425", "Freight & Courier", "EXPENSE", "INPUT2", "", ""),
    ("429", "General Expenses", "EXPENSE", "INPUT2", "", ""),
    ("433", "Insurance", "OVERHEADS", "INPUT2", "", ""),
    ("445", "Light, Power, Heating", "OVERHEADS", "INPUT2", "", ""),
    ("453", "Office Expenses", "OVERHEADS", "INPUT2", "", ""),
    ("469", "Rent", "OVERHEADS", "INPUT2", "", ""),
    ("473", "Repairs and Maintenance", "OVERHEADS", "INPUT2", "", ""),
    ("477", "Salaries", "EXPENSE", "NONE", "", ""),
    ("485", "Subscriptions", "OVERHEADS", "INPUT2", "", ""),
    ("489", "Telephone & Internet", "OVERHEADS", "INPUT2", "", ""),
    ("493", "Travel", "EXPENSE", "INPUT2", "", ""),
    ("497", "Bank Revaluations", "EXPENSE", "NONE", "BANKCURRENCYGAIN", ""),
    ("498", "Unrealised Currency Gains", "EXPENSE", "NONE", "UNREALISEDCURRENCYGAIN", ""),
    ("499", "Realised Currency Gains", "EXPENSE", "NONE", "REALISEDCURRENCYGAIN", ""),
    (
        "610",
        "Accounts Receivable",
        "CURRENT",
        "NONE",
        "DEBTORS",
        "a7c0e95d-4b1f-4e38-92d6-0f8b3c7a15e4",
    ),
    ("620", "Customer Deposits", "CURRLIAB", "OUTPUT2", "", ""),
    ("625", "Supplier Deposits", "PREPAYMENT", "INPUT2", "", ""),
    ("630", "Inventory", "INVENTORY", "NONE", "", ""),
    ("710", "Roasting Equipment", "FIXED", "INPUT2", "", ""),
    (
        "800",
        "Accounts Payable",
        "CURRLIAB",
        "NONE",
        "CREDITORS",
        "b8d1fa6e-5c20-4f49-a3e7-109c4d8b26f5",
    ),
    ("801", "Unpaid Expense Claims", "CURRLIAB", "NONE", "UNPAIDEXPCLM", ""),
    ("820", "GST", "CURRLIAB", "NONE", "GST", "c9e20b7f-6d31-405a-b4f8-21ad5e9c3706"),
    ("840", "Historical Adjustment", "CURRLIAB", "NONE", "HISTORICAL", ""),
    ("860", "Rounding", "EXPENSE", "NONE", "ROUNDING", "da031c80-7e42-416b-8509-32be6fad4817"),
    ("877", "Tracking Transfers", "CURRLIAB", "NONE", "TRACKINGTRANSFERS", ""),
    ("900", "Bank Loan", "TERMLIAB", "NONE", "", ""),
    ("960", "Retained Earnings", "EQUITY", "NONE", "RETAINEDEARNINGS", ""),
    ("970", "Owner A Funds Introduced", "EQUITY", "NONE", "", ""),
)

# name, type, report type, percent, unfit for
RATES = (
    ("15% GST on Income", "OUTPUT2", "OUTPUT", 15, "CanApplyToExpenses"),
    ("15% GST on Expenses", "INPUT2", "INPUT", 15, "CanApplyToRevenue"),
    ("No GST", "NONE", "NONE", 0, ""),
    ("Zero Rated", "ZERORATED", "ZERORATEDOUTPUT", 0, ""),
    ("GST on Imports", "GSTONIMPORTS", "GSTONIMPORTS", 0, "CanApplyToRevenue"),
)

# code, name, text, price, cost, kind: sold | service | tracked
ITEMS = (
    ("HB-1KG", "House blend 1 kg", "House blend, 1 kg bag", "27.50", "12.40", "sold"),
    ("HB-250", "House blend 250 g", "House blend, 250 g bag", "9.80", "4.10", "sold"),
    (
        "ET-1KG",
        "Ethiopia single origin",
        "Ethiopia single origin, 1 kg bag",
        "38.90",
        "19.75",
        "sold",
    ),
    ("CO-1KG", "Colombia single origin", "Colombia single origin, 1 kg", "34.20", "16.85", "sold"),
    ("DC-1KG", "Decaf 1 kg", "Swiss water decaf, 1 kg bag", "33.40", "17.30", "sold"),
    ("FP-500", "Filter papers 500", "Filter papers, box of 500", "31.00", "14.25", "sold"),
    ("SY-VAN", "Vanilla syrup", "Vanilla syrup, 750 ml", "12.00", "5.60", "sold"),
    ("SY-HAZ", "Hazelnut syrup", "Hazelnut syrup, 750 ml", "12.00", "5.60", "sold"),
    ("CUP-8", "Paper cups 8 oz", "Paper cups 8 oz, sleeve of 50", "7.35", "3.05", "sold"),
    ("CUP-12", "Paper cups 12 oz", "Paper cups 12 oz, sleeve of 50", "8.45", "3.60", "sold"),
    ("TRAIN", "Barista training", "Barista training, half day", "280.00", "0.00", "service"),
    ("SERVICE", "Machine service", "Espresso machine service", "165.00", "0.00", "service"),
    ("COURIER", "Courier delivery", "Courier delivery", "18.00", "9.20", "service"),
    ("GR-HOME", "Home grinder", "Conical burr grinder", "349.00", "198.00", "tracked"),
    ("KT-STOVE", "Stovetop kettle", "Gooseneck kettle, 1 l", "89.00", "47.50", "tracked"),
)

SERVICE_ACCOUNT = {"sold": "200", "service": "210", "tracked": "200"}
TRACKING = (
    ("Region", ("North", "South", "Overseas")),
    ("Channel", ("Wholesale", "Retail", "Online")),
)
CURRENCIES = (
    ("NZD", "New Zealand Dollar"),
    ("AUD", "Australian Dollar"),
    ("USD", "United States Dollar"),
    ("GBP", "Pound Sterling"),
)
GROUPS = ("Wholesale", "Retail", "Growers")


def add_settings(
    books: Books, random: Random, tenant_id: str, name: str, at: int, lock: date
) -> None:
    """Everything there is before the first contact. at: when, milliseconds."""
    _add_accounts(books, random, at)
    _add_rates(books, at)
    for code, text in CURRENCIES:
        _put(books, "Currencies", code, at, {"Code": code, "Description": text})
    for category, options in TRACKING:
        _put(
            books,
            "TrackingCategories",
            _id(random),
            at,
            {
                "Name": category,
                "Status": "ACTIVE",
                "Options": tuple(
                    {"TrackingOptionID": _id(random), "Name": option, "Status": "ACTIVE"}
                    for option in options
                ),
            },
        )
    for number, theme in enumerate(("Standard", "Wholesale terms")):
        doc: Doc = {"Name": theme, "Type": "INVOICE", "SortOrder": number}
        _put(books, "BrandingThemes", _id(random), at, doc)
    for group in GROUPS:
        doc = {"Name": group, "Status": "ACTIVE", "Members": ()}
        _put(books, "ContactGroups", _id(random), at, doc)
    _add_users(books, random, at)
    _add_items(books, random, at)
    _add_budget(books, random, at, lock)
    _put(books, "Organisation", tenant_id, at, _organisation(tenant_id, name, lock))


def _id(random: Random) -> str:
    return uuid_of(random.getrandbits(128))


def _put(books: Books, table: str, record_id: str, at: int, doc: Doc) -> Row:
    row = Row(record_id, at, at, doc)
    books.put(books.table(table), row)
    return row


def _add_accounts(books: Books, random: Random, at: int) -> None:
    for number, (code, name, kind, tax, system, sample_id) in enumerate(ACCOUNTS):
        made = _id(random)
        doc: Doc = {
            "Code": code,
            "Name": name,
            "Status": "ARCHIVED" if code == "205" else "ACTIVE",
            "Type": kind,
            "TaxType": tax,
            "Class": CLASS_OF[kind],
            "EnablePaymentsToAccount": code in ("970",),
            "ShowInExpenseClaims": kind in ("EXPENSE", "OVERHEADS") and not system,
        }
        if kind == "BANK":
            doc["BankAccountNumber"] = f"12-3400-01234{56 + number}-00"
            doc["BankAccountType"] = "CREDITCARD" if code == "092" else "BANK"
            doc["CurrencyCode"] = "NZD"
        if code == "200":
            doc["Description"] = "Goods sold"
            doc["ReportingCode"], doc["ReportingCodeName"] = "REV.TRA.GOO", "Sale of goods"
        if system:
            doc["SystemAccount"] = system
        _put(books, "Accounts", sample_id or made, at, doc)


def _add_rates(books: Books, at: int) -> None:
    for name, kind, report, percent, unfit in RATES:
        flags = {
            flag: flag != unfit
            for flag in (
                "CanApplyToAssets",
                "CanApplyToEquity",
                "CanApplyToExpenses",
                "CanApplyToLiabilities",
                "CanApplyToRevenue",
            )
        }
        rate = rounded(Decimal(percent), 4)
        part = {
            "Name": "GST" if percent else name,
            "Rate": rate,
            "IsCompound": False,
            "IsNonRecoverable": False,
        }
        doc = {"Name": name, "TaxType": kind, "ReportTaxType": report, **flags}
        doc |= {"DisplayTaxRate": rate, "EffectiveRate": rate, "Status": "ACTIVE"}
        _put(books, "TaxRates", kind, at, {**doc, "TaxComponents": [part]})


def _add_users(books: Books, random: Random, at: int) -> None:
    for first, last, role in (
        ("Jo", "Baker", "STANDARD"),
        ("Wiremu", "Parata", "FINANCIALADVISER"),
        ("Ana", "Sefo", "READONLY"),
    ):
        doc = {
            "EmailAddress": f"{first.lower()}@kestrel.example",
            "FirstName": first,
            "LastName": last,
            "IsSubscriber": role == "STANDARD",
            "OrganisationRole": role,
        }
        _put(books, "Users", _id(random), at, doc)
    doc = {"Status": "ACTIVE", "FirstName": "Tomas", "LastName": "Reihana"}
    _put(books, "Employees", _id(random), at, doc)


def _add_items(books: Books, random: Random, at: int) -> None:
    for code, name, text, price, cost, kind in ITEMS:
        sold = {"UnitPrice": rounded(Decimal(price), 4), "AccountCode": SERVICE_ACCOUNT[kind]}
        bought: Doc = {}
        if Decimal(cost):
            bought = {"UnitPrice": rounded(Decimal(cost), 4), "TaxType": "INPUT2"}
            bought |= {"COGSAccountCode" if kind == "tracked" else "AccountCode": "310"}
        doc: Doc = {
            "Code": code,
            "Name": name,
            "Description": text,
            "PurchaseDetails": bought,
            "SalesDetails": {**sold, "TaxType": "OUTPUT2"},
            "IsSold": True,
            "IsPurchased": bool(bought),
            "IsTrackedAsInventory": kind == "tracked",
            "QuantityOnHand": NOTHING,
            "TotalCostPool": ZERO,
        }
        if bought:
            doc["PurchaseDescription"] = text
        if kind == "tracked":
            doc["InventoryAssetAccountCode"] = "630"
        _put(books, "Items", _id(random), at, doc)


def _add_budget(books: Books, random: Random, at: int, lock: date) -> None:
    accounts = books.table("Accounts")
    lines = []
    for code, monthly in (("200", 42000), ("310", 17500), ("469", 3200), ("477", 9800)):
        row = accounts.rows_of("code", code)[0]
        months = []
        year, month = lock.year, lock.month
        for _ in range(36):
            month += 1
            if month > 12:
                year, month = year + 1, 1
            amount = rounded(Decimal(monthly + random.randrange(0, 900)))
            months.append({"Period": f"{year}-{month:02d}", "Amount": amount})
        lines.append({"AccountID": row.id, "AccountCode": code, "BudgetBalances": months})
    doc = {"Type": "OVERALL", "Description": "Overall Budget", "Tracking": (), "Lines": lines}
    _put(books, "Budgets", _id(random), at, doc)


def _organisation(tenant_id: str, name: str, lock: date) -> Doc:
    short = "".join(c for c in name if c.isalpha())[:4]
    return {
        "Name": name,
        "LegalName": name.replace(" Ltd", " Limited"),
        "PaysTax": True,
        "Version": "NZ",
        "OrganisationType": "COMPANY",
        "BaseCurrency": "NZD",
        "CountryCode": "NZ",
        "IsDemoCompany": False,
        "OrganisationStatus": "ACTIVE",
        "TaxNumber": "112-233-445",
        "FinancialYearEndDay": 31,
        "FinancialYearEndMonth": 3,
        "SalesTaxBasis": "INVOICE",
        "SalesTaxPeriod": "TWOMONTHS",
        "DefaultSalesTax": "Tax Exclusive",
        "DefaultPurchasesTax": "Tax Inclusive",
        "PeriodLockDate": lock,
        "OrganisationEntityType": "COMPANY",
        "Timezone": "NEWZEALANDSTANDARDTIME",
        "ShortCode": f"!{short}1",
        "OrganisationID": tenant_id,
        "Edition": "BUSINESS",
        "Class": "PREMIUM",
        "LineOfBusiness": "Coffee roasting",
        "Addresses": [],
        "Phones": [],
        "ExternalLinks": [],
        "PaymentTerms": {},
    }
