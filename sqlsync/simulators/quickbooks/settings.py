"""What a company has chosen, read from its Preferences: the one place where it is kept.

People choose in the web interface; here `Options` stand for that (`prefer`). Clients may change
some of it by updating Preferences.
Source: Intuit, reference of Preferences; "Manage multiple currencies".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlsync.simulators.quickbooks.store import Books
from sqlsync.simulators.quickbooks.values import Doc, currency_ref

_GRATUITY = "SalesFormsPrefs.AllowGratuity"
_PURCHASE_NUMBERS = "VendorAndPurchasesPrefs.UseCustomTxnNumbers"


@dataclass(frozen=True, slots=True)
class Settings:
    """closed_until: writes dated on or before are refused. home: a currency code."""

    closed_until: str | None
    custom_numbers: bool  # sales forms are numbered by whoever writes them
    custom_purchase_numbers: bool
    auto_apply_credit: bool
    allow_discount: bool
    allow_shipping: bool
    allow_deposit: bool
    allow_gratuity: bool
    multicurrency: bool
    home: str
    automated_sales_tax: bool
    default_tax_code: str | None
    country: str  # of the company: US, GB, AU, CA …

    @property
    def is_us(self) -> bool:
        return self.country == "US"

    @property
    def home_ref(self) -> Doc:
        return currency_ref(self.home)


def settings_of(books: Books) -> Settings:
    """A company without Preferences (one that is being generated) has chosen nothing."""
    row = books.table("Preferences").get(1)
    doc = (row.doc or {}) if row is not None else {}
    info = books.table("CompanyInfo").get(1)
    sales, tax = doc.get("SalesFormsPrefs") or {}, doc.get("TaxPrefs") or {}
    currency = doc.get("CurrencyPrefs") or {}
    others = (doc.get("OtherPrefs") or {}).get("NameValue") or ()
    named = {pair.get("Name"): pair.get("Value") for pair in others}
    return Settings(
        (doc.get("AccountingInfoPrefs") or {}).get("BookCloseDate"),
        bool(sales.get("CustomTxnNumbers")),
        named.get(_PURCHASE_NUMBERS) == "true",
        bool(sales.get("AutoApplyCredit")),
        bool(sales.get("AllowDiscount", True)),
        bool(sales.get("AllowShipping", True)),
        bool(sales.get("AllowDeposit", True)),
        named.get(_GRATUITY) == "true",
        bool(currency.get("MultiCurrencyEnabled")),
        str((currency.get("HomeCurrency") or {}).get("value") or "USD"),
        bool(tax.get("PartnerTaxEnabled")),
        (tax.get("TaxGroupCodeRef") or {}).get("value"),
        str(((info.doc or {}) if info is not None else {}).get("Country") or "US"),
    )


# Option -> group and member of Preferences.
PREFERENCES = {
    "book_close_date": ("AccountingInfoPrefs", "BookCloseDate"),
    "custom_transaction_numbers": ("SalesFormsPrefs", "CustomTxnNumbers"),
    "custom_purchase_numbers": ("OtherPrefs", _PURCHASE_NUMBERS),
    "auto_apply_credit": ("SalesFormsPrefs", "AutoApplyCredit"),
    "multicurrency": ("CurrencyPrefs", "MultiCurrencyEnabled"),
    "automated_sales_tax": ("TaxPrefs", "PartnerTaxEnabled"),
}


def preferred(doc: Doc, option: str, value: Any) -> Doc:
    """Preferences with one choice made otherwise. Raises ValueError for what can't be undone."""
    group, member = PREFERENCES[option]
    held: Doc = dict(doc.get(group) or {})
    if group == "OtherPrefs":
        rest = [pair for pair in held.get("NameValue") or () if pair["Name"] != member]
        return {**doc, group: {"NameValue": [*rest, {"Name": member, "Value": _text(value)}]}}
    if option == "multicurrency" and held.get(member) and not value:
        raise ValueError("multicurrency cannot be switched off once it is on")
    if value is None:
        held.pop(member, None)
    else:
        held[member] = value.isoformat() if isinstance(value, date) else value
    return {**doc, group: held}


def _text(value: Any) -> str:
    return "true" if value else "false"
