"""What our adapters asked of simulated services, held against the vendors' own files.

Every simulated service that a test starts, in this process or in one of its own, writes its
requests to one file (`sqlsync.simulators.recording`). Xero's are held against its OpenAPI file,
each body that QuickBooks is to write against Intuit's schemas; both lie beside the project.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import quickbooks_xsd
import xero_openapi

from sqlsync.simulators.quickbooks.entities import entity_by_word, entity_by_wrapper
from sqlsync.simulators.quickbooks.files import pair
from sqlsync.simulators.quickbooks.multipart import parse_parts

OURS = "sqlsync"  # the User-Agent of our adapters
COMPANY = "/v3/company/"


def unchecked() -> list[str]:
    """The files of the vendors that are missing."""
    found = {
        str(quickbooks_xsd.FOLDER): quickbooks_xsd.is_there(),
        str(xero_openapi.FILE): xero_openapi.is_there(),
    }
    return [name for name, is_there in found.items() if not is_there]


class Recorded:
    """The requests in a file, each looked at once."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._read = 0

    def problems(self) -> list[str]:
        """What is wrong with the requests since the last call; each thing once."""
        wrong: dict[str, None] = {}
        for request in self._new():
            if request["headers"].get("user-agent", "").startswith(OURS):
                wrong |= dict.fromkeys(problems(request))
        return list(wrong)

    def _new(self) -> Iterator[dict[str, Any]]:
        if not self.file.exists() or self.file.stat().st_size == self._read:
            return
        with self.file.open("rb") as lines:
            lines.seek(self._read)
            data = lines.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            yield json.loads(line)


def problems(request: dict[str, Any]) -> list[str]:
    """What is wrong with a request, as a line of the file has it."""
    method, path, headers = request["method"], request["path"], request["headers"]
    query = dict(parse_qsl(request["query"], keep_blank_values=True))
    encoded = request.get("body_base64")
    body = request["body"].encode() if encoded is None else base64.b64decode(encoded)
    if path.startswith(xero_openapi.PREFIX) and xero_openapi.is_there():
        return xero_openapi.problems(method, path, query, headers, body)
    if path.startswith(COMPANY) and method == "POST" and quickbooks_xsd.is_there():
        word = path.removeprefix(COMPANY).partition("/")[2].lower()
        written = _written(word, headers.get("content-type", ""), body)
        return [text for name, value in written for text in quickbooks_xsd.problems(name, value)]
    return []


def _written(word: str, content_type: str, body: bytes) -> Iterator[tuple[str, Any]]:
    """Entities and the bodies sent for them. word: the address below the company."""
    if word == "upload":
        for sent in pair(parse_parts(content_type, body)):
            if sent.metadata is not None:
                yield "Attachable", sent.metadata
    elif word == "batch":
        for item in json.loads(body)["BatchItemRequest"]:
            for name, value in item.items():
                if isinstance(value, dict):
                    entity = entity_by_wrapper().get(name.lower())
                    yield entity.name if entity is not None else name, value
    elif word == "taxservice/taxcode":
        yield "TaxService", json.loads(body)
    elif word in entity_by_word():
        yield entity_by_word()[word].name, json.loads(body)
