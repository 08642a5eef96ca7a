"""Kernels whose weights are right but stand in the wrong places."""

from collections.abc import Callable, Iterator

import numpy as np

from .parameters import Reals, error_db

Move = Callable[[Reals], Reals]

_FOUND_DB = 12.0
"""How near a kernel must come, and by how much nearer than before, to be the one moved."""


def moved(edge: Reals, reference: Reals, near_db: float) -> str | None:
    """Say how the reference's kernel was moved to make the edge's; None where it was not.

    Args:
        edge: Shape (output channels, height, width, input channels).
        reference: The same shape.
        near_db: How near the two are as they stand, dB.
    """
    tried = [(error_db(edge, move(reference)), name) for name, move in _moves(reference)]
    db, name = max(tried, default=(-np.inf, ""))
    if db >= max(_FOUND_DB, near_db + 6):
        return name
    return _permuted(edge, reference, near_db)


def _moves(kernel: Reals) -> Iterator[tuple[str, Move]]:
    outputs, height, width, inputs = kernel.shape
    if height > 1 and width > 1:
        yield "height and width flipped (turned by 180 degrees)", lambda k: k[:, ::-1, ::-1]
    if height > 1:
        yield "height flipped", lambda k: k[:, ::-1]
    if width > 1:
        yield "width flipped", lambda k: k[:, :, ::-1]
    if height == width > 1:
        yield "height and width transposed", lambda k: k.transpose(0, 2, 1, 3)
        yield "spatial axes turned by 90 degrees", lambda k: np.rot90(k, 1, (1, 2))
        yield "spatial axes turned by 270 degrees", lambda k: np.rot90(k, 3, (1, 2))
    if outputs == inputs > 1:
        yield "input and output channels transposed", lambda k: k.transpose(3, 1, 2, 0)


def _permuted(edge: Reals, reference: Reals, near_db: float) -> str | None:
    """Tell whether channels stand in another order: each has its nearest elsewhere."""
    for axis, which in ((0, "output"), (3, "input")):
        if edge.shape[axis] < 2:
            continue
        a = _rows(edge, axis)
        b = _rows(reference, axis)
        cosines = _unit(a) @ _unit(b).T
        order = cosines.argmax(1)
        if len(np.unique(order)) < len(order) or (order == np.arange(len(order))).all():
            continue
        if error_db(a, b[order]) >= max(_FOUND_DB, near_db + 6):
            return f"{which} channels swapped"
    return None


def _rows(kernel: Reals, axis: int) -> Reals:
    return np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1)


def _unit(rows: Reals) -> Reals:
    lengths: Reals = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, 1e-30)
