"""A lake whose layers nobody has aligned yet shows how they answer to each other all the same."""

import shutil
import time
from pathlib import Path

import pyarrow as pa

from exray.lake import Lake
from exray.schema.arrow import arrow_schema

from .servers import Connection, serving

COMPARED = b"""
SELECT count(*) FROM alignments AS a
INNER JOIN graphs AS g ON a.edge_model_sha256 = g.model_sha256
WHERE a.edge_layer_index = g.layer_index AND a.reference_layer_index IS NOT NULL
"""


def compared(connection: Connection) -> int:
    row = connection.execute(COMPARED).fetchone()
    assert row is not None
    return int(row[0])


def test_alignments_are_found_held_and_never_written(fleet_lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    shutil.copytree(fleet_lake.path, folder, ignore=shutil.ignore_patterns("alignments"))
    lake = Lake.open(folder)
    with serving(lake) as running, running.connect() as connection:
        deadline = time.monotonic() + 60
        while not compared(connection):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        lake.append({"alignments": make_alignment()})  # the view is made again with the held ones
        rows = connection.execute(b"SELECT DISTINCT edge_model_sha256 FROM alignments").fetchall()
        assert ("somebody else's",) in rows
        assert len(rows) > 1
    assert len(lake.files("alignments")) == 1


def make_alignment() -> pa.Table:
    row = {
        "edge_model_sha256": "somebody else's",
        "reference_model_sha256": "x",
        "edge_layer_index": 0,
        "reference_layer_index": 0,
        "method": "name",
        "version": 1,
        "recorded_ns": 1,
    }
    return pa.Table.from_pylist([row], schema=arrow_schema("alignments"))
