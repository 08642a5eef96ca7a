"""What layer names say, and what they only seem to say."""

import pytest

from exray.diagnosis.alignment_names import EXACT, Names, score

# V2's first depthwise output, as its file has it: the last part is of another block.
MISLEADING = (
    "MobileNetV2/expanded_conv_1/depthwise/relu6/Relu6;"
    "MobileNetV2/expanded_conv_1/depthwise/batch_norm/FusedBatchNormV3;"
    "MobileNetV2/expanded_conv_6/project/Conv2D"
)


def best(edge: str, reference: list[str]) -> str | None:
    """Return the reference name that fits best, None if none does."""
    ours, theirs = Names([edge]), Names(reference)
    scores = [score(ours, 0, theirs, j) for j in range(len(reference))]
    return reference[scores.index(max(scores))] if max(scores) > 0 else None


@pytest.mark.parametrize(
    ("edge", "reference", "expected"),
    [
        ("m/act/Relu;m/bn/Fused", ["bn", "act"], "act"),  # the first part names the output
        (
            MISLEADING,
            [
                "expanded_conv_6_project",
                "expanded_conv_1_depthwise_relu",
                "expanded_conv_1_depthwise",
            ],
            "expanded_conv_1_depthwise_relu",
        ),
        ("m/conv2d_1/BiasAdd", ["conv2d", "conv2d_1", "conv2d_11"], "conv2d_1"),
        ("net_1/conv_pw_1_1/convolution", ["conv_pw_1", "conv_pw_11"], "conv_pw_1"),
        ("m/block/conv/Relu", ["other/conv", "block/conv"], "block/conv"),
        ("StatefulPartitionedCall:0", ["dense", "softmax"], None),
    ],
)
def test_score_finds_the_telling_name(edge: str, reference: list[str], expected: str) -> None:
    assert best(edge, reference) == expected


@pytest.mark.parametrize(
    "name", ["Identity_int8", "Identity", "Identity:0", "Identity_requantized"]
)
def test_score_what_converters_append_is_no_difference(name: str) -> None:
    assert score(Names([name]), 0, Names(["Identity"]), 0) == EXACT


def test_score_works_in_both_directions() -> None:
    keras, tflite = Names(["act"]), Names(["m/act/Relu;m/bn/Fused"])
    assert score(keras, 0, tflite, 0) == score(tflite, 0, keras, 0) > 0


def test_score_of_two_fusions_ignores_the_part_that_all_layers_carry() -> None:
    shared = "m/elsewhere/depthwise"
    edge = Names([f"a/x;a/y;{shared}", f"b/x;b/y;{shared}", f"c/x;c/y;{shared}"])
    reference = Names([f"z/new;a/y;a/x;{shared}", f"z/other;q/y;{shared}", f"c/x;{shared}"])
    assert score(edge, 0, reference, 0) > 0.5
    assert score(edge, 0, reference, 1) == 0.0


def test_score_of_an_empty_name_is_nothing() -> None:
    assert score(Names([""]), 0, Names([""]), 0) == 0.0
