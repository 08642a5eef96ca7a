"""What takes longer than it should: against the previous build, other kernels, and peers.

Times of one run each say nothing of the two builds: the machine may have been busy. So a
regression fails a build only over several runs of both, best taken in turns; before that it
is a note that says how many runs are missing. Reference kernels in place of others fail it
with one run: no busy machine explains those.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from exray.diagnosis.causes import Cause, Scene, Where
from exray.diagnosis.statistics import TimeChange, time_change
from exray.diagnosis.statistics.blocks import FEWEST_BLOCKS
from exray.queries.names import tail_name

from .kernels import find_kernels
from .rows import read
from .samples import Blocks, Times, read_times

if TYPE_CHECKING:
    from exray.queries.select import Selection

SLOWER = 1.15
"""Ratio of times below which a whole execution or a stage is not called slower."""

LAYER_SLOWER = 1.25
LEAST_SHARE = 0.05
"""The same of a layer, which must also make up this share of what was lost."""

NOTED = 2.0
"""The same of both where there are too few runs to tell a build from a busy machine."""

LEAST_MS = 0.05
"""Stages whose time is below are let be: clocks and schedulers cost as much."""

OTHER_KERNELS = 1.5
"""Ratio from which on other kernels than the previous build's explain a slower network."""

ABOVE_PEERS = 8.0
PEERS = 4
SHARE_OF_FRAME = 0.15
"""Time per MAC above the median of the layer's kind, of so many others, in a layer that takes
this share of the network's time."""


def find_times(scene: Scene) -> Iterable[Cause]:
    """Return what became slower, which kernels are slow, and which layer is slow for its work."""
    before = scene.baseline_selection
    regressions: list[Cause] = []
    if before is not None and before.device == scene.edge.device:
        ours, theirs = (read_times(scene.known, runs) for runs in (scene.edge, before))
        regressions = list(_regressions(scene, before, ours, theirs))
    yield from regressions
    if not any(cause.code == "latency.kernel" for cause in regressions):
        yield from find_kernels(scene)
    yield from _above_peers(scene)


def _regressions(scene: Scene, before: "Selection", ours: Times, theirs: Times) -> Iterator[Cause]:
    runs = min(ours.runs, theirs.runs)
    for thing, blocks in ours.blocks.items():
        if thing.kind == "layer" or thing not in theirs.blocks:
            continue
        change = _changed(theirs.blocks[thing], blocks)
        if (
            change is None
            or blocks.typical_ms < LEAST_MS
            or not change.is_slower(SLOWER if runs >= FEWEST_BLOCKS else NOTED)
        ):
            continue
        evidence = _evidence(theirs.blocks[thing], blocks, change, runs)
        if thing.kind == "stage":
            yield _cause("stage", f"stage '{thing.name}'", Where(stage=thing.name), evidence, runs)
        elif before.kernels != scene.edge.kernels and change.ratio >= OTHER_KERNELS:
            yield _other_kernels(scene, before, evidence)
        else:
            yield from _layers(ours, theirs, evidence, runs)


def _layers(
    ours: Times, theirs: Times, whole: dict[str, float | int], runs: int
) -> Iterator[Cause]:
    """Return the layers that lost the time, or the execution as a whole where none shows."""
    lost_ms = whole["edge_ms"] - whole["baseline_ms"]
    found = False
    for thing, blocks in ours.blocks.items():
        if thing.kind != "layer" or thing not in theirs.blocks:
            continue
        change = _changed(theirs.blocks[thing], blocks)
        if change is None or not change.is_slower(LAYER_SLOWER):
            continue
        more_ms = blocks.typical_ms - theirs.blocks[thing].typical_ms
        if more_ms < LEAST_SHARE * lost_ms:
            continue
        found = True
        name = f"layer {thing.layer_index} '{tail_name(thing.name)}'"
        where = Where(layer_index=thing.layer_index, layer=thing.name, op=thing.op)
        evidence = _evidence(theirs.blocks[thing], blocks, change, runs)
        yield _cause("layer", name, where, evidence, runs)
    if not found:
        yield _cause("layer", "the model as a whole", Where(stage="inference"), whole, runs)


def _cause(
    kind: str, name: str, where: Where, evidence: dict[str, float | int], runs: int
) -> Cause:
    missing = max(0, FEWEST_BLOCKS - runs)
    told = f": needs {missing} more runs a side, taken in turns, to be sure" if missing else ""
    return Cause(
        code=f"latency.{kind}",
        what=f"{name} takes {evidence['ratio']:.2f} times as long as in the previous build{told}",
        where=where,
        confidence=0.5 if missing else 0.95,
        evidence=dict(evidence),
        fix="Record both builds in turns, several runs each."
        if missing
        else "See what changed there: shapes, kernels, threads, other work on the device.",
        fails=not missing,
    )


