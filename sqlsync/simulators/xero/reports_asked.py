"""One request for a report: its parameters, and the figures it asks for."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlsync.simulators.xero.calls import Call
from sqlsync.simulators.xero.desk import MONTHS
from sqlsync.simulators.xero.figures import Figures
from sqlsync.simulators.xero.problems import validation
from sqlsync.simulators.xero.reports_rows import Rows, cell, row, section, text
from sqlsync.simulators.xero.store import Row
from sqlsync.simulators.xero.values import ZERO, Doc, read_date, total

if TYPE_CHECKING:
    from sqlsync.simulators.xero.organisation import Organisation

INCOME = ("REVENUE", "SALES", "OTHERINCOME")
COSTS = ("DIRECTCOSTS",)
EXPENSES = ("EXPENSE", "OVERHEADS", "DEPRECIATN")
BANK, CURRENT = ("BANK",), ("CURRENT", "INVENTORY", "PREPAYMENT")
FIXED, NON_CURRENT = ("FIXED",), ("NONCURRENT",)
SHORT, LONG = ("CURRLIAB", "PAYG"), ("LIABILITY", "TERMLIAB")

Span = tuple[date, date]
Column = tuple[Figures, date | None, date]


class Asked:
    """What a request for a report asks for, and the books it reads."""

    def __init__(self, organisation: Organisation, call: Call, *, may_be_cash: bool) -> None:
        """may_be_cash: the report knows `paymentsOnly`."""
        self.organisation = organisation
        self.ledger = organisation.ledger
        self.call = call
        self.paid_only = may_be_cash and self.flag("paymentsOnly")
        if may_be_cash:
            self.flag("standardLayout")
        self.base = self.figures()
        self.today = organisation.today().date()
        accounts = organisation.books.table("Accounts")
        self.accounts = sorted(accounts.docs(), key=lambda pair: pair[1].get("Code", ""))

    def figures(self, *options: str, none_of: Iterable[str] = ()) -> Figures:
        """Those tracked to the options, on the basis that was asked for."""
        return Figures(
            self.organisation.books,
            self.ledger,
            paid_only=self.paid_only,
            options=options,
            none_of=frozenset(none_of),
        )

    def day(self, name: str, default: date) -> date:
        sent = self.call.params.get(name.lower())
        if not sent:
            return default
        found = read_date(sent)
        if found is None:
            raise validation([], f"{name} is not a valid date.")
        return found

    def flag(self, name: str) -> bool:
        sent = self.call.params.get(name.lower(), "false").lower()
        if sent not in ("true", "false"):
            raise validation([], f"{name} must be true or false.")
        return sent == "true"

    def category(self, name: str) -> tuple[str, Doc] | None:
        """The tracking category a parameter names. Raises where there is none of that id."""
        sent = self.call.params.get(name.lower(), "")
        if not sent:
            return None
        found = self.organisation.books.row("TrackingCategories", sent.lower())
        if found is None:
            raise validation([], f"{name} could not be found.")
        return found.id, self.organisation.books.table("TrackingCategories").doc(found)

    def options(self, *names: str) -> tuple[str, ...]:
        """The tracking options that parameters name. Raises for one that is none."""
        sent = [self.call.params.get(name.lower(), "").lower() for name in names]
        known = {
            option["TrackingOptionID"]
            for _, doc in self.organisation.books.table("TrackingCategories").docs()
            for option in doc["Options"]
        }
        for name, value in zip(names, sent, strict=True):
            if value and value not in known:
                raise validation([], f"{name} could not be found.")
        return tuple(value for value in sent if value)

    def spans(self, first: date, last: date) -> list[Span]:
        """The period asked for and the ones before it."""
        sent = self.call.params.get("periods", "0")
        if not sent.isdigit() or int(sent) > 12:
            raise validation([], "periods must be between 1 and 12.")
        months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}.get(
            self.call.params.get("timeframe", "MONTH").upper()
        )
        if months is None:
            raise validation([], "timeframe must be MONTH, QUARTER or YEAR.")
        found = [(first, last)]
        for number in range(1, int(sent) + 1):
            start, end = back(first, months * number), back(last, months * number)
            if last.day == monthrange(last.year, last.month)[1]:
                end = month_end(end)
            found.append((start, end))
        return found

    def year_start(self, day: date) -> date:
        """The first day of the financial year, which the organisation's settings end."""
        books = self.organisation.books
        settings = next((doc for _, doc in books.table("Organisation").docs()), {})
        month, last = settings["FinancialYearEndMonth"], settings["FinancialYearEndDay"]
        ends = [
            date(year, month, min(last, monthrange(year, month)[1]))
            for year in (day.year - 2, day.year - 1, day.year)
        ]
        return max(end for end in ends if end < day) + timedelta(days=1)

    def of(self, kinds: Iterable[str]) -> list[tuple[Row, Doc]]:
        return [pair for pair in self.accounts if pair[1]["Type"] in kinds]

    def moved(
        self, kinds: Iterable[str], span: Span, sign: int, of: Figures | None = None
    ) -> Decimal:
        figures = of or self.base
        return total(sign * figures.balance(r.id, *span) for r, _ in self.of(kinds))

    def at(self, kinds: Iterable[str], day: date, sign: int, of: Figures | None = None) -> Decimal:
        figures = of or self.base
        return total(sign * figures.balance(r.id, None, day) for r, _ in self.of(kinds))

    def profit(self, span: Span, of: Figures | None = None) -> Decimal:
        return self.moved((*INCOME, *COSTS, *EXPENSES), span, -1, of)

    def block(
        self, title: str, kinds: Iterable[str], columns: list[Column], sign: int
    ) -> tuple[Doc, list[Decimal]]:
        """A section with a row for each account that has figures, and its sums."""
        rows: Rows = []
        sums = [ZERO for _ in columns]
        for account, doc in self.of(kinds):
            figures = [sign * of.balance(account.id, start, end) for of, start, end in columns]
            if not any(figures):
                continue
            sums = [a + b for a, b in zip(sums, figures, strict=True)]
            label = cell(doc["Name"], account=account.id)
            values = [cell(text(figure), account=account.id) for figure in figures]
            rows.append(row(label, *values))
        words = f"Total {title.removeprefix('Less ')}"
        rows.append(row(cell(words), *(cell(text(s)) for s in sums), kind="SummaryRow"))
        return section(title, rows), sums

    def flows(self, first: date, last: date) -> dict[str, tuple[Decimal, Decimal]]:
        banks = {account.id for account, _ in self.of(BANK)}
        found: dict[str, tuple[Decimal, Decimal]] = {}
        for _, post in self.ledger.lines(first, last):
            if post.account in banks:
                got, spent = found.get(post.account, (ZERO, ZERO))
                found[post.account] = (
                    got + max(post.net, ZERO),
                    spent + max(-post.net, ZERO),
                )
        return found


def sides(net: Decimal) -> tuple[Decimal, Decimal]:
    """Debit and credit of a balance."""
    return (net, ZERO) if net > 0 else (ZERO, -net)


def month_end(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def back(day: date, months: int) -> date:
    """The same day `months` earlier, or the month's last."""
    number = day.year * 12 + day.month - 1 - months
    year, month = divmod(number, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def short_day(day: date) -> str:
    """`31 Oct 26`."""
    return f"{day.day} {MONTHS[day.month - 1][:3]} {day:%y}"
