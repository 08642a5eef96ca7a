"""Two halves of the inputs: always the same, and alike."""

from exray.diagnosis.repair.halves import halves
from exray.playback.dataset import Item


def items(count: int) -> list[Item]:
    return [Item(f"{i}.png", lambda: None) for i in range(count)]  # type: ignore[arg-type,return-value]


def label_of(item: Item) -> int:
    return int(item.input_id.removesuffix(".png")) % 3


def test_halves_share_nothing_and_hold_everything() -> None:
    chosen, held_out = halves(items(31), (), label_of)
    names = [item.input_id for item in (*chosen, *held_out)]
    assert len(chosen) == 16
    assert sorted(names) == sorted(item.input_id for item in items(31))
    assert len(set(names)) == 31


def test_halves_do_not_depend_on_the_order() -> None:
    first = {item.input_id for item in halves(items(30), (), label_of)[1]}
    second = {item.input_id for item in halves(items(30)[::-1], (), label_of)[1]}
    assert first == second


def test_halves_hold_each_label_alike() -> None:
    chosen, held_out = halves(items(60), (), label_of)
    for label in range(3):
        counts = [sum(label_of(item) == label for item in half) for half in (chosen, held_out)]
        assert abs(counts[0] - counts[1]) <= 1


def test_inputs_that_the_lake_knows_go_to_both_halves() -> None:
    known = {f"{i}.png" for i in range(0, 60, 6)}
    chosen, held_out = halves(items(60), known, lambda _: None)
    assert sum(item.input_id in known for item in chosen) == 5
    assert sum(item.input_id in known for item in held_out) == 5
