"""Rollups say what the library says of each group of runs, and are made once."""

import shutil
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from exray.grafana.rollup import refresh, stale_cohorts
from exray.lake import Lake
from exray.queries import connect
from exray.queries.interrupt import Watch
from exray.schema.arrow import arrow_schema

from .fleets import FLEET, faulty, make_fleet

SOME = 250
"""Rows of layers in a batch, of which the small fleet takes two."""

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
        before = rows(connection, "SELECT sum(frames) FROM build_trend WHERE build = '1.1.0'")
    add_frames(small, "1.1.0")
    with closing(connect(small)) as connection:
        assert rows(connection, "SELECT DISTINCT build FROM _rollup_stale") == [("1.1.0",)]
        assert stale_cohorts(connection) == 3
    assert refresh(small) == 3
    with closing(connect(small)) as connection:
        after = rows(connection, "SELECT sum(frames) FROM build_trend WHERE build = '1.1.0'")
        twice = rows(
            connection,
            "SELECT build FROM layer_trend GROUP BY build, device, layer_index HAVING count(*) > 1",
        )
    assert after == [(2 * int(str(before[0][0])),)]
    assert twice == []


def add_frames(lake: Lake, build: str) -> None:
    """Write a build's frames again, a moment later and under other traces."""
    with closing(connect(lake)) as connection:
        table = connection.sql(
            "SELECT * REPLACE (start_ns + 1 AS start_ns, from_hex('ff' || substr(hex(trace_id), 3))"
            f" AS trace_id) FROM _frames WHERE build = '{build}'"
        ).to_arrow_table()
    lake.append({"frames": table.cast(arrow_schema("frames"))})


ROLLUPS = {
    "build_stats": "build, role, model_sha256, kernels, device",
    "layer_build_stats": "build, role, model_sha256, kernels, device, layer_index",
    "build_answers": "build, role, model_sha256, kernels, device, input_key",
    "build_times": "build, role, model_sha256, kernels, device, hour_ns, bucket",
    "tensor_build_stats": "build, reference_build, tensor_role, match_name, match_index",
}


def rollups(lake: Lake) -> dict[str, list[tuple[object, ...]]]:
    """What the rollups say, but for when it was written."""
    with closing(connect(lake)) as connection:
        return {
            name: rows(connection, f"SELECT * EXCLUDE (recorded_ns) FROM {name} ORDER BY {key}")
            for name, key in ROLLUPS.items()
        }


def assert_rollups(lake: Lake, expected: dict[str, list[tuple[object, ...]]]) -> None:
    """Sums of floats depend on their order, and that on threads."""
    for name, found in rollups(lake).items():
        assert len(found) == len(expected[name])
        for ours, theirs in zip(found, expected[name], strict=True):
            for own, other in zip(ours, theirs, strict=True):
                assert own == pytest.approx(other), name


def without_rollups(lake: Lake, aside: Path) -> Lake:
    for name in ROLLUPS:
        (lake.path / name).rename(aside / name)
    return lake


def test_small_batches_say_what_one_says(small: Lake, tmp_path: Path) -> None:
    before = rollups(small)
    without_rollups(small, tmp_path)
    seen: list[tuple[int, int]] = []
    refresh(small, progress=lambda done, total: seen.append((done, total)), batch_rows=SOME)
    assert len(seen) > 1
    assert seen[-1] == (7, 7)
    assert_rollups(small, before)


def test_rows_that_stand_twice_in_the_lake_count_once(small: Lake, tmp_path: Path) -> None:
    before = rollups(small)
    repeated = ("tensors", "layer_spans", "spans", "frames")
    with closing(connect(small)) as connection:
        tables = {
            name: connection.sql(f"SELECT * FROM _{name}").to_arrow_table() for name in repeated
        }
    small.append({name: table.cast(arrow_schema(name)) for name, table in tables.items()})
    assert refresh(small) == 0
    without_rollups(small, tmp_path)
    assert refresh(small) == 7
    assert_rollups(small, before)


def test_an_interrupted_refresh_is_interrupted(small: Lake) -> None:
    watch = Watch()
    watch.interrupt()
    with pytest.raises(KeyboardInterrupt):
        refresh(small, watch)


def test_what_an_interrupted_refresh_had_done_need_not_be_done_again(
    small: Lake, tmp_path: Path
) -> None:
    before = rollups(small)
    without_rollups(small, tmp_path)
    watch = Watch()
    written: list[int] = []

    def interrupt(done: int, total: int) -> None:
        written.append(done)
        watch.interrupt()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refresh(small, watch, interrupt, batch_rows=SOME)
    assert 0 < written[0] < 7
    assert len(rollups(small)["build_stats"]) == written[0]
    assert refresh(small) == 7 - written[0]
    assert_rollups(small, before)


