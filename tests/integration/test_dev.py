"""./dev: setting up, beginning again after an interruption, two at once. With a stand-in for pip.

The real installation is what runs these tests; here the order of its steps is what matters.
"""

from __future__ import annotations

import os
import runpy
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEV = (ROOT / "dev").read_text()

# Answers as uv: makes a venv that is enough, and notes every call. `uv-waits` makes it slow.
UV = """#!/bin/sh
case "$1" in
--version) echo "uv 0" ;;
venv) for last; do :; done; mkdir -p "$last/bin"
     printf '#!/bin/sh\\nexec "{python}" "$@"\\n' > "$last/bin/python"
     chmod +x "$last/bin/python" ;;
pip) echo "$*" >> "{calls}"
     while [ -e "{waits}" ]; do sleep 0.05; done
     [ ! -e "{fails}" ] || {{ echo "no network"; exit 1; }} ;;
esac
"""


class Checkout:
    """A copy of ./dev with small locks, and a uv that only pretends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.folder.mkdir()
        for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
            (self.folder / name).write_text(name)
        (self.folder / "dev").write_text(DEV)
        bench = self.folder / "tests" / "bench" / "run.py"  # stands for all that ./dev may run
        bench.parent.mkdir(parents=True)
        bench.write_text("import sys; print('ran', sys.dont_write_bytecode)")
        self.calls, self.waits, self.fails = (folder / n for n in ("calls", "waits", "fails"))
        self.bin = folder / "bin"
        self.bin.mkdir()
        uv = self.bin / "uv"
        uv.write_text(
            UV.format(python=sys.executable, calls=self.calls, waits=self.waits, fails=self.fails)
        )
        uv.chmod(0o755)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(self.folder / "dev"), *arguments],
            env={**os.environ, "PATH": f"{self.bin}:/usr/bin:/bin"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    @property
    def installs(self) -> int:
        return len(self.calls.read_text().splitlines()) // 2 if self.calls.exists() else 0


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_it_installs_once_and_again_when_a_lock_changed(checkout: Checkout) -> None:
    code, out, err = checkout.run("sqlsync", "--help")
    assert code == 0, err
    assert "Usage" in out
    assert checkout.run("sqlsync")[0] == 2
    assert checkout.installs == 1
    (checkout.folder / "requirements.lock").write_text("changed")
    assert checkout.run("sqlsync")[0] == 2
    assert checkout.installs == 2


def test_an_interrupted_installation_is_begun_anew(checkout: Checkout) -> None:
    checkout.waits.touch()
    process = checkout.start("bench")
    deadline = time.monotonic() + 30
    while not checkout.calls.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    checkout.waits.unlink()
    (checkout.folder / ".venv" / "half").touch()
    code, _, err = checkout.run("bench")
    assert code == 0, err
    assert not (checkout.folder / ".venv" / "half").exists()
    assert not (checkout.folder / ".venv.unfinished").exists()


def test_two_at_once_install_once(checkout: Checkout) -> None:
    checkout.waits.touch()
    both = [checkout.start("bench") for _ in range(2)]
    deadline = time.monotonic() + 30
    while not checkout.calls.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    checkout.waits.unlink()
    for process in both:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert checkout.installs == 1


def test_a_failed_installation_shows_why_and_is_tried_again(checkout: Checkout) -> None:
    checkout.fails.touch()
    code, out, err = checkout.run("bench")
    assert (code, out) == (1, "")
    assert "no network" in err
    checkout.fails.unlink()
    assert checkout.run("bench")[0] == 0


def test_what_it_does_not_know_is_answered_with_its_usage(checkout: Checkout) -> None:
    for arguments in ((), ("nonsense",)):
        code, out, err = checkout.run(*arguments)
        assert (code, out) == (2, "")
        assert "./dev demo" in err
    assert checkout.run("--help")[0] == 0


def test_what_it_runs_keeps_pythons_caches(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert checkout.run("bench")[:2] == (0, "ran False\n")


def test_databases_of_tests_are_made_in_memory_where_there_is_plenty(tmp_path: Path) -> None:
    is_plenty = runpy.run_path(str(ROOT / "dev"))["memory_is_plenty"]
    for place, bytes_wanted, answer in (
        (tmp_path, 1, True),
        (tmp_path, 1 << 60, False),
        (tmp_path / "not there", 1, False),
    ):
        is_plenty.__globals__.update(MEMORY=str(place), PLENTY_BYTES=bytes_wanted)
        assert is_plenty() is answer


def test_both_entries_are_executable() -> None:
    for name in ("dev", ".ci/run"):
        assert (ROOT / name).stat().st_mode & stat.S_IXUSR, name


def test_an_old_python_is_told_so(checkout: Checkout) -> None:
    script = "import sys, runpy; sys.version_info = (3, 9, 1); sys.argv = ['dev', 'test'];"
    script += f" runpy.run_path({str(checkout.folder / 'dev')!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
