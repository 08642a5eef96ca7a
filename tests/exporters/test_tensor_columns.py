"""Columns of ``tensors`` that only some rows have."""

import numpy as np

from exray.exporters.blocks import tensors_table
from exray.schema.records import SKETCH_SIZE, FrameRecord, TensorBlock

from .builders import make_frame


def make_blocks(frame: FrameRecord) -> TensorBlock:
    """Return the tensors of a frame's only inference: an input and three layers."""
    block = frame.inferences[0].tensors
    assert block is not None
    return block


def test_texts_stand_in_the_rows_they_are_of() -> None:
    frames = [make_frame(0), make_frame(1)]
    make_blocks(frames[0]).histograms = {1: "eh1:a", 3: "eh1:b"}
    make_blocks(frames[1]).histograms = {0: "eh1:c"}
    make_blocks(frames[1]).channels = {2: "ch1:d"}

    table = tensors_table(frames)

    none = None
    assert table["histogram"].to_pylist() == [none, "eh1:a", none, "eh1:b", "eh1:c", *[none] * 3]
    assert table["channels"].to_pylist() == [*[none] * 6, "ch1:d", none]


def test_below_level_distribution_the_columns_are_null() -> None:
    table = tensors_table([make_frame()])

    assert table["histogram"].null_count == table["channels"].null_count == 4


def test_a_shortened_sketch_is_a_shorter_list() -> None:
    frame = make_frame()
    rows = make_blocks(frame).rows
    rows["sketch"][0, 16:] = np.nan
    rows["sketch"][1] = np.nan

    sketches = tensors_table([frame])["sketch"].to_pylist()

    assert [None if s is None else len(s) for s in sketches] == [16, None, SKETCH_SIZE, SKETCH_SIZE]
    assert sketches[0] == rows["sketch"][0, :16].tolist()


def test_a_sketch_with_a_sum_that_is_no_number_is_null_and_never_shortened() -> None:
    frame = make_frame()
    rows = make_blocks(frame).rows
    rows["sketch"][0, 16] = np.nan  # the others are numbers
    rows["sketch"][1, 50:] = np.nan  # no fold has 50 values

    table = tensors_table([frame])

    assert table["sketch"].to_pylist()[:2] == [None, None]
    assert table["sketch_version"].to_pylist() == [None, None, "cs1", "cs1"]
