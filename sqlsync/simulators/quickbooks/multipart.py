"""The parts of a multipart/form-data body, as uploads of files send it. Pure.

Lines may end in CRLF or, as some clients write, in LF alone; a part may be base64.
Source: RFC 7578; Intuit, "Attach images and notes".
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_PARAMETER = re.compile(r';\s*([A-Za-z*]+)=(?:"((?:\\.|[^"\\])*)"|([^;\s]+))')


@dataclass(frozen=True, slots=True)
class Part:
    """One part. file_name: "" where it has none; content_type: in lower case, "" likewise."""

    name: str
    file_name: str
    content_type: str
    data: bytes


def parse_parts(content_type: str, body: bytes) -> list[Part]:
    """Raises ValueError where the body is no multipart body of that type."""
    kind, parameters = _parsed(content_type)
    boundary = parameters.get("boundary", "")
    if not kind.startswith("multipart/") or not boundary:
        raise ValueError("the body must be multipart/form-data with a boundary")
    mark = b"--" + boundary.encode("latin-1", "replace")
    pieces = re.split(rb"(?:^|\r?\n)" + re.escape(mark), body)
    if len(pieces) < 3 or not pieces[-1].lstrip().startswith(b"--"):
        raise ValueError("the multipart body does not end with its boundary")
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> Part:
    piece = piece.removeprefix(b"\r\n").removeprefix(b"\n")
    found = _HEAD_END.search(piece)
    if found is None:
        raise ValueError("a part has no headers")
    headers: dict[str, str] = {}
    for line in piece[: found.start()].decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    data = piece[found.end() :]
    if headers.get("content-transfer-encoding", "").lower() == "base64":
        try:
            data = base64.b64decode(b"".join(data.split()), validate=True)
        except binascii.Error as error:
            raise ValueError("a part is not base64") from error
    _, parameters = _parsed(headers.get("content-disposition", ""))
    kind, _ = _parsed(headers.get("content-type", ""))
    return Part(parameters.get("name", ""), parameters.get("filename", ""), kind, data)


def _parsed(header: str) -> tuple[str, dict[str, str]]:
    """`type; name="value"` as the type in lower case and its parameters."""
    kind, _, _ = header.partition(";")
    found = {
        match[1].lower(): re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
        for match in _PARAMETER.finditer(header)
    }
    return kind.strip().lower(), found
