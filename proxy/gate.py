"""Whether Postgres would let strangers in through the proxy.

pg_hba.conf matches the address of whoever connects, and that is the proxy: a `trust` or
`peer` line meant for programs on the database's own machine opens the door to everybody
who reaches the proxy. So before a listener that others can reach is opened, every role
that may log in is tried without a password, as a client would; one AuthenticationOk, and
the proxy refuses to start. On a loopback listener it is a warning: who gets there could
connect to Postgres as well.

Source: PostgreSQL documentation, "The pg_hba.conf File"; the rule is tested, not derived
from the file, because only the server's answer counts.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.protocol.messages import AUTH_OK
from proxy.protocol.startup import startup_packet
from proxy.upstream import Upstream, connect_upstream
from sqlsync.errors import ConfigError

PROBES_AT_ONCE = 8
MOST_PROBES = 512  # superusers and our own database first
ANSWER_SECONDS = 10.0

ROLES = """
    select rolname, rolsuper or rolreplication from pg_roles
    where rolcanlogin order by rolsuper desc, rolname
"""
DATABASES = """
    select datname from pg_database
    where datallowconn order by datname = current_database() desc, datname
"""
MAY_READ_LINES = """
    select has_table_privilege('pg_catalog.pg_hba_file_rules', 'select')
       and has_function_privilege('pg_catalog.pg_hba_file_rules()', 'execute')
"""
LINES = """
    select line_number, type, array_to_string(database, ','), array_to_string(user_name, ','),
           coalesce(address, ''), auth_method
    from pg_hba_file_rules
    where auth_method in ('trust', 'peer', 'ident') and (type = 'local') = {is_local}
    order by line_number
"""

# Runs a query on the engine's own connection and returns its rows.
Fetch = Callable[[str], Awaitable[Sequence[Sequence[Any]]]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Login:
    """A way in to try: a role on a database, or as a replication client."""

    role: str
    database: str
    is_replication: bool = False

    def __str__(self) -> str:
        where = "for replication" if self.is_replication else f'into database "{self.database}"'
        return f'role "{self.role}" {where}'


async def check_gate(is_loopback: bool, upstream: Upstream, fetch: Fetch) -> None:
    """Returns where the listener may be opened. Raises ConfigError where it must not.

    is_loopback: of the listener; then an open way in is only logged. Raises
    DatabaseUnavailable where upstream does not answer.
    """
    problem = await open_way(upstream, fetch)
    if problem is None:
        return
    if is_loopback:
        log.warning("%s. The proxy listens on this machine only, so it starts.", problem)
        return
    raise ConfigError(
        f"proxy.listen would let anybody in: {problem}.",
        hint="Change the line to scram-sha-256 and run select pg_reload_conf(), "
        "or set proxy.listen to 127.0.0.1.",
    )


async def open_way(upstream: Upstream, fetch: Fetch) -> str | None:
    """A way in without a password, in words; None where there is none.

    Raises DatabaseUnavailable where upstream does not answer.
    """
    found = await find_open(upstream, await logins(fetch))
    if found is None:
        return None
    problem = f"Postgres at {upstream} lets {found} from the proxy without a password"
    if lines := await _lines(upstream, fetch):
        problem += f" (pg_hba.conf: {lines})"
    return problem


async def logins(fetch: Fetch) -> list[Login]:
    """Returns every way in, the most dangerous first."""
    roles = await fetch(ROLES)
    databases = [str(row[0]) for row in await fetch(DATABASES)]
    replicating = [Login(str(role), "", True) for role, replicates in roles if replicates]
    ordinary = [
        Login(str(role), database) for database, (role, _) in itertools.product(databases, roles)
    ]
    found = ordinary[: len(roles)] + replicating + ordinary[len(roles) :]
    if len(found) > MOST_PROBES:
        log.warning("of %d ways to log in %d are tried", len(found), MOST_PROBES)
    return found[:MOST_PROBES]


async def find_open(upstream: Upstream, ways: Iterable[Login]) -> Login | None:
    """Returns the first way in that upstream opens without a password, if there is one."""
    for batch in _batched(ways, PROBES_AT_ONCE):
        answers = await asyncio.gather(*(lets_in(upstream, login) for login in batch))
        for login, is_open in zip(batch, answers, strict=True):
            if is_open:
                return login
    return None


async def lets_in(upstream: Upstream, login: Login) -> bool:
    """Returns whether a login without a password reaches AuthenticationOk.

    Nothing more is sent, and the connection is closed. Raises DatabaseUnavailable.
    """
    transport, probe = await connect_upstream(upstream, _Probe)
    try:
        parameters = {"user": login.role, "application_name": "sqlsync"}
        if login.is_replication:
            parameters["replication"] = "true"
        else:
            parameters["database"] = login.database
        transport.write(startup_packet(parameters))
        async with asyncio.timeout(ANSWER_SECONDS):
            return await probe.let_in
    except TimeoutError:
        return False  # it asks for something that takes time: not an open door
    finally:
        transport.abort()


class _Probe(asyncio.Protocol):
    """Reads the first message of upstream: `R` with 0 lets in, all else does not."""

    def __init__(self) -> None:
        self.let_in: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._data = bytearray()

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._data[:1] == b"R" and len(self._data) < 9:
            return
        self._settle(self._data[:1] == b"R" and int.from_bytes(self._data[5:9]) == AUTH_OK)

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle(False)

    def _settle(self, let_in: bool) -> None:
        if not self.let_in.done():
            self.let_in.set_result(let_in)


async def _lines(upstream: Upstream, fetch: Fetch) -> str:
    """The lines that could be the cause, for a person; empty where we may not read them."""
    [[may_read]] = await fetch(MAY_READ_LINES)
    if not may_read:
        return ""
    is_local = "true" if upstream.socket_path else "false"
    rows = await fetch(LINES.format(is_local=is_local))
    return "; ".join(
        f"line {number}: " + " ".join(str(word) for word in words if word)
        for number, *words in rows[:3]
    )


def _batched(ways: Iterable[Login], size: int) -> Iterable[list[Login]]:
    iterator = iter(ways)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
