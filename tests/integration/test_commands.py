"""Commands as a person runs them, in processes of their own."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from sqlsync.app import addresses
from sqlsync.cli import run
from sqlsync.cli.people import set_up_user
from sqlsync.database import connect, conninfo_to_dict, make_conninfo, query_value
from sqlsync.errors import ConfigError
from sqlsync.settings import load_settings

COMMAND = [sys.executable, "-P", "-m", "sqlsync.cli"]


@pytest.fixture
def environment(tmp_path: Path, database_url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SQLSYNC_")}
    return {
        **kept,
        "SQLSYNC_STATE_DIR": str(tmp_path / "state"),
        "SQLSYNC_DATABASE_URL": database_url,
        "SQLSYNC_PROXY__LISTEN": "127.0.0.1:0",
        "SQLSYNC_WEB__LISTEN": "127.0.0.1:0",
    }


def sqlsync(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=110
    )


def read_ready(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("ready "), line
    return dict(part.split("=", 1) for part in line.split()[1:])


@pytest.fixture
def up(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, "up"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    process.terminate()
    try:
        process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.fixture
def here(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The surroundings of a command that is run in this very process, which is quicker."""
    for name in list(os.environ):
        if name.startswith("SQLSYNC_"):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        if name.startswith("SQLSYNC_"):
            monkeypatch.setenv(name, value)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("here")
def test_migrate_says_what_it_did_and_then_that_there_is_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["migrate"]) == 0
    assert "0001_control" in capsys.readouterr().out
    assert run(["migrate"]) == 0
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("command", ["status", "user add ann", "proxy", "worker", "web"])
def test_a_database_that_is_not_set_up_is_one_line(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command.split()) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1), err
    assert "Run: sqlsync migrate" in err


@pytest.mark.usefixtures("here")
def test_status_of_an_empty_house(capsys: pytest.CaptureFixture[str]) -> None:
    run(["migrate"])
    capsys.readouterr()
    assert run(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"connections": []}
    assert run(["status"]) == 0
    assert "no connections" in capsys.readouterr().out


