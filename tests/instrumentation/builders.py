"""Tiny models, ready interpreters, and a model that needs no runtime."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exray.instrumentation.capture import Carrier, TensorRecorder
from exray.instrumentation.execution import Execution, Seen
from exray.instrumentation.inference import trace_call
from exray.instrumentation.native_library import native_library
from exray.instrumentation.recorder import Recorder
from exray.instrumentation.traced_model import TracedModel
from exray.schema.records import (
    FrameRecord,
    Graph,
    LayerBlock,
    Quantization,
    Run,
    TensorBlock,
    TensorSite,
)

MODELS = Path(__file__).parent.parent / "data"

FLOAT, INT8, SPLIT = (MODELS / f"tiny_{name}.tflite" for name in ("float", "int8", "split"))

TINY_LAYERS = ["CONV_2D", "MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]

Array = NDArray[Any]

needs_native = pytest.mark.skipif(
    native_library().handle is None, reason=f"no native library: {native_library().reason}"
)


def litert() -> Any:
    """Return LiteRT's module of the interpreter, without types; skips where it is absent."""
    return pytest.importorskip("ai_edge_litert.interpreter")


def make_interpreter(model: Path = FLOAT, **options: Any) -> Any:
    """Return an interpreter of LiteRT that is ready to run."""
    interpreter = litert().Interpreter(str(model), **options)
    interpreter.allocate_tensors()
    return interpreter


def make_input(seed: int = 0, dtype: Any = np.float32) -> Array:
    """Return an input of the tiny classifiers."""
    values: Array = np.random.default_rng(seed).random((1, 8, 8, 3), np.float32)
    if dtype is not np.float32:
        values = (values * 255 - 128).astype(dtype)
    return values


def run(interpreter: Any, value: Array) -> Array:
    """Run an interpreter on one input and return its first output."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
    interpreter.invoke()
    output: Array = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return output


def seen_tensors(frame: FrameRecord, role: str | None = None) -> list[tuple[TensorSite, Any]]:
    """Return site and row of every tensor of a frame, or of those in one role."""
    blocks: list[TensorBlock] = [*frame.tensors]
    blocks += [i.tensors for i in frame.inferences if i.tensors is not None]
    seen: list[tuple[TensorSite, Any]] = []
    for block in blocks:
        numbers: list[int] = block.rows["site"].tolist()
        seen += zip([block.sites[number] for number in numbers], block.rows, strict=True)
    return [(site, row) for site, row in seen if role in (None, site.role)]


class FakeModel(TracedModel, Execution):
    """A model without a runtime: its output is what it is told to be."""

    def __init__(
        self,
        recorder: Recorder,
        output: Array | None = None,
        quantization: Quantization | None = None,
        inputs: tuple[Array, ...] = (np.zeros(3, np.float32),),
    ) -> None:
        super().__init__(recorder)
        self.inputs = inputs
        self.output = np.ones(2, np.float32) if output is None else output
        self._quantization = quantization

    def describe(self, run: Run) -> Graph | None:
        """Name the model."""
        run.model_name, run.model_sha256 = "fake", "0" * 64
        return None

    def read_inputs(self) -> Seen:
        """Return the inputs."""
        return [
            (TensorSite("input", f"in{i}", i, array.dtype.name, array.shape), array)
            for i, array in enumerate(self.inputs)
        ]

    def read_outputs(self) -> Seen:
        """Return the output."""
        output = self.output
        site = TensorSite(
            "output", "out", 0, output.dtype.name, output.shape, None, self._quantization
        )
        return [(site, output)]

    def read_layers(
        self, recorder: TensorRecorder, inference: Carrier, family: int
    ) -> LayerBlock | None:
        """Return none."""
        return None

    def __call__(self, *inputs: Array) -> Array:
        """Run once, traced."""
        self.inputs = inputs or self.inputs
        return trace_call(self, self, lambda: self.output)


def raising(error: BaseException) -> Callable[..., Any]:
    """Return a function that raises *error*, whatever it is called with."""

    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail
