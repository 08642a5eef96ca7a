"""A lake keeps what it is given, once, and refuses what would damage it."""

import json
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from exray.lake import Lake
from exray.lake.lake import COMMIT_ORDER
from exray.schema.errors import LakeError
from exray.schema.tables import TABLES

from .builders import LATE_NS, make_set, make_table


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open_or_create(tmp_path / "lake")


def read(lake: Lake, table: str) -> pa.Table:
    return pa.concat_tables(pq.ParquetFile(path).read() for path in lake.files(table))


def count(lake: Lake, table: str) -> int:
    return sum(pq.read_metadata(path).num_rows for path in lake.files(table))


def test_every_table_has_its_place_in_the_order_with_frames_last() -> None:
    assert set(COMMIT_ORDER) == set(TABLES)
    assert COMMIT_ORDER[-1] == "frames"
    assert COMMIT_ORDER[0] == "runs"


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_table_is_written_and_read_back_equal(lake: Lake, table: str) -> None:
    rows = make_table(table, 3)
    lake.append({table: rows})
    stored = [column.name for column in TABLES[table].stored_columns]
    assert read(lake, table).to_pylist() == rows.select(stored).to_pylist()


def test_a_table_never_written_has_no_files(lake: Lake) -> None:
    assert lake.files("frames") == []


def test_an_empty_table_in_a_set_makes_nothing(lake: Lake) -> None:
    lake.append({"frames": make_table("frames", 0)})
    assert not (lake.path / "frames").exists()


