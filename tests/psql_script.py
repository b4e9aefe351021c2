"""A script for psql out of rows, and what psql said of each of its statements.

One process runs the whole of it: each statement is a step with a name, and after it psql prints
its SQLSTATE, its row count and, where it failed, the error's text.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlsync.cli.people import psql_binary
from sqlsync.writes.values import encode

Columns = Mapping[str, Any]
_MARK = "@@"


@dataclass(frozen=True, slots=True)
class Said:
    """What came of one step."""

    sqlstate: str
    count: int
    message: str
    statement: str

    def __str__(self) -> str:
        return f"{self.sqlstate} {self.count} {self.message}\n{self.statement}"


@dataclass
class Script:
    """Steps in order. Values that are kept by \\gset are used as `Kept("name")`."""

    steps: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def step(self, name: str, statement: str, keep: str = ";") -> None:
        """keep: what follows the statement, `\\gset` to keep what it returns."""
        assert name not in self.steps, name
        self.steps[name] = statement
        self.lines += [
            f"{statement} {keep}",
            f"\\if :ERROR\n\\echo '{_MARK}{name}' :SQLSTATE 0 :LAST_ERROR_MESSAGE",
            f"\\else\n\\echo '{_MARK}{name}' :SQLSTATE :ROW_COUNT\n\\endif",
        ]

    def forget(self, *names: str) -> None:
        self.lines += [f"\\unset {name}" for name in names]

    def show(self, name: str) -> None:
        """The value of a psql variable, as the step `name`'s message."""
        self.steps[name] = f"\\echo {name}"
        self.lines.append(f"\\echo '{_MARK}{name}' 00000 0 :{name.rpartition(' ')[2]}")

    def start(self, url: str) -> subprocess.Popen[str]:
        """Rows go nowhere, but for their number; results to stdout, notices to stderr."""
        return subprocess.Popen(
            [psql_binary(), "-XAtq", "-o", "/dev/null", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, process: subprocess.Popen[str]) -> tuple[dict[str, Said], str]:
        """What was said by step, and all of stderr. Raises where psql did not reach the end."""
        printed, complaints = process.communicate("\n".join(self.lines) + "\n", timeout=250)
        said: dict[str, Said] = {}
        for entry in printed.split(_MARK)[1:]:
            name = next(n for n in sorted(self.steps, key=len, reverse=True) if entry.startswith(n))
            sqlstate, count, *message = entry[len(name) :].strip().split(" ", 2)
            said[name] = Said(sqlstate, int(count), "".join(message), self.steps[name])
        missing = self.steps.keys() - said.keys()
        assert not missing, (
            f"psql did not say a word of {sorted(missing)[:5]}: {complaints[-2000:]}"
        )
        return said, complaints


@dataclass(frozen=True, slots=True)
class Kept:
    """A value that psql keeps."""

    name: str


def literal(value: Any) -> str:
    """A value as SQL writes it; lists and objects are JSON."""
    if value is None:
        return "null"
    if isinstance(value, Kept):
        return f":'{value.name}'"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, list | dict):
        return literal(encode(value).decode())
    return str(value)


def insert(table: str, *rows: Columns) -> str:
    names = ", ".join(f'"{column}"' for column in rows[0])
    values = ", ".join(f"({', '.join(map(literal, row.values()))})" for row in rows)
    return f"insert into {table} ({names}) values {values}"


def update(table: str, changes: Columns, where: Columns) -> str:
    sets = ", ".join(f'"{column}" = {literal(value)}' for column, value in changes.items())
    return f"update {table} set {sets} where {matching(where)}"


def delete(table: str, where: Columns) -> str:
    return f"delete from {table} where {matching(where)}"


def matching(row: Columns) -> str:
    """The condition that a row has these values; lists are left out."""
    return " and ".join(
        f'"{column}" = {literal(value)}' for column, value in row.items() if is_plain(value)
    )


def is_plain(value: Any) -> bool:
    return not isinstance(value, list | dict)
