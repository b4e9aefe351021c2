"""QuickBooks Online requests, as values. No I/O, no clock.

Source: Intuit, "Query operations and syntax", "Basic ID and field definitions", "Change data
capture operation", "Batch". What the documentation leaves open is decided here and said where
it is decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from schema.model import ObjectSpec
from sqlsync.providers.base import Step, StepKind
from sqlsync.providers.messages import HttpRequest
from sqlsync.providers.quickbooks import taxservice
from sqlsync.providers.quickbooks.bodies import encode_json, step_body, void_params
from sqlsync.providers.quickbooks.shapes import key_parts, wrapper

MINOR_VERSION = "75"  # lower ones are gone since 1 August 2025
PAGE_SIZE = 1000  # Intuit's maximum
BATCH_LIMIT = 30
KEY_LENGTH = 36  # requestid on a batch; 50 elsewhere, one rule for both
_LONGEST_GET = 1500  # characters of a statement; longer ones travel as POST

_JSON = {"accept": "application/json"}
_JSON_BODY = {**_JSON, "content-type": "application/json"}

_BATCH_OPERATION = {
    StepKind.CREATE: "create",
    StepKind.UPDATE: "update",
    StepKind.DEACTIVATE: "update",
    StepKind.REACTIVATE: "update",
    StepKind.DELETE: "delete",
}


@dataclass(frozen=True, slots=True)
class Company:
    """A company's address: where all its requests go."""

    api_url: str
    realm_id: str

    def url(self, path: str) -> str:
        return f"{self.api_url}/v3/company/{quote(self.realm_id, safe='')}/{path}"


