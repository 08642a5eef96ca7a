"""Tables ``layer_spans`` and ``tensors``: the numpy blocks of many frames, put together.

What is constant for a model stands once in a block's sites, what is constant for an
inference once per block. Both become short columns that a ``take`` spreads over the rows,
so no Python runs per row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from exray.schema.arrow import arrow_schema
from exray.schema.records import (
    WIDE_SKETCH_SIZE,
    FrameRecord,
    InferenceRecord,
    LayerBlock,
    LayerSite,
    TensorBlock,
    TensorSite,
)

from .arrays import (
    columns_from_rows,
    lists,
    numbers,
    span_ids,
    sparse_lists,
    table_from_columns,
    texts,
)
from .joined import joined_rows
from .rows import Row, identity_row
from .sketch_sizes import sketch_sizes
from .span_content import UNMEASURED

if TYPE_CHECKING:
    import pyarrow as pa

SKETCH_VERSION = "cs1"
"""Definition of the sketch that summaries carry."""

_COUNTS = (
    "start_ns",
    "count",
    "nan_count",
    "posinf_count",
    "neginf_count",
    "zero_count",
    "sat_low_count",
    "sat_high_count",
    "hash",
)
"""Fields of `TENSOR_ROW` that are columns as they are."""

_REALS = ("sum", "sum2", "sum3", "sum4", "min", "max")
"""Fields in which NaN means that there is no such number: columns with NULL for it."""

_Block = TypeVar("_Block", LayerBlock, TensorBlock)


@dataclass(frozen=True, slots=True)
class _Part(Generic[_Block]):
    """One block, the frame it belongs to, and the model execution if there was one."""

    block: _Block
    frame: FrameRecord
    inference: InferenceRecord | None = None
    inference_index: int | None = None

    def row(self) -> Row:
        """Return the columns that are constant in the block."""
        run = self.inference.run if self.inference else self.frame.run
        return identity_row(self.frame, run) | {"inference_index": self.inference_index}


def layer_spans_table(frames: Sequence[FrameRecord]) -> "pa.Table":
    """Return the layer executions of *frames* as rows of ``layer_spans``."""
    parts = [
        _Part(inference.layers, frame, inference, index)
        for frame in frames
        for index, inference in enumerate(frame.inferences)
        if inference.layers is not None and len(inference.layers.rows)
    ]
    if not parts:
        return arrow_schema("layer_spans").empty_table()
    rows = joined_rows([part.block.rows for part in parts])
    part_of_row, site_of_row, sites = _places(parts, rows)
    constants = [
        part.row() | {"parent_span_id": part.inference.span_id if part.inference else None}
        for part in parts
    ]
    unmeasured = rows["dur_ns"] < 0
    timed = [_layer_row(site) for site in sites]
    untimed = [row | {"timing": UNMEASURED} for row in timed]
    columns = {
        **_spread("layer_spans", constants, part_of_row),
        **_spread("layer_spans", timed + untimed, site_of_row + unmeasured * len(sites)),
        "span_id": span_ids(rows["span_id"]),
        "start_ns": numbers(rows["start_ns"]),
        "dur_ns": numbers(rows["dur_ns"], unmeasured),
    }
    return table_from_columns("layer_spans", columns)


def tensors_table(frames: Sequence[FrameRecord]) -> "pa.Table":
    """Return the tensor summaries of *frames* as rows of ``tensors``."""
    parts = [part for frame in frames for part in _tensor_parts(frame) if len(part.block.rows)]
    if not parts:
        return arrow_schema("tensors").empty_table()
    rows = joined_rows([part.block.rows for part in parts])
    part_of_row, site_of_row, sites = _places(parts, rows)
    # A type without real values has none, and privacy may have withheld or shortened it.
    sizes = sketch_sizes(rows["sketch"])
    columns = {
        **_spread("tensors", [part.row() for part in parts], part_of_row),
        **_spread("tensors", [_tensor_row(site) for site in sites], site_of_row),
        **{name: numbers(rows[name]) for name in _COUNTS},
        **{name: numbers(rows[name], np.isnan(rows[name])) for name in _REALS},
        "span_id": span_ids(rows["span_id"]),
        "parent_span_id": span_ids(rows["parent_span_id"]),
        "dur_ns": numbers(rows["dur_ns"], rows["dur_ns"] < 0),
        "sketch": lists(rows["sketch"], sizes),
        "sketch_256": sparse_lists(_wide_sketches(parts), len(rows), WIDE_SKETCH_SIZE),
        "sketch_version": texts([SKETCH_VERSION, None]).take(numbers((sizes == 0).astype(np.int8))),
    }
    if any(part.block.histograms or part.block.channels for part in parts):
        columns["histogram"] = texts(_by_row(parts, "histograms", len(rows)))
        columns["channels"] = texts(_by_row(parts, "channels", len(rows)))
    return table_from_columns("tensors", columns)


def _tensor_parts(frame: FrameRecord) -> list[_Part[TensorBlock]]:
    outside = [_Part(block, frame) for block in frame.tensors]
    inside = [
        _Part(inference.tensors, frame, inference, index)
        for index, inference in enumerate(frame.inferences)
        if inference.tensors is not None
    ]
    return outside + inside


def _places(
    parts: Sequence[_Part[Any]], rows: NDArray[np.void]
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[Any]]:
    """Return each row's part, each row's site, and the sites of all parts, each list once.

    Raises:
        ValueError: A row points outside its block's sites.
    """
    sites: list[Any] = []
    offsets: dict[int, int] = {}  # blocks of one model share their sites: one list object
    starts: list[int] = []
    for part in parts:
        key = id(part.block.sites)
        if key not in offsets:
            offsets[key] = len(sites)
            sites.extend(part.block.sites)
        starts.append(offsets[key])
    part_of_row = np.repeat(np.arange(len(parts)), [len(part.block.rows) for part in parts])
    site = rows["site"].astype(np.int64)
    limits = np.array([len(part.block.sites) for part in parts])
    if ((site < 0) | (site >= limits[part_of_row])).any():
        msg = "a row of a block points outside its sites"
        raise ValueError(msg)
    return part_of_row, np.array(starts)[part_of_row] + site, sites


def _spread(name: str, rows: Sequence[Row], index: NDArray[np.int64]) -> "dict[str, pa.Array[Any]]":
    """Return the columns of *rows* with ``rows[index[i]]`` in row ``i``."""
    taken = numbers(index)
    return {key: column.take(taken) for key, column in columns_from_rows(name, rows).items()}


def _layer_row(site: LayerSite | None) -> Row:
    if site is None:
        return dict.fromkeys(("layer_index", "layer_name", "op", "subgraph_index"))
    return {
        "layer_index": site.layer_index,
        "layer_name": site.layer_name,
        "op": site.op,
        "subgraph_index": site.subgraph_index,
        "timing": site.timing,
    }


def _tensor_row(site: TensorSite) -> Row:
    whole = site.quantization if site.quantization and len(site.quantization.scales) == 1 else None
    return {
        **_layer_row(site.layer),
        "tensor_role": site.role,
        "tensor_name": site.name,
        "tensor_index": site.index,
        "dtype": site.dtype,
        "shape": ",".join(map(str, site.shape)),
        "layout": site.layout,
        "scale": whole.scales[0] if whole else None,
        "zero_point": whole.zero_points[0] if whole else None,
    }


def _wide_sketches(parts: Sequence[_Part[TensorBlock]]) -> dict[int, NDArray[np.float32]]:
    """Return the wide sketches by row number in the table."""
    found: dict[int, NDArray[np.float32]] = {}
    first = 0
    for part in parts:
        for row, values in sorted(part.block.wide_sketches.items()):
            if not np.isnan(values).any():
                found[first + row] = values
        first += len(part.block.rows)
    return found


def _by_row(
    parts: Sequence[_Part[TensorBlock]], field: Literal["histograms", "channels"], rows: int
) -> list[str | None]:
    """Return a text for each row of the table, None for those that have none."""
    found: list[str | None] = [None] * rows
    first = 0
    for part in parts:
        of_block = part.block.histograms if field == "histograms" else part.block.channels
        for row, text in of_block.items():
            found[first + row] = text
        first += len(part.block.rows)
    return found
