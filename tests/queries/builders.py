"""Rows of a small lake, with defaults for all that a test does not speak of."""

import atexit
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import duckdb
import numpy as np
import pyarrow as pa

from exray.queries.engine import connect_tables, show_tables
from exray.schema.arrow import arrow_schema
from exray.schema.identity import input_key, sketch_family
from exray.schema.sketch import fold, sketch

Row = dict[str, object]

START_NS = 1_760_000_000_000_000_000
"""9 October 2025."""


@cache
def _library() -> duckdb.DuckDBPyConnection:
    connection = connect_tables({})
    atexit.register(connection.close)  # left open, its Python function is reported as a leak
    return connection


@dataclass(slots=True)
class Rows:
    """Collects rows by table; each method adds one and returns it, for others to build on."""

    tables: dict[str, list[Row]] = field(default_factory=dict[str, list[Row]])
    _ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def add(self, table: str, row: Row) -> Row:
        """Add a row; columns not given are NULL."""
        self.tables.setdefault(table, []).append(row)
        return row

    def run(self, build: str = "b", role: str = "edge", **values: object) -> Row:
        """Add a run; its id counts up from 1 in the last byte."""
        number = next(self._ids)
        row: Row = {
            "run_id": values.pop("run_id", number.to_bytes(16)),
            "build": build,
            "role": role,
            "started_ns": START_NS + number,
            "recorded_ns": START_NS + number,
            "model_name": "net",
            "model_sha256": "aa",
            "model_precision": "float32",
            "model_format": "tflite",
            "runtime_name": "litert",
            "runtime_version": "2.1",
            "kernels": "xnnpack",
            "device_id": "d1",
            "device_model": "pi5",
            "device_manufacturer": "",
            "host_arch": "aarch64",
            "host_name": "pi",
            "os_type": "linux",
            "os_version": "6.6",
            "exray_version": "0.1.0",
            "clock_ok": True,
        }
        return self.add("runs", row | values)

    def frame(self, run: Row, input_id: str = "a.png", **values: object) -> Row:
        """Add a frame of *run*, a millisecond after the one before."""
        number = next(self._ids)
        row: Row = {
            **_of_run(run),
            "trace_id": number.to_bytes(16),
            "span_id": number.to_bytes(8),
            "frame_span_id": number.to_bytes(8),
            "input_key": input_key(input_id),
            "start_ns": START_NS + number * 1_000_000,
            "dur_ns": 1_000_000,
            "input_id": input_id,
            "frame_index": number,
            "stage_ns": 0,
            "model_ns": 0,
            "level": "summary",
            "sample_rate": 1.0,
            "status": "unset",
        }
        return self.add("frames", row | values)

    def span(self, frame: Row, name: str = "inference", **values: object) -> Row:
        """Add a span of exray itself below *frame*."""
        row = self._below(frame) | {
            "name": name,
            "kind": "internal",
            "status": "unset",
            "scope": "exray",
            "dur_ns": 1_000_000,
        }
        return self.add("spans", row | values)

    def layer_span(self, frame: Row, index: int = 0, **values: object) -> Row:
        """Add an operator execution."""
        return self.add(
            "layer_spans",
            self._below(frame) | _of_layer(index) | {"timing": "probe", "dur_ns": 1_000} | values,
        )

    def layer(self, frame: Row, index: int, array: Sequence[float], **values: object) -> Row:
        """Add the summary of a layer's first output."""
        return self.tensor(frame, "layer", array, **(_of_layer(index) | values))

    def tensor(self, frame: Row, role: str, array: Sequence[float], **values: object) -> Row:
        """Add the summary of *array*, with a wide sketch unless it is a layer's."""
        elements = np.asarray(array, np.float64)
        finite = elements[np.isfinite(elements)]
        key = frame["input_key"]
        assert isinstance(key, int)
        wide = sketch(elements, sketch_family(key))
        row = self._below(frame) | {
            "inference_index": None if role in ("raw", "stage", "custom") else 0,
            "tensor_role": role,
            "tensor_name": role,
            "tensor_index": 0,
            "dtype": "float32",
            "shape": str(elements.size),
            "count": elements.size,
            "sum": float(finite.sum()),
            "sum2": float(np.square(finite).sum()),
            "sum3": float((finite**3).sum()),
            "sum4": float((finite**4).sum()),
            "min": float(finite.min()) if finite.size else None,
            "max": float(finite.max()) if finite.size else None,
            "nan_count": int(np.isnan(elements).sum()),
            "posinf_count": int(np.isposinf(elements).sum()),
            "neginf_count": int(np.isneginf(elements).sum()),
            "zero_count": int((elements == 0).sum()),
            "sat_low_count": 0,
            "sat_high_count": 0,
            "hash": hash(elements.tobytes()),
            "sketch": fold(wide, 64).astype(np.float32).tolist(),
            "sketch_256": None if role == "layer" else wide.astype(np.float32).tolist(),
            "sketch_version": "cs1",
        }
        return self.add("tensors", row | values)

    def metric(
        self,
        run: Row,
        name: str,
        value: float,
        at_s: float,
        attributes: str | None = None,
        *,
        frame: Row | None = None,
        **values: object,
    ) -> Row:
        """Add a number of *run*, so long after the start, in *frame* or between frames."""
        row: Row = {
            "series_hash": hash((name, attributes, run["run_id"])),
            "time_ns": START_NS + int(at_s * 1_000_000_000),
            "name": name,
            "unit": "1",
            "value": float(value),
            "run_id": run["run_id"],
            "build": run["build"],
            "trace_id": frame and frame["trace_id"],
            "frame_span_id": frame and frame["span_id"],
            "input_key": frame and frame["input_key"],
            "attributes_json": attributes,
            "dt": "2025-10-09",
        }
        return self.add("metrics", row | values)

    def graph(self, sha256: str, *parents: Sequence[int], **values: object) -> None:
        """Add a model whose layers have these parents; they are called l0, l1 and so on."""
        for index, sources in enumerate(parents):
            row = {
                "model_name": "net",
                "model_sha256": sha256,
                "subgraph_index": 0,
                "layer_index": index,
                "layer_name": f"l{index}",
                "op": "CONV_2D",
                "parents": list(sources),
                "macs": 0,
                "weight_bytes": 0,
                "activation_bytes": 0,
            }
            self.add("graphs", row | values)

    def align(
        self, edge: str, reference: str, pairs: Mapping[int, int | None], **values: object
    ) -> None:
        """Add alignments of edge layers to reference layers."""
        for index, answer in pairs.items():
            row = {
                "edge_model_sha256": edge,
                "reference_model_sha256": reference,
                "edge_layer_index": index,
                "reference_layer_index": answer,
                "method": "none" if answer is None else "name",
                "reason": "no name alike" if answer is None else None,
                "version": 1,
                "recorded_ns": START_NS,
            }
            self.add("alignments", row | values)

    def arrow(self) -> dict[str, pa.Table]:
        """Return the rows as tables of the schema."""
        return {
            name: pa.Table.from_pylist(rows, schema=arrow_schema(name))
            for name, rows in self.tables.items()
        }

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Open the rows with the library loaded; the connection serves the next test too."""
        connection = _library()
        show_tables(connection, self.arrow())
        return connection

    def ask(self, query: str) -> list[tuple[object, ...]]:
        """Return what *query* says about the rows."""
        return self.connect().execute(query).fetchall()

    def _below(self, frame: Row) -> Row:
        number = next(self._ids)
        shared = ("run_id", "build", "role", "dt", "model_name", "model_sha256")
        row: Row = {name: frame.get(name) for name in (*shared, "trace_id", "input_key")}
        return row | {
            "span_id": number.to_bytes(8),
            "parent_span_id": frame["span_id"],
            "frame_span_id": frame["span_id"],
            "start_ns": START_NS + number * 1_000_000,
        }


def _of_run(run: Row) -> Row:
    names = ("run_id", "build", "role", "model_name", "model_sha256")
    return {name: run[name] for name in names} | {"dt": "2025-10-09"}


def _of_layer(index: int) -> Row:
    return {
        "layer_index": index,
        "layer_name": f"l{index}",
        "op": "CONV_2D",
        "subgraph_index": 0,
        "inference_index": 0,
        "tensor_name": f"l{index}",
    }
