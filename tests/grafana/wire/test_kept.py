"""Views that a server holds as tables say what the library's views say, always."""

import shutil
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from exray.grafana.wire.database import LakeDatabase
from exray.grafana.wire.kept import KEPT, Kept, KeptViews
from exray.grafana.wire.settings import Limits
from exray.lake import Lake
from exray.queries import connect
from exray.schema.arrow import arrow_schema

TABLES = "SELECT table_name FROM duckdb_tables() WHERE starts_with(table_name, '_kept_')"


def sorted_rows(connection: duckdb.DuckDBPyConnection, view: str) -> list[tuple[object, ...]]:
    return connection.execute(f"SELECT * FROM {view} ORDER BY ALL").fetchall()


def test_what_is_kept_is_what_the_views_say(
    fleet_lake: Lake, fleet: duckdb.DuckDBPyConnection
) -> None:
    cursor = LakeDatabase(fleet_lake, Limits()).cursor()
    for kept in KEPT:
        ours, theirs = sorted_rows(cursor, kept.view), sorted_rows(fleet, kept.view)
        assert len(ours) > 5
        assert ours == theirs, kept.view
    assert {row[0] for row in cursor.execute(TABLES).fetchall()} == {
        f"_kept_{kept.view}" for kept in KEPT
    }


def test_a_new_rollup_shows_to_the_next_statement(fleet_lake: Lake, tmp_path: Path) -> None:
    lake = Lake.open(shutil.copytree(fleet_lake.path, tmp_path / "lake"))
    database = LakeDatabase(lake, Limits())
    cursor = database.cursor()
    with closing(connect(lake)) as connection:
        rows = connection.sql(
            "SELECT * REPLACE (frames + 1 AS frames, recorded_ns + 1 AS recorded_ns)"
            " FROM build_stats WHERE build = '1.2.0'"
        ).to_arrow_table()
    question = "SELECT sum(frames) FROM build_trend WHERE build = '1.2.0'"
    ((before,),) = cursor.execute(question).fetchall()
    lake.append({"build_stats": rows.cast(arrow_schema("build_stats"))})
    database.refresh()
    assert cursor.execute(question).fetchall() == [(before + 3,)]


def test_what_is_too_large_stays_a_view(fleet_lake: Lake) -> None:
    with closing(connect(fleet_lake)) as connection:
        before = sorted_rows(connection, "runs")
        small = KeptViews(connection, [Kept("runs", ("runs",), len(before) - 1)])
        small.show(connection, {"runs"})
        assert connection.execute(TABLES).fetchall() == []
        KeptViews(connection).show(connection, {"runs"})
        assert connection.execute(TABLES).fetchall() == [("_kept_runs",)]
        assert sorted_rows(connection, "runs") == before


@pytest.mark.parametrize("changed", [set[str](), {"frames", "tensors"}])
def test_nothing_is_computed_for_tables_that_nothing_kept_comes_from(
    fleet_lake: Lake, changed: set[str]
) -> None:
    with closing(connect(fleet_lake)) as connection:
        KeptViews(connection).show(connection, changed)
        assert connection.execute(TABLES).fetchall() == []
