"""What checks of a running product are made of: psql, expectations, waiting.

The client is psql where there is one, the one beside the embedded server else.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from sqlsync.cli.people import psql_binary
from sqlsync.errors import SqlsyncError

STATEMENT_SECONDS = 60


class CheckFailed(SqlsyncError):
    """Something that was promised does not hold."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What psql said."""

    out: str
    err: str
    code: int

    @property
    def value(self) -> str:
        """The first line of the result, columns separated by |."""
        return self.out.split("\n", 1)[0]


class Psql:
    """psql, one run a script. Statements are sent one by one, as a person types them."""

    def __init__(self, url: str) -> None:
        self._command = [psql_binary(), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", url]

    def run(self, *statements: str, verbose: bool = False) -> Answer:
        script = ["\\set VERBOSITY verbose"] if verbose else []
        script += [s if s.startswith("\\") else s + ";" for s in statements]
        done = subprocess.run(
            self._command,
            input="\n".join(script) + "\n",
            text=True,
            capture_output=True,
            timeout=STATEMENT_SECONDS,
            check=False,
            env={**os.environ, "PGCONNECT_TIMEOUT": "10", "LC_ALL": "C"},
        )
        return Answer(done.stdout.strip(), done.stderr.strip(), done.returncode)

    def value(self, *statements: str) -> str:
        """The answer of statements that must succeed."""
        answer = self.run(*statements)
        if answer.code != 0:
            raise CheckFailed(f"psql: {answer.err}")
        return answer.value

    def refusal(self, statement: str, wanted: str) -> str:
        """What is said of a statement that must be refused with these words."""
        answer = self.run(statement, verbose=True)
        expect(wanted in answer.err, f"{wanted!r} was expected, not {answer.err or answer.out!r}")
        return answer.err.splitlines()[0].split("ERROR:", 1)[1].strip()


@dataclass(frozen=True, slots=True)
class Awaited:
    """A change made elsewhere, which a query is to show."""

    query: str
    wanted: str


def wait_for(psql: Psql, changes: list[Awaited], limit_seconds: float) -> float:
    """Seconds until all of them are seen. Raises CheckFailed after the limit."""
    began = time.monotonic()
    for change in changes:
        while psql.value(change.query) != change.wanted:
            waited = time.monotonic() - began
            expect(waited < limit_seconds, f"not in the table after {waited:.1f} s: {change.query}")
            time.sleep(0.05)
    return time.monotonic() - began


def expect(holds: Any, otherwise: str) -> None:
    """Raises CheckFailed with the words where it does not hold."""
    if not holds:
        raise CheckFailed(otherwise)


def quoted(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
