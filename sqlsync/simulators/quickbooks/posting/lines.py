"""The rows of forms as entries: what each kind of row debits or credits."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlsync.simulators.quickbooks.posting.entries import Entry, Move, Transaction
from sqlsync.simulators.quickbooks.posting.goods import Goods, number_of, units_of
from sqlsync.simulators.quickbooks.values import Doc, to_cents

ONE = Decimal(1)


def rate_of(doc: Doc) -> Decimal:
    """Home currency per unit of the form's."""
    rate = doc.get("ExchangeRate")
    return Decimal(rate) if rate else ONE


def home(cents: int, rate: Decimal) -> int:
    """Foreign cents in cents of the home currency."""
    if rate == 1:
        return cents
    return int((cents * rate).quantize(ONE, ROUND_HALF_UP))


class Lines:
    """Collects the entries and stock moves of one form's rows."""

    def __init__(self, goods: Goods, found: Transaction, rate: Decimal) -> None:
        self.goods = goods
        self.chart = goods.chart
        self.found = found
        self.rate = rate
        self.entries: list[Entry] = []

    def add(self, account: int, cents: int, row: Doc, **more: Any) -> None:
        """An entry of the form's currency. cents: a debit is positive."""
        line = len(self.entries) + 1
        memo = str(row.get("Description") or "")
        self.entries.append(Entry(account, home(cents, self.rate), line, memo, **more))

    def settle(self, own: int) -> None:
        """Makes the rows balance with the form's own side: cents of rounding go to the last."""
        rest = -own - sum(entry.cents for entry in self.entries)
        if not rest:
            return
        if not self.entries:
            account = self.chart.part("sales" if own > 0 else "expense")
            self.entries.append(Entry(account, rest, 1))
            return
        last = self.entries[-1]
        self.entries[-1] = last._replace(cents=last.cents + rest)
        moves = self.found.moves
        if moves and moves[-1][1].is_priced and moves[-1][1].line == last.line:
            item, move = moves[-1]
            moves[-1] = (item, move._replace(cents=move.cents + rest))

    # -- sales forms -----------------------------------------------------------------------

    def sale(self, doc: Doc, sign: int) -> None:
        for row in doc.get("Line") or ():
            kind = row.get("DetailType")
            detail = row.get(kind) or {}
            if kind == "SalesItemLineDetail":
                self._sold(row, detail, sign)
            elif kind == "GroupLineDetail":
                self._bundle(row, detail, sign)
            elif kind == "DiscountLineDetail":
                account = number_of(detail.get("DiscountAccountRef"))
                cents = to_cents(row.get("Amount") or 0)
                self.add(account or self.chart.part("discounts"), cents * sign, row)
        self._tax(doc, -sign)

    def _sold(self, row: Doc, detail: Doc, sign: int) -> None:
        item = number_of(detail.get("ItemRef"))
        accounts = self.goods.accounts(item)
        income = number_of(detail.get("ItemAccountRef")) or accounts.income
        units = units_of(detail.get("Qty"))
        klass = number_of(detail.get("ClassRef"))
        cents = to_cents(row.get("Amount") or 0)
        self.add(income, -cents * sign, row, item=item, units=units * sign, klass=klass)
        if accounts.is_stocked:
            self._move(item, -units * sign, 0, is_priced=False)

    def _bundle(self, row: Doc, detail: Doc, sign: int) -> None:
        """The parts of a bundle; what they leave of its price is income too."""
        rest = to_cents(row.get("Amount") or 0)
        for part in detail.get("Line") or ():
            inner = part.get("SalesItemLineDetail") or {}
            rest -= to_cents(part.get("Amount") or 0)
            self._sold(part, inner, sign)
        if rest:
            self.add(self.chart.part("sales"), -rest * sign, row)

    def _tax(self, doc: Doc, sign: int) -> None:
        """One entry a tax rate, or one for what no rate is named for."""
        given = doc.get("TxnTaxDetail") or {}
        rest = to_cents(given.get("TotalTax") or 0)
        for row in given.get("TaxLine") or ():
            rate = number_of((row.get("TaxLineDetail") or {}).get("TaxRateRef"))
            cents = to_cents(row.get("Amount") or 0)
            rest -= cents
            if cents:
                self.add(self.chart.part("tax"), cents * sign, {}, tax_rate=rate)
        if rest:
            self.add(self.chart.part("tax"), rest * sign, {})

    # -- purchase forms ----------------------------------------------------------------------

    def purchase(self, doc: Doc, sign: int) -> None:
        for row in doc.get("Line") or ():
            kind = row.get("DetailType")
            detail = row.get(kind) or {}
            cents = to_cents(row.get("Amount") or 0) * sign
            names = {
                "customer": number_of(detail.get("CustomerRef")),
                "klass": number_of(detail.get("ClassRef")),
            }
            if kind == "ItemBasedExpenseLineDetail":
                item = number_of(detail.get("ItemRef"))
                accounts = self.goods.accounts(item)
                account = accounts.asset if accounts.is_stocked else accounts.expense
                self.add(account, cents, row, item=item, **names)
                if accounts.is_stocked:
                    units = units_of(detail.get("Qty")) * sign
                    self._move(item, units, self.entries[-1].cents, is_priced=True)
            elif kind == "AccountBasedExpenseLineDetail":
                self.add(number_of(detail.get("AccountRef")), cents, row, **names)
        self._tax(doc, sign)

    # -- other forms -------------------------------------------------------------------------

    def journal(self, doc: Doc) -> None:
        for row in doc.get("Line") or ():
            detail = row.get("JournalEntryLineDetail")
            if not detail:
                continue
            cents = to_cents(row.get("Amount") or 0)
            if detail.get("PostingType") == "Credit":
                cents = -cents
            entity = detail.get("Entity") or {}
            more = {
                "klass": number_of(detail.get("ClassRef")),
                "department": number_of(detail.get("DepartmentRef")),
            }
            who = str(entity.get("Type") or "").lower()
            if who in ("customer", "vendor", "employee"):
                more[who] = number_of(entity.get("EntityRef"))
            self.add(number_of(detail.get("AccountRef")), cents, row, **more)

    def deposited(self, row: Doc) -> None:
        """A row of a deposit that brings money of its own."""
        detail = row.get("DepositLineDetail") or {}
        entity = detail.get("Entity") or {}
        more = {"klass": number_of(detail.get("ClassRef"))}
        who = str(entity.get("type") or "").lower()
        if who in ("customer", "vendor", "employee"):
            more[who] = number_of(entity)
        cents = to_cents(row.get("Amount") or 0)
        self.add(number_of(detail.get("AccountRef")), -cents, row, **more)

    def _move(self, item: int, units: int, cents: int, *, is_priced: bool) -> None:
        """cents: what the form posted to the asset account."""
        found = self.found
        stage = 0 if units > 0 else 1
        line = len(self.entries)
        move = Move(found.date, stage, found.row.id, line, units, is_priced, cents)
        found.moves.append((item, move))
