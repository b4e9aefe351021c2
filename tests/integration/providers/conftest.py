"""A real HTTP server on loopback that does what a test tells it, dropped connections included."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from schema.loader import load_catalog
from schema.model import Catalog
from sqlsync.database import EnginePool, connect, engine_pool, sql
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.simulators.recording import VARIABLE, append, line
from sqlsync.vault import Vault, new_key


@dataclass(frozen=True)
class Seen:
    """A request as the server got it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(frozen=True)
class Reply:
    """A whole answer; `cut`: the connection closes after so many bytes of the body."""

    body: bytes | dict[str, object] = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None

    def bytes(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        head = [f"HTTP/1.1 {self.status} X", f"content-length: {len(body)}"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*head, "", ""]).encode() + body[: self.cut]


DROP = Reply(cut=-1)  # by identity: closes without a word

Handler = Callable[[Seen], Awaitable[Reply]]


def keep(seen: Seen) -> None:
    """Written down as simulated services do it, so that it is checked in the same way."""
    query = urlencode(seen.query).encode()
    pairs = [(name.encode(), value.encode()) for name, value in seen.headers.items()]
    scope = {"method": seen.method, "path": seen.path, "query_string": query, "headers": pairs}
    append(Path(os.environ[VARIABLE]), line(scope, seen.body, None))


class LoopbackServer:
    """Answers with `handler`; keeps what it saw in `seen`."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.seen: list[Seen] = []
        self.url = ""

    def count(self, path: str) -> int:
        return sum(seen.path == path for seen in self.seen)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                method, target, _ = lines[0].split(" ")
                pairs = [line.split(": ", 1) for line in lines[1:] if line]
                headers = {name.lower(): value for name, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                place = urlsplit(target)
                query = {name: values[0] for name, values in parse_qs(place.query).items()}
                seen = Seen(method, place.path, query, headers, body)
                self.seen.append(seen)
                keep(seen)
                reply = await self.handler(seen)
                if reply is DROP:
                    break
                writer.write(reply.bytes())
                await writer.drain()
                if reply.cut is not None:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def loopback(handler: Handler) -> AsyncIterator[LoopbackServer]:
    server = LoopbackServer(handler)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Returns as soon as it holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions of other processes have no event
            await asyncio.sleep(0.005)


@pytest.fixture
def vault() -> Vault:
    return Vault([new_key()])


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog("quickbooks")


@pytest.fixture(scope="session")
def providers_url(postgres_server: EmbeddedPostgres, migrated_template: str) -> str:
    """One database for these tests: they need few tables, and a copy each would be slow."""
    with connect(postgres_server.url()) as connection:
        connection.execute(
            sql.SQL("create database providers template {}").format(
                sql.Identifier(migrated_template)
            )
        )
    return postgres_server.url("providers")


@pytest.fixture
async def pool(providers_url: str) -> AsyncIterator[EnginePool]:
    """A pool on empty control tables."""
    async with engine_pool(providers_url, min_size=1) as pool:
        async with pool.connection() as connection:
            await connection.execute("truncate sqlsync.connection, sqlsync.rate cascade")
        yield pool


@pytest.fixture
async def other_pool(pool: EnginePool, providers_url: str) -> AsyncIterator[EnginePool]:
    """Another process' view of the same database."""
    async with engine_pool(providers_url, min_size=1) as other:
        yield other
