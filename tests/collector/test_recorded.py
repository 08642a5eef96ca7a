"""What a real model's run records says the same in a lake whichever way it came there."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import exray
from exray.collector.decode import RequestDecoder
from exray.exporters.convert import tables_from_records
from exray.exporters.typing import RecordBatch
from exray.lake.validate import check_set
from exray.testing import MemorySink, recording

from ..instrumentation.builders import FLOAT, INT8, make_input, make_interpreter, run
from .test_requests import assert_same, received, requests_of

pytest.importorskip("ai_edge_litert")


def recorded(model: Path, level: str) -> RecordBatch:
    """Record three frames of a model, each with a stage, a number and a tensor of its own."""
    sink = MemorySink()
    dtype = np.float32 if model == FLOAT else np.int8
    with recording(sink, level=level, layers=None):
        interpreter = make_interpreter(model)
        for number in range(3):
            with exray.frame(f"{number}.png", label="7"):
                with exray.stage("preprocess"):
                    value = make_input(number, dtype)
                exray.record("light", 0.5 + number)
                exray.record("boxes", np.eye(4, dtype=np.float32) * number)
                run(interpreter, value)
    return RecordBatch(
        tuple(sink.runs.values()), tuple(sink.graphs.values()), tuple(sink.frames), (), ()
    )


@pytest.mark.parametrize("level", ["latency", "summary", "distribution"])
@pytest.mark.parametrize("model", [FLOAT, INT8], ids=lambda path: path.stem)
def test_a_real_run_has_the_same_rows_by_otlp_and_by_the_lake_exporter(
    model: Path, level: str
) -> None:
    batch = recorded(model, level)
    wanted = tables_from_records(batch.runs, batch.graphs, batch.frames, batch.spans, batch.metrics)

    found = RequestDecoder().decode(received(requests_of(batch)))

    assert not found.poison
    tables = found.tables()
    check_set(tables)
    assert wanted["frames"].num_rows == 3
    assert sketches_are_close(tables["tensors"], wanted["tensors"])
    for either in (tables, wanted):
        either["tensors"] = without_folds(either["tensors"])
    assert_same(undated(tables), undated(wanted))


def undated(tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """Leave out the day, which is that of receipt in the one and of the frame in the other."""
    return {
        name: table.drop_columns(["dt"]) if "dt" in table.column_names else table
        for name, table in tables.items()
    }


def without_folds(tensors: pa.Table) -> pa.Table:
    """Leave out the sketches of 64 that are folds of 256, which `sketches_are_close` compares.

    On the wire there is only the wide one, of rounded numbers, so that its fold may differ in
    the last place from the one that was made before rounding.
    """
    rows = tensors.to_pylist()
    for row in rows:
        if row["sketch_256"] is not None:
            row["sketch"] = None
    return pa.Table.from_pylist(rows, tensors.schema)


def sketches_are_close(found: pa.Table, wanted: pa.Table) -> bool:
    by_span = {row["span_id"]: row["sketch"] for row in wanted.to_pylist()}
    folds = [row for row in found.to_pylist() if row["sketch_256"] is not None]
    return all(
        np.allclose(row["sketch"], by_span[row["span_id"]], rtol=1e-5, atol=1e-5) for row in folds
    )
