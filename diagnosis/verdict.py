"""One sentence that says where and how two runs part, and what of them it speaks of."""

from dataclasses import dataclass

from exray.queries.names import tail_name

from .comparison import SIZES_DIFFER, Comparison, Json, LayerDifference, Place
from .wording import side_names

SAME_INPUT_DB = 40.0
"""SQNR above which two inputs count as the same: float rounding and the rounding to 8 bits
stay above it, every planted preprocessing bug below."""

ROUNDING_STEPS = 0.5
"""Root mean square error, in quantization steps, that rounding alone explains (0.289 ideal)."""

AFFINE_DB = 25.0
"""What is left after an affine map that explains a difference: rounding of the edge, no more."""

NOTABLE_DROP_DB = 3.0
"""A layer that loses less than this against its inputs is not worth naming."""

AGREE_DB = 40.0
"""SQNR above which a layer agrees: two kernel families of one float file stay above it."""

IDENTICAL_DB = 140.0
"""End of the scale: not told apart by their sketches."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a comparison comes to.

    Args:
        sentence: The verdict.
        place: What stands outside the layers and is named in it.
        layer: The layer that is named in it.
    """

    sentence: str
    place: Place | None = None
    layer: LayerDifference | None = None

    def to_json(self) -> Json:
        """Return the finding as JSON."""
        return {
            "sentence": self.sentence,
            "place": self.place.name if self.place else None,
            "layer_index": self.layer.layer_index if self.layer else None,
        }


def judge(comparison: Comparison) -> Finding:
    """Say where and how two runs part, as far as it was measured."""
    return (
        _nothing_to_compare(comparison)
        or _before_the_model(comparison)
        or _not_finite(comparison)
        or _unknown_input(comparison)
        or _inside_the_model(comparison)
    )


def same_values(place: Place) -> bool:
    """Whether what both sides saw at a place is the same but for rounding."""
    if place.sqnr_db is None:
        return False
    if place.sqnr_db >= SAME_INPUT_DB:
        return True
    return place.rmse_per_scale is not None and place.rmse_per_scale <= ROUNDING_STEPS


def worst_layer(comparison: Comparison) -> LayerDifference | None:
    """Return the layer that loses most against its own inputs, None where none was compared.

    The lowest SQNR would name the last layers whatever is wrong: errors pile up on the way.
    """
    compared = [layer for layer in comparison.layers if layer.rank_drop_db is not None]
    return max(compared, key=lambda layer: layer.rank_drop_db or 0.0, default=None)


def _nothing_to_compare(comparison: Comparison) -> Finding | None:
    edge, reference = side_names(comparison)
    coverage = comparison.coverage
    if not coverage.frames_paired:
        return Finding(
            f"'{edge}' and '{reference}' share no input, so nothing can be compared: run both over "
            "inputs of the same names."
        )
    if not coverage.frames_measured:
        return Finding(
            f"'{edge}' and '{reference}' share {_inputs(coverage.frames_paired)}, but of none were "
            "tensors recorded on both sides, so only outcome and times are compared: record both "
            "at level summary."
        )
    return None


def _before_the_model(comparison: Comparison) -> Finding | None:
    edge, reference = side_names(comparison)
    place = comparison.input
    raw = next((place for place in comparison.places if place.role == "raw"), None)
    sizes = next((p for p in comparison.inputs if p.reason == SIZES_DIFFER), None)
    if place is not None and place.sqnr_db is not None and not same_values(place):
        told = f"at {place.sqnr_db:.1f} dB SQNR the {place.name} already differs{_how(place)}"
    elif sizes is not None:
        place, told = sizes, f"the {sizes.name}s have different sizes"
    else:
        return None
    start = f"'{edge}' and '{reference}' part before the"
    if raw is not None and same_values(raw):
        return Finding(
            f"{start} model: the raw inputs are the same, but {told}, so look at the preprocessing.",
            place,
        )
    if raw is not None and (raw.sqnr_db is not None or raw.reason == SIZES_DIFFER):
        apart = "have different sizes" if raw.sqnr_db is None else f"differ ({_db(raw.sqnr_db)})"
        return Finding(f"{start} preprocessing: the raw inputs {apart}, and {told}.", raw)
    return Finding(f"{start} model: {told}.", place)


def _how(place: Place) -> str:
    """Say which affine map makes the edge of the reference, where one does."""
    if place.gain is None or place.offset is None or (place.affine_db or 0.0) < AFFINE_DB:
        return ""
    sign = "plus" if place.offset >= 0 else "minus"
    return (
        f" (the edge's is {place.gain:.3g} times the reference's {sign} {abs(place.offset):.3g}: "
        "another value range)"
    )


