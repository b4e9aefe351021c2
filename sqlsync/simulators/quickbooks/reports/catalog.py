"""Which reports there are: by endpoint, with their parameters and who makes them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from sqlsync.simulators.quickbooks.reports import (
    aging,
    balances,
    inventory,
    journals,
    ledgers,
    lists,
    others,
    sales,
    statements,
)
from sqlsync.simulators.quickbooks.reports.run import Made, Run

_MAKERS: dict[str, Callable[[Run], Made]] = {
    "AccountList": others.account_list,
    "AgedPayableDetail": aging.aged_payables_detail,
    "AgedPayables": aging.aged_payables,
    "AgedReceivableDetail": aging.aged_receivables_detail,
    "AgedReceivables": aging.aged_receivables,
    "BalanceSheet": statements.balance_sheet,
    "CashFlow": statements.cash_flow,
    "ClassSales": sales.sales_by_class,
    "CustomerBalance": balances.customer_balance,
    "CustomerBalanceDetail": balances.customer_balance_detail,
    "CustomerIncome": sales.customer_income,
    "CustomerSales": sales.sales_by_customer,
    "DepartmentSales": sales.sales_by_department,
    "FECReport": journals.fec,
    "GeneralLedger": ledgers.general_ledger,
    "GeneralLedgerFR": journals.general_ledger_fr,
    "InventoryValuationSummary": inventory.inventory_valuation,
    "ItemSales": sales.sales_by_item,
    "JournalReport": journals.journal,
    "JournalReportFR": journals.journal_fr,
    "ProfitAndLoss": statements.profit_and_loss,
    "ProfitAndLossDetail": ledgers.profit_and_loss_detail,
    "TaxSummary": others.tax_summary,
    "TransactionList": lists.transaction_list,
    "TransactionListByCustomer": lists.transactions_by_customer,
    "TransactionListByVendor": lists.transactions_by_vendor,
    "TransactionListWithSplits": lists.transactions_with_splits,
    "TrialBalance": statements.trial_balance,
    "TrialBalanceFR": statements.trial_balance,  # the same report's name in France
    "VendorBalance": balances.vendor_balance,
    "VendorBalanceDetail": balances.vendor_balance_detail,
    "VendorExpenses": sales.vendor_expenses,
}


@dataclass(frozen=True, slots=True)
class ReportSpec:
    """One report. header: what its header shows besides dates: "basis", "by", "standard"."""

    name: str
    make: Callable[[Run], Made]
    parameters: frozenset[str]
    range: str
    header: frozenset[str]
    countries: frozenset[str]  # where it is offered; empty: everywhere
    columns: tuple[tuple[str, str], ...]


@cache
def reports() -> dict[str, ReportSpec]:
    """Every report by the name in its address."""
    text = files(__package__).joinpath("reports.toml").read_text()
    return {
        name: ReportSpec(
            name,
            _MAKERS[name],
            frozenset(facts["parameters"].split()),
            facts["range"],
            frozenset(facts.get("header", ())),
            frozenset(facts.get("countries", ())),
            tuple(facts.get("columns", {}).items()),
        )
        for name, facts in tomllib.loads(text).items()
    }
