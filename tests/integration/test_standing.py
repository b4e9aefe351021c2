"""sqlsync status: objects, reports and open writes of a connection, for people and programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sqlsync.cli import run
from sqlsync.database import connect


def test_reports_are_counted_as_stored_waiting_and_failing(
    quickbooks_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQLSYNC_DATABASE_URL", quickbooks_url)
    with connect(quickbooks_url) as database:
        database.execute("set role sqlsync_engine")
        database.execute(
            "update quickbooks._sync_report set state = 'ready', fetched_at = now()"
            " where report in ('ProfitAndLoss', 'BalanceSheet')"
        )
        # The last time it was asked for it failed; what came before that is still there.
        database.execute(
            "update quickbooks._sync_report set state = 'error', error = 'not in the plan'"
            " where report = 'BalanceSheet'"
        )
        waiting = database.execute(
            "select count(*) from quickbooks._sync_report where state = 'pending' and scheduled"
        ).fetchone()
        assert waiting is not None
        assert waiting[0] > 5
    assert run(["status"]) == 0
    shown = capsys.readouterr().out
    assert f"reports: 2 stored, {waiting[0]} waiting, 1 failing" in shown
    assert "sqlsync report books" in shown
    assert run(["status", "--json"]) == 0
    [connection] = json.loads(capsys.readouterr().out)["connections"]
    assert connection["reports"] == {"stored": 2, "waiting": waiting[0], "failing": 1}
