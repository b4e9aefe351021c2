"""What the engine asks of an accounting system, for one connection.

An adapter turns these calls into requests and answers into records or typed errors. It knows
nothing of tables in Postgres, of clients, or of the journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from schema.model import Catalog, ObjectSpec
from schema.report_model import Report, ReportSpec
from sqlsync.errors import ProviderError, ProviderRefusal


@dataclass(frozen=True, slots=True)
class Record:
    """One record as the provider gave it. `raw` is its own JSON text, whole."""

    table: str
    id: str
    raw: bytes
    version: str | None = None  # SyncToken
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A record that is gone."""

    table: str
    id: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a backfill. `items` are the JSON texts of the records, in the answer's order."""

    items: Sequence[bytes]
    next_cursor: str | None  # None: this was the last page
    at: datetime  # the provider's clock when it answered


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since a moment. `complete` False: there was more than one answer can hold.

    incomplete_tables: the tables for which that is so; what is given of them is true, but
    records or deletions may be missing, so they need a backfill with a sweep.
    whole_tables: the tables of which `records` holds every record there is: one that is not
    among them is gone. refused: by table, why the provider tells nothing of it (a scope that
    the consent lacks); nothing is known of its changes then.
    """

    records: Sequence[Record]
    tombstones: Sequence[Tombstone]
    at: datetime  # the provider's clock when it answered
    complete: bool = True
    incomplete_tables: frozenset[str] = frozenset()
    whole_tables: frozenset[str] = frozenset()
    refused: Mapping[str, ProviderRefusal] = field(default_factory=dict)


class StepKind(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    VOID = "void"
    DEACTIVATE = "deactivate"
    REACTIVATE = "reactivate"


@dataclass(frozen=True, slots=True)
class Step:
    """One change of one record at the provider.

    fields: provider JSON, nested as the provider nests it, numbers as Decimal: for CREATE the
    record; for UPDATE only the members that change (a list whole; a cleared member is None).
    base: the record's JSON as mirrored (None for CREATE); its SyncToken is the version the
    write was planned on, and it holds what the provider wants sent with every update.
    """

    kind: StepKind
    spec: ObjectSpec
    fields: dict[str, Any] = field(default_factory=dict)
    id: str | None = None
    base: bytes | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """Steps that travel in one request, under one idempotency key (at most 36 characters).

    The same call with the same key never changes anything twice, so that after a crash it is
    simply sent again. At most `Provider.batch_limit` steps.

    first_sent_seconds_ago: for a call that went out before, how long ago at most; a provider
    that remembers keys for some minutes only must look first what came of it.
    """

    key: str
    steps: tuple[Step, ...]
    first_sent_seconds_ago: float | None = None


# What came of a step: the record as the provider now holds it; a Tombstone where it is gone;
# or the typed refusal (ProviderRefusal and others, never raised for a single step of many).
Outcome = Record | Tombstone | ProviderError


@dataclass(frozen=True, slots=True)
class File:
    """A file that hangs on a record: its name, its kind (MIME), its bytes."""

    name: str
    content_type: str
    data: bytes = field(repr=False)


class Files(Protocol):
    """The files of records. What is told of them are records of an object of its own.

    Methods raise as Provider's do.
    """

    spec: ObjectSpec  # that object: attachable, attachment

    async def of(self, spec: ObjectSpec, record_id: str, name: str | None = None) -> list[Record]:
        """The files of a record, or those of that name. Raises Unsupported where the provider
        finds files by their name alone and none is given."""
        ...

    async def upload(
        self,
        spec: ObjectSpec,
        record_id: str,
        file: File,
        *,
        key: str,
        note: str | None = None,
        public: bool = False,
    ) -> Record:
        """Hangs a file on a record. key: of the request, at most 36 characters.

        public: the customer gets it with the document. Raises OutcomeUnknown where no answer
        came and the file is not found either.
        """
        ...

    async def download(self, record: Record) -> File:
        """The bytes of a file. Raises NotFound."""
        ...


class Provider(Protocol):
    """One accounting system, for one connection (a QuickBooks realm, a Xero tenant).

    Any method may raise NeedsReauth, RateLimited, Unreachable or ProviderFault.
    """

    catalog: Catalog
    batch_limit: int  # steps in one Call

    async def count(self, spec: ObjectSpec) -> int | None:
        """How many records a backfill will bring; None where the provider cannot say."""
        ...

    async def fetch_page(self, spec: ObjectSpec, cursor: str | None) -> Page:
        """A page of all records (inactive ones too) in an order that no change can reorder."""
        ...

    async def changes(self, specs: Sequence[ObjectSpec], since: datetime) -> Changes:
        """All that changed since `since`. Raises ProviderRefusal where that is too long ago."""
        ...

    async def fetch(self, spec: ObjectSpec, record_id: str) -> Record | None:
        """The record now, or None where the provider does not hold it (deleted, never was)."""
        ...

    async def fetch_many(self, spec: ObjectSpec, record_ids: Sequence[str]) -> list[Record]:
        """Those of the records that exist, in few calls."""
        ...

    async def send(self, call: Call) -> list[Outcome]:
        """Carries out the steps, in one request. One outcome per step, in order.

        Raises OutcomeUnknown where the request went out and no answer came (send the same
        call again); raises another ProviderError only where nothing at all was done.
        """
        ...

    async def report(self, spec: ReportSpec, parameters: Mapping[str, Any]) -> Report:
        """Has a report computed. parameters: by our names, as `_sync_report` holds them.

        Raises ProviderRefusal where the provider will not (the plan lacks it, a right or a
        scope does, a parameter is wrong, it would be too big).
        """
        ...

    async def now(self) -> datetime:
        """The provider's clock."""
        ...

    def poll_calls(self, spec: ObjectSpec, rows: int) -> int:
        """How many calls `changes` needs for the object alone; 0: all objects share one.

        rows: how many records of it there are.
        """
        ...

    def calls_left(self) -> float | None:
        """What is left of the day's calls, as the provider told last; None where it told
        nothing yet, inf where it limits no days."""
        ...

    @property
    def files(self) -> Files:
        """The files of its records."""
        ...
