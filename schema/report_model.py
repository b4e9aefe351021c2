"""What a report of a provider is, and what one comes to when it is run.

Values only. A report is no list of records: it is computed when it is asked for, has rows in
sections, and columns that depend on what was asked. `ReportSpec` is what the catalog says of
it; `Report` is an answer, the same for all providers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property

from schema.model import ColumnType


class ParameterKind(StrEnum):
    DATE = "date"
    TEXT = "text"
    CHOICE = "choice"  # one of `choices`, in any letter case
    IDS = "ids"  # keys of records; several with commas, in no order
    NAMES = "names"  # words, several with commas, in the order given
    INTEGER = "integer"
    BOOLEAN = "boolean"


class Role(StrEnum):
    """What a parameter says of the period, for finding a stored report by it."""

    START = "start"
    END = "end"
    MACRO = "macro"  # a named period
    METHOD = "method"  # accounting method


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """Something a report can be asked with. name: ours, snake_case; api_name: the provider's."""

    name: str
    api_name: str
    kind: ParameterKind
    comment: str
    role: Role | None = None
    choices: tuple[str, ...] = ()
    references: str | None = None  # table whose ids it takes
    most: int | None = None  # of an integer


@dataclass(frozen=True, slots=True)
class ReportColumnSpec:
    """A column of the answer that is a column of the table too.

    key: the provider's key of the column. titles: what it is known by where it has none.
    place: its place from 1, where it has neither. attribute: it is no column of the answer but
    an attribute of cells. id_column: the column for the cell's own id.
    """

    key: str
    comment: str
    column: str | None = None
    type: ColumnType = ColumnType.TEXT
    id_column: str | None = None
    titles: tuple[str, ...] = ()
    place: int | None = None
    attribute: str | None = None

    @property
    def table_columns(self) -> tuple[tuple[str, ColumnType, str], ...]:
        """(name, type, comment) of what it fills."""
        found = []
        if self.column is not None:
            found.append((self.column, self.type, self.comment))
        if self.id_column is not None:
            comment = f"{self.comment} (key)" if self.column is not None else self.comment
            found.append((self.id_column, ColumnType.TEXT, comment))
        return tuple(found)


@dataclass(frozen=True)
class ReportSpec:
    """One report of a provider, its table and the function of the same name.

    form: rows; "contacts" and "list" are Xero's two that have none. scheduled: it is refreshed
    by itself, with the parameters `default`.
    """

    provider: str
    name: str  # "ProfitAndLoss"
    table: str  # "profit_and_loss"
    endpoint: str  # "ProfitAndLoss"; {ReportID} stands for a parameter
    comment: str
    parameters: tuple[ParameterSpec, ...]
    columns: tuple[ReportColumnSpec, ...]
    required: frozenset[str] = frozenset()  # names of parameters
    default: Mapping[str, str] = field(default_factory=dict)
    scheduled: bool = True
    form: str = "rows"
    scope: str | None = None

    @cached_property
    def by_parameter(self) -> dict[str, ParameterSpec]:
        return {parameter.name: parameter for parameter in self.parameters}

    @cached_property
    def table_columns(self) -> tuple[tuple[str, ColumnType, str], ...]:
        """(name, type, comment) of the columns that this report alone has, in table order."""
        found = {c[0]: c for spec in self.columns for c in spec.table_columns}
        return tuple(found.values())


class RowType(StrEnum):
    """What a row is to its section. Summaries repeat what the other rows say."""

    SECTION = "section"  # its heading; it may have amounts of its own
    DATA = "data"
    SUMMARY = "summary"  # a total, or another sum the provider made
    HEADER = "header"  # titles of columns again, inside the report


@dataclass(frozen=True, slots=True)
class Heading:
    """A column of an answer. facts: what else is said of it (StartDate, EndDate)."""

    title: str
    type: str = ""
    key: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cell:
    value: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A row, flattened. section: titles of the sections it lies in, outermost first; a heading
    and its summary lie in their own. section_ids: their keys, None where they have none.

    depth: how many sections are around it, its own not counted. attributes: of its cells, each
    name's first. raw: the row's cells as the provider gave them, JSON.
    """

    type: RowType
    cells: tuple[Cell, ...]
    raw: bytes
    section: tuple[str, ...] = ()
    section_ids: tuple[str | None, ...] = ()
    depth: int = 0
    group: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str | None:
        return (self.cells[0].value or None) if self.cells else None


@dataclass(frozen=True, slots=True)
class Report:
    """An answer. as_of: when the provider computed it. header: what it says beside the rows,
    as JSON. no_data: the provider says there is nothing to report."""

    headings: tuple[Heading, ...]
    rows: tuple[ReportRow, ...]
    header: bytes
    as_of: datetime
    period_start: date | None = None
    period_end: date | None = None
    accounting_method: str | None = None
    currency: str | None = None
    no_data: bool = False
