"""How long the layer table of two builds takes, against reading the same files once.

Writes a lake of synthetic runs (edge, reference, and a number of older builds that the
query must pass over), then times: opening the lake, `layer_divergence`,
the other queries that a comparison asks, the whole `exray compare` command in a process
of its own, and for scale a full scan of the two builds' Parquet, every statistic and every
value of every sketch. Prints milliseconds and the ratio to that scan.

    python benchmarks/compare.py [--frames 1000] [--layers 66] [--builds 0]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from exray.lake import Lake
from exray.queries import connect
from exray.schema.arrow import arrow_schema
from exray.schema.tables import TABLES

START_NS = 1_760_000_000_000_000_000
ROUNDS = 3
ELEMENTS = 4096


def main() -> None:
    """Write the lake, time the queries, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--layers", type=int, default=66)
    parser.add_argument("--builds", type=int, default=0, help="older builds in the same lake")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = write_lake(Path(folder, "lake"), options.frames, options.layers, options.builds)
        report(lake, f"{options.frames} frames x {options.layers} layers, two builds")


def report(lake: Lake, title: str) -> None:
    """Time everything on one lake."""
    connection = connect(lake)
    scan_ms = best_ms(lambda: connection.execute(scan()).fetchall())
    connection.close()
    rows: list[tuple[str, float]] = [("scan of the same Parquet", scan_ms)]

    opened = time.perf_counter()
    connection = connect(lake)
    first = time.perf_counter()
    connection.execute("SELECT * FROM layer_divergence('edge', 'reference')").fetchall()
    answered = time.perf_counter()
    rows.append(("connect", (first - opened) * 1e3))
    rows.append(("connect + layer_divergence, first time", (answered - opened) * 1e3))
    for call in (
        "layer_divergence('edge', 'reference')",
        "input_divergence('edge', 'reference')",
        "layer_sketches('edge', 'reference')",
        "frame_coverage('edge', 'reference')",
        "outcome_compare('edge', 'reference')",
        "layer_latency('edge')",
        "inference_latency('edge')",
    ):
        query = f"SELECT * FROM {call}"
        rows.append(
            (call.partition("(")[0], best_ms(lambda q=query: connection.execute(q).fetchall()))
        )
    connection.close()
    rows.append(("exray compare --json, whole command", best_ms(lambda: run_command(lake))))

    print(title)
    for name, ms in rows:
        print(f"  {name:40}{ms:9.1f} ms {ms / scan_ms:7.2f} x scan")


def run_command(lake: Lake) -> None:
    """Run the command in a process of its own, as a user does."""
    exray = str(Path(sys.executable).with_name("exray"))
    builds = ("--edge", "edge", "--reference", "reference")
    command = (exray, "compare", *builds, "--json", "--lake", str(lake.path))
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def scan() -> str:
    """A query that reads all there is of the two builds' tensors."""
    numbers = [c.name for c in TABLES["tensors"].columns if c.type in ("int64", "float64")]
    sums = ", ".join(f"sum({name})" for name in numbers)
    return (
        f"SELECT {sums}, sum(list_sum(sketch)) FROM _tensors WHERE build IN ('edge', 'reference')"
    )


def best_ms(work: Callable[[], object]) -> float:
    """Shortest of a few rounds: other work on the machine only adds."""
    spent: list[float] = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return min(spent) * 1e3


