"""A record's values by the names a filter or an order uses. Pure.

Documents are kept with ids in the place of nested records; here `Contact.Name` and
`Invoice.InvoiceID` find their way.
"""

from __future__ import annotations

from typing import Any

from sqlsync.simulators.xero.endpoints import endpoints
from sqlsync.simulators.xero.expenses import linked_status
from sqlsync.simulators.xero.store import Books, Row
from sqlsync.simulators.xero.values import Doc, day_text, instant_text, moment

_NESTED = {  # member -> table, where the id is kept
    "Contact": ("Contacts", "ContactID"),
    "BankAccount": ("Accounts", "BankAccountID"),
    "Account": ("Accounts", "AccountID"),
    "FromBankAccount": ("Accounts", "FromBankAccountID"),
    "ToBankAccount": ("Accounts", "ToBankAccountID"),
    "User": ("Users", "UserID"),
    "BatchPayment": ("BatchPayments", "BatchPaymentID"),
    "BrandingTheme": ("BrandingThemes", "BrandingThemeID"),
}
_TARGETS = {
    "Invoice": "Invoices",
    "CreditNote": "CreditNotes",
    "Prepayment": "Prepayments",
    "Overpayment": "Overpayments",
}


class Reader:
    """Reads values of one record: `Reader(books, "Invoices", row)(("Contact", "Name"))`."""

    __slots__ = ("books", "doc", "row", "table")

    def __init__(self, books: Books, table: str, row: Row) -> None:
        self.books = books
        self.table = table
        self.row = row
        self.doc: Doc = books.table(table).doc(row)

    def __call__(self, path: tuple[str, ...]) -> Any:
        name = path[0]
        if len(path) > 1 or name in _NESTED or (name in _TARGETS and self.table == "Payments"):
            return self._nested(name, path[1:])
        row = self.row
        if name == endpoints()[self.table].id_field or name == "ID":
            return row.id
        if name == "UpdatedDateUTC":
            return moment(row.updated)
        if name == "CreatedDateUTC":
            return moment(row.created)
        if name == "HasAttachments":
            return bool(self.books.files.get(row.id))
        if name in ("IsCustomer", "IsSupplier"):
            tally = self.books.tallies.get(row.id)
            return bool(tally and (tally.sales if name == "IsCustomer" else tally.purchases))
        if name == "Status" and self.table == "LinkedTransactions":
            return linked_status(self.books, self.doc)
        return self._plain(name)

    def _plain(self, name: str) -> Any:
        doc = self.doc
        if name == "IsDiscounted":
            return "TotalDiscount" in doc
        if name.endswith("String") and name.removesuffix("String") in doc:
            return day_text(doc[name.removesuffix("String")])
        if name == "UpdatedDateUTCString":
            return instant_text(self.row.updated)
        if name == "InvoiceNumber" and self.table == "Prepayments":
            return doc["Reference"] if doc["Type"].startswith("RECEIVE") else None
        return doc.get(name)

    def _nested(self, name: str, rest: tuple[str, ...]) -> Any:
        if name in _TARGETS and self.table == "Payments":
            if self.doc["TargetTable"] != _TARGETS[name]:
                return None
            found: tuple[str, str] | None = (_TARGETS[name], self.doc["TargetID"])
        elif name in _NESTED and self.doc.get(_NESTED[name][1]):
            table, kept = _NESTED[name]
            found = (table, self.doc[kept])
        else:
            found = None
        if found is None:
            inner = self.doc.get(name)
            for step in rest:
                inner = inner.get(step) if isinstance(inner, dict) else None
            return inner
        row = self.books.table(found[0]).rows[found[1]]
        return Reader(self.books, found[0], row)(rest) if rest else row.id
