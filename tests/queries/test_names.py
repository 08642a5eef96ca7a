"""Names as a reader wants them."""

import pytest

from exray.queries.names import printable, tail_name


@pytest.mark.parametrize(
    ("name", "tail"),
    [
        ("mobilenet_0.25_224_1/conv_pw_13_relu_1/Relu6;other", "conv_pw_13_relu_1/Relu6"),
        ("MobileNetV2/expanded_conv_1/depthwise/relu6/Relu6", "expanded_conv_1/depthwise"),
        ("model/batch_normalization_2/FusedBatchNormV3;x", "batch_normalization_2"),
        ("dense_1/Softmax", "dense_1/Softmax"),
        ("conv", "conv"),
        ("StatefulPartitionedCall_1:0", "StatefulPartitionedCall_1:0"),
        (f"block/{'x' * 40}", "x" * 40),
        ("", "-"),
    ],
)
def test_tail_name_keeps_what_tells_layers_apart(name: str, tail: str) -> None:
    assert tail_name(name) == tail


def test_printable_replaces_what_steers_a_terminal() -> None:
    assert printable("a\x1b[31m\u202eb\n") == "a\ufffd[31m\ufffdb\ufffd"
