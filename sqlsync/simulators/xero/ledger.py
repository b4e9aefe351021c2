"""The journals: what every approved document posts, numbered, never taken back.

A document that is approved, changed, voided or paid posts lines; when its lines change, the old
ones are reversed by a journal of their own. Debits are positive. Journals of generated documents
are made when somebody looks, and fixed when their document is first changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from sqlsync.simulators.xero.invoicing import APPROVED, is_sale
from sqlsync.simulators.xero.store import Books, Row
from sqlsync.simulators.xero.unit import Change
from sqlsync.simulators.xero.values import ZERO, Doc, rounded, total, uuid_of


class Post(NamedTuple):
    """One line of a journal, in base currency."""

    account: str
    net: Decimal
    tax: Decimal = ZERO
    tax_type: str | None = None
    text: str = ""
    tracking: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True, eq=False)
class Journal:
    """One numbered entry. posts: None while they follow from the untouched generated row."""

    number: int
    created: int
    source: Row
    table: str
    posts: tuple[Post, ...] | None
    day: date
    kind: str
    reference: str = ""


_BANK_KIND = {
    "RECEIVE": "CASHREC",
    "SPEND": "CASHPAID",
    "RECEIVE-OVERPAYMENT": "AROVERPAYMENT",
    "SPEND-OVERPAYMENT": "APOVERPAYMENT",
    "RECEIVE-PREPAYMENT": "ARPREPAYMENT",
    "SPEND-PREPAYMENT": "APPREPAYMENT",
    "RECEIVE-TRANSFER": "TRANSFER",
    "SPEND-TRANSFER": "TRANSFER",
}
_PAYMENT_KIND = {
    "ACCRECPAYMENT": "ACCRECPAYMENT",
    "ACCPAYPAYMENT": "ACCPAYPAYMENT",
    "ARCREDITPAYMENT": "ARCREDITPAYMENT",
    "APCREDITPAYMENT": "APCREDITPAYMENT",
    "AROVERPAYMENTPAYMENT": "ARCREDITPAYMENT",
    "APOVERPAYMENTPAYMENT": "APCREDITPAYMENT",
    "ARPREPAYMENTPAYMENT": "ARCREDITPAYMENT",
    "APPREPAYMENTPAYMENT": "APCREDITPAYMENT",
}
TABLES = frozenset(
    (
        "Invoices",
        "CreditNotes",
        "Payments",
        "BankTransactions",
        "ManualJournals",
        "ExpenseClaims",
        "Allocations",
    )
)


class Ledger:
    """All journals of one organisation, in the order of their numbers (1, 2, …)."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.journals: list[Journal] = []
        self._open: dict[tuple[str, str], Journal] = {}  # the entry in force of each document
        self._by_day: dict[str, dict[date, Decimal]] = {}  # account -> day -> net
        self._summed = 0  # how many journals `_by_day` holds

    # -- writing ------------------------------------------------------------------------------

    def enter(self, table: str, row: Row, day: date, kind: str, reference: str) -> None:
        """A generated row that posts; its lines are told later."""
        number = len(self.journals) + 1
        journal = Journal(number, row.created, row, table, None, day, kind, reference)
        self.journals.append(journal)
        self._open[table, row.id] = journal

    def follow(self, changes: Iterable[Change], now: int) -> None:
        """Posts what a finished unit changed."""
        for change in changes:
            if change.table not in TABLES:
                continue
            before = posts_of(self.books, change.table, change.before) if change.before else ()
            doc = None if change.is_gone else self.books.table(change.table).doc(change.row)
            after = posts_of(self.books, change.table, doc) if doc else ()
            if before == after:
                self._freeze(change, before)
                continue
            if before:
                self._reverse(change, before, now)
            if after and doc is not None:
                self._append(change.table, change.row, doc, after, now)

    def _freeze(self, change: Change, posts: tuple[Post, ...]) -> None:
        held = self._open.get((change.table, change.row.id))
        if held is not None and held.posts is None:
            held.posts = posts

    def _reverse(self, change: Change, posts: tuple[Post, ...], now: int) -> None:
        held = self._open.pop((change.table, change.row.id), None)
        if held is None:
            return
        if held.posts is None:
            held.posts = posts
        number = len(self.journals) + 1
        opposite = tuple(p._replace(net=-p.net, tax=-p.tax) for p in held.posts)
        self.journals.append(
            Journal(
                number, now, held.source, held.table, opposite, held.day, held.kind, held.reference
            )
        )

    def _append(
        self,
        table: str,
        row: Row,
        doc: Doc,
        posts: tuple[Post, ...],
        now: int,
    ) -> None:
        journal = Journal(
            len(self.journals) + 1,
            now,
            row,
            table,
            posts,
            day_of(doc),
            kind_of(table, doc),
            str(doc.get("Reference", "")),
        )
        self.journals.append(journal)
        self._open[table, row.id] = journal

    # -- reading ------------------------------------------------------------------------------

    def posts(self, journal: Journal) -> tuple[Post, ...]:
        if journal.posts is not None:
            return journal.posts
        doc = self.books.table(journal.table).doc(journal.source)
        return posts_of(self.books, journal.table, doc)

    def balance(self, account_id: str, start: date | None, end: date) -> Decimal:
        """The net of an account's lines dated within a span, both ends included."""
        for journal in self.journals[self._summed :]:
            for post in self.posts(journal):
                days = self._by_day.setdefault(post.account, {})
                days[journal.day] = days.get(journal.day, ZERO) + post.net
        self._summed = len(self.journals)
        days = self._by_day.get(account_id, {})
        return total(
            net for day, net in days.items() if day <= end and (start is None or day >= start)
        )

    def lines(self, start: date | None, end: date | None) -> Iterator[tuple[Journal, Post]]:
        """Every line dated within a span, both ends included."""
        for journal in self.journals:
            if (start is None or journal.day >= start) and (end is None or journal.day <= end):
                for post in self.posts(journal):
                    yield journal, post

    def render(self, journal: Journal) -> Doc:
        """A journal as /Journals shows it, without its dates."""
        lines: list[Doc] = []
        accounts = self.books.table("Accounts")
        for number, post in enumerate(self.posts(journal)):
            account = accounts.doc(accounts.rows[post.account])
            line: Doc = {"JournalLineID": uuid_of(journal.number * 1_000_003 + number)}
            line |= {"AccountID": post.account}
            if account.get("Code"):
                line["AccountCode"] = account["Code"]
            line |= {"AccountType": account["Type"], "AccountName": account["Name"]}
            line |= {"Description": post.text, "NetAmount": post.net}
            line |= {"GrossAmount": post.net + post.tax, "TaxAmount": post.tax}
            if post.tax_type:
                rate = self.books.table("TaxRates").rows.get(post.tax_type)
                line["TaxType"] = post.tax_type
                if rate is not None:
                    line["TaxName"] = self.books.table("TaxRates").doc(rate)["Name"]
            line["TrackingCategories"] = self._tracked(post)
            lines.append(line)
        return {
            "JournalID": journal_id(journal),
            "JournalNumber": journal.number,
            "Reference": journal.reference,
            "SourceID": journal.source.id,
            "SourceType": journal.kind,
            "JournalLines": lines,
        }

    def _tracked(self, post: Post) -> list[Doc]:
        found: list[Doc] = []
        for category_id, option_id in post.tracking:
            row = self.books.row("TrackingCategories", category_id)
            doc = self.books.table("TrackingCategories").doc(row) if row else {"Options": ()}
            for option in doc["Options"]:
                if option["TrackingOptionID"] == option_id:
                    found.append(
                        {
                            "Name": doc["Name"],
                            "Option": option["Name"],
                            "TrackingCategoryID": category_id,
                            "TrackingOptionID": option_id,
                        }
                    )
        return found


