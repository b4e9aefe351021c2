"""What every rule needs while it writes: the books, the unit, the options, the time.

Also the look-ups that documents of all kinds share: contacts, accounts, tax rates, tracking,
currencies and lock dates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from sqlsync.simulators.xero import problems
from sqlsync.simulators.xero.options import Options
from sqlsync.simulators.xero.problems import Invalid, not_found
from sqlsync.simulators.xero.store import Books, Row
from sqlsync.simulators.xero.unit import Unit
from sqlsync.simulators.xero.values import ONE, Doc, fold, is_uuid, number, rounded

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]

# Units of a currency for one NZD; what a day rate would be.
DAY_RATES = {
    "NZD": "1",
    "AUD": "0.9132",
    "USD": "0.5984",
    "GBP": "0.4471",
    "EUR": "0.5163",
    "SGD": "0.7785",
}

CLASS_FLAG = {
    "ASSET": "CanApplyToAssets",
    "EQUITY": "CanApplyToEquity",
    "EXPENSE": "CanApplyToExpenses",
    "LIABILITY": "CanApplyToLiabilities",
    "REVENUE": "CanApplyToRevenue",
}


def long_day(day: date) -> str:
    """`31 March 2026`."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


@dataclass(slots=True)
class Desk:
    """One request's writing."""

    books: Books
    unit: Unit
    options: Options
    today: date  # in the organisation's time zone
    app: str  # ProviderName
    client: str  # client id, "" for a person
    unit_places: int = 2
    allow_backorders: bool = False
    warnings: list[str] = field(default_factory=list)  # of the element at hand

    @property
    def is_person(self) -> bool:
        return not self.client

    def doc(self, table: str, row: Row) -> Doc:
        return self.books.table(table).doc(row)

    def need(self, table: str, record_id: Any) -> Row:
        """The row with an id that was sent, or 404 for the whole request."""
        row = self.books.row(table, record_id) if is_uuid(record_id) else None
        if row is None:
            raise not_found()
        return row

    @property
    def organisation(self) -> Doc:
        return next(doc for _, doc in self.books.table("Organisation").docs())

    # -- accounts, taxes, tracking ------------------------------------------------------------

    def account(self, sent: Any, what: str = "Account") -> Row:
        """The account named by AccountID or Code. Raises Invalid."""
        sent = sent if isinstance(sent, dict) else {}
        table = self.books.table("Accounts")
        row: Row | None = None
        if sent.get("AccountID"):
            row = table.get(sent["AccountID"]) if is_uuid(sent["AccountID"]) else None
        elif sent.get("Code"):
            row = next(iter(table.rows_of("code", str(sent["Code"]))), None)
        else:
            raise Invalid(f"{what} must be specified.")
        if row is None:
            raise Invalid(f"{what} could not be found.")
        if table.doc(row)["Status"] != "ACTIVE":
            raise Invalid(f"{what} is not active.")
        return row

    def bank_account(self, sent: Any, what: str = "BankAccount") -> Row:
        row = self.account(sent, what)
        if self.doc("Accounts", row)["Type"] != "BANK":
            raise Invalid(f"{what} must be a bank account.")
        return row

    def system_account(self, system: str) -> Row:
        return self.books.table("Accounts").rows_of("system", system)[0]

    def tax_rate(self, tax_type: str, account: Doc | None = None) -> Doc:
        """The rate, fit for the account. Raises Invalid."""
        row = self.books.table("TaxRates").rows.get(tax_type)
        if row is None:
            raise Invalid(f"The TaxType code '{tax_type}' does not exist.")
        rate = self.doc("TaxRates", row)
        if rate["Status"] != "ACTIVE":
            raise Invalid("Tax rate must be Active")
        if account is not None and not rate[CLASS_FLAG[account["Class"]]]:
            code = account.get("Code", account["Name"])
            raise Invalid(
                f"The TaxType code '{tax_type}' cannot be used with account code '{code}'."
            )
        return rate

    def tracking(self, sent: Any) -> list[Doc]:
        """Tracking of a line as kept: category and option ids. Raises Invalid."""
        found: list[Doc] = []
        for element in sent if isinstance(sent, list) else []:
            if not isinstance(element, dict) or not element:
                continue
            category, option = self._tracked(element)
            if any(kept["TrackingCategoryID"] == category for kept in found):
                raise Invalid("A tracking category can be used once on a line item.")
            found.append({"TrackingCategoryID": category, "TrackingOptionID": option})
        return found

    def _tracked(self, sent: Doc) -> tuple[str, str]:
        table = self.books.table("TrackingCategories")
        row: Row | None = None
        if is_uuid(sent.get("TrackingCategoryID")):
            row = table.get(sent["TrackingCategoryID"])
        elif sent.get("Name"):
            row = next(iter(table.rows_of("name", fold(str(sent["Name"])))), None)
        if row is None or table.doc(row)["Status"] != "ACTIVE":
            raise Invalid("The tracking category could not be found.")
        for option in table.doc(row)["Options"]:
            is_it = (
                option["TrackingOptionID"] == str(sent["TrackingOptionID"]).lower()
                if sent.get("TrackingOptionID")
                else fold(option["Name"]) == fold(str(sent.get("Option", "")))
            )
            if is_it and option["Status"] == "ACTIVE":
                return row.id, option["TrackingOptionID"]
        raise Invalid("The tracking option could not be found.")

    # -- documents ----------------------------------------------------------------------------

    def currency(self, body: Doc, old: Doc | None) -> tuple[str, Decimal]:
        """CurrencyCode and CurrencyRate of a document. Raises Invalid."""
        base = self.organisation["BaseCurrency"]
        code = body.get("CurrencyCode") or (old or {}).get("CurrencyCode") or base
        if old is not None and code != old["CurrencyCode"]:
            raise Invalid("The currency of a document cannot be changed.")
        if code not in self.books.table("Currencies").rows:
            raise problems.no_currency(code)
        sent = number(body.get("CurrencyRate"))
        if code == base:
            return code, ONE
        if sent is not None and sent > 0:
            return code, rounded(sent, 10)
        if old is not None:
            return code, old["CurrencyRate"]
        rate = Decimal(DAY_RATES.get(code, "1.25")) / Decimal(DAY_RATES.get(base, "1"))
        return code, rounded(rate, 10)

    def check_period(self, day: date | None) -> None:
        """Raises Invalid where `day` is locked."""
        organisation = self.organisation
        for kind, name, option in (
            ("period", "PeriodLockDate", self.options.period_lock_date),
            ("end of year", "EndOfYearLockDate", self.options.end_of_year_lock_date),
        ):
            lock = option or organisation.get(name)
            if lock is not None and day is not None and day <= lock:
                raise problems.locked(kind, long_day(lock))

    def check_url(self, body: Doc) -> None:
        url = body.get("Url")
        if url and "xero" in str(url).lower():
            raise Invalid("Url must not contain 'xero'.")
        if url and "://" not in str(url):
            raise Invalid("Url must be a valid absolute address.")

    def branding(self, body: Doc) -> None:
        theme = body.get("BrandingThemeID")
        if theme and self.books.row("BrandingThemes", theme) is None:
            raise Invalid("The branding theme could not be found.")
