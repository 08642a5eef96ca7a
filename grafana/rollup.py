"""Rollups of the lake, which the dashboards read: made of what changed since the last time.

A row of ``build_stats`` stands for a cohort, the runs of one build, role, model, kernel family
and device model; ``layer_build_stats`` has one for each of its layers, ``build_answers`` for each
of its inputs, ``build_times`` for each hour and time of its frames. ``tensor_build_stats`` has the
distributions of a build's tensors beside those of a reference. The SQL is the library's
(``queries/rollup``) and takes many cohorts at once; here it is asked for some at a time.
"""

import time
from contextlib import closing
from typing import TYPE_CHECKING

from exray.queries.engine import connect

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from exray.lake import Lake
    from exray.playback.progress import Progress
    from exray.queries.interrupt import Watch

BATCH_ROWS = 2_000_000
"""Rows of layers that are read for one commit, about: what is done before an interruption is
kept, and memory holds no more than this or one cohort."""

_RESULTS = {
    "build_answers": "_rollup_answer_rows",
    "build_times": "_rollup_time_rows",
    "layer_build_stats": "_rollup_layer_rows",
    "build_stats": "_rollup_build_rows",
}
"""What each rollup is selected from."""


def refresh(
    lake: "Lake",
    watch: "Watch | None" = None,
    progress: "Progress | None" = None,
    batch_rows: int = BATCH_ROWS,
) -> int:
    """Bring the lake's rollups up to date.

    Layers of models that differ are aligned first, as a comparison would. It may be stopped at
    any time and begun again: a cohort counts as done once all of its rollups are in the lake,
    ``build_stats`` the last of them.

    Args:
        lake: The lake, which gets the new rows, in a commit for each batch.
        watch: Interrupts the query at hand on Ctrl-C.
        progress: Called after each batch with the cohorts done and their total.
        batch_rows: Rows of layers to read for one commit, about.

    Returns:
        Cohorts written.

    Raises:
        LakeError: The lake is damaged or cannot be written.
    """
    done = 0
    with closing(connect(lake)) as connection:
        if watch is not None:
            watch.watched(connection)
        batches = _plan(connection, batch_rows)
        total = sum(batches.values())
        for batch, cohorts in batches.items():
            connection.execute(
                "CREATE OR REPLACE VIEW _rollup_wanted AS"
                f" SELECT * EXCLUDE (batch) FROM _rollup_plan WHERE batch = {batch}"
            )
            _align(lake, connection)
            lake.append(_rows(connection))
            done += cohorts
            if progress is not None:
                progress(done, total)
    _compare_tensors(lake, watch)
    return done


def stale_cohorts(connection: "duckdb.DuckDBPyConnection") -> int:
    """Return how many cohorts have no rollup, or one older than what they recorded."""
    ((count,),) = connection.execute("SELECT count(*) FROM _rollup_stale").fetchall()
    return int(count)


def _plan(connection: "duckdb.DuckDBPyConnection", batch_rows: int) -> dict[int, int]:
    """Say which cohorts are stale, in batches; return how many cohorts each batch has.

    Cohorts of one build stand together, for files are sorted by build.
    """
    connection.execute("CREATE TABLE _rollup_every_run AS SELECT * FROM _rollup_runs")
    connection.execute("CREATE OR REPLACE VIEW _rollup_runs AS SELECT * FROM _rollup_every_run")
    connection.execute(
        "CREATE TABLE _rollup_plan AS SELECT s.*, CAST(sum(s.work) OVER"
        " (ORDER BY s.build, s.cohort ROWS UNBOUNDED PRECEDING) - s.work AS BIGINT)"
        f" // {batch_rows} AS batch FROM _rollup_stale AS s"
    )
    return dict(
        connection.execute(
            "SELECT batch, count(*) FROM _rollup_plan GROUP BY batch ORDER BY batch"
        ).fetchall()
    )


def _align(lake: "Lake", connection: "duckdb.DuckDBPyConnection") -> None:
    """See to it that the batch's layers know their counterparts in their references."""
    from exray.diagnosis.align_runs import ensure_alignment
    from exray.queries.select import Selection, matching_runs

    pairs = connection.execute(
        "SELECT edge_run_id, reference_run_id FROM _rollup_models"
    ).fetchall()
    for edge, reference in pairs:
        ensure_alignment(
            lake,
            connection,
            Selection(matching_runs(connection, edge)),
            Selection(matching_runs(connection, reference)),
        )


def _compare_tensors(lake: "Lake", watch: "Watch | None") -> None:
    """Bring the distributions of tensors up to date, in a commit for each build and reference."""
    with closing(connect(lake)) as connection:
        if watch is not None:
            watch.watched(connection)
        pairs = connection.execute(
            "SELECT build, reference_build FROM _rollup_stale_pairs"
        ).fetchall()
        for pair in pairs:
            table = "tensor_build_stats"
            build, reference = (str(name).replace("'", "''") for name in pair)
            found = f"_rollup_tensor_rows('{build}', '{reference}')"
            lake.append({table: _table(connection, table, found, time.time_ns())})


def _rows(connection: "duckdb.DuckDBPyConnection") -> "dict[str, pa.Table]":
    """Return the batch's rows of all rollups of cohorts, in the schema's columns."""
    recorded_ns = time.time_ns()
    return {table: _table(connection, table, view, recorded_ns) for table, view in _RESULTS.items()}


def _table(
    connection: "duckdb.DuckDBPyConnection", table: str, source: str, recorded_ns: int
) -> "pa.Table":
    from exray.schema.arrow import arrow_schema

    schema = arrow_schema(table)
    columns = ", ".join(f'"{name}"' for name in schema.names if name != "recorded_ns")
    found = connection.sql(
        f"SELECT {columns}, CAST({recorded_ns} AS BIGINT) AS recorded_ns FROM {source}"
    )
    rows: pa.Table = found.to_arrow_table().cast(schema)
    return rows
