"""What a comparison of two runs found, as plain values: the terminal, JSON and HTML read it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from exray.playback.task import PairedMeans

Json = dict[str, object]
"""A JSON object; never holds NaN or an infinity."""

SIZES_DIFFER = "element counts differ"
"""Reason of a place or layer whose tensors have different sizes, as the SQL library words it."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: a build's runs.

    Args:
        model_sha256: SHA-256 of the model file, hex.
        device: Device model, or the device's id where the model is not known.
        run_ids: The runs, hex, oldest first.
        frames: Inputs seen.
        failed: Those whose frame ended in an error.
        top1: Share of labelled frames that were right, None without labels.
        ci95: Wilson interval of *top1*.
        model_ms: Median time of a model execution, milliseconds.
        times_inflated: Whether times include summaries, for want of frames at level latency.
    """

    build: str
    role: str
    model_name: str
    model_sha256: str
    kernels: str
    device: str
    run_ids: tuple[str, ...]
    frames: int = 0
    failed: int = 0
    top1: float | None = None
    ci95: tuple[float, float] | None = None
    model_ms: float | None = None
    times_inflated: bool = False

    def to_json(self) -> Json:
        """Return the side as JSON."""
        rows = asdict(self)
        return {"model" if name == "model_name" else name: rows[name] for name in rows}


@dataclass(frozen=True, slots=True)
class Place:
    """One point outside the layers where both sides were seen: raw, a stage, the model input.

    Args:
        name: As reports show it.
        role: raw, stage, input or custom.
        sqnr_db: Over the paired frames, None where the two cannot be compared.
        rmse_per_scale: Root mean square error in quantization steps of the edge, None for
            a float edge. Rounding alone gives 0.289.
        gain: Factor of the affine map of the reference that comes nearest to the edge.
        offset: Its constant, in the tensor's unit.
        affine_db: What is left after that map, in dB as *sqnr_db*.
        nonfinite_frames: Executions with NaN or infinite elements on either side.
        reason: Why *sqnr_db* is None.
    """

    name: str
    role: str
    sqnr_db: float | None = None
    rmse_per_scale: float | None = None
    cosine: float | None = None
    gain: float | None = None
    offset: float | None = None
    affine_db: float | None = None
    frames: int = 0
    nonfinite_frames: int = 0
    reason: str | None = None

    def to_json(self) -> Json:
        """Return the place as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LayerDifference:
    """One edge layer against its counterpart, over the paired frames.

    Distances are None where the layer has no counterpart or was not measured, and *reason*
    says which.

    Args:
        layer_index: The layer's index in the edge model.
        layer: Its name as the converter wrote it.
        drop_db: SQNR of the layer's inputs minus its own.
        rank_drop_db: The same with inputs taken as no better than 40 dB, for ranking.
        edge_nonfinite_count: Elements of the edge that are NaN or infinite.
        reference_nonfinite_count: The same of the reference.
        saturated_ratio: Share of the edge's integers at either end of their type.
        edge_ms: Median time, milliseconds; None where not measured.
        frames: Paired frames in which both sides recorded the layer.
    """

    layer_index: int
    layer: str
    op: str
    reference_layer: str | None
    reference_layer_index: int | None = None
    sqnr_db: float | None = None
    drop_db: float | None = None
    rank_drop_db: float | None = None
    cosine: float | None = None
    nrmse: float | None = None
    rmse_per_scale: float | None = None
    edge_nonfinite_count: int = 0
    reference_nonfinite_count: int = 0
    saturated_ratio: float | None = None
    edge_ms: float | None = None
    reference_ms: float | None = None
    frames: int = 0
    reason: str | None = None

    def to_json(self) -> Json:
        """Return the layer as JSON."""
        return asdict(self)


INFERENCE = "inference"
"""Name of the model's execution among the stages."""


