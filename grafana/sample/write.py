"""A made-up fleet in a lake of its own, with known faults, to look at the dashboards with.

Devices of three models run an int8 network of weekly builds on a canary pack; a float
reference ran the same inputs. Every number is made up from the settings alone, so what the
dashboards have to show is known: `Faults`.
"""

from typing import TYPE_CHECKING

import numpy as np

from .columns import table_of
from .fleet import MODEL_NAME, Fleet
from .frames import choose_devices, choose_frames, shared_columns
from .pack import ELEMENTS, Pack
from .tables import frame_table, layer_table, run_table, span_table
from .tensors import tensor_table

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from exray.lake import Lake


def write_sample(
    lake: "Lake", fleet: Fleet, progress: "Callable[[int, int], None] | None" = None
) -> None:
    """Write a fleet to a lake, a commit for each build."""
    pack = Pack(fleet)
    lake.append(_model_rows(fleet))
    lake.append(_run_rows(pack, None))
    for build in range(fleet.builds):
        lake.append(_run_rows(pack, build))
        if progress is not None:
            progress(build + 1, fleet.builds)


def _model_rows(fleet: Fleet) -> "dict[str, pa.Table]":
    """Graphs of all models, and which of their layers answer to each other."""
    builds: list[int | None] = [None, *range(fleet.builds)]
    layers, count = fleet.layers, len(builds)
    index = np.tile(np.arange(layers), count)
    no_names: list[str] = []
    graphs = table_of(
        "graphs",
        layers * count,
        {
            "model_name": MODEL_NAME,
            "model_sha256": [fleet.model_sha256(build) for build in builds for _ in range(layers)],
            "subgraph_index": 0,
            "layer_index": index,
            "layer_name": fleet.layer_names * count,
            "op": fleet.layer_ops * count,
            "input_names": [no_names] * len(index),
            "output_names": [[name] for name in fleet.layer_names * count],
            "output_shapes": [[f"1,{ELEMENTS}"] for _ in index],
            "output_dtypes": [["int8"] for _ in index],
            "output_scales": [[0.05] for _ in index],
            "output_zero_points": [[0] for _ in index],
            "parents": [[int(i) - 1] for i in index],
            "macs": 1_000_000,
            "weight_bytes": 10_000,
            "activation_bytes": ELEMENTS,
        },
    )
    of_edge = np.tile(np.arange(layers), fleet.builds)
    alignments = table_of(
        "alignments",
        len(of_edge),
        {
            "edge_model_sha256": [
                fleet.model_sha256(build) for build in range(fleet.builds) for _ in range(layers)
            ],
            "reference_model_sha256": fleet.model_sha256(None),
            "edge_layer_index": of_edge,
            "reference_layer_index": of_edge,
            "method": "name",
            "distance": 0.05,
            "runner_up": 0.9,
            "version": 1,
            "recorded_ns": fleet.started_ns(None),
        },
    )
    return {"graphs": graphs, "alignments": alignments}


def _run_rows(pack: Pack, build: int | None) -> "dict[str, pa.Table]":
    """All rows of one build, or of the reference."""
    fleet = pack.fleet
    devices = choose_devices(fleet, build)
    frames = choose_frames(fleet, build, devices)
    shared = shared_columns(fleet, build, frames)
    return {
        "runs": run_table(fleet, build, devices),
        "frames": frame_table(pack, build, frames, shared),
        "spans": span_table(fleet, frames, shared),
        "layer_spans": layer_table(fleet, build, frames, shared),
        "tensors": tensor_table(pack, build, frames, shared),
    }
