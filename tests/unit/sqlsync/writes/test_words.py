"""What a client is told beside the rows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schema.loader import load_catalog
from sqlsync.providers.base import Step, StepKind
from sqlsync.writes.words import kept_notices

CATALOG = load_catalog("quickbooks")
BASE: dict[str, Any] = {"Id": "2", "SyncToken": "0", "BudgetEntryType": "Yearly", "Name": "plan"}


def told(fields: dict[str, Any], **answered: Any) -> tuple[str, ...]:
    step = Step(StepKind.UPDATE, CATALOG.by_table["budget"], fields, "2", json.dumps(BASE).encode())
    answer = json.dumps({**BASE, "SyncToken": "1", **answered}).encode()
    return kept_notices(CATALOG, [(step, answer)] * 2)


def test_what_the_provider_left_as_it_was_is_told() -> None:
    assert told({"BudgetEntryType": "Monthly", "Name": "other"}, Name="other") == (
        '[QuickBooks] Budget `2` and 1 more: QuickBooks left "budget_entry_type" as it was',
    )


@pytest.mark.parametrize(
    ("fields", "answered"),
    [
        ({"Name": "other"}, {"Name": "other"}),
        ({"Name": "other"}, {"Name": "Other, Inc."}),  # changed in its own way, and shown so
        ({"Name": None}, {"Name": ""}),
        ({"Active": None}, {}),
        ({"BudgetDetail": [{"Amount": 5}]}, {}),
    ],
)
def test_nothing_is_said_of_what_was_done(fields: dict[str, Any], answered: dict[str, Any]) -> None:
    assert told(fields, **answered) == ()
