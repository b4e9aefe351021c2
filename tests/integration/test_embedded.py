"""The embedded server, for real: made, shared, adopted, refused."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sqlsync.database import connect, query_value
from sqlsync.embedded import EmbeddedPostgres, sweep_abandoned
from sqlsync.embedded_binaries import NOBODY, Binaries, Demotion, find_binaries
from sqlsync.errors import ConfigError, DatabaseUnavailable


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    """Whatever a test leaves running in it is stopped."""
    directory = tmp_path / "state"
    yield directory
    with EmbeddedPostgres.under(directory):
        pass
    assert not (directory / "postgres" / "data" / "postmaster.pid").exists()


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def server_pid(server: EmbeddedPostgres) -> int:
    return int((server.data / "postmaster.pid").read_text().splitlines()[0])


def is_alive(pid: int) -> bool:
    """A killed server whose parent is gone may stay a zombie where nobody reaps."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def start_elsewhere(state_dir: Path) -> subprocess.Popen[str]:
    """Another process that uses the server until its stdin ends."""
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from sqlsync.embedded import EmbeddedPostgres
        with EmbeddedPostgres.under(Path(sys.argv[1])) as server:
            print(server.port, flush=True)
            sys.stdin.read()
        """
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, str(state_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_it_listens_on_loopback_alone_and_wants_the_password(state_dir: Path) -> None:
    with EmbeddedPostgres.under(state_dir) as server:
        assert query_value(server.database_url, "select current_database()") == "sqlsync"
        show = {
            name: query_value(server.url(), f"show {name}")
            for name in ("listen_addresses", "unix_socket_directories", "fsync")
        }
        assert show == {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "on",
        }
        assert (
            query_value(
                server.url(), "select string_agg(distinct auth_method, ',') from pg_hba_file_rules"
            )
            == "scram-sha-256"
        )
        with pytest.raises(ConfigError, match="password authentication failed"):
            query_value(server.url(user="postgres", password="wrong"), "select 1")
        for name in ("password", "server.log"):
            mode = stat.S_IMODE((server.directory / name).stat().st_mode)
            assert mode == 0o600, name


def test_lower_case_knows_more_than_ascii(state_dir: Path) -> None:
    with EmbeddedPostgres.under(state_dir) as server:
        if server.binaries.major < 17:
            pytest.skip("the built-in provider of C.UTF-8 came with version 17")
        assert query_value(server.database_url, "select lower('ÉTÉ Ä')") == "été ä"


def test_data_outlive_a_stop(state_dir: Path) -> None:
    with EmbeddedPostgres.under(state_dir) as server:
        first = server_pid(server)
        with connect(server.database_url) as connection:
            connection.execute("create table kept as select 42 as x")
    assert not is_alive(first)
    with EmbeddedPostgres.under(state_dir) as server:
        assert not server.adopted
        assert query_value(server.database_url, "select x from kept") == 42


def test_the_last_user_stops_the_server_whoever_started_it(state_dir: Path) -> None:
    other = start_elsewhere(state_dir)
    assert other.stdout is not None
    port = int(other.stdout.readline())
    with EmbeddedPostgres.under(state_dir) as server:
        assert server.adopted
        assert server.port == port
        pid = server_pid(server)
        other.communicate("", timeout=30)
        assert other.returncode == 0
        assert query_value(server.url(), "select 1") == 1
    until(lambda: not is_alive(pid))


def test_two_at_once_make_one_server(state_dir: Path) -> None:
    both = [start_elsewhere(state_dir) for _ in range(2)]
    ports = set()
    for process in both:
        assert process.stdout is not None
        ports.add(int(process.stdout.readline()))
    assert len(ports) == 1
    for process in both:
        process.communicate("", timeout=30)
        assert process.returncode == 0


def test_after_kill_9_of_its_users_the_server_is_adopted(state_dir: Path) -> None:
    other = start_elsewhere(state_dir)
    assert other.stdout is not None
    other.stdout.readline()
    other.kill()
    other.wait()
    with EmbeddedPostgres.under(state_dir) as server:
        assert server.adopted
        pid = server_pid(server)
    until(lambda: not is_alive(pid))


def test_after_kill_9_of_the_server_itself_it_is_started_again(state_dir: Path) -> None:
    with EmbeddedPostgres.under(state_dir) as server:
        pid = server_pid(server)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_alive(pid))
        again = EmbeddedPostgres.under(state_dir)
        again.start()
        assert not again.adopted
        assert query_value(again.url(), "select 1") == 1
        again.stop()


def test_after_kill_9_it_is_revived_on_its_port_with_its_data(state_dir: Path) -> None:
    with EmbeddedPostgres.under(state_dir) as server:
        assert not server.revive()
        url = server.database_url
        with connect(url) as database:
            database.execute("create table kept as select 1 as a")
        pid = server_pid(server)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_alive(pid))
        assert server.revive()
        assert not server.revive()
        assert query_value(url, "select a from kept") == 1


def test_a_pid_file_that_names_a_foreign_process_is_cleared_away(state_dir: Path) -> None:
    with EmbeddedPostgres.under(state_dir) as server:
        lines = (server.data / "postmaster.pid").read_text().splitlines()
    lines[0] = str(os.getpid())
    (server.data / "postmaster.pid").write_text("\n".join(lines) + "\n")
    with EmbeddedPostgres.under(state_dir) as server:
        assert query_value(server.url(), "select 1") == 1


def test_data_of_another_version_are_refused_with_the_way_out(tmp_path: Path) -> None:
    server = EmbeddedPostgres.under(tmp_path)
    server.data.mkdir(parents=True)
    (server.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(ConfigError, match="written by Postgres 9") as caught:
        server.start()
    assert "pg_dumpall" in (caught.value.hint or "")


def test_an_interrupted_initdb_is_begun_anew(state_dir: Path) -> None:
    half = state_dir / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "half").touch()
    with EmbeddedPostgres.under(state_dir) as server:
        assert query_value(server.url(), "select 1") == 1


def test_a_temporary_server_leaves_nothing_and_sweeps_what_a_killed_run_left() -> None:
    script = (
        "from sqlsync.embedded import EmbeddedPostgres\n"
        "with EmbeddedPostgres.temporary() as server:\n"
        "    print(server.directory, flush=True)\n"
        "    input()\n"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None
    left = Path(killed.stdout.readline().strip())
    pid = int((left / "data" / "postmaster.pid").read_text().splitlines()[0])
    killed.kill()
    killed.communicate()
    assert is_alive(pid)
    with EmbeddedPostgres.temporary() as server:
        assert not left.exists()
        until(lambda: not is_alive(pid))
        directory = server.directory
        assert query_value(server.url(), "show fsync") == "off"
    assert not directory.exists()


def test_what_a_killed_demo_left_is_swept_and_a_running_one_is_not() -> None:
    script = (
        "import sys, tempfile, pathlib\n"
        "from sqlsync.embedded import EmbeddedPostgres\n"
        "directory = pathlib.Path(tempfile.mkdtemp(prefix='sqlsync-swept-'))\n"
        "directory.chmod(0o711)\n"
        "with EmbeddedPostgres.under(directory):\n"
        "    print(directory, flush=True)\n"
        "    input()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    left = Path(process.stdout.readline().strip())
    pid = int((left / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])
    sweep_abandoned("sqlsync-swept-*/postgres")
    assert is_alive(pid)
    process.kill()
    process.communicate()
    sweep_abandoned("sqlsync-swept-*/postgres")
    until(lambda: not is_alive(pid))
    assert not left.exists()


def test_user_and_password_are_quoted_in_urls() -> None:
    server = EmbeddedPostgres(Path("/nowhere"))
    assert server.url("a b", user="x@y", password="p:/?") == (
        "postgresql://x%40y:p%3A%2F%3F@127.0.0.1:0/a%20b"
    )


def test_binaries_named_by_the_environment_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SQLSYNC_PG_BIN"):
        find_binaries({"SQLSYNC_PG_BIN": str(tmp_path)})


@pytest.mark.skipif(os.geteuid() != 0, reason="how root steps down concerns root alone")
class TestRoot:
    def test_the_server_runs_as_nobody_where_nobody_may_enter(self) -> None:
        binaries = find_binaries()
        if not all(
            p.stat().st_mode & 0o001 for p in (binaries.directory, *binaries.directory.parents)
        ):
            pytest.skip("the binaries lie below a directory that only root may enter")
        directory = Path("/tmp") / f"sqlsync-test-{os.getpid()}"
        try:
            with EmbeddedPostgres.under(directory) as server:
                assert (server.data).stat().st_uid == NOBODY
                assert Path(f"/proc/{server_pid(server)}").stat().st_uid == NOBODY
            assert stat.S_IMODE(directory.stat().st_mode) == 0o711
            assert directory.stat().st_uid == 0
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def test_below_a_private_directory_it_runs_in_a_user_namespace(self, tmp_path: Path) -> None:
        private = tmp_path / "private"
        private.mkdir(mode=0o700)
        namespaces = subprocess.run(
            ["unshare", "--user", f"--map-user={NOBODY}", "--", "true"], capture_output=True
        )
        if namespaces.returncode != 0:
            pytest.skip("user namespaces are not allowed here")
        with EmbeddedPostgres.under(private / "state") as server:
            assert server.data.stat().st_uid == 0
            assert query_value(server.url(), "select 1") == 1
        assert stat.S_IMODE(private.stat().st_mode) == 0o700

    def test_without_any_way_down_the_error_names_database_url(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        private = tmp_path / "private"
        private.mkdir(mode=0o700)
        monkeypatch.setenv("PATH", str(tmp_path))  # no unshare there
        binaries = Binaries(find_binaries().directory, 18)
        with pytest.raises(ConfigError, match="does not run as root") as caught:
            Demotion.choose(binaries, private / "postgres" / "data")
        assert "database_url" in (caught.value.hint or "")


def test_a_state_directory_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Cannot make the directory"):
        EmbeddedPostgres.under(tmp_path / "file" / "state").start()


def test_a_server_that_cannot_start_says_why(state_dir: Path) -> None:
    with EmbeddedPostgres.under(state_dir) as server:
        pass
    configuration = server.data / "postgresql.conf"
    good = configuration.read_text()
    configuration.write_text(good + "\nno_such_setting = 1\n")
    with pytest.raises(DatabaseUnavailable, match="did not start"):
        EmbeddedPostgres.under(state_dir).start()
    configuration.write_text(good)
