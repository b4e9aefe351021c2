"""Server-made values of a record that is being written: defaults, totals, numbers.

`Completer.fill` takes the merged document and fills it in place; it may refuse, and books
nothing. What follows for other records is `booking`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from sqlsync.simulators.quickbooks import (
    faults,
    filling_money,
    filling_others,
    filling_purchases,
    filling_sales,
    namelists,
)
from sqlsync.simulators.quickbooks.checks import check_period, check_references
from sqlsync.simulators.quickbooks.currencies import OF_NAMES, Currencies
from sqlsync.simulators.quickbooks.entities import Entity
from sqlsync.simulators.quickbooks.filling import Filling
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.settings import settings_of
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.values import Doc

_FILL: dict[str, Callable[[Filling], None]] = {
    "Attachable": filling_others.attachable,
    "Bill": filling_purchases.bill,
    "BillPayment": filling_purchases.bill_payment,
    "Budget": filling_others.budget,
    "CompanyInfo": filling_others.company_info,
    "CreditCardPayment": filling_purchases.credit_card_payment,
    "CreditMemo": filling_sales.credit_memo,
    "Deposit": filling_money.deposit,
    "Estimate": filling_sales.estimate,
    "ExchangeRate": filling_others.exchange_rate,
    "Invoice": filling_sales.invoice,
    "JournalEntry": filling_money.journal_entry,
    "Payment": filling_sales.payment,
    "Purchase": filling_purchases.purchase,
    "PurchaseOrder": filling_purchases.purchase_order,
    "RefundReceipt": filling_sales.refund_receipt,
    "SalesReceipt": filling_sales.sales_receipt,
    "TimeActivity": filling_money.time_activity,
    "Transfer": filling_money.transfer,
    "VendorCredit": filling_purchases.vendor_credit,
}
_NUMBERED = frozenset(  # by the service, where the client gives no number
    (
        *("Invoice", "Estimate", "CreditMemo", "SalesReceipt", "RefundReceipt"),
        *("PurchaseOrder", "BillPayment", "JournalEntry"),
    )
)
_NUMBERED_PURCHASES = frozenset({"PurchaseOrder", "BillPayment"})
_MAY_REPEAT = frozenset({"BillPayment", "Purchase", "Deposit"})  # numbers
_REPEAT_BY_VENDOR = frozenset({"Bill", "VendorCredit"})  # another vendor may use it too


class Completer:
    """Completes documents of one company. today: the Pacific date."""

    def __init__(self, books: Books, options: Options, today: date) -> None:
        self.books = books
        self.options = options
        self.today = today
        self.settings = settings_of(books)
        self.currencies = Currencies(books, options, self.settings)

    def fill(
        self,
        entity: Entity,
        row: Row,
        doc: Doc,
        *,
        sent: frozenset[str],
        duplicates: bool,
        is_template: bool = False,
    ) -> None:
        """Server-made values that can be refused; may change `doc`, never the row's links.

        is_template: of a recurring transaction, which has no number and falls into no period.
        """
        if entity.kind == "name_list":
            if entity.name in OF_NAMES:
                self.currencies.complete_name(entity.name, row, doc)
            namelists.complete(self.books, entity.name, doc, row, self.options)
            return
        if entity.kind == "transaction":
            doc.setdefault("TxnDate", row.date or self.today.isoformat())
            if not is_template:
                check_period(self.books, self.options, doc["TxnDate"])
            self.currencies.complete_form(entity.name, doc)
        fill = _FILL.get(entity.name)
        if fill is not None:
            filling = Filling(
                self.books, self.options, self.settings, self.today, entity, row, doc, sent
            )
            fill(filling)
        check_references(self.books, self.options, entity, doc, doc)
        if entity.kind == "transaction" and not is_template:
            self._number(entity, row, doc, duplicates)

    def _number(self, entity: Entity, row: Row, doc: Doc, duplicates: bool) -> None:
        """Gives a DocNumber where the service does, and refuses one that is taken."""
        if ("DocNumber",) not in entity.fields or entity.name == "Payment":
            return
        table = self.books.table(entity.name)
        number = doc.get("DocNumber")
        if number is None:
            is_purchase = entity.name in _NUMBERED_PURCHASES
            settings = self.settings
            own = settings.custom_purchase_numbers if is_purchase else settings.custom_numbers
            gives = entity.name in _NUMBERED and not own
            if gives and not row.number:
                doc["DocNumber"] = str(max(1000, table.last_number) + 1)
            return
        checked = self.options.warn_duplicate_numbers and not duplicates
        if not checked or entity.name in _MAY_REPEAT or number == row.number:
            return
        for other in sorted(table.numbers.get(number, ())):
            same_party = entity.name not in _REPEAT_BY_VENDOR or (
                str(table.rows[other].party) == doc["VendorRef"]["value"]
            )
            if table.rows[other] is not row and same_party:
                raise faults.duplicate_number(number, entity.name, other)
