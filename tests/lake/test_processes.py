"""Writers side by side lose nothing; killed ones leave nothing half done that shows."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from exray.lake import Lake
from exray.lake.layout import MARKER

KILLS = int(os.environ.get("EXRAY_CRASH_KILLS", "6"))
"""How often the crash test kills its writer; raise it for a thorough run."""


def start_writer(path: Path, writer: str, count: int) -> "subprocess.Popen[str]":
    tests = str(Path(__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "lake.writer", str(path), writer, str(count)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([tests, *filter(None, sys.path)])},
        stdout=subprocess.PIPE,
        text=True,
    )


def rows_by_set(lake: Lake, table: str, column: str = "start_ns") -> Counter[int]:
    """Return how many rows of *table* each committed set has."""
    rows: Counter[int] = Counter()
    for path in lake.files(table):
        values = pq.ParquetFile(path).read([column]).column(column).to_pylist()
        rows.update(value for value in values if value is not None)
    return rows


def test_two_writers_at_once_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    sets = 8
    processes = [start_writer(tmp_path / "lake", writer, sets) for writer in ("w0", "w1")]
    assert [process.communicate()[0].split() for process in processes] == [
        [str(sequence) for sequence in range(sets)]
    ] * 2
    assert [process.returncode for process in processes] == [0, 0]
    lake = Lake.open(tmp_path / "lake")
    for table in ("tensors", "layer_spans", "spans", "frames"):
        assert rows_by_set(lake, table) == dict.fromkeys(range(sets), 2 * 3)


def test_two_processes_under_one_writer_commit_each_sequence_once(tmp_path: Path) -> None:
    sets = 6
    processes = [start_writer(tmp_path / "lake", "same", sets) for _ in range(2)]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    lake = Lake.open(tmp_path / "lake")
    assert rows_by_set(lake, "frames") == dict.fromkeys(range(sets), 3)
    assert rows_by_set(lake, "runs", "started_ns") == dict.fromkeys(range(sets), 1)


def test_a_writer_killed_at_any_moment_leaves_a_lake_of_whole_sets(tmp_path: Path) -> None:
    """Kill a writer at random moments; it starts again where it was.

    After each kill the lake is readable, each set that was acknowledged is in it, and each
    frame it shows has its layers, tensors and spans.
    """
    path, chance = tmp_path / "lake", random.Random(20260201)
    acknowledged = -1
    for _ in range(KILLS):
        process = start_writer(path, "w", 10**6)
        assert process.stdout is not None
        # Either while it commits, or from its start on, when folders and tables are made.
        first = process.stdout.readline() if chance.random() < 0.5 else ""
        time.sleep(chance.uniform(0, 0.5 if first else 1.5))
        process.kill()
        rest, _ = process.communicate()
        printed = [int(line) for line in (first + rest).split()]
        acknowledged = max(printed, default=acknowledged)
        if not (path / MARKER).exists():
            assert acknowledged == -1
            continue
        lake = Lake.open(path)
        frames = rows_by_set(lake, "frames")
        assert frames == dict.fromkeys(range(len(frames)), 3)
        assert len(frames) > acknowledged
        for table in ("tensors", "layer_spans", "spans"):
            rows = rows_by_set(lake, table)
            assert {sequence: rows[sequence] for sequence in frames} == frames
    lake = Lake.open_or_create(path)
    begun = rows_by_set(lake, "runs", "started_ns")
    finish = start_writer(path, "w", len(begun))
    finish.communicate()
    for table in ("tensors", "layer_spans", "spans", "frames"):
        assert rows_by_set(lake, table) == dict.fromkeys(range(len(begun)), 3)
