"""The README's sessions, run as they stand against the demo's company, line by line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sqlsync.cli.people import psql_binary

pytestmark = pytest.mark.timeout(300)  # the demo is set up from nothing

README = Path(__file__).parents[2] / "README.md"
PROMPT = re.compile(r"^sqlsync=[*!]?> (.*)$")
NEXT = "-- the next statement of the README --"


def sessions() -> list[tuple[str, str]]:
    """Every statement of the README's psql sessions, and what is printed below it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```psql\n(.*?)^```", README.read_text(), re.S | re.M):
        for line in block.splitlines():
            prompt = PROMPT.match(line)
            if prompt:
                found.append((prompt[1], []))
            else:
                found[-1][1].append(line)
    return [(statement, normal("\n".join(lines))) for statement, lines in found]


def normal(text: str) -> str:
    """Without what differs from run to run: trace ids, and blanks at the ends of lines."""
    text = re.sub(r"(intuit_tid|Xero-Correlation-Id) \S+", r"\1 …", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`sqlsync demo` as a person starts it; gives the address it prints."""
    directory = tmp_path_factory.mktemp("demo")
    with subprocess.Popen(
        [sys.executable, "-m", "sqlsync.cli", "demo", "--state-dir", str(directory)],
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "SQLSYNC_PROXY__LISTEN": "127.0.0.1:0",
            "SQLSYNC_WEB__LISTEN": "127.0.0.1:0",
        },
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := re.search(r"psql '(postgresql://[^']*)'", line):
                    yield found[1]
                    break
            else:
                pytest.fail(f"the demo ended with code {process.wait()}")
        finally:
            process.terminate()
            process.wait(60)


def test_the_sessions_of_the_readme_are_true(demo: str) -> None:
    expected = sessions()
    assert len(expected) > 10
    script = "".join(f"{statement}\n\\echo '{NEXT}'\n" for statement, _ in expected)
    done = subprocess.run(
        [psql_binary(), "-X", demo],
        input=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        env={**os.environ, "PGOPTIONS": "-c client_min_messages=notice", "LC_ALL": "C.UTF-8"},
        check=False,
    )
    printed = [normal(part) for part in done.stdout.split(NEXT)]
    for (statement, wanted), got in zip(expected, printed, strict=False):
        assert got == wanted, statement