@dataclass(frozen=True, slots=True)
class StageTime:
    """Median time of a stage on both sides, milliseconds; None where it was not seen."""

    stage: str
    edge_ms: float | None
    reference_ms: float | None


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A layer that answers to none of the other model, and why."""

    layer_index: int
    layer: str
    op: str
    reason: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the two could be compared.

    Args:
        frames_paired: Inputs that both sides saw.
        frames_measured: Those whose tensors both sides recorded.
        frames_edge_only: Inputs that only the edge saw.
        frames_reference_only: Inputs that only the reference saw.
        layers_aligned: Edge layers with a counterpart.
        layers_unaligned: Edge layers that compute activations but have no counterpart.
        layers_excluded: Edge operators that compute no activations.
        reference_unmatched: Reference layers that answer to no edge layer, such as those that
            a converter fused into others.
        note: Why layers could not be matched at all, None where they could.
    """

    frames_paired: int = 0
    frames_measured: int = 0
    frames_edge_only: int = 0
    frames_reference_only: int = 0
    layers_aligned: int = 0
    layers_unaligned: tuple[Unmatched, ...] = ()
    layers_excluded: tuple[Unmatched, ...] = ()
    reference_unmatched: tuple[Unmatched, ...] = ()
    note: str | None = None

    @property
    def frames_unpaired(self) -> int:
        """Inputs that only one side saw."""
        return self.frames_edge_only + self.frames_reference_only

    def to_json(self) -> Json:
        """Return the coverage as JSON."""
        return {
            "frames_paired": self.frames_paired,
            "frames_unpaired": self.frames_unpaired,
            "frames_measured": self.frames_measured,
            "frames_edge_only": self.frames_edge_only,
            "frames_reference_only": self.frames_reference_only,
            "layers_aligned": self.layers_aligned,
            "layers_unaligned": [layer.layer for layer in self.layers_unaligned],
            "layers_unaligned_reasons": [asdict(layer) for layer in self.layers_unaligned],
            "layers_excluded": [asdict(layer) for layer in self.layers_excluded],
            "reference_layers_unmatched": [asdict(layer) for layer in self.reference_unmatched],
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs compared.

    Args:
        places: What stands outside the layers, model inputs included.
        layers: Every layer of the edge model, in graph order.
        stages: Times outside the layers, the model's execution last.
        flips: Labelled inputs that one side alone got right, None without labels.
        mcnemar_p: Probability of flips at least as uneven between equally good sides.
        tasks: What playback's task gave the frames that both judged, by metric.
    """

    edge: Side
    reference: Side
    coverage: Coverage
    places: tuple[Place, ...] = ()
    layers: tuple[LayerDifference, ...] = ()
    stages: tuple[StageTime, ...] = ()
    flips: int | None = None
    mcnemar_p: float | None = None
    tasks: Mapping[str, PairedMeans] = field(default_factory=dict[str, PairedMeans])

    @property
    def inputs(self) -> tuple[Place, ...]:
        """The model inputs that both sides recorded."""
        return tuple(place for place in self.places if place.role == "input")

    @property
    def input(self) -> Place | None:
        """The model input that is farthest apart, one that cannot be compared last."""
        measured = [place for place in self.inputs if place.sqnr_db is not None]
        farthest = min(measured, key=lambda place: place.sqnr_db or 0.0, default=None)
        return farthest or next(iter(self.inputs), None)

    def to_json(self) -> Json:
        """Return what ``compare --json`` prints, but for the verdict."""
        return {
            "coverage": self.coverage.to_json(),
            "input": self.input.to_json() if self.input else {"sqnr_db": None},
            "places": [place.to_json() for place in self.places],
            "layers": [layer.to_json() for layer in self.layers],
            "stages": [asdict(stage) for stage in self.stages],
            "outcome": {
                "edge": self.edge.to_json(),
                "reference": self.reference.to_json(),
                "flips": self.flips,
                "mcnemar_p": self.mcnemar_p,
                "tasks": {metric: asdict(means) for metric, means in self.tasks.items()},
            },
        }
