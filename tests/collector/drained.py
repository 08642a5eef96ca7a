"""A log with requests of known spans, and its drain in a process that a test lets die.

As a program it drains a log until it is empty, or dies when a step is done the n-th time:
``drained.py LOG LAKE STEP N DECODERS``.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from exray.collector.drain.drain import Drain
from exray.exporters.log import Encoding
from exray.exporters.log_writer import LogWriter
from exray.exporters.otlp_requests import RequestEncoder
from exray.lake import Lake
from exray.schema.records import FrameRecord, Run

TABLES = ("frames", "layer_spans", "tensors", "spans")
RECEIVED_NS = 1_769_904_000_000_000_000


def bodies_of(frames: Sequence[FrameRecord]) -> list[bytes]:
    """Return a trace request for each frame."""
    encoder = RequestEncoder({"service.name": "shelf"})
    return [b"".join(b"".join(r) for r in encoder.traces([frame])) for frame in frames]


def fill(
    folder: Path,
    bodies: Sequence[bytes],
    runs: Sequence[Run] = (),
    *,
    received_ns: int = RECEIVED_NS,
) -> None:
    """Append requests to a log, which is made if need be."""
    writer = LogWriter(folder)
    for request in RequestEncoder({}).logs(runs, [], received_ns):
        writer.append("logs", Encoding.PROTOBUF, b"".join(request), received_ns)
    for body in bodies:
        writer.append("traces", Encoding.PROTOBUF, body, received_ns)
    writer.close()


def drain_all(
    log: Path, lake: Path, dying_step: str = "", at: int = 1, *, decoders: int = 1
) -> Drain:
    """Drain a log until it is empty, or die when a step is done the *at*-th time."""
    left = at

    def step(name: str) -> None:
        nonlocal left
        if name == dying_step:
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    with closing(Drain(log, Lake.open_or_create(lake), step=step, decoders=decoders)) as loop:
        while loop.move_one():
            pass
    return loop


def rows_of(lake: Path) -> dict[str, Counter[bytes]]:
    """Return how often each span stands in each table of a lake, as it is on disk."""
    import pyarrow.parquet as pq

    found: dict[str, Counter[bytes]] = {}
    opened = Lake.open(lake)
    for table in TABLES:
        found[table] = Counter()
        for path in opened.files(table):
            columns = pq.ParquetFile(path).read(["trace_id", "span_id"]).to_pydict()
            found[table].update(t + s for t, s in zip(*columns.values(), strict=True))
    return found


if __name__ == "__main__":
    drain_all(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        sys.argv[3],
        int(sys.argv[4]),
        decoders=int(sys.argv[5]),
    )
