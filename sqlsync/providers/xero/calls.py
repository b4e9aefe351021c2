"""What calls an object of Xero has, read out of its catalog file and `calls.toml`. No I/O else.

A call is written as the catalog writes it: METHOD and path, `{id}` for the record's key, `{row}`
for that of a row with a life of its own, `{column}` for the value of a column
("POST Invoices/{id}").
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from schema.model import ChildSpec, ObjectSpec
from sqlsync.providers.xero.values import CENTS, FOUR_DECIMALS

BULK = 50  # elements in one request, whatever the catalog advises; Xero's own advice
_ANY = "*"
_PLACE = re.compile(r"\{(\w+)\}")


def _load() -> Mapping[str, Any]:
    return tomllib.loads(files(__package__).joinpath("calls.toml").read_text("utf-8"))


TABLE = _load()
BARE = frozenset(TABLE["bare"])
EACH_ANSWERED = frozenset(TABLE["each_answered"])
UNITDP = frozenset(TABLE["unitdp"])
REFERENCES: Mapping[str, str] = TABLE["references"]
SLOTS: Mapping[str, str] = TABLE["slots"]


@dataclass(frozen=True, slots=True)
class CallSpec:
    """One call: "POST Invoices/{id}"."""

    method: str
    path: str

    @classmethod
    def parse(cls, text: str) -> CallSpec:
        method, _, path = text.strip().partition(" ")
        return cls(method, path.strip("/"))

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def places(self) -> tuple[str, ...]:
        """What must be filled in: "id", "row", columns."""
        return tuple(_PLACE.findall(self.path))

    def filled(self, values: Mapping[str, str]) -> str:
        """The path with its places filled. Raises KeyError where one has no value."""
        return _PLACE.sub(lambda place: quote(values[place[1]], safe=""), self.path)

    @property
    def collection(self) -> CallSpec:
        """The same for several records, their ids in the body."""
        return CallSpec(self.method, self.path.partition("/")[0])


@dataclass(frozen=True, slots=True)
class ListCalls:
    """The calls of a list whose rows are written one by one: allocations, members of a group.

    key: the member that names a row.
    """

    child: ChildSpec
    key: str
    add: CallSpec | None
    change: CallSpec | None
    remove: CallSpec | None


@dataclass(frozen=True, slots=True)
class Calls:
    """All that can be asked about one object.

    page_size: the largest page; None: the list is one answer. fixed_page: the size cannot be
    chosen. order: the member to order a backfill by, None where the list takes no order.
    delete_status: status the record has -> status that deletes it; "*" whatever it has.
    status_flow: status -> those it may become. vanishes: no feed tells of deletions.
    whole_alone: a list leaves something out that the record's own address shows. parents: the
    endpoints beneath whose records these are. added: members we add, see `added`. always:
    members that every element holds.
    """

    spec: ObjectSpec
    list: CallSpec
    get: CallSpec | None
    create: CallSpec | None
    update: CallSpec | None
    delete: CallSpec | None
    collection: str  # the member of an answer that holds the records
    id_member: str
    paging: str  # page | offset | none
    page_size: int | None
    fixed_page: bool
    order: str | None
    include: str | None
    modified_since: bool
    modified_member: str | None
    status_member: str
    delete_status: Mapping[str, str]
    status_flow: Mapping[str, tuple[str, ...]]
    archive_status: str | None
    match_by: str | None
    bulk: int
    vanishes: bool
    gone_status: str | None
    word_key: bool
    ids_parameter: bool
    ids_filter: bool
    whole_alone: bool
    lists: Mapping[str, ListCalls]  # by the member that holds the list
    parents: tuple[str, ...]
    added: tuple[str, ...]
    always: tuple[str, ...]

    @property
    def price_rounding(self) -> Decimal:
        """How far a price may be from what was sent: purchase orders always keep four decimals,
        others where they are asked to (reference section 3.6)."""
        asked = any(call is not None and call.name in UNITDP for call in (self.list, self.create))
        return FOUR_DECIMALS if asked or self.collection == "PurchaseOrders" else CENTS

    @property
    def alone_is_rounded(self) -> bool:
        """Whether a record's own address rounds prices that the list shows in full."""
        return self.get is not None and self.list.name in UNITDP and self.get.name not in UNITDP

    def write_status(self, status: str | None) -> str | None:
        """The status that deletes or voids a record with this one; None where nothing does."""
        if status is not None and status in self.delete_status:
            return self.delete_status[status]
        return self.delete_status.get(_ANY)


