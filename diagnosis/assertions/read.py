"""Frames of a scene with their tensors, as checks see them."""

from collections import defaultdict
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.diagnosis.causes import Scene
from exray.lake.tensors import TensorRing

from .seen import Frame, Load, Pair, Tensor

# One row a tensor and side; sides meet by pair and by what they are. Times are of the frames.
_ROWS = """
SELECT
  m.input_id, s.side, s.match_role, s.match_name, s.match_index, s.tensor_name, s.dtype, s.shape,
  s.count, any_value(t.sum) AS sum, s.sum2, s.min, s.max, s.nan_count, s.inf_count, s.zero_count,
  s.sat_low_count, s.sat_high_count, s.scale, any_value(t.zero_point) AS zero_point, s.layer_index,
  s.layer_name, s.op, s.hash
FROM _tensor_sides($edge, $reference) AS s
INNER JOIN _frame_measured($edge, $reference) AS m ON s.pair = m.pair
INNER JOIN _tensors AS t
  ON t.trace_id = CASE s.side WHEN 'edge' THEN m.edge_trace_id ELSE m.reference_trace_id END
  AND t.frame_span_id = CASE s.side WHEN 'edge' THEN m.edge_frame_id ELSE m.reference_frame_id END
  AND t.tensor_name = s.tensor_name AND t.hash = s.hash
  AND t.layer_index IS NOT DISTINCT FROM s.layer_index
WHERE s.execution = 1
GROUP BY ALL
ORDER BY m.input_id, s.layer_index NULLS FIRST
"""

_TIMES = """
SELECT m.input_id, any_value(e.model_ns) / 1e6, any_value(r.model_ns) / 1e6
FROM _frame_measured($edge, $reference) AS m
INNER JOIN _frames AS e ON e.trace_id = m.edge_trace_id AND e.span_id = m.edge_frame_id
INNER JOIN _frames AS r ON r.trace_id = m.reference_trace_id AND r.span_id = m.reference_frame_id
GROUP BY m.input_id
ORDER BY m.input_id
"""

Key = tuple[str, str, int]


def read_frames(scene: Scene) -> list[Frame]:
    """Read every paired frame with the tensors that both sides have.

    Whole tensors are read when a check asks for them, where the ring still holds them.
    """
    selectors = {"edge": scene.edge.selector, "reference": scene.reference.selector}
    with scene.cursors.cursor() as cursor:
        cursor.execute(_ROWS, selectors)
        names = [str(column[0]) for column in cursor.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        times = cursor.execute(_TIMES, selectors).fetchall()
    ring = TensorRing(scene.lake.path)
    sides: dict[str, dict[Key, dict[str, Tensor]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        key = (row["match_role"], row["match_name"], row["match_index"])
        sides[row["input_id"]][key][row["side"]] = _tensor(row, ring)
    return [
        Frame(input_id, _pairs(input_id, sides[input_id]), edge_ms or None, reference_ms or None)
        for input_id, edge_ms, reference_ms in times
    ]


def _pairs(input_id: str, tensors: dict[Key, dict[str, Tensor]]) -> tuple[Pair, ...]:
    raw = next((t.get("edge") for (role, *_), t in tensors.items() if role == "raw"), None)
    return tuple(
        Pair(input_id, found["edge"], found["reference"], raw)
        for found in tensors.values()
        if len(found) == 2
    )


def _tensor(row: dict[str, Any], ring: TensorRing) -> Tensor:
    return Tensor(
        role=row["match_role"],
        name=row["tensor_name"],
        dtype=row["dtype"],
        shape=_shape(row),
        count=row["count"],
        sum=row["sum"] or 0.0,
        sum2=row["sum2"] or 0.0,
        min=row["min"],
        max=row["max"],
        nan_count=row["nan_count"],
        inf_count=row["inf_count"],
        zero_count=row["zero_count"],
        saturated_low=row["sat_low_count"],
        saturated_high=row["sat_high_count"],
        scale=row["scale"],
        layer_index=row["layer_index"],
        layer_name=row["layer_name"],
        op=row["op"],
        load=_loader(row, ring),
    )


def _shape(row: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(size) for size in str(row["shape"] or "").split(",") if size)


def _loader(row: dict[str, Any], ring: TensorRing) -> Load:
    def load() -> NDArray[np.float64] | None:
        shape, dtype = _shape(row), np.dtype(row["dtype"])
        content = ring.read(row["hash"], prod(shape) * dtype.itemsize)
        if content is None:
            return None
        values = np.frombuffer(content, dtype).reshape(shape).astype(np.float64)
        return (values - (row["zero_point"] or 0)) * row["scale"] if row["scale"] else values

    return load
