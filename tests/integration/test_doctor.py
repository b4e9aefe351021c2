"""What the doctor finds in a house where something is wrong. Nothing answers as a provider."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sqlsync.app.doctor import examine
from sqlsync.cli import run
from sqlsync.database import Connection, TupleRow, connect
from sqlsync.doctor.findings import Level, is_healthy
from sqlsync.migrations import migrate
from sqlsync.settings import Settings, load_settings
from sqlsync.vault import Vault, new_key

KEY, OTHER_KEY = new_key(), new_key()
Configure = Callable[..., Settings]


@pytest.fixture
def configured(tmp_path: Path, migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Settings of a house; keys are variables without their prefix."""

    def configure(**variables: str) -> Settings:
        given = {"DATABASE_URL": migrated_url, "STATE_DIR": str(tmp_path), **variables}
        for name, value in given.items():
            monkeypatch.setenv(f"SQLSYNC_{name}", value)
        return load_settings()

    monkeypatch.chdir(tmp_path)
    return configure


@pytest.fixture
def database(migrated_url: str) -> Iterator[Connection[TupleRow]]:
    with connect(migrated_url) as database:
        yield database


def add_books(database: Connection[TupleRow], key: str = KEY, state: str = "live") -> None:
    vault = Vault([key])
    database.execute(
        "insert into sqlsync.connection (name, provider, schema_name, state, company_id)"
        " values ('books', 'quickbooks', 'quickbooks', %s, '9341')",
        [state],
    )
    database.execute(
        "insert into sqlsync.token (connection_id, access_token, refresh_token, scopes,"
        " access_expires_at, refresh_expires_at) values (1, %s, %s,"
        " 'com.intuit.quickbooks.accounting', now() + '1 hour', now() + '100 days')",
        [vault.seal("an access token"), vault.seal("a refresh token")],
    )


def problems(settings: Settings, name: str | None = None) -> str:
    found = [f for f in examine(settings, name) if f.level is Level.PROBLEM]
    return "\n".join(finding.line() for finding in found)


def test_an_empty_house_is_healthy_and_nothing_is_made(
    configured: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    assert run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ok       migrations: all applied") for line in lines)
    assert any("Run: sqlsync connect" in line for line in lines)
    assert not (tmp_path / "secret.key").exists()
    assert run(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is True and len(report["findings"]) == len(lines)
    assert run(["doctor", "nobody"]) == 2
    assert "There is no connection named 'nobody'" in capsys.readouterr().err


def test_a_database_that_is_away_or_not_set_up_is_one_problem(
    configured: Configure, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    away = configured(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert "cannot be reached" in problems(away)
    bare = configured(DATABASE_URL=database_url)
    assert "0001_control" in problems(bare) and "sqlsync migrate" in problems(bare)
    assert run(["doctor"]) == 1
    assert "problem  migrations" in capsys.readouterr().out
    migrate(database_url)
    assert problems(bare) == ""


def test_a_key_that_is_lost_or_another_is_told_without_making_one(
    configured: Configure, database: Connection[TupleRow], tmp_path: Path
) -> None:
    add_books(database)
    assert "neither the setting secret_key nor" in problems(configured())
    assert not (tmp_path / "secret.key").exists()
    other = problems(configured(SECRET_KEY=OTHER_KEY))
    assert "the tokens of books were sealed with another key" in other
    assert "sqlsync connect quickbooks --name books" in other
    both = problems(configured(SECRET_KEY=f"{OTHER_KEY},{KEY}"))
    assert "sealed with another key" not in both
    (tmp_path / "secret.key").write_text(KEY)
    (tmp_path / "secret.key").chmod(0o644)
    assert "chmod 600" in problems(configured(SECRET_KEY=""))


def test_what_stands_still_is_told_with_what_to_do(
    configured: Configure, database: Connection[TupleRow]
) -> None:
    add_books(database)
    database.execute("create schema quickbooks")
    database.execute(
        "create table quickbooks._sync_cdc (object text, state text, error text,"
        " last_change_at timestamptz, last_webhook_at timestamptz)"
    )
    database.execute(
        "insert into quickbooks._sync_cdc values ('invoice', 'error', '60 of 80 records would be"
        " removed at once. Nothing was removed.', null, null), ('bill', 'live', null, now(), null)"
    )
    database.execute(
        "insert into sqlsync.journal (id, connection_id, state, owner, transaction_id, seq,"
        " role_name, table_name, kind, call_key, call_item, fields) values (gen_random_uuid(), 1,"
        " 'parked', 1, gen_random_uuid(), 1, 'ann', 'bill', 'update', 'k', 0, '{}')"
    )
    database.execute("insert into sqlsync.poll values (1, 5, now(), 'it is down')")
    found = problems(configured(SECRET_KEY=KEY))
    for words in (
        "worker: none runs, so no table follows its company. Run: sqlsync up",
        "1 writes could not be undone and wait for a person. Look: select * from",
        "quickbooks._sync_write where state = 'parked'",
        "sqlsync backfill books --object invoice --accept-missing",
        "polling failed 5 times: it is down",
        "[providers.quickbooks] is not set up",
    ):
        assert words in found
    database.execute("update sqlsync.leader set renewed_at = clock_timestamp()")
    assert "worker" not in problems(configured(SECRET_KEY=KEY))


def test_a_provider_that_is_away_is_told_and_a_lost_grant_is_not_asked(
    configured: Configure, database: Connection[TupleRow]
) -> None:
    add_books(database)
    settings = configured(SECRET_KEY=KEY, PROVIDERS__QUICKBOOKS__API_URL="http://127.0.0.1:1")
    assert "127.0.0.1 cannot be reached" in problems(settings)
    database.execute("update sqlsync.connection set state = 'needs_reauth', state_reason = 'gone'")
    found = problems(settings)
    assert "the grant is gone: gone Run: sqlsync connect quickbooks --name books" in found
    assert "cannot be reached" not in found


def test_wrong_settings_of_a_provider_are_a_finding_and_not_the_end(
    configured: Configure,
) -> None:
    settings = configured(PROVIDERS__QUICKBOOKS__ENVIRONMENT="production")
    found = list(examine(settings, None))
    assert not is_healthy(found)
    assert any("client_id and client_secret are not set" in f.text for f in found)
    assert any(f.area == "migrations" and f.level is Level.OK for f in found)
