"""A proxy before a write engine that accepts everything: what Postgres itself answers remains.

The provider here takes every change as it was captured and gives new records numbers, so that
what a client sees can be held against direct execution on a twin database. It counts its calls.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg

from proxy.service import serve
from schema.loader import load_catalog
from sqlsync.database import connect_engine, engine_pool
from sqlsync.errors import SqlsyncError
from sqlsync.mirror.install import install
from sqlsync.settings import Address, ProxySettings
from sqlsync.writes.model import CancelToken, WriteRequest, WriteResult

encode = msgspec.json.Encoder(decimal_format="number").encode


class AcceptingWriter:
    """Takes what it is given. `answer` may change a row as a provider would."""

    def __init__(self) -> None:
        self.calls: list[WriteRequest] = []
        self.settled: list[UUID] = []
        self.undone: list[UUID] = []
        self.deferred: list[frozenset[UUID]] = []
        self.refuse_with: SqlsyncError | None = None
        self.missing: dict[str, dict[str, Any]] = {}
        self.changes: dict[str, Any] = {}  # columns every answer gets
        self.hold: threading.Event | None = None
        self.number = 900  # the last one given to a new record

    async def execute(self, request: WriteRequest, cancel: CancelToken) -> WriteResult:
        self.calls.append(request)
        cancel.sent = True
        while self.hold is not None and not self.hold.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # set by another thread
        if self.refuse_with is not None:
            raise self.refuse_with
        if all(c.old == c.new for c in request.changes):
            return WriteResult()
        upserts: dict[str, list[dict[str, Any]]] = {}
        deletes: dict[str, list[str]] = {}
        keys = {}
        for change in request.changes:
            if change.new is None:
                assert change.old is not None
                deletes.setdefault(change.table, []).append(change.old["id"])
                continue
            row = {**change.new, **self.changes}
            if change.operation == "insert" and str(row["id"]).startswith("new:"):
                self.number += 1
                keys[change.table, row["id"]] = str(self.number)
                row["id"] = str(self.number)
            upserts.setdefault(change.table, []).append(row)
        entry = uuid4()
        payload = {
            "schema": request.schema_name,
            "entries": [str(entry)],
            "upserts": [{"table": t, "version": None, "rows": r} for t, r in upserts.items()],
            "deletes": [{"table": t, "ids": i} for t, i in deletes.items()],
        }
        return WriteResult((entry,), encode(payload), keys)

    async def fetch_missing(self, schema_name: str, table: str, record_id: str) -> bytes | None:
        row = self.missing.get(record_id)
        if row is None:
            return None
        return encode(
            {"schema": schema_name, "upserts": [{"table": table, "version": None, "rows": [row]}]}
        )

    async def commit_deferred(self, transaction: UUID, live: Collection[UUID]) -> None:
        self.deferred.append(frozenset(live))

    async def settle(self, transaction: UUID, xid: str | None) -> list[str]:
        self.settled.append(transaction)
        return []

    async def undo(self, entries: Collection[UUID]) -> list[str]:
        self.undone.extend(entries)
        return []


def install_books(url: str, schema_name: str = "books") -> None:
    """The tables of a connection, without a provider."""

    async def main() -> None:
        async with await connect_engine(url) as connection:
            row = await (
                await connection.execute(
                    "insert into sqlsync.connection (name, provider, schema_name, state)"
                    " values (%s, 'quickbooks', %s, 'live') returning id",
                    [schema_name, schema_name],
                )
            ).fetchone()
            assert row is not None
            await install(connection, load_catalog("quickbooks"), schema_name, row[0])

    asyncio.run(main())


@contextmanager
def running_proxy(url: str, writer: Any, **settings: Any) -> Iterator[str]:
    """The proxy in a thread of its own; gives the URL through it."""
    started: list[Any] = []
    is_ready = threading.Event()

    async def main() -> None:
        stop = asyncio.Event()
        started.append((asyncio.get_running_loop(), stop))
        async with engine_pool(url) as pool:
            await serve(
                ProxySettings(listen=Address(host="127.0.0.1", port=0), **settings),
                url,
                pool,
                {"quickbooks": load_catalog("quickbooks")},
                writer,
                stop=stop,
                on_ready=lambda host, port: (started.append(port), is_ready.set()),
            )

    thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
    thread.start()
    assert is_ready.wait(20), "the proxy did not start"
    loop, stop = started[0]
    parts = psycopg.conninfo.conninfo_to_dict(url)
    parts.update(host="127.0.0.1", port=str(started[1]))
    try:
        yield psycopg.conninfo.make_conninfo("", **parts)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)


__all__ = ["AcceptingWriter", "Decimal", "install_books", "running_proxy"]
