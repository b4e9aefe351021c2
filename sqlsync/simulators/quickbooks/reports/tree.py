"""Accounts laid out as rows: sub-accounts beneath their parents, sections with their totals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlsync.simulators.quickbooks.posting.chart import Account
from sqlsync.simulators.quickbooks.reports.run import Run
from sqlsync.simulators.quickbooks.reports.shape import (
    Cell,
    Row,
    amount,
    cell,
    cells,
    data,
    money,
    section,
)

Values = list[int]


class Tree:
    """Rows of accounts with values by column."""

    def __init__(self, run: Run, values: Mapping[int, Values], width: int) -> None:
        self.run = run
        self.width = width
        self.values = {number: row for number, row in values.items() if any(row)}
        self._below: dict[int, list[Account]] = {}
        accounts = run.chart.accounts
        shown = set(self.values)
        for number in self.values:
            above = accounts[number].parent if number in accounts else 0
            while above and above in accounts and above not in shown:
                shown.add(above)
                above = accounts[above].parent
        for number in sorted(shown):
            account = accounts.get(number)
            if account is not None:
                parent = account.parent if account.parent in shown else 0
                self._below.setdefault(parent, []).append(account)
        for siblings in self._below.values():
            siblings.sort(key=lambda a: (a.name.casefold(), a.id), reverse=run.asked.descending)

    def nothing(self) -> Values:
        return [0] * self.width

    def rows(self, *types: str) -> tuple[list[Row], Values]:
        """The rows of all accounts of these types, and their sums."""
        made: list[Row] = []
        total = self.nothing()
        for account in self._below.get(0, ()):
            if account.type in types:
                row, sums = self._row(account)
                made.append(row)
                total = plus(total, sums)
        return made, total

    def _row(self, account: Account) -> tuple[Row, Values]:
        own = self.values.get(account.id, self.nothing())
        below = self._below.get(account.id, ())
        name = cell(account.name, account.id, self.zoom(account.id))
        if not below:
            return data([name, *cells(amount(cents) for cents in own)]), own
        rows: list[Row] = []
        total = own
        for child in below:
            row, sums = self._row(child)
            rows.append(row)
            total = plus(total, sums)
        head = [name, *cells(amount(cents) for cents in own)]
        return section(head, rows, self.total(f"Total {account.name}", total)), total

    def zoom(self, account: int) -> str | None:
        """A link to the account's ledger, where the request wants links."""
        asked = self.run.asked
        if asked.word("qzurl") != "true":
            return None
        return f"GeneralLedger?account={account}&start_date={asked.start}&end_date={asked.end}"

    def total(self, title: str, values: Values) -> list[Cell]:
        return [cell(title), *cells(money(cents) for cents in values)]

    def head(self, title: str) -> list[Cell]:
        return [cell(title), *cells([""] * self.width)]

    def block(self, title: str, group: str, types: Iterable[str]) -> tuple[list[Row], Values]:
        """A section of all accounts of these types: none, or one row; and its sums."""
        rows, total = self.rows(*types)
        if not rows:
            return [], total
        summary = self.total(f"Total {title}", total)
        return [section(self.head(title), rows, summary, group)], total

    def line(self, title: str, group: str, values: Values) -> Row:
        """A section that is nothing but a total."""
        return section(summary=self.total(title, values), group=group)


def plus(one: Values, other: Values, sign: int = 1) -> Values:
    return [a + b * sign for a, b in zip(one, other, strict=True)]