def test_a_cohort_whose_layers_alone_were_written_is_done_again(
    small: Lake, tmp_path: Path
) -> None:
    """As after a crash between the two tables of a commit: layers are written first."""
    before = rollups(small)
    (small.path / "build_stats").rename(tmp_path / "gone")
    assert refresh(small) == 7
    assert_rollups(small, before)


def test_rollups_of_an_older_version_are_made_again(small: Lake, tmp_path: Path) -> None:
    before = rollups(small)
    for name in ("build_answers", "build_times", "tensor_build_stats"):
        (small.path / name).rename(tmp_path / name)
    assert refresh(small) == 7
    assert refresh(small) == 0
    assert_rollups(small, before)


def test_distributions_that_came_later_are_compared_again(small: Lake) -> None:
    stale = "SELECT build, reference_build FROM _rollup_stale_pairs"
    with closing(connect(small)) as connection:
        assert rows(connection, stale) == []
    add_frames(small, "1.1.0")
    refresh(small)
    newest = (
        "SELECT build FROM tensor_build_stats WHERE tensor_role = '' AND recorded_ns >"
        " (SELECT min(recorded_ns) FROM build_stats WHERE build = '1.1.0') ORDER BY build"
    )
    with closing(connect(small)) as connection:
        assert rows(connection, stale) == []
        assert rows(connection, newest) == [("1.1.0",)]


def test_compaction_keeps_the_rows_that_count(small: Lake) -> None:
    add_frames(small, "1.1.0")
    refresh(small)
    before = rollups(small)
    for state in small.partitions():
        small.compact(state)
    assert len(small.files("build_stats")) == 1
    assert_rollups(small, before)
    assert refresh(small) == 0


PAIRS = [("1.3.0", "golden"), ("1.0.0", "golden"), ("golden", "golden")]


@pytest.mark.parametrize(("build", "reference"), PAIRS)
def test_distributions_are_the_librarys(
    fleet: duckdb.DuckDBPyConnection, build: str, reference: str
) -> None:
    of = f"('{build}', '{reference}')"
    names = "tensor_role, layer_index, op, tensor_name"
    quantiles = "edge_p01, edge_p50, edge_p99, reference_p01, reference_p50, reference_p99"
    bucket = "lower_bound, upper_bound, edge_ratio, reference_ratio"
    channel = "channel, edge_mean, reference_mean"
    for kept, asked in (
        (
            (
                f"SELECT {names}, {quantiles}, overlap_ratio FROM build_tensors{of}"
                " WHERE overlap_ratio IS NOT NULL ORDER BY ALL"
            ),
            f"SELECT {names}, {quantiles}, overlap_ratio FROM tensor_quantiles{of} ORDER BY ALL",
        ),
        (
            (
                f"SELECT {names}, unnest(lower_bounds), unnest(upper_bounds), unnest(edge_ratios),"
                f" unnest(reference_ratios) FROM build_tensors{of} ORDER BY ALL"
            ),
            f"SELECT {names}, {bucket} FROM tensor_histogram{of} ORDER BY ALL",
        ),
        (
            (
                f"SELECT {names}, unnest(channels), unnest(edge_means), unnest(reference_means)"
                f" FROM build_tensors{of} ORDER BY ALL"
            ),
            f"SELECT {names}, {channel} FROM tensor_channels{of} ORDER BY ALL",
        ),
    ):
        assert_alike(rows(fleet, kept), rows(fleet, asked))


@pytest.mark.parametrize("pair", [("1.3.0", "1.2.0"), ("1.5.0", "golden"), ("golden", "1.0.0")])
def test_answers_that_changed_are_the_librarys(
    fleet: duckdb.DuckDBPyConnection, pair: tuple[str, str]
) -> None:
    edge, reference = pair
    flips = f"SELECT * FROM {{}}('{edge}', '{reference}') ORDER BY ALL"
    compared = "SELECT input_key, label, top1 FROM {} ORDER BY ALL"
    assert_alike(
        rows(fleet, compared.format(f"_build_newest_answers('{edge}', 'edge')")),
        rows(fleet, compared.format(f"_outcome_frames('{edge}', 'edge')")),
    )
    assert rows(fleet, flips.format("build_flips")) == rows(fleet, flips.format("outcome_flips"))


