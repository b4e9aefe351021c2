"""What the doctor makes of what it saw. No database, no provider."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schema.loader import load_catalog
from sqlsync.doctor.company import Called, judge_call, judge_failure
from sqlsync.doctor.findings import Finding, Level, is_healthy, note, ok, problem
from sqlsync.doctor.standing import (
    ObjectFact,
    Standing,
    judge_limits,
    judge_objects,
    judge_scopes,
    judge_state,
    judge_webhooks,
)
from sqlsync.errors import ConfigError, NeedsReauth, NotPermitted, Unreachable

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BOOKS = Standing(
    id=1,
    name="books",
    provider="quickbooks",
    company_id="9341",
    company_name="Acme Ltd",
    schema_name="quickbooks",
    state="live",
    state_reason=None,
    scopes_granted=["com.intuit.quickbooks.accounting"],
    scopes_missing=None,
    connected_at=NOW,
    paused_at=None,
    access_token_expires_at=NOW + timedelta(hours=1),
    refresh_token_expires_at=NOW + timedelta(days=100),
    refreshed_at=NOW,
    last_error=None,
    last_webhook_at=NOW,
    minute_calls_left=None,
    day_calls_left=None,
    calls_left_at=None,
    all_names=["books"],
    poll_failures=None,
    poll_error=None,
    waiting_seconds=0.0,
    at=NOW,
)
KESTREL = replace(BOOKS, name="kestrel", provider="xero", schema_name="xero")
SETTING = "providers.quickbooks.webhook_verifier_token"


def problems(findings: Any) -> list[Finding]:
    return [f for f in findings if f.level is Level.PROBLEM]


def test_a_finding_is_one_line_with_what_to_do() -> None:
    finding = problem("connection books", "the grant\nis gone.", "Run: sqlsync connect")
    assert finding.line() == ("problem  connection books: the grant is gone. Run: sqlsync connect")
    assert json.loads(json.dumps(finding.as_json()))["level"] == "problem"


def test_notes_are_no_problem() -> None:
    assert is_healthy([ok("a", "b"), note("a", "b")])
    assert not is_healthy([ok("a", "b"), problem("a", "b")])


def test_a_connection_that_is_well_has_nothing_to_complain_of() -> None:
    findings = [
        *judge_state(BOOKS),
        *judge_scopes(BOOKS),
        *judge_limits(BOOKS),
        *judge_webhooks(BOOKS, [], {"quickbooks": True}, SETTING),
        *judge_objects(BOOKS, [], None, {}),
    ]
    assert is_healthy(findings) and len(findings) == 2


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (replace(BOOKS, state="needs_reauth", state_reason="revoked"), "the grant is gone"),
        (replace(BOOKS, refresh_token_expires_at=NOW + timedelta(days=9)), "ends on 2026-12-01"),
        (replace(BOOKS, refresh_token_expires_at=NOW - timedelta(days=1)), "has ended"),
        (replace(BOOKS, state_reason="No tables: taken"), "No tables"),
    ],
)
def test_a_grant_that_is_gone_or_ends_soon_is_a_problem(standing: Standing, words: str) -> None:
    [found] = problems(judge_state(standing))
    assert words in found.line()


def test_what_a_person_stopped_is_only_noted() -> None:
    paused = list(judge_state(replace(BOOKS, state="paused")))
    assert is_healthy(paused) and "sqlsync resume books" in paused[0].line()
    gone = list(judge_state(replace(BOOKS, state="pending", state_reason="disconnected")))
    assert is_healthy(gone) and "sqlsync connect quickbooks --name books" in gone[0].line()


def test_missing_scopes_are_named() -> None:
    [found] = judge_scopes(replace(KESTREL, scopes_missing=["accounting.payments"]))
    assert found.level is Level.PROBLEM and "accounting.payments" in found.text


def test_limits_that_run_out_are_told() -> None:
    assert list(judge_limits(replace(KESTREL, day_calls_left=1000))) == []
    [found] = judge_limits(replace(KESTREL, day_calls_left=12))
    assert "12 calls are left" in found.text
    [found] = judge_limits(replace(KESTREL, waiting_seconds=90.0))
    assert "90 s more" in found.text


def changed(at: datetime) -> list[ObjectFact]:
    return [ObjectFact("invoice", "live", None, at, None)]


def test_webhooks_that_stay_away_while_changes_come_are_a_problem() -> None:
    has = {"quickbooks": True}
    silent = replace(BOOKS, last_webhook_at=NOW - timedelta(days=3))
    [found] = problems(judge_webhooks(silent, changed(NOW), has, SETTING))
    assert "the last webhook came 2026-11-19" in found.text
    assert is_healthy(judge_webhooks(silent, changed(NOW - timedelta(days=3)), has, SETTING))
    never = list(judge_webhooks(replace(BOOKS, last_webhook_at=None), [], has, SETTING))
    assert is_healthy(never) and "/webhooks/quickbooks" in never[0].line()
    untaken = list(judge_webhooks(BOOKS, [], {}, SETTING))
    assert is_healthy(untaken) and SETTING in untaken[0].line()


def in_error(table: str, error: str) -> list[ObjectFact]:
    return [ObjectFact(table, "error", error, None, None)]


def test_a_sweep_that_was_not_believed_says_how_to_accept_it() -> None:
    facts = in_error("invoice", "600 of 1000 records would be removed at once.")
    [found] = judge_objects(BOOKS, facts, None, {})
    assert "sqlsync backfill books --object invoice --accept-missing" in found.line()


def test_a_table_whose_scope_is_never_asked_for_is_only_noted() -> None:
    catalog = load_catalog("xero")
    facts = in_error("journal", "the consent does not cover it (scope accounting.journals.read)")
    never = judge_objects(KESTREL, facts, catalog, {"accounting.journals.read": False})
    assert is_healthy(never)
    assert not is_healthy(judge_objects(KESTREL, facts, catalog, {}))


def test_polls_that_fail_again_and_again_are_a_problem() -> None:
    failing = replace(BOOKS, poll_failures=4, poll_error="the provider is down")
    [found] = judge_objects(failing, [], None, {})
    assert "4 times: the provider is down" in found.text


@pytest.mark.parametrize(("seconds", "words"), [(90, "ahead of"), (-90, "behind")])
def test_a_clock_that_is_off_is_told(seconds: int, words: str) -> None:
    [found] = problems(judge_call(BOOKS, Called(NOW, NOW + timedelta(seconds=seconds), {})))
    assert words in found.text and "90 s" in found.text
    assert not problems(judge_call(BOOKS, Called(NOW, NOW + timedelta(seconds=5), {})))


def test_settings_that_change_what_writes_do_are_noted() -> None:
    preferences = {
        "SalesFormsPrefs": {"CustomTxnNumbers": True},
        "CurrencyPrefs": {"MultiCurrencyEnabled": True, "HomeCurrency": {"value": "USD"}},
        "AccountingInfoPrefs": {"BookCloseDate": "2025-12-31"},
    }
    found = list(judge_call(BOOKS, Called(NOW, NOW, preferences)))
    text = "\n".join(f.line() for f in found)
    assert is_healthy(found)
    assert "doc_number" in text and "home is USD" in text and "closed until 2025-12-31" in text
    locked = {"PeriodLockDate": "/Date(1774915200000+0000)/", "OrganisationStatus": "DISABLED"}
    text = "\n".join(f.line() for f in judge_call(KESTREL, Called(NOW, NOW, locked)))
    assert "PeriodLockDate is set" in text and "DISABLED" in text


@pytest.mark.parametrize(
    ("sample", "kind", "words"),
    [
        ("quickbooks/samples/preferences.json", "quickbooks", "closed until 2025-12-31"),
        ("xero/samples/organisation.json", "xero", "PeriodLockDate is set"),
    ],
)
def test_the_providers_own_samples_are_understood(sample: str, kind: str, words: str) -> None:
    path = Path(__file__).parents[4].parent / "shared" / "reference" / sample
    if not path.exists():
        pytest.skip(f"{path} is not there")
    body = json.loads(path.read_text())
    record = body["Preferences"] if kind == "quickbooks" else body["Organisations"][0]
    standing = BOOKS if kind == "quickbooks" else KESTREL
    text = "\n".join(f.line() for f in judge_call(standing, Called(NOW, NOW, record)))
    assert words in text


@pytest.mark.parametrize(
    ("error", "level", "words"),
    [
        (NeedsReauth("The grant is gone"), Level.PROBLEM, "sqlsync connect quickbooks"),
        (NotPermitted("no scope"), Level.NOTE, "cannot be read"),
        (Unreachable("down"), Level.PROBLEM, "does not answer"),
        (ConfigError("not set up", hint="Set it."), Level.PROBLEM, "Set it."),
        (KeyError("organisation"), Level.PROBLEM, "makes no sense"),
    ],
)
def test_a_call_that_fails_is_a_finding(error: Exception, level: Level, words: str) -> None:
    found = judge_failure(BOOKS, error)
    assert found.level is level and words in found.line()
