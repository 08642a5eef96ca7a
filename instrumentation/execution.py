"""What a runtime tells of one execution of a model."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import xxhash

from exray.schema.identity import tensor_bytes
from exray.schema.records import LaterLayers, LayerBlock, MetricRecord, TensorSite

from .capture import Array, Carrier, TensorRecorder

if TYPE_CHECKING:
    from .timed_call import TimedCalls

Seen = list[tuple[TensorSite, Array]]
"""Model inputs or outputs in the model's order: where each is seen, and its value."""


class Execution(ABC):
    """How to read the tensors of one execution."""

    is_leaf = False
    """Whether nothing of the application's runs inside the call, only the runtime's code."""

    timed_calls: "TimedCalls | None" = None
    """What records a call that keeps only its times, where there is something quicker."""

    @abstractmethod
    def read_inputs(self) -> Seen:
        """Return the model inputs as they stand before the call."""

    @abstractmethod
    def read_outputs(self) -> Seen:
        """Return the model outputs as they stand after the call."""

    def hash_inputs(self) -> str | None:
        """Return what `input_id_from_arrays` says of the inputs; None asks for copies."""
        return None

    def hash_output(self) -> tuple[TensorSite, int] | None:
        """Return where the first output is seen and its hash; None asks for copies."""
        return None

    def show_inputs(self, see: Callable[[TensorSite, Array], None]) -> bool:
        """Show *see* each model input, which it may not keep; False asks for copies."""
        return False

    def show_outputs(self, see: Callable[[TensorSite, Array], None]) -> bool:
        """Show *see* each model output, which it may not keep; False asks for copies."""
        return False

    def begin(self, family: int, *, summarises: bool) -> None:  # noqa: B027 - most need not
        """Get ready to see the layers of the call that follows on this thread.

        Args:
            family: Sketch family of the frame's input, 0..15.
            summarises: Whether tensors are summarised.
        """

    def end(self) -> int:
        """Let go of what `begin` set up; return the time within the call that it took, ns."""
        return 0

    def read_times(self, inference: Carrier) -> LayerBlock | LaterLayers | None:
        """Return the layers' spans where tensors are not summarised; None without times."""
        return None

    @abstractmethod
    def read_layers(
        self, recorder: TensorRecorder, inference: Carrier, family: int
    ) -> LayerBlock | None:
        """Summarise every layer's outputs into *recorder* and return the layers' spans."""

    def read_metrics(self) -> Sequence[MetricRecord]:
        """Return what else was measured, once the layers were read."""
        return ()


def input_id_from_arrays(arrays: Sequence[Array]) -> str:
    """Return the hex XXH3-64 of the model input's bytes, inputs in the model's order."""
    digest = xxhash.xxh3_64()
    for array in arrays:
        digest.update(tensor_bytes(array))
    return digest.hexdigest()


def layout_of(shape: Sequence[int]) -> str | None:
    """Return ``nhwc`` for a rank that images have, None where the meaning is not known."""
    return "nhwc" if len(shape) == 4 else None
