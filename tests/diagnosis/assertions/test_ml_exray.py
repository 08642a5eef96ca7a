"""The example assertions, on what ML-EXray's own miss."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from exray.diagnosis.assertions import Assertion, Frame, Pair, Tensor, load_assertions
from exray.playback.resize import resize

EXAMPLES = Path(__file__).parents[3] / "examples" / "assertions"
CHECKS = {
    check.name: check
    for check in load_assertions([EXAMPLES / "ml_exray.py"])
    if isinstance(check, Assertion)
}


def make_image(channels: int = 3, size: int = 24, seed: int = 1) -> np.ndarray:
    """Return an image in [-1, 1] whose channels and sides all differ, smooth like a photograph."""
    rng = np.random.default_rng(seed)
    return resize(rng.uniform(-1, 1, (6, 6, channels)).astype(np.float32), (size, size), "bilinear")


def say(check: str, edge: np.ndarray, reference: np.ndarray, raw: np.ndarray | None = None) -> str:
    """Return what a check says of an edge's input; '' where it holds."""
    given = Pair(
        "a.png",
        Tensor.of(edge),
        Tensor.of(reference),
        None if raw is None else Tensor.of(raw, "raw"),
    )
    return CHECKS[check].wrong(given) or ""


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_every_permutation_of_channels_is_found(channels: int, batch: bool) -> None:
    reference = make_image(channels)
    if batch:
        reference = np.stack([reference, make_image(channels, seed=2)])
    orders = list(permutations(range(channels)))
    said = [say("channel_order", reference[..., order], reference) for order in orders]
    assert said[0] == ""
    assert said[1:] == [
        f"channels are in the order {order} of the reference's" for order in orders[1:]
    ]


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize(("quarters", "mirrored"), [(k, m) for k in range(4) for m in (0, 1)])
def test_every_orientation_is_found_batched_or_not(
    batch: bool, quarters: int, mirrored: int
) -> None:
    reference = make_image()[None] if batch else make_image()
    edge = np.flip(reference, -2) if mirrored else reference
    edge = np.rot90(edge, quarters, (-3, -2))
    said = say("orientation", edge, reference)
    if not quarters and not mirrored:
        assert said == ""
    else:
        assert said == (
            f"the image is {'mirrored and ' if mirrored else ''}turned by {90 * quarters} degrees"
        )


def test_zero_to_one_in_place_of_minus_one_to_one_is_found() -> None:
    reference = make_image()
    assert say("normalisation", reference / 2 + 0.5, reference) == (
        "values are 0.5 times the reference's plus 0.5"
    )
    assert say("normalisation", reference, reference) == ""
    assert say("normalisation", reference[::-1], reference) == ""


@pytest.mark.parametrize("method", ["nearest", "area", "bicubic"])
def test_another_resize_is_found(method: str) -> None:
    raw = np.random.default_rng(5).uniform(0, 255, (61, 47, 3)).astype(np.float32)
    edge, reference = (resize(raw, (24, 24), m) / 127.5 - 1 for m in (method, "bilinear"))
    assert (
        say("resize", edge, reference, raw) == f"resized with {method}, the reference with bilinear"
    )
    assert say("resize", reference, reference, raw) == ""


def test_a_layer_that_is_cut_off_is_found() -> None:
    reference = Tensor.of(np.linspace(0, 8, 100), "layer")
    cut = Tensor.of(np.linspace(0, 4, 100), "layer", scale=0.1, saturated_high=40)
    sound = Tensor.of(np.linspace(0, 8, 100), "layer", scale=0.1, saturated_high=1)
    check = CHECKS["quantization"]
    assert (
        check.wrong(Pair("a", cut, reference)) == "cut off at 4, where the reference goes up to 8"
    )
    assert check.wrong(Pair("a", sound, reference)) is None


def test_a_frame_that_takes_three_times_as_long_is_found() -> None:
    check = CHECKS["latency"]
    assert check.wrong(Frame("a", edge_ms=9.0, reference_ms=3.0)) is not None
    assert check.wrong(Frame("a", edge_ms=5.0, reference_ms=3.0)) is None
    assert check.wrong(Frame("a", edge_ms=None, reference_ms=3.0)) is None


def test_a_blur_is_explained_by_none_of_them() -> None:
    reference = make_image()
    blurred = (reference + np.roll(reference, 2, 0) + np.roll(reference, 2, 1)) / 3
    for name in ("channel_order", "orientation", "normalisation"):
        assert say(name, blurred, reference) == ""
