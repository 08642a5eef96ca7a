"""Tensors of readable spans: attributes of whole blocks, a column at a time."""

import base64
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exray.schema.attributes import EXRAY_TENSOR_SKETCH
from exray.schema.records import SKETCH_SIZE, TensorBlock, TensorSite

from .base64_rows import base64_rows
from .sketch_sizes import sketch_sizes
from .span_content import COUNTS, REALS, SKETCH_PREFIX, Attributes, tensor_texts
from .template import real_statistics, sketch_chars

_COUNT_KEYS, _REAL_KEYS = tuple(COUNTS.values()), tuple(REALS.values())


@dataclass(slots=True)
class SeenTensor:
    """A tensor on its way to a span.

    Args:
        site: Where it was seen.
        statistics: What its row and its sketch say.
        parent_span_id: Of the span that it has to itself, if no other carries it.
        start_ns: Of that span.
        dur_ns: Of that span.
    """

    site: TensorSite
    statistics: Attributes
    parent_span_id: bytes
    start_ns: int
    dur_ns: int


def tensors_by_span(blocks: Iterable[TensorBlock]) -> dict[bytes, list[SeenTensor]]:
    """Return the tensors of *blocks* by the span that carries them."""
    found: dict[bytes, list[SeenTensor]] = {}
    for block in blocks:
        rows = block.rows
        ids, parents = rows["span_id"].tobytes(), rows["parent_span_id"].tobytes()
        sites: list[int] = rows["site"].tolist()
        starts: list[int] = rows["start_ns"].tolist()
        durations: list[int] = rows["dur_ns"].tolist()
        statistics = _statistics(block)
        columns = zip(sites, starts, durations, strict=True)
        for number, (site, start_ns, dur_ns) in enumerate(columns):
            at = slice(8 * number, 8 * number + 8)
            seen = SeenTensor(block.sites[site], statistics[number], parents[at], start_ns, dur_ns)
            found.setdefault(ids[at], []).append(seen)
    return found


def _statistics(block: TensorBlock) -> list[Attributes]:
    rows = block.rows
    counts = zip(*(rows[name].tolist() for name in COUNTS), strict=True)
    reals = zip(*(rows[name].tolist() for name in REALS), strict=True)
    gaps: NDArray[np.bool_] = np.isnan(real_statistics(rows))
    has_gap = [bool(gap) for gap in np.logical_or.reduce(gaps, axis=1)]
    found: list[Attributes] = []
    for ints, floats, gap in zip(counts, reals, has_gap, strict=True):
        statistics: Attributes = dict(zip(_COUNT_KEYS, ints, strict=True))
        values = zip(_REAL_KEYS, floats, strict=True)
        statistics.update([v for v in values if not math.isnan(v[1])] if gap else values)
        found.append(statistics)
    for number, text in _sketches(block):
        found[number][EXRAY_TENSOR_SKETCH] = text
    for number, texts in tensor_texts(block).items():
        found[number] |= texts
    return found


def _sketches(block: TensorBlock) -> Iterator[tuple[int, str]]:
    """Yield each row that has a sketch and its text, the wide one where there is one last."""
    values = block.rows["sketch"]
    sizes: list[int] = sketch_sizes(values).tolist()
    chars = sketch_chars(SKETCH_SIZE)
    packed = values.astype("<f4", copy=False).view(np.uint8).reshape(len(values), 4 * SKETCH_SIZE)
    whole = base64_rows(packed).tobytes().decode("ascii")
    for number, size in enumerate(sizes):
        if size == SKETCH_SIZE:
            yield number, SKETCH_PREFIX + whole[number * chars : (number + 1) * chars]
        elif size:
            yield number, _sketch_text(values[number, :size])
    for number, wide in block.wide_sketches.items():
        if not np.isnan(wide).any():
            yield number, _sketch_text(wide)


def _sketch_text(values: NDArray[np.float32]) -> str:
    packed = base64.b64encode(values.astype("<f4", copy=False).tobytes())
    return SKETCH_PREFIX + packed.decode("ascii")
