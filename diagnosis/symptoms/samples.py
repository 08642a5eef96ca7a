"""Times of a build in blocks: what is near in time is alike, so it counts as one."""

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from exray.diagnosis.statistics.blocks import FEWEST_BLOCKS

from .rows import read

if TYPE_CHECKING:
    from exray.queries.interrupt import Cursors
    from exray.queries.select import Selection

STRETCHES = 6
"""Blocks that a run is cut into where there are too few runs to be blocks themselves."""

DEGREES = 10.0
"""Width of a stratum of temperature, degrees Celsius."""

_HOST = (
    "SELECT frame_id, metric, avg(value) FROM host_frame(selector := $selector)"
    " WHERE metric IN ('hw.temperature', 'system.cpu.frequency') GROUP BY frame_id, metric"
)


@dataclass(frozen=True, slots=True)
class Thing:
    """What took time: the model's execution, a stage, or a layer."""

    kind: str
    name: str
    layer_index: int | None = None
    op: str | None = None


@dataclass(frozen=True, slots=True)
class Blocks:
    """Times of one thing, milliseconds, block by block, and each block's stratum."""

    times_ms: list[NDArray[np.float64]]
    strata: list[str]

    @property
    def typical_ms(self) -> float:
        """Median over the blocks' medians."""
        return float(np.median([np.median(block) for block in self.times_ms]))


@dataclass(frozen=True, slots=True)
class Times:
    """All times of a build.

    Args:
        runs: How many runs they are of.
        blocks: By what took the time.
    """

    runs: int
    blocks: dict[Thing, Blocks]


def read_times(cursors: "Cursors", runs: "Selection") -> Times:
    """Read a build's times in blocks: runs where there are enough, else stretches of them."""
    rows = read(cursors, "latency_samples", selector=runs.selector)
    frames = sorted({(row["start_ns"], row["run_id"], row["frame_id"]) for row in rows})
    run_ids = list(dict.fromkeys(run_id for _, run_id, _ in frames))
    block_of = _blocks_of(frames, run_ids)
    stratum_of = _strata(cursors, runs, frames)
    taken: dict[Thing, dict[tuple[int, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        thing = Thing(row["kind"], row["name"], row["layer_index"], row["op"])
        block = (block_of[row["frame_id"]], stratum_of[row["frame_id"]])
        taken[thing][block].append(float(row["dur_ms"]))
    return Times(
        len(run_ids),
        {
            thing: Blocks([np.array(v) for v in blocks.values()], [s for _, s in blocks])
            for thing, blocks in taken.items()
        },
    )


def _blocks_of(frames: list[tuple[int, str, str]], run_ids: list[str]) -> dict[str, int]:
    stretches = 1 if len(run_ids) >= FEWEST_BLOCKS else STRETCHES
    found: dict[str, int] = {}
    for number, run_id in enumerate(run_ids):
        own = [frame_id for _, run, frame_id in frames if run == run_id]
        for position, frame_id in enumerate(own):
            found[frame_id] = number * stretches + position * stretches // len(own)
    return found


def _strata(
    cursors: "Cursors", runs: "Selection", frames: list[tuple[int, str, str]]
) -> dict[str, str]:
    """Name each frame's temperature and frequency, as far as they are known.

    Frequencies within a quarter of each other are one stratum.
    """
    with cursors.cursor() as cursor:
        rows = cursor.execute(_HOST, {"selector": runs.selector}).fetchall()
    said: dict[str, dict[str, str]] = defaultdict(dict)
    for frame_id, metric, value in rows:
        if metric == "hw.temperature":
            said[frame_id]["temperature"] = f"{DEGREES * round(value / DEGREES):.0f} Cel"
        elif value > 0:
            said[frame_id]["frequency"] = f"2^{round(3 * np.log2(value))}/3 Hz"
    return {frame_id: " ".join(said[frame_id].values()) for _, _, frame_id in frames}
