"""Parquet files of the lake: sort order and encodings that every engine reads.

Page encodings come from the registry (`Column.encoding`): small numbers of distinct
values by dictionary, times as deltas, floats and sketch elements byte-stream-split, which
zstd then packs. Ids are never byte-stream-split: DuckDB 2.0 cannot read that on
fixed-length binary.
"""

# pyarrow's stubs leave many types open, which pyright strict reports on every use:
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from exray.schema.columns import Column, Encoding, Table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

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
    bounded = [_leaf(c) for c in table.stored_columns if _has_useful_bounds(c)]
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
        write_statistics=cast("bool", bounded),
        # The Arrow schema would add kilobytes to each small file; the types survive without.
        store_schema=False,
    )
    return memoryview(sink.getvalue())


def sorted_order(rows: "pa.Table", table: Table) -> "pa.Array[Any] | None":
    """Return the places of *rows* in the order in which *table* stores them.

    Returns:
        None where they stand in it already.
    """
    import numpy as np
    import pyarrow as pa

    keys = [key for name in table.sort for key in _sort_keys(rows.column(name))]
    return None if _is_ascending(keys) else pa.array(np.lexsort(keys[::-1]))


def _sort_keys(column: Any) -> "Iterator[NDArray[Any]]":
    """Yield numbers that stand to each other as the values do, first whether there are none.

    Where all rows say the same there is nothing to sort by: most sets are of one build and one
    model.
    """
    import pyarrow as pa

    values = column.combine_chunks()
    if values.null_count:
        yield values.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_integer(values.type):
        yield values.fill_null(0).to_numpy()
        return
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    if len(values.dictionary) > 1:
        yield _ranks(values.dictionary)[values.indices.fill_null(0).to_numpy()]


def _ranks(values: Any) -> "NDArray[np.int32]":
    """Return for each of *values*, no two of them the same, how many are less."""
    import numpy as np
    import pyarrow.compute as pc

    ranks = np.empty(len(values), np.int32)
    ranks[pc.sort_indices(values).to_numpy()] = np.arange(len(values), dtype=np.int32)
    return ranks


def _is_ascending(keys: "Sequence[NDArray[Any]]") -> bool:
    """Tell whether rows stand in the order of the first of *keys*, then the next, and so on."""
    import numpy as np

    undecided = np.arange(len(keys[0]) - 1) if keys else np.empty(0, np.int64)
    for key in keys:
        before, after = key[undecided], key[undecided + 1]
        if (before > after).any():
            return False
        undecided = undecided[before == after]
    return True


def row_count(content: bytes) -> int | None:
    """Return how many rows the Parquet file *content* holds, or None if it is not one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(pa.BufferReader(content)).num_rows)
    except (pa.ArrowInvalid, OSError):
        return None


def _has_useful_bounds(column: Column) -> bool:
    """Tell whether knowing its least and greatest value may spare a reader a row group.

    All ids but a run's are drawn by chance, and nobody looks for a list by its elements: to
    compare them all takes a tenth of the time of writing.
    """
    return column.name == "run_id" or not column.type.startswith(("fixed", "list<"))


def _leaf(column: Column) -> str:
    """Return the Parquet path of the column's values."""
    return f"{column.name}.list.element" if column.type.startswith("list<") else column.name