def calls_of(spec: ObjectSpec) -> Calls:
    """Reads the facts. A fact that is not there means the plainest call."""
    extra = spec.extra
    collection = extra.get("collection", spec.resource)
    sizes = extra.get("page_size", "")
    smallest, _, largest = sizes.partition("-")
    flow = _pairs(extra.get("status_flow", ""))
    delete_status = _pairs(extra.get("delete_status", ""))
    delete = _call(extra.get("delete"))
    modified_since = spec.change_feed == "modified_since"
    return Calls(
        spec=spec,
        list=CallSpec("GET", spec.resource),
        get=_get(extra.get("get"), spec),
        create=_call(extra.get("create")),
        update=_call(extra.get("update")),
        delete=delete,
        collection=collection,
        id_member=spec.by_column["id"].path[-1],
        paging=extra.get("paging", "none"),
        page_size=int(largest or smallest) if sizes else None,
        fixed_page=bool(sizes) and not largest,
        order=extra.get("order"),
        include=extra.get("include"),
        modified_since=modified_since,
        modified_member=_modified_member(spec),
        status_member=extra.get("status_member", "Status"),
        delete_status=delete_status,
        status_flow={source: tuple(to.split(",")) for source, to in flow.items()},
        archive_status="ARCHIVED" if spec.can("deactivate") else None,
        match_by=extra.get("match_by"),
        bulk=min(int(extra.get("bulk", "1")), BULK),
        vanishes=extra.get("sweep") == "yes" or not modified_since,
        gone_status=TABLE["gone"].get(spec.api_name),
        word_key=spec.api_name in TABLE["word_keys"],
        ids_parameter=collection in TABLE["ids_parameter"],
        ids_filter=collection in TABLE["ids_filter"],
        whole_alone=bool(extra.get("lists_lack")),
        lists=_lists(extra.get("list_calls", ""), spec),
        parents=tuple(extra.get("parents", "").split()),
        added=tuple(extra.get("added", "").split()),
        always=(*spec.update_requires, *TABLE["always"].get(spec.api_name, ())),
    )


def _call(text: str | None) -> CallSpec | None:
    return CallSpec.parse(text) if text and text != "none" else None


def _get(text: str | None, spec: ObjectSpec) -> CallSpec | None:
    if text is None:
        return CallSpec("GET", f"{spec.resource}/{{id}}")
    return _call(text)


def _modified_member(spec: ObjectSpec) -> str | None:
    updated = spec.by_column.get("updated_at")
    return updated.path[-1] if updated is not None else spec.extra.get("modified_by")


def _pairs(text: str) -> dict[str, str]:
    """ "DRAFT=DELETED AUTHORISED=VOIDED" as a mapping."""
    found: dict[str, str] = {}
    for pair in text.split():
        source, _, target = pair.partition("=")
        found[source] = target
    return found


def _lists(text: str, spec: ObjectSpec) -> dict[str, ListCalls]:
    """ "Allocations: PUT X/{id}/Allocations, DELETE X/{id}/Allocations/{row}; …"."""
    found: dict[str, ListCalls] = {}
    for part in filter(None, (p.strip() for p in text.split(";"))):
        member, _, calls = part.partition(":")
        member = member.strip()
        child = next((c for c in spec.children if c.path == (member,)), None)
        if child is None:
            continue
        parsed = [CallSpec.parse(call) for call in calls.split(",")]
        named = (place for call in parsed for place in call.places if place not in ("id", "row"))
        key = child.key or next(named, None)
        if key is None:
            continue
        by_method = {c.method: CallSpec(c.method, _row_place(c.path)) for c in parsed}
        found[member] = ListCalls(
            child, key, by_method.get("PUT"), by_method.get("POST"), by_method.get("DELETE")
        )
    return found


def _row_place(path: str) -> str:
    """A row's key is called `{row}`, also where the catalog names its member."""
    return _PLACE.sub(lambda place: place[0] if place[1] == "id" else "{row}", path)
