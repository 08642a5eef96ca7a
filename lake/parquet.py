"""Parquet files of the lake: sort order and encodings that every engine reads.

Page encodings come from the registry (`Column.encoding`): small numbers of distinct
values by dictionary, times as deltas, floats and sketch elements byte-stream-split, which
zstd then packs. Ids are never byte-stream-split: DuckDB 2.0 cannot read that on
fixed-length binary.
"""

# pyarrow's stubs leave many types open, which pyright strict reports on every use:
# pyright: reportUnknownMemberType=false

from typing import TYPE_CHECKING, Literal, cast

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

    ordered = rows.sort_by([(name, "ascending") for name in table.sort])
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