def journal_id(journal: Journal) -> str:
    """Always the same for the same journal of the same organisation."""
    return uuid_of(int(journal.source.id.replace("-", ""), 16) ^ (journal.number << 64))


# -- what a document posts ---


def day_of(doc: Doc) -> date:
    found: Any = doc.get("Date") or doc.get("ReportingDate")
    return found if isinstance(found, date) else date.min


def kind_of(table: str, doc: Doc) -> str:
    if table in ("Invoices", "CreditNotes"):
        return str(doc["Type"])
    if table == "Payments":
        return _PAYMENT_KIND[doc["PaymentType"]]
    if table == "BankTransactions":
        return _BANK_KIND[doc["Type"]]
    if table == "Allocations":
        return "ARPREPAYMENT"
    return {"ManualJournals": "MANJOURNAL", "ExpenseClaims": "EXPCLAIM"}[table]


def posts_of(books: Books, table: str, doc: Doc) -> tuple[Post, ...]:
    """The journal lines a document stands for; they sum to zero."""
    if table in ("Invoices", "CreditNotes"):
        return _document_posts(books, doc) if doc["Status"] in APPROVED else ()
    if table == "Payments":
        return _payment_posts(books, doc) if doc["Status"] == "AUTHORISED" else ()
    if table == "BankTransactions":
        return _bank_posts(books, doc) if doc["Status"] == "AUTHORISED" else ()
    if table == "ManualJournals":
        return _manual_posts(books, doc) if doc["Status"] == "POSTED" else ()
    if table == "ExpenseClaims":
        return _claim_posts(books, doc) if doc["Status"] in APPROVED else ()
    return _allocation_posts(books, doc) if doc["SourceTable"] == "Prepayments" else ()


def _system(books: Books, name: str) -> str:
    return books.table("Accounts").ids_of("system", name)[0]


def _tracking(line: Doc) -> tuple[tuple[str, str], ...]:
    return tuple((t["TrackingCategoryID"], t["TrackingOptionID"]) for t in line["Tracking"])


