"""Which kernels cost how much, and what others would save: from times that were measured.

What is expected of faster kernels is what the same operators took on them on the same kind
of device, in any build of the lake with the same model file. Without one, it is what
operators of that kind and most like them in size took there in other models of the same
precision, for their work: multiply-accumulates, or bytes written by those that have none. That
is said to be an estimate.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from exray.diagnosis.causes import Cause, Scene, Where
from exray.diagnosis.causes.cause import Evidence
from exray.queries.names import tail_name

SLOW = ("reference", "builtin")
"""Kernel families of TFLite that others may replace, the slowest first."""

WORTH = 1.2
"""Factor below which nothing is advised."""

LISTED = 5
"""Operators named as evidence, those that save most first."""

NEAREST = 5
"""Operators nearest in size by which another's time is estimated. Size is work, weights and
output: of as many MACs a layer with many weights at few places takes several times as long."""

# The median over all counted executions, each layer by itself.
_TIMES = """
SELECT
  r.run_id, s.layer_index, s.layer_name, s.op, median(s.dur_ns) / 1e6 AS ms,
  any_value(g.macs), any_value(g.weight_bytes), any_value(g.activation_bytes)
FROM layer_spans AS s
INNER JOIN runs AS r ON s.run_id = r.run_id
INNER JOIN graphs AS g
  ON s.model_sha256 = g.model_sha256 AND s.layer_index = g.layer_index AND g.subgraph_index = 0
WHERE s.dur_ns IS NOT NULL AND coalesce(s.subgraph_index, 0) = 0
  AND r.kernels = $kernels AND coalesce(nullif(r.device_model, ''), r.device_id) = $device
  AND r.model_precision = $precision AND ($sha256 = '' OR r.model_sha256 = $sha256)
GROUP BY r.run_id, s.layer_index, s.layer_name, s.op
ORDER BY s.layer_index
"""


@dataclass(frozen=True, slots=True)
class _Layer:
    index: int
    name: str
    op: str
    ms: float
    sizes: tuple[int, int, int]

    @property
    def work(self) -> int:
        """Multiply-accumulates, or bytes written by what has none."""
        macs, _, written = self.sizes
        return macs or written

    def unlike(self, other: "_Layer") -> float:
        """Return how far its sizes are from another's, as a squared ratio."""
        pairs = zip(self.sizes, other.sizes, strict=True)
        return sum(math.log((a + 1) / (b + 1)) ** 2 for a, b in pairs)


def find_kernels(scene: Scene) -> Iterable[Cause]:
    """Return what faster kernels would save, as a note: slow ones give the same answers."""
    edge = scene.edge
    if edge.kernels not in SLOW:
        return
    ours = _layers(scene, edge.kernels, edge.model_sha256)
    if not ours:
        return
    best: tuple[str, dict[int, float], bool] | None = None
    for kernels in ("xnnpack", "builtin"):
        if kernels == edge.kernels:
            continue
        expected, is_measured = _expected(scene, kernels, ours)
        if expected and (best is None or sum(expected.values()) < sum(best[1].values())):
            best = (kernels, expected, is_measured)
    if best is None:
        return
    kernels, expected, is_measured = best
    now_ms = sum(layer.ms for layer in ours)
    then_ms = sum(expected.get(layer.index, layer.ms) for layer in ours)
    if now_ms < WORTH * then_ms:
        return
    yield _advice(scene, ours, expected, kernels, now_ms, then_ms, is_measured=is_measured)


def _advice(
    scene: Scene,
    ours: list[_Layer],
    expected: dict[int, float],
    kernels: str,
    now_ms: float,
    then_ms: float,
    *,
    is_measured: bool,
) -> Cause:
    saved = sorted(ours, key=lambda x: expected.get(x.index, x.ms) - x.ms)
    first = saved[0]
    operators: list[object] = [
        {
            "layer_index": layer.index,
            "op": layer.op,
            "layer": tail_name(layer.name),
            "kernel": scene.edge.kernels,
            "now_ms": layer.ms,
            "expected_ms": expected.get(layer.index, layer.ms),
        }
        for layer in saved[:LISTED]
    ]
    basis = "measured with this model file" if is_measured else "estimated from other models"
    evidence: dict[str, Evidence] = {
        "now_ms": now_ms,
        "expected_ms": then_ms,
        "saving_ms": now_ms - then_ms,
        "factor": now_ms / then_ms,
        "kernels": scene.edge.kernels,
        "better_kernels": kernels,
        "basis": basis,
        "operators": operators,
    }
    return Cause(
        code="latency.kernel",
        what=f"'{scene.edge.build}' runs on {scene.edge.kernels} kernels: {now_ms:.2f} ms in its "
        f"layers, {then_ms:.2f} ms to expect on {kernels} ({basis}); most is saved at layer "
        f"{first.index} '{tail_name(first.name)}' ({first.op})",
        where=Where(layer_index=first.index, layer=first.name, op=first.op),
        confidence=0.95 if is_measured else 0.6,
        evidence=evidence,
        fix=f"Run the model on {kernels} kernels.",
        fails=False,
    )


def _expected(scene: Scene, kernels: str, ours: list[_Layer]) -> tuple[dict[int, float], bool]:
    """Return the expected time of each layer by index, and whether this model was measured."""
    same = _layers(scene, kernels, scene.edge.model_sha256)
    if same:
        return {layer.index: layer.ms for layer in same}, True
    peers: dict[str, list[_Layer]] = defaultdict(list)
    for layer in _layers(scene, kernels, ""):
        if layer.work:
            peers[layer.op].append(layer)
    return {
        layer.index: _per_work(layer, peers[layer.op]) * layer.work
        for layer in ours
        if layer.work and layer.op in peers
    }, False


def _per_work(layer: _Layer, peers: Sequence[_Layer]) -> float:
    """Return the time that those nearest in size take for their work, ms."""
    nearest = sorted(peers, key=layer.unlike)[:NEAREST]
    return median(peer.ms / peer.work for peer in nearest)


def _layers(scene: Scene, kernels: str, sha256: str) -> list[_Layer]:
    """Return layers' times on a kernel family; of several runs of a model the fastest's.

    What else ran on the device only adds.
    """
    with scene.cursors.cursor() as cursor:
        rows = cursor.execute(
            _TIMES,
            {
                "kernels": kernels,
                "device": scene.edge.device,
                "precision": scene.edge.precision,
                "sha256": sha256,
            },
        ).fetchall()
    by_run: dict[object, list[_Layer]] = defaultdict(list)
    for run_id, index, name, op, ms, *sizes in rows:
        macs, weights, written = (int(size or 0) for size in sizes)
        layer = _Layer(int(index), str(name), str(op), float(ms), (macs, weights, written))
        by_run[run_id].append(layer)
    if not sha256:
        return [layer for layers in by_run.values() for layer in layers]
    nothing: list[_Layer] = []
    return min(by_run.values(), key=lambda layers: sum(x.ms for x in layers), default=nothing)
