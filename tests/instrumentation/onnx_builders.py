"""Small ONNX models of every form, and inputs for them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]

LAYERS = [
    *("Conv", "Relu", "Conv", "Relu", "Conv", "Add", "Relu", "MaxPool"),
    *("GlobalAveragePool", "Flatten", "Gemm", "Softmax"),
]
"""Operators of `small`, in order."""


def runtime() -> Any:
    """Return ONNX Runtime, without types; skips where it or the onnx package is absent."""
    pytest.importorskip("onnx")
    return pytest.importorskip("onnxruntime")


def image(seed: int = 0, batch: int = 1) -> Array:
    """Return an input of the image models, channels first."""
    values: Array = np.random.default_rng(seed).normal(size=(batch, 3, 16, 16))
    return values.astype(np.float32)


def session_of(model: Any, **options: Any) -> Any:
    """Return a session of a model proto; options are those of ``SessionOptions``."""
    ort = runtime()
    settings = ort.SessionOptions()
    for name, value in options.items():
        setattr(settings, name, value)
    return ort.InferenceSession(
        model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )


def small() -> Any:
    """Return a classifier of images with a branch, a depthwise convolution and dense layers."""
    from onnx import helper

    make = helper.make_node
    same: Any = {"pads": [1, 1, 1, 1]}
    nodes = [
        make("Conv", ["x", "w1", "b1"], ["c1"], name="conv1", strides=[2, 2], **same),
        make("Relu", ["c1"], ["r1"], name="relu1"),
        make("Conv", ["r1", "w2", "b2"], ["c2"], name="dw", group=8, **same),
        make("Relu", ["c2"], ["r2"]),
        make("Conv", ["r2", "w3", "b3"], ["c3"], name="conv3"),
        make("Add", ["c3", "r1"], ["a"], name="add"),
        make("Relu", ["a"], ["r3"]),
        make("MaxPool", ["r3"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        make("GlobalAveragePool", ["m"], ["g"]),
        make("Flatten", ["g"], ["f"]),
        make("Gemm", ["f", "w4", "b4"], ["l"], name="fc"),
        make("Softmax", ["l"], ["p"], name="softmax"),
    ]
    shapes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 1, 3, 3), "b2": (8,)}
    shapes |= {"w3": (8, 8, 1, 1), "b3": (8,), "w4": (8, 5), "b4": (5,)}
    return model_of(nodes, {"x": ["N", 3, 16, 16]}, {"p": ["N", 5]}, _weights(shapes))


def _weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, Array]:
    random = np.random.default_rng(7)
    return {
        name: (random.normal(size=shape) * 0.4).astype(np.float32) for name, shape in shapes.items()
    }


def model_of(
    nodes: list[Any],
    inputs: dict[str, list[Any]],
    outputs: dict[str, list[Any]],
    constants: dict[str, Any] | None = None,
    opset: int = 17,
) -> Any:
    """Return a model proto; inputs and outputs are float32."""
    from onnx import TensorProto, helper, numpy_helper

    def values(shapes: dict[str, list[Any]]) -> list[Any]:
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in shapes.items()
        ]

    held = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "small", values(inputs), values(outputs), held)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def quantized(folder: Path, form: str) -> Any:
    """Return `small` in int8, as ONNX Runtime's own tool makes it.

    Args:
        folder: For its files.
        form: ``QDQ`` or ``QOperator``.
    """
    import onnx

    quantization: Any = pytest.importorskip("onnxruntime.quantization")

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._inputs: Iterator[Array] = iter([image(seed) for seed in range(4)])

        def get_next(self) -> dict[str, Array] | None:
            value = next(self._inputs, None)
            return None if value is None else {"x": value}

    source, target = folder / "float.onnx", folder / f"{form}.onnx"
    source.write_bytes(small().SerializeToString())
    quantization.quantize_static(
        str(source),
        str(target),
        Reader(),
        quant_format=quantization.QuantFormat[form],
        weight_type=quantization.QuantType.QInt8,
        activation_type=quantization.QuantType.QInt8,
        per_channel=True,
    )
    return onnx.load(str(target))
