"""What clients write, shown to whoever watches: how a test-suite checks its own requests.

A watcher is called with the User-Agent of the client, the entity's name and the body that was
sent for it, before anything is checked; each write of a batch and each description of an uploaded
file is shown apart. Watchers see all services of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlsync.simulators.quickbooks.entities import entity_by_word, entity_by_wrapper
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.files import pair
from sqlsync.simulators.quickbooks.multipart import parse_parts
from sqlsync.simulators.trouble import Seen

WRITES_MAX = 2000


@dataclass(frozen=True, slots=True)
class Write:
    """One body. agent: the User-Agent of who sent it."""

    agent: str
    entity: str
    body: Any


Watcher = Callable[[str, str, Any], None]
WATCHERS: list[Watcher] = []
_WRITES = frozenset({"create", "update", "delete", "void"})


def show(agent: str, seen: Seen, content_type: str, body: Any) -> list[Write]:
    """Tells the watchers of a request, and says what it writes.

    body: parsed JSON, or the bytes of an upload.
    """
    try:
        writes = [Write(agent, *found) for found in _written(seen, content_type, body)]
    except (Fault, ValueError):
        return []  # an upload that is refused
    for write in writes:
        for watcher in WATCHERS:
            watcher(write.agent, write.entity, write.body)
    return writes


def _written(seen: Seen, content_type: str, body: Any) -> Iterator[tuple[str, Any]]:
    if seen.operation == "batch" and isinstance(body, dict):
        for item in body.get("BatchItemRequest") or ():
            for name, inner in item.items() if isinstance(item, dict) else ():
                if name.lower() in entity_by_wrapper() and isinstance(inner, dict):
                    yield entity_by_wrapper()[name.lower()].name, inner
    elif seen.operation == "upload" and isinstance(body, bytes):
        for sent in pair(parse_parts(content_type, body)):
            if sent.metadata is not None:
                yield "Attachable", sent.metadata
    elif seen.operation in _WRITES and isinstance(body, dict):
        entity = entity_by_word().get(seen.entity)
        if seen.entity == "taxservice":
            yield "TaxService", body
        elif entity is not None:
            yield entity.name, body
