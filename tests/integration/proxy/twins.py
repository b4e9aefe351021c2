"""Two databases from one template: one behind the proxy, one that Postgres serves by itself.

A script of raw messages is run against both, and what came back is compared message by
message. The twin's tables have the same columns, constraints and OIDs, and neither guard nor
capture; so whatever differs is the proxy's doing. New rows have ids of the provider here and
provisional ones there: both read `<id>`.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from struct import pack, unpack_from
from typing import Any

import psycopg
from integration.proxy.accepting import AcceptingWriter, install_books, running_proxy
from psycopg import generators, sql
from psycopg.waiting import wait_conn

from proxy.protocol.messages import parse_error_fields

Message = tuple[str, Any]

# What a mirror never has, but Postgres' own checks are tried on: casts, checks, keys.
EXTRAS = """
create type books.mood as enum ('ok', 'sad');
create domain books.short as varchar(4) check (value <> 'bad');
create type books.place as (street text, city text);
create sequence books.ticks;
alter table books.vendor add column code varchar(5),
    add column amount numeric(6,2) default 1.5,
    add column mood books.mood,
    add column tags text[],
    add column place books.place,
    add column short books.short,
    add column doubled numeric generated always as (amount * 2) stored,
    add column note text not null default 'none',
    add column late text unique deferrable initially deferred,
    add column ratio float8,
    add constraint amount_positive check (amount >= 0);
create unique index vendor_name on books.vendor (display_name);
create table public.memo (body text, vendor_id text);
create table public.plain (a int primary key, b text);
create table public.later (a int unique deferrable initially deferred);
create view books.active_vendor as select id, display_name, phone, amount from books.vendor
    where active with check option;
create view books.nameless as select display_name, phone from books.vendor;
create view books.odd as select id, upper(display_name) as shouted from books.vendor;
create function books.odd_update() returns trigger language plpgsql as $$
begin
    update books.vendor set display_name = lower(new.shouted) where id = old.id;
    return new;
end $$;
create trigger odd instead of update on books.odd for each row execute function books.odd_update();
create function public.shout(words text) returns text language plpgsql as $$
begin raise notice 'shouting %', words; return upper(words); end $$;
create function public.slow(words text) returns text language plpgsql volatile as $$
begin perform pg_sleep(0.6); return words; end $$;
create function public.kept() returns trigger language plpgsql as $$
begin
    if new.display_name = 'skipped' then return null; end if;
    if new.note = 'trim' then new.note = 'trimmed'; end if;
    return new;
end $$;
create trigger kept before insert or update on books.vendor
    for each row execute function public.kept();
grant select, insert, update, delete on books.vendor to wire_writer;
grant select (id, display_name), update (phone) on books.vendor to wire_columns;
grant select, delete on books.vendor to wire_deleter;
grant usage on schema books to wire_writer, wire_columns, wire_deleter, wire_policies;
grant select, insert, update, delete on books.customer, books.bill_payment to wire_policies;
alter table books.customer enable row level security;
create policy seen on books.customer for select to wire_policies using (true);
create policy changed on books.customer for update to wire_policies
    using (display_name <> 'locked') with check (display_name <> 'forbidden');
create policy made on books.customer for insert to wire_policies
    with check (display_name <> 'forbidden');
create policy removed on books.customer for delete to wire_policies
    using (display_name like 'old%');
grant all on public.memo, public.plain, public.later to public;
grant usage on sequence books.ticks to public;
"""
ROLES = ("wire_writer", "wire_columns", "wire_deleter", "wire_policies")
PASSWORD = "wire"

SEED = """
truncate books.vendor, books.customer, books.employee, books.item;
insert into books.vendor (id, display_name, phone, balance, active, amount, tags, place, ratio)
values ('1', 'Acme', '555-1', 10, true, 1, '{a,b}', row('Main', 'Ulm'), 0.1),
       ('2', 'Beta', '555-2', 20, true, 2, null, null, null),
       ('3', 'Gamma', null, 30, false, 3, '{}', null, 1e300);
