"""Tensors of one build: the model's input and each layer's output."""

from typing import TYPE_CHECKING

import numpy as np

from exray.schema.channels import channels
from exray.schema.histogram import histogram
from exray.schema.sketch import fold

from .columns import Floats, Ints, ids, lists, names, nulled, table_of
from .frames import INPUT, SPANS_PER_FRAME, Frames, Shared
from .pack import ELEMENTS, Pack
from .tables import DEVICE_KERNELS, STAGE_NS, below

if TYPE_CHECKING:
    import pyarrow as pa


def tensor_table(pack: Pack, build: int | None, frames: Frames, shared: Shared) -> "pa.Table":
    """The model input and each layer's output in the frames that are measured."""
    import pyarrow as pa

    fleet = pack.fleet
    seen = np.flatnonzero(frames.measured)
    chosen = np.repeat(seen, fleet.layers + 1)
    layer = np.tile(np.arange(fleet.layers + 1), len(seen))
    inputs = frames.input[chosen]
    is_layer = layer < fleet.layers
    # the model's input is the same on both sides
    gain = np.zeros(len(chosen))
    if build is not None:
        level = np.append(fleet.sqnr_db(build), np.inf)
        jitter = np.random.default_rng(900 + build).normal(0.0, 0.3, len(chosen))
        gain = 10 ** (-(level[layer] + jitter) / 20)
    values = pack.values[inputs, layer] + gain[:, None] * pack.noise[inputs, layer]
    wide = pack.value_sketches[inputs, layer] + gain[:, None] * pack.noise_sketches[inputs, layer]
    broken = np.zeros(len(chosen), np.int64)
    if build is not None and fleet.has("nonfinite", build):
        broken[(layer == 5) & (frames.device[chosen] % len(DEVICE_KERNELS) == 2)] = 2
    own = frames.number[chosen] * SPANS_PER_FRAME
    narrow = np.array([fold(row, 64) for row in wide])
    columns = below(fleet, frames, chosen, np.minimum(layer, fleet.layers - 1))
    columns["layer_index"] = pa.array(columns["layer_index"], pa.int32())
    for name in ("layer_index", "layer_name", "op"):
        columns[name] = nulled(columns[name], ~is_layer)
    return table_of(
        "tensors",
        len(chosen),
        shared(chosen)
        | columns
        | {
            "span_id": ids(0, own + np.where(is_layer, 4 + 2 * layer, INPUT), 8),
            "input_key": pack.keys[inputs],
            "start_ns": frames.start_ns[chosen] + STAGE_NS + layer,
            "tensor_role": names(["input", "layer"], is_layer.astype(np.int64)),
            "tensor_name": names([*fleet.layer_names, "image"], layer),
            "tensor_index": 0,
            "dtype": "float32" if build is None else "int8",
            "shape": f"1,{ELEMENTS}",
            "scale": None if build is None else 0.05,
            "zero_point": None if build is None else 0,
            "count": ELEMENTS,
            **{
                f"sum{power if power > 1 else ''}": (values**power).sum(axis=1)
                for power in (1, 2, 3, 4)
            },
            "min": values.min(axis=1),
            "max": values.max(axis=1),
            "nan_count": broken,
            "posinf_count": 0,
            "neginf_count": 0,
            "zero_count": (np.abs(values) < 0.02).sum(axis=1),
            "sat_low_count": 0,
            "sat_high_count": np.zeros(len(chosen), np.int64)
            if build is None
            else (values > 5.5).sum(axis=1),
            "hash": (inputs * 64 + layer) * 1024 + (0 if build is None else build + 1) * is_layer,
            "sketch": lists(narrow.astype(np.float32), pa.float32()),
            "sketch_256": nulled(lists(wide.astype(np.float32), pa.float32()), is_layer),
            "sketch_version": "cs1",
        }
        | _distributions(values, frames, chosen, build),
    )


def _distributions(
    values: Floats, frames: Frames, chosen: Ints, build: int | None
) -> dict[str, list[str | None]]:
    """Return histograms and channels of the frames that have them; of all of the reference."""
    found: dict[str, list[str | None]] = {
        name: [None] * len(chosen) for name in ("histogram", "channels")
    }
    for row in np.flatnonzero(frames.distributed[chosen] | (build is None)):
        array = values[row].astype(np.float32)[None, :]
        by_size, by_channel = histogram(array), channels(array)
        found["histogram"][row] = None if by_size is None else by_size.encode()
        found["channels"][row] = None if by_channel is None else by_channel.encode()
    return found
