"""From the SQL library's rows about two selections of runs to a comparison."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from exray.playback.outcome import mcnemar_exact, wilson_interval
from exray.playback.task import PairedMeans, paired_means

from .comparison import (
    INFERENCE,
    Comparison,
    Coverage,
    LayerDifference,
    Place,
    Side,
    StageTime,
    Unmatched,
)

if TYPE_CHECKING:
    from exray.queries.interrupt import Cursors
    from exray.queries.select import Selection

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]
"""Rows by the macro that they come from."""

# The longest first, so that the others run beside it.
_OF_BOTH: tuple[str, ...] = (
    "layer_divergence",
    "input_divergence",
    "frame_coverage",
    "outcome_compare",
    "task_scores",
    "layer_unpaired",
)
_OF_SIDE: tuple[str, ...] = (
    "layer_latency",
    "inference_latency",
    "stage_latency",
    "outcome_accuracy",
)

WORKERS = 2
"""Queries at a time: most of a small one is planning, which takes one core."""


def read_comparison(
    connection: "Cursors",
    edge: "Selection",
    reference: "Selection",
    note: str | None = None,
) -> Comparison:
    """Ask the SQL library everything about two selections of runs.

    Args:
        connection: A connection from `exray.queries.engine.connect`, or what makes its cursors.
        edge: Runs of the edge.
        reference: Runs of the reference.
        note: Why the two models' layers could not be matched, None where they could.
    """
    with ThreadPoolExecutor(WORKERS) as pool:

        def ask(macros: Sequence[str], **selectors: str) -> dict[str, Future[list[Row]]]:
            return {name: pool.submit(read_rows, connection, name, selectors) for name in macros}

        asked = (
            ask(_OF_BOTH, edge=edge.selector, reference=reference.selector),
            ask(_OF_SIDE, selector=edge.selector),
            ask(_OF_SIDE, selector=reference.selector),
        )
    pair, ours, theirs = (
        {name: answer.result() for name, answer in answers.items()} for answers in asked
    )
    layers = _layers(pair["layer_divergence"], ours["layer_latency"], theirs["layer_latency"])
    flips, mcnemar_p = _flips(pair["outcome_compare"])
    edge_side, reference_side = _side(edge, ours), _side(reference, theirs)
    inference = StageTime(INFERENCE, edge_side.model_ms, reference_side.model_ms)
    return Comparison(
        edge=edge_side,
        reference=reference_side,
        coverage=_coverage(layers, pair["frame_coverage"], pair["layer_unpaired"], note),
        places=tuple(map(_place, pair["input_divergence"])),
        layers=layers,
        stages=(*_stages(ours["stage_latency"], theirs["stage_latency"]), inference),
        flips=flips,
        mcnemar_p=mcnemar_p,
        tasks=_tasks(pair["task_scores"]),
    )


def read_rows(connection: "Cursors", macro: str, selectors: Mapping[str, str]) -> list[Row]:
    """Return the rows of one of the SQL library's macros.

    Args:
        connection: Makes the connection that is asked, which is closed afterwards.
        macro: Its name.
        selectors: Its arguments.
    """
    named = ", ".join(f"{name} := ${name}" for name in selectors)
    with connection.cursor() as cursor:  # a thread needs its own
        cursor.execute(f"FROM {macro}({named})", dict(selectors))
        names = [str(column[0]) for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def read_accuracy(rows: Sequence[Row]) -> tuple[float | None, tuple[float, float] | None]:
    """Return the share of labelled inputs that were right, and its 95 % interval.

    Args:
        rows: Of ``outcome_accuracy``: one, or one a role where ids of runs in both roles
            were given.
    """
    judged, correct = (sum(int(row[name]) for row in rows) for name in ("judged", "correct"))
    if not judged:
        return None, None
    return correct / judged, wilson_interval(correct, judged)


def read_model_ms(rows: Sequence[Row]) -> float | None:
    """Return the median time of a model execution from rows of ``inference_latency``."""
    return _finite(_first(rows).get("p50_ms"))


def _side(runs: "Selection", rows: Rows) -> Side:
    frames, failed = (
        sum(int(row[name]) for row in rows["outcome_accuracy"]) for name in ("frames", "failed")
    )
    top1, ci95 = read_accuracy(rows["outcome_accuracy"])
    timed = [*rows["inference_latency"], *rows["stage_latency"], *rows["layer_latency"]]
    return Side(
        build=runs.build,
        role=runs.role,
        model_name=runs.model_name,
        model_sha256=runs.model_sha256,
        kernels=runs.kernels,
        device=runs.device,
        run_ids=runs.run_ids,
        frames=frames,
        failed=failed,
        top1=top1,
        ci95=ci95,
        model_ms=read_model_ms(rows["inference_latency"]),
        times_inflated=any(row["inflated"] for row in timed),
    )


def _flips(rows: Sequence[Row]) -> tuple[int | None, float | None]:
    """Return how many labelled inputs one side alone got right, and McNemar's p."""
    if not rows or not rows[0]["judged"]:
        return None, None
    edge_only = int(rows[0]["edge_only_correct"])
    reference_only = int(rows[0]["reference_only_correct"])
    return edge_only + reference_only, mcnemar_exact(edge_only, reference_only)


