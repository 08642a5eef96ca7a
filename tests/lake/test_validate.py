"""Nothing reaches a table that would damage it, and a set is checked before any of it is written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exray.lake import Lake
from exray.schema.errors import LakeError

from .builders import make_set, make_table


def refuse(tmp_path: Path, tables: Mapping[str, pa.Table], match: str) -> None:
    """Assert that *tables* are refused with *match*, beside a sound table, and leave no trace."""
    lake = Lake.open_or_create(tmp_path / "lake")
    with pytest.raises(LakeError, match=match):
        lake.append({"runs": make_table("runs"), **tables})
    assert lake.files("runs") == []
    assert list(lake.path.rglob("*.parquet")) == []


def test_an_unknown_table_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path, {"layers": pa.table({"x": [1]})}, "no table 'layers'; tables: alignments")


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    rows = make_table("frames").drop_columns(["level"])
    refuse(tmp_path, {"frames": rows}, r"'frames' do not fit: missing columns \['level'\]")


def test_a_missing_partition_column_is_refused(tmp_path: Path) -> None:
    rows = make_table("frames").drop_columns(["dt"])
    refuse(tmp_path, {"frames": rows}, r"missing columns \['dt'\]")


def test_an_unknown_column_is_refused(tmp_path: Path) -> None:
    rows = make_table("frames").append_column("colour", [["red"]])
    refuse(tmp_path, {"frames": rows}, r"unknown \['colour'\]")


def test_a_repeated_column_is_refused(tmp_path: Path) -> None:
    rows = make_table("frames").append_column("level", [["summary"]])
    refuse(tmp_path, {"frames": rows}, r"repeated \['level'\]")


@pytest.mark.parametrize(
    ("column", "values", "types"),
    [
        ("start_ns", pa.array([1.5]), "type double, expected int64"),
        ("start_ns", pa.array([1], pa.uint64()), "type uint64, expected int64"),
        ("trace_id", pa.array([b"short"]), r"type binary, expected fixed_size_binary\[16\]"),
        ("prediction_scores", pa.array([[0.5]]), "type list<item: double>, expected list"),
    ],
)
def test_another_type_is_refused(
    tmp_path: Path, column: str, values: "pa.Array[Any]", types: str
) -> None:
    rows = make_table("frames")
    rows = rows.set_column(rows.schema.get_field_index(column), column, values)
    refuse(tmp_path, {"frames": rows}, f"column '{column}' of table 'frames' has {types}")


def test_null_in_a_column_that_allows_none_is_refused(tmp_path: Path) -> None:
    rows = make_table("frames", 2, build=pa.array(["1", None]))
    refuse(tmp_path, {"frames": rows}, "column 'build' of table 'frames' has 1 NULLs in 2 rows")


@pytest.mark.parametrize("dt", ["", "2026-2-1", "20260201", "2026-02-30", "today"])
def test_a_partition_that_is_no_date_is_refused(tmp_path: Path, dt: str) -> None:
    refuse(tmp_path, {"frames": make_table("frames", dt=dt)}, f"dt '{dt}' of table 'frames'")


@pytest.mark.parametrize("role", ["", "x" * 101])
def test_a_partition_that_names_no_folder_is_refused(tmp_path: Path, role: str) -> None:
    refuse(tmp_path, {"frames": make_table("frames", role=role)}, "cannot name a folder")


@pytest.mark.parametrize("role", ["edge", "..", ".", "a/b", "a=b"])
def test_a_partition_never_leaves_its_table(tmp_path: Path, role: str) -> None:
    lake = Lake.open_or_create(tmp_path / "lake")
    lake.append({"frames": make_table("frames", role=role)})
    [path] = lake.files("frames")
    assert Path(path).resolve().parents[2] == lake.path / "frames"


@pytest.mark.parametrize("writer", ["", "a b", "../x", "a/b", "-a", "x" * 101])
def test_a_writer_that_cannot_name_a_file_is_refused(tmp_path: Path, writer: str) -> None:
    lake = Lake.open_or_create(tmp_path)
    with pytest.raises(LakeError, match="cannot name a file"):
        lake.commit(make_set(0), writer=writer, sequence=0)


@pytest.mark.parametrize("sequence", [-1, 2**63])
def test_a_sequence_out_of_range_is_refused(tmp_path: Path, sequence: int) -> None:
    lake = Lake.open_or_create(tmp_path)
    with pytest.raises(LakeError, match="out of range"):
        lake.commit(make_set(0), writer="w", sequence=sequence)


def test_columns_in_another_order_are_fine(tmp_path: Path) -> None:
    lake = Lake.open_or_create(tmp_path)
    rows = make_table("frames")
    lake.append({"frames": rows.select(sorted(rows.column_names))})
    assert len(lake.files("frames")) == 1


def in_dictionaries(rows: pa.Table) -> pa.Table:
    """Return *rows* with all texts in dictionaries."""
    for place, field in enumerate(rows.schema):
        if field.type == pa.string():
            column: Any = rows.column(place)
            rows = rows.set_column(place, field.name, column.dictionary_encode())
    return rows


def test_texts_may_stand_in_dictionaries(tmp_path: Path) -> None:
    parts = [make_table("frames", 2, role=role, level=role) for role in ("edge", "reference")]
    lake = Lake.open_or_create(tmp_path)
    lake.append({"frames": pa.concat_tables([in_dictionaries(part) for part in parts])})
    found = [pq.ParquetFile(path).read() for path in sorted(lake.files("frames"))]
    assert found == [part.drop_columns(["role", "dt"]) for part in parts]


def test_a_dictionary_of_another_type_is_refused(tmp_path: Path) -> None:
    rows = make_table("frames")
    place = rows.schema.get_field_index("level")
    rows = rows.set_column(place, "level", pa.array([7]).dictionary_encode())
    refuse(tmp_path, {"frames": rows}, "has type dictionary<values=int64.*expected string")


def test_null_in_a_dictionary_is_refused(tmp_path: Path) -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), pa.array([None], pa.string()))
    rows = make_table("frames")
    rows = rows.set_column(rows.schema.get_field_index("level"), "level", texts)
    refuse(
        tmp_path, {"frames": rows}, "column 'level' of table 'frames' has NULL in its dictionary"
    )
