"""MotherDuck's data source sees what exray's own engine sees, without its Python."""

from collections.abc import Generator
from pathlib import Path

import duckdb
import pytest

from exray.grafana.choices import panel_sql
from exray.grafana.dashboards import Board, Panel
from exray.grafana.duckdb_views import init_sql
from exray.lake import Lake
from exray.schema.packed import pack_floats, unpack_floats

from .boards import PANELS, RANGE, answer, chosen, same_rows


@pytest.fixture(scope="module")
def plain(fleet_lake: Lake) -> Generator[duckdb.DuckDBPyConnection]:
    """A DuckDB that exray did nothing to but run the script, as the plugin does."""
    connection = duckdb.connect()
    connection.execute(init_sql(fleet_lake.path))
    yield connection
    connection.close()


def name_of(value: Board | Panel) -> str:
    return value.name if isinstance(value, Board) else value.title


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=name_of)
def test_panel_shows_the_same_as_with_exrays_engine(
    board: Board,
    panel: Panel,
    plain: duckdb.DuckDBPyConnection,
    fleet: duckdb.DuckDBPyConnection,
) -> None:
    sql = panel_sql(panel.sql, chosen(fleet, board), RANGE)
    ours, theirs = answer(plain, sql), answer(fleet, sql)
    assert ours.columns == theirs.columns
    assert len(ours.rows) == len(theirs.rows)
    assert "now()" in sql or same_rows(ours.rows, theirs.rows)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0.0, 1.0, -1.5, 3.4028234e38, 1.1754944e-38, 1e-45, -0.0, 160.0],
        [float(number) for number in range(-50, 300)],
    ],
    ids=["none", "extremes", "many"],
)
def test_packed_floats_are_read_to_the_last_bit(
    values: list[float], plain: duckdb.DuckDBPyConnection
) -> None:
    text = pack_floats("eh1", [values])
    ((found,),) = plain.execute("SELECT float32_list(?)", [text]).fetchall()
    assert found == unpack_floats(text, "eh1").tolist()


def test_nothing_but_the_lake_can_be_read_and_nothing_set(
    plain: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    outside = tmp_path / "secret.csv"
    outside.write_text("a\n1\n")
    for statement in (
        f"SELECT * FROM read_csv('{outside}')",
        "SELECT * FROM read_text('/etc/passwd')",
        f"ATTACH '{tmp_path / 'new.duckdb'}'",
        "SET threads = 1",
        "INSTALL httpfs",
    ):
        with pytest.raises(duckdb.Error):
            plain.execute(statement)


def test_the_script_may_run_again(fleet_lake: Lake) -> None:
    connection = duckdb.connect()
    for _ in range(2):
        connection.execute(init_sql(fleet_lake.path, locked=False))
    assert connection.execute("SELECT count(*) > 0 FROM build_trend").fetchall() == [(True,)]
    connection.close()


def test_an_empty_lake_has_empty_views(tmp_path: Path) -> None:
    lake = Lake.open_or_create(tmp_path / "it's a lake")
    connection = duckdb.connect()
    connection.execute(init_sql(lake.path))
    assert connection.execute("SELECT count(*) FROM build_trend").fetchall() == [(0,)]
    connection.close()
