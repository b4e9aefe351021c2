"""Reports, computed from the journals and the open documents. Rows and cells of text.

`paymentsOnly` asks for the cash basis; a tracking category makes a column of each of its options.
Titles and labels follow the standard layout of the reference's samples, so `standardLayout`
changes nothing.
Source: reference, "Reports"; objects.yaml, `reports`.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlsync.simulators.xero import problems
from sqlsync.simulators.xero.calls import Call
from sqlsync.simulators.xero.desk import MONTHS, long_day
from sqlsync.simulators.xero.figures import Figures
from sqlsync.simulators.xero.problems import validation
from sqlsync.simulators.xero.reports_aged import aged
from sqlsync.simulators.xero.reports_rows import Rows, cell, header, row, section, text
from sqlsync.simulators.xero.store import Row
from sqlsync.simulators.xero.values import ZERO, Doc, millis, ms_now, read_date, total

if TYPE_CHECKING:
    from sqlsync.simulators.xero.organisation import Organisation

NAMES = {
    "AgedPayablesByContact": "Aged Payables By Contact",
    "AgedReceivablesByContact": "Aged Receivables By Contact",
    "BalanceSheet": "Balance Sheet",
    "BankSummary": "Bank Summary",
    "BudgetSummary": "Budget Summary",
    "ExecutiveSummary": "Executive Summary",
    "ProfitAndLoss": "Profit and Loss",
    "TrialBalance": "Trial Balance",
}
_ON_CASH = ("BalanceSheet", "ProfitAndLoss", "TrialBalance")
_INCOME = ("REVENUE", "SALES", "OTHERINCOME")
_COSTS = ("DIRECTCOSTS",)
_EXPENSES = ("EXPENSE", "OVERHEADS", "DEPRECIATN")
_BANK, _CURRENT = ("BANK",), ("CURRENT", "INVENTORY", "PREPAYMENT")
_FIXED, _NON_CURRENT = ("FIXED",), ("NONCURRENT",)
_SHORT, _LONG = ("CURRLIAB", "PAYG"), ("LIABILITY", "TERMLIAB")


def report(organisation: Organisation, call: Call) -> Doc:
    """The answer to `GET /Reports[/Name]`."""
    if call.method != "GET" or len(call.parts) > 2:
        raise problems.method_not_allowed()
    if len(call.parts) == 1:
        return {"Reports": []}
    asked = call.parts[1].lower()
    if asked == "tenninetynine":
        return {"Reports": []}
    name = next((name for name in NAMES if name.lower() == asked), None)
    if name is None:
        raise problems.not_found()
    books = _Figures(organisation, call)
    titles, rows = books.make(name)
    now = millis(organisation.clock.now())
    return {
        "Reports": [
            {
                "ReportID": name,
                "ReportName": NAMES[name],
                "ReportType": name,
                "ReportTitles": titles,
                "ReportDate": long_day(books.today),
                "UpdatedDateUTC": ms_now(now),
                "Fields": [],
                "Rows": rows,
            }
        ]
    }


Span = tuple[date, date]
Column = tuple[Figures, date | None, date]


class _Figures:
    """One report request and the books it reads."""

    def __init__(self, organisation: Organisation, call: Call) -> None:
        self.organisation = organisation
        self.ledger = organisation.ledger
        self.call = call
        self.paid_only = False
        self.base = self.figures()
        self.today = organisation.today().date()
        accounts = organisation.books.table("Accounts")
        self.accounts = sorted(accounts.docs(), key=lambda pair: pair[1].get("Code", ""))

    def make(self, name: str) -> tuple[list[str], Rows]:
        if name.startswith("Aged"):
            return aged(self.organisation, self.call, is_sale="Receivables" in name)
        if name in _ON_CASH:
            self.paid_only = self.flag("paymentsOnly")
            self.flag("standardLayout")
            self.base = self.figures()
        makers = {
            "BalanceSheet": self.balance_sheet,
            "BankSummary": self.bank_summary,
            "BudgetSummary": self.budget_summary,
            "ExecutiveSummary": self.executive_summary,
            "ProfitAndLoss": self.profit_and_loss,
            "TrialBalance": self.trial_balance,
        }
        return makers[name]()

    def figures(self, *options: str, none_of: Iterable[str] = ()) -> Figures:
        """Those tracked to the options, on the basis that was asked for."""
        return Figures(
            self.organisation.books,
            self.ledger,
            paid_only=self.paid_only,
            options=options,
            none_of=frozenset(none_of),
        )

    # -- parameters ---------------------------------------------------------------------------

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

    # -- figures ------------------------------------------------------------------------------

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
        return self.moved((*_INCOME, *_COSTS, *_EXPENSES), span, -1, of)

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

    # -- reports --------------------------------------------------------------------------------

    def profit_and_loss(self) -> tuple[list[str], Rows]:
        first = self.day("fromDate", self.today.replace(day=1))
        last = self.day("toDate", month_end(self.today))
        if (last - first).days > 365 or last < first:
            raise validation([], "The dates must be at most 365 days apart.")
        titles, columns = self._profit_columns(first, last)
        income, earned = self.block("Income", _INCOME, columns, -1)
        costs, cost = self.block("Less Cost of Sales", _COSTS, columns, 1)
        gross = [a - b for a, b in zip(earned, cost, strict=True)]
        spent, spending = self.block("Less Operating Expenses", _EXPENSES, columns, 1)
        net = [a - b for a, b in zip(gross, spending, strict=True)]
        rows = [
            header("", *titles),
            income,
            costs,
            section("", [row(cell("Gross Profit"), *(cell(text(g)) for g in gross))]),
            spent,
            section("", [row(cell("Net Profit"), *(cell(text(n)) for n in net))]),
        ]
        span = f"{long_day(first)} to {long_day(last)}"
        return ["Profit & Loss", self.organisation.name, span], rows

    def _profit_columns(self, first: date, last: date) -> tuple[list[str], list[Column]]:
        """Periods; or each option of a tracking category, what has none, and the total."""
        others = self.options("trackingOptionID2")
        self.category("trackingCategoryID2")
        one = self.options("trackingOptionID")
        category = self.category("trackingCategoryID")
        if category is None or one:
            of = self.figures(*one, *others)
            spans = self.spans(first, last)
            return [short_day(end) for _, end in spans], [(of, *span) for span in spans]
        named = {
            option["TrackingOptionID"]: option["Name"]
            for option in category[1]["Options"]
            if option["Status"] != "DELETED"
        }
        columns: list[Column] = [(self.figures(option, *others), first, last) for option in named]
        columns.append((self.figures(*others, none_of=named), first, last))
        columns.append((self.figures(*others), first, last))
        return [*named.values(), "Unassigned", "Total"], columns

    def balance_sheet(self) -> tuple[list[str], Rows]:
        day = month_end(self.day("date", self.today))
        days = [end for _, end in self.spans(day.replace(day=1), day)]
        self.base = self.figures(*self.options("trackingOptionID1", "trackingOptionID2"))
        columns: list[Column] = [(self.base, None, end) for end in days]
        rows: Rows = [header("", *(short_day(end) for end in days)), section("Assets", [])]
        assets = [ZERO for _ in days]
        for title, kinds in (
            ("Bank", _BANK),
            ("Current Assets", _CURRENT),
            ("Fixed Assets", _FIXED),
            ("Non-current Assets", _NON_CURRENT),
        ):
            block, sums = self.block(title, kinds, columns, 1)
            assets = [a + b for a, b in zip(assets, sums, strict=True)]
            if any(sums):
                rows.append(block)
        rows.append(section("", [row(cell("Total Assets"), *(cell(text(a)) for a in assets))]))
        rows.append(section("Liabilities", []))
        owed = [ZERO for _ in days]
        for title, owed_to in (("Current Liabilities", _SHORT), ("Non-Current Liabilities", _LONG)):
            block, sums = self.block(title, owed_to, columns, -1)
            owed = [a + b for a, b in zip(owed, sums, strict=True)]
            if any(sums):
                rows.append(block)
        rows.append(section("", [row(cell("Total Liabilities"), *(cell(text(o)) for o in owed))]))
        net = [a - b for a, b in zip(assets, owed, strict=True)]
        rows.append(section("", [row(cell("Net Assets"), *(cell(text(n)) for n in net))]))
        rows.append(self._equity(days))
        titles = ["Balance Sheet", self.organisation.name, f"As at {long_day(day)}"]
        return titles, rows

    def _equity(self, days: list[date]) -> Doc:
        year = [self.profit((self.year_start(end), end)) for end in days]
        before = [self.profit((date.min, self.year_start(end) - timedelta(days=1))) for end in days]
        own = [self.at(("EQUITY",), end, -1) for end in days]
        retained = [a + b for a, b in zip(before, own, strict=True)]
        sums = [a + b for a, b in zip(year, retained, strict=True)]
        return section(
            "Equity",
            [
                row(cell("Current Year Earnings"), *(cell(text(y)) for y in year)),
                row(cell("Retained Earnings"), *(cell(text(r)) for r in retained)),
                row(cell("Total Equity"), *(cell(text(s)) for s in sums), kind="SummaryRow"),
            ],
        )

    def trial_balance(self) -> tuple[list[str], Rows]:
        day = self.day("date", self.today)
        month, year = (day.replace(day=1), day), (self.year_start(day), day)
        rows: Rows = [header("Account", "Debit", "Credit", "YTD Debit", "YTD Credit")]
        sums = [ZERO] * 4
        for title, kind in (
            ("Revenue", "REVENUE"),
            ("Expenses", "EXPENSE"),
            ("Assets", "ASSET"),
            ("Liabilities", "LIABILITY"),
            ("Equity", "EQUITY"),
        ):
            lines: Rows = []
            for account, doc in self.accounts:
                if doc["Class"] != kind:
                    continue
                flows = kind in ("REVENUE", "EXPENSE")
                now = self.base.balance(account.id, *month)
                ytd = self.base.balance(account.id, year[0] if flows else None, day)
                if doc.get("SystemAccount") == "RETAINEDEARNINGS":
                    ytd -= self.profit((date.min, self.year_start(day) - timedelta(days=1)))
                if not now and not ytd:
                    continue
                figures = [*sides(now), *sides(ytd)]
                sums = [a + b for a, b in zip(sums, figures, strict=True)]
                label = f"{doc['Name']} ({doc['Code']})" if doc.get("Code") else doc["Name"]
                values = [cell(text(f) if f else "", account=account.id) for f in figures]
                lines.append(row(cell(label, account=account.id), *values))
            if lines:
                rows.append(section(title, lines))
        last = row(cell("Total"), *(cell(text(s)) for s in sums), kind="SummaryRow")
        rows.append(section("", [last]))
        return ["Trial Balance", self.organisation.name, f"As at {long_day(day)}"], rows

    def bank_summary(self) -> tuple[list[str], Rows]:
        first = self.day("fromDate", self.today.replace(day=1))
        last = self.day("toDate", month_end(self.today))
        names = ("Bank Accounts", "Opening Balance", "Cash Received", "Cash Spent")
        rows: Rows = [header(*names, "Closing Balance")]
        lines: Rows = []
        sums = [ZERO] * 4
        flows = self._flows(first, last)
        for account, doc in self.of(_BANK):
            opening = self.ledger.balance(account.id, None, first - timedelta(days=1))
            got, spent = flows.get(account.id, (ZERO, ZERO))
            figures = [opening, got, spent, opening + got - spent]
            sums = [a + b for a, b in zip(sums, figures, strict=True)]
            label = cell(doc["Name"], accountID=account.id)
            lines.append(row(label, *(cell(text(f)) for f in figures)))
        lines.append(row(cell("Total"), *(cell(text(s)) for s in sums), kind="SummaryRow"))
        rows.append(section("", lines))
        span = f"From {long_day(first)} to {long_day(last)}"
        return ["Bank Summary", self.organisation.name, span], rows

    def _flows(self, first: date, last: date) -> dict[str, tuple[Decimal, Decimal]]:
        banks = {account.id for account, _ in self.of(_BANK)}
        found: dict[str, tuple[Decimal, Decimal]] = {}
        for _, post in self.ledger.lines(first, last):
            if post.account in banks:
                got, spent = found.get(post.account, (ZERO, ZERO))
                found[post.account] = (
                    got + max(post.net, ZERO),
                    spent + max(-post.net, ZERO),
                )
        return found

    def budget_summary(self) -> tuple[list[str], Rows]:
        first = self.day("date", self.today).replace(day=1)
        count = self.call.params.get("periods", "1")
        if not count.isdigit() or not 1 <= int(count) <= 12:
            raise validation([], "periods must be between 1 and 12.")
        step = {"1": 1, "3": 3, "12": 12}.get(self.call.params.get("timeframe", "1"), 1)
        starts = [back(first, -step * number) for number in range(int(count))]
        rows: Rows = [header("Account", *(f"{MONTHS[s.month - 1][:3]}-{s:%y}" for s in starts))]
        lines: Rows = []
        for _, doc in self.organisation.books.table("Budgets").docs():
            for line in doc["Lines"]:
                amounts = {b["Period"]: b["Amount"] for b in line["BudgetBalances"]}
                account = self.organisation.books.doc("Accounts", line["AccountID"])
                figures = [
                    total(
                        amounts.get(f"{m.year}-{m.month:02d}", ZERO)
                        for m in (back(start, -n) for n in range(step))
                    )
                    for start in starts
                ]
                lines.append(row(cell(account["Name"]), *(cell(text(f)) for f in figures)))
        rows.append(section("", lines))
        return ["Overall Budget", self.organisation.name, f"From {long_day(first)}"], rows

    def executive_summary(self) -> tuple[list[str], Rows]:
        day = month_end(self.day("date", self.today))
        this, last = (
            (day.replace(day=1), day),
            (back(day.replace(day=1), 1), month_end(back(day, 1))),
        )
        rows: Rows = [
            header(
                "", *(f"{MONTHS[e.month - 1][:3]} {e.year}" for _, e in (this, last)), "Variance"
            )
        ]
        flows = [self._flows(*this), self._flows(*last)]
        got = [total(g for g, _ in flow.values()) for flow in flows]
        spent = [total(s for _, s in flow.values()) for flow in flows]
        cash = [self.at(_BANK, end, 1) for _, end in (this, last)]
        surplus = [a - b for a, b in zip(got, spent, strict=True)]
        rows.append(
            section(
                "Cash",
                [
                    compared("Cash received", got),
                    compared("Cash spent", spent),
                    compared("Cash surplus (deficit)", surplus),
                    compared("Closing bank balance", cash),
                ],
            )
        )
        income = [self.moved(_INCOME, span, -1) for span in (this, last)]
        costs = [self.moved(_COSTS, span, 1) for span in (this, last)]
        expenses = [self.moved(_EXPENSES, span, 1) for span in (this, last)]
        gross = [a - b for a, b in zip(income, costs, strict=True)]
        rows.append(
            section(
                "Profitability",
                [
                    compared("Income", income),
                    compared("Direct costs", costs),
                    compared("Gross profit (loss)", gross),
                    compared("Expenses", expenses),
                    compared(
                        "Profit (loss)", [a - b for a, b in zip(gross, expenses, strict=True)]
                    ),
                ],
            )
        )
        debtors = [self._control("DEBTORS", end, 1) for _, end in (this, last)]
        creditors = [self._control("CREDITORS", end, -1) for _, end in (this, last)]
        rows.append(
            section(
                "Balance Sheet", [compared("Debtors", debtors), compared("Creditors", creditors)]
            )
        )
        title = f"For the month of {MONTHS[day.month - 1]} {day.year}"
        return ["Executive Summary", self.organisation.name, title], rows

    def _control(self, system: str, day: date, sign: int) -> Decimal:
        account = self.organisation.books.table("Accounts").ids_of("system", system)[0]
        return sign * self.ledger.balance(account, None, day)


def compared(label: str, figures: list[Decimal]) -> Doc:
    """A measure of two months and their difference in percent."""
    now, before = figures
    change = f"{(now - before) / abs(before) * 100:.1f}%" if before else ""
    return row(cell(label), cell(text(now)), cell(text(before)), cell(change))


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
