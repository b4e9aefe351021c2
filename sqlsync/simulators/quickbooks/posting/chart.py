"""The chart of accounts as the ledger needs it: types, names, and which account plays a part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlsync.simulators.quickbooks.accounts import classification
from sqlsync.simulators.quickbooks.store import Books, Row

# Part in the books -> sub-type that plays it, else the first account of that type.
_PARTS = {
    "receivables": ("AccountsReceivable", "Accounts Receivable"),
    "payables": ("AccountsPayable", "Accounts Payable"),
    "undeposited": ("UndepositedFunds", "Other Current Asset"),
    "tax": ("SalesTaxPayable", "Other Current Liability"),
    "opening": ("OpeningBalanceEquity", "Equity"),
    "retained": ("RetainedEarnings", "Equity"),
    "discounts": ("DiscountsRefundsGiven", "Income"),
    "sales": ("SalesOfProductIncome", "Income"),
    "cost": ("SuppliesMaterialsCogs", "Cost of Goods Sold"),
    "stock": ("Inventory", "Other Current Asset"),
    "expense": ("OtherMiscellaneousServiceCost", "Expense"),
    "unapplied_income": ("UnappliedCashPaymentIncome", "Income"),
    "unapplied_expense": ("UnappliedCashBillPaymentExpense", "Expense"),
    "exchange": ("ExchangeGainOrLoss", "Other Expense"),
}
PROFIT_TYPES = frozenset(
    ("Income", "Cost of Goods Sold", "Expense", "Other Income", "Other Expense")
)
CREDIT_TYPES = frozenset(
    (
        *("Accounts Payable", "Credit Card", "Other Current Liability", "Long Term Liability"),
        *("Equity", "Income", "Other Income"),
    )
)


@dataclass(frozen=True, slots=True)
class Account:
    """One account. parent: 0 at the top."""

    id: int
    name: str
    full_name: str
    type: str
    subtype: str
    parent: int
    active: bool
    number: str

    @property
    def is_profit(self) -> bool:
        """Its balance starts anew with every year."""
        return self.type in PROFIT_TYPES

    @property
    def sign(self) -> int:
        """1 where a debit raises it, -1 where a credit does."""
        return -1 if self.type in CREDIT_TYPES else 1

    @property
    def classification(self) -> str:
        return classification(self.type)


class Chart:
    """All accounts of a company, as they are now."""

    def __init__(self, books: Books, new: Iterable[Row] = ()) -> None:
        """new: accounts that are being made, and not in the books yet."""
        table = books.table("Account")
        self.accounts: dict[int, Account] = {}
        for row in (*(table.rows[number] for number in table.ids), *new):
            doc = row.doc or {}
            self.accounts[row.id] = Account(
                row.id,
                row.name,
                books.full_name("Account", row),
                str(doc.get("AccountType")),
                str(doc.get("AccountSubType")),
                row.parent,
                row.active,
                str(doc.get("AcctNum") or ""),
            )
        self._parts = {part: self._find(*wanted) for part, wanted in _PARTS.items()}

    def _find(self, subtype: str, kind: str) -> int:
        of_type = 0
        for account in self.accounts.values():
            if account.subtype == subtype:
                return account.id
            if account.type == kind and not of_type:
                of_type = account.id
        return of_type or next(iter(self.accounts), 0)

    def part(self, name: str) -> int:
        """The account that plays a part in postings: "receivables", "tax" …"""
        return self._parts[name]

    def is_profit(self, account: int) -> bool:
        found = self.accounts.get(account)
        return found is not None and found.is_profit
