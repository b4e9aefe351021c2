"""Following a backfill: what ends it, and what a refused object does to it."""

from __future__ import annotations

import pytest

from sqlsync.cli.progress import follow_backfill
from sqlsync.cli.standing import find_connection
from sqlsync.database import connect
from sqlsync.errors import SqlsyncError


def follow(url: str) -> dict[str, int]:
    with connect(url) as database:
        return follow_backfill(url, find_connection(database, "books"))


def test_an_object_the_plan_lacks_is_named_and_does_not_fail_the_rest(
    quickbooks_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with connect(quickbooks_url) as database:
        database.execute("set role sqlsync_engine")
        database.execute("update quickbooks._sync_cdc set state = 'live', rows_done = 3")
        database.execute(
            "update quickbooks._sync_cdc set state = 'error', error = 'not in this plan',"
            " next_run_at = now() + interval '1 hour' where object = 'item'"
        )
    found = follow(quickbooks_url)
    assert found["customer"] == 3
    assert "item" not in found
    assert "not read: item: not in this plan" in capfd.readouterr().err


def test_an_object_in_passing_trouble_ends_the_command_with_its_error(quickbooks_url: str) -> None:
    with connect(quickbooks_url) as database:
        database.execute("set role sqlsync_engine")
        database.execute("update quickbooks._sync_cdc set state = 'live'")
        database.execute(
            "update quickbooks._sync_cdc set state = 'error', error = 'service down',"
            " next_run_at = now() + interval '4 seconds' where object = 'item'"
        )
    with pytest.raises(SqlsyncError, match="item: service down"):
        follow(quickbooks_url)
