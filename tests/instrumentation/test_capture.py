from typing import Any

import numpy as np
import pytest

from exray.instrumentation import capture
from exray.instrumentation.capture import (
    Carrier,
    FrameTensors,
    TensorRecorder,
    new_span_id_int,
    span_id_int,
)
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.keeping import Keeping
from exray.instrumentation.level import Level
from exray.instrumentation.selection import LayerSelection
from exray.schema.channels import Channels
from exray.schema.histogram import Histogram
from exray.schema.identity import new_span_id, tensor_hash
from exray.schema.records import SKETCH_SIZE, LayerSite, Quantization, TensorSite
from exray.schema.sketch import fold, sketch

FAMILY = 5


def make_site(name: str = "x", role: str = "layer", **more: Any) -> TensorSite:
    return TensorSite(role, name, 0, "float32", (3,), **more)


def make_carrier(span_id: int = 1) -> Carrier:
    return Carrier(span_id, 2, 3)


def test_a_tensor_becomes_a_row_with_its_carrier_and_its_sums() -> None:
    recorder = TensorRecorder()

    recorder.add(make_site(), np.array([1, 2, 3], np.float32), Carrier(7, 8, 9, 10), FAMILY)

    (row,) = recorder.block().rows
    assert [row[name] for name in ("site", "span_id", "parent_span_id", "start_ns", "dur_ns")] == [
        *(0, 7, 8, 9, 10)
    ]
    assert [row[name] for name in ("count", "sum", "sum2")] == [3, 6.0, 14.0]


def test_the_sketch_is_of_the_family_it_was_told() -> None:
    recorder = TensorRecorder()
    values = np.arange(3, dtype=np.float32)

    recorder.add(make_site(), values, make_carrier(), FAMILY)

    expected = fold(sketch(values, FAMILY), SKETCH_SIZE).astype(np.float32)
    np.testing.assert_array_equal(recorder.block().rows[0]["sketch"], expected)


def test_a_site_says_how_to_dequantize() -> None:
    recorder = TensorRecorder()
    site = make_site(quantization=Quantization((0.5,), (1,)))

    recorder.add(site, np.array([1, 3, 5], np.int8), make_carrier(), FAMILY)

    assert recorder.block().rows[0]["sum"] == 3.0


def test_more_tensors_than_expected_are_taken_as_they_come() -> None:
    recorder = TensorRecorder(capacity=1)
    for number in range(9):
        recorder.add(make_site(), np.full(3, number, np.float32), make_carrier(number), FAMILY)

    rows = recorder.block().rows

    assert rows["span_id"].tolist() == list(range(9))
    assert rows["sum"].tolist() == [3.0 * number for number in range(9)]


def test_the_edge_of_a_model_keeps_the_wide_sketch_too() -> None:
    recorder = TensorRecorder()
    roles = ("raw", "stage", "input", "layer", "output", "custom")
    for role in roles:
        recorder.add(make_site(role=role), np.ones(3, np.float32), make_carrier(), FAMILY)

    wide = recorder.block().wide_sketches

    assert [roles[row] for row in wide] == ["raw", "input", "output"]
    assert {sketch.shape for sketch in wide.values()} == {(256,)}


def test_a_carriers_duration_may_be_learned_after_its_tensor_was_seen() -> None:
    recorder = TensorRecorder()
    carrier = make_carrier()
    recorder.add(make_site(), np.ones(3, np.float32), carrier, FAMILY)

    carrier.dur_ns = 42

    assert recorder.block().rows[0]["dur_ns"] == 42


def test_what_was_cut_short_is_forgotten_and_its_place_used_again() -> None:
    recorder = TensorRecorder()
    for role in ("layer", "raw", "raw"):
        recorder.add(make_site(role=role), np.ones(3, np.float32), make_carrier(), FAMILY)

    recorder.forget_after(1)
    recorder.add(make_site("y"), np.zeros(3, np.float32), make_carrier(), FAMILY)

    block = recorder.block()
    assert [site.name for site in block.sites] == ["x", "y"]
    assert block.rows["sum"].tolist() == [3.0, 0.0]
    assert block.wide_sketches == {}


def test_an_ids_bytes_are_those_of_the_integer_in_memory() -> None:
    span_id = new_span_id()

    assert np.uint64(span_id_int(span_id)).tobytes() == span_id


