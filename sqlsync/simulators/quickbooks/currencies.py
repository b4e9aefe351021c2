"""Currencies: of names, fixed once they are saved, and of forms, which follow their names.

With one currency everything is in the home currency and any other is refused. With several, a
form is in the currency of its customer or vendor, has an exchange rate (home units for one
foreign), and shows its total and balance in home currency too.
Source: Intuit, "Manage multiple currencies"; reference of each entity.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlsync.simulators.quickbooks import documents, faults
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.lines import plain
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.settings import Settings
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.values import Doc, currency_ref

OF_NAMES = ("Customer", "Vendor", "Account")
_WITHOUT = frozenset({"TimeActivity", "TaxPayment"})
_REQUIRED = frozenset(  # to be said where there are several
    (
        *("Bill", "BillPayment", "CreditMemo", "Deposit", "Estimate", "Invoice"),
        *("JournalEntry", "Payment", "Purchase", "PurchaseOrder", "RefundReceipt"),
        *("SalesReceipt", "VendorCredit"),
    )
)
_ACCOUNTS = ("AccountRef", "DepositToAccountRef", "APAccountRef", "ARAccountRef")


class Currencies:
    """The rules of one company, at one moment."""

    def __init__(self, books: Books, options: Options, settings: Settings) -> None:
        self.books = books
        self.options = options
        self.settings = settings

    def complete_name(self, entity: str, row: Row, doc: Doc) -> None:
        """Sets what a name is kept in: once and for all, a sub-customer in its parent's."""
        if row.doc is not None or row.seed is not None:
            held = _code(documents.stored(self.books, entity, row)) or self.settings.home
            doc["CurrencyRef"] = currency_ref(held)
            return
        code = _code(doc)
        parent = str((doc.get("ParentRef") or {}).get("value") or "")
        above = self._of(entity, parent) if entity == "Customer" else None
        code = code or above or self.settings.home
        self.check(code)
        if above is not None and code != above:
            raise faults.business("A sub-customer must use the currency of its parent.")
        doc["CurrencyRef"] = currency_ref(code)

    def complete_form(self, entity: str, doc: Doc) -> None:
        """Sets currency and rate of a form. Raises 2020, 2220, 5030 or 6000."""
        if entity in _WITHOUT:
            return
        code, home = _code(doc), self.settings.home
        if not self.settings.multicurrency:
            self.check(code or home)
            doc["CurrencyRef"] = currency_ref(home)
            doc.pop("ExchangeRate", None)
            return
        party = self._party(doc)
        if code is None:
            if entity in _REQUIRED and self.options.currency_required:
                raise faults.missing("CurrencyRef")
            code = party or home
        self.check(code)
        if party is not None and code != party:
            raise faults.business(
                f"The currency of the transaction ({code}) is invalid for the customer, vendor or "
                f"account, which uses {party}."
            )
        self._check_accounts(doc, code)
        doc["CurrencyRef"] = currency_ref(code)
        doc["ExchangeRate"] = self._rate(doc, code)

    def check(self, code: str) -> None:
        """Raises 5030 for a foreign currency where there is one, 2220 for one not in use."""
        if code == self.settings.home:
            return
        if not self.settings.multicurrency:
            raise Fault(
                "5030",
                "Feature Not Supported : Multicurrency is not enabled for this company.",
                "CurrencyRef",
            )
        known = (row for row in self.books.table("CompanyCurrency").rows.values() if row.active)
        if all((row.doc or {}).get("Code") != code for row in known):
            raise Fault("2220", f"Invalid Currency Type. Supplied value:{code}", "CurrencyRef")

    def _rate(self, doc: Doc, code: str) -> Any:
        if code == self.settings.home:
            return 1
        given = doc.get("ExchangeRate")
        if given is not None and given <= 0:
            raise Fault("2090", f"Invalid Number. Supplied value:{given}", "ExchangeRate")
        return plain(given if given is not None else rate_on(self.books, code, doc["TxnDate"]))

    def _check_accounts(self, doc: Doc, code: str) -> None:
        """Money goes to and comes from accounts in home currency or in the form's own."""
        for member in _ACCOUNTS:
            number = str((doc.get(member) or {}).get("value") or "")
            found = self._of("Account", number)
            if found not in (None, self.settings.home, code):
                raise faults.business(f"The account is kept in {found}, the transaction in {code}.")

    def _party(self, doc: Doc) -> str | None:
        """The currency of the customer or vendor a form is about."""
        payee = doc.get("EntityRef") or {}
        kinds = (("Customer", doc.get("CustomerRef")), ("Vendor", doc.get("VendorRef")))
        for kind, reference in (*kinds, (payee.get("type"), payee)):
            if kind in OF_NAMES and (reference or {}).get("value"):
                return self._of(str(kind), str((reference or {})["value"]))
        return None

    def _of(self, table: str, number: str) -> str | None:
        row = self.books.table(table).get(int(number)) if number.isdigit() else None
        if row is None:
            return None
        return _code(documents.stored(self.books, table, row)) or self.settings.home


def rate_on(books: Books, code: str, day: str) -> Decimal | int:
    """The rate of a day, or the latest before it; 1 where none is known."""
    known = [
        ((row.doc or {})["AsOfDate"], (row.doc or {})["Rate"])
        for row in books.table("ExchangeRate").rows.values()
        if (row.doc or {}).get("SourceCurrencyCode") == code and (row.doc or {})["AsOfDate"] <= day
    ]
    found: Decimal | int = max(known, key=lambda pair: pair[0])[1] if known else 1
    return found


def _code(doc: Doc) -> str | None:
    value = (doc.get("CurrencyRef") or {}).get("value")
    return str(value) if value else None
