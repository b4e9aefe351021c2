"""The benchmarks: reads through the proxy, and backfill. Run by `./dev bench`.

Paired and interleaved in one run on one machine: read the ratios, not the rates. A target
that is missed is printed as missed; it does not fail the run, since a busy machine must not.
With --strict it does.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parents[1]):  # the interpreter is started without either
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import history  # noqa: E402
import ingest  # noqa: E402
from layers import Layer, pgbouncer, proxy  # noqa: E402
from machine import describe, first_line  # noqa: E402
from reads import (  # noqa: E402
    MODES,
    Series,
    big_result,
    geometric_mean,
    idle_kib,
    ratio,
    throughput,
    wait_until_gone,
)

from sqlsync.database import ensure_database, query_value  # noqa: E402
from sqlsync.embedded import EmbeddedPostgres  # noqa: E402

CLIENTS = (1, 8, 32)
SCALE = 10
PARTS = ("reads", "big", "idle", "ingest")


class Targets:
    """What is asked, beside what was found."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, bool | None]] = []

    def at_least(self, what: str, found: float | None, target: float, unit: str = "x") -> None:
        self._add(
            what, found, f">= {target:,g} {unit}", unit, found is not None and found >= target
        )

    def at_most(self, what: str, found: float | None, target: float, unit: str) -> None:
        self._add(
            what, found, f"<= {target:,g} {unit}", unit, found is not None and found <= target
        )

    def _add(self, what: str, found: float | None, target: str, unit: str, good: bool) -> None:
        digits = 0 if found is not None and found >= 100 else 2
        text = "not measured" if found is None else f"{found:,.{digits}f} {unit}"
        self.rows.append((what, text, target, None if found is None else good))

    def print(self) -> bool:
        """Returns whether nothing that was measured misses its target."""
        words = {True: "reached", False: "MISSED", None: "-"}
        table(
            ("target", "found", "asked", ""),
            [(what, found, asked, words[good]) for what, found, asked, good in self.rows],
        )
        return all(good is not False for *_, good in self.rows)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter slices")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a target is missed")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part (repeatable)")
    options = parser.parse_args(argv)
    parts = options.only or PARTS
    targets = Targets()
    if set(parts) - {"ingest"}:
        measure_proxy(parts, options.quick, targets)
    if "ingest" in parts:
        measure_ingest(options.quick, targets)
    print()
    reached = targets.print()
    return 1 if options.strict and not reached else 0


def measure_proxy(parts: Sequence[str], quick: bool, targets: Targets) -> None:
    connections = 200 if quick else 500
    settings = {"max_connections": str(2 * connections + 100)}
    with EmbeddedPostgres.temporary(settings) as server:
        ensure_database(server.url(), "bench")
        url = server.url("bench")
        binaries = server.binaries.directory
        with proxy(url) as ours, pgbouncer(url) as theirs:
            version = str(query_value(url, "show server_version"))
            bouncer = first_line("pgbouncer", "--version").split()[-1] if theirs else None
            print(describe(version, bouncer), end="\n\n")
            direct = Layer("direct", url)
            layers = [direct, ours, *([theirs] if theirs else [])]
            if "reads" in parts:
                initialise(binaries / "pgbench", direct)
                rates, costs = throughput(
                    binaries / "pgbench",
                    layers,
                    clients=CLIENTS,
                    repetitions=5 if quick else 11,
                    slice_seconds=0.3 if quick else 0.5,
                )
                report_reads(rates, costs, targets)
            if "big" in parts:
                report_big(big_result(layers, 5 if quick else 15), targets)
            if "idle" in parts:
                report_idle(layers, connections, targets)


def initialise(pgbench: Path, direct: Layer) -> None:
    subprocess.run(
        [pgbench, "-i", "-q", "-s", str(SCALE)],
        env=direct.environment,
        check=True,
        capture_output=True,
    )


def report_reads(rates: Series, costs: Series, targets: Targets) -> None:
    rows = []
    for (mode, clients), values in rates.items():
        cost = costs[mode, clients]
        rows.append(
            (
                f"{mode}/{clients}",
                *(median_text(values.get(name)) for name in ("direct", "proxy", "pgbouncer")),
                times(ratio(values, "proxy", "pgbouncer")),
                times(ratio(values, "proxy", "direct")),
                *(median_text(cost.get(name), 1) for name in ("proxy", "pgbouncer")),
            )
        )
    for clients in CLIENTS:
        rows.append(
            (
                f"geo mean/{clients}",
                *("", "", ""),
                times(mean_ratio(rates, "pgbouncer", clients)),
                times(mean_ratio(rates, "direct", clients)),
                *("", ""),
            )
        )
    print("pgbench -S, transactions/s; CPU of the process in between, us per transaction")
    head = ("mode/clients", "direct", "proxy", "pgbouncer", "/pgbouncer", "/direct")
    table((*head, "us proxy", "us pgb."), rows)
    for mode in MODES:
        found = ratio(rates[mode, 8], "proxy", "pgbouncer")
        targets.at_least(f"{mode} reads, 8 clients, to pgbouncer", found, 0.70)
    found = mean_ratio(rates, "pgbouncer", 8)
    targets.at_least("reads, 8 clients, geo mean, to pgbouncer", found, 0.70)


def mean_ratio(rates: Series, base: str, clients: int) -> float | None:
    return geometric_mean([ratio(rates[mode, clients], "proxy", base) for mode in MODES])


def report_big(seconds: dict[str, dict[str, list[float]]], targets: Targets) -> None:
    rows = []
    for how, values in seconds.items():
        # Of durations the inverse: what the proxy reaches of direct's speed.
        to_direct = inverse(ratio(values, "proxy", "direct"))
        names = ("direct", "proxy", "pgbouncer")
        milliseconds = (
            [1000 * s for s in values[name]] if name in values else None for name in names
        )
        rows.append(
            (
                how,
                *(median_text(value, 1) for value in milliseconds),
                times(to_direct),
                times(inverse(ratio(values, "pgbouncer", "direct"))),
            )
        )
        targets.at_least(f"100,000 rows by {how}, to direct", to_direct, 0.9)
    print("\n100,000 rows of 8 columns, milliseconds")
    table(("", "direct", "proxy", "pgbouncer", "proxy/direct", "pgbouncer/direct"), rows)


def report_idle(layers: Sequence[Layer], connections: int, targets: Targets) -> None:
    found: dict[str, float | None] = {}
    for layer in layers:
        if layer.pid is not None:
            wait_until_gone(layers[0])
            found[layer.name] = idle_kib(layer, connections)
    print(f"\n{connections} idle connections, KiB each (Pss of the process in between)")
    rows = [(name, "-" if kib is None else f"{kib:.1f}") for name, kib in found.items()]
    table(("", "KiB"), rows)
    targets.at_most("memory of an idle connection", found["proxy"], 6, "KiB")


def measure_ingest(quick: bool, targets: Targets) -> None:
    print()
    objects = 20_000 if quick else 200_000
    ingest.run(objects=objects, repetitions=3 if quick else 5)
    found = history.run(objects=objects)
    targets.at_least("backfill over HTTP, child tables off", found["rate"], 8000, "objects/s")
    targets.at_most("peak memory of the worker", found["peak_mib"], 100, "MiB")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        first, *others = [
            text.rjust(width) if i else text.ljust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join([first, *others]).rstrip())


def median_text(values: Sequence[float] | None, digits: int = 0) -> str:
    return f"{statistics.median(values):,.{digits}f}" if values else "-"


def times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def inverse(value: float | None) -> float | None:
    return None if value is None else 1 / value


if __name__ == "__main__":
    raise SystemExit(main())
