"""A record as the service shows it: the stored document plus what the books know of it.

Pure. `assemble` gives the whole JSON object, `render` its bytes (kept until a write changes the
record), `stored` the part of an assembled object that belongs into `Row.doc`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from sqlsync.simulators.quickbooks import seeded
from sqlsync.simulators.quickbooks.lines import plain
from sqlsync.simulators.quickbooks.owing import other_document
from sqlsync.simulators.quickbooks.posting.chart import Account
from sqlsync.simulators.quickbooks.posting.entries import UNIT
from sqlsync.simulators.quickbooks.posting.goods import is_stocked
from sqlsync.simulators.quickbooks.posting.standing import standing_of
from sqlsync.simulators.quickbooks.store import Books, Links, Row
from sqlsync.simulators.quickbooks.values import Doc, decode, encode, in_home, money, timestamp

_HEAD = ("domain", "sparse", "Id", "SyncToken", "MetaData")
# Of records that can be generated as seeds: what `stored` leaves out.
_COMPUTED: dict[str, tuple[str, ...]] = {
    "Customer": ("Balance", "BalanceWithJobs", "FullyQualifiedName", "Level"),
    "Invoice": ("TotalAmt", "Balance"),
    "Payment": ("TotalAmt", "UnappliedAmt", "Line", "LinkedTxn"),
}
_ONLY_TOTAL = ("PurchaseOrder", "Estimate", "Purchase", "Deposit", "JournalEntry")
_HOME_TOTAL = frozenset(
    (
        *("CreditMemo", "Deposit", "Estimate", "Invoice", "JournalEntry", "RefundReceipt"),
        "SalesReceipt",
    )
)
_HOME_BALANCE = frozenset({"Bill", "CreditMemo", "Invoice", "RefundReceipt", "SalesReceipt"})
_PAID_AT_ONCE = ("SalesReceipt", "RefundReceipt")


def render(books: Books, entity: str, row: Row) -> bytes:
    """The record as JSON bytes."""
    if row.doc is None:
        return seeded.render(books, entity, row)
    if row.body is None:
        row.body = encode(assemble(books, entity, row))
    return row.body


def assemble(books: Books, entity: str, row: Row) -> Doc:
    """The record as a JSON object, with exact numbers."""
    if row.doc is None:
        found: Doc = decode(seeded.render(books, entity, row))
        return found
    if entity in ("TaxClassification", "Entitlements"):  # nothing of what all others have
        return row.doc
    if entity == "ExchangeRate":
        return {
            "domain": "QBO",
            "sparse": False,
            "SyncToken": str(row.token),
            "MetaData": {"LastUpdatedTime": timestamp(row.updated)},
            **row.doc,
        }
    whole = _whole(books, entity, row)
    if entity == "RecurringTransaction":
        kind = whole.pop("Type")
        return {kind: {**whole, "RecurDataRef": {"value": str(row.id)}}}
    return whole


def searched(books: Books, entity: str, row: Row) -> Doc:
    """What the conditions of a query are held against: a template is not wrapped there."""
    if entity != "RecurringTransaction":
        return assemble(books, entity, row)
    return {**_whole(books, entity, row), "RecurDataRef": {"value": str(row.id)}}


def _whole(books: Books, entity: str, row: Row) -> Doc:
    return {
        "domain": "QBO",
        "sparse": False,
        "Id": str(row.id),
        "SyncToken": str(row.token),
        "MetaData": {
            "CreateTime": timestamp(row.created),
            "LastUpdatedTime": timestamp(row.updated),
        },
        **(row.doc or {}),
        **computed(books, entity, row),
    }


def stored(books: Books, entity: str, row: Row) -> Doc:
    """What `Row.doc` holds, or would hold, for this record."""
    if row.doc is not None:
        return row.doc
    left_out = {*_HEAD, *_COMPUTED.get(entity, ())}
    doc = {name: v for name, v in assemble(books, entity, row).items() if name not in left_out}
    if entity == "Invoice":
        doc["LinkedTxn"] = []  # a generated invoice is linked to nothing but payments
    return doc


def computed(books: Books, entity: str, row: Row) -> Doc:
    """The members that follow from the books."""
    found = _computed(books, entity, row)
    rate = (row.doc or {}).get("ExchangeRate")
    if rate is not None and books.tables[entity].kind == "transaction":
        if entity in _HOME_TOTAL:
            found["HomeTotalAmt"] = money(in_home(row.total, rate))
        if entity in _HOME_BALANCE:
            left = 0 if entity in _PAID_AT_ONCE else row.open
            found["HomeBalance"] = money(in_home(left, rate))
    return found


def _computed(books: Books, entity: str, row: Row) -> Doc:
    if entity == "Customer":
        return {
            "Balance": money(row.open),
            "BalanceWithJobs": money(books.balance_with_jobs(row)),
            **_named(books, entity, row),
        }
    if entity == "Item":
        return {**_named(books, entity, row), **_on_hand(books, row)}
    if entity == "Account":
        own, whole = balances(books, row)
        figures = {"CurrentBalance": money(own), "CurrentBalanceWithSubAccounts": money(whole)}
        return {**_named(books, entity, row), **figures}
    if entity in ("Class", "Department"):
        full = books.full_name(entity, row)
        return {f"Sub{entity}": bool(row.parent), "FullyQualifiedName": full}
    if entity == "Vendor":
        return {"Balance": money(row.open), **_masked(row.doc or {})}
    if entity == "Invoice":
        own = (row.doc or {}).get("LinkedTxn", [])
        linked = [{"TxnId": str(payment), "TxnType": "Payment"} for payment, _ in row.links]
        return {
            "TotalAmt": money(row.total),
            "Balance": money(row.open),
            "LinkedTxn": [*own, *linked],
        }
    if entity == "Bill":
        return _with_bill_payments(books, row)
    if entity == "VendorCredit":
        return _with_bill_payments(books, row)
    if entity == "CreditMemo":
        left = money(row.open)
        return {"TotalAmt": money(row.total), "RemainingCredit": left, "Balance": left}
    if entity == "Payment":
        shown: Doc = {
            "TotalAmt": money(row.total),
            "UnappliedAmt": money(row.open),
            "Line": payment_lines(books, row.links),
        }
        if row.deposit:
            shown["LinkedTxn"] = [{"TxnId": str(row.deposit), "TxnType": "Deposit"}]
        return shown
    if entity == "BillPayment":
        lines = []
        for number, cents in row.links:
            kind, _ = linked_form(books, "Vendor", ("Bill", "VendorCredit"), number)
            link = {"TxnId": str(number), "TxnType": kind}
            lines.append({"Amount": money(cents), "LinkedTxn": [link]})
        return {"TotalAmt": money(row.total), "Line": lines}
    if entity in _ONLY_TOTAL:
        return {"TotalAmt": money(row.total)}
    if entity in _PAID_AT_ONCE:
        return {"TotalAmt": money(row.total), "Balance": 0}
    return {}


def _on_hand(books: Books, item: Row) -> Doc:
    """Of an item kept in stock: what is there now. Its document says what it started with."""
    if not is_stocked(item.doc or {}):
        return {}
    units = Decimal(standing_of(books).on_hand(item.id)) / UNIT
    return {"QtyOnHand": plain(units)}


def balances(books: Books, account: Row) -> tuple[int, int]:
    """An account's balance and that with its sub-accounts, in cents, as the service shows them.

    Accounts of income and expense show nought; of the others a debit is positive, but what is
    owed on a credit card is positive too.
    """
    standing = standing_of(books)
    facts = standing.poster.chart.accounts.get(account.id)
    if facts is None or facts.is_profit:
        return 0, 0
    sign = -1 if facts.type == "Credit Card" else 1
    own = whole = standing.balance(account.id) * sign
    for below in facts_below(standing.poster.chart.accounts, account.id):
        whole += standing.balance(below) * sign
    return own, whole


def facts_below(accounts: Mapping[int, Account], parent: int) -> Iterator[int]:
    """The sub-accounts of an account, and theirs."""
    for account in accounts.values():
        if account.parent == parent:
            yield account.id
            yield from facts_below(accounts, account.id)


def _masked(vendor: Doc) -> Doc:
    """A tax identifier is never shown whole."""
    held = str(vendor.get("TaxIdentifier") or "")
    return {"TaxIdentifier": "X" * (len(held) - 4) + held[-4:]} if held else {}


def _with_bill_payments(books: Books, row: Row) -> Doc:
    linked = [
        {"TxnId": str(payment), "TxnType": _bill_payment_type(books, payment)}
        for payment, _ in row.links
    ]
    own = (row.doc or {}).get("LinkedTxn", [])
    shown: Doc = {"TotalAmt": money(row.total), "Balance": money(row.open)}
    return {**shown, "LinkedTxn": [*own, *linked]} if own or linked else shown


def _named(books: Books, entity: str, row: Row) -> Doc:
    shown: Doc = {"FullyQualifiedName": books.full_name(entity, row)}
    if row.parent and entity != "Account":
        shown["Level"] = books.depth(entity, row)
    return shown


def _bill_payment_type(books: Books, payment: int) -> str:
    row = books.table("BillPayment").get(payment)
    by_card = row is not None and row.doc is not None and row.doc.get("PayType") == "CreditCard"
    return "BillPaymentCreditCard" if by_card else "BillPaymentCheck"


def linked_form(books: Books, party: str, own: tuple[str, str], number: int) -> tuple[str, Row]:
    """What a payment's row links, and its TxnType. own: document and credit of the side."""
    for name in own:
        row = books.table(name).get(number)
        if row is not None:
            return name, row
    found = other_document(books, party, number)
    if found is None:
        raise KeyError(number)
    return found[0], found[2]


def payment_lines(books: Books, links: Links) -> list[Doc]:
    """A payment's rows, with the name/value list the service adds to each."""
    lines: list[Doc] = []
    for invoice_id, cents in links:
        kind, invoice = linked_form(books, "Customer", ("Invoice", "CreditMemo"), invoice_id)
        facts = {
            "txnId": str(invoice_id),
            "txnOpenBalance": f"{invoice.total // 100}.{invoice.total % 100:02d}",
            "txnReferenceNumber": invoice.number or "",
        }
        lines.append(
            {
                "Amount": money(cents),
                "LinkedTxn": [{"TxnId": str(invoice_id), "TxnType": kind}],
                "LineEx": {"any": [_name_value(name, value) for name, value in facts.items()]},
            }
        )
    return lines


def _name_value(name: str, value: str) -> Doc:
    return {
        "name": "{http://schema.intuit.com/finance/v3}NameValue",
        "declaredType": "com.intuit.schema.finance.v3.NameValue",
        "scope": "javax.xml.bind.JAXBElement$GlobalScope",
        "value": {"Name": name, "Value": value},
        "nil": False,
        "globalScope": True,
        "typeSubstituted": False,
    }
