"""What several decoders are worth: the logs of as many receivers into a lake, on the clock.

The same requests, of fifteen frames of 66 layers each, lie in as many logs as there are
decoders at most; a new lake takes them with one decoder, with two and so on, in turn. Look at
the ratios to one: cores that something else has are not there for the others.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from ingest import make_bodies
from rich.console import Console
from rich.table import Table

from exray.collector.drain.drain import Drain
from exray.collector.logs import log_folder
from exray.exporters.log import Encoding
from exray.exporters.log_packing import pack
from exray.exporters.log_writer import LogWriter
from exray.lake import Lake

FRAMES = 15
WARM_UP = 0.1
"""Share of the requests that a drain has had before the clock runs."""


def main() -> None:
    """Print a row for each number of decoders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decoders", type=int, default=2, help="at most")
    parser.add_argument("--requests", type=int, default=300, help="in all logs together")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    bodies = make_bodies(FRAMES, options.requests)
    rates: dict[int, list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        for decoders in range(1, options.decoders + 1):
            rates[decoders].append(drain_rate(bodies, options.decoders, decoders))
    table = Table(title="Logs to Parquet")
    for name in ("decoders", "spans/s", "ratio to one"):
        table.add_column(name, justify="right")
    for decoders, found in rates.items():
        ratios = [more / one for more, one in zip(found, rates[1], strict=True)]
        table.add_row(
            str(decoders), f"{statistics.median(found):,.0f}", f"{statistics.median(ratios):.2f}"
        )
    Console().print(table)


def drain_rate(bodies: Sequence[bytes], logs: int, decoders: int) -> float:
    """Return spans a second that come from so many logs into a new lake."""
    with tempfile.TemporaryDirectory() as folder:
        wal, lake = Path(folder, "log"), Lake.open_or_create(Path(folder, "lake"))
        writers = [LogWriter(log_folder(wal, number)) for number in range(logs)]
        first = round(len(bodies) * WARM_UP)
        with closing(Drain(wal, lake, decoders=decoders)) as loop:
            took_s = 0.0
            for some in (bodies[:first], bodies[first:]):
                for number, body in enumerate(some):
                    packing, stored = pack(body)  # as the collector does
                    writers[number % logs].append(
                        "traces", Encoding.PROTOBUF, stored, time.time_ns(), packing
                    )
                for writer in writers:
                    writer.sync()
                before_s, spans_before = time.perf_counter(), loop.status.spans
                while loop.move_one():
                    pass
                took_s = time.perf_counter() - before_s
            moved = loop.status.spans
        for writer in writers:
            writer.close()
        if moved % len(bodies) or not moved:
            raise SystemExit(f"{moved} spans of {len(bodies)} requests arrived")
        return (moved - spans_before) / took_s


if __name__ == "__main__":
    main()
