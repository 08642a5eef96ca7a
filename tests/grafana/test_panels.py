"""Every query of every board runs, and is what its panel can show."""

import duckdb
import pytest

from exray.grafana.choices import panel_sql
from exray.grafana.dashboards import BUILDS_SQL, Board, Panel, Variable

from .boards import BY_NAME, PANELS, RANGE, VARIABLES, Answer, answer, chosen, shown

NUMBERS = {"BIGINT", "INTEGER", "DOUBLE"}
PLAIN = NUMBERS | {"VARCHAR", "TIMESTAMP", "BOOLEAN"}
"""Types that both data sources hand on as what they are: HUGEINT would be a text for one of
them, a list for either, and a time with zone would shift with the server's."""

MAX_ROWS = 1000
MAX_SERIES = 30
MAX_VALUES = 500


def name_of(value: object) -> str | None:
    if isinstance(value, Board):
        return value.name
    if isinstance(value, Panel):
        return value.title
    return value.name if isinstance(value, Variable) else None


def ask(connection: duckdb.DuckDBPyConnection, board: Board, sql: str) -> Answer:
    return answer(connection, panel_sql(sql, chosen(connection, board), RANGE))


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=name_of)
def test_panel_shows_rows_of_types_that_both_data_sources_have(
    board: Board, panel: Panel, fleet: duckdb.DuckDBPyConnection
) -> None:
    found = ask(fleet, board, panel.sql)
    extra = {"JSON"} if panel.kind == "traces" else set[str]()
    assert {name: kind for name, kind in found.columns.items() if kind not in PLAIN | extra} == {}
    assert len(found.rows) <= MAX_ROWS
    for column in panel.columns:
        assert column.name in found.columns


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=name_of)
def test_no_panel_is_empty_on_a_fleet_with_faults(
    board: Board, panel: Panel, fleet: duckdb.DuckDBPyConnection
) -> None:
    assert ask(fleet, board, panel.sql).rows != []


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=name_of)
def test_a_panel_is_empty_and_not_broken_where_nothing_can_be_chosen(
    board: Board, panel: Panel, fleet: duckdb.DuckDBPyConnection
) -> None:
    nothing: dict[str, str | list[str]] = {
        variable.name: list[str]() if variable.multi else "" for variable in board.variables
    }
    rows = answer(fleet, panel_sql(panel.sql, nothing, RANGE)).rows
    one_number = panel.kind == "stat"
    assert not board.variables or len(rows) <= int(one_number)


def test_models_that_devices_run_come_before_references(
    fleet: duckdb.DuckDBPyConnection,
) -> None:
    sql = BY_NAME["build"].variables[0].sql
    assert "ORDER BY min(role)" in sql
    assert answer(fleet, panel_sql(sql, {}, RANGE)).column("__value")[0] == "sorter"


LINES = [(board, panel) for board, panel in PANELS if panel.format == "time_series"]


@pytest.mark.parametrize(("board", "panel"), LINES, ids=name_of)
def test_lines_have_ascending_time_a_name_and_a_number(
    board: Board, panel: Panel, fleet: duckdb.DuckDBPyConnection
) -> None:
    found = ask(fleet, board, panel.sql)
    assert found.columns == {"time": "TIMESTAMP", "metric": "VARCHAR", "value": "DOUBLE"}
    times = [str(time) for time in found.column("time")]
    assert times == sorted(times)
    assert None not in found.column("time")
    assert len(set(found.column("metric"))) <= MAX_SERIES
    points = list(zip(found.column("time"), found.column("metric"), strict=True))
    assert len(points) == len(set(points))


@pytest.mark.parametrize(
    ("board", "panel"), [item for item in PANELS if item[1].kind == "trend"], ids=name_of
)
def test_a_trend_ascends(board: Board, panel: Panel, fleet: duckdb.DuckDBPyConnection) -> None:
    found = ask(fleet, board, panel.sql)
    positions = found.column(str(panel.options["xField"]))
    assert positions == sorted(set(positions), key=lambda x: float(str(x)))


@pytest.mark.parametrize(("board", "variable"), VARIABLES, ids=name_of)
def test_variable_offers_texts_and_values(
    board: Board, variable: Variable, fleet: duckdb.DuckDBPyConnection
) -> None:
    found = ask(fleet, board, variable.sql)
    assert found.columns == {"__text": "VARCHAR", "__value": "VARCHAR"}
    assert 0 < len(found.rows) <= MAX_VALUES
    assert len(set(found.column("__value"))) == len(found.rows)


def test_builds_are_marked_on_the_time_axis(fleet: duckdb.DuckDBPyConnection) -> None:
    found = answer(fleet, panel_sql(BUILDS_SQL, {}, RANGE))
    assert found.columns == {
        "time": "TIMESTAMP",
        "timeend": "TIMESTAMP",
        "text": "VARCHAR",
        "tags": "VARCHAR",
    }
    assert ("sorter 1.3.0", "build,edge") in [row[2:] for row in found.rows]
    assert len(found.rows) == 7


def test_fleet_shows_what_the_newest_builds_suffer_from(
    fleet: duckdb.DuckDBPyConnection,
) -> None:
    rows = shown(fleet, "fleet", "Newest builds").records()
    assert [row["build"] for row in rows] == ["1.5.0"] * 3
    slow = {row["device"]: float(str(row["p99_ratio"])) > 1.2 for row in rows}
    assert slow == {"pi5": False, "pixel8": True, "jetson": False}


