"""Whether edge and reference are one network at all."""

from statistics import median
from typing import TYPE_CHECKING

from exray.diagnosis.causes import Cause, Scene, Where
from exray.diagnosis.comparison import LayerDifference

from .kernel_moves import moved
from .parameter_faults import ALIKE, comparable, find_fault, kernel_db
from .parameters import Parameters, correlation

if TYPE_CHECKING:
    from .workbench import Workbench

_MOST = 0.5
"""Share of layers from which what is wrong is the model, not a layer."""

_PRODUCTS = frozenset(
    {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "Conv2D", "DepthwiseConv2D", "Dense"}
)

_UNRELATED_DB = 3.0
_UNRELATED_COSINE = 0.5

_WEIGHTS_FIX = "Give as reference the model that the edge's was converted from."


def find_other_model(bench: "Workbench") -> Cause | None:
    """Tell from the weights of both files whether they are of one network and training."""
    pairs = bench.pairs
    weighted = [i for i, op in enumerate(bench.model.ops) if op.op in _PRODUCTS]
    fitting = {i: pair for i, pair in pairs.items() if comparable(*pair)}
    if len(weighted) - len(fitting) > _MOST * len(weighted):
        return Cause(
            code="model.other_graph",
            what=f"{len(weighted) - len(fitting)} of {len(weighted)} layers with weights have no "
            "counterpart of the same shape in the reference: it is another network",
            where=Where(),
            confidence=0.9,
            evidence={"layers_weighted": len(weighted), "layers_comparable": len(fitting)},
            fix=_WEIGHTS_FIX,
        )
    if len(fitting) < 2:
        return None
    cosines = {i: correlation(a.kernel, b.kernel) for i, (a, b) in fitting.items()}
    foreign = [i for i, pair in fitting.items() if cosines[i] < ALIKE and not _is_moved(pair)]
    first = min(fitting)
    if first in foreign and len(foreign) > _MOST * len(fitting):
        return _other_weights(
            "the weights of {0} of {1} layers do not correspond to the reference's, from the "
            "first on: another training",
            foreign,
            cosines,
        )
    apart = [i for i, pair in fitting.items() if _is_trained_on(pair)]
    if len(apart) > _MOST * len(fitting):
        return _other_weights(
            "the weights of {0} of {1} layers resemble the reference's but are not those: it was "
            "trained further",
            apart,
            cosines,
        )
    return None


def _other_weights(what: str, layers: list[int], cosines: dict[int, float]) -> Cause:
    return Cause(
        code="model.other_weights",
        what=what.format(len(layers), len(cosines)),
        where=Where(),
        confidence=0.97,
        evidence={
            "layers_compared": len(cosines),
            "layers_apart": len(layers),
            "median_kernel_cosine": round(median(cosines.values()), 4),
            "first_kernel_cosine": round(cosines[min(cosines)], 4),
        },
        fix=_WEIGHTS_FIX,
    )


def _is_moved(pair: tuple[Parameters, Parameters]) -> bool:
    """Whether a kernel that does not correspond is the reference's, in other places."""
    edge, reference = pair
    return moved(edge.kernel, reference.kernel, kernel_db(edge, reference)) is not None


def _is_trained_on(pair: tuple[Parameters, Parameters]) -> bool:
    fault = find_fault(*pair)
    return fault is not None and fault.kind in ("kernel differs", "scale changed", "bias differs")


def sketches_of_another(scene: Scene) -> Cause | None:
    """Tell from the lake alone that nothing corresponds from the first layer on."""
    layers = [x for x in scene.comparison.layers if x.sqnr_db is not None and x.op in _PRODUCTS]
    if len(layers) < 3 or not _is_unrelated(layers[0]):
        return None
    unrelated = [layer for layer in layers if _is_unrelated(layer)]
    if len(unrelated) <= _MOST * len(layers):
        return None
    return Cause(
        code="model.other_weights",
        what=f"the outputs of {len(unrelated)} of {len(layers)} layers with weights do not "
        "correspond to the reference's, from the first on, although the input does: another "
        "training or another network",
        where=Where(),
        confidence=0.6,
        evidence={
            "layers_compared": len(layers),
            "layers_unrelated": len(unrelated),
            "first_layer_sqnr_db": round(layers[0].sqnr_db or 0.0, 2),
            "median_cosine": round(median(layer.cosine or 0.0 for layer in layers), 4),
        },
        fix=_WEIGHTS_FIX,
    )


def _is_unrelated(layer: LayerDifference) -> bool:
    low = layer.sqnr_db is not None and layer.sqnr_db < _UNRELATED_DB
    return low and (layer.cosine is None or layer.cosine < _UNRELATED_COSINE)
