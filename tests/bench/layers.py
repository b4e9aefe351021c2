"""The ways to Postgres that are compared: direct, through the proxy, through pgbouncer.

All run in this one process' time, on one temporary server, so that slices can alternate.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlsync.database import conninfo_to_dict, make_conninfo

START_SECONDS = 30
AS_NOBODY = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--")


@dataclass(frozen=True, slots=True)
class Layer:
    """One way to the same database."""

    name: str
    conninfo: str
    pid: int | None = None  # of the process in between

    @property
    def environment(self) -> dict[str, str]:
        """For pgbench and other libpq programs."""
        parts = conninfo_to_dict(self.conninfo)
        names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user"}
        names |= {"PGPASSWORD": "password", "PGDATABASE": "dbname"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return kept | {name: str(parts[key]) for name, key in names.items()}


@contextmanager
def proxy(url: str) -> Iterator[Layer]:
    """The real `sqlsync proxy`, with no connection configured: a transparent one."""
    with TemporaryDirectory(prefix="sqlsync-bench-") as state:
        environment = {
            **os.environ,
            "SQLSYNC_STATE_DIR": state,
            "SQLSYNC_DATABASE_URL": url,
            "SQLSYNC_PROXY__LISTEN": "127.0.0.1:0",
            "SQLSYNC_LOG__LEVEL": "warning",
        }
        command = [sys.executable, "-P", "-m", "sqlsync.cli"]
        subprocess.run(
            [*command, "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL
        )
        child = subprocess.Popen(
            [*command, "proxy"], env=environment, stdout=subprocess.PIPE, text=True, cwd=state
        )
        try:
            assert child.stdout is not None
            line = child.stdout.readline().strip()
            if not line.startswith("ready proxy="):
                raise SystemExit(f"the proxy did not start: {line or child.wait()}")
            port = line.rpartition(":")[2]
            yield Layer("proxy", _at(url, port), child.pid)
        finally:
            child.terminate()
            child.wait(START_SECONDS)


@contextmanager
def pgbouncer(url: str) -> Iterator[Layer | None]:
    """pgbouncer in session mode; None where it is not installed. It refuses to run as root."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        yield None
        return
    parts = conninfo_to_dict(url)
    port = _free_port()
    with TemporaryDirectory(prefix="sqlsync-bench-") as directory:
        settings = Path(directory) / "pgbouncer.ini"
        settings.touch(0o600)
        settings.write_text(
            "[databases]\n"
            f"{parts['dbname']} = host={parts['host']} port={parts['port']}"
            f" user={parts['user']} password={parts['password']}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = session\nmax_client_conn = 3000\n"
            "default_pool_size = 3000\nmin_pool_size = 0\nlog_connections = 0\n"
            "log_disconnections = 0\nlog_stats = 0\n"
            "ignore_startup_parameters = extra_float_digits,options\n"
        )
        prefix = AS_NOBODY if os.geteuid() == 0 else ()
        child = subprocess.Popen(
            [*prefix, program, "-q", str(settings)], stderr=subprocess.PIPE, text=True
        )
        try:
            if not _answers(port, child):
                print("pgbouncer did not start:", child.communicate()[1].strip(), file=sys.stderr)
                yield None
                return
            yield Layer("pgbouncer", _at(url, str(port)), child.pid)
        finally:
            child.terminate()
            child.wait(START_SECONDS)


def _at(url: str, port: str) -> str:
    return make_conninfo(url, port=port)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int, child: subprocess.Popen[str]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False
