"""Multiply-accumulates of Keras layers, from their weights' shapes.

They agree with `tflite_macs` on the operators that a converter makes of these layers.
"""

from math import prod
from typing import Any

from .macs import Shape


# Any: Keras has no types.
def keras_macs(keras: Any, layer: Any, inputs: list[Shape], output: Shape) -> int:
    """Count the multiply-accumulates of one call of a layer.

    ========================  ==================================================
    Conv1D/2D/3D              output elements x kernel elements per output channel
    DepthwiseConv1D/2D        output elements x kernel height x kernel width
    SeparableConv1D/2D        positions x channels x (kernel positions + filters)
    Conv1D/2D/3DTranspose     input elements x kernel elements per input channel
    Dense                     output elements x rows of the kernel
    anything else             0
    ========================  ==================================================

    Args:
        keras: The module.
        layer: A built layer.
        inputs: Shapes of its inputs, batch 1.
        output: Shape of its first output, batch 1.

    Returns:
        Multiply-accumulates; 0 where a dimension is unknown (-1).
    """
    known = bool(output) and min(output, default=-1) > 0
    if not known or not getattr(layer, "built", False):
        return 0
    layers, elements = keras.layers, prod(output)
    if isinstance(layer, layers.Conv1D | layers.Conv2D | layers.Conv3D):
        return elements * prod(_shape(layer.kernel)[:-1])  # positions, in / groups, out
    if isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D):
        return elements * prod(_shape(layer.kernel)[:-2])  # positions, in, multiplier
    if isinstance(layer, layers.SeparableConv1D | layers.SeparableConv2D):
        *positions, channels, multiplier = _shape(layer.depthwise_kernel)
        filters = _shape(layer.pointwise_kernel)[-1]
        return elements // filters * channels * multiplier * (prod(positions) + filters)
    transposed = layers.Conv1DTranspose | layers.Conv2DTranspose | layers.Conv3DTranspose
    if isinstance(layer, transposed):
        fed = inputs[0] if inputs else ()
        return prod(fed) * prod(_shape(layer.kernel)[:-1]) if min(fed, default=-1) > 0 else 0
    if isinstance(layer, layers.Dense):
        return elements * _shape(layer.kernel)[0]
    return 0


def _shape(weight: Any) -> Shape:
    return tuple(weight.shape)
