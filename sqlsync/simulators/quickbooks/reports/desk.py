"""Answers requests for reports of one company, and remembers answers until the books change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlsync.simulators.quickbooks import faults
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.posting.standing import standing_of
from sqlsync.simulators.quickbooks.reports.asked import SUMMARIES, Asked, read
from sqlsync.simulators.quickbooks.reports.catalog import ReportSpec, reports
from sqlsync.simulators.quickbooks.reports.run import Made, Run
from sqlsync.simulators.quickbooks.reports.shape import Row, cell
from sqlsync.simulators.quickbooks.store import Books
from sqlsync.simulators.quickbooks.values import Doc, encode, envelope_time

NOTICE = "Unable to display more data. Please reduce the date range."
REMEMBERED = 32
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
_LISTS = ("Customer", "Vendor", "Employee", "Item", "Class", "Department")


class ReportDesk:
    """The reports of one company."""

    def __init__(self, books: Books, options: Options) -> None:
        self.books = books
        self.options = options
        self._known: OrderedDict[tuple[Any, ...], tuple[Doc, bytes]] = OrderedDict()

    def answer(self, name: str, params: Mapping[str, str], now: datetime, today: date) -> bytes:
        """The report as JSON. Raises KeyError for a name that is none, Fault for bad values."""
        spec = reports()[name]
        self._check_offered(spec)
        preferences = self._doc("Preferences")
        accounting = preferences.get("AccountingInfoPrefs") or {}
        first_month = str(accounting.get("FirstMonthOfFiscalYear") or _MONTHS[0])
        asked = read(
            params,
            spec.parameters,
            macro=spec.range,
            basis=str((preferences.get("ReportPrefs") or {}).get("ReportBasis") or "Accrual"),
            today=today,
            fiscal_month=_MONTHS.index(first_month) + 1,
        )
        version = sum(table.version for table in self.books.tables.values())
        given = tuple(sorted(asked.given.items()))
        key = (name, given, asked.today, version, self.options.report_cells_max)
        if key not in self._known:
            self._known[key] = self._make(spec, asked)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        header, body = self._known[key]
        time = {"Time": envelope_time(now)}
        return b'{"Header":%b,%b}' % (encode({**time, **header}), body)

    def _check_offered(self, spec: ReportSpec) -> None:
        if spec.name in self.options.features_missing:
            raise faults.feature_missing(spec.name)
        country = str(self._doc("CompanyInfo").get("Country") or "US")
        if self.options.reports_by_country and spec.countries and country not in spec.countries:
            raise faults.feature_missing(spec.name)

    def _doc(self, table: str) -> Doc:
        return self.books.row(table, 1).doc or {}

    def _make(self, spec: ReportSpec, asked: Asked) -> tuple[Doc, bytes]:
        standing = standing_of(self.books)
        run = Run(self.books, standing, asked, self.options.report_cells_max, spec.columns)
        made = spec.make(run)
        self._limit(run, made)
        rows: Doc = {} if made.is_empty else {"Row": made.rows}
        columns = encode({"Column": made.columns})
        body = b'"Columns":%b,"Rows":%b' % (columns, encode(rows))
        return self._header(spec, asked, is_empty=made.is_empty), body

    def _limit(self, run: Run, made: Made) -> None:
        """More cells than an answer may hold: what is too much goes, and a row says so."""
        room = self.options.report_cells_max
        kept = 0
        for row in made.rows:
            room -= _cells(row)
            if room < 0:
                run.is_cut = True
                break
            kept += 1
        if not run.is_cut:
            return
        if self.options.report_too_large == "fault":
            raise Fault("10100", f"Result set too large : {NOTICE}")
        del made.rows[kept:]
        made.rows.append({"ColData": [cell(NOTICE)]})

    def _header(self, spec: ReportSpec, asked: Asked, *, is_empty: bool) -> Doc:
        header: Doc = {"ReportName": spec.name}
        if asked.macro is not None and spec.name != "AccountList":
            header["DateMacro"] = asked.macro
        if "basis" in spec.header:
            header["ReportBasis"] = asked.basis
        if asked.macro != "all":
            header |= {"StartPeriod": asked.start, "EndPeriod": asked.end}
        if "by" in spec.header:
            header["SummarizeColumnsBy"] = SUMMARIES[asked.by]
        prefs = self._doc("Preferences").get("CurrencyPrefs") or {}
        header["Currency"] = str((prefs.get("HomeCurrency") or {}).get("value") or "USD")
        for name in _LISTS:
            if name.lower() in asked.given:
                header[name] = asked.given[name.lower()]
        options = []
        if "standard" in spec.header:
            options.append({"Name": "AccountingStandard", "Value": "GAAP"})
        if "report_date" in spec.parameters:
            day = asked.today if asked.macro == "all" else asked.day
            options.append({"Name": "report_date", "Value": asked.given.get("report_date", day)})
        options.append({"Name": "NoReportData", "Value": "true" if is_empty else "false"})
        header["Option"] = options
        return header


def _cells(row: Row) -> int:
    count = len(row.get("ColData", ()))
    for part in ("Header", "Summary"):
        count += len(row.get(part, {}).get("ColData", ()))
    return count + sum(_cells(inner) for inner in row.get("Rows", {}).get("Row", ()))