def test_fleet_colours_the_bad_builds(fleet: duckdb.DuckDBPyConnection) -> None:
    found = shown(fleet, "fleet", "Builds over time")
    times = sorted(set(map(str, found.column("time"))))
    failed = [
        (times.index(str(row["time"])), str(row["metric"]).split(" · ")[1])
        for row in found.records()
        if row["value"] == 2.0
    ]
    assert {device for _, device in failed} == {"pi5", "pixel8", "jetson"}
    # the bad build and the one with NaN; a small fleet's accuracy may fall by chance besides
    assert len([device for _, device in failed if device == "jetson"]) >= 2


def test_fleet_names_the_silent_device(fleet: duckdb.DuckDBPyConnection) -> None:
    found = shown(fleet, "fleet", "Silent devices")
    assert found.column("device_id") == ["device-00000"]
    (hours,) = found.column("silent_hours")
    assert 160 < int(str(hours)) < 180


def test_builds_name_the_first_bad_layer_of_the_bad_build(
    fleet: duckdb.DuckDBPyConnection,
) -> None:
    rows = shown(fleet, "build", "First bad build of a layer").records()
    assert {row["build"] for row in rows} == {"1.3.0"}
    first = {str(row["device"]): row for row in reversed(rows)}
    assert {row["layer_name"] for row in first.values()} == {"block_7/conv"}
    assert len(first) == 3


def test_loss_by_layer_peaks_at_the_planted_layer(fleet: duckdb.DuckDBPyConnection) -> None:
    rows = shown(fleet, "build", "Loss by layer").records()
    worst = max(rows, key=lambda row: float(str(row["value"])))
    assert worst["metric"] == "block_7/conv"
    assert float(str(worst["value"])) == pytest.approx(12.0, abs=1.0)


def test_model_shows_the_layer_that_lost_against_the_build_before(
    fleet: duckdb.DuckDBPyConnection,
) -> None:
    rows = shown(fleet, "model", "Layers", build="1.3.0").records()
    lost = [row for row in rows if float(str(row["baseline_loss_db"])) > 3]
    assert lost[0]["layer_name"] == "block_7/conv"
    assert {row["layer_index"] for row in lost} == {7, 8, 9}
    own = [
        row["layer_name"] for row in rows if row["layer_index"] and float(str(row["drop_db"])) > 8
    ]
    assert set(own) == {"block_7/conv"}


def test_the_heat_table_is_red_where_the_bad_build_meets_its_layers(
    fleet: duckdb.DuckDBPyConnection,
) -> None:
    rows = shown(fleet, "model", "Loss over the last builds").records()
    red = {
        (row["layer_name"], name)
        for row in rows
        for name, value in row.items()
        if name.startswith("before_") and value is not None and float(str(value)) > 3
    }
    assert red == {(layer, "before_2") for layer in ("block_7/conv", "block_8/conv", "logits")}


def test_latency_puts_the_slow_layer_first(fleet: duckdb.DuckDBPyConnection) -> None:
    first = shown(fleet, "latency", "Layers by time").records()[0]
    assert (first["layer_name"], first["device"]) == ("block_3/conv", "pixel8")
    assert float(str(first["p50_ratio"])) == pytest.approx(4.0, rel=0.2)


def test_layer_lists_the_frames_that_are_worst(fleet: duckdb.DuckDBPyConnection) -> None:
    rows = shown(fleet, "layer", "Worst frames", build="1.3.0", layer="7").records()
    distances = [float(str(row["sqnr_db"])) for row in rows]
    assert distances == sorted(distances)
    assert max(distances) < 20
    broken = shown(fleet, "layer", "Worst frames", build="1.4.0", layer="5").records()
    assert broken[0]["device"] == "jetson"
    assert broken[0]["nonfinite_count"] == 2


def test_frame_draws_a_tree_of_spans(fleet: duckdb.DuckDBPyConnection) -> None:
    rows = shown(fleet, "frame", "Where the time went").records()
    ids = [row["spanID"] for row in rows]
    assert len(ids) == len(set(ids)) == 13
    assert [row["parentSpanID"] for row in rows].count(None) == 1
    assert {row["parentSpanID"] for row in rows} - {None} <= set(ids)
    assert rows[0]["parentSpanID"] is None


def test_tensor_lays_edge_over_reference(fleet: duckdb.DuckDBPyConnection) -> None:
    rows = shown(fleet, "tensor", "Elements by size").records()
    for name in ("build_ratio", "reference_ratio"):
        assert sum(float(str(row[name])) for row in rows) == pytest.approx(1.0)


def test_compare_puts_the_layer_that_lost_most_first(fleet: duckdb.DuckDBPyConnection) -> None:
    rows = shown(fleet, "compare", "Worst layers", build="1.3.0", baseline="1.2.0").records()
    assert {row["layer_name"] for row in rows[:3]} == {"block_7/conv"}
    rows = shown(fleet, "compare", "Worst layers", build="1.2.0", baseline="1.1.0").records()
    assert all(float(str(row["lost_db"])) < 1 for row in rows)
