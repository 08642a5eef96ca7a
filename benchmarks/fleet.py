"""How long every panel of every dashboard takes on the lake of a large fleet.

Writes a made-up fleet, by default 10,000 devices with 10 million layer spans, rolls it up,
serves it with ``exray grafana serve`` in a process of its own, and asks every panel, variable
and annotation over the PostgreSQL wire as Grafana's driver does, a number of rounds. Prints
for each its median and 95th percentile in milliseconds, the latter against a baseline asked in
the same rounds over the same wire: one sum over the times of all layer spans. Ends with 1 where
a panel gives more than 1,000 rows or 30 series, a variable more than 500 values, or a 95th
percentile is above the limit.

    python benchmarks/fleet.py [--lake FOLDER] [--devices 10000] [--unknown] [--rounds 20]

A lake that is there already is rolled up where it is not yet, and measured as it is.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg
from served import serving

from exray.grafana.choices import choose, panel_sql
from exray.grafana.dashboards import BOARDS, BUILDS_SQL
from exray.grafana.macros import TimeRange, expand
from exray.grafana.rollup import refresh
from exray.grafana.sample import DEVICE_MODELS, HOUR_NS, Fleet, write_sample
from exray.lake import Lake

BASELINE = "SELECT CAST(sum(dur_ns) AS BIGINT) FROM _layer_spans"
RANGE = TimeRange.last(120)
MOST_ROWS, MOST_SERIES, MOST_VALUES = 1000, 30, 500
UNKNOWN = ("", "", "")

Rows = list[tuple[object, ...]]
Ask = Callable[[str], Rows]


@dataclass(frozen=True, slots=True)
class Query:
    """What a board asks.

    Args:
        name: The board and the panel or variable.
        sql: The query, expanded.
        is_series: Whether its second column names a series.
        most_rows: Rows that it may give.
    """

    name: str
    sql: str
    is_series: bool
    most_rows: int


def main() -> int:
    """Write the lake, serve it, ask the panels, print; exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--lake", type=Path, help="folder, kept; without it a temporary one")
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument(
        "--unknown", action="store_true", help="devices of unknown models: a rollup for each"
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--limit-ms", type=float, default=150.0, help="for the 95th percentile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.open_or_create(options.lake or Path(folder, "lake"))
        if not lake.files("runs"):
            write_fleet(lake, options.devices, unknown=options.unknown)
        roll_up(lake)
        with (
            serving(lake, Path(folder)) as (conninfo, _),
            psycopg.connect(conninfo, autocommit=True) as wire,
        ):
            wrong = report(
                lambda sql: wire.execute(sql.encode()).fetchall(), options.rounds, options.limit_ms
            )
    return 1 if wrong else 0


def write_fleet(lake: Lake, devices: int, *, unknown: bool) -> None:
    """Write two builds of twelve for each device, thirteen frames of forty layers each."""
    fleet = Fleet(
        time.time_ns() - 3 * HOUR_NS,
        devices=devices,
        builds=12,
        builds_per_device=2,
        frames_per_run=13,
        layers=40,
        inputs=32,
        measured_every=13,
        device_models=UNKNOWN if unknown else DEVICE_MODELS,
    )
    started = time.perf_counter()
    write_sample(lake, fleet)
    print(f"written in {time.perf_counter() - started:.0f} s")


def roll_up(lake: Lake) -> None:
    """Refresh the rollups, and again, when there is nothing to do."""
    for _ in range(2):
        started, spent = time.perf_counter(), time.process_time()
        groups = refresh(lake)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{groups} groups of runs rolled up in {time.perf_counter() - started:.1f} s,"
            f" {time.process_time() - spent:.1f} s of CPU, peak memory {peak:.0f} MiB"
        )


def report(ask: Ask, rounds: int, limit_ms: float) -> list[str]:
    """Ask everything, print, and return what is larger or slower than it may be."""
    ((spans, devices),) = ask(
        "SELECT (SELECT count(*) FROM _layer_spans), (SELECT count(*) FROM device_list)"
    )
    print(f"{devices} devices, {spans} layer spans, {rounds} rounds")
    queries = all_queries(ask)
    times: dict[str, list[float]] = defaultdict(list)
    baseline: list[float] = []
    sizes: dict[str, tuple[int, int]] = {}
    for _ in range(rounds):
        baseline.append(asked_ms(ask, BASELINE)[0])
        for query in queries:
            ms, rows = asked_ms(ask, query.sql)
            times[query.name].append(ms)
            series = len({row[1] for row in rows}) if query.is_series else 0
            sizes[query.name] = (len(rows), series)
    scale = float(np.median(baseline))
    print(f"{'':44}{'rows':>6}{'p50 ms':>9}{'p95 ms':>9}{'p95 / baseline':>16}")
    print_line("baseline: sum over all layer spans", 1, baseline, scale)
    for query in sorted(queries, key=lambda query: -quantile(times[query.name], 0.95)):
        print_line(query.name, sizes[query.name][0], times[query.name], scale)
    print_line("all of them", 0, [ms for values in times.values() for ms in values], scale)
    wrong = [
        f"{query.name}: {sizes[query.name][0]} rows, {sizes[query.name][1]} series"
        for query in queries
        if sizes[query.name][0] > query.most_rows or sizes[query.name][1] > MOST_SERIES
    ]
    wrong += [
        f"{name}: 95th percentile {quantile(values, 0.95):.0f} ms"
        for name, values in times.items()
        if quantile(values, 0.95) > limit_ms
    ]
    for text in wrong:
        print(f"too much: {text}")
    return wrong


def print_line(title: str, rows: int, values: list[float], scale: float) -> None:
    """Print median and 95th percentile, in ms and against the baseline."""
    p95 = quantile(values, 0.95)
    print(f"{title[:43]:44}{rows:6}{quantile(values, 0.5):9.1f}{p95:9.1f}{p95 / scale:16.2f}")


def quantile(values: list[float], share: float) -> float:
    """Return a quantile."""
    return float(np.quantile(values, share))


def all_queries(ask: Ask) -> list[Query]:
    """Return every query, as it is asked when a board is opened."""
    queries: list[Query] = []

    def options(sql: str) -> list[tuple[str, str]]:
        return [(str(row[0]), str(row[1])) for row in ask(sql)]

    for board in BOARDS:
        values = choose(board, options, RANGE)
        queries += [
            Query(
                f"{board.name}, ${variable.name}",
                panel_sql(variable.sql, values, RANGE),
                is_series=False,
                most_rows=MOST_VALUES,
            )
            for variable in board.variables
            if variable.sql
        ]
        queries += [
            Query(
                f"{board.name}, {panel.title}",
                panel_sql(panel.sql, values, RANGE),
                panel.format == "time_series",
                MOST_ROWS,
            )
            for panel in board.panels
        ]
    annotation = Query(
        "annotation", expand(BUILDS_SQL, RANGE), is_series=False, most_rows=MOST_ROWS
    )
    return [*queries, annotation]


def asked_ms(ask: Ask, sql: str) -> tuple[float, Rows]:
    """Return how long a query took, and its rows."""
    started = time.perf_counter()
    rows = ask(sql)
    return (time.perf_counter() - started) * 1e3, rows


if __name__ == "__main__":
    sys.exit(main())
