"""Which rows of a file are in the lake already: a file may be ingested again, also grown."""

# pyarrow's stubs leave many types open, which pyright strict reports on every use:
# pyright: reportUnknownMemberType=false

from pathlib import Path
from typing import TYPE_CHECKING, Any

from exray.lake import Lake
from exray.lake.keys import key_texts
from exray.schema.tables import TABLES

if TYPE_CHECKING:
    import pyarrow as pa


class PresentRows:
    """Keys of the rows that a file has given to a lake, by table.

    Args:
        lake: The lake.
        writer: What the names of that file's Parquet files begin with.
    """

    def __init__(self, lake: Lake, writer: str) -> None:
        self._keys: dict[str, Any] = {}
        for name in TABLES:
            paths = [p for p in lake.files(name) if Path(p).name.startswith(writer)]
            if paths:
                self._keys[name] = key_texts(_read(lake, paths, TABLES[name].key))

    def without(self, tables: "dict[str, pa.Table]") -> "dict[str, pa.Table]":
        """Return the rows that are not there yet."""
        import pyarrow.compute as pc

        left: dict[str, pa.Table] = {}
        for name, table in tables.items():
            untyped: Any = pc
            known = self._keys.get(name)
            if known is None or not table.num_rows:
                left[name] = table
                continue
            is_known = untyped.is_in(key_texts(table.select(list(TABLES[name].key))), known)
            left[name] = table.filter(untyped.invert(is_known))
        return left


def _read(lake: Lake, paths: list[str], columns: tuple[str, ...]) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = (pq.ParquetFile(lake.source(path)) for path in paths)
    return pa.concat_tables([file.read(list(columns)) for file in files])
