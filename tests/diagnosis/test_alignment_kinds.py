"""One vocabulary for the operators of two runtimes."""

import pytest

from exray.diagnosis.alignment_kinds import UNKNOWN, primitives


@pytest.mark.parametrize(
    ("tflite", "keras"),
    [
        (("CONV_2D", "RELU6", 1), ("Conv2D", "RELU6", 1)),
        (("DEPTHWISE_CONV_2D", "NONE", 1), ("DepthwiseConv2D", "NONE", 1)),
        (("FULLY_CONNECTED", "NONE", 1), ("Dense", "linear", 1)),
        (("ADD", "NONE", 2), ("Add", "", 2)),
        (("MUL", "NONE", 1), ("BatchNormalization", "", 1)),
        (("MEAN", "", 1), ("GlobalAveragePooling2D", "", 1)),
        (("AVERAGE_POOL_2D", "NONE", 1), ("AveragePooling2D", "", 1)),
        (("RESHAPE", "", 1), ("Flatten", "", 1)),
        (("QUANTIZE", "", 1), ("InputLayer", "", 0)),
        (("LOGISTIC", "", 1), ("Activation", "SIGMOID", 1)),
        (("HARD_SWISH", "", 1), ("Activation", "HARD_SILU", 1)),
        (("RELU", "", 1), ("ReLU", "", 1)),
        (("TRANSPOSE_CONV", "NONE", 1), ("Conv2DTranspose", "NONE", 1)),
    ],
)
def test_primitives_are_those_of_the_other_runtime(
    tflite: tuple[str, str, int], keras: tuple[str, str, int]
) -> None:
    assert primitives(*tflite) == primitives(*keras)


@pytest.mark.parametrize(
    ("onnx", "keras"),
    [
        (("Conv", "", 1), ("Conv2D", "linear", 1)),
        (("QLinearConv", "RELU", 1), ("Conv2D", "RELU", 1)),
        (("Clip", "", 1), ("ReLU", "", 1)),
        (("Gemm", "", 1), ("Dense", "linear", 1)),
        (("QLinearAdd", "", 2), ("Add", "", 2)),
        (("ReduceMean", "", 1), ("GlobalAveragePooling2D", "", 1)),
        (("MaxPool", "", 1), ("MaxPooling2D", "", 1)),
        (("QuantizeLinear", "", 1), ("Flatten", "", 1)),
    ],
)
def test_primitives_of_onnx_are_those_of_keras(
    onnx: tuple[str, str, int], keras: tuple[str, str, int]
) -> None:
    assert primitives(*onnx) == primitives(*keras)


def test_primitives_what_the_vocabulary_lacks_is_marked_and_stays_itself() -> None:
    assert primitives("MAGIC_OP", "", 1) == (f"{UNKNOWN}magicop",)
    assert primitives("Activation", None, 1) == (f"{UNKNOWN}activation",)
