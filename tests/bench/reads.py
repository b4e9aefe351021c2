"""Reads through each layer: transactions a second, one big result, idle connections.

Layers take turns in short slices, in an order that shifts, so that whatever else the machine
does meets all of them; ratios are of slices side by side, and their median is reported.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import psycopg
from layers import Layer
from machine import cpu_seconds, pss_kib

MODES = ("simple", "extended", "prepared")
BIG_ROWS = 100_000
FEW_CONNECTIONS = 40  # the server's own processes, and the engine's
BIG_TABLE = f"""
    create table big as
    select n as id, 'Customer ' || n as display_name, n * 1.25 as balance,
           'customer' || n || '@example.com' as email, md5(n::text) as token,
           timestamptz '2026-01-01' + n * interval '1 second' as updated_at,
           n % 2 = 0 as active, date '2026-01-01' + n % 365 as due_date
    from generate_series(1, {BIG_ROWS}) n
"""

# (mode, clients) -> layer -> one value a repetition
Series = dict[tuple[str, int], dict[str, list[float]]]


def in_turns(layers: Sequence[Layer], repetitions: int) -> Iterator[Layer]:
    for turn in range(repetitions):
        shift = turn % len(layers)
        yield from [*layers[shift:], *layers[:shift]]


def throughput(
    pgbench: Path,
    layers: Sequence[Layer],
    *,
    clients: Sequence[int],
    repetitions: int,
    slice_seconds: float,
) -> tuple[Series, Series]:
    """Returns transactions a second, and microseconds of CPU in between per transaction."""
    rates: Series = defaultdict(lambda: defaultdict(list))
    costs: Series = defaultdict(lambda: defaultdict(list))
    for mode in MODES:
        for count in clients:
            first = _slice(pgbench, layers[0], mode, count, 200)[0]
            transactions = max(20, int(first * slice_seconds / count))
            for layer in in_turns(layers, repetitions):
                rate, cost = _slice(pgbench, layer, mode, count, transactions)
                rates[mode, count][layer.name].append(rate)
                costs[mode, count][layer.name].append(cost)
    return rates, costs


def _slice(
    pgbench: Path, layer: Layer, mode: str, clients: int, transactions: int
) -> tuple[float, float]:
    before = cpu_seconds(layer.pid) if layer.pid else 0.0
    done = subprocess.run(
        [
            *(pgbench, "-n", "-S", "-M", mode),
            *("-c", str(clients), "-j", str(min(clients, 2)), "-t", str(transactions)),
        ],
        env=layer.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"tps = ([\d.]+) \(without", done.stdout)
    if done.returncode != 0 or found is None:
        raise SystemExit(f"pgbench through {layer.name} failed: {done.stderr.strip()}")
    spent = (cpu_seconds(layer.pid) - before) if layer.pid else 0.0
    return float(found[1]), spent / (transactions * clients) * 1e6


def big_result(layers: Sequence[Layer], repetitions: int) -> dict[str, dict[str, list[float]]]:
    """Returns seconds for 100,000 rows by SELECT (libpq's own buffer) and by COPY TO."""
    with psycopg.connect(layers[0].conninfo, autocommit=True) as connection:
        connection.execute("drop table if exists big")
        connection.execute(BIG_TABLE)
        connection.execute("vacuum analyze big")
    seconds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with ExitStack() as stack:
        open_ = {
            layer.name: stack.enter_context(psycopg.connect(layer.conninfo, autocommit=True))
            for layer in layers
        }
        for connection in open_.values():  # the first time fills caches
            _select(connection)
        for layer in in_turns(layers, repetitions):
            seconds["select"][layer.name].append(_timed(_select, open_[layer.name]))
            seconds["copy"][layer.name].append(_timed(_copy, open_[layer.name]))
    return seconds


def _select(connection: psycopg.Connection) -> None:
    result = connection.pgconn.exec_(b"select * from big")
    assert result.ntuples == BIG_ROWS, result.error_message


def _copy(connection: psycopg.Connection) -> None:
    with connection.cursor().copy("copy big to stdout") as copy:
        rows = sum(1 for _ in copy)
    assert rows == BIG_ROWS


def _timed(action: object, connection: psycopg.Connection) -> float:
    assert callable(action)
    began = time.perf_counter()
    action(connection)
    return time.perf_counter() - began


def idle_kib(layer: Layer, connections: int) -> float | None:
    """KiB of memory that each idle connection costs the process in between.

    Measured on as many again as are held already: the first ones fill what starting up
    has left free, and would seem to cost nothing.
    """
    if layer.pid is None:
        return None
    sizes: list[int | None] = []
    with ExitStack() as stack:
        for _ in range(2):
            for _ in range(connections):
                client = stack.enter_context(psycopg.connect(layer.conninfo, autocommit=True))
                client.execute("select 1")
            sizes.append(pss_kib(layer.pid))
    before, after = sizes
    if before is None or after is None:
        return None
    return (after - before) / connections


def wait_until_gone(direct: Layer) -> None:
    """Until Postgres has seen the end of the connections that another layer held."""
    with psycopg.connect(direct.conninfo, autocommit=True) as connection:
        for _ in range(600):
            row = connection.execute("select count(*) from pg_stat_activity").fetchone()
            if row is not None and row[0] < FEW_CONNECTIONS:
                return
            connection.execute("select pg_sleep(0.1)")


def ratio(values: dict[str, list[float]], layer: str, base: str) -> float | None:
    """Median of the ratios of neighbouring slices."""
    if not values.get(layer) or not values.get(base):
        return None
    pairs = zip(values[layer], values[base], strict=True)
    return statistics.median(ours / theirs for ours, theirs in pairs)


def geometric_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value]
    return statistics.geometric_mean(known) if known else None
