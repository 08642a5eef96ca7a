import numpy as np

from exray.exporters.sketch_sizes import sketch_sizes


def make_sketches(*sizes: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    sketches = np.zeros((len(sizes), 64), np.float32)
    for row, size in enumerate(sizes):
        sketches[row, size:] = np.nan
    return sketches


def test_sketches_without_a_gap_are_whole() -> None:
    assert sketch_sizes(make_sketches(64, 64)).tolist() == [64, 64]


def test_a_shortened_sketch_has_the_values_before_the_gap() -> None:
    assert sketch_sizes(make_sketches(64, 8, 0, 16)).tolist() == [64, 8, 0, 16]


def test_a_gap_within_or_at_an_odd_place_leaves_none() -> None:
    sketches = make_sketches(64, 7, 32)
    sketches[0, 3] = np.nan
    sketches[2, 0] = np.nan

    assert sketch_sizes(sketches).tolist() == [0, 0, 0]
