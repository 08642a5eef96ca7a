"""Small views that nearly every panel asks, computed once for each change of the lake."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Kept:
    """A view that is held as a table.

    Args:
        view: Its name.
        tables: Tables of the lake that it is computed from.
        most_rows: Rows of those tables together above which it stays a view: what it takes
            to hold them is taken from the memory for statements.
        order: Columns that the table is sorted by: a panel about one build passes over others.
    """

    view: str
    tables: tuple[str, ...]
    most_rows: int
    order: str = ""


KEPT = (
    Kept("runs", ("runs",), 200_000),
    Kept("build_stats", ("build_stats",), 200_000),
    Kept("layer_trend", ("build_stats", "layer_build_stats"), 1_000_000, "build, layer_index"),
    Kept("build_trend", ("build_stats", "layer_build_stats"), 1_000_000),
    Kept("frame_hours", ("build_stats", "build_times"), 1_000_000),
)
"""Views in an order in which each comes after those that it asks."""


class KeptViews:
    """Replaces views by tables of what they say.

    Args:
        connection: Shows the library's views, none of them replaced yet.
        kept: What to replace.
    """

    def __init__(
        self, connection: "duckdb.DuckDBPyConnection", kept: Sequence[Kept] = KEPT
    ) -> None:
        self._kept = kept
        self._original: dict[str, str] = {
            str(name): str(sql)
            for name, sql in connection.execute(
                "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal"
            ).fetchall()
        }

    def show(self, cursor: "duckdb.DuckDBPyConnection", changed: Collection[str]) -> None:
        """Compute anew what comes from the tables *changed*; within the cursor's transaction."""
        for kept in self._kept:
            if not any(table in changed for table in kept.tables):
                continue
            cursor.execute(self._replacing(kept.view))
            rows = sum(_count(cursor, table) for table in kept.tables)
            if rows <= kept.most_rows:
                self._keep(cursor, kept.view, f" ORDER BY {kept.order}" if kept.order else "")

    def _keep(self, cursor: "duckdb.DuckDBPyConnection", view: str, sorting: str) -> None:
        cursor.execute(f"CREATE OR REPLACE TABLE _kept_{view} AS SELECT * FROM {view}{sorting}")
        cursor.execute(f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM _kept_{view}")

    def _replacing(self, view: str) -> str:
        return self._original[view].replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1)


def _count(cursor: "duckdb.DuckDBPyConnection", table: str) -> int:
    """Return a table's rows, which its files' footers say."""
    ((rows,),) = cursor.execute(f"SELECT count(*) FROM _{table}").fetchall()
    return int(rows)
