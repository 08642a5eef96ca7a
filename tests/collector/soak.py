"""Send frames to a collector at a steady rate for minutes and watch its memory: ``make soak``.

The rate is half of what the collector, its drain beside it, acknowledged in a burst before.
In the end everything acknowledged must be in the lake, once, and the memory of receiver and
drain must not have grown through the second half.
"""

import itertools
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import grpc

from exray.exporters.otlp_requests import RequestEncoder
from exray.lake import Lake

from ..exporters.frames import carried_frame
from .crash import Victim
from .service import TRACE_METHOD

CLIENTS = 4
LAYERS = 66
WARM_UP_S, BURST_S = 3.0, 10.0
SAMPLE_S = 1.0

GROWTH_RATIO, GROWTH_BYTES = 0.05, 16 << 20
"""What the last quarter may have above the one before the middle: a set of requests more or
less is in memory when a sample is taken."""


@dataclass
class Figures:
    """What a soak found."""

    rate_per_s: float = 0.0
    """Frames a second that were due."""
    acknowledged: int = 0
    refused: int = 0
    """Answered that they can be taken later."""
    found: int = 0
    """Frames in the lake."""
    distinct: int = 0
    layers: int = 0
    """Rows of layers in the lake."""
    waits_s: list[float] = field(default_factory=list[float])
    memory_bytes: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """Resident, of each process, sample by sample."""
    log_bytes: list[int] = field(default_factory=list[int])

    def __str__(self) -> str:
        p99_ms = quantile(self.waits_s, 0.99) * 1e3
        lines = [
            f"{self.rate_per_s:.1f} frames a second of {LAYERS} layers were due",
            f"acknowledged {self.acknowledged}, refused {self.refused}, p99 {p99_ms:.1f} ms",
            f"found {self.found}, distinct {self.distinct}, layers {self.layers}",
            f"largest log {max(self.log_bytes, default=0) >> 20} MiB",
        ]
        for name, samples in self.memory_bytes.items():
            quarters = ", ".join(f"{part / 2**20:.0f}" for part in quarter_means(samples))
            flat = "flat" if is_flat(samples) else "GROWING"
            lines.append(f"memory of the {name}, MiB by quarters: {quarters}: {flat}")
        return "\n".join(lines)

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost or doubled, and memory is flat."""
        return (
            self.acknowledged > 0
            and self.found == self.distinct == self.acknowledged
            and self.layers == self.acknowledged * LAYERS
            and all(map(is_flat, self.memory_bytes.values()))
        )


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that *share* of them do not exceed, 0 of none."""
    return sorted(values)[int((len(values) - 1) * share)] if values else 0.0


