"""Rollups of the lake, which the dashboards read: made of what changed since the last time.

A row of ``build_stats`` stands for the runs of one build, role, model, kernel family and
device model; ``layer_build_stats`` has one for each of its layers. The SQL is the library's
(``queries/rollup``); here it is asked of one such group after the other.
"""

import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exray.queries.engine import connect

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from exray.lake import Lake
    from exray.playback.progress import Progress
    from exray.queries.interrupt import Watch

BATCH_GROUPS = 64
"""Groups whose rows are committed at once: what is done before an interruption is kept."""

_STALE = (
    "SELECT build, role, model_name, model_sha256, kernels, device, model_precision, first_ns,"
    " last_ns, devices, frames, failed_frames, measured_frames, reference_build,"
    " reference_model_sha256, reference_kernels, reference_device, paired_frames"
    " FROM _rollup_stale"
)

_SHOWN_RUNS = (
    "CREATE OR REPLACE VIEW _runs AS SELECT * FROM _every_run AS r WHERE"
    " (r.build = {build} AND r.role = {role} AND r.model_sha256 = {model_sha256}"
    " AND r.kernels = {kernels}"
    " AND coalesce(nullif(r.device_model, ''), r.device_id) = {device})"
    " OR (r.build = {reference_build} AND r.role = 'reference'"
    " AND r.model_sha256 = {reference_model_sha256} AND r.kernels = {reference_kernels}"
    " AND coalesce(nullif(r.device_model, ''), r.device_id) = {reference_device})"
)

_GROUP_NAMES = ("build", "role", "model_name", "model_sha256", "kernels", "device")


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that share a row of ``build_stats``, with the row's numbers known so far.

    Args:
        values: Columns of the row by name, and ``reference_model_sha256`` and
            ``reference_device`` besides; the four of the reference are None without one.
    """

    values: dict[str, object]


def refresh(
    lake: "Lake",
    watch: "Watch | None" = None,
    progress: "Progress | None" = None,
) -> int:
    """Bring the lake's rollups up to date.

    Layers of models that differ are aligned first, as a comparison would.

    Args:
        lake: The lake, which gets the new rows.
        watch: Interrupts the query at hand on Ctrl-C.
        progress: Called after each group with the groups done and their total.

    Returns:
        Groups written.

    Raises:
        LakeError: The lake is damaged or cannot be written.
    """
    written = 0
    with closing(connect(lake)) as connection:
        if watch is not None:
            watch.watched(connection)
        groups = stale_groups(connection)
        rows: list[dict[str, pa.Table]] = []
        for number, group in enumerate(groups, 1):
            align_group(lake, connection, group)
            rows.append(group_rows(connection, group))
            if len(rows) == BATCH_GROUPS or number == len(groups):
                lake.append(_joined(rows))
                written += len(rows)
                rows.clear()
            if progress is not None:
                progress(number, len(groups))
    return written


def stale_groups(connection: "duckdb.DuckDBPyConnection") -> list[Group]:
    """Return the groups whose rows are missing, or older than what they speak of."""
    cursor = connection.execute(_STALE)
    names = [str(column[0]) for column in cursor.description or ()]
    return [Group(dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def align_group(lake: "Lake", connection: "duckdb.DuckDBPyConnection", group: Group) -> None:
    """See to it that the group's layers know their counterparts in the reference."""
    if group.values["reference_build"] is None:
        return
    if group.values["model_sha256"] == group.values["reference_model_sha256"]:
        return
    from exray.diagnosis.align_runs import ensure_alignment
    from exray.queries.select import Selection, matching_runs

    with _only_runs_of(connection, group):
        edge = matching_runs(connection, str(group.values["build"]), "edge")
        reference = matching_runs(connection, str(group.values["reference_build"]), "reference")
        # one run of each is enough: all of a group have the same model
        ensure_alignment(lake, connection, Selection(edge[-1:]), Selection(reference[-1:]))


def group_rows(connection: "duckdb.DuckDBPyConnection", group: Group) -> "dict[str, pa.Table]":
    """Return the group's rows of both rollups, in the schema's columns."""
    import pyarrow as pa

    from exray.schema.arrow import arrow_schema

    arguments = [
        group.values["build"],
        group.values["role"],
        group.values["reference_build"] or "",
    ]
    recorded_ns = time.time_ns()
    with _only_runs_of(connection, group):
        frames = _asked(connection, "_rollup_frames", arguments)
        layers = _asked(connection, "_rollup_layers", arguments)
    schema = arrow_schema("build_stats")
    known = group.values | {"recorded_ns": recorded_ns}
    build_row = {**known, **frames[0]}
    own = {name: group.values[name] for name in (*_GROUP_NAMES, "reference_build")}
    layer_rows = [{**own, **layer, "recorded_ns": recorded_ns} for layer in layers]
    return {
        "build_stats": pa.Table.from_pylist(
            [{name: build_row[name] for name in schema.names}], schema=schema
        ),
        "layer_build_stats": pa.Table.from_pylist(
            layer_rows, schema=arrow_schema("layer_build_stats")
        ),
    }


@contextmanager
def _only_runs_of(connection: "duckdb.DuckDBPyConnection", group: Group) -> Generator[None]:
    """Let the connection show no other runs than the group's and its reference's.

    The library selects runs by their build. To name each of ten thousand runs instead
    would take longer than the query.
    """
    quoted = {name: _literal(value) for name, value in group.values.items()}
    connection.execute("CREATE TABLE IF NOT EXISTS _every_run AS SELECT * FROM _runs")
    connection.execute(_SHOWN_RUNS.format(**quoted))
    try:
        yield
    finally:
        connection.execute("CREATE OR REPLACE VIEW _runs AS SELECT * FROM _every_run")


def _asked(
    connection: "duckdb.DuckDBPyConnection", macro: str, arguments: list[object]
) -> list[dict[str, object]]:
    called = ", ".join(_literal(argument) for argument in arguments)
    cursor = connection.execute(f"SELECT * FROM {macro}({called})")
    names = [str(column[0]) for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _literal(value: object) -> str:
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


def _joined(rows: "list[dict[str, pa.Table]]") -> "dict[str, pa.Table]":
    import pyarrow as pa

    return {name: pa.concat_tables(part[name] for part in rows) for name in rows[0]}
