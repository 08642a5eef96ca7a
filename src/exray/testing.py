"""Doubles for tests of instrumented applications: a sink in memory, a clock that stands."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from exray.instrumentation import api
from exray.instrumentation.clock import Clock
from exray.instrumentation.config import Config, Level
from exray.instrumentation.privacy import parse_privacy
from exray.instrumentation.recorder import Recorder, RecordSink
from exray.instrumentation.selection import LayerSelection
from exray.schema.keying import secret_from_text
from exray.schema.records import FrameRecord, Graph, MetricRecord, Run

__all__ = ["MemorySink", "TickingClock", "recording"]


@dataclass(slots=True)
class MemorySink:
    """Keeps what an application recorded.

    Example:
        >>> sink = MemorySink()
        >>> sink.flush(0.0)
        True
    """

    runs: dict[bytes, Run] = field(default_factory=dict[bytes, Run])
    graphs: dict[str, Graph] = field(default_factory=dict[str, Graph])
    frames: list[FrameRecord] = field(default_factory=list[FrameRecord])
    metrics: list[MetricRecord] = field(default_factory=list[MetricRecord])
    """Those outside frames."""
    closed: bool = False

    def add_run(self, run: Run) -> None:
        """Keep a run by its id; the newest counts."""
        self.runs[run.run_id] = run

    def add_graph(self, graph: Graph) -> None:
        """Keep a model's operators by its file's hash."""
        self.graphs[graph.model_sha256] = graph

    def add_frame(self, frame: FrameRecord) -> None:
        """Keep a frame."""
        self.frames.append(frame)

    def add_metrics(self, metrics: Sequence[MetricRecord]) -> None:
        """Keep numbers outside any frame."""
        self.metrics += metrics

    def flush(self, timeout_s: float) -> bool:
        """Return True: everything is where it will ever be."""
        return True

    def shutdown(self) -> None:
        """Remember that the recorder ended."""
        self.closed = True


class TickingClock(Clock):
    """A clock that advances by a fixed step at each reading, from a fixed start.

    Args:
        start_ns: First reading, nanoseconds since 1970.
        step_ns: What each reading adds.

    Example:
        >>> clock = TickingClock(start_ns=1_800_000_000_000_000_000)
        >>> clock.now_ns(), clock.now_ns()
        (1800000000000000000, 1800000000000001000)
    """

    def __init__(self, start_ns: int = 1_760_000_000 * 10**9, step_ns: int = 1000) -> None:
        self._now_ns = 0
        self._step_ns = step_ns
        super().__init__(
            wall_ns=lambda: start_ns - step_ns,
            monotonic_ns=self._tick,
            suspended_ns=lambda: 0,
        )

    def _tick(self) -> int:
        now_ns = self._now_ns
        self._now_ns += self._step_ns
        return now_ns


@contextmanager
def recording(
    sink: RecordSink,
    *,
    build: str = "test",
    role: str = "edge",
    level: str = "summary",
    layers: str | Sequence[str] | None = None,
    host_period_s: float = 0.0,
    sampling: str = "all",
    overhead_budget: float = 0.02,
    privacy: str = "open",
    fleet_secret: str | None = None,
    auto: bool = True,
    clock: Clock | None = None,
) -> Generator[Recorder]:
    """Record what the application does inside the block into *sink*.

    As after `exray.configure()`, but nothing of the environment or the disk is used.

    Args:
        sink: Takes the records, such as a `MemorySink`.
        build: As in `exray.configure()`, like the following.
        role: ``edge`` or ``reference``.
        level: ``latency``, ``summary``, ``distribution`` or ``full``.
        layers: Which layers are summarised.
        host_period_s: Time between readings of the host; 0 for none.
        sampling: ``all`` frames, or what the ``budget`` allows.
        overhead_budget: Mean share of the frames' own time that recording may take.
        privacy: ``open`` or ``closed``; open by default, so that a test sees its own names.
        fleet_secret: Key of names and hashes.
        auto: Trace every model.
        clock: Wall and monotonic time, such as a `TickingClock`.

    Example:
        >>> import exray
        >>> sink = MemorySink()
        >>> with recording(sink), exray.frame(input_id="cat.png"):
        ...     exray.record("light", 0.5)
        >>> sink.frames[0].input_id, sink.frames[0].metrics[0].value
        ('cat.png', 0.5)
    """
    config = Config(
        build=build,
        role=role,
        lake=Path("lake"),
        level=Level.parse(level),
        auto=auto,
        layers=LayerSelection.parse(layers),
        host_period_s=host_period_s,
        sampling=sampling,
        overhead_budget=overhead_budget,
        privacy=parse_privacy(privacy),
        fleet_secret=None if fleet_secret is None else secret_from_text(fleet_secret),
    )
    recorder = Recorder(config, sink, clock)
    api.start(recorder)
    try:
        yield recorder
    finally:
        api.shutdown()
