"""What conversion, quantization and kernels each do to an integer build, where runs tell."""

from collections import Counter
from dataclasses import asdict, dataclass

from .comparison import Json

STEPS = ("conversion", "quantization", "kernel")
"""The steps on the way from the model as trained to what the device computes."""


@dataclass(frozen=True, slots=True)
class LayerSteps:
    """What each step does to one layer: SQNR in dB, None where it was not measured.

    Args:
        layer_index: The layer's index in the edge model.
        layer: Its name as the converter wrote it.
        op: Its operator.
        total_sqnr_db: Edge against reference.
        kernel_sqnr_db: Edge against the same file on the float file's kernels.
        quantization_sqnr_db: That, or the edge, against the float file.
        conversion_sqnr_db: Float file against reference.
        largest: The step that adds most error.
    """

    layer_index: int
    layer: str
    op: str
    total_sqnr_db: float | None
    kernel_sqnr_db: float | None
    quantization_sqnr_db: float | None
    conversion_sqnr_db: float | None
    largest: str | None

    @property
    def shares(self) -> dict[str, float]:
        """Share of the steps' squared errors that each measured step has."""
        found = {
            name: 10 ** (-db / 10)
            for name, db in zip(STEPS, (
                self.conversion_sqnr_db, self.quantization_sqnr_db, self.kernel_sqnr_db
            ), strict=True)
            if db is not None
        }  # fmt: skip
        total = sum(found.values())
        return {name: share / total for name, share in found.items()} if total else {}

    def to_json(self) -> Json:
        """Return the layer as JSON."""
        document: Json = dict(asdict(self))
        document["shares"] = {name: round(share, 4) for name, share in self.shares.items()}
        return document


@dataclass(frozen=True, slots=True)
class Missing:
    """A build that is not in the lake, and the command that records it."""

    what: str
    command: str


@dataclass(frozen=True, slots=True)
class Decomposition:
    """The steps between an integer edge and its reference.

    Args:
        layers: Layers in graph order; none where no step can be told from another.
        other_kernels: The edge's file on other kernels, as a reader knows it; empty for none.
        float_file: The float .tflite file, likewise.
        missing: What would tell more.
    """

    layers: tuple[LayerSteps, ...] = ()
    other_kernels: str = ""
    float_file: str = ""
    missing: tuple[Missing, ...] = ()

    @property
    def worst(self) -> tuple[LayerSteps, ...]:
        """The layers that are farthest from the reference, the farthest first."""
        measured = [layer for layer in self.layers if layer.total_sqnr_db is not None]
        return tuple(sorted(measured, key=lambda layer: layer.total_sqnr_db or 0.0))

    @property
    def largest(self) -> Counter[str]:
        """In how many layers each step adds most error."""
        return Counter(layer.largest for layer in self.layers if layer.largest is not None)

    def to_json(self) -> Json:
        """Return the decomposition as JSON."""
        return {
            "other_kernels": self.other_kernels or None,
            "float_file": self.float_file or None,
            "largest": dict(self.largest),
            "missing": [asdict(missing) for missing in self.missing],
            "layers": [layer.to_json() for layer in self.layers],
        }
