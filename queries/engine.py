"""DuckDB over a lake: a view for every table, and the SQL library on top.

The library's modules use no feature that only this engine has, except through the scalar
macros of ``base/`` and two functions in Python, `sketch_ones` and `float32_list`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

from exray.schema.columns import Table
from exray.schema.errors import LakeError, MissingExtraError
from exray.schema.tables import TABLES

from .catalog import MODULES
from .library import connection_with
from .packed_floats import float32_list
from .sketch_ones import sketch_ones

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from exray.lake import Lake

_SETTINGS = (
    # Never reach for the network: everything needed is linked into DuckDB.
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    # A library query reads a file more than once; its footer need not be.
    "SET parquet_metadata_cache = true",
    "SET TimeZone = 'UTC'",
)

_TYPES = {
    "fixed8": "BLOB",
    "fixed16": "BLOB",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "string": "VARCHAR",
    "bool": "BOOLEAN",
}

_OF_FRAMES = {"layer_spans": False, "tensors": False, "spans": True, "metrics": True}
"""Tables whose rows belong to a frame, and whether rows outside frames count too."""


def connect(lake: "Lake") -> "duckdb.DuckDBPyConnection":
    """Open a lake's newest snapshot in DuckDB, with the SQL library loaded.

    Every table is a view of its name; what is committed later shows on the next
    connection. The connection is in memory, writes nothing to the lake and downloads
    nothing.

    Args:
        lake: The lake to read.

    Returns:
        A connection that the caller closes.

    Raises:
        LakeError: A table's log, or one of its files, is damaged.
        MissingExtraError: DuckDB is not installed.
    """
    connection = _open()
    try:
        show_lake(connection, lake)
    except LakeError:
        connection.close()
        raise
    return connection


def connect_tables(tables: "Mapping[str, pa.Table]") -> "duckdb.DuckDBPyConnection":
    """Open Arrow tables in DuckDB as if they were a lake's, with the SQL library loaded.

    Args:
        tables: Rows by table name, each with all columns of its table; others are empty.

    Returns:
        A connection that the caller closes.

    Raises:
        MissingExtraError: DuckDB is not installed.
    """
    connection = _open()
    show_tables(connection, tables)
    return connection


def show_lake(connection: "duckdb.DuckDBPyConnection", lake: "Lake") -> None:
    """Let an open connection show the lake's newest snapshot instead of what it showed.

    Raises:
        LakeError: A table's log, or one of its files, is damaged.
    """
    import duckdb

    try:
        show_files(connection, lake.snapshot(), are_old=lake.has_old_files)
    except duckdb.Error as error:
        raise unreadable(lake, error) from error


def unreadable(lake: "Lake", error: Exception) -> LakeError:
    """Return what to say where DuckDB cannot read a file of a lake."""
    told = str(error).split("\n", 1)[0]
    msg = f"lake '{lake.place}' cannot be read: {told}. Restore the file from a copy."
    return LakeError(msg)


def show_files(
    connection: "duckdb.DuckDBPyConnection",
    files: Mapping[str, Sequence[str]],
    *,
    are_old: bool = False,
    without: Collection[int] = (),
) -> None:
    """Let an open connection show these Parquet files, by table, instead of what it showed.

    Args:
        connection: The connection.
        files: The files of each table.
        are_old: Some may lack columns, which read as NULL then. To find out, DuckDB opens
            each of them beforehand.
        without: Keys of inputs whose frames, and all that belongs to them, are not shown.
    """
    if any(path.startswith("s3://") for paths in files.values() for path in paths):
        _reach_buckets(connection)
    for name, paths in files.items():
        source = _parquet_source(TABLES[name], paths)
        if are_old and paths:
            source = _widened_source(TABLES[name], source)
        if without and any(column.name == "input_key" for column in TABLES[name].columns):
            keys = ", ".join(str(int(key)) for key in without)
            hidden = f"input_key IS NOT NULL AND input_key IN ({keys})"
            source = f"(SELECT * FROM {source} WHERE NOT ({hidden}))"
        connection.execute(_raw_view(TABLES[name], source))


def _reach_buckets(connection: "duckdb.DuckDBPyConnection") -> None:
    """Let a connection read URLs of buckets; its own extension for that would be a download."""
    if "s3" in connection.list_filesystems():
        return
    try:
        from obstore.fsspec import FsspecStore
    except ImportError as error:
        raise MissingExtraError("s3", "a lake in a bucket") from error
    connection.register_filesystem(FsspecStore("s3"))


def show_tables(connection: "duckdb.DuckDBPyConnection", tables: "Mapping[str, pa.Table]") -> None:
    """Let an open connection show these Arrow tables instead of what it showed."""
    for name, table in TABLES.items():
        source = _empty_source(table)
        if name in tables:
            source = f"_{name}_rows"
            connection.register(source, tables[name])
        connection.execute(_raw_view(table, source))


def table_views(source: Callable[[Table], str | None]) -> list[str]:
    """Return statements that make every table's views: the raw rows, then what users see.

    Args:
        source: Gives what a table's rows are selected from; None where there are none.
    """
    raw = [_raw_view(table, source(table) or _empty_source(table)) for table in TABLES.values()]
    return raw + [_public_view(table) for table in TABLES.values()]


def _open() -> "duckdb.DuckDBPyConnection":
    """A connection with the library loaded, over tables that hold nothing yet."""
    return connection_with(_empty, _library())


def _empty() -> "duckdb.DuckDBPyConnection":
    """A connection with the functions in Python on which the library builds."""
    import duckdb

    connection = duckdb.connect(":memory:")
    for setting in _SETTINGS:
        connection.execute(setting)
    # as Any, because the signature in DuckDB's stubs names types that have none
    untyped = cast("Any", connection)
    untyped.create_function(
        "sketch_ones", sketch_ones, ["BIGINT", "INTEGER", "INTEGER"], "DOUBLE[]", type="arrow"
    )
    untyped.create_function("float32_list", float32_list, ["VARCHAR"], "FLOAT[]", type="arrow")
    return connection


@cache
def _library() -> tuple[str, ...]:
    """What defines the library, over tables that hold nothing.

    Each macro is bound as it is defined, with all that it is built on. Over plain tables
    that takes least; over files it would take longer than most queries.
    """
    statements: list[str] = []
    for table in TABLES.values():
        columns = (
            f"{_quoted(column.name)} {_duckdb_type(column.type)}" for column in table.columns
        )
        statements.append(f"CREATE TABLE _{table.name} ({', '.join(columns)})")
    statements += map(_public_view, TABLES.values())
    library = files("exray.queries")
    statements += (library.joinpath(module).read_text("utf-8") for module in MODULES)
    for table in TABLES.values():
        statements += (
            f"DROP TABLE _{table.name}",
            _raw_view(table, _empty_source(table)),
        )
    return tuple(statements)


def _raw_view(table: Table, source: str) -> str:
    columns = ", ".join(_quoted(column.name) for column in table.columns)
    return f"CREATE OR REPLACE VIEW _{table.name} AS SELECT {columns} FROM {source}"


def _parquet_source(table: Table, paths: Sequence[str]) -> str:
    if not paths:
        return _empty_source(table)
    listed = ", ".join(_quoted(unglobbed(path), "'") for path in paths)
    if not table.partition:
        return f"read_parquet([{listed}], hive_partitioning = false)"
    types = ", ".join(f"{name}: VARCHAR" for name in table.partition)
    return f"read_parquet([{listed}], hive_partitioning = true, hive_types = {{{types}}})"


def _widened_source(table: Table, files: str) -> str:
    by_name = f"{files.removesuffix(')')}, union_by_name = true)"
    empty = _empty_source(table)
    return f"(SELECT * FROM {empty} UNION ALL BY NAME SELECT * FROM {by_name})"


def _empty_source(table: Table) -> str:
    columns = ", ".join(
        f"CAST(NULL AS {_duckdb_type(column.type)}) AS {_quoted(column.name)}"
        for column in table.columns
    )
    return f"(SELECT {columns} WHERE false)"


def _public_view(table: Table) -> str:
    """The view of a table's name: repeated rows removed, and rows whose frame is not there.

    A frame is written after all its other rows, so what has none is an unfinished set.

    Repeated rows are removed with a window over the table's sort columns and path besides
    its key. They are the same in every repetition, so the result is that of the key alone;
    but a filter on one of them reaches the files through the window, and one on build or
    date need not number the rows of the whole lake. Where many sketches are read the
    window is still dear (as long as the rest of the query), so the library reads the raw
    rows, ``_<table>``, and removes repetitions once its rows are few or narrow.
    """
    columns = ", ".join(f"t.{_quoted(column.name)}" for column in table.columns)
    newest = table.newest_by
    parts: Iterable[str] = dict.fromkeys((*table.partition, *table.sort, *table.key))
    if not table.partition:  # small, and one model file may have been recorded under two names
        parts = table.key
    order = f" ORDER BY t.{_quoted(newest)} DESC" if newest else ""
    where = ""
    if table.name in _OF_FRAMES:
        within = (
            "EXISTS (SELECT 1 FROM _frames AS f"
            " WHERE f.trace_id = t.trace_id AND f.span_id = t.frame_span_id)"
        )
        where = f" WHERE {'t.frame_span_id IS NULL OR ' if _OF_FRAMES[table.name] else ''}{within}"
    by = ", ".join(f"t.{_quoted(name)}" for name in parts)
    return (
        f"CREATE OR REPLACE VIEW {table.name} AS SELECT {columns} FROM _{table.name} AS t{where}"
        f" QUALIFY row_number() OVER (PARTITION BY {by}{order}) = 1"
    )


def _duckdb_type(name: str) -> str:
    element = name.removeprefix("list<").removesuffix(">")
    return _TYPES[element] + ("[]" if element != name else "")


def _quoted(text: str, quote: str = '"') -> str:
    return quote + text.replace(quote, 2 * quote) + quote


def unglobbed(path: str) -> str:
    """Return a file's path such that characters which DuckDB would expand stand for themselves."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in path)
