"""Attacks on sketches: what somebody who knows the definition can rebuild of a tensor."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import exray
from exray.schema.identity import sketch_family
from exray.schema.sketch import fold
from exray.schema.sketch_bins import ROW, sketch_bins
from exray.testing import MemorySink, recording

from .builders import FakeModel

Vector = NDArray[np.float64]
SECRET = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a recording kept of a model input.

    Args:
        sums: The longest sketch, shape (k,); empty for none.
        matrix: What the input was multiplied with, shape (k, n): anybody can compute it.
    """

    sums: Vector
    matrix: Vector


def record_input(values: NDArray[np.float32], privacy: str) -> Kept:
    """Record one model input as an application would, and return what was kept of it."""
    sink = MemorySink()
    with recording(sink, privacy=privacy, fleet_secret=SECRET) as recorder:
        model = FakeModel(recorder)
        with exray.frame(input_id="secret.png"):
            model(values)
    (frame,) = sink.frames
    block = frame.inferences[0].tensors
    assert block is not None
    assert block.sites[0].role == "input"
    sketch = block.wide_sketches.get(0, block.rows["sketch"][0])
    sums = sketch[~np.isnan(sketch)].astype(np.float64)
    family = sketch_family(frame.input_key)
    return Kept(sums, sketch_matrix(values.size, len(sums), family))


def sketch_matrix(count: int, k: int, family: int) -> Vector:
    """Return the matrix of a sketch of *k* sums, shape (k, count)."""
    if not k:
        return np.zeros((0, count))
    bins = sketch_bins(131 * family, -(-count // ROW)).reshape(-1)[:count].astype(np.int64)
    matrix = np.zeros((ROW, count))
    matrix[bins % ROW, np.arange(count)] = np.where(bins < ROW, 1.0, -1.0)
    return fold(matrix.T, k).T


def least_squares(kept: Kept) -> Vector:
    """Return the smallest tensor that has these sums, shape (n,)."""
    weights = np.linalg.lstsq(kept.matrix @ kept.matrix.T, kept.sums, rcond=None)[0]
    return np.asarray(kept.matrix.T @ weights, np.float64)


def most_likely(kept: Kept, mean: Vector, spread: Callable[[Vector], Vector]) -> Vector:
    """Return the likeliest tensor that has these sums, for one who knows such tensors.

    The mean of a Gaussian prior given the sums, the best linear guess there is.

    Args:
        kept: The sums.
        mean: Of such tensors, shape (n,).
        spread: Multiplies rows, shape (k, n), with their covariance.
    """
    across = spread(kept.matrix)
    within = across @ kept.matrix.T
    # float32 sums: a little noise, without which the solution would fit their rounding
    within += 1e-6 * np.trace(within) / max(len(within), 1) * np.eye(len(within))
    guess: Vector = mean + across.T @ np.linalg.solve(within, kept.sums - kept.matrix @ mean)
    return guess


def natural_spread(height: int, width: int, channels: int) -> Callable[[Vector], Vector]:
    """Return the covariance of photographs: power 1/f^2, colours correlated by 0.95."""
    down, across = _cosines(height), _cosines(width)
    power = 1 / (
        np.square(np.arange(height)[:, None] / height)
        + np.square(np.arange(width) / width)
        + np.square(0.5 / height)
    )
    power *= 0.05 * power.size / power.sum()  # variance of a pixel in 0..1
    colours = np.full((channels, channels), 0.95) + 0.05 * np.eye(channels)

    def spread(rows: Vector) -> Vector:
        images = _transform(rows.reshape(-1, height, width, channels), down, across)
        images *= power[..., None]
        return np.asarray((_transform(images, down.T, across.T) @ colours).reshape(rows.shape))

    return spread


def _transform(images: Vector, down: Vector, across: Vector) -> Vector:
    """Multiply both dimensions of images, shape (n, height, width, channels)."""
    # by tensordot, which is one product of large matrices
    columns = np.tensordot(images, down, (1, 1))  # n, width, channels, height
    return np.asarray(np.tensordot(columns, across, (1, 1)).transpose(0, 2, 3, 1))


def fine_detail(image: Vector, size: int, pixels: int) -> Vector:
    """Return what of a square image varies faster than every *pixels*."""
    cosines = _cosines(size)
    shares = _transform(image.reshape(1, size, size, -1), cosines, cosines)
    coarse = 2 * size // pixels
    shares[:, :coarse, :coarse] = 0
    return _transform(shares, cosines.T, cosines.T).reshape(-1)


def _cosines(size: int) -> Vector:
    """Return the orthonormal cosine transform, shape (size, size)."""
    number = np.arange(size)
    matrix = np.cos(np.pi * (2 * number + 1) * number[:, None] / (2 * size)) * np.sqrt(2 / size)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix, np.float64)


def learned(examples: Vector) -> tuple[Vector, Callable[[Vector], Vector]]:
    """Return mean and covariance of examples, shape (examples, n), as `most_likely` takes it."""
    mean: Vector = examples.mean(axis=0)
    centred = (examples - mean) / np.sqrt(len(examples))
    ridge = 0.01 * np.square(centred).sum() / centred.shape[1]

    def spread(rows: Vector) -> Vector:
        return np.asarray((rows @ centred.T) @ centred + ridge * rows, np.float64)

    return mean, spread


def correlation(guess: Vector, truth: Vector, known: Vector | None = None) -> float:
    """Return the correlation of guess and truth, less what was known beforehand."""
    base = np.zeros_like(truth) if known is None else known
    one, other = guess - base, truth - base
    if not np.std(one) or not np.std(other):
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def psnr_db(guess: Vector, truth: Vector) -> float:
    """Return the peak signal to noise ratio of an image in 0..1, dB."""
    return float(-10 * np.log10(max(float(np.mean(np.square(guess - truth))), 1e-14)))
