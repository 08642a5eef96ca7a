"""Rollups say what the library says of each group of runs, and are made once."""

import shutil
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from exray.grafana.rollup import refresh, stale_groups
from exray.lake import Lake
from exray.queries import connect
from exray.queries.interrupt import Watch
from exray.schema.arrow import arrow_schema

from .fleets import FLEET, faulty, make_fleet

OF_PI5 = "build = '1.3.0' AND device = 'pi5'"


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[object, ...]]:
    return connection.execute(query).fetchall()


def test_each_build_device_and_kernel_family_has_a_row(fleet: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT role, device, kernels, count(*) FROM build_stats GROUP BY ALL ORDER BY ALL"
    assert rows(fleet, query) == [
        ("edge", "jetson", "builtin", 6),
        ("edge", "pi5", "xnnpack", 6),
        ("edge", "pixel8", "xnnpack", 6),
        ("reference", "workstation", "xnnpack", 1),
    ]


def test_distance_is_that_of_the_groups_own_runs(fleet: duckdb.DuckDBPyConnection) -> None:
    """The library, asked by run ids, knows the same number."""
    ((ids,),) = rows(
        fleet,
        f"SELECT string_agg(run_id, ',') FROM run_list WHERE {OF_PI5}",
    )
    asked = f"SELECT sqnr_db, drop_db FROM layer_divergence('{ids}', 'golden') ORDER BY layer_index"
    kept = f"SELECT sqnr_db, drop_db FROM layer_trend WHERE {OF_PI5} ORDER BY layer_index"
    assert rows(fleet, kept) == rows(fleet, asked)
    assert len(rows(fleet, kept)) == FLEET.layers


def test_times_are_those_of_the_library(fleet: duckdb.DuckDBPyConnection) -> None:
    asked = (
        "SELECT p50_ms, p99_ms, time_ratio FROM layer_latency('1.3.0') WHERE device = 'pi5'"
        " ORDER BY layer_index"
    )
    kept = f"SELECT p50_ms, p99_ms, time_ratio FROM layer_trend WHERE {OF_PI5} ORDER BY layer_index"
    for ours, theirs in zip(rows(fleet, kept), rows(fleet, asked), strict=True):
        assert ours == pytest.approx(theirs)


def test_the_bad_build_and_its_layer_stand_out(fleet: duckdb.DuckDBPyConnection) -> None:
    query = (
        "SELECT DISTINCT build, worst_layer FROM build_trend WHERE worst_loss_db > 3 ORDER BY ALL"
    )
    assert rows(fleet, query) == [("1.3.0", "block_7/conv")]
    query = "SELECT worst_loss_db FROM build_trend WHERE build = '1.3.0'"
    for (loss_db,) in rows(fleet, query):
        assert loss_db == pytest.approx(FLEET.faults.loss_db, abs=1.0)


def test_recording_that_takes_too_much_shows(fleet: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT build, min(overhead_ratio) FROM build_trend WHERE role = 'edge' GROUP BY 1"
    ratios = {row[0]: row[1] for row in rows(fleet, query)}
    assert ratios["1.4.0"] == pytest.approx(0.05, rel=0.1)
    assert ratios["1.5.0"] == pytest.approx(0.004, rel=0.1)


def test_elements_that_are_not_finite_are_counted(fleet: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT build, device FROM build_trend WHERE nonfinite_count > 0"
    assert rows(fleet, query) == [("1.4.0", "jetson")]


def test_a_slow_layer_shows_against_the_builds_before(fleet: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT build, device, layer_name FROM layer_trend WHERE p50_ratio > 2"
    assert rows(fleet, query) == [("1.5.0", "pixel8", "block_3/conv")]


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_fleet(tmp_path_factory.mktemp("small") / "lake", faulty()).path


@pytest.fixture
def small(made_once: Path, tmp_path: Path) -> Lake:
    return Lake.open(shutil.copytree(made_once, tmp_path / "lake"))


def test_nothing_new_is_nothing_to_do(small: Lake) -> None:
    assert refresh(small) == 0


def test_frames_that_came_later_are_rolled_up_and_the_newest_row_counts(small: Lake) -> None:
    with closing(connect(small)) as connection:
        table = connection.sql(
            "SELECT * REPLACE (start_ns + 1 AS start_ns, from_hex('ff' || substr(hex(trace_id), 3))"
            " AS trace_id) FROM _frames WHERE build = '1.1.0'"
        ).to_arrow_table()
        before = rows(connection, "SELECT sum(frames) FROM build_trend WHERE build = '1.1.0'")
    small.append({"frames": table.cast(arrow_schema("frames"))})
    with closing(connect(small)) as connection:
        assert {group.values["build"] for group in stale_groups(connection)} == {"1.1.0"}
    assert refresh(small) == 3
    with closing(connect(small)) as connection:
        after = rows(connection, "SELECT sum(frames) FROM build_trend WHERE build = '1.1.0'")
        twice = rows(
            connection,
            "SELECT build FROM layer_trend GROUP BY build, device, layer_index HAVING count(*) > 1",
        )
    assert after == [(2 * int(str(before[0][0])),)]
    assert twice == []


def test_progress_counts_groups(small: Lake, tmp_path: Path) -> None:
    (small.path / "build_stats").rename(tmp_path / "gone")
    seen: list[tuple[int, int]] = []
    refresh(small, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 7) for number in range(1, 8)]


def test_an_interrupted_refresh_is_interrupted(small: Lake) -> None:
    watch = Watch()
    watch.interrupt()
    with pytest.raises(KeyboardInterrupt):
        refresh(small, watch)
