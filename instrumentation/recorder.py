"""The recorder: one configuration, its runs, and the road to the exporter."""

import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from exray.schema.identity import new_run_id
from exray.schema.records import FrameRecord, Graph, LaterFrames, MetricRecord, Run

from .budget import Budget
from .clock import Clock
from .config import Config, Level
from .environment import read_environment
from .guard import guard, log_once
from .host import HostSampler
from .keeping import Keeping
from .privacy import Privacy
from .run_metrics import RunMetrics
from .sampling import Sampler
from .selection import report_unmatched

WAITING_FRAMES = 1000
"""Frames kept that closed before the process ran its first model, as after a failed decode."""


UNTRACED_FRAMES = "exray.frames.untraced"
"""Metric of a recorded frame: how many frames went untraced since the one recorded before it."""


class RecordSink(Protocol):
    """Takes complete records; never raises and never waits but in `flush`."""

    def add_run(self, run: Run) -> None:
        """Take a run, new or with what has been learned since."""
        ...

    def add_graph(self, graph: Graph) -> None:
        """Take a model's operators."""
        ...

    def add_frame(self, frame: FrameRecord) -> None:
        """Take a complete frame."""
        ...

    def add_metrics(self, metrics: Sequence[MetricRecord]) -> None:
        """Take numbers outside any frame, each with its run."""
        ...

    def flush(self, timeout_s: float) -> bool:
        """Write everything taken so far; return whether that was done in time."""
        ...

    def shutdown(self) -> None:
        """Write everything and take no more."""
        ...


