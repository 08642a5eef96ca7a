"""Comparisons, with defaults for all that a test does not speak of."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from exray.diagnosis.comparison import Comparison, Coverage, LayerDifference, Place, Side

INT8_ROUNDING = 0.289
"""Root mean square of rounding, in quantization steps."""


def make_side(build: str = "e", role: str = "edge", **values: Any) -> Side:
    """Return a side with one run, its id as long as real ones."""
    side = Side(
        build=build,
        role=role,
        model_name=f"{build}_net",
        model_sha256="ab" * 32,
        kernels="xnnpack",
        device="pi5",
        run_ids=(("01" if role == "edge" else "02") * 16,),
        frames=60,
    )
    return replace(side, **values)


def make_input(sqnr_db: float | None = 46.0, **values: Any) -> Place:
    """Return the model input; by default equal but for rounding."""
    return Place("model input", "input", sqnr_db, frames=60, **values)


def make_raw(sqnr_db: float | None = 140.0, **values: Any) -> Place:
    """Return the raw input; by default equal."""
    return Place("raw", "raw", sqnr_db, frames=60, **values)


def make_layer(
    index: int = 0, sqnr_db: float | None = 30.0, drop_db: float | None = 1.0, **values: Any
) -> LayerDifference:
    """Return a layer with a counterpart; its rank is its drop."""
    layer = LayerDifference(
        layer_index=index,
        layer=f"net/block_{index}/Relu6;net/block_{index}/Conv2D",
        op="CONV_2D",
        reference_layer=f"block_{index}",
        reference_layer_index=index,
        sqnr_db=sqnr_db,
        drop_db=drop_db,
        rank_drop_db=drop_db,
        frames=60,
    )
    return replace(layer, **values)


def make_lost_layer(
    index: int = 0, reason: str = "no name alike", **values: Any
) -> LayerDifference:
    """Return a layer that has no counterpart, or was not measured."""
    layer = make_layer(
        index, None, None, reference_layer=None, reference_layer_index=None, reason=reason
    )
    return replace(layer, **values)


def make_comparison(
    layers: Sequence[LayerDifference] = (),
    places: Sequence[Place] | None = None,
    **values: Any,
) -> Comparison:
    """Return two sides over 60 measured frames; model input and raw are equal by default."""
    comparison = Comparison(
        edge=make_side(),
        reference=make_side("r", "reference"),
        coverage=Coverage(
            frames_paired=60,
            frames_measured=60,
            layers_aligned=sum(layer.reference_layer_index is not None for layer in layers),
        ),
        places=(make_raw(), make_input()) if places is None else tuple(places),
        layers=tuple(layers),
    )
    return replace(comparison, **values)
