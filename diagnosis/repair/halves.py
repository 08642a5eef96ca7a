"""Recorded inputs in two halves: a fix is chosen on one and judged on the other."""

import hashlib
from collections.abc import Callable, Collection, Sequence

from exray.playback.dataset import Item

Halves = tuple[list[Item], list[Item]]
"""Inputs to choose on, and inputs held out, each in the data set's order."""


def halves(
    items: Sequence[Item], known: Collection[str], label_of: Callable[[Item], int | None]
) -> Halves:
    """Split inputs in two, always the same way, whatever order they come in.

    Inputs that the lake knows, and inputs of one label, go to both halves alike.

    Args:
        items: The inputs.
        known: Ids of inputs that edge and reference both have in the lake.
        label_of: Returns an input's label.
    """

    def place(item: Item) -> tuple[bool, int, bytes]:
        label = label_of(item)
        digest = hashlib.sha256(item.input_id.encode("utf-8", "surrogatepass")).digest()
        return item.input_id not in known, -1 if label is None else label, digest

    ordered = sorted(items, key=place)
    held_out = {item.input_id for item in ordered[1::2]}
    return (
        [item for item in items if item.input_id not in held_out],
        [item for item in items if item.input_id in held_out],
    )
