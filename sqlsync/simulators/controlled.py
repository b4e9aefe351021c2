"""A running simulator as seen from outside: looking and interfering over `/_control`.

What the simulated services have in common; each adds its own words for records and tokens. The
methods are ordinary blocking calls over HTTP, short enough for any test.
"""

from __future__ import annotations

import asyncio
import http.client
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from starlette.applications import Starlette

from sqlsync.simulators.server import HttpServer, new_event_loop

Doc = dict[str, Any]
START_SECONDS = 60


class Controlled:
    """Where a simulator is, and how to interfere with it. decode: its JSON with exact numbers."""

    def __init__(self, address: str) -> None:
        self.address = address  # "127.0.0.1:40001"
        self.base_url = f"http://{address}"

    @staticmethod
    def encode(value: Any) -> bytes:
        return msgspec.json.encode(value)

    @staticmethod
    def decode(data: bytes) -> Any:
        return msgspec.json.decode(data)

    # -- interfering ---------------------------------------------------------------------------

    def trouble(
        self,
        kind: str,
        *,
        times: int = 1,
        skip: int = 0,
        when: str | None = None,
        status: int = 503,
        seconds: float = 0.0,
        body: str | None = None,
        **match: str,
    ) -> None:
        """Scripts trouble (see simulators.trouble). match: method, path, entity, operation."""
        rule: Doc = {
            "kind": kind,
            "times": times,
            "skip": skip,
            "status": status,
            "seconds": seconds,
            "match": match,
        }
        if when is not None:
            rule["when"] = when
        if body is not None:
            rule["body"] = body
        self._post("/trouble", rule)

    def expire_tokens(self) -> None:
        """All access tokens end now; the client must refresh."""
        self._post("/tokens", {"expire": True})

    def advance(self, seconds: float) -> None:
        """Moves the simulator's clock forward."""
        self._post("/clock", {"advance_seconds": seconds})

    def set_options(self, **options: Any) -> None:
        self._post("/options", options)

    def mischief(self, **mischief: Any) -> None:
        """Spoils the next webhook deliveries."""
        self._post("/webhooks", mischief)

    def reset(self) -> None:
        """Forgets counted requests, applied writes and scripted trouble."""
        self._post("/reset", {})

    # -- looking -------------------------------------------------------------------------------

    def requests(self) -> dict[str, int]:
        """How many requests of each kind there were; what is missing was never asked."""
        return dict(self._get("/requests")["counts"])

    def log(self) -> list[Doc]:
        return list(self._get("/requests")["log"])

    def status(self) -> Doc:
        return dict(self._get(""))

    # -- transport ------------------------------------------------------------------------------

    def _get(self, path: str) -> Any:
        status, answer = self._send("GET", f"/_control{path}")
        if status != 200:
            raise ValueError(answer.get("error", answer))
        return answer

    def _post(self, path: str, body: Any) -> Any:
        status, answer = self._send("POST", f"/_control{path}", self.encode(body))
        if status != 200:
            raise ValueError(answer.get("error", answer))
        return answer

    def _send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        status, found, data = self.raw(method, path, body, headers)
        is_json = "json" in found.get("content-type", "")
        return status, self.decode(data) if is_json and data else data

    def raw(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in lower case) and body of one request of its own."""
        host, _, port = self.address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        return response.status, {n.lower(): v for n, v in response.headers.items()}, data


@contextmanager
def served(app: Starlette, address: str) -> Iterator[str]:
    """The application on a thread of this process; gives the address it listens on."""
    server = HttpServer(app, address)
    loop = new_event_loop()
    started = threading.Event()
    stopping = asyncio.Event()

    async def main() -> None:
        await server.start()
        started.set()
        await stopping.wait()
        await server.stop()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True)
    thread.start()
    if not started.wait(START_SECONDS):
        raise RuntimeError("the simulator did not start")
    try:
        yield server.address
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)
        if not loop.is_running():
            loop.close()


@contextmanager
def simulators_process(arguments: Sequence[str]) -> Iterator[dict[str, str]]:
    """`python -m sqlsync.simulators` with arguments; gives the words of its `ready` line."""
    command = [sys.executable, "-m", "sqlsync.simulators", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("ready "):
                raise RuntimeError(f"the simulator did not start: {line!r}")
            yield dict(word.partition("=")[::2] for word in line.split()[1:])
        finally:
            process.terminate()
            process.wait(10)


def tokens_said(words: Mapping[str, str], ids: str, tokens: str) -> dict[str, str]:
    """First refresh tokens by company, from the words of a `ready` line."""
    return dict(zip(words[ids].split(","), words[tokens].split(","), strict=True))
