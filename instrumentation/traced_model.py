"""A model that is traced, whatever its runtime."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from exray.schema.records import Graph, Run, TensorSite

from .guard import guard
from .recorder import Recorder


class TracedModel(ABC):
    """An instrumented model, which knows its run.

    It may be kept as an attribute of the model itself, and so must hold the model weakly:
    in a cycle, a dropped model would keep its memory until the collector runs.

    Args:
        recorder: Takes what is recorded.
    """

    may_skip = False
    """Whether what calls `trace_call` leaves out as many calls as *skip* says."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.skip = 0
        """Calls outside any frame that go untraced from here on, counted already."""
        self.run: Run | None = None
        self.graph: Graph | None = None
        self._generation: object = None
        self._announced = False
        self._sites: Sequence[TensorSite] = ()

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Copy and pickle as None: a copied model is another one, and traces itself."""
        return type(None), ()

    @abstractmethod
    def describe(self, run: Run) -> Graph | None:
        """Fill in the model's identity in *run*; return its graph where it has one."""

    def ensure_run(self) -> Run:
        """Return the model's run in this process, opened at its first invocation."""
        recorder, run = self.recorder, self.run
        if run is None or self._generation is not recorder.generation:
            with recorder.opening:
                if self.run is None or self._generation is not recorder.generation:
                    self._open_run(recorder)
                run = self.run
        assert run is not None
        if not self._announced:
            with guard("announce a run"):
                recorder.begin_run(run, self.graph)
                self._announced = True
        return run

    def _open_run(self, recorder: Recorder) -> None:
        run = recorder.open_run()
        with guard("describe a model"):
            self.graph = self.describe(run)
        self._announced = False
        self.run, self._generation = run, recorder.generation

    def rebind(self, recorder: Recorder) -> None:
        """Record with *recorder* from here on: the next invocation opens a new run."""
        self.recorder = recorder

    def share_sites(self, sites: Sequence[TensorSite]) -> Sequence[TensorSite]:
        """Return the list of an earlier execution if it is the same: exporters go by list."""
        known = self._sites
        if len(known) == len(sites) and all(a is b for a, b in zip(known, sites, strict=True)):
            return known
        self._sites = sites
        return sites