def test_times_by_hour_are_those_of_the_frames(fleet: duckdb.DuckDBPyConnection) -> None:
    hour = "SELECT {hour} AS hour, build, kernels, device, {frames}, {least}, {most} FROM {source}"
    of = "GROUP BY ALL ORDER BY ALL"
    kept = hour.format(
        hour="hour",
        frames="CAST(sum(frames) AS BIGINT)",
        least="min(dur_ms)",
        most="max(dur_ms)",
        source="frame_hours",
    )
    asked = hour.format(
        hour="date_trunc('hour', started)",
        frames="count(*)",
        least="min(dur_ms)",
        most="max(dur_ms)",
        source="frame_times WHERE level = 'latency' AND status <> 'error' AND dur_ms > 0",
    )
    ours, theirs = rows(fleet, f"{kept} {of}"), rows(fleet, f"{asked} {of}")
    assert len(ours) == len(theirs) > 0
    for own, frame in zip(ours, theirs, strict=True):
        assert own[:5] == frame[:5]
        assert own[5:] == pytest.approx(frame[5:], rel=0.003)


def assert_alike(ours: list[tuple[object, ...]], theirs: list[tuple[object, ...]]) -> None:
    assert len(ours) == len(theirs) > 0
    for own, other in zip(ours, theirs, strict=True):
        assert own == pytest.approx(other)


def test_every_number_is_the_librarys(fleet: duckdb.DuckDBPyConnection) -> None:
    """Cohorts by themselves: their runs, named one by one, asked of the library's own macros."""
    cohorts = rows(
        fleet,
        "SELECT s.build, s.role, s.device, string_agg(r.run_id, ','), coalesce(s.reference_build, '')"
        " FROM build_stats AS s INNER JOIN run_list AS r ON s.build = r.build AND s.role = r.role"
        " AND s.device = r.device"
        " WHERE s.build IN ('golden', '1.3.0') OR (s.build = '1.4.0' AND s.device = 'jetson')"
        " GROUP BY ALL ORDER BY ALL",
    )
    assert len(cohorts) == 5
    for build, role, device, ids, reference in cohorts:
        of = f"build = '{build}' AND role = '{role}' AND device = '{device}'"
        for kept, asked in library_numbers(str(ids), str(reference)).items():
            ours = rows(fleet, kept.format(of=of))
            theirs = rows(fleet, asked)
            assert len(ours) == len(theirs) > 0
            for own, library in zip(ours, theirs, strict=True):
                assert own == pytest.approx(library), kept


def library_numbers(ids: str, reference: str) -> dict[str, str]:
    """Queries of the rollups, and what the library says the same with."""
    asked = {
        "SELECT mean_ms, p50_ms, p99_ms, inflated FROM build_stats WHERE {of}": (
            f"SELECT mean_ms, p50_ms, p99_ms, inflated FROM frame_latency('{ids}')"
        ),
        "SELECT judged, correct FROM build_stats WHERE {of}": (
            f"SELECT judged, correct FROM outcome_accuracy('{ids}')"
        ),
        "SELECT layer_index, layer_name, op, timing, executions, mean_ms, p50_ms, p99_ms,"
        " time_ratio, inflated FROM layer_build_stats WHERE {of} ORDER BY layer_index": (
            "SELECT layer_index, layer_name, op, timing, executions, mean_ms, p50_ms, p99_ms,"
            f" time_ratio, inflated FROM layer_latency('{ids}') ORDER BY layer_index"
        ),
    }
    if not reference:
        return asked
    return asked | {
        "SELECT input_sqnr_db FROM build_stats WHERE {of}": (
            f"SELECT sqnr_db FROM input_divergence('{ids}', '{reference}')"
            " WHERE tensor_role = 'input'"
        ),
        "SELECT paired_judged, edge_only_correct, reference_only_correct FROM build_stats"
        " WHERE {of}": (
            "SELECT judged, edge_only_correct, reference_only_correct"
            f" FROM outcome_compare('{ids}', '{reference}')"
        ),
        "SELECT layer_index, reference_layer_index, frames, nsr, sqnr_db, drop_db, cosine, nrmse,"
        " rmse_scale FROM layer_build_stats WHERE {of} AND frames > 0 ORDER BY layer_index": (
            "SELECT layer_index, reference_layer_index, frames, nsr, sqnr_db, drop_db, cosine,"
            f" nrmse, rmse_scale FROM layer_divergence('{ids}', '{reference}')"
            " WHERE frames > 0 ORDER BY layer_index"
        ),
    }
