"""Operators that a delegate left to the processor, and what the borders between them cost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exray.diagnosis.causes import Cause, Scene, Where
from exray.queries.names import tail_name

FELT_RATIO = 0.05
"""Share of the layers' time from which operators left behind are worth a word."""

_FIX = (
    "Replace these operators by ones that the delegate takes, or build the delegate with support "
    "for them."
)


@dataclass(frozen=True, slots=True)
class Layer:
    """An operator as ``layer_delegation`` tells of it."""

    layer_index: int
    layer: str
    op: str
    delegated: bool
    time_ratio: float
    partition: int | None


def find_delegate_causes(scene: Scene) -> Iterable[Cause]:
    """Return what a delegate left behind; it fails the edge only where the baseline's did not.

    Only frames at level latency tell: where tensors are recorded, each operator is a
    partition of its own.
    """
    layers = _layers(scene, scene.edge.selector)
    if not any(layer.delegated for layer in layers):
        return []
    before = scene.baseline_selection
    earlier = _layers(scene, before.selector) if before else ()
    return [*fallback(layers, earlier), *partitions(layers, earlier), *_copies(scene)]


def _layers(scene: Scene, selector: str) -> tuple[Layer, ...]:
    with scene.known.cursor() as cursor:
        rows = cursor.execute(
            "SELECT layer_index, layer_name, op, delegated, time_ratio, delegate_partition"
            " FROM layer_delegation($selector) ORDER BY layer_index",
            {"selector": selector},
        ).fetchall()
    return tuple(Layer(*row) for row in rows)


def fallback(layers: Sequence[Layer], earlier: Sequence[Layer]) -> Iterable[Cause]:
    """Yield the operators that the delegate left, the slowest named.

    Args:
        layers: The edge's, in graph order.
        earlier: The baseline's; none without one.
    """
    left = [layer for layer in layers if not layer.delegated]
    taken_before = {layer.layer for layer in earlier if layer.delegated}
    lost = [layer for layer in left if layer.layer in taken_before]
    share = sum(layer.time_ratio for layer in left)
    if not left or (not lost and share < FELT_RATIO):
        return
    shown = lost or left
    first = max(shown, key=lambda layer: layer.time_ratio)
    more = f" and {len(shown) - 1} more" if len(shown) > 1 else ""
    since = ", which the baseline's delegate took" if lost else ""
    yield Cause(
        code="delegate.fallback",
        what=f"the delegate leaves layer {first.layer_index} '{tail_name(first.layer)}' "
        f"({first.op}){more} to the processor{since}: {share:.0%} of the layers' time",
        where=Where(layer_index=first.layer_index, layer=first.layer, op=first.op),
        confidence=0.95,
        evidence={
            "operators_left": len(left),
            "operators_lost": len(lost),
            "time_ratio": round(share, 4),
            "ops": list(dict.fromkeys(layer.op for layer in shown)),
        },
        fix=_FIX,
        fails=bool(lost),
    )


def partitions(layers: Sequence[Layer], earlier: Sequence[Layer]) -> Iterable[Cause]:
    """Yield that the delegate takes the model in pieces; arguments as `fallback` has them."""
    count, was = _count(layers), _count(earlier)
    if count < 2 or (earlier and count <= was):
        return
    than = f", {was} in the baseline" if earlier else ""
    yield Cause(
        code="delegate.partition",
        what=f"the delegate takes the model in {count} partitions{than}: at each border tensors "
        "change hands, and what lies inside one is seen as a whole where only times are recorded",
        where=Where(stage="inference"),
        confidence=0.9,
        evidence={"partitions": count, "partitions_baseline": was if earlier else None},
        fix=_FIX,
        fails=bool(earlier),
    )


def _count(layers: Sequence[Layer]) -> int:
    return len({layer.partition for layer in layers if layer.partition is not None})


def _copies(scene: Scene) -> Iterable[Cause]:
    with scene.known.cursor() as cursor:
        row = cursor.execute(
            "SELECT extra_ms, extra_ratio FROM delegate_copy($selector)",
            {"selector": scene.edge.selector},
        ).fetchone()
    if row is None or row[1] is None or row[1] < FELT_RATIO:
        return
    yield Cause(
        code="delegate.copy",
        what=f"the delegate spends {row[1]:.0%} of the model's time on operators of its own, such "
        f"as conversions and copies: {row[0]:.2f} ms a frame",
        where=Where(stage="inference"),
        confidence=0.9,
        evidence={"extra_ms": round(row[0], 4), "extra_ratio": round(row[1], 4)},
        fix="Let model input and output have the types that the delegate computes in.",
        fails=False,
    )
