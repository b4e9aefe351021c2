"""A few records of every entity besides invoices and what belongs to them.

Lists are put in as they are; transactions are entered through the Writer, as a client would, so
that they obey every rule and every balance follows from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlsync.simulators.clock import PACIFIC
from sqlsync.simulators.quickbooks.entities import entities
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.regions import region_of
from sqlsync.simulators.quickbooks.settings import settings_of
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.values import CURRENCY_NAMES, Doc
from sqlsync.simulators.quickbooks.writer import Writer

DAYS = 30  # how far back these records go
_RATES = {"EUR": "1.0812", "GBP": "1.2745", "CAD": "0.7311", "USD": "1.0427"}  # of a foreign unit
_CLASSIFICATIONS = (  # id, code, name, level, parent
    ("EUC-99990101-V1-00020000", "99990101", "Bicycles", "1", None),
    ("EUC-99990102-V1-00020000", "99990102", "Bicycle parts", "2", "EUC-99990101-V1-00020000"),
    ("EUC-99990201-V1-00020000", "99990201", "Repair services", "1", None),
)


def add_more_lists(books: Books, at: int) -> None:
    """Tax, classes, locations, currencies and the other small lists."""

    def insert(entity: str, name: str, parent: int = 0, **members: Any) -> int:
        member = {"CompanyCurrency": "Code", "TaxAgency": "DisplayName"}.get(entity, "Name")
        doc = {member: name, **members}
        if entity not in ("JournalCode", "TaxAgency"):
            doc.setdefault("Active", True)
        row = Row(books.new_id(entity), created=at, updated=at, name=name, parent=parent, doc=doc)
        if parent:
            doc["ParentRef"] = {"value": str(parent)}
        books.insert(entity, row)
        return row.id

    region = region_of(books.country)
    insert(
        "TaxAgency",
        region.agency,
        TaxTrackedOnPurchases=False,
        TaxTrackedOnSales=True,
        TaxAgencyConfig="SYSTEM_GENERATED",
    )
    for name, rate in (
        ("Exempt", 0),
        ("County", Decimal("1.5")),
        (region.tax_code, region.tax_percent),
    ):
        since = "2014-01-01T00:00:00-08:00"
        insert(
            "TaxRate",
            name,
            Description="Sales Tax",
            RateValue=rate,
            AgencyRef={"value": "1"},
            SpecialTaxType="NONE",
            DisplayType="ReadOnly",
            EffectiveTaxRate=[{"RateValue": rate, "EffectiveDate": since}],
        )
    repairs = insert("Class", "Repairs")
    insert("Class", "Workshop", repairs)
    insert("Class", "Retail")
    harbor = insert("Department", "Harbor shop")
    insert("Department", "Rental desk", harbor)
    for name in ("Club", "Dealer", "Walk-in"):
        insert("CustomerType", name)
    for code in foreign_currencies(books):
        insert("CompanyCurrency", code, Name=CURRENCY_NAMES[code])
    insert("JournalCode", "VT", Description="Ventes", Type="Sales")
    insert("JournalCode", "AC", Description="Achats", Type="Expenses")
    number = books.next_id["Term"] = 6
    term: Doc = {"DayOfMonthDue": 10, "DueNextMonthDays": 10, "DiscountDayOfMonth": 0}
    insert("Term", "10th of month", Type="DATE_DRIVEN", DiscountPercent=0, **term)
    books.next_id |= {"Term": number + 1, "PaymentMethod": 5, "TaxCode": 3}
    for key, code, name, level, parent in _CLASSIFICATIONS:
        doc: Doc = {"id": key, "code": code, "name": name, "description": name, "level": level}
        doc["applicableTo"] = ["Service"] if "services" in name else ["Inventory", "NonInventory"]
        if parent:
            doc["parentRef"] = {"value": parent}
        row = Row(books.new_id("TaxClassification"), created=at, updated=at, doc=doc)
        books.insert("TaxClassification", row)


def foreign_currencies(books: Books) -> list[str]:
    """The three other currencies of a generated company."""
    return [code for code in _RATES if code != books.home["value"]][:3]


def add_more_business(books: Books, today: date) -> None:
    """The rest of the forms, over the last month. Needs a customer, a vendor and an employee."""
    customers = [row for row in books.tables["Customer"].rows.values() if row.active]
    vendors = books.tables["Vendor"].ids
    if not customers or not vendors:
        return
    entry = Entry(books, today, customers[-1].id, vendors[-1], books.tables["Employee"].ids[-1])
    entry.sales()
    entry.purchases()
    entry.money()
    entry.others()
    in_order(books)


def in_order(books: Books) -> None:
    """Puts records that were entered later than what happened later where they belong."""
    for table in books.tables.values():
        ordered = sorted(table.rows.values(), key=lambda row: (row.updated, row.id))
        table.rows = {row.id: row for row in ordered}
        table.version += 1


@dataclass(slots=True)
class Entry:
    """Enters what happened over the last month, as a client would."""

    books: Books
    today: date
    customer: int
    vendor: int
    employee: int
    day: int = DAYS

    def enter(self, entity: str, **body: Any) -> str:
        """Writes it on the next day of the month that is over. Returns its id."""
        self.day = max(1, self.day - 1)
        on = self.today - timedelta(days=self.day)
        at = datetime(on.year, on.month, on.day, 9, tzinfo=PACIFIC)
        if ("GlobalTaxCalculation",) in entities()[entity].fields:
            body = {**self.untaxed, **body}
        if settings_of(self.books).multicurrency:
            body.setdefault("CurrencyRef", {"value": self.books.home["value"]})
        writer = Writer(self.books, Options(), int(at.timestamp()), on)
        return str(writer.save(entities()[entity], body).id)

    @property
    def untaxed(self) -> Doc:
        """Outside the US a form without tax codes says so."""
        return {} if self.books.country == "US" else {"GlobalTaxCalculation": "NotApplicable"}

    @property
    def customer_ref(self) -> Doc:
        return {"value": str(self.customer)}

    @property
    def vendor_ref(self) -> Doc:
        return {"value": str(self.vendor)}

    def sales(self) -> None:
        who = {"CustomerRef": self.customer_ref}
        for name, more in (
            ("Estimate", {}),
            ("Estimate", {"TxnStatus": "Accepted", "AcceptedBy": "Mara Ostrow"}),
            ("CreditMemo", {}),
            ("RefundReceipt", {"DepositToAccountRef": {"value": "35"}}),
            ("SalesReceipt", {"PaymentMethodRef": {"value": "1"}}),
            ("SalesReceipt", {}),
        ):
            self.enter(name, **who, Line=[sale("3", 2, 4500)], **more)

    def purchases(self) -> None:
        rent = [cost("61", 120000)]
        payee = {**self.vendor_ref, "type": "Vendor"}
        for kind, account in (("Check", "35"), ("CreditCard", "42"), ("Cash", "35")):
            self.enter(
                "Purchase",
                PaymentType=kind,
                AccountRef={"value": account},
                EntityRef=payee,
                Line=[cost("63", 6420)],
            )
        billable = cost("66", 8800)
        detail = billable["AccountBasedExpenseLineDetail"]
        detail |= {"BillableStatus": "Billable", "CustomerRef": self.customer_ref}
        self.enter(
            "Purchase", PaymentType="Cash", AccountRef={"value": "35"}, Line=[*rent, billable]
        )
        self.enter("VendorCredit", VendorRef=self.vendor_ref, Line=[cost("60", 2000)])

    def money(self) -> None:
        receipts = self.books.tables["SalesReceipt"]
        receipt = receipts.rows[receipts.ids[0]]
        link = {"TxnId": str(receipt.id), "TxnType": "SalesReceipt", "TxnLineId": "0"}
        interest = {
            "Amount": 25,
            "DetailType": "DepositLineDetail",
            "DepositLineDetail": {"AccountRef": {"value": "92"}},
        }
        self.enter(
            "Deposit",
            DepositToAccountRef={"value": "35"},
            Line=[{"Amount": Decimal(receipt.total) / 100, "LinkedTxn": [link]}, interest],
        )
        accounts = {"FromAccountRef": {"value": "35"}, "ToAccountRef": {"value": "36"}}
        self.enter("Transfer", **accounts, Amount=500)
        cards = {"CreditCardAccountRef": {"value": "42"}, "BankAccountRef": {"value": "35"}}
        self.enter("CreditCardPayment", **cards, Amount=Decimal("64.20"))
        rows = [_posting("Debit", "67", 30000), _posting("Credit", "88", 30000)]
        self.enter("JournalEntry", Line=rows, PrivateNote="Month end")
        for hours, more in ((2, {"BillableStatus": "Billable"}), (6, {})):
            self.enter(
                "TimeActivity",
                NameOf="Employee",
                EmployeeRef={"value": str(self.employee)},
                CustomerRef=self.customer_ref,
                ItemRef={"value": "3"},
                HourlyRate=45,
                Hours=hours,
                Minutes=30,
                Description="Shop time",
                **more,
            )
        self._insert(
            "TaxPayment",
            PaymentDate=self.today.isoformat(),
            PaymentAccountRef={"value": "35", "name": "Checking"},
            PaymentAmount=Decimal("310.5"),
            Refund=False,
            Description="Quarterly tax",
        )

    def others(self) -> None:
        for source in foreign_currencies(self.books):
            for back in (7, 0):
                day = (self.today - timedelta(days=back)).isoformat()
                self.enter(
                    "ExchangeRate",
                    SourceCurrencyCode=source,
                    AsOfDate=day,
                    Rate=Decimal(_RATES[source]),
                )
        year = self.today.year
        plan = {"BudgetDate": f"{year}-01-01", "Amount": 1000, "AccountRef": {"value": "79"}}
        self.enter(
            "Budget",
            Name=f"{year} plan",
            StartDate=f"{year}-01-01",
            EndDate=f"{year}-12-31",
            BudgetDetail=[plan],
        )
        target = {**self.customer_ref, "type": "Customer"}
        self.enter("Attachable", Note="Prefers mornings", AttachableRef=[{"EntityRef": target}])
        info = {
            "Name": "Club service plan",
            "RecurType": "Automated",
            "ScheduleInfo": {
                "IntervalType": "Monthly",
                "NumInterval": 1,
                "DayOfMonth": 1,
                "StartDate": f"{year}-01-01",
            },
        }
        form = {
            **self.untaxed,
            "CustomerRef": self.customer_ref,
            "Line": [sale("3", 2, 4500)],
            "RecurringInfo": info,
        }
        self.enter("RecurringTransaction", Invoice=form)

    def _insert(self, entity: str, **doc: Any) -> None:
        at = int(datetime(*self.today.timetuple()[:3], 7, tzinfo=PACIFIC).timestamp()) - 86400
        row = Row(self.books.new_id(entity), created=at, updated=at, doc=doc)
        self.books.insert(entity, row)


def sale(item: str, quantity: int, cents: int) -> Doc:
    price = Decimal(cents) / 100
    return {
        "Amount": price * quantity,
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {"ItemRef": {"value": item}, "Qty": quantity, "UnitPrice": price},
    }


def cost(account: str, cents: int) -> Doc:
    return {
        "Amount": Decimal(cents) / 100,
        "DetailType": "AccountBasedExpenseLineDetail",
        "AccountBasedExpenseLineDetail": {"AccountRef": {"value": account}},
    }


def _posting(kind: str, account: str, cents: int) -> Doc:
    return {
        "Amount": Decimal(cents) / 100,
        "DetailType": "JournalEntryLineDetail",
        "JournalEntryLineDetail": {"PostingType": kind, "AccountRef": {"value": account}},
    }
