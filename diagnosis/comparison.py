"""What a comparison of two runs found, as plain values: the terminal, JSON and HTML read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Json = dict[str, object]
"""A JSON object; never holds NaN or an infinity."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: a build's runs.

    Args:
        top1: Share of labelled frames that were right, None without labels.
        ci95: Wilson interval of *top1*.
        model_ms: Median time of a model execution, milliseconds.
    """

    build: str
    role: str
    model_name: str
    model_sha256: str
    kernels: str
    run_ids: tuple[str, ...]
    frames: int = 0
    top1: float | None = None
    ci95: tuple[float, float] | None = None
    model_ms: float | None = None

    def to_json(self) -> Json:
        """Return the side as JSON."""
        return {
            "build": self.build,
            "role": self.role,
            "model": self.model_name,
            "kernels": self.kernels,
            "runs": list(self.run_ids),
            "frames": self.frames,
            "top1": self.top1,
            "ci95": list(self.ci95) if self.ci95 else None,
            "model_ms": self.model_ms,
        }


@dataclass(frozen=True, slots=True)
class Place:
    """One point outside the layers where both sides were seen: raw, a stage, the model input.

    Args:
        sqnr_db: Over the paired frames, None where the two cannot be compared.
        rmse_per_scale: Root mean square error in quantization steps of the edge, None for
            a float edge. Rounding alone gives 0.289.
    """

    name: str
    sqnr_db: float | None
    rmse_per_scale: float | None = None
    cosine: float | None = None
    frames: int = 0
    reason: str | None = None

    def to_json(self) -> Json:
        """Return the place as JSON."""
        return {
            "name": self.name,
            "sqnr_db": self.sqnr_db,
            "rmse_per_scale": self.rmse_per_scale,
            "cosine": self.cosine,
            "frames": self.frames,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class LayerDifference:
    """One edge layer against its counterpart, over the paired frames.

    Distances are None where the layer has no counterpart or was not measured, and *reason*
    says which.

    Args:
        drop_db: SQNR of the layer's inputs minus its own.
        rank_drop_db: The same with inputs taken as no better than 40 dB, for ranking.
        edge_nonfinite_count: Elements of the edge that are NaN or infinite.
        saturated_ratio: Share of the edge's integers at either end of their type.
    """

    layer_index: int
    layer: str
    op: str
    reference_layer: str | None
    sqnr_db: float | None = None
    drop_db: float | None = None
    rank_drop_db: float | None = None
    cosine: float | None = None
    nrmse: float | None = None
    rmse_per_scale: float | None = None
    edge_nonfinite_count: int = 0
    saturated_ratio: float | None = None
    edge_ms: float | None = None
    reference_ms: float | None = None
    frames: int = 0
    reason: str | None = None

    def to_json(self) -> Json:
        """Return the layer as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class StageTime:
    """Median time of a stage on both sides, milliseconds; None where it was not seen."""

    name: str
    edge_ms: float | None
    reference_ms: float | None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the two could be compared.

    Args:
        frames_measured: Paired frames whose tensors both sides recorded.
        layers_unaligned: Layers that compute activations but have no counterpart, and why.
        layers_excluded: Operators that compute no activations, and why.
    """

    frames_paired: int
    frames_measured: int
    frames_unpaired: int
    layers_aligned: int
    layers_unaligned: Mapping[str, str] = field(default_factory=dict[str, str])
    layers_excluded: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs compared."""

    edge: Side
    reference: Side
    coverage: Coverage
    places: tuple[Place, ...]
    input: Place | None
    layers: tuple[LayerDifference, ...]
    stages: tuple[StageTime, ...]
    flips: int | None
    mcnemar_p: float | None

    def to_json(self) -> Json:
        """Return what ``compare --json`` prints."""
        return {
            "coverage": {
                "frames_paired": self.coverage.frames_paired,
                "frames_measured": self.coverage.frames_measured,
                "frames_unpaired": self.coverage.frames_unpaired,
                "layers_aligned": self.coverage.layers_aligned,
                "layers_unaligned": list(self.coverage.layers_unaligned),
                "layers_excluded": dict(self.coverage.layers_excluded),
            },
            "input": self.input.to_json() if self.input else {"sqnr_db": None},
            "places": [place.to_json() for place in self.places],
            "layers": [layer.to_json() for layer in self.layers],
            "stages": [
                {"stage": s.name, "edge_ms": s.edge_ms, "reference_ms": s.reference_ms}
                for s in self.stages
            ],
            "outcome": {
                "edge": self.edge.to_json(),
                "reference": self.reference.to_json(),
                "flips": self.flips,
                "mcnemar_p": self.mcnemar_p,
            },
        }
