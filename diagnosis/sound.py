"""How near to its reference a layer has to stay, to be as good as any."""

from exray.queries.select import Selection

from .causes import Scene
from .lake_graphs import read_graph

GOOD_DB = 30.0
"""SQNR that is as good as any. A float build equals its reference to the last bit or to half
precision, which leaves 33 dB behind layers that amplify their input's error, and both are
sound; so are int8 layers, most of which are below."""

HYBRID_DB = 15.0
"""The same where other kernels compute a network of integer weights and float activations: 22 dB
were seen between families, and integer activations leave sound layers as little."""


def good_db(scene: Scene, other: Selection) -> float:
    """Return the SQNR that is as good as any for the edge, held against another build."""
    is_other = scene.edge.kernels != other.kernels
    return HYBRID_DB if is_other and is_hybrid(scene, scene.edge) else GOOD_DB


def is_float(scene: Scene, *sides: Selection) -> bool:
    """Whether builds compute in floats alone, so that nothing has to be lost."""
    return all("float" in side.precision and not is_hybrid(scene, side) for side in sides)


def is_hybrid(scene: Scene, build: Selection) -> bool:
    """Whether a build multiplies float activations with integer weights.

    TFLite's builtin kernels round such activations to integers on their way into an operator,
    XNNPACK's do it in another way.
    """
    with scene.cursors.cursor() as cursor:
        graph = read_graph(cursor, build.model_sha256)
    return any(
        "weight_scales" in op.attributes and op.output_scales[:1] == (None,) for op in graph.ops
    )
