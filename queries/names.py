"""Names of layers and tensors as a reader wants them: short, and safe for a terminal."""

import re

DASH = "-"
"""Stands where there is no value."""

_UNTELLING = re.compile(
    r"(fused)?batch_?norm(v\d)?|relu\d?|bias_?add|conv2d|convolution", re.IGNORECASE
)
"""Last parts of names that only say what every layer of a network has."""


def short_name(name: str) -> str:
    """Return the first of a converter's fused names, which is the layer's own."""
    return name.split(";")[0]


def tail_name(name: str, length: int = 34) -> str:
    """Return the telling part of a layer's name.

    Converters put the model's name in front, and what the operator's type says at the end.

    Args:
        name: As the converter wrote it.
        length: Characters above which more is left out.

    >>> tail_name("mobilenet_0.25_224_1/conv_pw_13_relu_1/Relu6;mobilenet/conv_pw_13")
    'conv_pw_13_relu_1/Relu6'
    >>> tail_name("MobileNetV2/expanded_conv_1/project/batch_norm/FusedBatchNormV3")
    'expanded_conv_1/project'
    """
    parts = short_name(name).split("/")
    if len(parts) > 2:
        parts.pop(0)
    is_long = len("/".join(parts)) > length
    while is_long and len(parts) > 1 and _UNTELLING.fullmatch(parts[-1]):
        parts.pop()
    while len(parts) > 1 and len("/".join(parts)) > length:
        parts.pop(0)
    return printable("/".join(parts)) or DASH


def printable(text: str) -> str:
    """Return text without characters that would steer a terminal or a page.

    >>> printable("conv" + chr(27) + "[31m")
    'conv\\ufffd[31m'
    """
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
