"""Files are sorted and encoded as every engine reads them best."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exray.lake.parquet import ROW_GROUP_ROWS, encode_parquet, row_count, sorted_order
from exray.schema.tables import TABLES

from .builders import make_table


def encoded(name: str, rows: int = 4, **columns: Any) -> pq.ParquetFile:
    table = TABLES[name]
    data = make_table(name, rows, **columns).drop_columns(list(table.partition))
    return pq.ParquetFile(pa.BufferReader(encode_parquet(data, table)))


def encodings(file: pq.ParquetFile) -> dict[str, set[str]]:
    group = file.metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    return {column.path_in_schema.split(".")[0]: set(column.encodings) for column in columns}


def test_times_are_deltas_floats_split_and_names_a_dictionary() -> None:
    found = encodings(encoded("tensors"))
    assert "DELTA_BINARY_PACKED" in found["start_ns"] & found["dur_ns"]
    for name in ("sum", "min", "scale", "sketch", "sketch_256"):
        assert "BYTE_STREAM_SPLIT" in found[name]
    for name in ("build", "model_name", "layer_name", "op", "dtype"):
        assert "RLE_DICTIONARY" in found[name]


@pytest.mark.parametrize("table", sorted(TABLES))
def test_ids_are_never_byte_stream_split(table: str) -> None:
    found = encodings(encoded(table))
    for column in TABLES[table].stored_columns:
        if column.type.startswith("fixed"):
            assert found[column.name] <= {"PLAIN", "RLE", "RLE_DICTIONARY"}


@pytest.mark.parametrize("table", sorted(TABLES))
def test_pages_are_zstd_and_the_path_columns_stay_out(table: str) -> None:
    file = encoded(table)
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert file.schema_arrow.names == [column.name for column in TABLES[table].stored_columns]


def test_rows_are_sorted_by_build_model_layer_and_input() -> None:
    file = encoded(
        "tensors",
        5,
        build=pa.array(["2", "1", "1", "1", "1"]),
        layer_index=pa.array([0, 7, 2, 2, None], pa.int32()),
        input_key=pa.array([0, 1, 9, -9, 5]),
    )
    rows = file.read(["build", "layer_index", "input_key"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("1", 2, -9),
        ("1", 2, 9),
        ("1", 7, 1),
        ("1", None, 5),
        ("2", 0, 0),
    ]


def test_rows_of_dictionaries_are_sorted_by_what_they_stand_for() -> None:
    texts = pa.DictionaryArray.from_arrays(
        pa.array([2, None, 0, 1], pa.int32()), pa.array(["c", "b", "a"])
    )
    table = TABLES["tensors"]
    rows = make_table("tensors", 4).drop_columns(list(table.partition))
    place = rows.column_names.index("model_name")
    content = encode_parquet(rows.set_column(place, "model_name", texts), table)
    file = pq.ParquetFile(pa.BufferReader(content))
    assert file.read(["model_name"]).to_pydict() == {"model_name": ["a", "b", "c", None]}
    assert file.schema_arrow.field("model_name").type == pa.string()


def test_sorted_rows_need_no_order() -> None:
    table = TABLES["tensors"]
    rows = make_table("tensors", 3, layer_index=pa.array([1, 1, None], pa.int32()))
    assert sorted_order(rows, table) is None
    order = sorted_order(rows.take(pa.array([1, 2, 0])), table)
    assert order is not None
    assert order.to_pylist() == [0, 2, 1]


def test_readers_learn_the_bounds_of_what_they_look_for() -> None:
    group = encoded("tensors").metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    bounded = {column.path_in_schema for column in columns if column.is_stats_set}
    assert {"run_id", "build", "model_name", "layer_index", "input_key", "start_ns"} <= bounded
    assert not {"trace_id", "span_id", "sketch.list.element"} & bounded


def test_long_files_have_row_groups_of_duckdbs_size() -> None:
    file = encoded("metrics", ROW_GROUP_ROWS + 1)
    assert [file.metadata.row_group(i).num_rows for i in range(2)] == [ROW_GROUP_ROWS, 1]


def test_a_small_file_carries_no_copy_of_the_arrow_schema() -> None:
    assert not encoded("frames").metadata.metadata


def test_what_is_no_parquet_has_no_row_count() -> None:
    assert row_count(b"") is None
    assert row_count(b"PAR1 and not much else") is None