def test_a_new_span_id_is_not_zero() -> None:
    assert new_span_id_int() != 0


def test_a_frames_tensors_wait_until_they_may_be_summarised() -> None:
    tensors = FrameTensors()

    tensors.add(make_site(), np.ones(3, np.float32), make_carrier(), None)
    assert tensors.blocks() == []
    tensors.summarise(FAMILY)

    (block,) = tensors.blocks()
    assert block.rows["sum"].tolist() == [3.0]


def test_in_a_frame_without_a_known_input_what_waits_is_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    forget_logged()
    monkeypatch.setattr(capture, "WAITING_BYTES", 30)
    tensors = FrameTensors()

    for _ in range(5):
        tensors.add(make_site(), np.ones(3, np.float32), make_carrier(), None)
    tensors.summarise(FAMILY)

    assert len(tensors.blocks()[0].rows) == 2
    (message,) = caplog.messages
    assert "exray.frame(input_id=...)" in message


def test_with_a_known_input_nothing_is_lost_however_much_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capture, "WAITING_BYTES", 30)
    tensors = FrameTensors()

    for _ in range(5):
        tensors.add(make_site(), np.ones(3, np.float32), make_carrier(), FAMILY)
    tensors.summarise(FAMILY)

    assert len(tensors.blocks()[0].rows) == 5


def test_at_level_distribution_a_row_has_histogram_and_channels_too() -> None:
    recorder = TensorRecorder(keeping=Keeping(Level.DISTRIBUTION))
    values = np.array([[1, 2], [3, -4]], np.float32)
    recorder.add(make_site(), np.array(["text"]), make_carrier(), FAMILY)

    recorder.add(make_site(), values, make_carrier(), FAMILY)

    block = recorder.block()
    assert [*block.histograms] == [*block.channels] == [1]
    assert Histogram.decode(block.histograms[1]).positive.sum() == 3
    assert Channels.decode(block.channels[1]).sums.tolist() == [4.0, -2.0]


def test_at_level_summary_a_row_has_neither_histogram_nor_channels() -> None:
    recorder = TensorRecorder()
    recorder.add(make_site(), np.ones((2, 2), np.float32), make_carrier(), FAMILY)

    assert (recorder.block().histograms, recorder.block().channels) == ({}, {})


def test_a_layer_that_is_not_selected_makes_no_row() -> None:
    keeping = Keeping(Level.SUMMARY, LayerSelection.parse(["dense"]))
    recorder = TensorRecorder(keeping=keeping)
    for name in ("conv", "dense"):
        layer = LayerSite(0, name, "ANY")
        recorder.add(make_site(name, layer=layer), np.ones(3, np.float32), make_carrier(), FAMILY)

    assert [site.name for site in recorder.block().sites] == ["dense"]
    assert not recorder.takes_layer(LayerSite(0, "conv", "ANY"))


def test_what_was_cut_short_leaves_no_histogram() -> None:
    recorder = TensorRecorder(keeping=Keeping(Level.DISTRIBUTION))
    for _ in range(2):
        recorder.add(make_site(), np.ones((2, 2), np.float32), make_carrier(), FAMILY)

    recorder.forget_after(1)

    block = recorder.block()
    assert ([*block.histograms], [*block.channels]) == ([0], [0])


def test_channels_first_is_summarised_as_channels_last_and_hashed_as_it_is() -> None:
    keeping = Keeping(Level.DISTRIBUTION)
    last = np.random.default_rng(0).normal(size=(1, 4, 5, 3)).astype(np.float32)
    first = np.ascontiguousarray(last.transpose(0, 3, 1, 2))
    recorder = TensorRecorder(keeping=keeping)

    recorder.add(make_site(layout="nhwc"), last, make_carrier(), FAMILY)
    recorder.add(make_site(layout="nchw"), first, make_carrier(), FAMILY)
    recorder.add(make_site(), first, make_carrier(), FAMILY)

    block = recorder.block()
    ours, theirs, unknown = block.rows
    np.testing.assert_array_equal(ours["sketch"], theirs["sketch"])
    assert not np.array_equal(ours["sketch"], unknown["sketch"])
    assert theirs["hash"] == tensor_hash(first) != ours["hash"]
    assert Channels.decode(block.channels[1]).sums == pytest.approx(
        Channels.decode(block.channels[0]).sums
    )
    assert 2 not in block.channels
