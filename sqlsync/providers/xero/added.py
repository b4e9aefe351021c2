"""Members that Xero's records lack and our tables need: whose they are, and a key. No I/O.

A tracking option does not say of which category it is, an attachment or an entry of a history
not of which record; an entry has no key at all, and of the settings of reminders there is one.
Which members an object gets is said in its catalog file (`added`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlsync.providers.xero.calls import Calls
from sqlsync.providers.xero.values import Json, decode_record, encode_json, instant_of

_HISTORY_KEY = "HistoryRecordID"
_REMINDER_KEY = "InvoiceReminderID"


def complete(calls: Calls, rows: Sequence[bytes], known: Mapping[str, Any]) -> list[bytes]:
    """The records of one answer with the members that are added to them.

    known: of the record they lie beneath: TrackingCategoryID; ParentEndpoint and ParentID.
    """
    if not calls.added:
        return list(rows)
    seen: dict[str, int] = {}
    return [encode_json(_completed(calls, decode_record(row), known, seen)) for row in rows]


def options_of(calls: Calls, categories: Sequence[bytes]) -> list[bytes]:
    """The options of tracking categories, each with its category's key."""
    found: list[bytes] = []
    for raw in categories:
        category = decode_record(raw)
        options = [encode_json(option) for option in category.get(calls.collection) or ()]
        found += complete(calls, options, {name: category.get(name) for name in calls.added})
    return found


def _completed(calls: Calls, record: Json, known: Mapping[str, Any], seen: dict[str, int]) -> Json:
    for member in calls.added:
        if record.get(member) is None and known.get(member) is not None:
            record[member] = known[member]
    if _REMINDER_KEY in calls.added:
        record[_REMINDER_KEY] = "settings"
    if _HISTORY_KEY in calls.added:
        at = instant_of(record.get("DateUTC"))
        moment = f"{record.get('ParentID')}:{round(at.timestamp() * 1000) if at else 0}"
        record[_HISTORY_KEY] = f"{moment}:{seen.get(moment, 0)}"
        seen[moment] = seen.get(moment, 0) + 1
    return record