def _not_finite(comparison: Comparison) -> Finding | None:
    edge, reference = side_names(comparison)
    place = next((place for place in comparison.inputs if place.nonfinite_frames), None)
    if place is not None:
        return Finding(
            f"The {place.name} of '{edge}', of '{reference}' or of both holds values that are NaN "
            f"or infinite in {place.nonfinite_frames} of {_inputs(place.frames)}.",
            place,
        )
    broken = next((layer for layer in comparison.layers if layer.edge_nonfinite_count), None)
    if broken is not None:
        count = broken.reference_nonfinite_count
        return Finding(
            f"L{_named(broken)[1:]} of '{edge}' is the first that holds values that are "
            f"NaN or infinite: {broken.edge_nonfinite_count}, where '{reference}' has "
            f"{count or 'none'}.",
            layer=broken,
        )
    broken = next((layer for layer in comparison.layers if layer.reference_nonfinite_count), None)
    if broken is None:
        return None
    return Finding(
        f"The counterpart of {_named(broken)} in '{reference}' holds "
        f"{broken.reference_nonfinite_count} values that are NaN or infinite, '{edge}' none: "
        "look at the reference first.",
        layer=broken,
    )


def _unknown_input(comparison: Comparison) -> Finding | None:
    edge, reference = side_names(comparison)
    unknown = [place for place in comparison.inputs if place.sqnr_db is None]
    if comparison.inputs and not unknown:
        return None
    why = "were not recorded on both sides"
    if unknown:
        why = f"could not be compared ({unknown[0].reason or 'no reason known'})"
    told, layer = "no layer could be compared either", worst_layer(comparison)
    if layer is not None:
        told = f"within the model the largest loss is at {_named(layer)}, {_loss(layer)}"
    return Finding(
        f"The model inputs of '{edge}' and '{reference}' {why}, so whether the two part before the "
        f"model cannot be said; {told}.",
        layer=layer,
    )


def _inside_the_model(comparison: Comparison) -> Finding:
    edge, reference = side_names(comparison)
    start = f"'{edge}' and '{reference}' get the same model input"
    compared = [layer for layer in comparison.layers if layer.sqnr_db is not None]
    if not compared:
        same = comparison.input.sqnr_db if comparison.input else None
        told = "" if same is None else f" ({_db(same)})"
        return Finding(f"{start}{told}, but no layer could be compared: see coverage.")
    lowest = min(compared, key=lambda layer: layer.sqnr_db or 0.0)
    lowest_db = lowest.sqnr_db or 0.0
    layer, scope = worst_layer(comparison), _scope(comparison, compared)
    if lowest_db >= IDENTICAL_DB:
        return Finding(f"{start} and show no difference in {scope}.")
    if lowest_db >= AGREE_DB:
        return Finding(
            f"{start} and agree in {scope}: the lowest is {_named(lowest)} at {_db(lowest_db)}."
        )
    if layer is None or (layer.rank_drop_db or 0.0) < NOTABLE_DROP_DB:
        most = "" if layer is None else f" more than {layer.rank_drop_db or 0.0:.1f} dB"
        return Finding(
            f"{start} and part little by little: in {scope} none loses{most} against its inputs, "
            f"and the lowest is {_named(lowest)} at {_db(lowest_db)}."
        )
    return Finding(f"{start} and part most at {_named(layer)}: {_loss(layer)}.", layer=layer)


def _named(layer: LayerDifference) -> str:
    return f"layer {layer.layer_index} '{tail_name(layer.layer)}' ({layer.op})"


def _loss(layer: LayerDifference) -> str:
    return f"{_db(layer.sqnr_db or 0.0)}, {layer.drop_db or 0.0:.1f} dB below its inputs"


def _scope(comparison: Comparison, compared: list[LayerDifference]) -> str:
    """Say how many layers a statement about all of them covers."""
    able = sum(layer.reference_layer is not None for layer in comparison.layers)
    able += len(comparison.coverage.layers_unaligned)
    if len(compared) == able:
        return f"all {able} layers" if able > 1 else "its one layer"
    return f"the {len(compared)} of {able} layers that could be compared"


def _inputs(count: int) -> str:
    return f"{count} input" if count == 1 else f"{count} inputs"


def _db(value: float) -> str:
    return f"{value:.1f} dB SQNR"
