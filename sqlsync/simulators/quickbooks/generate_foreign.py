"""What a generated company with several currencies has besides: business abroad."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from sqlsync.simulators.quickbooks.generate_more import (
    Entry,
    cost,
    foreign_currencies,
    in_order,
    sale,
)
from sqlsync.simulators.quickbooks.settings import preferred
from sqlsync.simulators.quickbooks.store import Books
from sqlsync.simulators.quickbooks.values import Doc

_RATE = Decimal("1.1025")  # agreed for one invoice; the others take the rate of their day


def add_foreign_business(books: Books, today: date) -> None:
    """Switches several currencies on; customers and vendors in each, and their forms."""
    row = books.row("Preferences", 1)
    row.doc = preferred(row.doc or {}, "multicurrency", value=True)
    entry = Entry(books, today, 0, 0, 0)
    for code in foreign_currencies(books):
        currency: Doc = {"CurrencyRef": {"value": code}}
        customer = entry.enter("Customer", DisplayName=f"Velo {code}", **currency)
        vendor = entry.enter("Vendor", DisplayName=f"Frames {code} Supply", **currency)
        buyer, seller = {"CustomerRef": {"value": customer}}, {"VendorRef": {"value": vendor}}
        first = entry.enter("Invoice", **buyer, **currency, Line=[sale("3", 2, 4500)])
        entry.enter("Invoice", **buyer, **currency, ExchangeRate=_RATE, Line=[sale("3", 1, 4500)])
        paid = {"Amount": 50, "LinkedTxn": [{"TxnId": first, "TxnType": "Invoice"}]}
        entry.enter("Payment", **buyer, **currency, TotalAmt=50, Line=[paid])
        entry.enter("Bill", **seller, **currency, Line=[cost("63", 12345)])
    in_order(books)
