"""The doctor's look at the house: the database, the key, the disk, who works.

Looks and changes nothing. What cannot be looked at is a finding, too.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlsync.database import ENGINE_ROLE, Connection, TupleRow, errors, safe_url
from sqlsync.doctor.findings import Finding, note, ok, problem
from sqlsync.errors import ConfigError, SqlsyncError
from sqlsync.migrations import pending
from sqlsync.settings import Settings, secret_key
from sqlsync.vault import Vault

LEAST_FREE_BYTES = 1 << 30
LEASE_SECONDS = 30.0  # a leader renews every half second
OPEN_WRITE_MINUTES = 10

_RIGHTS = f"""
select r.role, to_regrole(r.role) is not null from unnest(array[
    '{ENGINE_ROLE}', 'sqlsync_reader', 'sqlsync_writer']) r(role)
"""
_ENGINE_MAY = f"""
select pg_has_role('{ENGINE_ROLE}', 'member'),
    has_database_privilege('{ENGINE_ROLE}', current_database(), 'create')
        or has_database_privilege(current_database(), 'create'),
    has_database_privilege('{ENGINE_ROLE}', current_database(), 'temporary')
"""
_LEADER = """
select extract(epoch from clock_timestamp() - renewed_at)::float8 from sqlsync.leader
"""
_WRITES = f"""
select c.name, c.schema_name, j.state, count(*) from sqlsync.journal j
join sqlsync.connection c on c.id = j.connection_id
where j.state in ('parked', 'in_doubt')
    or (j.state in ('sent', 'acknowledged', 'undoing', 'planned')
        and j.updated_at < clock_timestamp() - interval '{OPEN_WRITE_MINUTES} minutes')
group by 1, 2, 3 order by 1, 3
"""


def check_database(database: Connection[TupleRow], url: str) -> Iterator[Finding]:
    """Version, migrations, roles and rights."""
    version = database.info.server_version
    yield ok("database", f"Postgres {version // 10000}.{version % 10000} at {safe_url(url)}")
    try:
        lacking = pending(url)
    except ConfigError as error:
        yield problem("migrations", error.message, error.hint)
        return
    if lacking:
        yield problem("migrations", f"the database lacks {', '.join(lacking)}.", _MIGRATE)
        return
    yield ok("migrations", "all applied")
    yield from check_rights(database)


_MIGRATE = "Run: sqlsync migrate"


def check_rights(database: Connection[TupleRow]) -> Iterator[Finding]:
    missing = [role for role, exists in database.execute(_RIGHTS).fetchall() if not exists]
    if missing:
        yield problem("roles", f"{', '.join(missing)} is not there.", _MIGRATE)
        return
    row = database.execute(_ENGINE_MAY).fetchone()
    assert row is not None
    user, name = database.info.user, database.info.dbname
    wishes = (
        (row[0], f"{user} is no member of {ENGINE_ROLE}.", f"grant {ENGINE_ROLE} to {user}"),
        (
            row[1],
            f"neither {user} nor {ENGINE_ROLE} may make schemas.",
            f"grant create on database {name} to {ENGINE_ROLE}",
        ),
        (
            row[2],
            f"{ENGINE_ROLE} may not make temporary tables.",
            f"grant temporary on database {name} to {ENGINE_ROLE}",
        ),
    )
    refused = [
        problem("roles", text, f"As a superuser: {remedy}")
        for may, text, remedy in wishes
        if not may
    ]
    yield from refused or [ok("roles", "are there, with the rights they need")]


def is_set_up(database: Connection[TupleRow], url: str) -> bool:
    """Whether the control tables are those of this version."""
    try:
        return not pending(url) and database.execute(
            "select to_regclass('sqlsync._sync_connection') is not null"
        ).fetchone() == (True,)
    except ConfigError:
        return False


def check_key(settings: Settings, database: Connection[TupleRow]) -> Iterator[Finding]:
    """Is the key there, is it private, and does it open what is stored?"""
    stored = database.execute(
        "select c.name, c.provider, t.access_token, t.refresh_token from sqlsync.token t"
        " join sqlsync.connection c on c.id = t.connection_id order by c.id"
    ).fetchall()
    path = settings.state_dir / "secret.key"
    if settings.secret_key is None and not path.exists():
        text = f"there is none: neither the setting secret_key nor {path}."
        advice = "Put the key back, or connect each company again: sqlsync connect"
        yield problem("key", text, advice) if stored else note("key", text, _MADE_LATER)
        return
    try:
        vault = Vault.from_text(secret_key(settings).get_secret_value())
    except ConfigError as error:
        yield problem("key", error.message, error.hint)
        return
    if settings.secret_key is None and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield problem("key", f"{path} can be read by others.", f"Run: chmod 600 {path}")
    shut = [row for row in stored if not _opens(vault, row[2]) or not _opens(vault, row[3])]
    for name, provider, _, _ in shut:
        yield problem(
            "key",
            f"the tokens of {name} were sealed with another key.",
            f"Add that key to secret_key, or: sqlsync connect {provider} --name {name}",
        )
    if not shut:
        yield ok(
            "key", f"opens the tokens of all {len(stored)} connections" if stored else "is there"
        )


_MADE_LATER = "It is made when a company is connected; keep a copy of it then."


def _opens(vault: Vault, sealed: bytes | None) -> bool:
    if sealed is None:
        return True
    try:
        vault.open(sealed)
    except ConfigError:
        return False
    return True


def check_disk(settings: Settings) -> Iterator[Finding]:
    """Room where our own files are, the embedded Postgres' among them."""
    place = _existing(settings.state_dir)
    free = shutil.disk_usage(place).free
    what = "the embedded Postgres" if settings.database_url is None else "our own files"
    if free < LEAST_FREE_BYTES:
        yield problem(
            "disk", f"{free >> 20:,} MiB are free under {place}, for {what}.", "Make room."
        )
    else:
        yield ok("disk", f"{free >> 30:,} GiB are free under {place}")
    if not os.access(place, os.W_OK):
        yield problem(
            "disk", f"{place} cannot be written.", "Give it to the user that runs sqlsync."
        )


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def check_workers(database: Connection[TupleRow]) -> Iterator[Finding]:
    """Does somebody lead, and so look for work?"""
    row = database.execute(_LEADER).fetchone()
    silent = row[0] if row is not None else None
    if silent is None or silent > LEASE_SECONDS:
        yield problem("worker", "none runs, so no table follows its company.", "Run: sqlsync up")
    else:
        yield ok("worker", "one leads")


def check_writes(database: Connection[TupleRow]) -> Iterator[Finding]:
    """Writes that a person must look at, or that take too long."""
    found = database.execute(_WRITES.encode()).fetchall()
    for name, schema, state, count in found:
        look = f"Look: select * from {schema}._sync_write where state = '{state}'"
        if state == "parked":
            text = f"{count} writes could not be undone and wait for a person."
            look += ", set it right by hand at the provider."
        elif state == "in_doubt":
            text = f"the outcome of {count} writes is not known yet; they are asked for again."
        else:
            text = f"{count} writes are {state} for more than {OPEN_WRITE_MINUTES} minutes."
            look += "; a proxy must run to settle them: sqlsync up"
        yield problem(f"connection {name}", text, look)
    if not found:
        yield ok("writes", "all are settled")


def looked(area: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """The findings of one look; a failure of Postgres under it is one, too."""
    try:
        return list(look())
    except (errors.Error, SqlsyncError, OSError) as error:
        return [problem(area, f"could not be looked at: {_words(error)}")]


def _words(error: Any) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
