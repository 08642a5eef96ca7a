"""Compare two builds of a lake, layer by layer."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from exray.lake import Lake
from exray.playback.outcome import mcnemar_exact, wilson_interval
from exray.queries.engine import connect
from exray.queries.select import Selection, resolve

from .align_runs import ensure_alignment
from .comparison import Comparison, Coverage, LayerDifference, Place, Side, StageTime

if TYPE_CHECKING:
    import duckdb

INFERENCE = "inference"
"""Name under which a model's execution stands among the stages."""


def compare(
    lake: Lake,
    edge: str,
    reference: str,
    *,
    model: str | None = None,
    device: str | None = None,
    kernels: str | None = None,
) -> Comparison:
    """Compare the runs that two BUILDs name.

    Args:
        lake: The lake that holds both; layers' alignments are written to it.
        edge: A build, or a run id by its beginning.
        reference: The same of the reference.
        model: Model name, where a build has several.
        device: Device, where a build has several.
        kernels: Kernel family, where a build has several.

    Raises:
        SelectionError: A BUILD names nothing, or several models, devices or kernel families.
        LakeError: The lake is damaged.
    """
    chosen = {"model": model, "device": device, "kernels": kernels}
    with connect(lake) as connection:
        edge_runs = resolve(connection, edge, "edge", **chosen)
        reference_runs = resolve(connection, reference, "reference", **chosen)
        ensure_alignment(lake, connection, edge_runs, reference_runs)
        return _Reader(connection, edge_runs, reference_runs).comparison()


class _Reader:
    """Reads the library's macros for one pair of selections."""

    def __init__(
        self, connection: "duckdb.DuckDBPyConnection", edge: Selection, reference: Selection
    ) -> None:
        self._connection = connection
        self._edge = edge
        self._reference = reference
        self._both = {"edge": edge.selector, "reference": reference.selector}

    def comparison(self) -> Comparison:
        """Read everything."""
        layers = self._layers()
        places = self._places()
        outcome = self._one("FROM outcome_compare($edge, $reference)", self._both)
        flips = p = None
        if outcome and outcome["judged"]:
            edge_only, reference_only = (
                int(outcome["edge_only_correct"]),
                int(outcome["reference_only_correct"]),
            )
            flips, p = edge_only + reference_only, mcnemar_exact(edge_only, reference_only)
        return Comparison(
            edge=self._side(self._edge),
            reference=self._side(self._reference),
            coverage=self._coverage(layers),
            places=places,
            input=next((place for place in places if place.name == "model input"), None),
            layers=layers,
            stages=self._stages(),
            flips=flips,
            mcnemar_p=p,
        )

    def _all(self, query: str, arguments: Mapping[str, str]) -> list[dict[str, Any]]:
        cursor = self._connection.execute(query, dict(arguments))
        names = [str(column[0]) for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _one(self, query: str, arguments: Mapping[str, str]) -> dict[str, Any] | None:
        rows = self._all(query, arguments)
        return rows[0] if rows else None

    def _side(self, runs: Selection) -> Side:
        own = {"build": runs.selector}
        outcome = self._one("FROM outcome_accuracy($build)", own) or {}
        latency = self._one("FROM inference_latency($build)", own) or {}
        judged, correct = int(outcome.get("judged") or 0), int(outcome.get("correct") or 0)
        return Side(
            build=runs.build,
            role=runs.role,
            model_name=runs.model_name,
            model_sha256=runs.model_sha256,
            kernels=runs.kernels,
            run_ids=tuple(runs.run_ids),
            frames=int(outcome.get("frames") or 0),
            top1=correct / judged if judged else None,
            ci95=wilson_interval(correct, judged) if judged else None,
            model_ms=latency.get("p50_ms"),
        )

    def _places(self) -> tuple[Place, ...]:
        rows = self._all("FROM input_divergence($edge, $reference)", self._both)
        return tuple(_place(row) for row in rows)

    def _layers(self) -> tuple[LayerDifference, ...]:
        times = [
            {int(row["layer_index"]): float(row["p50_ms"]) for row in rows}
            for rows in (
                self._all("FROM layer_latency($build)", {"build": runs.selector})
                for runs in (self._edge, self._reference)
            )
        ]
        rows = self._all("FROM layer_divergence($edge, $reference)", self._both)
        return tuple(
            LayerDifference(
                layer_index=row["layer_index"],
                layer=row["layer_name"],
                op=row["op"],
                reference_layer=row["reference_layer_name"],
                sqnr_db=row["sqnr_db"],
                drop_db=row["drop_db"],
                rank_drop_db=row["rank_drop_db"],
                cosine=row["cosine"],
                nrmse=row["nrmse"],
                rmse_per_scale=row["rmse_scale"],
                edge_nonfinite_count=(row["edge_nan_count"] or 0) + (row["edge_inf_count"] or 0),
                saturated_ratio=row["edge_sat_ratio"],
                edge_ms=times[0].get(row["layer_index"]),
                reference_ms=times[1].get(row["reference_layer_index"]),
                frames=row["frames"],
                reason=row["reason"],
            )
            for row in rows
        )

    def _stages(self) -> tuple[StageTime, ...]:
        edge, reference = (
            {
                str(row["stage"]): float(row["p50_ms"])
                for row in self._all("FROM stage_latency($build)", {"build": runs.selector})
            }
            for runs in (self._edge, self._reference)
        )
        return tuple(
            StageTime(name, edge.get(name), reference.get(name))
            for name in dict.fromkeys([*edge, *reference])
        )

    def _coverage(self, layers: tuple[LayerDifference, ...]) -> Coverage:
        frames = self._one("FROM frame_coverage($edge, $reference)", self._both) or {}
        unpaired = self._all(
            "FROM layer_unpaired($edge, $reference) WHERE side = 'edge'", self._both
        )
        return Coverage(
            frames_paired=int(frames.get("paired") or 0),
            frames_measured=int(frames.get("measured") or 0),
            frames_unpaired=int(frames.get("edge_only") or 0)
            + int(frames.get("reference_only") or 0),
            layers_aligned=sum(layer.reference_layer is not None for layer in layers),
            layers_unaligned={
                row["layer_name"]: row["reason"] for row in unpaired if not row["excluded"]
            },
            layers_excluded={
                row["layer_name"]: row["reason"] for row in unpaired if row["excluded"]
            },
        )


def _place(row: Mapping[str, Any]) -> Place:
    """Return one tensor outside the layers.

    A stage that puts out integers does not say what they mean: against real numbers they
    cannot be compared, where those of a model input can.
    """
    kinds = {
        str(row["edge_dtype"]).startswith("float"),
        str(row["reference_dtype"]).startswith("float"),
    }
    name, frames = _place_name(row), int(row["frames"])
    if len(kinds) > 1 and row["tensor_role"] != "input":
        reason = f"{row['edge_dtype']} on one side, {row['reference_dtype']} on the other"
        return Place(name, None, frames=frames, reason=reason)
    return Place(
        name=name,
        sqnr_db=row["sqnr_db"],
        rmse_per_scale=row["rmse_scale"],
        cosine=row["cosine"],
        frames=frames,
        reason=row["reason"],
    )


def _place_name(row: Mapping[str, Any]) -> str:
    """Name a tensor outside the layers as the reports do."""
    role, index = row["tensor_role"], int(row["tensor_index"])
    number = f" {index}" if index else ""
    if role == "input":
        return f"model input{number}"
    if role == "stage":
        return f"{row['tensor_name']}{number}"
    return f"{role}{number}" if role == "raw" else f"{row['tensor_name']}"
