"""A collector's numbers and health, whichever of its processes is asked."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import Metric

from .board import Board
from .measures import Measures, text_of

logger = logging.getLogger(__name__)

PERIOD_S = 0.25
"""How often each process tells the others."""

STALE_S = 5.0
"""Who has said nothing for so long is being started again, or will be."""

_OWN = "_created"
"""End of the names of samples that cannot be summed."""


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes of an orchestrator are told.

    Args:
        is_alive: Whether the process does its work; it is restarted otherwise.
        is_ready: Whether requests are taken now.
    """

    is_alive: Callable[[], bool]
    is_ready: Callable[[], bool]


Key = tuple[str, tuple[tuple[str, str], ...]]
"""Name and labels of a number."""


class Figures:
    """Sums of all processes, its own part to this moment.

    Args:
        measures: This process's numbers.
        health: Its health.
        board: Where the others tell theirs, None where there are none.
        place: Its own place there. What its predecessor counted there is gone on with: sums
            must not fall when a process is started again.
    """

    def __init__(
        self, measures: Measures, health: Health, board: Board | None = None, place: int = 0
    ) -> None:
        self._measures = measures
        self._health = health
        self._board = board
        self._place = place
        before = board.read(place) if board is not None else None
        self._before = _counted(_families_from(before["families"])) if before else {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="exray-figures", daemon=True)

    def start(self) -> None:
        """Tell the others from now on."""
        if self._board is not None:
            self._thread.start()

    def stop(self) -> None:
        """Tell them no more; a second call does nothing."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def is_alive(self) -> bool:
        """Tell whether all do their work, but for those that are being started."""
        return self._health.is_alive() and all(other["is_alive"] for other in self._others())

    def is_ready(self) -> bool:
        """Tell whether requests are taken, by whichever process they reach."""
        return self._health.is_ready() and all(other["is_ready"] for other in self._others())

    def families(self) -> list[Metric]:
        """Return the sums."""
        parts = [self._own(), *(_families_from(o["families"]) for o in self._others(stale=True))]
        return _summed(parts) if len(parts) > 1 else parts[0]

    def text(self) -> bytes:
        """Return them in Prometheus's text format."""
        return text_of(self.families())

    def samples(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield name, labels and value of each number."""
        for family in self.families():
            for sample in family.samples:
                yield sample.name, dict(sample.labels), float(sample.value)

    def _own(self) -> list[Metric]:
        families = self._measures.families()
        if self._before:
            _add(families, self._before)
        return families

    def _others(self, *, stale: bool = False) -> Iterator[dict[str, Any]]:
        """Yield what the others have told; of one that died only where *stale* is wanted."""
        board = self._board
        for place in range(board.places if board is not None else 0):
            told = board.read(place) if board is not None and place != self._place else None
            if told is not None and (stale or time.monotonic() < told["told_at_s"] + STALE_S):
                yield told

    def _work(self) -> None:
        assert self._board is not None
        while True:
            try:
                told = {
                    "told_at_s": time.monotonic(),  # of the machine: all processes have the same
                    "is_alive": self._health.is_alive(),
                    "is_ready": self._health.is_ready(),
                    "families": [_told(family) for family in self._own()],
                }
                self._board.write(self._place, told)
            except Exception:  # what cannot be told must not keep from telling the next time
                logger.exception("the numbers cannot be told to the other receivers")
            if self._stopping.wait(PERIOD_S):
                return


def _told(family: Metric) -> list[Any]:
    samples = [[s.name, dict(s.labels), s.value] for s in family.samples]
    return [family.name, family.documentation, family.type, samples]


def _families_from(told: Iterable[Any]) -> list[Metric]:
    families: list[Metric] = []
    for name, text, kind, samples in told:
        family = Metric(name, text, kind)
        for sample in samples:
            family.add_sample(*sample)
        families.append(family)
    return families


def _key(name: str, labels: Mapping[str, str]) -> Key:
    return name, tuple(sorted(labels.items()))


def _counted(families: Iterable[Metric]) -> dict[str, dict[Key, float]]:
    """Return what only ever grows, by family."""
    return {
        family.name: {
            _key(sample.name, sample.labels): sample.value
            for sample in family.samples
            if not sample.name.endswith(_OWN)
        }
        for family in families
        if family.type in ("counter", "histogram")
    }


def _add(families: Iterable[Metric], more: Mapping[str, Mapping[Key, float]]) -> None:
    """Add to the numbers in *families*; those with labels that they have not are put there."""
    for family in families:
        left = dict(more.get(family.name, {}))
        old, family.samples = family.samples, []
        for sample in old:
            value = sample.value + left.pop(_key(sample.name, sample.labels), 0.0)
            family.add_sample(sample.name, dict(sample.labels), value)
        for (name, labels), value in left.items():
            family.add_sample(name, dict(labels), value)


def _summed(parts: Iterable[list[Metric]]) -> list[Metric]:
    """Return each number once, the sum of all that have it."""
    by_name: dict[str, Metric] = {}
    sums: dict[str, dict[Key, float]] = {}
    for family in (family for part in parts for family in part):
        by_name.setdefault(family.name, family)
        found = sums.setdefault(family.name, {})
        for sample in family.samples:
            key = _key(sample.name, sample.labels)
            if not sample.name.endswith(_OWN):
                found[key] = found.get(key, 0.0) + sample.value
    families: list[Metric] = []
    for name, like in by_name.items():
        family = Metric(name, like.documentation, like.type)
        for (sample_name, labels), value in sums[name].items():
            family.add_sample(sample_name, dict(labels), value)
        families.append(family)
    return families
