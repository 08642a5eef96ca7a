"""The candidate search over many faults: what it named, how sure it could be, how long it took."""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from preprocessing_cases import Case

from exray.diagnosis.candidates.confidence import LEAST_MATCH_DB
from exray.diagnosis.candidates.hypothesis import CAP_DB
from exray.diagnosis.candidates.image_search import Found, search_image

PATIENCE_S = 180.0
"""Budget of a search on the clock: other work on the machine must not decide what is found."""


@dataclass(frozen=True)
class Trial:
    """One case and what the search said.

    Args:
        named: Margin in dB by code named; empty where nothing matched well enough.
        match_db: How well the best hypothesis matched.
        best: Its codes, whether named or not.
    """

    case: Case
    named: dict[str, float]
    match_db: float
    best: dict[str, float]
    duration_s: float
    cpu_s: float = 0.0
    is_same: bool = False

    @property
    def is_right(self) -> bool:
        """Whether exactly the right codes were named, or rightly none."""
        return frozenset(self.named) == self.case.codes

    def kept(self) -> dict[str, Any]:
        """Return what is kept of it, for JSON."""
        rest = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "case"}
        return {"case": self.case.name, **rest, "match_db": min(self.match_db, CAP_DB)}

    @classmethod
    def from_kept(cls, case: Case, kept: dict[str, Any]) -> "Trial":
        """Return a trial of a case from what was kept of it."""
        return cls(case, **{name: value for name, value in kept.items() if name != "case"})


def run_trials(cases: Iterable[Case], data: Path) -> Iterator[Trial]:
    """Search each case; one whose inputs hardly differ is none."""
    for case in cases:
        frames, images = case.observe(data)
        differing = [frame for frame in frames if frame.nsr]
        nsr = sum(frame.nsr or 0.0 for frame in frames) / len(frames)
        if nsr < 1e-4:  # 40 dB: one input for a comparison
            yield Trial(case, {}, math.inf, {}, 0.0, is_same=True)
            continue
        started = time.process_time()
        found = search_image(
            case.network.declared(),
            differing,
            lambda frame, images=images: images[frame.input_id],
            budget_s=PATIENCE_S,
        )
        cpu_s = time.process_time() - started
        assert found is not None, case.name
        best = margins(found)
        named = best if found.best.match_db >= LEAST_MATCH_DB else {}
        yield Trial(case, named, found.best.match_db, best, found.duration_s, cpu_s)


def margins(found: Found) -> dict[str, float]:
    """Return what each mistake of the best hypothesis explains, dB."""
    return {code: found.best.match_db - found.without(code) for code in found.best.codes}
