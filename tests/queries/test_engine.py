"""Tables of a lake as views: typed, each row once, whole sets only."""

import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from exray.lake import Lake
from exray.lake.layout import MARKER
from exray.queries import connect, connect_tables
from exray.schema.errors import MissingExtraError
from exray.schema.tables import TABLES

from .builders import START_NS, Rows

TYPES = {"fixed8": "BLOB", "fixed16": "BLOB", "int64": "BIGINT", "list<int32>": "INTEGER[]"}


@pytest.fixture
def rows() -> Rows:
    """A frame with a tensor, a layer, a span and nothing else."""
    rows = Rows()
    frame = rows.frame(rows.run())
    rows.layer(frame, 0, [1.0, 2.0])
    rows.layer_span(frame)
    rows.span(frame)
    return rows


@pytest.mark.parametrize("table", TABLES)
def test_table_without_files_is_an_empty_typed_view(table: str) -> None:
    connection = connect_tables({})
    assert connection.execute(f"SELECT count(*) FROM {table}").fetchall() == [(0,)]
    described = connection.execute(f"DESCRIBE {table}").fetchall()
    assert [row[0] for row in described] == [column.name for column in TABLES[table].columns]
    types = {row[0]: row[1] for row in described}
    for column in TABLES[table].columns:
        assert types[column.name] == TYPES.get(column.type, types[column.name])
    connection.close()


@pytest.mark.parametrize("table", ["frames", "tensors", "layer_spans", "spans"])
def test_repeated_row_counts_once(rows: Rows, table: str) -> None:
    rows.tables[table] *= 2
    assert rows.ask(f"SELECT count(*) FROM {table}") == [(1,)]
    assert rows.ask(f"SELECT count(*) FROM _{table}") == [(2,)]


def test_rows_that_differ_in_their_key_all_count(rows: Rows) -> None:
    frame = rows.tables["frames"][0]
    rows.layer(frame, 0, [1.0, 2.0])
    assert rows.ask("SELECT count(*) FROM tensors") == [(2,)]


@pytest.mark.parametrize("table", ["tensors", "layer_spans", "spans"])
def test_row_without_its_frame_is_invisible(rows: Rows, table: str) -> None:
    assert rows.ask(f"SELECT count(*) FROM {table}") == [(1,)]
    rows.tables["frames"].clear()
    assert rows.ask(f"SELECT count(*) FROM {table}") == [(0,)]


def test_foreign_span_outside_frames_is_visible(rows: Rows) -> None:
    frame = rows.tables["frames"][0]
    rows.span(frame, "GET /", frame_span_id=None, scope="my.app")
    rows.tables["frames"].clear()
    assert rows.ask("SELECT name FROM spans") == [("GET /",)]


def test_newest_row_of_a_run_counts() -> None:
    rows = Rows()
    run = rows.run(plain_output_equal=None)
    rows.add("runs", run | {"recorded_ns": START_NS + 10**9, "plain_output_equal": True})
    assert rows.ask("SELECT plain_output_equal FROM runs") == [(True,)]


def test_newest_row_of_an_alignment_counts() -> None:
    rows = Rows()
    rows.align("aa", "bb", {0: 1})
    rows.align("aa", "bb", {0: 2}, recorded_ns=START_NS + 1)
    assert rows.ask("SELECT reference_layer_index FROM alignments") == [(2,)]


def test_lake_is_read_with_its_partitions(rows: Rows, tmp_path: Path) -> None:
    lake = Lake.open_or_create(tmp_path / "it's [a] lake*")
    lake.append(rows.arrow())
    connection = connect(lake)
    query = (
        "SELECT role, dt, len(sketch), input_id FROM tensors JOIN frames USING (trace_id, role, dt)"
    )
    assert connection.execute(query).fetchall() == [("edge", "2025-10-09", 64, "a.png")]
    connection.close()


def test_what_is_committed_later_shows_on_the_next_connection(rows: Rows, tmp_path: Path) -> None:
    lake = Lake.open_or_create(tmp_path / "lake")
    lake.append(rows.arrow())
    connection = connect(lake)
    later = Rows()
    later.frame(later.run(run_id=bytes(15) + b"\xff"), "b.png", trace_id=bytes(15) + b"\xff")
    lake.append(later.arrow())
    assert connection.execute("SELECT count(*) FROM frames").fetchall() == [(1,)]
    connection.close()
    fresh = connect(lake)
    assert fresh.execute("SELECT count(*) FROM frames").fetchall() == [(2,)]
    fresh.close()


def test_filter_reaches_the_files_through_the_removal_of_repetitions(
    rows: Rows, tmp_path: Path
) -> None:
    rows.frame(rows.run("r", "reference"), "b.png")
    lake = Lake.open_or_create(tmp_path / "lake")
    lake.append(rows.arrow())
    connection = connect(lake)
    query = "EXPLAIN SELECT count(*) FROM frames WHERE role = 'edge' AND build = 'b'"
    plan = str(connection.execute(query).fetchall()[0][1])
    connection.close()
    assert "Scanning Files: 1/2" in plan


def test_nothing_is_fetched_from_the_network() -> None:
    connection = connect_tables({})
    settings = connection.execute(
        "SELECT name, value FROM duckdb_settings() "
        "WHERE name IN ('autoinstall_known_extensions', 'autoload_known_extensions')"
    ).fetchall()
    connection.close()
    assert {value for _, value in settings} == {"false"}


def test_without_duckdb_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtraError, match=r"exray\[lake\]"):
        connect_tables({})


def without_column(file: Path, column: str) -> None:
    """Write a Parquet file anew as an exray wrote it that did not know a column."""
    table = pq.read_table(file, partitioning=None)
    pq.write_table(table.drop_columns([column]), file)


def test_files_from_before_a_column_came_read_as_null(rows: Rows, tmp_path: Path) -> None:
    lake = Lake.open_or_create(tmp_path / "lake")
    lake.append(rows.arrow())
    for name in ("frames", "spans"):
        for file in lake.files(name):
            without_column(Path(file), "received_ns")
    (lake.path / MARKER).write_text('{"format": "exray-lake", "version": 1}')

    other = Rows()
    run = other.run(run_id=bytes(15) + b"\xff")
    other.frame(run, "b.png", trace_id=bytes(15) + b"\xff", received_ns=START_NS)
    lake.append(other.arrow())

    with connect(lake) as connection:
        found = connection.execute("SELECT received_ns FROM frames ORDER BY ALL").fetchall()
        tensors = connection.execute("SELECT count(*) FROM tensors").fetchall()
    assert found == [(START_NS,), (None,)]
    assert tensors == [(1,)]