def _base(amount: Decimal, rate: Decimal) -> Decimal:
    return amount if rate == 1 else rounded(amount / rate)


def _line_posts(books: Books, doc: Doc, sign: int) -> list[Post]:
    """The lines of a document on their accounts, and their tax on the tax account."""
    rate = doc["CurrencyRate"]
    found: list[Post] = []
    taxes = ZERO
    for line in doc["LineItems"]:
        if not line.get("AccountID"):
            continue
        tax = line["TaxAmount"]
        net = (
            line["LineAmount"] - tax
            if doc["LineAmountTypes"] == "Inclusive"
            else line["LineAmount"]
        )
        taxes += tax
        found.append(
            Post(
                line["AccountID"],
                sign * _base(net, rate),
                sign * _base(tax, rate),
                line.get("TaxType"),
                line.get("Description", ""),
                _tracking(line),
            )
        )
    if taxes:
        found.append(Post(_system(books, "GST"), sign * _base(taxes, rate)))
    return found


def _balanced(books: Books, head: Post, rest: list[Post]) -> tuple[Post, ...]:
    """A rounding line where conversion left a cent over."""
    left = total(post.net for post in (head, *rest))
    if left:
        rest = [*rest, Post(_system(books, "ROUNDING"), -left)]
    return (head, *rest)


def _document_posts(books: Books, doc: Doc) -> tuple[Post, ...]:
    is_credit = doc["Type"].endswith("CREDIT")
    sign = 1 if is_sale(doc) != is_credit else -1
    control = _system(books, "DEBTORS" if is_sale(doc) else "CREDITORS")
    head = Post(control, sign * _base(doc["Total"], doc["CurrencyRate"]))
    return _balanced(books, head, _line_posts(books, doc, -sign))


def _payment_posts(books: Books, doc: Doc) -> tuple[Post, ...]:
    target = books.doc(doc["TargetTable"], doc["TargetID"])
    receives = is_sale(target) == (doc["TargetTable"] == "Invoices")
    sign = 1 if receives else -1
    head = Post(doc["AccountID"], sign * _base(doc["Amount"], doc["CurrencyRate"]))
    if doc["TargetTable"] == "Prepayments":
        return _balanced(books, head, _shared(books, target, doc["Amount"], -sign))
    control = _system(books, "DEBTORS" if is_sale(target) else "CREDITORS")
    settled = Post(control, -sign * _base(doc["Amount"], target["CurrencyRate"]))
    left = head.net + settled.net
    rest = [settled]
    if left:
        rest.append(Post(_system(books, "REALISEDCURRENCYGAIN"), -left))
    return (head, *rest)


def _bank_posts(books: Books, doc: Doc) -> tuple[Post, ...]:
    sign = 1 if doc["Type"].startswith("RECEIVE") else -1
    head = Post(doc["BankAccountID"], sign * _base(doc["Total"], doc["CurrencyRate"]))
    if doc["Type"].endswith("TRANSFER"):
        return (head, Post(_system(books, "TRACKINGTRANSFERS"), -head.net))
    return _balanced(books, head, _line_posts(books, doc, -sign))


def _manual_posts(books: Books, doc: Doc) -> tuple[Post, ...]:
    found: list[Post] = []
    taxes = ZERO
    for line in doc["JournalLines"]:
        tax = line["TaxAmount"]
        taxes += tax
        net = line["LineAmount"] - (tax if doc["LineAmountTypes"] == "Inclusive" else ZERO)
        found.append(
            Post(
                line["AccountID"],
                net,
                tax,
                line["TaxType"],
                line["Description"],
                _tracking(line),
            )
        )
    if taxes:
        found.append(Post(_system(books, "GST"), taxes))
    return tuple(found)


def _claim_posts(books: Books, doc: Doc) -> tuple[Post, ...]:
    rest: list[Post] = []
    for receipt_id in doc["ReceiptIDs"]:
        receipt = books.doc("Receipts", receipt_id)
        rest += _line_posts(books, {**receipt, "CurrencyRate": Decimal(1)}, 1)
    return _balanced(books, Post(_system(books, "UNPAIDEXPCLM"), -doc["Total"]), rest)


def _shared(books: Books, source: Doc, amount: Decimal, sign: int) -> list[Post]:
    """A part of a prepayment on the accounts it was coded to."""
    whole = source["Total"]
    return [
        post._replace(
            net=rounded(post.net * amount / whole), tax=rounded(post.tax * amount / whole)
        )
        for post in _line_posts(books, source, sign)
    ]


def _allocation_posts(books: Books, doc: Doc) -> tuple[Post, ...]:
    source = books.doc(doc["SourceTable"], doc["SourceID"])
    sign = -1 if is_sale(source) else 1
    control = _system(books, "DEBTORS" if is_sale(source) else "CREDITORS")
    head = Post(control, sign * _base(doc["Amount"], source["CurrencyRate"]))
    return _balanced(books, head, _shared(books, source, doc["Amount"], -sign))