class Recorder:
    """Opens runs, numbers frames, and hands on what is complete.

    Args:
        config: Resolved settings.
        sink: Where complete records go.
        clock: Wall and monotonic time.
    """

    def __init__(self, config: Config, sink: RecordSink, clock: Clock | None = None) -> None:
        self.config = config
        self.keeping = Keeping(config.level, config.layers)
        """What is kept of the tensors of a frame at the configuration's own level."""
        self.privacy = Privacy(config.privacy, config.fleet_secret)
        """What leaves of a frame, in names, hashes and sums."""
        self.clock = clock or Clock()
        self.open = True
        """Whether it takes records still."""
        self.preprocess_json: str | None = None
        """Declared preprocessing, for the runs opened from here on."""
        self.sampler = self._new_sampler()
        """Decides which frames are recorded."""
        self._sink = sink
        self.add_later: Callable[[LaterFrames], None]
        self.add_later = getattr(sink, "add_frames_later", None) or self._add_now
        """Takes frames whose records are made in the sink's own time, where it has one."""
        self._metrics = RunMetrics(sink)
        self._host = HostSampler(self._metrics, self.clock.now_ns, config.host_period_s)
        self._renew()

    def _new_sampler(self) -> Sampler:
        if self.config.sampling == "all":
            return Sampler(self.config.level)
        config = self.config
        return Budget(config.level, config.overhead_budget, self.clock.monotonic_ns)

    def _renew(self) -> None:
        """Begin as a new process does: with no runs and with locks that nobody holds."""
        self.generation = object()
        """Changes in a forked child: what is of an older one is the parent's."""
        self.traced: object = object()
        """Changes there too, and with the runtimes whose models are traced."""
        self.opening = threading.RLock()
        """Held while a model opens its run, so that two threads do not open two."""
        self._lock = threading.Lock()
        self._latest_run: Run | None = None
        self._waiting: list[FrameRecord] = []
        self._numbers_of_run: dict[bytes, Iterator[int]] = defaultdict(itertools.count)
        self.placeholder_run = self.open_run()
        """Run of the frames in which no model ran, until they have another."""

    @property
    def summarises(self) -> bool:
        """Whether tensors of any frame are summarised; a frame says it of itself."""
        return self.config.level >= Level.SUMMARY

    def open_run(self) -> Run:
        """Return a new run of this configuration; the caller fills in its model."""
        return Run(
            run_id=new_run_id(),
            build=self.config.build,
            role=self.config.role,
            started_ns=self.clock.now_ns(),
            clock_ok=self.clock.plausible,
            preprocess_json=self.preprocess_json,
            **read_environment(),
        )

    def begin_run(self, run: Run, graph: Graph | None) -> None:
        """Announce a run at its model's first invocation, and the model's graph with it."""
        self._sink.add_run(run)
        if graph is not None:
            self._sink.add_graph(graph)
            self.privacy.learn(graph)
            report_unmatched(graph, self.config.layers)
        with self._lock:
            self._latest_run = run
            waiting, self._waiting = self._waiting, []
        self._use([run])
        for frame in waiting:
            self.close_frame(frame)

    def update_run(self, run: Run) -> None:
        """Write a run again, with what has been learned since."""
        self._sink.add_run(run)

    def close_frame(self, frame: FrameRecord) -> None:
        """Take a complete frame, and say with it how many went untraced before.

        A frame without a model belongs to the process's latest run, or waits for the first.
        """
        _say_untraced(frame, self.sampler.take_untraced())
        with self._lock:
            if frame.run is self.placeholder_run:
                if self._latest_run is None:
                    self._wait(frame)
                    return
                frame.run = self._latest_run
            self._number(frame)
        self._hand_on(frame)
        self._use([inference.run for inference in frame.inferences] or [frame.run])

    def _add_now(self, frames: LaterFrames) -> None:
        for frame in frames():
            self._sink.add_frame(frame)

    def _hand_on(self, frame: FrameRecord) -> None:
        self.privacy.apply(frame)
        self._sink.add_frame(frame)

    def add_metrics(self, metrics: Sequence[MetricRecord]) -> None:
        """Take numbers outside any frame, of the runs in use or the first one to come."""
        self._metrics.add(metrics)

    def _use(self, runs: Sequence[Run]) -> None:
        self._metrics.use(runs)
        self._host.wake()

    def _number(self, frame: FrameRecord) -> None:
        frame.frame_index = next(self._numbers_of_run[frame.run.run_id])

    def numbers_of(self, run: Run) -> Iterator[int]:
        """Return what numbers the frames of *run*; to take the next one needs no lock."""
        with self._lock:
            return self._numbers_of_run[run.run_id]

    def complete(self, frame: FrameRecord, number: int, untraced: int) -> FrameRecord:
        """Return *frame*, as `close_frame` would hand it on.

        For frames that are put together later than they closed: number and count are of then.
        """
        frame.frame_index = number
        _say_untraced(frame, untraced)
        self.privacy.apply(frame)
        return frame

    def use(self, run: Run) -> None:
        """Note that *run* records something still."""
        self._use([run])

    def _wait(self, frame: FrameRecord) -> None:
        if len(self._waiting) < WAITING_FRAMES:
            self._waiting.append(frame)
            return
        log_once(
            "waiting frames",
            f"more than {WAITING_FRAMES} frames closed without any model having run; "
            "the later ones are not recorded until a model runs.",
        )

    def restart(self) -> None:
        """Begin anew in a forked child: another process, so other runs."""
        self.clock.anchor()
        self._metrics.renew()
        self._host.renew()
        self.sampler.renew()
        self._renew()

    def add_cost_ns(self, cost_ns: int) -> None:
        """Count time that exray takes of the application beside what its frames measure.

        For adapters: kernels that run slower for being watched, a second interpreter. It
        counts against the overhead budget; with ``sampling="all"`` it is ignored.
        """
        self.sampler.add_cost_ns(cost_ns)

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Write everything recorded so far; return whether that was done in time."""
        return self._sink.flush(timeout_s)

    def shutdown(self) -> None:
        """Write everything, frames without a model included, and stop."""
        self.open = False
        with guard("stop reading the host"):
            self._host.stop()
        with self._lock:
            waiting, self._waiting = self._waiting, []
            for frame in waiting:
                self._number(frame)
        try:
            if waiting or self._metrics.has_waiting:
                self.placeholder_run.preprocess_json = self.preprocess_json
                self._sink.add_run(self.placeholder_run)
                self._metrics.use([self.placeholder_run])
            for frame in waiting:
                self._hand_on(frame)
        finally:
            self._sink.shutdown()


def _say_untraced(frame: FrameRecord, untraced: int) -> None:
    if untraced:
        frame.metrics.append(
            MetricRecord(
                name=UNTRACED_FRAMES, value=untraced, time_ns=frame.start_ns, unit="{frame}"
            )
        )
