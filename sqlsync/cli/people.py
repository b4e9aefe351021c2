"""Who may use the tables, and the shortest way in: user add, psql."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
from typing import Annotated
from urllib.parse import quote

import typer

from sqlsync.app import addresses, databases
from sqlsync.cli.options import ConfigOption, start
from sqlsync.cli.standing import require_set_up
from sqlsync.database import Connection, TupleRow, connect, conninfo_to_dict, errors, sql
from sqlsync.embedded_binaries import find_binaries
from sqlsync.errors import ConfigError, DatabaseUnavailable
from sqlsync.settings import Address

# Addresses that one can listen on and not connect to.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}  # noqa: S104
_NAME = re.compile(r"^[a-z_][a-z0-9_]{0,62}$")


def add_user(
    name: Annotated[str, typer.Argument(help="Name of the Postgres role")],
    write: Annotated[bool, typer.Option("--write", help="May write, not only read")] = False,
    admin: Annotated[
        bool, typer.Option("--admin", help="May choose what is synced (sqlsync.enable_object, …)")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Makes a user of the tables and prints its URL. Run again, it gives a new password."""
    settings = start(config)
    if not _NAME.match(name) or name.startswith(("pg_", "sqlsync_")):
        raise ConfigError(
            f"{name!r} cannot be a user's name: a letter, then letters, digits and _, in lower"
            " case, not beginning with pg_ or sqlsync_."
        )
    with databases.open_database(settings) as url, connect(url) as database:
        require_set_up(database)
        address = addresses.proxy_address(settings)
        password = set_up_user(database, name, write=write, admin=admin)
        print(user_url(address, name, password, database.info.dbname))


def set_up_user(
    database: Connection[TupleRow], name: str, *, write: bool, admin: bool = False
) -> str:
    """Makes or renews the login role and returns its new password.

    A user who may write keeps that. Raises ConfigError where the role is somebody else's.
    """
    password = secrets.token_urlsafe(18)
    # Only the verifier travels, so that no statement log can hold the password.
    verifier = database.pgconn.encrypt_password(
        password.encode(), name.encode(), b"scram-sha-256"
    ).decode()
    role = sql.Identifier(name)
    try:
        with database.transaction():
            _refuse_foreign_role(database, name)
            exists = _role_exists(database, name)
            verb = "alter" if exists else "create"
            database.execute(
                sql.SQL(verb + " role {} login password {}").format(role, sql.Literal(verifier))
            )
            group = "sqlsync_writer" if write else "sqlsync_reader"
            database.execute(sql.SQL("grant {} to {}").format(sql.Identifier(group), role))
            if admin:
                database.execute(sql.SQL("grant sqlsync_admin to {}").format(role))
    except errors.InsufficientPrivilege as error:
        raise ConfigError(
            f"The user {database.info.user} of database_url may not make users:"
            f" {error.diag.message_primary}.",
            hint=f"As a superuser: alter role {database.info.user} createrole",
        ) from None
    return password


def _role_exists(database: Connection[TupleRow], name: str) -> bool:
    return bool(database.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone())


def _refuse_foreign_role(database: Connection[TupleRow], name: str) -> None:
    found = database.execute(
        "select rolsuper, exists (select from pg_auth_members m join pg_roles g on g.oid = m.roleid"
        " where m.member = r.oid and g.rolname in ('sqlsync_reader', 'sqlsync_writer'))"
        " from pg_roles r where rolname = %s",
        [name],
    ).fetchone()
    if found is not None and (found[0] or not found[1]):
        raise ConfigError(
            f"The role {name} exists and was not made by sqlsync; its password is left alone.",
            hint=f"Choose another name, or let it in: grant sqlsync_reader to {name}",
        )


def user_url(address: Address, name: str, password: str, dbname: str) -> str:
    """The `postgresql://` URL of a user through the proxy."""
    host = _EVERYWHERE.get(address.host, address.host)
    where = Address(host=host, port=address.port)
    credentials = f"{quote(name, safe='')}:{quote(password, safe='')}"
    return f"postgresql://{credentials}@{where}/{quote(dbname, safe='')}"


def psql(context: typer.Context, config: ConfigOption = None) -> None:
    """Opens psql through the proxy, as the user of database_url. More arguments go to psql."""
    settings = start(config)
    with databases.open_database(settings) as url:
        parts = conninfo_to_dict(url)
        address = addresses.proxy_address(settings)
        _refuse_silence(address)
        target = user_url(
            address, str(parts.get("user") or ""), "", str(parts.get("dbname") or "postgres")
        ).replace(":@", "@", 1)
        environment = {**os.environ, "PGPASSWORD": str(parts.get("password") or "")}
        done = subprocess.run([psql_binary(), target, *context.args], env=environment, check=False)
    raise typer.Exit(done.returncode if done.returncode >= 0 else 1)


def psql_binary() -> str:
    """The system's psql, or the one beside the embedded server. Raises ConfigError."""
    found = shutil.which("psql")
    if found is None:
        beside = find_binaries().directory / "psql"
        found = str(beside) if os.access(beside, os.X_OK) else None
    if found is None:
        raise ConfigError("There is no psql here.", hint="Install postgresql-client.")
    return found


def _refuse_silence(address: Address) -> None:
    try:
        socket.create_connection((address.host, address.port), timeout=5).close()
    except OSError as error:
        raise DatabaseUnavailable(
            f"The proxy does not listen on {address}: {error.strerror or error}.",
            hint="Start it: sqlsync up",
        ) from None
