"""The parameters of a request for a report, checked.

Names are lower case; unknown ones are ignored, as the service does. A bad value is refused:
2060 a date, 2170 a word of a list, 2030 an id, 2090 a number, 2190 a range that ends before it
starts (the codes are those of the reference's table; which of them a report answers with is
unverified).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from math import inf, isfinite

from sqlsync.simulators.quickbooks import faults
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.reports.periods import MACROS, resolve
from sqlsync.simulators.quickbooks.values import is_date

SUMMARIES = {
    name.lower(): name
    for name in (
        *("Total", "Year", "Quarter", "FiscalYear", "FiscalQuarter", "Month", "Week", "Days"),
        *("Customers", "Vendors", "Employees", "Departments", "Classes", "ProductsAndServices"),
    )
}
_IDS = ("customer", "vendor", "item", "class", "department", "account", "source_account", "term",
        "employee")  # fmt: skip
_DATES = (
    *("report_date", "start_duedate", "end_duedate", "start_moddate", "end_moddate"),
    *("start_createdate", "end_createdate"),
)
_WORDS = {
    "accounting_method": ("Cash", "Accrual"),
    "sort_order": ("ascend", "descend"),
    "aging_method": ("Report_Date", "Current"),
    "arpaid": ("All", "Paid", "Unpaid"),
    "appaid": ("All", "Paid", "Unpaid"),
    "qzurl": ("true", "false"),
    "account_status": ("Deleted", "Not_Deleted"),
    "printed": ("Printed", "To_be_printed"),
    "cleared": ("Cleared", "Uncleared", "Reconciled", "Deposited"),
    "summarize_column_by": tuple(SUMMARIES.values()),
    "add_due_date": ("true", "false"),
    "withqboidentifier": ("true", "false"),
    "attachmenttype": ("TEMPORARY_LINKS", "NONE"),
}
_MACROS = ("date_macro", "duedate_macro", "moddate_macro", "createdate_macro")
_NUMBERS = ("aging_period", "num_periods", "past_due")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asked for. Dates are ISO text; start and end are both included."""

    given: Mapping[str, str]
    start: str
    end: str
    macro: str | None  # the range by name, where no dates were given
    basis: str
    by: str  # of SUMMARIES, lower case
    today: str
    fiscal_month: int
    ids: Mapping[str, frozenset[int]] = field(default_factory=dict)

    @property
    def descending(self) -> bool:
        return self.given.get("sort_order", "").lower() == "descend"

    @property
    def day(self) -> str:
        """The day a report of balances is of."""
        return self.given.get("report_date") or self.end

    def word(self, name: str, default: str = "") -> str:
        return self.given.get(name, default).lower()

    def number(self, name: str, default: int) -> int:
        return int(float(self.given[name])) if name in self.given else default

    def span(self, name: str) -> tuple[str, str]:
        """The range of other dates: "duedate", "moddate", "createdate"."""
        macro = self.given.get(f"{name}_macro")
        start, end = "", "9999-12-31"
        if macro is not None:
            today = date.fromisoformat(self.today)
            start, end = resolve(macro.lower(), today, self.fiscal_month)
        return self.given.get(f"start_{name}", start), self.given.get(f"end_{name}", end)


def read(
    params: Mapping[str, str],
    known: frozenset[str],
    *,
    macro: str,
    basis: str,
    today: date,
    fiscal_month: int,
) -> Asked:
    """macro: the range where none is asked for; known: parameters the report has."""
    given = {name.lower(): value.strip() for name, value in params.items() if value.strip()}
    given = {name: value for name, value in given.items() if name in known}
    for name, value in given.items():
        _check(name, value)
    named = given.get("date_macro", macro).lower()
    start, end = resolve(named, today, fiscal_month)
    dated = "start_date" in given or "end_date" in given
    start = given.get("start_date", min(start, given.get("end_date", start)))
    end = given.get("end_date", max(end, start) if dated else end)
    if "report_date" in given and not dated:
        start, end, dated = given["report_date"], given["report_date"], True
    if start > end:
        detail = f"Invalid date range. start_date {start} lies after end_date {end}."
        raise Fault("2190", detail, "start_date")
    return Asked(
        given,
        start,
        end,
        None if dated else named,
        given.get("accounting_method", basis).capitalize(),
        given.get("summarize_column_by", "total").lower(),
        today.isoformat(),
        fiscal_month,
        {name: _ids(given[name]) for name in _IDS if name in given},
    )


def _check(name: str, value: str) -> None:
    if name in ("start_date", "end_date", *_DATES) and not is_date(value):
        raise Fault("2060", f"Invalid date format. Supplied value:{value}", name)
    if name in _MACROS and value.lower() not in MACROS:
        raise Fault("2170", f"Invalid Enumeration : {value}", name)
    allowed = _WORDS.get(name)
    if allowed is not None and value.lower() not in (word.lower() for word in allowed):
        raise Fault("2170", f"Invalid Enumeration : {value}", name)
    if name in _IDS or name == "agency_id":
        for part in value.split(","):
            if not part.strip().isdigit():
                raise faults.invalid_id(part.strip())
    if name in _NUMBERS:
        least = 1 if name in ("aging_period", "num_periods") else 0
        if not least <= _number(value) <= 10_000:
            raise Fault("2090", f"Invalid Number. Supplied value:{value}", name)
    if name == "bothamount" and _number(value) == -inf:
        raise Fault("2140", f"Invalid Amount. Supplied value:{value}", name)


def _number(value: str) -> float:
    """Minus infinity for what is no number."""
    try:
        found = float(value)
    except ValueError:
        return -inf
    return found if isfinite(found) else -inf


def _ids(value: str) -> frozenset[int]:
    return frozenset(int(part) for part in value.split(","))
