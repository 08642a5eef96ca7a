"""No board grows with the fleet: ten thousand devices, a third of them of unknown models."""

import time
from collections.abc import Generator
from dataclasses import replace

import duckdb
import pytest

from exray.grafana.alerts import RULES, Rule
from exray.grafana.choices import choose, panel_sql
from exray.grafana.dashboards import BOARDS, BUILDS_SQL, Board
from exray.grafana.macros import TimeRange, expand
from exray.grafana.sample import HOUR_NS, Faults, Fleet
from exray.grafana.wire.database import LakeDatabase
from exray.grafana.wire.settings import Limits

from .fleets import make_fleet

DEVICES = 10_000
MOST_ROWS, MOST_SERIES, MOST_VALUES = 1000, 30, 500
RANGE = TimeRange.last(90)
LARGE = Fleet(
    time.time_ns() - 3 * HOUR_NS,
    devices=DEVICES,
    builds=2,
    builds_per_device=1,
    frames_per_run=1,
    layers=10,
    inputs=4,
    # a device of an unknown model has rollups of its own
    device_models=("pi5", "", "jetson"),
    faults=replace(Faults(), silent=None),
)


@pytest.fixture(scope="module")
def large(
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[duckdb.DuckDBPyConnection]:
    lake = make_fleet(tmp_path_factory.mktemp("large") / "lake", LARGE)
    database = LakeDatabase(lake, Limits())
    yield database.cursor()
    database.close()


def asked(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[object, ...]]:
    return connection.execute(sql).fetchall()


def test_the_fleet_is_as_large_as_it_is_meant_to_be(large: duckdb.DuckDBPyConnection) -> None:
    """Else no bound below would mean anything."""
    assert asked(large, "SELECT count(*) FROM device_list") == [(DEVICES,)]
    ((groups, devices),) = asked(
        large, "SELECT count(*), count(DISTINCT device) FROM build_trend WHERE role = 'edge'"
    )
    assert (groups, devices) == (3337, 3335)
    ((layers,),) = asked(large, "SELECT count(*) FROM layer_trend WHERE role = 'edge'")
    assert layers == 33_370


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_no_panel_and_no_variable_gives_more_than_it_may(
    large: duckdb.DuckDBPyConnection, board: Board
) -> None:
    def options(sql: str) -> list[tuple[str, str]]:
        found = [(str(row[0]), str(row[1])) for row in asked(large, sql)]
        assert len(found) <= MOST_VALUES, sql
        return found

    values = choose(board, options, RANGE)
    for panel in board.panels:
        rows = asked(large, panel_sql(panel.sql, values, RANGE))
        assert len(rows) <= MOST_ROWS, panel.title
        if panel.format == "time_series":
            assert len({row[1] for row in rows}) <= MOST_SERIES, panel.title


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_no_rule_gives_more_series_than_it_may(
    large: duckdb.DuckDBPyConnection, rule: Rule
) -> None:
    rows = asked(large, expand(rule.sql, RANGE))
    assert len(rows) <= MOST_SERIES


def test_annotations_are_as_few_as_builds(large: duckdb.DuckDBPyConnection) -> None:
    assert len(asked(large, expand(BUILDS_SQL, RANGE))) <= MOST_SERIES
