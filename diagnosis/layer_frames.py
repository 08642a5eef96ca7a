"""The SQNR of every layer in every paired frame, as an array."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from exray.queries.interrupt import Cursors
    from exray.queries.select import Selection

LOWEST_DB = -20.0
"""End of the scale: where the edge alone is not finite."""

_QUERY = (
    "SELECT input_key, layer_index, any_value(layer_name), any_value(op),"
    " any_value(reference_layer_index),"
    " avg(CASE WHEN edge_nan_count + edge_inf_count > reference_nan_count + reference_inf_count"
    f" THEN {LOWEST_DB} ELSE sqnr_db END)"
    " FROM layer_frame_divergence($edge, $reference) GROUP BY input_key, layer_index"
)


@dataclass(frozen=True, slots=True)
class FrameLayer:
    """A layer of the edge model and its counterpart."""

    layer_index: int
    layer: str
    op: str
    reference_layer_index: int


@dataclass(frozen=True, slots=True)
class LayerFrames:
    """How far edge and reference are apart, layer by layer and frame by frame.

    Args:
        input_keys: The frames, shape ``(frames,)``, ascending.
        layers: The layers in graph order.
        sqnr_db: Shape ``(frames, layers)``, float64, dB; NaN where not measured.
    """

    input_keys: NDArray[np.int64]
    layers: tuple[FrameLayer, ...]
    sqnr_db: NDArray[np.float64]

    def of_frames(self, input_keys: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the rows of these frames, all of which it has."""
        return self.sqnr_db[np.searchsorted(self.input_keys, input_keys)]


def read_layer_frames(cursors: "Cursors", edge: "Selection", reference: "Selection") -> LayerFrames:
    """Read the SQNR of every layer in every paired frame; a softmax's says nothing of its own.

    Args:
        cursors: A connection from `exray.queries.engine.connect`, or what makes its cursors.
        edge: Runs of the edge.
        reference: Runs of the reference.
    """
    with cursors.cursor() as cursor:
        rows = cursor.execute(
            _QUERY, {"edge": edge.selector, "reference": reference.selector}
        ).fetchall()
    rows = [row for row in rows if str(row[3]).upper() != "SOFTMAX"]
    layers = {row[1]: FrameLayer(row[1], row[2], row[3], row[4]) for row in rows}
    ordered = [layers[index] for index in sorted(layers)]
    column = {layer.layer_index: i for i, layer in enumerate(ordered)}
    keys = np.unique(np.array([row[0] for row in rows], np.int64))
    values = np.full((len(keys), len(ordered)), np.nan)
    for key, index, *_, sqnr_db in rows:
        if sqnr_db is not None:
            values[np.searchsorted(keys, key), column[index]] = sqnr_db
    return LayerFrames(keys, tuple(ordered), values)
