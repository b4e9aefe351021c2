"""What an object of a provider is: its table, its columns, and what may be done with it.

Values only. They come out of the catalog files by `schema.loader`; everything that knows a
table or a field by name learns it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schema.report_model import ReportSpec


class ColumnType(StrEnum):
    """The Postgres type of a column. A mirror never refuses, so there are no lengths."""

    TEXT = "text"
    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMPTZ = "timestamptz"
    JSONB = "jsonb"


class Writable(StrEnum):
    ALWAYS = "always"
    CREATE = "create"  # taken on create, ignored afterwards
    NEVER = "never"


class DeleteMeans(StrEnum):
    """What DELETE does at the provider."""

    DELETE = "delete"
    VOID = "void"
    DEACTIVATE = "deactivate"
    ARCHIVE = "archive"  # the record stays, archived; nothing brings it back
    STATUS = "status"  # the record stays; extra "delete_status" says which status it gets
    NONE = "none"  # the table takes no DELETE


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One column and the place in the provider's JSON that fills it."""

    column: str
    path: tuple[str, ...]  # ("BillAddr", "City"); a ref's id is ("CustomerRef", "value")
    type: ColumnType
    comment: str = ""
    writable: Writable = Writable.ALWAYS
    required: bool = False  # on create, without condition
    max_length: int | None = None  # characters
    enum: tuple[str, ...] = ()
    references: str | None = None  # table name of the object a ref's id names
    filterable: bool = False  # may stand in the provider's own WHERE

    @property
    def api_path(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class CustomFieldSpec:
    """A column filled from one element of a list, chosen by a member's value.

    QuickBooks: path ("CustomField",), match ("DefinitionId", "1"), value "StringValue".
    """

    column: str
    path: tuple[str, ...]
    match: tuple[str, str]
    value: str
    comment: str = ""
    writable: Writable = Writable.ALWAYS
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A list of objects inside a record, shown as a table of its own.

    Columns of the table: `parent_column` (the parent's id), the key column, `position`
    (from 1, integer), then `fields`. The list also stands in the parent's jsonb column.
    """

    table: str  # "invoice_line"
    path: tuple[str, ...]  # ("Line",)
    parent_column: str  # "invoice_id"
    key: str | None  # member that names a row, "Id"; None: rows are known by position alone
    fields: tuple[FieldSpec, ...]
    comment: str = ""
    list_column: str = ""  # the parent's jsonb column with the same list
    read_only: bool = False

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The primary key: (parent, "id"), or (parent, "position") where rows have no id."""
        return (self.parent_column, "id" if self.key else "position")

    def field(self, column: str) -> FieldSpec | None:
        return next((f for f in self.fields if f.column == column), None)


@dataclass(frozen=True)
class ObjectSpec:
    """One kind of record of a provider, and its table."""

    provider: str  # "quickbooks"
    table: str  # "bill_payment"
    api_name: str  # "BillPayment": wrapper key and query name
    resource: str  # "billpayment": path segment
    title: str  # as errors name it: "Customer"
    kind: str  # "transaction" | "name_list" | "singleton" | "other"
    comment: str
    operations: frozenset[str]  # create read query update sparse_update delete void deactivate …
    delete_means: DeleteMeans
    fields: tuple[FieldSpec, ...]
    custom_fields: tuple[CustomFieldSpec, ...] = ()
    children: tuple[ChildSpec, ...] = ()
    rank: int = 100  # backfill order: what is referred to comes first
    change_feed: str = "cdc"  # cdc | query | modified_since | whole | none
    webhook: str | None = None  # entity name in webhook events
    natural_keys: tuple[str, ...] = ()  # columns with a unique index, so ON CONFLICT
    update_requires: tuple[str, ...] = ()  # top members sent with every update: "CustomerRef"
    duplicate_column: str | None = None  # column a duplicate-name refusal is about
    version_column: str | None = "sync_token"  # the newer value wins; "updated_at" is a time
    null_id: str | None = None  # the text that says "none" where an id could stand
    enabled: bool = True  # False: not synced until somebody switches it on
    extra: Mapping[str, str] = field(default_factory=dict)  # provider facts: void style, …

    @cached_property
    def by_column(self) -> dict[str, FieldSpec]:
        return {f.column: f for f in self.fields}

    @cached_property
    def custom_by_column(self) -> dict[str, CustomFieldSpec]:
        return {f.column: f for f in self.custom_fields}

    @cached_property
    def child_by_table(self) -> dict[str, ChildSpec]:
        return {c.table: c for c in self.children}

    def can(self, operation: str) -> bool:
        return operation in self.operations

    def status_of_deleted(self, status: str | None) -> str | None:
        """The status DELETE sets on a record that has `status`; None where it has none to set.

        extra "delete_status" is `DRAFT=DELETED AUTHORISED=VOIDED`; `*` stands for any other.
        """
        becomes = dict(pair.split("=", 1) for pair in self.extra.get("delete_status", "").split())
        return becomes.get(status or "", becomes.get("*"))


@dataclass(frozen=True, slots=True)
class OtherSpec:
    """A name of the provider's reference that is no table of records."""

    name: str  # "APAgingSummary"
    kind: str  # "report" | "operation"
    endpoint: str  # "AgedPayables"
    note: str
    table: str | None = None  # where its content can be read


@dataclass(frozen=True)
class Catalog:
    """All objects of one provider, in backfill order (rank, then table)."""

    provider: str  # "quickbooks"
    title: str  # "QuickBooks": the name in brackets of error messages
    objects: tuple[ObjectSpec, ...]
    others: tuple[OtherSpec, ...] = ()
    reports: tuple[ReportSpec, ...] = ()

    @cached_property
    def by_table(self) -> dict[str, ObjectSpec]:
        return {o.table: o for o in self.objects}

    @cached_property
    def by_api_name(self) -> dict[str, ObjectSpec]:
        return {o.api_name.lower(): o for o in self.objects}

    @cached_property
    def by_report(self) -> dict[str, ReportSpec]:
        return {report.name: report for report in self.reports}

    @cached_property
    def by_any_table(self) -> dict[str, tuple[ObjectSpec, ChildSpec | None]]:
        """Parent and child tables alike."""
        found: dict[str, tuple[ObjectSpec, ChildSpec | None]] = {}
        for spec in self.objects:
            found[spec.table] = (spec, None)
            for child in spec.children:
                found[child.table] = (spec, child)
        return found
