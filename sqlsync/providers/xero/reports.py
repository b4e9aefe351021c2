"""Xero's reports: how they are asked for, and their answers flattened. No I/O.

An answer has titles in place of machine-readable facts, and rows in sections one level deep: a
Header, Sections with Rows and a SummaryRow. A heading like "Assets" is a section without rows,
and holds until the row "Total Assets". Two have another form: the 1099 forms list contacts, and
`/Reports` lists the reports that were published.
Source: Xero, "Reports"; reference/xero/README.md section 10.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from schema.report_model import Cell, Heading, Report, ReportRow, ReportSpec, RowType
from schema.values import holdable
from sqlsync.errors import ProviderFault
from sqlsync.providers.messages import HttpRequest
from sqlsync.providers.xero.calls import CallSpec
from sqlsync.providers.xero.requests import Tenant
from sqlsync.providers.xero.values import ZERO_ID, instant_of

_MONTHS = (*("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),)
_DAY = r"(?:(\d{1,2}) )?([A-Z][a-z]{2})[a-z]* (\d{4})"
_SPAN = re.compile(rf"{_DAY} to {_DAY}")
_AS_AT = re.compile(rf"(?:As at|As of) {_DAY}")
_MONTH = re.compile(rf"(?:For the month of|For the month ended|For the \w+ ended) {_DAY}")


_NULL, _EMPTY = msgspec.Raw(b"null"), msgspec.Raw(b"[]")


class _Attribute(msgspec.Struct):
    id: str | None = msgspec.field(default=None, name="Id")
    value: str | None = msgspec.field(default=None, name="Value")


class _Cell(msgspec.Struct):
    value: str | int | float | bool | None = msgspec.field(default=None, name="Value")
    attributes: list[_Attribute] | None = msgspec.field(default=None, name="Attributes")


class _Row(msgspec.Struct):
    type: str | None = msgspec.field(default=None, name="RowType")
    title: str | None = msgspec.field(default=None, name="Title")
    cells: msgspec.Raw = msgspec.field(default=_NULL, name="Cells")
    rows: list[_Row] | None = msgspec.field(default=None, name="Rows")


class _Report(msgspec.Struct):
    rows: list[_Row] | None = msgspec.field(default=None, name="Rows")
    titles: list[str] | None = msgspec.field(default=None, name="ReportTitles")
    name: str | None = msgspec.field(default=None, name="ReportName")
    date: str | None = msgspec.field(default=None, name="ReportDate")
    updated: str | None = msgspec.field(default=None, name="UpdatedDateUTC")
    contacts: list[dict[str, msgspec.Raw]] | None = msgspec.field(default=None, name="Contacts")


_raw_list = msgspec.json.Decoder(list[msgspec.Raw])
_report = msgspec.json.Decoder(_Report)
_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_cell_list = msgspec.json.Decoder(list[_Cell] | None)
_any = msgspec.json.Decoder()
_TYPES = {"SummaryRow": RowType.SUMMARY, "Header": RowType.HEADER}
_NO_IDS = (None, "", ZERO_ID)
_ODD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def report(tenant: Tenant, spec: ReportSpec, parameters: Mapping[str, Any]) -> HttpRequest:
    """Asks for a report. parameters: by our names; one that the address names goes there."""
    path, params = spec.endpoint, []
    for name, value in parameters.items():
        api_name = spec.by_parameter[name].api_name
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        place = f"{{{api_name}}}"
        if place in path:
            path = path.replace(place, quote(text, safe=""))
        else:
            params.append((api_name, text))
    return tenant.request(CallSpec("GET", f"Reports/{path}".rstrip("/")), params=tuple(params))


def read_report(
    spec: ReportSpec,
    parameters: Mapping[str, Any],
    members: Mapping[str, msgspec.Raw],
    at: datetime,
) -> Report:
    """The answer to `report`. at: the provider's clock, where the report does not say its time.

    Raises ProviderFault where it is no report.
    """
    try:
        raws = _raw_list.decode(holdable(bytes(members.get("Reports", _EMPTY))))
        if spec.form == "list":
            return _listed(raws, at)
        if not raws and spec.form != "contacts":
            raise ProviderFault(f"[Xero] {spec.name}: the answer holds no report.")
        reports = [_report.decode(raw) for raw in raws]
        if spec.form == "contacts":
            return _contacts(raws, reports, parameters, at)
        return _rows(spec, raws[0], reports[0], parameters, at)
    except _ODD as error:
        raise ProviderFault(f"[Xero] {spec.name}: the report cannot be read: {error}") from error


# -- rows ----------------------------------------------------------------------------------


def _rows(
    spec: ReportSpec, raw: msgspec.Raw, found: _Report, parameters: Mapping[str, Any], at: datetime
) -> Report:
    rows = found.rows or []
    header = next((row for row in rows if row.type == "Header"), None)
    names = {c.attribute for c in spec.columns if c.attribute is not None}
    flat = tuple(_flatten([row for row in rows if row is not header], frozenset(names)))
    start, end = period_of(found.titles or [])
    headings = tuple(Heading(c.value) for c in _cells(header.cells if header else _NULL)[0])
    return Report(
        headings=headings or _numbered(flat),
        rows=flat,
        header=_without(raw, "Rows"),
        as_of=instant_of(found.updated) or at,
        period_start=start or _given(parameters, "from_date"),
        period_end=end or _given(parameters, "to_date") or _given(parameters, "date"),
        accounting_method="Cash" if parameters.get("payments_only") else None,
        no_data=not flat,
    )


def _numbered(rows: Sequence[ReportRow]) -> tuple[Heading, ...]:
    """Of a report without a header: as many columns as its longest row."""
    longest = max((len(row.cells) for row in rows), default=0)
    return tuple(Heading("") for _ in range(longest))


def _flatten(rows: Sequence[_Row], names: frozenset[str]) -> Iterator[ReportRow]:
    """names: attributes that rows of records have; one without them, in a section without a
    title, is a sum that Xero made ("Gross Profit")."""
    totals = {label for row in rows for label in _labels(row)}
    heading: str | None = None
    for row in rows:
        title = (row.title or "").strip()
        if title and not row.rows and _total(title) in totals:
            heading = title
            yield _heading(title, ())
            continue
        outer = () if heading is None else (heading,)
        yield from _section(row, outer, names)
        if heading is not None and _total(heading) in _labels(row):
            heading = None


def _section(row: _Row, outer: tuple[str, ...], names: frozenset[str]) -> Iterator[ReportRow]:
    """A section with its rows; a row by itself is a section without a title."""
    title = (row.title or "").strip()
    inner = (*outer, title) if title else outer
    if title:
        yield _heading(title, outer)
    for line in [row] if row.cells != _NULL else row.rows or []:
        if line.rows:
            yield from _section(line, inner, names)
        elif line.cells != _NULL:
            yield _line(line, line.cells, inner, names if not title else frozenset())


def _heading(title: str, outer: tuple[str, ...]) -> ReportRow:
    raw = msgspec.json.encode([{"Value": title}])
    section = (*outer, title)
    return ReportRow(
        RowType.SECTION, (Cell(title),), raw, section, (None,) * len(section), len(outer)
    )


def _line(
    row: _Row, raw: msgspec.Raw, section: tuple[str, ...], names: frozenset[str]
) -> ReportRow:
    cells, attributes = _cells(raw)
    kind = _TYPES.get(row.type or "", RowType.DATA)
    if kind is RowType.DATA and names and not names & set(attributes):
        kind = RowType.SUMMARY
    depth = len(section) - (1 if section and kind is RowType.SUMMARY else 0)
    ids = (None,) * len(section)
    return ReportRow(kind, cells, bytes(raw), section, ids, depth, None, attributes)


def _total(heading: str) -> str:
    return f"total {heading}".casefold()


def _labels(row: _Row) -> set[str]:
    """First cells of the rows of a section without a title: there totals of headings stand."""
    if row.title:
        return set()
    lines = [_cells(line.cells)[0] for line in [row, *(row.rows or [])]]
    return {cells[0].value.strip().casefold() for cells in lines if cells}


def _cells(raw: msgspec.Raw) -> tuple[tuple[Cell, ...], dict[str, str]]:
    """The cells of a row, and its attributes: of each name the first."""
    attributes: dict[str, str] = {}
    cells = []
    for cell in _cell_list.decode(raw) or []:
        own = {a.id: a.value for a in cell.attributes or [] if a.id and a.value not in _NO_IDS}
        attributes = own | attributes
        value = "" if cell.value is None else str(cell.value)
        cells.append(Cell(value, next(iter(own.values()), None)))
    return tuple(cells), attributes


# -- the two that are no rows --------------------------------------------------------------


def _contacts(
    raws: Sequence[msgspec.Raw],
    reports: Sequence[_Report],
    parameters: Mapping[str, Any],
    at: datetime,
) -> Report:
    """1099 forms: a section a form, a row a contact, a column a member."""
    members = {name: None for r in reports for c in r.contacts or [] for name in c}
    order = ["Name", *(name for name in members if name != "Name")]
    rows = []
    for found in reports:
        section = ((found.name or "").strip(),)
        for contact in found.contacts or []:
            texts = [_text(contact.get(name, _NULL)) for name in order]
            raw = msgspec.json.encode(contact)
            cells = tuple(Cell(text) for text in texts)
            rows.append(ReportRow(RowType.DATA, cells, raw, section, (None,), 1))
    start, end = period_of([r.date or "" for r in reports])
    year = str(parameters.get("report_year") or "")
    if start is None and re.fullmatch(r"[1-9]\d{3}", year):
        start, end = date(int(year), 1, 1), date(int(year), 12, 31)
    headers = [msgspec.Raw(_without(raw, "Contacts")) for raw in raws]
    return Report(
        tuple(Heading(name) for name in order),
        tuple(rows),
        msgspec.json.encode({"Reports": headers}),
        at,
        start,
        end,
        no_data=not rows,
    )


def _listed(raws: Sequence[msgspec.Raw], at: datetime) -> Report:
    """A row a report that was published."""
    found = [_raw_object.decode(raw) for raw in raws]
    shown = ("ReportName", "ReportID", "ReportType", "ReportDate")
    rows = tuple(
        ReportRow(RowType.DATA, tuple(Cell(_text(one.get(n, _NULL))) for n in shown), bytes(raw))
        for one, raw in zip(found, raws, strict=True)
    )
    return Report(tuple(Heading(n) for n in shown), rows, b"{}", at, no_data=not rows)


def _text(raw: msgspec.Raw) -> str:
    """A member as text: a number as it is written, null as nothing, another value as JSON."""
    value = _any.decode(raw)
    return value if isinstance(value, str) else "" if value is None else bytes(raw).decode()


def _without(raw: msgspec.Raw, member: str) -> bytes:
    rest = {name: value for name, value in _raw_object.decode(raw).items() if name != member}
    return msgspec.json.encode(rest)


# -- periods -------------------------------------------------------------------------------


def period_of(titles: Sequence[str]) -> tuple[date | None, date | None]:
    """The period that the titles of a report name, as far as they do.

    "1 October 2026 to 31 October 2026", "As at 30 April 2019" (an end without a start), "For
    the month of November 2019", "November 2019 to October 2022".
    """
    for title in titles:
        if found := _SPAN.search(title):
            return _first(*found.groups()[:3]), _last(*found.groups()[3:])
        if found := _AS_AT.search(title):
            return None, _last(*found.groups())
        if found := _MONTH.search(title):
            return _first(None, *found.groups()[1:]), _last(None, *found.groups()[1:])
    return None, None


def _first(day: str | None, month: str, year: str) -> date | None:
    return _date(int(day or 1), month, year)


def _last(day: str | None, month: str, year: str) -> date | None:
    first = _date(1, month, year)
    if first is None or day is not None:
        return _date(int(day or 1), month, year)
    return first.replace(day=monthrange(first.year, first.month)[1])


def _date(day: int, month: str, year: str) -> date | None:
    try:
        return date(int(year), _MONTHS.index(month.casefold()) + 1, day)
    except ValueError:
        return None


def _given(parameters: Mapping[str, Any], name: str) -> date | None:
    return date.fromisoformat(parameters[name]) if name in parameters else None