insert into books.customer (id, display_name, phone, balance, active)
values ('11', 'Amy', '1', 5, true), ('12', 'locked', '2', 6, true), ('13', 'old Bob', '3', 7, true);
insert into books.item (id, name) values ('21', 'Pen'), ('22', 'Ink');
"""
LOCAL_SEED = """
truncate public.memo, public.plain, public.later;
insert into public.plain values (1, 'one'), (2, 'two');
insert into public.later values (1), (2);
alter sequence books.ticks restart;
"""
_ORDERS = (
    ("books.vendor", "display_name, phone, note, code"),
    ("books.customer", "display_name"),
    ("books.item", "name"),
    ("public.memo", "body"),
    ("public.plain", "a"),
    ("public.later", "a"),
)
CONTENTS = "select " + ", ".join(
    f"(select jsonb_agg(to_jsonb(t) - 'raw' order by {order})::text from {table} t)"
    for table, order in _ORDERS
)
_NEW_ID = re.compile(rb"new:[0-9a-f-]{36}|\b9\d\d\b")


# -- messages ------------------------------------------------------------------------------


def message(kind: str, body: bytes) -> bytes:
    return kind.encode() + pack("!I", len(body) + 4) + body


def Q(text: str | bytes) -> bytes:
    return message("Q", _bytes(text) + b"\0")


def P(text: str | bytes, name: str = "", oids: Sequence[int] = ()) -> bytes:
    body = name.encode() + b"\0" + _bytes(text) + b"\0"
    return message("P", body + pack(f"!h{len(oids)}I", len(oids), *oids))


def B(
    *values: str | bytes | None,
    portal: str = "",
    name: str = "",
    formats: Sequence[int] = (),
    results: Sequence[int] = (),
) -> bytes:
    body = portal.encode() + b"\0" + name.encode() + b"\0"
    body += pack(f"!h{len(formats)}h", len(formats), *formats) + pack("!h", len(values))
    for value in values:
        raw = None if value is None else _bytes(value)
        body += pack("!i", -1) if raw is None else pack("!i", len(raw)) + raw
    return message("B", body + pack(f"!h{len(results)}h", len(results), *results))


def D(name: str = "", what: str = "P") -> bytes:
    return message("D", what.encode() + name.encode() + b"\0")


def E(portal: str = "", limit: int = 0) -> bytes:
    return message("E", portal.encode() + b"\0" + pack("!i", limit))


def C(name: str = "", what: str = "S") -> bytes:
    return message("C", what.encode() + name.encode() + b"\0")


S = message("S", b"")
H = message("H", b"")


def run(text: str | bytes, *values: str | bytes | None, **options: Any) -> bytes:
    """Parse, Bind, Describe, Execute, no Sync."""
    return P(text) + B(*values, **options) + D() + E()


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


# -- a client ------------------------------------------------------------------------------


class Client:
    """A session whose login libpq has done, and whose messages the test sends itself."""

    def __init__(self, conninfo: str, **options: Any) -> None:
        connection = psycopg.connect(conninfo, autocommit=True, **options)
        self.pid = connection.info.backend_pid
        self.socket = socket.socket(fileno=os.dup(connection.fileno()))
        self.socket.setblocking(True)
        self.socket.settimeout(20)
        # libpq stays for cancels alone; its farewell goes to a descriptor that leads nowhere.
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, connection.fileno())
        os.close(nowhere)
        self._connection = connection
        self._data = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> Message:
        """The next message; ("EOF", None) where the connection has ended."""
        while len(self._data) < 5 or len(self._data) < 1 + unpack_from("!I", self._data, 1)[0]:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return "EOF", None
            self._data += more
        end = 1 + unpack_from("!I", self._data, 1)[0]
        whole, self._data = self._data[:end], self._data[end:]
        return readable(whole)

    def until_ready(self, count: int = 1) -> list[Message]:
        found: list[Message] = []
        while count:
            found.append(self.receive())
            if found[-1][0] == "EOF":
                break
            count -= found[-1][0] == "Z"
        return found

    def until_error(self) -> list[Message]:
        found = [self.receive()]
        while found[-1][0] not in ("E", "EOF"):
            found.append(self.receive())
        return found

    def take(self, count: int) -> list[Message]:
        return [self.receive() for _ in range(count)]

    def ask(self, data: bytes) -> list[Message]:
        """Sends messages, and reads one ReadyForQuery for each Query and Sync."""
        self.send(data)
        return self.until_ready(_ready_due(data))

    def cancel(self) -> None:
        """Returns when the server has taken the request. PQcancel would hold the interpreter."""
        request = self._connection.pgconn.cancel_conn()
        request.start()
        wait_conn(generators.cancel(request), interval=0.1)

    def stop_sending(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.socket.close()
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ready_due(data: bytes) -> int:
    count, at = 0, 0
    while at < len(data):
        count += data[at : at + 1] in (b"Q", b"S", b"F")
        at += 1 + int(unpack_from("!I", data, at + 1)[0])
    return count


def readable(whole: bytes) -> Message:
    """A message in the form that is compared."""
    kind, body = chr(whole[0]), whole[5:]
    match kind:
        case "E" | "N":
            fields = parse_error_fields(body, "latin-1")
            return kind, {k: _plain(v) for k, v in fields.items() if k not in "FLR"}
        case "D":
            return kind, _columns(body)
        case "A":
            return kind, body[4:]
        case _:
            return kind, body


def _plain(text: str) -> str:
    return _NEW_ID.sub(b"<id>", text.encode("latin-1")).decode("latin-1")


def _columns(body: bytes) -> list[bytes | None]:
    (count,) = unpack_from("!h", body)
    at, found = 2, []
    for _ in range(count):
        (size,) = unpack_from("!i", body, at)
        at += 4
        found.append(None if size < 0 else _NEW_ID.sub(b"<id>", body[at : at + size]))
        at += max(size, 0)
    return found


# -- the two databases ---------------------------------------------------------------------


class Twins:
    """`proxied` and `native` are conninfos; `direct` leads past the proxy."""

    def __init__(self, proxied: str, native: str, direct: str, writer: AcceptingWriter) -> None:
        self.proxied = proxied
        self.native = native
        self.direct = direct
        self.writer = writer
        self._admins = {
            conninfo: psycopg.connect(conninfo, autocommit=True) for conninfo in (direct, native)
        }
        for admin in self._admins.values():
            admin.execute("set lock_timeout = '5s'; set session_replication_role = replica")
        self._idle: list[Client] = []  # a session on each, left clean by the test before

    def reset(self) -> None:
        writer = self.writer
        writer.calls.clear()
        writer.settled.clear()
        writer.undone.clear()
        writer.deferred.clear()
        writer.changes.clear()
        writer.missing.clear()
        writer.refuse_with = None
        writer.hold = None
        writer.number = 900
        for admin in self._admins.values():
            admin.execute("begin; set local role sqlsync_engine; " + SEED + "commit; " + LOCAL_SEED)

    def contents(self, conninfo: str) -> list[Any]:
        row = self._admins[conninfo].execute(CONTENTS).fetchone()
        assert row is not None
        return [_NEW_ID.sub(b"<id>", (column or "").encode()) for column in row]

    def assert_same_contents(self) -> None:
        proxied, native = self.contents(self.direct), self.contents(self.native)
        assert proxied == native, difference(native, proxied)

    def compare(
        self, *flights: bytes, calls: int | None = None, user: str | None = None, **options: Any
    ) -> list[Message]:
        """Runs the flights on both, asserts that all is the same, returns what came.

        calls: how many the provider must have seen; None where that is not the question.
        """
        self.reset()
        if user is not None:
            options |= {"user": user, "password": PASSWORD}
        clients, self._idle = (self._idle, []) if not options else ([], self._idle)
        if not clients:
            clients = [Client(conninfo, **options) for conninfo in (self.native, self.proxied)]
        native, proxied = ([m for f in flights for m in client.ask(f)] for client in clients)
        idle = native[-1:] == proxied[-1:] == [("Z", b"I")]
        if options or not idle:
            for client in clients:
                client.close()
        try:
            assert proxied == native, difference(native, proxied)
            if calls is not None:
                assert len(self.writer.calls) == calls, f"{len(self.writer.calls)} calls"
            self.assert_same_contents()
            if not options and idle:
                cleaned = [client.ask(Q("discard all")) for client in clients]
                assert cleaned[0] == cleaned[1]
                self._idle = clients
        finally:
            if self._idle is not clients:
                for client in clients:
                    client.close()
        return native

    def close(self) -> None:
        for client in self._idle:
            client.close()
        for admin in self._admins.values():
            admin.close()


def difference(native: list[Any], proxied: list[Any]) -> str:
    """For the person who reads a failure."""
    found = ((str(n)[:2000], str(p)[:2000]) for n, p in zip_longest(native, proxied))
    lines = [f"  {'' if n == p else '!'} {n}" + ("" if n == p else f"\n  ! {p}") for n, p in found]
    return "native, and what came instead:\n" + "\n".join(lines)


@contextmanager
def twin_databases(server: Any, template: str) -> Iterator[Twins]:
    """Makes both and a proxy before the one; drops them at the end."""
    names = ("wire_books", "wire_twin")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        for role in ROLES:
            connection.execute(
                sql.SQL("create role {} login password {}").format(sql.Identifier(role), PASSWORD)
            )
        create = sql.SQL("create database {} template {}")
        connection.execute(create.format(sql.Identifier(names[0]), sql.Identifier(template)))
        install_books(server.url(names[0]))
        with psycopg.connect(server.url(names[0]), autocommit=True) as books:
            books.execute(EXTRAS)
        connection.execute(create.format(sql.Identifier(names[1]), sql.Identifier(names[0])))
        connection.execute("alter database wire_twin set search_path = books, public")
        connection.execute("alter database wire_books set search_path = books, public")
        with psycopg.connect(server.url(names[1]), autocommit=True) as twin:
            _unguard(twin)
        writer = AcceptingWriter()
        try:
            with running_proxy(server.url(names[0]), writer) as proxied:
                twins = Twins(proxied, server.url(names[1]), server.url(names[0]), writer)
                try:
                    yield twins
                finally:
                    twins.close()
        finally:
            for name in names:
                connection.execute(
                    sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
                )
            for role in ROLES:
                connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def _unguard(connection: psycopg.Connection[Any]) -> None:
    rows = connection.execute(
        "select tgname, tgrelid::regclass::text from pg_trigger where tgname ~ 'sqlsync'"
        " and tgrelid::regclass::text not like 'sqlsync.%'"
    ).fetchall()
    for name, table in rows:
        connection.execute(f'drop trigger "{name}" on {table}')
