"""Reports, computed from the journals and the open documents. Rows and cells of text.

`paymentsOnly` asks for the cash basis; a tracking category makes a column of each of its options.
Titles and labels follow the standard layout of the reference's samples, so `standardLayout`
changes nothing.
Source: reference, "Reports"; objects.yaml, `reports`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlsync.simulators.xero import problems
from sqlsync.simulators.xero.calls import Call
from sqlsync.simulators.xero.desk import long_day
from sqlsync.simulators.xero.reports_aged import aged
from sqlsync.simulators.xero.reports_asked import Asked
from sqlsync.simulators.xero.reports_rows import Rows
from sqlsync.simulators.xero.reports_statements import (
    balance_sheet,
    profit_and_loss,
    trial_balance,
)
from sqlsync.simulators.xero.reports_summaries import (
    bank_summary,
    budget_summary,
    executive_summary,
)
from sqlsync.simulators.xero.values import Doc, millis, ms_now

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
_MAKERS: dict[str, Callable[[Asked], tuple[list[str], Rows]]] = {
    "BalanceSheet": balance_sheet,
    "BankSummary": bank_summary,
    "BudgetSummary": budget_summary,
    "ExecutiveSummary": executive_summary,
    "ProfitAndLoss": profit_and_loss,
    "TrialBalance": trial_balance,
}


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
    if name.startswith("Aged"):
        titles, rows = aged(organisation, call, is_sale="Receivables" in name)
    else:
        titles, rows = _MAKERS[name](Asked(organisation, call, may_be_cash=name in _ON_CASH))
    now = millis(organisation.clock.now())
    return {
        "Reports": [
            {
                "ReportID": name,
                "ReportName": NAMES[name],
                "ReportType": name,
                "ReportTitles": titles,
                "ReportDate": long_day(organisation.today().date()),
                "UpdatedDateUTC": ms_now(now),
                "Fields": [],
                "Rows": rows,
            }
        ]
    }
