"""What each operator computes, in one vocabulary for TFLite, Keras and ONNX.

An operator is a tuple of primitives, in the order in which they apply. Fusion only
moves primitives from one operator to another, so two graphs of one network have the
same primitives between the same two tensors, however they are cut into layers.
"""

from collections.abc import Mapping

PRODUCT = "product"
"""A linear product with weights: scale and offset after it fold into them.

One primitive for convolution, depthwise convolution and dense layers: converters turn one
into another (a dense layer into a 1x1 convolution). Counts and MACs tell them apart.
"""

LIGHT = frozenset({"affine", "relu", "pad"})
"""Primitives that a converter adds, folds away or turns into a quantization range."""

UNKNOWN = "?"
"""Begins a primitive that this vocabulary does not have."""

_ACTIVATIONS: Mapping[str, tuple[str, ...]] = {
    "": (),
    "none": (),
    "linear": (),
    # One primitive for all: a range or a fused RELU6 clamps where the source has ReLU.
    "relu": ("relu",),
    "relu6": ("relu",),
    "relun1to1": ("relu",),
    "relu0to1": ("relu",),
    "clip": ("relu",),
    "leakyrelu": ("leaky",),
    "prelu": ("prelu",),
    "elu": ("elu",),
    "selu": ("selu",),
    "gelu": ("gelu",),
    "tanh": ("tanh",),
    "logistic": ("sigmoid",),
    "sigmoid": ("sigmoid",),
    # What the converter makes of them: separate operators, not one.
    "silu": ("sigmoid", "mul"),
    "swish": ("sigmoid", "mul"),
    "hardsigmoid": ("affine", "relu", "affine"),
    "hardswish": ("hardswish",),
    "hardsilu": ("hardswish",),
    "softmax": ("softmax",),
    "logsoftmax": ("logsoftmax",),
    "softplus": ("softplus",),
    "exponential": ("exp",),
    "exp": ("exp",),
}

_SAME_VALUE = (
    "reshape flatten squeeze expanddims quantize dequantize cast identity noop inputlayer dropout"
    " spatialdropout1d spatialdropout2d spatialdropout3d alphadropout gaussiandropout"
    " gaussiannoise activityregularization masking unsqueeze quantizelinear dequantizelinear"
)
_SAME_PRIMITIVE = {
    PRODUCT: "conv1d conv2d conv3d depthwiseconv1d depthwiseconv2d dense fullyconnected"
    " einsumdense batchmatmul transposeconv conv1dtranspose conv2dtranspose conv3dtranspose"
    " conv convtranspose convinteger qlinearconv gemm qgemm matmul matmulinteger qlinearmatmul",
    "affine": "batchnormalization rescaling normalization batchnorm",
    "pool": "averagepool2d averagepooling1d averagepooling2d averagepooling3d mean"
    " globalaveragepooling1d globalaveragepooling2d globalaveragepooling3d averagepool"
    " globalaveragepool reducemean qlinearaveragepool qlinearglobalaveragepool qlinearreducemean",
    "maxpool": "maxpool2d maxpooling1d maxpooling2d maxpooling3d reducemax"
    " globalmaxpooling1d globalmaxpooling2d globalmaxpooling3d maxpool globalmaxpool",
    "pad": "pad padv2 mirrorpad zeropadding1d zeropadding2d zeropadding3d",
    "resize": "resizebilinear resizenearestneighbor upsampling1d upsampling2d resizing resize"
    " upsample",
    "slice": "slice stridedslice cropping1d cropping2d cropping3d getitem",
    "concat": "concatenation concatenate pack stack concat qlinearconcat",
    "transpose": "transpose permute",
    "gather": "gather embedding embeddinglookup",
    "lstm": "lstm unidirectionalsequencelstm",
    "maximum": "maximum max",
    "minimum": "minimum min",
    "leaky": "qlinearleakyrelu",
    "sigmoid": "qlinearsigmoid",
    "softmax": "qlinearsoftmax",
}
# With one activation input and a constant these scale or shift; with two they join.
_JOINS = {
    "add": "add", "addn": "add", "sub": "add", "subtract": "add", "mul": "mul", "multiply": "mul",
    "div": "mul", "divide": "mul", "qlinearadd": "add", "qlinearmul": "mul",
}  # fmt: skip
_PRIMITIVES: Mapping[str, tuple[str, ...]] = {
    **_ACTIVATIONS,
    **dict.fromkeys(_SAME_VALUE.split(), ()),
    **{op: (kind,) for kind, ops in _SAME_PRIMITIVE.items() for op in ops.split()},
    "separableconv1d": (PRODUCT, PRODUCT),
    "separableconv2d": (PRODUCT, PRODUCT),
}


def primitives(op: str, activation: str | None, inputs: int) -> tuple[str, ...]:
    """Split an operator into primitives.

    Args:
        op: Operator as TFLite (``CONV_2D``), Keras (``Conv2D``) or ONNX (``Conv``) names it.
        activation: Function fused into it; None if it has one that is not known.
        inputs: Activations that it reads, constants not counted.

    Returns:
        Primitives in order of application; empty if the output has the input's values.

    >>> primitives("CONV_2D", "RELU6", 1)
    ('product', 'relu')
    >>> primitives("ADD", "NONE", 2), primitives("ADD", "NONE", 1)
    (('add',), ('affine',))
    """
    key = _plain(op)
    if key == "activation":
        own: tuple[str, ...] = ()
    elif key in _JOINS:
        own = (_JOINS[key],) if inputs > 1 else ("affine",)
    else:
        own = _PRIMITIVES.get(key, (UNKNOWN + key,))
    if activation is None:
        return (*own, UNKNOWN + "activation")
    name = _plain(activation)
    return own + _ACTIVATIONS.get(name, (UNKNOWN + name,))


def _plain(name: str) -> str:
    """Reduce a name to lower-case letters and digits, so that two spellings meet."""
    return "".join(character for character in name.lower() if character.isalnum())
