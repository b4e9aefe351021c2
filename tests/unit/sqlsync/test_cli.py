"""Bad input at the command line: one clear line on stderr, exit code 2, nothing on stdout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sqlsync.cli import run


@pytest.fixture(autouse=True)
def _empty_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("SQLSYNC_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "nonsense"),
        (["status", "--nonsense"], "--nonsense"),
        (["status", "--config"], "--config"),
        (["status", "--config", "missing.toml"], "missing.toml: there is no such file"),
        (["backfill"], "N"),
        (["connect", "quickbooks"], "--name"),
        (["connect", "sage", "--name", "x"], "quickbooks or xero"),
        (["connect", "quickbooks", "--name", "x"], "simulate --quickbooks HOST:PORT"),
        (["connect", "quickbooks", "--name", "x", "--refresh-token", "t"], "needs --company"),
        (["disconnect"], "NAME"),
        (["connect", "xero", "--name", "x"], '[providers.xero] lacks environment = "production"'),
        (["user", "add"], "name"),
        (["user", "add", "pg_evil"], "cannot be a user's name"),
        (["user", "add", "a b"], "cannot be a user's name"),
        (["simulate", "--customers", "many"], "--customers"),
        (["simulate", "--customers", "-1"], "--customers"),
        (["simulate", "--quickbooks", "nowhere"], "--quickbooks"),
        (["simulate", "--xero", "nowhere"], "--xero"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("sqlsync: ")
    assert len(err.splitlines()) == 1
    assert words in err


def test_settings_that_are_wrong_stop_every_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("sqlsync.toml").write_text("[proxy]\nlisten = 'x'\n")
    for command in ("migrate", "up", "proxy", "worker", "web", "status", "psql", "demo"):
        assert run([command]) == 2, command
        out, err = capsys.readouterr()
        assert (out, len(err.splitlines())) == ("", 1), command
        assert "sqlsync.toml: proxy.listen" in err


def test_a_database_that_nobody_answers_for_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SQLSYNC_DATABASE_URL", "postgresql://u:secret@127.0.0.1:1/d")
    assert run(["status"]) == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert "secret" not in err
    assert "127.0.0.1:1" in err


def test_help_lists_the_commands_and_without_a_command_it_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for command in (
        *("migrate", "connect", "up", "proxy", "worker", "web", "status", "backfill"),
        "report",
        *("user", "simulate", "psql", "demo"),
    ):
        assert command in text
    assert run([]) == 2
