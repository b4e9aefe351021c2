"""QuickBooks' reports: how they are asked for, and their nested answers flattened. No I/O.

An answer has `Header`, `Columns` and `Rows`; a row has cells, or it is a section with a header,
rows of its own and a summary, any of which may be missing. Values are text, "" for none.
Source: Intuit, "Run reports"; reference/quickbooks/README.md section 11.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from schema.report_model import Cell, Heading, Report, ReportRow, ReportSpec, RowType
from schema.values import holdable
from sqlsync.errors import ProviderFault, RuleBroken
from sqlsync.providers.messages import HttpRequest
from sqlsync.providers.quickbooks.requests import MINOR_VERSION, Company

# What stands in place of the rows where there would be more than 400,000 cells.
_TOO_MUCH = "unable to display more data"


_NONE = msgspec.Raw(b"null")


class _CellShape(msgspec.Struct):
    value: str | None = None
    id: str | None = None


class _Cells(msgspec.Struct):
    cells: msgspec.Raw = msgspec.field(default=_NONE, name="ColData")


class _Rows(msgspec.Struct):
    rows: list[_Row] = msgspec.field(default_factory=list, name="Row")


class _Row(msgspec.Struct):
    cells: msgspec.Raw = msgspec.field(default=_NONE, name="ColData")
    header: _Cells | None = msgspec.field(default=None, name="Header")
    rows: _Rows | None = msgspec.field(default=None, name="Rows")
    summary: _Cells | None = msgspec.field(default=None, name="Summary")
    group: str | None = None


class _Pair(msgspec.Struct):
    name: str = msgspec.field(default="", name="Name")
    value: str | None = msgspec.field(default=None, name="Value")


class _Column(msgspec.Struct):
    title: str | None = msgspec.field(default=None, name="ColTitle")
    type: str | None = msgspec.field(default=None, name="ColType")
    facts: list[_Pair] = msgspec.field(default_factory=list, name="MetaData")


class _Columns(msgspec.Struct):
    columns: list[_Column] = msgspec.field(default_factory=list, name="Column")


class _Header(msgspec.Struct):
    time: str | None = msgspec.field(default=None, name="Time")
    basis: str | None = msgspec.field(default=None, name="ReportBasis")
    start: str | None = msgspec.field(default=None, name="StartPeriod")
    end: str | None = msgspec.field(default=None, name="EndPeriod")
    currency: str | None = msgspec.field(default=None, name="Currency")
    options: list[_Pair] = msgspec.field(default_factory=list, name="Option")


_columns = msgspec.json.Decoder(_Columns)
_rows = msgspec.json.Decoder(_Rows)
_header = msgspec.json.Decoder(_Header)
_cell_list = msgspec.json.Decoder(list[_CellShape] | None)
_ODD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def report(company: Company, spec: ReportSpec, parameters: Mapping[str, Any]) -> HttpRequest:
    """Asks for a report. parameters: by our names, in the form `sqlsync.report_parameters` gives
    them."""
    params = tuple(
        (spec.by_parameter[name].api_name, text_of(value)) for name, value in parameters.items()
    )
    return HttpRequest(
        "GET",
        company.url(f"reports/{spec.endpoint}"),
        (*params, ("minorversion", MINOR_VERSION)),
        {"accept": "application/json"},
    )


def text_of(value: Any) -> str:
    """A parameter's value as an address has it."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def read_report(spec: ReportSpec, members: Mapping[str, msgspec.Raw], at: datetime) -> Report:
    """The answer to `report`, by its members. at: the provider's clock, for a report that does
    not say its time.

    Raises ProviderFault where it is no report, RuleBroken where QuickBooks found it too big.
    """
    if "Header" not in members:
        raise ProviderFault(f"[QuickBooks] {spec.name}: the answer is no report.")
    parts = {name: holdable(bytes(raw)) for name, raw in members.items()}
    try:
        header = _header.decode(parts["Header"])
        columns = _columns.decode(parts.get("Columns", b"{}")).columns
        rows = tuple(_flatten(_rows.decode(parts.get("Rows", b"{}")), (), (), None))
    except _ODD as error:
        raise ProviderFault(
            f"[QuickBooks] {spec.name}: the report cannot be read: {error}"
        ) from error
    if any(_TOO_MUCH in cell.value.casefold() for row in rows[:3] for cell in row.cells):
        raise RuleBroken(
            f"[QuickBooks] {spec.name}: the report is too big for QuickBooks (400,000 cells).",
            hint="Ask for a shorter period, or for fewer columns.",
            table=spec.table,
        )
    options = {option.name: option.value or "" for option in header.options}
    return Report(
        headings=tuple(_heading(column) for column in columns),
        rows=rows,
        header=parts["Header"],
        as_of=_instant(header.time) or at,
        period_start=_day(header.start),
        period_end=_day(header.end),
        accounting_method=header.basis or None,
        currency=header.currency or None,
        no_data=options.get("NoReportData", "").casefold() == "true",
    )


def _heading(column: _Column) -> Heading:
    facts = {pair.name: pair.value or "" for pair in column.facts}
    return Heading(column.title or "", column.type or "", facts.get("ColKey", ""), facts)


def _flatten(
    rows: _Rows, section: tuple[str, ...], ids: tuple[str | None, ...], group: str | None
) -> Iterator[ReportRow]:
    """Rows in the order a person reads them: a section's heading, its rows, its summary."""
    depth = len(section)
    for row in rows.rows:
        own_group = row.group or group
        inner, inner_ids = section, ids
        if row.cells != _NONE:
            yield _row(RowType.DATA, row.cells, section, ids, depth, own_group)
        if row.header is not None:
            heading = _row(RowType.SECTION, row.header.cells, section, ids, depth, own_group)
            if heading.label is not None:
                inner = (*section, heading.label)
                inner_ids = (*ids, heading.cells[0].id)
                yield ReportRow(
                    heading.type, heading.cells, heading.raw, inner, inner_ids, depth, own_group
                )
        if row.rows is not None:
            yield from _flatten(row.rows, inner, inner_ids, own_group)
        if row.summary is not None:
            yield _row(RowType.SUMMARY, row.summary.cells, inner, inner_ids, depth, own_group)


def _row(
    kind: RowType,
    cells: msgspec.Raw,
    section: tuple[str, ...],
    ids: tuple[str | None, ...],
    depth: int,
    group: str | None,
) -> ReportRow:
    found = tuple(Cell(c.value or "", c.id or None) for c in _cell_list.decode(cells) or ())
    return ReportRow(kind, found, bytes(cells), section, ids, depth, group)


def _instant(text: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat((text or "")[:10])
    except ValueError:
        return None
