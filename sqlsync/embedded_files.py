"""What the embedded server's directory holds, read and written with care. See embedded."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")


def read_pid_file(path: Path) -> tuple[int, int] | None:
    """(process id, port) of postmaster.pid; port 0 while it is not yet written. None: no file."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return None
    try:
        return int(lines[0]), int(lines[3]) if len(lines) > 3 else 0
    except (IndexError, ValueError):
        return 0, 0


def last_port(data: Path) -> int | None:
    """Where the server of this data directory listened last. None: it never did."""
    try:
        found = re.search(r"port=(\d+)", (data / "postmaster.opts").read_text())
    except OSError:
        return None
    return int(found[1]) if found else None


def is_postgres(pid: int) -> bool:
    """Whether that process lives and is a Postgres server, as far as the system tells."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # alive, and another user's
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True  # no /proc here: believe the pid file
    return b"postgres" in command.split(b"\0")[0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(current: Mapping[str, str]) -> dict[str, str]:
    """Without the PG… variables of the user, which would redirect initdb and pg_ctl."""
    kept = {name: value for name, value in current.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C"}


def tail(path: Path, size: int = 4000) -> str:
    try:
        return path.read_bytes()[-size:].decode(errors="replace")
    except OSError:
        return ""


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