def test_files_are_absolute_paths_of_a_lake_given_relatively(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lake = Lake.open_or_create("lake")
    lake.append(make_set(1))
    monkeypatch.chdir("/")
    [path] = lake.files("frames")
    assert path.startswith(str(tmp_path / "lake/frames/role=edge/dt=2026-02-01"))
    assert Path(path).is_file()


@pytest.mark.parametrize("name", ["a b", "100%", "grün #1", "a+b&c"])
def test_a_lake_may_have_any_name(tmp_path: Path, name: str) -> None:
    lake = Lake.open_or_create(tmp_path / name)
    lake.append(make_set(1))
    assert count(lake, "frames") == 3


def test_a_role_of_any_characters_gets_a_folder_and_reads_back(lake: Lake) -> None:
    lake.append({"frames": make_table("frames", role="my edge/50%")})
    [path] = lake.files("frames")
    assert Path(path).is_file()
    query = f"SELECT role FROM read_parquet(['{path}'], hive_partitioning = true)"
    rows = duckdb.execute(query)
    assert rows.fetchall() == [("my edge/50%",)]


def test_rows_of_several_partitions_go_to_their_own_files(lake: Lake) -> None:
    role = pa.array(["edge", "reference", "edge", "edge"])
    dt = pa.array(["2026-02-01", "2026-02-01", "2026-02-02", "2026-02-01"])
    rows = make_table("frames", 4, role=role, dt=dt)
    lake.append({"frames": rows})
    folders = {str(Path(path).parent.relative_to(lake.path)) for path in lake.files("frames")}
    assert folders == {
        "frames/role=edge/dt=2026-02-01",
        "frames/role=reference/dt=2026-02-01",
        "frames/role=edge/dt=2026-02-02",
    }
    assert count(lake, "frames") == 4


def test_the_same_sequence_again_adds_nothing(lake: Lake) -> None:
    for _ in range(3):
        lake.commit(make_set(5), writer="w", sequence=5)
    assert {table: count(lake, table) for table in make_set(5)} == {
        "runs": 1,
        "tensors": 3,
        "layer_spans": 3,
        "spans": 3,
        "frames": 3,
    }


def test_an_older_sequence_adds_nothing(lake: Lake) -> None:
    lake.commit(make_set(5), writer="w", sequence=5)
    lake.commit(make_set(4), writer="w", sequence=4)
    assert count(lake, "frames") == 3


def test_another_writer_has_sequences_of_its_own(lake: Lake) -> None:
    lake.commit(make_set(5), writer="w", sequence=5)
    lake.commit(make_set(4), writer="v", sequence=4)
    assert count(lake, "frames") == 6


def test_a_set_cut_short_is_completed_by_the_same_commit(lake: Lake) -> None:
    whole = make_set(0)
    cut_short = {table: rows for table, rows in whole.items() if table in ("runs", "tensors")}
    lake.commit(cut_short, writer="w", sequence=0)
    lake.commit(whole, writer="w", sequence=0)
    assert [count(lake, table) for table in ("runs", "tensors", "frames")] == [1, 3, 3]


def test_a_file_left_without_a_log_entry_is_taken_by_the_same_commit(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("exray.lake.delta.DeltaLog.append", die)
        with pytest.raises(KeyboardInterrupt):
            lake.commit({"frames": make_table("frames", 2)}, writer="w", sequence=0)
    assert lake.files("frames") == []
    assert len(list(lake.path.rglob("*.parquet"))) == 1
    lake.commit({"frames": make_table("frames", 2)}, writer="w", sequence=0)
    assert count(lake, "frames") == 2
    assert len(list(lake.path.rglob("*.parquet"))) == 1


def test_a_file_of_other_rows_without_a_log_entry_is_left_alone(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set that was cut short may have fewer rows at the next try."""
    monkeypatch.setattr("exray.lake.delta.DeltaLog.append", lambda *_: True)
    lake.commit({"frames": make_table("frames", 5)}, writer="w", sequence=0)
    monkeypatch.undo()
    for _ in range(2):
        lake.commit({"frames": make_table("frames", 2)}, writer="w", sequence=0)
    assert count(lake, "frames") == 2
    assert len(list(lake.path.rglob("*.parquet"))) == 2


def test_what_stands_in_the_way_of_both_names_is_an_error_that_names_it(lake: Lake) -> None:
    lake.commit({"frames": make_table("frames", 2)}, writer="w", sequence=0)
    [path] = map(Path, lake.files("frames"))
    for part in ("v", "v-2rows"):
        (path.parent / path.name.replace("w-", f"{part}-")).write_bytes(b"in the way")
    with pytest.raises(LakeError, match=r"v-0000000000.*\(None rows\).* Remove them"):
        lake.commit({"frames": make_table("frames", 2)}, writer="v", sequence=0)
    assert count(lake, "frames") == 2


def test_parts_of_a_set_become_one_commit(lake: Lake) -> None:
    written = [lake.write(make_set(1), writer=f"w-{part}", sequence=3) for part in ("a", "b")]
    assert lake.write(make_set(1), writer="w-a", sequence=3) == written[0], "found again"
    assert not lake.files("frames")
    parts = {name: [*files, *written[1][name]] for name, files in written[0].items()}

    for _ in range(2):
        lake.add(parts, writer="w", sequence=3)

    assert [count(lake, table) for table in ("runs", "frames")] == [2, 6]
    assert DeltaTable(str(lake.path / "frames")).transaction_version("w") == 3
    assert len(lake.files("frames")) == 2


def test_a_snapshot_lists_frames_before_what_belongs_to_them(lake: Lake) -> None:
    lake.append(make_set(1))
    snapshot = lake.snapshot()
    assert next(iter(snapshot)) == "frames"
    assert {table for table, files in snapshot.items() if files} == set(make_set(1))


def test_a_removed_lake_is_one_again_after_the_next_commit(lake: Lake) -> None:
    import shutil

    shutil.rmtree(lake.path)
    lake.append(make_set(1))
    assert count(Lake.open(lake.path), "frames") == 3


def test_an_unknown_table_has_no_files(lake: Lake) -> None:
    with pytest.raises(
        LakeError, match="no table 'layers'; tables: alignments, build_answers, build_stats"
    ):
        lake.files("layers")


def test_times_ids_and_missing_values_survive_to_the_last_bit(lake: Lake) -> None:
    rows = make_table(
        "tensors",
        3,
        start_ns=pa.array([LATE_NS, -1, 2**63 - 1]),
        dur_ns=pa.array([None, 0, 2**53 + 1], pa.int64()),
        sum=pa.array([float("nan"), None, 5e-324]),
        min=pa.array([float("-inf"), -0.0, None]),
        sketch=pa.array([[0.1] * 64, None, [float("inf")] * 64], pa.list_(pa.float32())),
    )
    lake.append({"tensors": rows})
    names = "start_ns, dur_ns, sum, min, sketch"
    [path] = lake.files("tensors")
    read = duckdb.sql(f"SELECT {names} FROM read_parquet('{path}')")
    assert read is not None
    got = read.to_arrow_table()
    assert repr(got.to_pylist()) == repr(rows.select(names.split(", ")).to_pylist())


def test_duckdb_reads_the_types_of_the_contract(lake: Lake) -> None:
    lake.append(make_set(1))
    described = duckdb.execute(
        "DESCRIBE SELECT * FROM read_parquet($files, hive_partitioning = true,"
        " hive_types = {'dt': 'VARCHAR', 'role': 'VARCHAR'})",
        {"files": lake.files("tensors")},
    ).fetchall()
    types = {row[0]: row[1] for row in described}
    assert types["trace_id"] == types["span_id"] == "BLOB"
    assert types["start_ns"] == types["input_key"] == "BIGINT"
    assert types["layer_index"] == "INTEGER"
    assert types["sum"] == "DOUBLE"
    assert types["sketch"] == "FLOAT[]"
    assert types["role"] == types["dt"] == types["shape"] == "VARCHAR"
    assert set(types) == {column.name for column in TABLES["tensors"].columns}


def test_deltalake_reads_the_same_rows(lake: Lake) -> None:
    from deltalake import DeltaTable

    lake.append(make_set(1))
    table = DeltaTable(str(lake.path / "frames"))
    assert table.get_add_actions(flatten=True).column("num_records").to_pylist() == [3]
    assert table.to_pyarrow_table().num_rows == 3


def test_the_marker_is_json_that_names_its_version(lake: Lake) -> None:
    marker = json.loads((lake.path / "exray-lake.json").read_text())
    assert marker == {"format": "exray-lake", "version": 2}
