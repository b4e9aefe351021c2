"""What forms that are no invoice and no bill make a customer or vendor owe. Pure.

Rows of journal entries, deposits and expenses stand on receivables or payables and name somebody.
A payment can settle them as it does an invoice, or use them up as it does a credit.
Source: Intuit, "Manage linked transactions".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlsync.simulators.quickbooks.store import Books, Row, Table
from sqlsync.simulators.quickbooks.values import Doc, to_cents

# What a payment may link besides its own documents and credits: TxnType -> entity. Cheques and
# card credits, which the documentation lists as well, are shown by the API and not taken.
OTHERS: dict[str, dict[str, str]] = {
    "Customer": {"JournalEntry": "JournalEntry", "Expense": "Purchase"},
    "Vendor": {"JournalEntry": "JournalEntry", "Deposit": "Deposit"},
}
_ACCOUNT = {"Customer": "Accounts Receivable", "Vendor": "Accounts Payable"}
_SIGN = {"Customer": 1, "Vendor": -1}  # of a debit


@dataclass(frozen=True, slots=True)
class Owed:
    """cents: positive where it raises what is owed, as an invoice or a bill does."""

    party: int
    cents: int


def named_rows(name: str, doc: Doc) -> Iterator[tuple[Doc | None, str | None, Doc | None, int]]:
    """(account, kind of party, party, cents of debit) of rows that name somebody themselves.

    Those of journal entries, of deposits that are no payments, and of expenses.
    """
    for line in doc.get("Line") or ():
        cents = to_cents(line.get("Amount") or 0)
        detail = line.get(line.get("DetailType")) or {}
        if name == "JournalEntry":
            entity = detail.get("Entity") or {}
            signed = -cents if detail.get("PostingType") == "Credit" else cents
            yield detail.get("AccountRef"), entity.get("Type"), entity.get("EntityRef"), signed
        elif name == "Deposit" and not line.get("LinkedTxn"):
            entity = detail.get("Entity") or {}
            yield detail.get("AccountRef"), entity.get("type"), entity, -cents
        elif name == "Purchase":
            payee = doc.get("EntityRef") or {}
            signed = -cents if doc.get("Credit") else cents
            yield detail.get("AccountRef"), payee.get("type"), payee, signed


def owed_rows(books: Books, party: str, name: str, doc: Doc) -> Iterator[Owed]:
    """What each row of a form makes parties of that kind ("Customer", "Vendor") owe or be owed."""
    for reference, kind, who, cents in named_rows(name, doc):
        account = books.table("Account").get(_number(reference))
        found = (account.doc or {}).get("AccountType") if account is not None else None
        if kind == party and found == _ACCOUNT[party]:
            yield Owed(_number(who), cents * _SIGN[party])


def owed(books: Books, party: str, name: str, doc: Doc) -> Owed | None:
    """What a form makes its one party of that kind owe; None where it names none or several."""
    rows = list(owed_rows(books, party, name, doc))
    total = sum(row.cents for row in rows)
    if not total or len({row.party for row in rows}) != 1:
        return None
    return Owed(rows[0].party, total)


def other_document(books: Books, party: str, number: int) -> tuple[str, Table, Row] | None:
    """The form of that id that a payment of the side may link: TxnType, table, row."""
    for kind, name in OTHERS[party].items():
        table = books.table(name)
        row = table.get(number)
        if row is not None:
            return kind, table, row
    return None


def links_of(payments: Table, row: Row) -> list[tuple[int, int]]:
    """(payment, cents) of the payments of one side that are linked to a form."""
    return [(number, cents) for number, cents in row.links if number in payments.rows]


def _number(reference: Doc | None) -> int:
    value = str((reference or {}).get("value") or "")
    return int(value) if value.isdigit() else 0
