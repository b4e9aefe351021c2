"""Credits that are used up by themselves, for companies that have chosen so.

A new credit memo pays the customer's open invoices, the oldest first, and a new invoice is paid
by what is left of credit memos: each time by a payment of nothing that links both.
Source: Intuit, reference of CreditMemo (AutoApplyCredit).
"""

from __future__ import annotations

from sqlsync.simulators.quickbooks import documents
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.values import Doc, money

APPLIED_BY = ("CreditMemo", "Invoice")


def payment_of_credit(books: Books, entity: str, row: Row) -> Doc | None:
    """The payment that uses credit up after `row` was written; None where there is none to use."""
    other = "Invoice" if entity == "CreditMemo" else "CreditMemo"
    left, given, taken = row.open, 0, []
    for candidate in _open(books, other, row.party):
        cents = min(left - given, candidate.open)
        if cents <= 0:
            break
        given += cents
        taken.append(_line(other, candidate.id, cents))
    if not given:
        return None
    whole = documents.stored(books, entity, row)
    return {
        "CustomerRef": {"value": str(row.party)},
        "CurrencyRef": {"value": whole["CurrencyRef"]["value"]},
        "TotalAmt": 0,
        "TxnDate": row.date,
        "Line": [_line(entity, row.id, given), *taken],
    }


def _open(books: Books, entity: str, customer: int) -> list[Row]:
    rows = books.table(entity).rows.values()
    found = [row for row in rows if row.party == customer and row.open > 0]
    return sorted(found, key=lambda row: (row.date, row.id))


def _line(entity: str, number: int, cents: int) -> Doc:
    return {"Amount": money(cents), "LinkedTxn": [{"TxnId": str(number), "TxnType": entity}]}