def test_several_simulated_companies_say_how_each_is_connected(
    environment: dict[str, str],
) -> None:
    services = ["--quickbooks", "127.0.0.1:0", "--xero", "127.0.0.1:0"]
    sizes = ["--companies", "2", "--customers", "1", "--invoices", "1"]
    with subprocess.Popen(
        [*COMMAND, "simulate", *services, *sizes],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        said = read_ready(process)
        process.terminate()
    for word in ("realm", "refresh_token", "tenant", "xero_refresh_token"):
        assert len(set(said[word].split(","))) == 2, word


def test_up_is_ready_on_one_line_and_serves_a_plain_proxy(
    environment: dict[str, str], up: subprocess.Popen[str], database_url: str
) -> None:
    where = read_ready(up)
    assert set(where) == {"proxy", "web"}
    host, _, port = where["proxy"].rpartition(":")
    through = make_conninfo(database_url, host=host, port=port)
    assert query_value(through, "select 41 + 1") == 42
    added = sqlsync(environment, "user", "add", "up_user", "--write")
    assert added.returncode == 0, added.stderr
    (line,) = added.stdout.splitlines()
    assert f"@{where['proxy']}/" in line
    assert query_value(line, "select current_user") == "up_user"
    psql = sqlsync(environment, "psql", "-Atc", "select 'through ' || 'psql'")
    assert psql.stdout.strip() == "through psql", psql.stderr


def test_up_restarts_what_dies_and_stops_everything_on_sigterm(
    environment: dict[str, str], up: subprocess.Popen[str], database_url: str
) -> None:
    where = read_ready(up)
    host, _, port = where["proxy"].rpartition(":")
    through = make_conninfo(database_url, host=host, port=port)
    before = children_of(up.pid)
    assert len(before) == 3
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while True:
        try:
            assert query_value(through, "select 1") == 1
            break
        except Exception:
            assert time.monotonic() < deadline, "the proxy did not come back at its address"
            time.sleep(0.1)
    after = children_of(up.pid)
    up.terminate()
    out, _ = up.communicate(timeout=60)
    assert up.returncode == 0
    assert out == ""  # the ready line was the only one
    assert not any(is_alive(pid) for pid in after)


def test_after_kill_9_of_up_its_children_end(up: subprocess.Popen[str]) -> None:
    read_ready(up)
    children = children_of(up.pid)
    up.kill()
    deadline = time.monotonic() + 30
    while any(is_alive(pid) for pid in children):
        assert time.monotonic() < deadline, "children outlived their parent"
        time.sleep(0.1)


def test_without_a_database_url_an_embedded_server_lives_as_long_as_up(
    environment: dict[str, str], tmp_path: Path
) -> None:
    del environment["SQLSYNC_DATABASE_URL"]
    process = subprocess.Popen([*COMMAND, "up"], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        read_ready(process)
        pid_file = tmp_path / "state" / "postgres" / "data" / "postmaster.pid"
        pid = int(pid_file.read_text().split()[0])
        listed = sqlsync(environment, "status", "--json")
        assert json.loads(listed.stdout) == {"connections": []}
        assert is_alive(pid)  # a second user came and went
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while sqlsync(environment, "status", "--json").returncode != 0:
            assert time.monotonic() < deadline
        pid = int(pid_file.read_text().split()[0])
        assert is_alive(pid)  # `up` has started it again
    finally:
        process.terminate()
        process.wait(60)
    assert process.returncode == 0
    assert not is_alive(pid)


def test_a_port_that_is_taken_ends_up_with_exit_code_2(
    environment: dict[str, str], up: subprocess.Popen[str]
) -> None:
    where = read_ready(up)
    done = sqlsync({**environment, "SQLSYNC_PROXY__LISTEN": where["proxy"]}, "proxy")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert where["proxy"] in done.stderr


class TestUserAdd:
    def test_a_new_user_may_log_in_and_a_second_run_gives_a_new_password(
        self, migrated_url: str
    ) -> None:
        with connect(migrated_url) as database:
            first = set_up_user(database, "reader_one", write=False)
            second = set_up_user(database, "reader_one", write=False)
        assert first != second
        url = make_conninfo(migrated_url, user="reader_one", password=second)
        groups = query_value(
            url,
            "select pg_has_role('sqlsync_reader', 'member')::text"
            " || pg_has_role('sqlsync_writer', 'member')::text",
        )
        assert groups == "truefalse"
        with pytest.raises(ConfigError, match="password authentication failed"):
            query_value(make_conninfo(url, password=first), "select 1")

    def test_a_writer_stays_one(self, migrated_url: str) -> None:
        with connect(migrated_url) as database:
            set_up_user(database, "writer_one", write=True)
            password = set_up_user(database, "writer_one", write=False)
        url = make_conninfo(migrated_url, user="writer_one", password=password)
        assert query_value(url, "select pg_has_role('sqlsync_writer', 'member')") is True

    def test_roles_that_are_not_ours_are_left_alone(self, migrated_url: str) -> None:
        user = str(conninfo_to_dict(migrated_url)["user"])
        with connect(migrated_url) as database:
            database.execute("drop role if exists somebody")
            database.execute("create role somebody login")
            for name in (user, "somebody"):
                with pytest.raises(ConfigError, match="not made by sqlsync"):
                    set_up_user(database, name, write=True)
            database.execute("drop role somebody")


def test_an_address_that_up_chose_is_found_by_other_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQLSYNC_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("SQLSYNC_PROXY__LISTEN", "127.0.0.1:0")
    settings = load_settings()
    with pytest.raises(ConfigError, match="port 0"):
        addresses.proxy_address(settings)
    addresses.note_addresses(settings, {"proxy": "127.0.0.1:4321"})
    assert str(addresses.proxy_address(settings)) == "127.0.0.1:4321"
