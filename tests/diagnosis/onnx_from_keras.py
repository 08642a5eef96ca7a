"""A Keras network written as ONNX, in the layout that ONNX has: channels first.

It knows the layers of small image networks. Names of Keras' layers become names of tensors.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def onnx_from_keras(model: Any) -> Any:
    """Return the ``onnx.ModelProto`` of a functional Keras model with one input and output.

    Args:
        model: Its input is an image, channels last; the ONNX model's the same, channels first.
    """
    import onnx
    from onnx import helper

    writer = _Writer()
    source = model.inputs[0]
    writer.tensors[id(source)] = "input"
    depths: Mapping[int, Sequence[Any]] = model._nodes_by_depth
    for depth in sorted(depths, reverse=True):
        for node in depths[depth]:
            if node.is_input:
                continue
            sources = [writer.tensors[id(tensor)] for tensor in node.input_tensors]
            target = writer.add(node.operation, sources, node.input_tensors[0].shape)
            writer.tensors[id(node.outputs[0])] = target
    _, height, width, channels = source.shape
    last, kind = model.outputs[0], onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        writer.nodes,
        model.name,
        [helper.make_tensor_value_info("input", kind, ["N", channels, height, width])],
        [helper.make_tensor_value_info(writer.tensors[id(last)], kind, ["N", *last.shape[1:]])],
        writer.constants,
    )
    opset = helper.make_opsetid("", 17)
    made = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    onnx.checker.check_model(made)
    return made


class _Writer:
    """The nodes and constants of a model in the making."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.tensors: dict[int, str] = {}

    def add(self, layer: Any, sources: list[str], shape: Sequence[int | None]) -> str:
        """Write one layer and its activation; return the name of the tensor that comes out."""
        kind = type(layer).__name__
        if kind in ("Dropout", "InputLayer"):
            return sources[0]
        target = str(layer.name)
        activation = str(getattr(getattr(layer, "activation", None), "__name__", "linear"))
        if kind == "Activation":
            return self._activate(activation, sources[0], target)
        inner = target if activation == "linear" else f"{target}/linear"
        write: Callable[[Any, list[str], str, Sequence[int | None]], None]
        write = getattr(self, f"_{kind.lower()}")
        write(layer, sources, inner, shape)
        return inner if activation == "linear" else self._activate(activation, inner, target)

    def _node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self.nodes.append(
            helper.make_node(op, inputs, [output], name=f"{output}/{op}", **attributes)
        )

    def _constant(self, name: str, value: Any, dtype: type = np.float32) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def _activate(self, activation: str, source: str, target: str) -> str:
        ops = {"relu": "Relu", "softmax": "Softmax", "sigmoid": "Sigmoid", "tanh": "Tanh"}
        self._node(ops[activation], [source], target)
        return target

    def _conv2d(
        self, layer: Any, sources: list[str], target: str, shape: Sequence[int | None]
    ) -> None:
        self._convolve(layer, sources, target, shape, (3, 2, 0, 1), 1)

    def _depthwiseconv2d(
        self, layer: Any, sources: list[str], target: str, shape: Sequence[int | None]
    ) -> None:
        self._convolve(layer, sources, target, shape, (2, 3, 0, 1), int(shape[-1] or 0))

    def _convolve(
        self,
        layer: Any,
        sources: list[str],
        target: str,
        shape: Sequence[int | None],
        order: tuple[int, ...],
        group: int,
    ) -> None:
        weights = [np.asarray(weight) for weight in layer.get_weights()]
        inputs = [sources[0], self._constant(f"{target}/kernel", weights[0].transpose(order))]
        if layer.use_bias:
            inputs.append(self._constant(f"{target}/bias", weights[1]))
        pads = _pads(layer, layer.kernel_size, shape)
        strides = list(layer.strides)
        self._node("Conv", inputs, target, strides=strides, pads=pads, group=group)

    def _batchnormalization(
        self, layer: Any, sources: list[str], target: str, _: Sequence[int | None]
    ) -> None:
        count = layer.moving_mean.shape[0]
        gamma = layer.gamma if layer.scale else np.ones(count)
        beta = layer.beta if layer.center else np.zeros(count)
        named = {
            "gamma": gamma,
            "beta": beta,
            "mean": layer.moving_mean,
            "variance": layer.moving_variance,
        }
        inputs = [self._constant(f"{target}/{name}", value) for name, value in named.items()]
        epsilon = float(layer.epsilon)
        self._node("BatchNormalization", [sources[0], *inputs], target, epsilon=epsilon)

    def _relu(self, layer: Any, sources: list[str], target: str, _: Sequence[int | None]) -> None:
        if layer.max_value is None:
            self._node("Relu", sources, target)
            return
        ends = [
            self._constant(f"{target}/low", 0.0),
            self._constant(f"{target}/high", layer.max_value),
        ]
        self._node("Clip", [sources[0], *ends], target)

    def _softmax(self, _: Any, sources: list[str], target: str, __: Sequence[int | None]) -> None:
        self._node("Softmax", sources, target)

    def _zeropadding2d(
        self, layer: Any, sources: list[str], target: str, _: Sequence[int | None]
    ) -> None:
        (top, bottom), (left, right) = layer.padding
        pads = [0, 0, top, left, 0, 0, bottom, right]
        self._node("Pad", [sources[0], self._constant(f"{target}/pads", pads, np.int64)], target)

    def _maxpooling2d(
        self, layer: Any, sources: list[str], target: str, shape: Sequence[int | None]
    ) -> None:
        self._pool("MaxPool", layer, sources, target, shape)

    def _averagepooling2d(
        self, layer: Any, sources: list[str], target: str, shape: Sequence[int | None]
    ) -> None:
        self._pool("AveragePool", layer, sources, target, shape)

    def _pool(
        self, op: str, layer: Any, sources: list[str], target: str, shape: Sequence[int | None]
    ) -> None:
        pads, strides = _pads(layer, layer.pool_size, shape), list(layer.strides)
        self._node(
            op, sources, target, kernel_shape=list(layer.pool_size), strides=strides, pads=pads
        )

    def _globalaveragepooling2d(
        self, layer: Any, sources: list[str], target: str, _: Sequence[int | None]
    ) -> None:
        keeps = int(layer.keepdims)
        self._node("ReduceMean", sources, target, axes=[2, 3], keepdims=keeps)

    def _add(self, _: Any, sources: list[str], target: str, __: Sequence[int | None]) -> None:
        self._node("Add", sources, target)

    def _flatten(self, _: Any, sources: list[str], target: str, __: Sequence[int | None]) -> None:
        # Keras flattens channels last.
        self._node("Transpose", sources, f"{target}/nhwc", perm=[0, 2, 3, 1])
        self._node("Flatten", [f"{target}/nhwc"], target)

    def _reshape(
        self, layer: Any, sources: list[str], target: str, _: Sequence[int | None]
    ) -> None:
        shape = [0, *layer.target_shape]
        if len(shape) == 4:
            shape = [shape[0], shape[3], shape[1], shape[2]]
        self._node(
            "Reshape", [sources[0], self._constant(f"{target}/shape", shape, np.int64)], target
        )

    def _dense(self, layer: Any, sources: list[str], target: str, _: Sequence[int | None]) -> None:
        weights = layer.get_weights()
        names = ["kernel", "bias"][: len(weights)]
        inputs = [
            self._constant(f"{target}/{name}", weight)
            for name, weight in zip(names, weights, strict=True)
        ]
        self._node("Gemm", [sources[0], *inputs], target)


def _pads(layer: Any, window: Sequence[int], shape: Sequence[int | None]) -> list[int]:
    """Return ONNX's padding, all begins before all ends, for Keras' word."""
    if layer.padding != "same":
        return [0, 0, 0, 0]
    before: list[int] = []
    after: list[int] = []
    for size, stride, length in zip(shape[1:3], layer.strides, window, strict=True):
        assert size is not None
        steps = -(-size // stride)
        total = max((steps - 1) * stride + length - size, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return [*before, *after]
