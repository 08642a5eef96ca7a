"""What is remembered of spans is what a set of Python would hold."""

import numpy as np
import pytest

from exray.collector.drain.recent import Keys, RecentSpans


def keys_of(*numbers: int) -> Keys:
    return np.array([(number, number + 1) for number in numbers], np.uint64).reshape(-1, 2)


def new_of(recent: RecentSpans, *numbers: int) -> list[bool]:
    found: list[bool] = recent.find_new(keys_of(*numbers)).tolist()
    return found


def test_of_spans_that_repeat_in_a_set_the_first_is_new() -> None:
    assert new_of(RecentSpans(), 8, 4, 8, 2, 4) == [True, True, False, True, False]


def test_no_spans_are_none() -> None:
    recent = RecentSpans()
    recent.add(1, keys_of())
    assert new_of(recent) == []
    assert new_of(recent, 4) == [True]


def test_the_oldest_sets_are_forgotten_beyond_the_window() -> None:
    recent = RecentSpans(window_spans=4)
    recent.add(3, keys_of(10, 2))
    recent.add(7, keys_of(6, 0))
    assert new_of(recent, 0, 2, 4, 6, 10) == [False, False, True, False, False]
    recent.add(9, keys_of(8))
    assert recent.sequences == [7, 9]
    assert new_of(recent, 0, 2, 4, 6, 8, 10) == [False, True, True, False, False, True]


def test_the_last_set_is_remembered_however_large() -> None:
    recent = RecentSpans(window_spans=2)
    recent.add(1, keys_of(20))
    recent.add(2, keys_of(2, 4, 6))
    assert new_of(recent, 2, 4, 6, 20) == [False, False, False, True]


@pytest.mark.parametrize("seed", range(5))
def test_many_sets_are_remembered_as_a_set_of_python_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    recent, sets = RecentSpans(window_spans=300), list[set[int]]()
    for sequence in range(30):
        numbers = rng.integers(0, 4000, 50).tolist()
        known, expected = set[int]().union(*sets), list[bool]()
        for number in numbers:
            expected.append(number not in known)
            known.add(number)
        keys = keys_of(*numbers)
        is_new = recent.find_new(keys)
        assert is_new.tolist() == expected
        recent.add(sequence, keys[is_new])
        sets.append(set(keys[is_new][:, 0].tolist()))
        while sum(map(len, sets)) > 300:
            sets.pop(0)