def write_lake(path: Path, frames: int, layers: int, builds: int) -> Lake:
    """A lake in which the edge is the reference plus noise that grows along the layers."""
    lake = Lake.open_or_create(path)
    rng = np.random.default_rng(0)
    keys = rng.integers(-(2**62), 2**62, frames)
    signal = rng.normal(size=(frames, layers, 64)).astype(np.float32)
    sides = [("edge", "edge", 0.05), ("reference", "reference", 0.0)]
    sides += [(f"older-{number}", "edge", 0.04) for number in range(builds)]
    for number, (build, role, noise) in enumerate(sides):
        drift = np.linspace(0, noise, layers, dtype=np.float32)[:, None]
        sketches = signal + drift * rng.normal(size=signal.shape).astype(np.float32)
        lake.append(Side(number, build, role, keys, rng).tables(sketches))
    pairs = {
        "edge_model_sha256": sha256("edge"),
        "reference_model_sha256": sha256("reference"),
        "edge_layer_index": np.arange(layers),
        "reference_layer_index": np.arange(layers),
        "method": "name",
        "version": 1,
        "recorded_ns": START_NS,
    }
    lake.append({"alignments": table("alignments", layers, pairs)})
    return lake


class Side:
    """One run of a build over all inputs."""

    def __init__(
        self, number: int, build: str, role: str, keys: np.ndarray, rng: np.random.Generator
    ) -> None:
        self._rng = rng
        self._keys = keys
        self._frames = len(keys)
        self._traces = ids(rng, self._frames, 16)
        self._spans = ids(rng, self._frames, 8)
        self._shared: dict[str, object] = {
            "run_id": bytes(15) + bytes([number]),
            "build": build,
            "role": role,
            "model_name": build,
            "model_sha256": sha256(role),
            "dt": "2025-10-09",
        }

    def tables(self, sketches: np.ndarray) -> dict[str, pa.Table]:
        """All rows; *sketches* has shape (frames, layers, 64)."""
        layers = sketches.shape[1]
        return {
            "runs": self._run(),
            "graphs": self._graph(layers),
            "tensors": pa.concat_tables([self._outputs(sketches), self._inputs()]),
            "layer_spans": self._layer_spans(layers),
            "spans": self._inferences(),
            "frames": self._frame_rows(),
        }

    def _run(self) -> pa.Table:
        texts = {c.name: "" for c in TABLES["runs"].columns if c.type == "string"}
        started = {"started_ns": START_NS, "recorded_ns": START_NS, "clock_ok": True}
        return table("runs", 1, texts | {"kernels": "xnnpack"} | self._shared | started)

    def _graph(self, layers: int) -> pa.Table:
        index = np.arange(layers)
        lists: dict[str, object] = {
            c.name: pa.array([[]] * layers, arrow_schema("graphs").field(c.name).type)
            for c in TABLES["graphs"].columns
            if c.type.startswith("list") and c.name != "parents"
        }
        rows: dict[str, object] = {
            "subgraph_index": 0,
            "layer_index": index,
            "layer_name": layer_names(index),
            "op": "CONV_2D",
            "parents": pa.array([[int(i) - 1] for i in index], pa.list_(pa.int32())),
            "macs": 1000,
            "weight_bytes": 1000,
            "activation_bytes": 4 * ELEMENTS,
        }
        return table("graphs", layers, lists | self._shared | rows)

    def _frame_rows(self) -> pa.Table:
        rows: dict[str, object] = {
            "span_id": self._spans,
            "frame_span_id": self._spans,
            "input_id": pa.array([f"{key}.png" for key in self._keys.tolist()]),
            "frame_index": np.arange(self._frames),
            "label": "1",
            "prediction_ids": pa.array([[1, 2]] * self._frames, pa.list_(pa.int32())),
            "dur_ns": 10_000_000,
            "stage_ns": 1_000_000,
            "model_ns": 9_000_000,
            "level": "summary",
            "sample_rate": 1.0,
            "status": "unset",
        }
        return table("frames", self._frames, self._of_frames(np.arange(self._frames)) | rows)

    def _inferences(self) -> pa.Table:
        rows: dict[str, object] = {
            "span_id": ids(self._rng, self._frames, 8),
            "dur_ns": 9_000_000,
            "name": "inference",
            "kind": "internal",
            "status": "unset",
            "scope": "exray",
        }
        return table("spans", self._frames, self._of_frames(np.arange(self._frames)) | rows)

    def _layer_spans(self, layers: int) -> pa.Table:
        count = self._frames * layers
        rows: dict[str, object] = {
            "timing": "probe",
            "dur_ns": self._rng.integers(1000, 9000, count),
        }
        return table("layer_spans", count, self._of_layers(layers) | rows)

    def _outputs(self, sketches: np.ndarray) -> pa.Table:
        flat = sketches.reshape(-1, 64)
        rows = self._of_layers(sketches.shape[1]) | self._statistics(flat)
        return table("tensors", len(flat), rows | {"tensor_role": "layer", "sketch": lists(flat)})

    def _inputs(self) -> pa.Table:
        key_rng = np.random.default_rng(7)  # equal on both sides
        wide = key_rng.normal(size=(self._frames, 256)).astype(np.float32)
        rows = self._of_frames(np.arange(self._frames)) | self._statistics(wide)
        rows |= {
            "span_id": ids(self._rng, self._frames, 8),
            "inference_index": 0,
            "tensor_role": "input",
            "sketch": lists(wide.reshape(-1, 64, 4).sum(2)),
            "sketch_256": lists(wide),
        }
        return table("tensors", self._frames, rows)

    def _of_frames(self, frame: np.ndarray) -> dict[str, object]:
        parents = self._spans.take(pa.array(frame))
        return self._shared | {
            "trace_id": self._traces.take(pa.array(frame)),
            "parent_span_id": parents,
            "frame_span_id": parents,
            "input_key": self._keys[frame],
            "start_ns": START_NS + 10_000_000 * frame,
        }

    def _of_layers(self, layers: int) -> dict[str, object]:
        frame = np.repeat(np.arange(self._frames), layers)
        index = np.tile(np.arange(layers), self._frames)
        return self._of_frames(frame) | {
            "span_id": ids(self._rng, len(frame), 8),
            "layer_index": index,
            "layer_name": layer_names(index),
            "op": "CONV_2D",
            "subgraph_index": 0,
            "inference_index": 0,
        }

    def _statistics(self, sketches: np.ndarray) -> dict[str, object]:
        count = len(sketches)
        zeros = [c.name for c in TABLES["tensors"].columns if c.name.endswith("_count")]
        random = {name: self._rng.normal(size=count) for name in ("sum", "sum3", "sum4")}
        return (
            dict.fromkeys(zeros, 0)
            | random
            | {
                "tensor_name": "tensor",
                "tensor_index": 0,
                "dtype": "float32",
                "shape": "1,8,8,64",
                "count": ELEMENTS,
                "sum2": np.square(sketches.astype(np.float64)).sum(1),
                "min": -np.abs(self._rng.normal(size=count)),
                "max": np.abs(self._rng.normal(size=count)),
                "hash": self._rng.integers(-(2**62), 2**62, count),
                "sketch_version": "cs1",
            }
        )


def table(name: str, count: int, values: dict[str, object]) -> pa.Table:
    """Columns of a table: arrays as they are, one value for all rows, NULL where not given."""
    columns: list[pa.Array] = []
    for field in arrow_schema(name):
        value = values.get(field.name)
        if isinstance(value, (pa.Array, np.ndarray)):
            columns.append(pa.array(value).cast(field.type))
        else:
            columns.append(pa.repeat(pa.scalar(value, field.type), count))
    return pa.table(columns, schema=arrow_schema(name))


def ids(rng: np.random.Generator, count: int, width: int) -> pa.Array:
    """Random ids of *width* bytes."""
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), count, [None, pa.py_buffer(rng.bytes(count * width))]
    )


def lists(rows: np.ndarray) -> pa.Array:
    """The rows of a matrix as lists."""
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows.ravel()))


def layer_names(index: np.ndarray) -> pa.Array:
    """A name for each index."""
    names = pa.array([f"layer{i}" for i in range(int(index.max()) + 1)])
    return names.take(pa.array(index))


def sha256(role: str) -> str:
    """A made-up hash of the model of a role."""
    return role[0].encode().hex() * 32


if __name__ == "__main__":
    main()
