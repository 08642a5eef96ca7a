"""The builds before and after the edge, each against the page's reference."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from exray.diagnosis.align_runs import ensure_alignment
from exray.diagnosis.causes import Scene
from exray.diagnosis.comparison import LayerDifference
from exray.diagnosis.comparison_reader import (
    WORKERS,
    Row,
    read_accuracy,
    read_model_ms,
    read_rows,
)
from exray.queries.select import resolve
from exray.schema.errors import SelectionError

from .content import BuildPoint

BUILDS_SHOWN = 12
"""Builds in the trend at most: a quarter of a year of weekly builds, and names still fit."""

Measured = Sequence[tuple[str, float | None]]
"""Names of layers in graph order, each with its SQNR in dB."""


def read_builds(scene: Scene, layer: LayerDifference | None) -> tuple[tuple[BuildPoint, ...], int]:
    """Read the builds of the edge's kind.

    Args:
        scene: Two sides that were compared.
        layer: The layer to follow through the builds, by its name.

    Returns:
        Up to `BUILDS_SHOWN` builds, the oldest first and the edge among them; and how many
        there are.
    """
    peers = read_rows(scene.cursors, "build_peers", {"selector": scene.edge.selector})
    shown = window(peers)
    others = [row for row in shown if not row["selected"]]
    aligned = _align(scene, others)

    def point(row: Row) -> BuildPoint:
        if row["selected"]:
            return _edge_point(scene, row, layer)
        return _other_point(scene, row, layer, is_aligned=row["build"] in aligned)

    with ThreadPoolExecutor(WORKERS) as pool:
        return tuple(pool.map(point, shown)), len(peers)


def window(peers: Sequence[Row]) -> Sequence[Row]:
    """Return the newest builds; where the edge is older than these, those that end with it."""
    edge = next((i for i, row in enumerate(peers) if row["selected"]), len(peers) - 1)
    end = len(peers)
    if edge < end - BUILDS_SHOWN:
        end = max(edge + 1, BUILDS_SHOWN)
    return peers[max(0, end - BUILDS_SHOWN) : end]


def _edge_point(scene: Scene, row: Row, layer: LayerDifference | None) -> BuildPoint:
    """Return the edge as the rest of the page shows it."""
    side = scene.comparison.edge
    measured = [(seen.layer, seen.sqnr_db) for seen in scene.comparison.layers]
    return BuildPoint(
        row["build"],
        _utc(row),
        is_edge=True,
        top1=side.top1,
        ci95=side.ci95,
        model_ms=side.model_ms,
        output_sqnr_db=_output(measured),
        layer_sqnr_db=_of_layer(measured, layer),
    )


def _other_point(
    scene: Scene, row: Row, layer: LayerDifference | None, *, is_aligned: bool
) -> BuildPoint:
    run_ids = str(row["run_ids"])
    asked = {
        name: read_rows(scene.cursors, name, {"selector": run_ids})
        for name in ("outcome_accuracy", "inference_latency")
    }
    top1, ci95 = read_accuracy(asked["outcome_accuracy"])
    pair = {"edge": run_ids, "reference": scene.reference.selector}
    layers = read_rows(scene.cursors, "layer_divergence", pair) if is_aligned else []
    measured = [(str(seen["layer_name"]), seen["sqnr_db"]) for seen in layers]
    return BuildPoint(
        row["build"],
        _utc(row),
        top1=top1,
        ci95=ci95,
        model_ms=read_model_ms(asked["inference_latency"]),
        output_sqnr_db=_output(measured),
        layer_sqnr_db=_of_layer(measured, layer),
    )


def _utc(row: Row) -> datetime:
    started: datetime = row["started"]
    return started.replace(tzinfo=UTC)


def _output(measured: Measured) -> float | None:
    """Return the last layer's SQNR, as far as one was measured."""
    return next((db for _, db in reversed(measured) if db is not None), None)


def _of_layer(measured: Measured, layer: LayerDifference | None) -> float | None:
    return next((db for name, db in measured if layer and name == layer.layer), None)


def _align(scene: Scene, rows: Sequence[Row]) -> set[str]:
    """Align the models of builds with the reference's, one after the other.

    Returns:
        The builds whose layers can be compared: not those with several models.
    """
    aligned: set[str] = set()
    with scene.cursors.cursor() as connection:
        for row in rows:
            try:
                runs = resolve(connection, str(row["run_ids"]), role=None)
            except SelectionError:
                continue
            ensure_alignment(scene.lake, connection, runs, scene.reference)
            aligned.add(str(row["build"]))
    return aligned
