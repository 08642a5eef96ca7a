import numpy as np

from exray.exporters.scratch import Arena, Scratch


def test_an_array_of_the_same_name_takes_the_same_memory() -> None:
    scratch = Scratch()
    first = scratch.array("a", (2, 3), np.int64)
    first[...] = 7

    again = scratch.array("a", (5,), np.int64)

    assert np.shares_memory(first, again)
    assert again.tolist() == [7] * 5
    assert not np.shares_memory(first, scratch.array("b", (5,), np.int64))


def test_an_array_larger_than_before_gets_new_memory() -> None:
    scratch = Scratch()
    small = scratch.array("a", (2,), np.uint8)

    assert not np.shares_memory(small, scratch.array("a", (3,), np.uint8))


def test_pieces_of_an_arena_are_apart_until_it_is_cleared() -> None:
    arena = Arena()
    arena.take(2, 8)
    arena.clear()

    first, second = arena.take(2, 3), arena.take(1, 4)
    assert not np.shares_memory(first, second)
    arena.clear()

    assert np.shares_memory(first, arena.take(2, 3))
