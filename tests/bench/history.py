"""How fast a whole backfill goes: simulated company, worker and Postgres, over real HTTP.

Three processes share the machine, so beside the rate stands what each cost per object, which
holds on a busy machine too. All is done by the product's own commands; only invoices are read,
with the child tables off. Run: python tests/bench/history.py [--objects N]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parents[1]):  # the interpreter is started without either
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from machine import cpu_seconds  # noqa: E402

from sqlsync.database import connect  # noqa: E402
from sqlsync.embedded import EmbeddedPostgres  # noqa: E402
from sqlsync.simulators.testing import Simulator, simulator_process  # noqa: E402

COMMAND = (sys.executable, "-P", "-m", "sqlsync.cli")
LONGEST_SECONDS = 600.0
STANDING = (
    "select state, error, rows_done, extract(epoch from finished_at - started_at)"
    " from quickbooks._sync_cdc where object = 'invoice'"
)


def run(*, objects: int = 200_000) -> dict[str, float]:
    """Prints and returns: rate (objects/s), peak_mib of the worker, CPU us/object of each."""
    with (
        EmbeddedPostgres.temporary() as server,
        simulator_process(customers=200, invoices=objects) as company,
        TemporaryDirectory(prefix="sqlsync-bench-") as state,
    ):
        environment = _environment(server.url(), company, state)
        for arguments in (("migrate",), _connect(company)):
            subprocess.run(
                [*COMMAND, *arguments], env=environment, check=True, capture_output=True, cwd=state
            )
        found = _measure(server, environment, state, objects)
    print(
        f"backfill over HTTP, {objects:,} invoices, child tables off:"
        f" {found['rate']:,.0f} objects/s, worker's peak {found['peak_mib']:.0f} MiB;"
        f" CPU us/object: worker {found['worker_us']:.0f}, Postgres {found['postgres_us']:.0f}"
    )
    return found


def _environment(url: str, company: Simulator, state: str) -> dict[str, str]:
    return {
        **os.environ,
        "SQLSYNC_STATE_DIR": state,
        "SQLSYNC_DATABASE_URL": url,
        "SQLSYNC_LOG__LEVEL": "warning",
        "SQLSYNC_PROVIDERS__QUICKBOOKS__ENVIRONMENT": "simulator",
        "SQLSYNC_PROVIDERS__QUICKBOOKS__API_URL": f"http://{company.address}",
        "SQLSYNC_SYNC__CHILD_TABLES": "false",
    }


def _connect(company: Simulator) -> tuple[str, ...]:
    token = company.new_refresh_token()
    whom = ("--name", "bench", "--schema", "quickbooks", "--company", company.realm_id)
    return ("connect", "quickbooks", *whom, "--refresh-token", token)


def _measure(
    server: EmbeddedPostgres, environment: Mapping[str, str], state: str, objects: int
) -> dict[str, float]:
    postmaster = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    with connect(server.url()) as session:
        session.execute("set role sqlsync_engine")
        session.execute(
            "update quickbooks._sync_cdc set state = 'paused' where object <> 'invoice'"
        )
        before = _tree_seconds(postmaster)
        worker = subprocess.Popen(
            [*COMMAND, "worker"], env=environment, stdout=subprocess.DEVNULL, cwd=state
        )
        try:
            seconds, rows, idle = _until_live(session, worker)
            if rows != objects:
                raise SystemExit(f"{rows} of {objects} invoices were mirrored")
            return {
                "rate": objects / seconds,
                "peak_mib": _peak_mib(worker.pid),
                "worker_us": (cpu_seconds(worker.pid) - idle) / objects * 1e6,
                "postgres_us": (_tree_seconds(postmaster) - before) / objects * 1e6,
            }
        finally:
            worker.terminate()
            worker.wait(60)


def _until_live(session: Any, worker: subprocess.Popen[bytes]) -> tuple[float, int, float]:
    """(seconds it took, rows, CPU seconds the worker had used before it began)."""
    deadline = time.monotonic() + LONGEST_SECONDS
    start_cost = 0.0
    while time.monotonic() < deadline and worker.poll() is None:
        state, error, rows, seconds = session.execute(STANDING).fetchone()
        if state == "pending":
            start_cost = cpu_seconds(worker.pid)
        elif seconds is not None:
            return float(seconds), rows, start_cost
        elif state == "error":
            raise SystemExit(f"the backfill failed: {error}")
        time.sleep(0.05)
    raise SystemExit("the backfill did not end")


def _peak_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("the system does not tell a process' peak memory")


def _tree_seconds(pid: int) -> float:
    """CPU of a process, of its children that have ended, and of those that live."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ended = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    tasks = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return cpu_seconds(pid) + ended + sum(cpu_seconds(int(child)) for child in tasks)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--objects", type=int, default=200_000)
    run(objects=parser.parse_args(argv).objects)


if __name__ == "__main__":
    main()
