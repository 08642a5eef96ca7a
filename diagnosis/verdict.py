"""One sentence that says where and how two runs part."""

from .comparison import Comparison, LayerDifference, Place

SAME_INPUT_DB = 40.0
"""SQNR above which two model inputs count as the same: float rounding and the rounding to
8 bits stay above it, every planted preprocessing bug below."""

ROUNDING_STEPS = 0.5
"""Root mean square error, in quantization steps, that rounding alone explains (0.289 ideal)."""

NOTABLE_DROP_DB = 3.0
"""A layer that loses less than this against its inputs is not worth naming."""


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


def sentence(comparison: Comparison) -> str:
    """Return the verdict in one sentence."""
    edge, reference = comparison.edge.build, comparison.reference.build
    if not comparison.coverage.frames_paired:
        return (
            f"'{edge}' and '{reference}' share no input, so nothing can be compared: run both over "
            "inputs of the same names."
        )
    broken = next((layer for layer in comparison.layers if layer.edge_nonfinite_count), None)
    if broken is not None:
        return (
            f"Layer {broken.layer_index} '{broken.layer}' ({broken.op}) of '{edge}' holds "
            f"{broken.edge_nonfinite_count} values that are NaN or infinite."
        )
    if comparison.input is None or comparison.input.sqnr_db is None:
        return (
            f"The model inputs of '{edge}' and '{reference}' were not recorded or have different "
            "sizes, so where the two part cannot be said."
        )
    if not same_values(comparison.input):
        return _before_the_model(comparison, comparison.input.sqnr_db)
    return _inside_the_model(comparison, comparison.input.sqnr_db)


def _before_the_model(comparison: Comparison, sqnr_db: float) -> str:
    edge, reference = comparison.edge.build, comparison.reference.build
    raw = next((place for place in comparison.places if place.name == "raw"), None)
    told = f"at {sqnr_db:.1f} dB SQNR the model input already differs"
    if raw is not None and same_values(raw):
        return (
            f"'{edge}' and '{reference}' part before the model: the raw inputs are the same, but "
            f"{told}, so look at the preprocessing."
        )
    if raw is not None and raw.sqnr_db is not None:
        return (
            f"'{edge}' and '{reference}' part before the preprocessing: the raw inputs differ "
            f"({raw.sqnr_db:.1f} dB SQNR), and {told}."
        )
    return f"'{edge}' and '{reference}' part before the model: {told}."


def _inside_the_model(comparison: Comparison, sqnr_db: float) -> str:
    edge, reference = comparison.edge.build, comparison.reference.build
    layer = worst_layer(comparison)
    if layer is None or layer.sqnr_db is None or layer.drop_db is None:
        return (
            f"'{edge}' and '{reference}' get the same model input ({sqnr_db:.1f} dB SQNR); no "
            "layer could be compared."
        )
    if layer.drop_db < NOTABLE_DROP_DB:
        return (
            f"'{edge}' and '{reference}' agree: same model input, and no layer loses more than "
            f"{layer.drop_db:.1f} dB against its inputs."
        )
    return (
        f"'{edge}' and '{reference}' get the same model input and part most at layer "
        f"{layer.layer_index} '{short_name(layer.layer)}' ({layer.op}): {layer.sqnr_db:.1f} dB "
        f"SQNR, {layer.drop_db:.1f} dB below its inputs."
    )


def short_name(name: str) -> str:
    """Return the first of a converter's fused names, which is the layer's own."""
    return name.split(";")[0]


def tail_name(name: str, length: int = 34) -> str:
    """Return the telling end of a layer's name: converters put the model's name in front.

    >>> tail_name("mobilenet_0.25_224_1/conv_pw_13_relu_1/Relu6;mobilenet/conv_pw_13")
    'conv_pw_13_relu_1/Relu6'
    """
    short = short_name(name)
    parts = short.split("/")
    while len(parts) > 1 and (len(parts) > 2 or len("/".join(parts)) > length):
        parts.pop(0)
    return "/".join(parts)
