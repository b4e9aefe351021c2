"""What the reading of a statement comes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Place = tuple[str | None, str]  # schema (None where it was left out) and name, as written


class Kind(Enum):
    PASS = "none"  # noqa: S105 — nothing of ours: forward
    WRITE = "write"  # may change a mirrored table: hold its Execute
    TRANSACTION = "transaction"  # BEGIN, COMMIT, SAVEPOINT, …
    PREPARE = "prepare"  # SQL PREPARE of a write
    EXECUTE = "execute"  # SQL EXECUTE, perhaps of a write
    FORGET = "forget"  # DEALLOCATE, DISCARD
    REFUSE = "refuse"  # a write that cannot be supported


class Verb(Enum):
    """Commands that open, close or nest transactions."""

    BEGIN = "BEGIN"
    COMMIT = "COMMIT"
    ROLLBACK = "ROLLBACK"
    SAVEPOINT = "SAVEPOINT"
    RELEASE = "RELEASE SAVEPOINT"
    ROLLBACK_TO = "ROLLBACK TO SAVEPOINT"
    PREPARE_TRANSACTION = "PREPARE TRANSACTION"
    OTHER = "OTHER"  # COMMIT PREPARED, ROLLBACK PREPARED


@dataclass(frozen=True, slots=True)
class Relation:
    """A mirrored table, a child table, or a view over one."""

    schema: str
    name: str
    columns: tuple[str, ...]  # in table order
    keys: tuple[str, ...]  # what names a row; empty: a view that does not show its id
    base: tuple[str, str] | None = None  # the mirrored table a view is over
    object_table: str = ""  # the object whose row it is, or belongs to; of a view: its base
    object_title: str = ""  # "Customer"
    provider_title: str = ""  # "QuickBooks"
    is_child: bool = False


@dataclass(frozen=True, slots=True)
class MirrorNames:
    """The relations of one database through which a mirrored table can be written."""

    relations: Mapping[tuple[str, str], Relation] = field(default_factory=dict)
    names: frozenset[str] = frozenset()  # unqualified, all schemas

    @classmethod
    def of(cls, relations: Iterable[Relation]) -> MirrorNames:
        found = {(r.schema, r.name): r for r in relations}
        return cls(found, frozenset(name for _, name in found))


@dataclass(frozen=True, slots=True)
class Write:
    """A write whose target may be mirrored.

    verb: INSERT, UPDATE, DELETE or MERGE. returns: it has a RETURNING. shows: the statement
    as a whole gives rows. by_id: the WHERE is `id = …` alone: ("text", value) or ("parameter",
    number from 1). around: the write stands in a WITH of another statement, which needs a
    second run. parameters: it mentions $1 or the like.
    """

    verb: str
    place: Place
    alias: str | None
    returns: bool
    shows: bool
    tree: Any  # of the whole statement; pglast's
    target: Any  # the node of the write itself
    by_id: tuple[str, str | int] | None = None
    around: bool = False
    parameters: bool = False

    @property
    def name(self) -> str:
        return self.place[1]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a statement cannot be run. place: holds only if that name is mirrored; None: always."""

    message: str
    hint: str
    sqlstate: str = "0A000"
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a string; start and end count characters of the string."""

    kind: Kind
    text: str
    start: int = 0
    end: int = 0
    verb: Verb | None = None
    chain: bool = False
    write: Write | None = None
    refusal: Refusal | None = None
    name: str | None = None  # of PREPARE, EXECUTE, DEALLOCATE (None: all)
    arguments: str = ""  # of EXECUTE, as text

    @property
    def may_write(self) -> bool:
        """It writes a mirrored table, or would be refused."""
        return self.write is not None or self.refusal is not None


PASS = Statement(Kind.PASS, "")
