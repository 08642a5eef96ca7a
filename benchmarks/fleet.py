"""How long every panel of every dashboard takes on the lake of a large fleet.

Writes a made-up fleet, by default 10,000 devices with 10 million layer spans, and its rollups;
then asks every panel, variable and annotation in turn, a number of rounds, and prints the
median and the 95th percentile of each board's panels and the slowest panel, in milliseconds
and as a ratio to a baseline measured in the same rounds: one sum over the times of all layer
spans. Ends with 1 where a panel gives more than 1,000 rows or 30 series, or a variable more
than 500 values.

    python benchmarks/fleet.py [--lake FOLDER] [--devices 10000] [--rounds 10]

A lake that is there already is measured as it is.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import duckdb
import numpy as np

from exray.grafana.choices import choose, panel_sql
from exray.grafana.dashboards import BOARDS
from exray.grafana.macros import TimeRange
from exray.grafana.rollup import refresh
from exray.grafana.sample import HOUR_NS, Fleet, write_sample
from exray.lake import Lake
from exray.queries import connect

BASELINE = "SELECT sum(dur_ns) FROM _layer_spans"
RANGE = TimeRange.last(120)


def main() -> int:
    """Write the lake, ask the panels, print; exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--lake", type=Path, help="folder, kept; without it a temporary one")
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.open_or_create(options.lake or Path(folder, "lake"))
        if not lake.files("runs"):
            write_fleet(lake, options.devices)
        connection = connect(lake)
        wrong = report(connection, options.rounds)
        connection.close()
    return 1 if wrong else 0


def write_fleet(lake: Lake, devices: int) -> None:
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
    )
    started = time.perf_counter()
    write_sample(lake, fleet)
    written = time.perf_counter()
    groups = refresh(lake)
    print(
        f"written in {written - started:.0f} s, {groups} groups rolled up in "
        f"{time.perf_counter() - written:.0f} s"
    )


def report(connection: duckdb.DuckDBPyConnection, rounds: int) -> list[str]:
    """Ask everything, print, and return what is larger than a panel may be."""
    ((spans,),) = connection.execute("SELECT count(*) FROM _layer_spans").fetchall()
    ((devices,),) = connection.execute("SELECT count(*) FROM device_list").fetchall()
    print(f"{devices} devices, {spans} layer spans, {rounds} rounds")
    queries, wrong = all_queries(connection)
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    baseline: list[float] = []
    for _ in range(rounds):
        baseline.append(asked_ms(connection, BASELINE)[0])
        for name, sql in queries.items():
            ms, rows, series = asked_ms(connection, sql)
            times[name].append(ms)
            if rows > 1000 or series > 30:
                wrong.append(f"{name}: {rows} rows, {series} series")
    scale = float(np.median(baseline))
    print(f"  {'sum over all layer spans':44}{scale:9.1f} ms      1.00")
    for board in BOARDS:
        found = [ms for (name, _), values in times.items() if name == board.name for ms in values]
        print_line(board.name, found, scale)
    everything = [ms for values in times.values() for ms in values]
    print_line("all panels, variables, annotations", everything, scale)
    slowest = sorted(times, key=lambda name: -float(np.median(times[name])))[:5]
    for name in slowest:
        print_line(f"slowest: {name[0]}, {name[1]}", times[name], scale)
    for text in sorted(set(wrong)):
        print(f"too much: {text}")
    return wrong


def print_line(title: str, values: list[float], scale: float) -> None:
    """Print median and 95th percentile, in ms and against the baseline."""
    p50, p95 = np.percentile(values, [50, 95])
    print(f"  {title[:43]:44}{p50:9.1f} ms p50 {p95:9.1f} ms p95 {p95 / scale:7.2f} x")


def all_queries(
    connection: duckdb.DuckDBPyConnection,
) -> tuple[dict[tuple[str, str], str], list[str]]:
    """Return every query by board and name, and the variables that offer too much."""
    queries: dict[tuple[str, str], str] = {}
    wrong: list[str] = []

    def ask(sql: str) -> list[tuple[str, str]]:
        return [(str(row[0]), str(row[1])) for row in connection.execute(sql).fetchall()]

    for board in BOARDS:
        values = choose(board, ask, RANGE)
        for variable in board.variables:
            if variable.sql:
                sql = panel_sql(variable.sql, values, RANGE)
                queries[board.name, f"${variable.name}"] = sql
                if len(ask(sql)) > 500:
                    wrong.append(f"{board.name}, ${variable.name}")
        for panel in board.panels:
            queries[board.name, panel.title] = panel_sql(panel.sql, values, RANGE)
    return queries, wrong


def asked_ms(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[float, int, int]:
    """Return how long a query took, its rows, and its series."""
    started = time.perf_counter()
    cursor = connection.execute(sql)
    rows = cursor.fetchall()
    ms = (time.perf_counter() - started) * 1e3
    names = [column[0] for column in cursor.description or ()]
    series = {row[1] for row in rows} if names == ["time", "metric", "value"] else set()
    return ms, len(rows), len(series)


if __name__ == "__main__":
    sys.exit(main())
