"""Selected layers in whole recordings: what is kept, and what is not even read."""

import numpy as np
import pytest

from exray.instrumentation.guard import forget_logged
from exray.schema.records import FrameRecord
from exray.testing import MemorySink, recording

from .builders import TINY_LAYERS, make_input, make_interpreter, run, seen_tensors


def record_frame(layers: str | list[str] | None, level: str = "summary") -> FrameRecord:
    sink = MemorySink()
    with recording(sink, level=level, layers=layers):
        run(make_interpreter(), make_input())
    (frame,) = sink.frames
    return frame


def names(frame: FrameRecord) -> list[str]:
    return [site.layer.op if site.layer else site.role for site, _ in seen_tensors(frame)]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (None, ["input", *TINY_LAYERS, "output"]),
        (["op:FULLY_CONNECTED"], ["input", "FULLY_CONNECTED", "output"]),
        (["0-1"], ["input", "CONV_2D", "MAX_POOL_2D", "output"]),
        ([], ["input", "output"]),
        ("none", ["input", "output"]),
    ],
)
def test_only_selected_layers_are_summarised(layers: list[str] | None, expected: list[str]) -> None:
    assert names(record_frame(layers)) == expected


def test_at_level_latency_selectors_add_nothing() -> None:
    assert names(record_frame(["*=summary"], "latency")) == []


def test_layers_that_are_not_selected_keep_their_spans() -> None:
    block = record_frame(["0"]).inferences[0].layers

    assert block is not None
    assert [site.op for site in block.sites] == TINY_LAYERS


def test_without_selected_layers_a_model_is_constructed_as_the_application_said(
    without_native_library: None,
) -> None:
    """Tensors that nobody reads need not be preserved."""
    frame = record_frame([])

    assert frame.inferences[0].layers is None


def test_the_output_is_the_same_whatever_is_selected() -> None:
    plain = run(make_interpreter(), make_input())
    with recording(MemorySink(), layers=["op:CONV_2D"]):
        np.testing.assert_array_equal(run(make_interpreter(), make_input()), plain)


def test_a_selector_that_misses_is_logged_when_the_model_first_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    forget_logged()

    record_frame(["op:CONV_3D"])

    told = [text for text in caplog.messages if text.startswith("layer selector 'op:CONV_3D'")]
    assert ["matches no layer of model 'tiny_float'" in text for text in told] == [True]


def test_at_level_distribution_every_tensor_has_a_histogram() -> None:
    block = record_frame(None, "distribution").inferences[0].tensors

    assert block is not None
    assert sorted(block.histograms) == list(range(len(block.rows)))
    by_role = [site.layer.op if site.layer else site.role for site in block.sites]
    # rank 4 and rank 2; RESHAPE's output is of rank 2
    assert [by_role[row] for row in sorted(block.channels)] == by_role


def test_a_selector_can_raise_one_layers_level() -> None:
    block = record_frame(["*", "op:SOFTMAX=distribution"]).inferences[0].tensors

    assert block is not None
    with_histogram = [block.sites[row].layer for row in block.histograms]
    assert [layer.op if layer else None for layer in with_histogram] == ["SOFTMAX"]
