"""From a lake to what the page shows."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from exray.diagnosis.causes import Replay, Scene
from exray.diagnosis.comparison import LayerDifference
from exray.diagnosis.comparison_reader import Row, read_rows
from exray.diagnosis.conclusion import Diagnosis
from exray.diagnosis.diagnose import diagnose_scene, in_scene
from exray.queries.names import tail_name

from .bins import Bucket, distribution
from .content import Distribution, Flip, Outcomes, Page, layer_in_view
from .trend import read_builds

if TYPE_CHECKING:
    from exray.lake import Lake

FLIPS_SHOWN = 100
"""Inputs listed at most: the rest is counted, and ``exray query outcome_flips`` has all."""


def make_page(
    lake: "Lake",
    edge: str,
    reference: str,
    *,
    is_diagnosed: bool = False,
    baseline: str | None = None,
    model: str | None = None,
    device: str | None = None,
    kernels: str | None = None,
    replay: Replay | None = None,
) -> Page:
    """Compare the runs that two BUILDs name, and read all else that the page shows of them.

    Args:
        lake: The lake that holds both; layers' alignments are written to it where it can be
            written.
        edge: A build, or a run id by its beginning.
        reference: The same of the reference.
        is_diagnosed: Whether to look for causes, which takes longer.
        baseline: The previous build of the edge, which went well; for the diagnosis.
        model: Model name, where a build has several, as `exray.diagnosis.compare.compare` takes it.
        device: Device, likewise.
        kernels: Kernel family, likewise.
        replay: Files to run again for the diagnosis.

    Raises:
        SelectionError: A BUILD names nothing, or several models, devices or kernel families.
        UsageError: A file to replay is missing or wrong.
        LakeError: The lake is damaged.
        MissingExtraError: DuckDB is not installed.
    """

    def work(scene: Scene) -> Page:
        return read_page(scene, diagnose_scene(scene) if is_diagnosed else None)

    chosen = {"model": model, "device": device, "kernels": kernels}
    return in_scene(lake, (edge, reference, baseline), chosen, replay or Replay(), work)


def read_page(scene: Scene, diagnosis: Diagnosis | None = None) -> Page:
    """Read what the page shows besides a comparison.

    Args:
        scene: Two sides that were compared.
        diagnosis: What was found to be the cause, None where nobody asked.
    """
    pair = {"edge": scene.edge.selector, "reference": scene.reference.selector}
    layer = layer_in_view(scene.comparison, diagnosis)
    flips = read_rows(scene.cursors, "outcome_flips", pair)
    builds, builds_total = read_builds(scene, layer)
    return Page(
        comparison=scene.comparison,
        diagnosis=diagnosis,
        outcomes=_outcomes(read_rows(scene.cursors, "outcome_compare", pair)),
        flips=tuple(_flip(row) for row in flips[:FLIPS_SHOWN]),
        flips_total=len(flips),
        distributions=_distributions(scene, pair, layer),
        builds=builds,
        builds_total=builds_total,
        made=datetime.now(UTC),
    )


def _outcomes(rows: list[Row]) -> Outcomes | None:
    if not rows:
        return None
    row = rows[0]
    return Outcomes(
        predicted=row["predicted"],
        judged=row["judged"],
        both_correct=row["both_correct"],
        edge_only_correct=row["edge_only_correct"],
        reference_only_correct=row["reference_only_correct"],
        both_wrong=row["both_wrong"],
        differing=row["top1_differs"],
    )


def _flip(row: Row) -> Flip:
    return Flip(
        input_id=str(row["input_id"] or ""),
        label=row["label"],
        edge_top1=row["edge_top1"],
        reference_top1=row["reference_top1"],
        edge_correct=row["edge_correct"],
        reference_correct=row["reference_correct"],
    )


def _distributions(
    scene: Scene, pair: Mapping[str, str], layer: LayerDifference | None
) -> tuple[Distribution, ...]:
    """Read the elements of the model's first input and of one layer's first output."""
    buckets: dict[str, tuple[str, list[Bucket]]] = {}
    for row in read_rows(scene.cursors, "tensor_histogram", pair):
        role = str(row["tensor_role"])
        of_layer = layer is not None and row["layer_index"] == layer.layer_index
        if role != "input" and not (role == "layer" and of_layer):
            continue
        tensor, found = buckets.setdefault(role, (row["tensor_name"], []))
        if tensor == row["tensor_name"]:
            ratios = (row["edge_ratio"] or 0.0, row["reference_ratio"] or 0.0)
            found.append(Bucket(row["lower_bound"], row["upper_bound"], *ratios))
    names = {"input": "Model input", "layer": _layer_name(layer)}
    return tuple(distribution(names[role], buckets[role][1]) for role in names if role in buckets)


def _layer_name(layer: LayerDifference | None) -> str:
    return "" if layer is None else f"Layer {layer.layer_index} {tail_name(layer.layer)}"
