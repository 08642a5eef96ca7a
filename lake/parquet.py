"""Parquet files of the lake: sort order and encodings that every engine reads.

Page encodings come from the registry (`Column.encoding`): small numbers of distinct
values by dictionary, times as deltas, floats and sketch elements byte-stream-split, which
zstd then packs. Ids are never byte-stream-split: DuckDB 2.0 cannot read that on
fixed-length binary.
"""

# pyarrow's stubs leave many types open, which pyright strict reports on every use:
# pyright: reportUnknownMemberType=false

from typing import TYPE_CHECKING, Any, Literal, cast

from exray.schema.columns import Column, Encoding, Table

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_ROWS = 122_880
"""DuckDB's own row group: one thread's unit of work."""

ZSTD_LEVEL = 1
"""Higher levels cost twice the time for 2 % less."""

ParquetEncoding = Literal["PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"]

_ENCODINGS: dict[Encoding, ParquetEncoding] = {
    "plain": "PLAIN",
    "delta": "DELTA_BINARY_PACKED",
    "byte_stream_split": "BYTE_STREAM_SPLIT",
}


def encode_parquet(rows: "pa.Table", table: Table) -> memoryview:
    """Return *rows*, sorted as *table* says, as the bytes of one Parquet file.

    Args:
        rows: The stored columns of *table*: without those of its partition.
        table: The table they belong to.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    order = sorted_order(rows, table)
    ordered = rows if order is None else rows.take(order)
    dictionary = [_leaf(c) for c in table.stored_columns if c.encoding == "dictionary"]
    sink = pa.BufferOutputStream()
    pq.write_table(
        ordered,
        sink,
        row_group_size=ROW_GROUP_ROWS,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=cast("bool", dictionary),  # names are taken too, the stubs forget them
        column_encoding={
            _leaf(column): _ENCODINGS[column.encoding]
            for column in table.stored_columns
            if column.encoding != "dictionary"
        },
        # The Arrow schema would add kilobytes to each small file; the types survive without.
        store_schema=False,
    )
    return memoryview(sink.getvalue())


def sorted_order(rows: "pa.Table", table: Table) -> "pa.Array[pa.UInt64Scalar] | None":
    """Return the places of *rows* in the order in which *table* stores them.

    Returns:
        None where they stand in it already.
    """
    import numpy as np
    import pyarrow.compute as pc

    keys = [name for name in table.sort if not _is_constant(rows.column(name))]
    if not keys:
        return None
    few = rows.select(keys).combine_chunks()
    order = pc.sort_indices(few, sort_keys=[(name, "ascending") for name in keys])
    is_sorted = np.array_equal(order.to_numpy(), np.arange(len(order), dtype=np.uint64))
    return None if is_sorted else order


def _is_constant(column: "pa.ChunkedArray[Any]") -> bool:
    """Tell whether all rows say the same: most sets are of one build and one model."""
    import pyarrow.compute as pc

    if column.null_count:
        return False
    bounds = cast("dict[str, object]", pc.min_max(column).as_py())
    return bounds["min"] == bounds["max"]


def row_count(content: bytes) -> int | None:
    """Return how many rows the Parquet file *content* holds, or None if it is not one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(pa.BufferReader(content)).num_rows)
    except (pa.ArrowInvalid, OSError):
        return None


def _leaf(column: Column) -> str:
    """Return the Parquet path of the column's values."""
    return f"{column.name}.list.element" if column.type.startswith("list<") else column.name