def literal(text: str) -> str:
    """A text as it stands in a query: every value in single quotes, numbers too."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def instant(at: datetime) -> str:
    """A time as queries and the change feed take it: UTC, whole seconds, rounded down.

    MetaData has second precision, so a fraction would hide the changes of its own second.
    """
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def query(company: Company, statement: str) -> HttpRequest:
    """Any query. Long ones are posted: addresses have limits that bodies have not."""
    params = (("minorversion", MINOR_VERSION),)
    if len(statement) <= _LONGEST_GET:
        return HttpRequest(
            "GET", company.url("query"), (("query", statement), *params), headers=_JSON
        )
    return HttpRequest(
        "POST",
        company.url("query"),
        params,
        headers={**_JSON, "content-type": "application/text"},
        body=statement.encode("utf-8"),
    )


def count(company: Company, spec: ObjectSpec) -> HttpRequest:
    return query(company, f"select count(*) from {spec.api_name}{_where(_all_states(spec))}")


def page(company: Company, spec: ObjectSpec, start: int, size: int = PAGE_SIZE) -> HttpRequest:
    """Rows `start` (from 1) to `start + size - 1` of all records, by Id.

    By Id, because no change moves a record in that order: new ones come last, changed ones
    stay. Only a deletion shifts what follows; `paging` notices that. Records without an Id are
    in the order of what makes their key.
    """
    order = spec.extra.get("order", "Id")
    return query(
        company,
        f"select * from {spec.api_name}{_where(_all_states(spec))}"
        f" orderby {order} startposition {start} maxresults {size}",
    )


def changed_since(
    company: Company, spec: ObjectSpec, since: datetime, start: int = 1, size: int = PAGE_SIZE
) -> HttpRequest:
    """Records changed at or after a moment, oldest change first."""
    conditions = [*_all_states(spec), f"MetaData.LastUpdatedTime >= {literal(instant(since))}"]
    return query(
        company,
        f"select * from {spec.api_name}{_where(conditions)}"
        f" orderby MetaData.LastUpdatedTime startposition {start} maxresults {size}",
    )


def by_ids(company: Company, spec: ObjectSpec, record_ids: Sequence[str]) -> HttpRequest:
    """The records with these ids, at most PAGE_SIZE of them, inactive ones too."""
    ids = ", ".join(literal(record_id) for record_id in record_ids)
    conditions = [f"Id in ({ids})", *_all_states(spec)]
    return query(
        company, f"select * from {spec.api_name}{_where(conditions)} maxresults {PAGE_SIZE}"
    )


def read(company: Company, spec: ObjectSpec, record_id: str) -> HttpRequest:
    """One record. Some objects have one alone, and an address that does not name it."""
    path = spec.extra.get("read", f"{spec.resource}/{quote(record_id, safe='')}")
    path = path.replace("{realm}", quote(company.realm_id, safe=""))
    return HttpRequest("GET", company.url(path), (("minorversion", MINOR_VERSION),), _JSON)


def by_key(company: Company, spec: ObjectSpec, record_id: str) -> HttpRequest | None:
    """A record without an Id, by the members that make its key. None: there is no such key."""
    parts = key_parts(spec, record_id)
    if parts is None:
        return None
    conditions = [f"{name} = {literal(value)}" for name, value in parts.items()]
    return query(company, f"select * from {spec.api_name}{_where(conditions)}")


def whole_list(company: Company, spec: ObjectSpec) -> HttpRequest:
    """All records of an object that cannot be asked for in the query language."""
    return HttpRequest(
        "GET", company.url(spec.extra["list"]), (("minorversion", MINOR_VERSION),), _JSON
    )


def entitlements(company: Company) -> tuple[HttpRequest, HttpRequest]:
    """What the company's plan allows: an address of its own, and XML.

    Older pages show the first address, the reference the second; neither is verified, so the
    second is asked where the first is not known.
    """
    realm = quote(company.realm_id, safe="")
    first, second = (
        HttpRequest(
            "GET", f"{company.api_url}/{path}/v3/{realm}", (), {"accept": "application/xml"}
        )
        for path in ("manage/entitlements", "entitlements")
    )
    return first, second


def cdc(company: Company, specs: Iterable[ObjectSpec], since: datetime) -> HttpRequest:
    """Changes of several objects at once; 30 days back, 1,000 objects in all."""
    return HttpRequest(
        "GET",
        company.url("cdc"),
        (
            ("entities", ",".join(spec.api_name for spec in specs)),
            ("changedSince", instant(since)),
            ("minorversion", MINOR_VERSION),
        ),
        _JSON,
    )


def can_batch(step: Step) -> bool:
    """A batch knows create, update and delete of entities. A void travels alone."""
    return step.kind in _BATCH_OPERATION and not by_service(step)


def by_service(step: Step) -> bool:
    """A record that is not posted itself: a service makes it and tells the id."""
    return step.kind is StepKind.CREATE and step.spec.extra.get("create") == taxservice.RESOURCE


def write(company: Company, step: Step, key: str) -> HttpRequest:
    """One step, on its own. Raises ProviderError where it cannot be said safely."""
    params: tuple[tuple[str, str], ...] = ()
    resource, body = step.spec.resource, step_body(step)
    if by_service(step):
        resource, body = taxservice.RESOURCE, taxservice.body(body)
    elif step.kind is StepKind.DELETE:
        params = (("operation", "delete"),)
    elif step.kind is StepKind.VOID:
        params = void_params(step.spec)
    return HttpRequest(
        "POST",
        company.url(resource),
        (*params, ("requestid", key), ("minorversion", MINOR_VERSION)),
        _JSON_BODY,
        encode_json(body),
        changes=True,
    )


def batch(company: Company, steps: Sequence[tuple[str, Step]], key: str) -> HttpRequest:
    """Steps with their item ids (bId, at most 10 characters), under one requestid.

    Intuit knows an item again by requestid and bId together. Items are independent of each
    other, and their order means nothing. Raises as `write`.
    """
    items = [
        {
            "bId": item_id,
            "operation": _BATCH_OPERATION[step.kind],
            wrapper(step.spec): step_body(step),
        }
        for item_id, step in steps
    ]
    return HttpRequest(
        "POST",
        company.url("batch"),
        (("requestid", key), ("minorversion", MINOR_VERSION)),
        _JSON_BODY,
        encode_json({"BatchItemRequest": items}),
        changes=True,
    )


def _all_states(spec: ObjectSpec) -> list[str]:
    """Name lists hide inactive records unless the condition names Active."""
    has_active = spec.kind == "name_list" and any(f.path == ("Active",) for f in spec.fields)
    return ["Active in (true, false)"] if has_active else []


def _where(conditions: Sequence[str]) -> str:
    return f" where {' and '.join(conditions)}" if conditions else ""
