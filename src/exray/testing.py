"""Doubles for tests of instrumented applications: a sink in memory, a clock that stands."""

from dataclasses import dataclass, field

from exray.instrumentation.clock import Clock
from exray.schema.records import FrameRecord, Graph, Run

__all__ = ["MemorySink", "TickingClock"]


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
    """

    def __init__(self, start_ns: int = 1_760_000_000 * 10**9, step_ns: int = 1000) -> None:
        self._now_ns = start_ns
        self._step_ns = step_ns
        super().__init__(wall_ns=lambda: start_ns, monotonic_ns=self._tick)

    def _tick(self) -> int:
        self._now_ns += self._step_ns
        return self._now_ns
