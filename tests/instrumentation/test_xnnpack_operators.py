import pytest

from exray.instrumentation.xnnpack_operators import EXTRA_COUNT, EXTRA_NS, extra_metrics, match


@pytest.mark.parametrize(
    ("op", "tag"),
    [
        ("CONV_2D", "Fully Connected (NC, QS8, QC8W) GEMM"),
        ("DEPTHWISE_CONV_2D", "Convolution (NHWC, QC8) DWConv"),
        ("AVERAGE_POOL_2D", "Average Pooling (NHWC, F32) Average Pooling"),
        ("MEAN", "Mean (ND) Reduce2"),
        ("MUL", "Square (NC)"),
        ("CONCATENATION", "Copy (NC, X32)"),
        ("RESIZE_BILINEAR", "Resize Bilinear (NHWC)"),
        ("HARD_SWISH", "HardSwish (NC)"),
        ("TANH", "TanH (NC)"),
    ],
)
def test_an_operator_is_known_by_xnnpacks_name_for_it(op: str, tag: str) -> None:
    assert match([op], [tag]) == [0]


@pytest.mark.parametrize(("op", "tag"), [("CONV_2D", "Add (ND)"), ("ADD", "Clamp (NC)")])
def test_an_operator_of_another_kind_is_not_taken_for_it(op: str, tag: str) -> None:
    assert match([op], [tag]) == [-1]


def test_as_many_operators_are_matched_as_order_and_kind_allow() -> None:
    ops = ["ADD", "MUL", "ADD"]

    assert match(ops, ["Multiply (ND)", "Add (ND)"]) == [1, 2]
    assert match(ops, ["Add (ND)", "Add (ND)"]) == [0, 2]
    assert match(ops, []) == []
    assert match([], ["Add (ND)"]) == [-1]


def test_extras_are_told_by_count_and_time() -> None:
    metrics = extra_metrics(2, 5000, 7)
    assert {m.name: (m.value, m.unit) for m in metrics} == {
        EXTRA_COUNT: (2.0, "1"),
        EXTRA_NS: (5000.0, "ns"),
    }
