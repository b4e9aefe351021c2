"""What clients ask, kept in a file: one JSON object a line, as it arrived.

    {"method": "POST", "path": "/v3/company/9130.../invoice", "query": "minorversion=75",
     "headers": {"user-agent": ..., "content-type": ...}, "body": "{...}", "status": 200}

A line is written before its answer leaves, so whoever has the answer finds the line. Several
processes may write to one file: each line is appended whole. Requests to `/_control` are not
kept, and of `authorization` only the scheme. A body that is no text stands in `body_base64`.
status: null where the connection was closed without an answer.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

VARIABLE = "SQLSYNC_SIMULATE_RECORD"  # names a file for all services that this process starts

_Asgi = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


class Recorder:
    """An application around another, which writes down each request."""

    def __init__(self, app: _Asgi, file: str | Path) -> None:
        """Raises OSError where the file cannot be written."""
        self.app = app
        self.file = Path(file)
        append(self.file, b"")

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_control"):
            await self.app(scope, receive, send)
            return
        body = bytearray()
        is_kept = False

        async def heard() -> Any:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        def keep(status: int | None) -> None:
            nonlocal is_kept
            if not is_kept:
                append(self.file, line(scope, bytes(body), status))
            is_kept = True

        async def said(message: Any) -> None:
            if message["type"] == "http.response.start":
                keep(message["status"])
            await send(message)

        try:
            await self.app(scope, heard, said)
        finally:
            keep(None)


def line(scope: MutableMapping[str, Any], body: bytes, status: int | None) -> bytes:
    """One request as a line of the file. scope: ASGI's."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    if "authorization" in headers:
        headers["authorization"] = headers["authorization"].partition(" ")[0]
    kept: dict[str, Any] = {
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode("latin-1"),
        "headers": headers,
    }
    try:
        kept["body"] = body.decode()
    except UnicodeDecodeError:
        kept["body_base64"] = base64.b64encode(body).decode()
    return json.dumps({**kept, "status": status}).encode() + b"\n"


def append(file: Path, data: bytes) -> None:
    """In one piece, at the end, whoever else writes there."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
