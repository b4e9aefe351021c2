"""General ledger and detailed profit and loss: every entry beneath its account."""

from __future__ import annotations

from collections.abc import Iterable

from sqlsync.simulators.quickbooks.posting.chart import Account
from sqlsync.simulators.quickbooks.reports.detail import Columns, Line
from sqlsync.simulators.quickbooks.reports.keys import is_running
from sqlsync.simulators.quickbooks.reports.run import Made, Run
from sqlsync.simulators.quickbooks.reports.shape import Row, cell, cells, data, section
from sqlsync.simulators.quickbooks.reports.statements import ORDER


class Ledger:
    """Entries of a range by account, with what stood there before."""

    def __init__(self, run: Run, *, has_before: bool) -> None:
        self.run = run
        asked = run.asked
        self.lines: dict[int, list[Line]] = {}
        self.before: dict[int, int] = {}
        types = types_of(asked.given.get("account_type"))
        method = asked.word("payment_method") or None
        accounts = run.chart.accounts
        for found, entry in run.entries("" if has_before else asked.start, asked.end):
            account = accounts.get(entry.account)
            if account is None or (types and account.type.replace(" ", "").lower() not in types):
                continue
            if method is not None and run.payment_method(found).lower() != method:
                continue
            cents = entry.cents * account.sign
            if found.date >= asked.start:
                self.lines.setdefault(account.id, []).append(Line(found, entry, cents))
            elif not account.is_profit:
                self.before[account.id] = self.before.get(account.id, 0) + cents
        shown = {number for number in accounts if self.lines.get(number) or self.before.get(number)}
        self.below: dict[int, list[Account]] = {}
        above = set(shown)
        for number in shown:
            parent = accounts[number].parent
            while parent:
                above.add(parent)
                parent = accounts[parent].parent
        for number in above:
            self.below.setdefault(accounts[number].parent, []).append(accounts[number])
        for siblings in self.below.values():
            siblings.sort(key=lambda a: (ORDER.index(a.type), a.name.casefold(), a.id))

    def rows(self, columns: Columns, accounts: Iterable[Account]) -> list[Row]:
        """One section an account; sub-accounts within that of their parent."""
        made: list[Row] = []
        for account in accounts:
            if self.run.is_cut:
                break
            made.append(self._section(columns, account))
        return made

    def _section(self, columns: Columns, account: Account) -> Row:
        lines = columns.sorted(self.lines.get(account.id, []))
        before = self.before.get(account.id, 0)
        rows: list[Row] = []
        if before and self.run.take(len(columns.keys)):
            rows.append(data(self._beginning(columns, before)))
        rows += columns.rows(lines, before)
        below = self.below.get(account.id, [])
        rows += self.rows(columns, below)
        summary = None
        if not self.run.is_cut:
            title = f"Total for {account.name}" + (" with sub-accounts" if below else "")
            summary = columns.total(title, self.everything(account))
        return section(columns.head(account.name, account.id), rows, summary)

    def everything(self, account: Account) -> list[Line]:
        found = list(self.lines.get(account.id, []))
        for child in self.below.get(account.id, []):
            found += self.everything(child)
        return found

    @staticmethod
    def _beginning(columns: Columns, cents: int) -> list[dict[str, str]]:
        shown = [""] * len(columns.keys)
        for position, key in enumerate(columns.keys):
            if is_running(key):
                shown[position] = columns.money(cents)
        return [cell("Beginning Balance"), *cells(shown[1:])]


def types_of(given: str | None) -> set[str]:
    """Account types as the parameter names them, without spaces."""
    if not given:
        return set()
    return {part.strip().replace(" ", "").lower() for part in given.split(",")}


def general_ledger(run: Run) -> Made:
    ledger = Ledger(run, has_before=True)
    columns = Columns(run)
    tops = ledger.below.get(0, [])
    rows = ledger.rows(columns, tops[::-1] if run.asked.descending else tops)
    return Made(columns.columns(), rows, is_empty=not tops)


_GROUPS = (
    ("Income", ("Income",)),
    ("Cost of Goods Sold", ("Cost of Goods Sold",)),
    ("Expenses", ("Expense",)),
)
_OTHER = (("Other Income", ("Other Income",)), ("Other Expense", ("Other Expense",)))


def profit_and_loss_detail(run: Run) -> Made:
    ledger = Ledger(run, has_before=False)
    columns = Columns(run)
    tops = [account for account in ledger.below.get(0, []) if account.is_profit]
    rows: list[Row] = []
    net = 0
    for title, last, groups in (
        ("Ordinary Income/Expenses", "Net Operating Income", _GROUPS),
        ("Other Income/Expense", "Net Other Income", _OTHER),
    ):
        inner: list[Row] = []
        sums = 0
        for name, types in groups:
            accounts = [account for account in tops if account.type in types]
            if not accounts:
                continue
            lines = [line for a in accounts for line in ledger.everything(a)]
            sign = 1 if name in ("Income", "Other Income") else -1
            sums += sign * sum(line.amount for line in lines)
            total = columns.total(f"Total for {name}", lines)
            inner.append(section(columns.head(name), ledger.rows(columns, accounts), total))
        if inner:
            net += sums
            rows.append(section(columns.head(title), inner, _result(columns, last, sums)))
    if rows:
        rows.append(section(summary=_result(columns, "Net Income", net), group="NetIncome"))
    return Made(columns.columns(), rows, is_empty=not tops)


def _result(columns: Columns, title: str, cents: int) -> list[dict[str, str]]:
    made = [cell(title)]
    for key in columns.keys[1:]:
        made.append(cell(columns.money(cents) if key.startswith("subt_") else ""))
    return made
