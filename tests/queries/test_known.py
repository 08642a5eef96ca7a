"""Rows that are kept give the same answers as rows that are asked for anew."""

import duckdb
import numpy as np
import pytest

from exray.queries.engine import show_tables
from exray.queries.interrupt import Watch, WatchedCursors
from exray.queries.known import LARGEST_PAIRING, Known
from exray.queries.select import resolve_pair

from .builders import Rows

PAIRED = (
    "layer_divergence",
    "input_divergence",
    "layer_frame_divergence",
    "layer_unpaired",
    "layer_sketches",
    "frame_coverage",
    "outcome_compare",
    "outcome_shift",
    "task_scores",
)
SINGLE = ("layer_latency", "inference_latency", "outcome_accuracy", "layer_health", "state_repeats")


def recorded(frames: int = 3) -> Rows:
    """An edge, a build before it and a reference over the same inputs."""
    rows, rng = Rows(), np.random.default_rng(7)
    models = {"e": "aa", "before": "cc", "r": "bb"}
    runs = {
        build: rows.run(build, "reference" if build == "r" else "edge", model_sha256=sha)
        for build, sha in models.items()
    }
    for sha in models.values():
        rows.graph(sha, [-1], [0])
    for sha in ("aa", "cc"):
        rows.align(sha, "bb", {0: 0, 1: 1})
    for number in range(frames):
        exact = [rng.normal(size=8) for _ in range(3)]
        for build, noise in (("e", 0.1), ("before", 0.01), ("r", 0.0)):
            frame = rows.frame(runs[build], f"{number}.png", label="1", prediction_ids=[1, 2])
            rows.span(frame)
            rows.tensor(frame, "input", list(exact[0]))
            for index in (0, 1):
                rows.layer_span(frame, index)
                values = exact[index + 1] + noise * rng.normal(size=8)
                rows.layer(frame, index, list(values))
    return rows


def kept(rows: Rows) -> tuple[duckdb.DuckDBPyConnection, Known, tuple[str, str, str]]:
    connection = rows.connect()
    for name in rows.tables:  # what a connection was shown from memory its cursors do not see
        connection.execute(f"CREATE OR REPLACE TABLE _{name}_own AS FROM _{name}")
        connection.execute(f"CREATE OR REPLACE VIEW _{name} AS FROM _{name}_own")
    edge, reference = resolve_pair(connection, "e", "r")
    before, _ = resolve_pair(connection, "before", "r")
    known = Known(connection, WatchedCursors(connection, Watch()))
    pairs = [(side.selector, reference.selector) for side in (edge, before)]
    known.keep_frames(pairs)
    known.keep_tensors(pairs)
    return connection, known, (edge.selector, reference.selector, before.selector)


def same(ours: list[tuple[object, ...]], theirs: list[tuple[object, ...]]) -> bool:
    """Whether rows are equal but for the order in which sums were made."""
    return len(ours) == len(theirs) and all(
        a == (pytest.approx(b, rel=1e-9, abs=1e-12) if isinstance(b, float) else b)
        for row, other in zip(ours, theirs, strict=True)
        for a, b in zip(row, other, strict=True)
    )


def test_what_is_built_on_kept_rows_says_the_same() -> None:
    connection, known, (edge, reference, before) = kept(recorded())
    queries = [f"FROM {name}('{edge}', '{reference}')" for name in PAIRED]
    queries += [f"FROM {name}('{edge}')" for name in SINGLE]
    queries.append(f"FROM layer_culprits('{edge}', '{reference}', '{before}')")
    asked = 0
    with known.cursor() as cursor:
        for query in queries:
            rows = connection.execute(query).fetchall()
            assert same(cursor.execute(query).fetchall(), rows), query
            asked += bool(rows)
    assert asked > len(PAIRED)


def test_kept_rows_are_read_and_not_asked_for_anew() -> None:
    connection, known, (edge, reference, _) = kept(recorded())
    query = f"SELECT paired FROM frame_coverage('{edge}', '{reference}')"
    show_tables(connection, {})
    assert connection.execute(query).fetchall() == [(0,)]
    with known.cursor() as cursor:
        assert cursor.execute(query).fetchall() == [(3,)]


def test_runs_that_were_not_kept_are_refused() -> None:
    _, known, (edge, _, before) = kept(recorded())
    with known.cursor() as cursor, pytest.raises(duckdb.InvalidInputException, match="no rows"):
        cursor.execute(f"FROM layer_divergence('{edge}', '{before}')").fetchall()


def test_runs_that_were_forgotten_are_refused() -> None:
    _, known, (edge, reference, before) = kept(recorded())
    known.forget(edge)
    with known.cursor() as cursor:
        assert cursor.execute(f"FROM layer_divergence('{before}', '{reference}')").fetchall()
        with pytest.raises(duckdb.InvalidInputException, match="no rows"):
            cursor.execute(f"FROM layer_divergence('{edge}', '{reference}')").fetchall()
    known.keep_frames([(edge, reference)])
    known.keep_tensors([(edge, reference)])
    with known.cursor() as cursor:
        assert cursor.execute(f"FROM layer_divergence('{edge}', '{reference}')").fetchall()


def test_over_many_frames_tensors_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LARGEST_PAIRING > 60, "a diagnosis of the usual size keeps them"
    monkeypatch.setattr("exray.queries.known.LARGEST_PAIRING", 2)
    _, known, (edge, reference, _) = kept(recorded(frames=3))
    with known.cursor() as cursor:
        tables = cursor.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = (SELECT current_schema())"
        ).fetchall()
        assert ("_frame_measured_rows",) in tables
        assert ("_tensor_pairs_rows",) not in tables
        assert cursor.execute(f"FROM layer_divergence('{edge}', '{reference}')").fetchall()


def test_other_cursors_read_the_lake() -> None:
    connection, known, (edge, _, before) = kept(recorded())
    known.cursor().close()
    assert connection.cursor().execute(f"FROM frame_coverage('{edge}', '{before}')").fetchall()