def quarter_means(samples: Sequence[int]) -> list[float]:
    """Return the mean of each quarter of the samples."""
    size = max(len(samples) // 4, 1)
    return [statistics.fmean(samples[i * size : (i + 1) * size] or [0]) for i in range(4)]


def is_flat(samples: Sequence[int]) -> bool:
    """Tell whether memory did not grow through the second half.

    >>> is_flat([300 << 20] * 8), is_flat([mib << 20 for mib in range(300, 400, 10)])
    (True, False)
    """
    _, second, _, last = quarter_means(samples)
    return last <= second * (1 + GROWTH_RATIO) + GROWTH_BYTES


class Sender(threading.Thread):
    """Sends frames, each with a trace of its own, as they fall due.

    Args:
        port: The collector's, of gRPC.
        frame: What is sent.
        pause_s: Between two of them; 0 for as fast as answers come.
        number: Of the sender; frames of no two are the same.
    """

    def __init__(self, port: int, frame: "Frame", pause_s: float, number: int) -> None:
        super().__init__(daemon=True)
        self._port, self._frame, self._pause_s, self._number = port, frame, pause_s, number
        self._stopping = threading.Event()
        self.acknowledged = self.refused = 0
        self.waits_s: list[float] = []

    def stop(self) -> None:
        """Stop after the request under way."""
        self._stopping.set()
        self.join()

    def run(self) -> None:
        body, trace_id = self._frame
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{self._port}", options=options) as channel:
            call: Any = channel.unary_unary(TRACE_METHOD)
            due_s = time.monotonic()
            for count in itertools.count(1):
                if self._stopping.wait(max(due_s - time.monotonic(), 0)):
                    return
                fresh = self._number.to_bytes(4, "big") + count.to_bytes(12, "big")
                began_s = due_s if self._pause_s else time.monotonic()
                try:
                    call(body.replace(trace_id, fresh), timeout=30)
                    self.acknowledged += 1
                    self.waits_s.append(time.monotonic() - began_s)
                except grpc.RpcError as error:
                    assert error.code() is grpc.StatusCode.UNAVAILABLE, error
                    self.refused += 1
                due_s = due_s + self._pause_s if self._pause_s else 0.0


Frame = tuple[bytes, bytes]
"""A request of one frame, and the trace id that stands in it."""


def frame_request() -> Frame:
    """Return a request of one frame of `LAYERS` layers."""
    frame = carried_frame(1, layers=LAYERS)
    encoder = RequestEncoder({"service.name": "soak"})
    return b"".join(b"".join(part) for part in encoder.traces([frame])), frame.trace_id


def soak(folder: Path, seconds: float, rate_per_s: float | None = None) -> Figures:
    """Send for so long, by default at half of the rate of a burst; return what was found."""
    lake = folder / "lake"
    victim = Victim(folder / "collector", lake)
    figures = Figures()
    frame = frame_request()
    if rate_per_s is None:
        _send(victim, frame, figures, WARM_UP_S, 0.0, 1)
        rate_per_s = _send(victim, frame, figures, BURST_S, 0.0, 1 + CLIENTS) / BURST_S / 2
        figures.waits_s.clear()
        figures.memory_bytes.clear()
    figures.rate_per_s = rate_per_s
    _send(victim, frame, figures, seconds, CLIENTS / rate_per_s, 1 + 2 * CLIENTS)
    assert victim.finish() == 0
    _count(figures, lake)
    return figures


def _send(
    victim: Victim,
    frame: Frame,
    figures: Figures,
    seconds: float,
    pause_s: float,
    first_number: int,
) -> int:
    """Send from several threads for a while; return how many frames were acknowledged."""
    port = victim.grpc_port
    senders = [Sender(port, frame, pause_s, first_number + i) for i in range(CLIENTS)]
    for sender in senders:
        sender.start()
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        time.sleep(SAMPLE_S)
        _sample(victim, figures)
    for sender in senders:
        sender.stop()
        figures.acknowledged += sender.acknowledged
        figures.refused += sender.refused
        figures.waits_s += sender.waits_s
    return sum(sender.acknowledged for sender in senders)


def _sample(victim: Victim, figures: Figures) -> None:
    of_drain = victim.children("drain")
    for name, processes in (("receivers", victim.receivers()), ("drain", of_drain)):
        size = sum(process.memory_info().rss for process in processes)
        figures.memory_bytes.setdefault(name, []).append(size)
    figures.log_bytes.append(sum(map(_size, (victim.die_file.parent / "wal").rglob("*.log"))))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # read meanwhile, and removed
        return 0


def _count(figures: Figures, lake: Path) -> None:
    opened = Lake.open(lake)
    frames, layers = opened.files("frames"), opened.files("layer_spans")
    query = "SELECT count(*), count(DISTINCT trace_id) FROM read_parquet(?)"
    figures.found, figures.distinct = duckdb.execute(query, [frames]).fetchall()[0]
    query = "SELECT count(*) FROM read_parquet(?)"
    [(figures.layers,)] = duckdb.execute(query, [layers]).fetchall()


def main() -> int:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    subprocess.run(["sync"], check=False)  # what others wrote is not to be waited for here
    with tempfile.TemporaryDirectory() as folder:
        figures = soak(Path(folder), minutes * 60)
    print(figures)
    return 0 if figures.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