def _other_kernels(scene: Scene, before: "Selection", evidence: dict[str, float | int]) -> Cause:
    edge = scene.edge
    return Cause(
        code="latency.kernel",
        what=f"'{edge.build}' runs on {edge.kernels} kernels, the previous build on "
        f"{before.kernels}: {evidence['ratio']:.1f} times as long",
        where=Where(stage="inference"),
        confidence=0.95,
        evidence={"kernels": edge.kernels, "baseline_kernels": before.kernels, **evidence},
        fix=f"Run the model on {before.kernels} kernels again.",
        # the answers are as good; reference kernels are no one's choice for production
        fails=edge.kernels == "reference",
    )


def _changed(before: Blocks, after: Blocks) -> TimeChange | None:
    """Compare within strata, where both sides know them."""
    known = all(before.strata) and all(after.strata)
    strata = (before.strata, after.strata) if known else ((), ())
    return time_change(before.times_ms, after.times_ms, *strata)


def _evidence(
    before: Blocks, after: Blocks, change: TimeChange, runs: int
) -> dict[str, float | int]:
    return {
        "edge_ms": after.typical_ms,
        "baseline_ms": before.typical_ms,
        "ratio": change.ratio,
        "ratio_low": change.ci95[0],
        "ratio_high": change.ci95[1],
        "blocks": change.blocks,
        "strata": change.strata,
        "runs": runs,
    }


def _above_peers(scene: Scene) -> Iterator[Cause]:
    """Return layers that take far longer per MAC than others of their kind, as notes.

    First layers do in every network, on three channels: what the reference's counterpart
    does as well is no news.
    """
    ours = _rates(scene, scene.edge)
    theirs = _rates(scene, scene.reference)
    answers = {
        x.layer_index: x.reference_layer_index
        for x in scene.comparison.layers
        if x.reference_layer_index is not None
    }
    for index, rate in ours.items():
        other = theirs.get(answers.get(index, -1))
        if rate.time_ratio < SHARE_OF_FRAME or other is None:
            continue
        if (
            rate.above_peers >= ABOVE_PEERS
            and rate.above_peers >= ABOVE_PEERS / 2 * other.above_peers
        ):
            yield Cause(
                code="latency.layer",
                what=f"layer {index} '{tail_name(rate.name)}' takes {rate.above_peers:.0f} times as "
                f"long per MAC as other {rate.op} layers, and {rate.time_ratio:.0%} of the time",
                where=Where(layer_index=index, layer=rate.name, op=rate.op),
                confidence=0.6,
                evidence={
                    "layer_ms": rate.ms,
                    "above_peers_ratio": rate.above_peers,
                    "reference_above_peers_ratio": other.above_peers,
                    "time_ratio": rate.time_ratio,
                },
                fix="See whether its shape has a fast kernel: channels as a multiple of 4 or 8, "
                "no dilation, no dynamic shape.",
                fails=False,
            )


@dataclass(frozen=True, slots=True)
class _Rate:
    """A layer's time, as a share of the network's, and per MAC against others of its kind."""

    name: str
    op: str
    ms: float
    time_ratio: float
    above_peers: float


def _rates(scene: Scene, runs: "Selection") -> dict[int, _Rate]:
    """Return the layers that have enough others of their kind, by index."""
    with scene.cursors.cursor() as cursor:
        rows = cursor.execute(
            "SELECT layer_index, macs FROM graphs WHERE model_sha256 = $sha256"
            " AND subgraph_index = 0 AND macs > 0",
            {"sha256": runs.model_sha256},
        ).fetchall()
    macs = {int(index): int(count) for index, count in rows}
    layers = [
        row
        for row in read(scene.known, "layer_latency", selector=runs.selector)
        if row["layer_index"] in macs and row["p50_ms"] > 0
    ]
    by_op: dict[str, dict[int, float]] = defaultdict(dict)
    for row in layers:
        by_op[row["op"]][row["layer_index"]] = row["p50_ms"] / macs[row["layer_index"]]
    found: dict[int, _Rate] = {}
    for row in layers:
        index, per_mac = row["layer_index"], by_op[row["op"]]
        others = [value for other, value in per_mac.items() if other != index]
        if len(others) >= PEERS:
            ratio = per_mac[index] / median(others)
            found[index] = _Rate(
                row["layer_name"], row["op"], row["p50_ms"], row["time_ratio"] or 0.0, ratio
            )
    return found