def _tasks(rows: Sequence[Row]) -> dict[str, PairedMeans]:
    """Return the paired means of each metric that both sides have."""
    found: dict[str, PairedMeans] = {}
    for metric in dict.fromkeys(str(row["metric"]) for row in rows):
        of = [row for row in rows if row["metric"] == metric]
        means = paired_means(
            [float(row["edge_value"]) for row in of], [float(row["reference_value"]) for row in of]
        )
        if means is not None:
            found[metric] = means
    return found


def _layers(
    rows: Sequence[Row], edge_times: Sequence[Row], reference_times: Sequence[Row]
) -> tuple[LayerDifference, ...]:
    edge_ms, reference_ms = map(_layer_ms, (edge_times, reference_times))
    return tuple(
        LayerDifference(
            layer_index=row["layer_index"],
            layer=row["layer_name"],
            op=row["op"],
            reference_layer=row["reference_layer_name"],
            reference_layer_index=row["reference_layer_index"],
            sqnr_db=_finite(row["sqnr_db"]),
            drop_db=_finite(row["drop_db"]),
            rank_drop_db=_finite(row["rank_drop_db"]),
            cosine=_finite(row["cosine"]),
            nrmse=_finite(row["nrmse"]),
            rmse_per_scale=_finite(row["rmse_scale"]),
            edge_nonfinite_count=_count(row, "edge_nan_count", "edge_inf_count"),
            reference_nonfinite_count=_count(row, "reference_nan_count", "reference_inf_count"),
            saturated_ratio=_finite(row["edge_sat_ratio"]),
            edge_ms=edge_ms.get(row["layer_index"]),
            reference_ms=reference_ms.get(row["reference_layer_index"]),
            frames=row["frames"],
            reason=row["reason"],
        )
        for row in rows
    )


def _layer_ms(rows: Sequence[Row]) -> dict[int, float]:
    """Return each layer's median time; where two clocks took it, that which ran oftener."""
    ordered = sorted(rows, key=lambda row: int(row["executions"]))
    return {int(row["layer_index"]): float(row["p50_ms"]) for row in ordered}


def _stages(edge_rows: Sequence[Row], reference_rows: Sequence[Row]) -> tuple[StageTime, ...]:
    edge, reference = (
        {str(row["stage"]): float(row["p50_ms"]) for row in rows}
        for rows in (edge_rows, reference_rows)
    )
    return tuple(
        StageTime(name, edge.get(name), reference.get(name))
        for name in dict.fromkeys([*edge, *reference])
    )


def _coverage(
    layers: Sequence[LayerDifference],
    frames: Sequence[Row],
    unpaired: Sequence[Row],
    note: str | None,
) -> Coverage:
    counts = _first(frames)
    edge = [row for row in unpaired if row["side"] == "edge"]
    reference = [row for row in unpaired if row["side"] == "reference"]
    return Coverage(
        frames_paired=_count(counts, "paired"),
        frames_measured=_count(counts, "measured"),
        frames_edge_only=_count(counts, "edge_only"),
        frames_reference_only=_count(counts, "reference_only"),
        layers_aligned=sum(layer.reference_layer_index is not None for layer in layers),
        layers_unaligned=tuple(_unmatched(row) for row in edge if not row["excluded"]),
        layers_excluded=tuple(_unmatched(row) for row in edge if row["excluded"]),
        reference_unmatched=tuple(_unmatched(row) for row in reference if not row["excluded"]),
        note=note,
    )


def _unmatched(row: Row) -> Unmatched:
    return Unmatched(row["layer_index"], row["layer_name"], row["op"], row["reason"])


def _place(row: Row) -> Place:
    """Return one tensor outside the layers.

    A stage that puts out integers does not say what they mean: of another type they cannot
    be compared, where those of a model input can.
    """
    name, role, frames = _place_name(row), str(row["tensor_role"]), int(row["frames"])
    edge_dtype, reference_dtype = str(row["edge_dtype"]), str(row["reference_dtype"])
    are_floats = "float" in edge_dtype and "float" in reference_dtype
    if role != "input" and edge_dtype != reference_dtype and not are_floats:
        reason = f"{edge_dtype} on one side, {reference_dtype} on the other"
        return Place(name, role, frames=frames, reason=reason)
    return Place(
        name=name,
        role=role,
        sqnr_db=_finite(row["sqnr_db"]),
        rmse_per_scale=_finite(row["rmse_scale"]),
        cosine=_finite(row["cosine"]),
        gain=_finite(row["gain"]),
        offset=_finite(row["offset_value"]),
        affine_db=_finite(row["affine_db"]),
        frames=frames,
        nonfinite_frames=int(row["nonfinite_executions"]),
        reason=row["reason"],
    )


def _place_name(row: Row) -> str:
    """Name a tensor outside the layers as the reports do."""
    role, index = str(row["tensor_role"]), int(row["tensor_index"])
    name = {"input": "model input", "raw": "raw"}.get(role, str(row["tensor_name"]))
    return f"{name} {index}" if index else name


def _first(rows: Sequence[Row]) -> Row:
    return rows[0] if rows else {}


def _count(row: Row, *names: str) -> int:
    return sum(int(row.get(name) or 0) for name in names)


def _finite(value: float | None) -> float | None:
    """Return a number that JSON can hold, else None."""
    return value if value is not None and math.isfinite(value) else None
