"""One whole tensor of one frame, out of the ring that level full fills."""

import importlib
import os
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from exray.lake.tensors import TensorRing
from exray.schema.errors import DataError, SelectionError
from exray.schema.keying import keyed_id, secret_from_text

from .select import matching_runs

if TYPE_CHECKING:
    import duckdb

LISTED = 20
"""Tensors that an error names."""

_TENSORS = """
SELECT
  t.hash, t.dtype, t.shape, t.tensor_name, t.tensor_role, t.tensor_index,
  t.layer_index, t.layer_name
FROM tensors AS t
INNER JOIN (
  SELECT f.trace_id, f.span_id
  FROM frames AS f
  WHERE list_contains($runs, hex_id(f.run_id)) AND list_contains($inputs, f.input_id)
  ORDER BY f.level = 'full' DESC, f.start_ns DESC
  LIMIT 1
) AS f ON t.trace_id = f.trace_id AND t.frame_span_id = f.span_id
ORDER BY t.layer_index NULLS FIRST, t.start_ns, t.tensor_index
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tensor.

    Args:
        build: Build, or run id.
        input_id: The frame's input; where names are keyed, the plain one with
            ``EXRAY_FLEET_SECRET`` set, or the keyed one.
        layer: Layer by index or name; None for a tensor outside layers.
        role: Role of one outside layers.
        index: Which of those that are left.
    """

    build: str
    input_id: str
    layer: str | None = None
    role: str = "output"
    index: int = 0


@dataclass(frozen=True, slots=True)
class WholeTensor:
    """A tensor as the runtime had it: *array* is not dequantized."""

    name: str
    array: NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Row:
    hash: int
    dtype: str
    shape: str
    tensor_name: str
    tensor_role: str
    tensor_index: int
    layer_index: int | None
    layer_name: str | None

    @property
    def label(self) -> str:
        """What an error calls it."""
        if self.layer_index is None:
            return f"{self.tensor_role} {self.tensor_index} ({self.tensor_name})"
        return f"layer {self.layer_index} {self.layer_name}"


def read_tensor(connection: "duckdb.DuckDBPyConnection", lake: Path, wanted: Wanted) -> WholeTensor:
    """Return a whole tensor of the newest frame of an input, one at level full if there is.

    Args:
        connection: The lake, opened with `exray.queries.connect`.
        lake: Its folder.
        wanted: Which tensor.

    Raises:
        SelectionError: There is no such build, frame or tensor.
        DataError: It was not kept whole, or its frame has left the ring.
    """
    runs = matching_runs(connection, wanted.build)
    parameters = {"runs": [run.run_id for run in runs], "inputs": _names(wanted.input_id)}
    rows = [_Row(*row) for row in connection.execute(_TENSORS, parameters).fetchall()]
    if not rows:
        msg = (
            f"build {wanted.build!r} has no frame of input {wanted.input_id!r} with tensors. List "
            'inputs: exray sql "SELECT input_id, level FROM frames". Where names are keyed, set '
            "EXRAY_FLEET_SECRET."
        )
        raise SelectionError(msg)
    row = _chosen(rows, wanted)
    dtype, shape = _dtype(row), tuple(int(size) for size in row.shape.split(",") if size)
    content = TensorRing(lake).read(row.hash, prod(shape) * dtype.itemsize)
    if content is None:
        msg = (
            f"{row.label} of input {wanted.input_id!r} is not kept whole: its frame was not at "
            "level full, or has left the ring. Record it again with --level full."
        )
        raise DataError(msg)
    return WholeTensor(row.tensor_name, np.frombuffer(content, dtype).reshape(shape))


def _names(input_id: str) -> list[str]:
    """Return the names that a lake may have for an input."""
    secret = os.environ.get("EXRAY_FLEET_SECRET", "").strip()
    return [input_id, keyed_id(input_id, secret_from_text(secret))] if secret else [input_id]


def _chosen(rows: list[_Row], wanted: Wanted) -> _Row:
    if wanted.layer is None:
        found = [r for r in rows if r.layer_index is None and r.tensor_role == wanted.role]
    else:
        found = [r for r in rows if wanted.layer in (str(r.layer_index), r.layer_name)]
    if wanted.index < len(found):
        return found[wanted.index]
    what = f"role {wanted.role!r}" if wanted.layer is None else f"layer {wanted.layer!r}"
    labels = [row.label for row in rows]
    more = f" and {len(labels) - LISTED} more" if len(labels) > LISTED else ""
    msg = (
        f"{what} has {len(found)} tensors in this frame, so none at --index {wanted.index}; "
        f"tensors there: {', '.join(labels[:LISTED])}{more}"
    )
    raise SelectionError(msg)


def _dtype(row: _Row) -> np.dtype[Any]:
    try:
        return np.dtype(row.dtype)
    except TypeError:  # bfloat16 and the like
        pass
    try:
        extension = importlib.import_module("ml_dtypes")
        dtype: np.dtype[Any] = np.dtype(getattr(extension, row.dtype))
    except (ImportError, AttributeError) as error:
        msg = f"{row.label} is of type {row.dtype!r}, which numpy lacks. pip install ml_dtypes"
        raise DataError(msg) from error
    return dtype
