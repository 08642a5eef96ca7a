"""What SQL over the PostgreSQL wire costs, against DuckDB asked in the same process.

Starts ``exray grafana serve`` over a made-up fleet in a process of its own, and asks it
through psycopg: the smallest statement and an empty one, 100,000 rows of three columns, 50
panels at once, and a result far larger than the server may hold. Beside each stands the same
statement asked of DuckDB in this process; the same machine runs both, so look at the ratios.

    python benchmarks/wire.py [--rounds 300] [--rows 100000] [--panels 50]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from served import serving

from exray.grafana.sample import Fleet, write_sample
from exray.lake import Lake
from exray.queries import connect

PANEL = (
    "SELECT date_trunc('hour', start_time) AS time, build AS metric, count(*) AS value FROM"
    " (SELECT make_timestamp(start_ns // 1000) AS start_time, build FROM layer_spans)"
    " GROUP BY ALL ORDER BY 1, 2 LIMIT 1000"
)
LARGE = "SELECT a, a * 0.5::DOUBLE AS b, repeat('x', 80) AS c FROM range(3000000) AS t(a)"
LARGE_BYTES = 3_000_000 * 106
"""About what LARGE is on the wire."""


def main() -> None:
    """Serve, ask, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--panels", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.open_or_create(Path(folder, "lake"))
        write_sample(lake, Fleet(time.time_ns() - 7_200_000_000_000, devices=6, builds=4))
        with serving(lake, Path(folder)) as (conninfo, process_id):
            report(lake, conninfo, process_id, options)


def report(lake: Lake, conninfo: str, process_id: int, options: argparse.Namespace) -> None:
    """Measure everything against one server."""
    rows = f"SELECT a, a * 0.5::DOUBLE AS b, 'layer ' || a % 100 AS c FROM range({options.rows}) AS t(a)"
    with connect(lake) as inside, psycopg.connect(conninfo, autocommit=True) as wire:
        print(f"{'':34}{'DuckDB here':>14}{'over the wire':>16}")
        for name, statement in (("SELECT 1", "SELECT 1"), ("-- ping", "-- ping")):
            ours = times_ms(lambda s=statement: wire.execute(s.encode()), options.rounds)
            here = (
                times_ms(lambda: inside.execute("SELECT 1").fetchall(), options.rounds)
                if statement == "SELECT 1"
                else None
            )
            show(
                f"{name}, p50 ms",
                None if here is None else statistics.median(here),
                statistics.median(ours),
            )
            show(
                f"{name}, p95 ms",
                None if here is None else quantile(here, 0.95),
                quantile(ours, 0.95),
            )
        here = times_ms(lambda: inside.execute(rows).fetchall(), 5)
        received = times_ms(lambda: wire.pgconn.exec_(rows.encode()), 5)
        fetched = times_ms(lambda: wire.execute(rows.encode()).fetchall(), 5)
        show(f"{options.rows} rows, received, ms", None, statistics.median(received))
        show(
            f"{options.rows} rows, as Python's, ms",
            statistics.median(here),
            statistics.median(fetched),
        )
        one = times_ms(lambda: inside.execute(PANEL).fetchall(), 10)
        alone = times_ms(lambda: wire.execute(PANEL.encode()).fetchall(), 10)
        show("a panel alone, p50 ms", statistics.median(one), statistics.median(alone))
    together(conninfo, options.panels)
    memory(conninfo, process_id)


def together(conninfo: str, panels: int) -> None:
    """Ask for as many panels at once, each on a connection of its own."""

    def ask(_: int) -> float:
        with psycopg.connect(conninfo, autocommit=True) as wire:
            start = time.perf_counter()
            wire.execute(PANEL.encode()).fetchall()
            return (time.perf_counter() - start) * 1e3

    start = time.perf_counter()
    with ThreadPoolExecutor(panels) as pool:
        each = list(pool.map(ask, range(panels)))  # raises what any of them raised
    show(f"{panels} at once, connecting too, ms", None, (time.perf_counter() - start) * 1e3)
    show(f"{panels} at once, p95 ms", None, quantile(each, 0.95))


def memory(conninfo: str, process_id: int) -> None:
    """Read a large result, and see what the server held of it."""
    before = peak_mib(process_id)
    with psycopg.connect(conninfo, autocommit=True) as wire:
        start = time.perf_counter()
        count = sum(1 for _ in wire.cursor().stream(LARGE.encode(), size=1000))
        seconds = time.perf_counter() - start
    grown = peak_mib(process_id) - before
    print(
        f"{count} rows, about {LARGE_BYTES / 2**20:.0f} MiB, in {seconds:.1f} s: the server's peak"
        f" memory grew by {grown:.0f} MiB, from {before:.0f} MiB"
    )


def peak_mib(process_id: int) -> float:
    """Most memory that a process has ever held."""
    status = Path(f"/proc/{process_id}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def times_ms(ask: Callable[[], object], rounds: int) -> list[float]:
    """How long each of *rounds* takes, after one that does not count."""
    ask()
    taken: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - start) * 1e3)
    return taken


def quantile(values: list[float], q: float) -> float:
    """The value that a share *q* of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def show(name: str, here: float | None, wire: float) -> None:
    """Print one line."""
    print(f"{name:34}{'-' if here is None else f'{here:.2f}':>14}{wire:16.2f}")


if __name__ == "__main__":
    main()
