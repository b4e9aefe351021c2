"""What Postgres knows of each connection, judged: state, scopes, ages, webhooks, tables.

Pure but for one query each: facts come in as rows, findings go out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from schema.model import Catalog
from sqlsync.database import Connection, TupleRow, class_row, sql
from sqlsync.doctor.findings import Finding, note, ok, problem

EXPIRES_SOON = timedelta(days=14)
FEW_DAY_CALLS = 100
POLL_FAILURES = 3
WEBHOOKS_SILENT = timedelta(days=1)
_SWEEP_WORDS = ("would be removed at once", "records and listed", "The provider listed nothing")

_SELECT = """
select c.id, v.*, (select array_agg(name order by name) from sqlsync.connection) as all_names,
    p.failures as poll_failures, p.last_error as poll_error,
    greatest(0, extract(epoch from r.tat - clock_timestamp()))::float8 as waiting_seconds,
    now() as at
from sqlsync._sync_connection v join sqlsync.connection c on c.name = v.name
left join sqlsync.poll p on p.connection_id = c.id
left join sqlsync.rate r on r.key = c.provider || ':' || c.company_id || ':calls'
order by c.id
"""
_OBJECTS = """
select object, state, error, last_change_at, last_webhook_at from {} where state = 'error'
or last_change_at is not null order by object
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A row of `_sync_connection`, and what is noted beside it."""

    id: int
    name: str
    provider: str
    company_id: str | None
    company_name: str | None
    schema_name: str
    state: str
    state_reason: str | None
    scopes_granted: list[str] | None
    scopes_missing: list[str] | None
    connected_at: datetime | None
    paused_at: datetime | None
    access_token_expires_at: datetime | None
    refresh_token_expires_at: datetime | None
    refreshed_at: datetime | None
    last_error: str | None
    last_webhook_at: datetime | None
    minute_calls_left: int | None
    day_calls_left: int | None
    calls_left_at: datetime | None
    all_names: list[str]
    poll_failures: int | None
    poll_error: str | None
    waiting_seconds: float | None
    at: datetime

    @property
    def area(self) -> str:
        return f"connection {self.name}"

    @property
    def again(self) -> str:
        return f"Run: sqlsync connect {self.provider} --name {self.name}"


@dataclass(frozen=True, slots=True)
class ObjectFact:
    """What a row of `_sync_cdc` tells the doctor."""

    object: str
    state: str
    error: str | None
    last_change_at: datetime | None
    last_webhook_at: datetime | None


def read_standings(database: Connection[TupleRow]) -> list[Standing]:
    """All connections, oldest first."""
    with database.cursor(row_factory=class_row(Standing)) as cursor:
        return cursor.execute(_SELECT.encode()).fetchall()


def read_objects(database: Connection[TupleRow], standing: Standing) -> list[ObjectFact]:
    """The objects in error, and those that changed; none where the tables are not made."""
    table = sql.Identifier(standing.schema_name, "_sync_cdc")
    made = database.execute(
        "select to_regclass(%s) is not null", [table.as_string(database)]
    ).fetchone()
    if made is None or not made[0]:
        return []
    with database.cursor(row_factory=class_row(ObjectFact)) as cursor:
        return cursor.execute(sql.SQL(_OBJECTS).format(table)).fetchall()


def judge_state(standing: Standing) -> Iterator[Finding]:
    """Is it connected, and for how long?"""
    company = standing.company_name or standing.company_id or "no company"
    if standing.state == "needs_reauth":
        text = f"the grant is gone: {standing.state_reason}"
        yield problem(standing.area, text, standing.again)
    elif standing.state == "pending":
        disconnected = standing.state_reason == "disconnected"
        text = "is disconnected." if disconnected else "waits for a first consent."
        yield note(standing.area, text, standing.again)
    elif standing.state == "paused":
        yield note(standing.area, "is paused.", f"To go on: sqlsync resume {standing.name}")
    else:
        yield ok(standing.area, f"{standing.state}, {company}, schema {standing.schema_name}")
        if standing.state_reason:
            yield problem(standing.area, standing.state_reason)
    ends = standing.refresh_token_expires_at
    if ends is not None and ends < standing.at + EXPIRES_SOON:
        over = "has ended" if ends < standing.at else f"ends on {ends:%Y-%m-%d}"
        yield problem(
            standing.area,
            f"the refresh token {over}; it is renewed only while a worker or proxy runs.",
            standing.again,
        )


def judge_scopes(standing: Standing) -> Iterator[Finding]:
    if standing.scopes_missing:
        yield problem(
            standing.area,
            f"not granted: {', '.join(standing.scopes_missing)}; the tables that need it stay"
            " as they are.",
            f"{standing.again} (the app must be registered with it)",
        )


def judge_limits(standing: Standing) -> Iterator[Finding]:
    left = standing.day_calls_left
    if left is not None and left < FEW_DAY_CALLS:
        yield problem(
            standing.area,
            f"{left} calls are left of the day; reads stay away so that writes find some.",
            "Wait for the next day, or let fewer objects be synced.",
        )
    if (standing.waiting_seconds or 0) > 60:
        yield problem(
            standing.area,
            f"the provider's limit is used up for {standing.waiting_seconds:.0f} s more.",
            "Wait; fewer statements with more rows each use fewer calls.",
        )


def judge_webhooks(
    standing: Standing, objects: list[ObjectFact], has_secret: Mapping[str, bool], setting: str
) -> Iterator[Finding]:
    """Do deliveries come, where changes come?"""
    if standing.state == "pending":
        return
    if not has_secret.get(standing.provider):
        yield note(
            standing.area,
            "no webhooks are taken, changes come by polling.",
            f"Set {setting} to the secret the provider shows.",
        )
        return
    last = standing.last_webhook_at
    changes = [o.last_change_at for o in objects if o.last_change_at is not None]
    newest = max(changes, default=None)
    if last is None:
        yield note(
            standing.area,
            "no webhook has arrived yet.",
            f"The provider must send them to …/webhooks/{standing.provider}.",
        )
    elif newest is not None and newest > last + WEBHOOKS_SILENT:
        yield problem(
            standing.area,
            f"the last webhook came {last:%Y-%m-%d %H:%M}, changes were seen until"
            f" {newest:%Y-%m-%d %H:%M}.",
            "Check the address and the state of the webhook where the app is registered.",
        )
    else:
        yield ok(standing.area, f"webhooks arrive, the last {last:%Y-%m-%d %H:%M}")


def judge_objects(
    standing: Standing,
    objects: list[ObjectFact],
    catalog: Catalog | None,
    is_asked: Mapping[str, bool],
) -> Iterator[Finding]:
    """Tables in error. is_asked: by scope, whether our app asks for it at all."""
    if (standing.poll_failures or 0) >= POLL_FAILURES:
        text = f"polling failed {standing.poll_failures} times: {standing.poll_error}"
        yield problem(standing.area, text)
    for fact in objects:
        if fact.state != "error":
            continue
        error = fact.error or "in error"
        spec = catalog.by_table.get(fact.object) if catalog is not None else None
        scope = spec.extra.get("scope") if spec is not None else None
        where = f"{standing.schema_name}.{fact.object}"
        if scope is not None and not is_asked.get(scope, True):
            yield note(standing.area, f"{where} stays empty: it needs the scope {scope}.")
        elif any(words in error for words in _SWEEP_WORDS):
            yield problem(
                standing.area,
                f"{where}: a reading was not believed: {error}",
                f"If it is true: sqlsync backfill {standing.name} --object {fact.object}"
                " --accept-missing",
            )
        elif not (standing.scopes_missing and scope in standing.scopes_missing):
            yield problem(standing.area, f"{where}: {error}", "It is tried again by itself.")
