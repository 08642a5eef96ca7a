"""What a diagnosis could not look at, for want of files, builds or recordings."""

from collections.abc import Iterator
from dataclasses import dataclass

from .causes import Replay
from .comparison import Json
from .conclusion import Diagnosis


@dataclass(frozen=True, slots=True)
class Unseen:
    """Something that was not judged, and what it takes."""

    what: str
    needs: str

    def to_json(self) -> Json:
        """Return it as JSON."""
        return {"what": self.what, "needs": self.needs}


def unseen(diagnosis: Diagnosis, replay: Replay) -> tuple[Unseen, ...]:
    """Return what a diagnosis did not judge.

    Args:
        diagnosis: What was found.
        replay: The files that it had.
    """
    return tuple(_unseen(diagnosis, replay))


def _unseen(diagnosis: Diagnosis, replay: Replay) -> Iterator[Unseen]:
    comparison = diagnosis.comparison
    if comparison.edge.model_sha256 != comparison.reference.model_sha256:
        has_files = replay.edge_model is not None and replay.reference_model is not None
        if not has_files:
            yield Unseen(
                "whether each layer's weights are the reference's",
                "--edge-model and --reference-model",
            )
        if not has_files or replay.inputs is None:
            yield Unseen(
                "what each operator does by itself, apart from what it inherits",
                "--inputs beside both model files",
            )
    if replay.inputs is None:
        yield Unseen("which preprocessing made a model input that differs", "--inputs")
    if diagnosis.before is None:
        yield Unseen("whether anything got worse than before", "--baseline BUILD")
    if comparison.flips is None:
        yield Unseen("accuracy", "labels on both sides: exray run --labels CSV")
    if comparison.edge.model_ms is None or comparison.edge.times_inflated:
        yield Unseen(
            "the edge's times without what summaries cost", "frames of exray run --level latency"
        )
    count = len(comparison.coverage.layers_unaligned)
    if count:
        yield Unseen(
            f"{count} layers that answer to none of the reference",
            "a reference with such layers; exray compare names them",
        )
