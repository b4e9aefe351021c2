"""What each request to the data service is about. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlsync.simulators.quickbooks.entities import entity_by_word
from sqlsync.simulators.trouble import Seen


def classify(method: str, path: str, params: Mapping[str, str], body: Any) -> Seen:
    """The entity and operation of a request to the data service. path: after the realm."""
    parts = path.strip("/").split("/")
    first = parts[0]
    operation = params.get("operation", "").lower()
    if first in ("query", "cdc", "batch"):
        entity = ""
        if first == "query":
            words = str(body if method == "POST" else params.get("query", "")).lower().split()
            at = words.index("from") + 1 if "from" in words else len(words)
            entity = words[at] if at < len(words) and words[at] in entity_by_word() else ""
        return Seen(method, path, entity, first)
    if first in ("upload", "download"):
        return Seen(method, path, "attachable", first)
    if first == "taxservice":
        return Seen(method, path, first, "create")
    if method == "GET":
        return Seen(method, path, first, "pdf" if parts[-1] == "pdf" else "read")
    if parts[-1] == "send":
        return Seen(method, path, first, "send")
    if operation in ("delete", "void"):
        return Seen(method, path, first, operation)
    if "void" in params.get("include", "").split(","):
        return Seen(method, path, first, "void")
    is_update = isinstance(body, dict) and body.get("Id") not in (None, "")
    return Seen(method, path, first, "update" if is_update else "create")
