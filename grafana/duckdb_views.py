"""The lake's views and the SQL library as one script, for a DuckDB that exray does not run.

MotherDuck's data source runs it once in each process. Files are named by pattern, so that new
ones are seen; the library removes what a compaction left twice.
"""

import re
from importlib.resources import files
from pathlib import Path

from exray.queries.catalog import MODULES
from exray.queries.engine import table_views
from exray.schema.columns import Table

NAME = "duckdb_only.sql"


def init_sql(lake: Path, *, locked: bool = True) -> str:
    """Return the script.

    Args:
        lake: Folder of the lake, as the reader of the script sees it.
        locked: Whether nothing outside the lake may be read afterwards, and nothing set.
    """
    library = files("exray.queries")
    parts = [
        "SET TimeZone = 'UTC'",
        "SET parquet_metadata_cache = true",
        *table_views(lambda table: _source(lake, table)),
        _statements(files("exray.grafana").joinpath(NAME).read_text("utf-8")),
        *(_statements(library.joinpath(module).read_text("utf-8")) for module in MODULES),
    ]
    if locked:
        parts += [
            f"SET allowed_directories = ['{_quoted(str(lake))}/']",
            "SET enable_external_access = false",
            "SET lock_configuration = true",
        ]
    return ";\n".join(parts) + ";\n"


def _statements(text: str) -> str:
    """A module's text without comments, which a text field in Grafana need not hold."""
    lines = [line for line in text.splitlines() if not re.match(r"\s*--", line)]
    return "\n".join(line for line in lines if line.strip()).rstrip().removesuffix(";")


def _source(lake: Path, table: Table) -> str | None:
    """Where a table's rows come from: None where it has no files yet."""
    folder = lake / table.name
    if not any(folder.glob("**/*.parquet")):
        return None
    pattern = f"'{_quoted(str(folder))}/**/*.parquet'"
    if not table.partition:
        return f"read_parquet({pattern}, hive_partitioning = false, union_by_name = true)"
    types = ", ".join(f"{name}: VARCHAR" for name in table.partition)
    return (
        f"read_parquet({pattern}, hive_partitioning = true, union_by_name = true,"
        f" hive_types = {{{types}}})"
    )


def _quoted(text: str) -> str:
    return text.replace("'", "''")
