"""What can be rebuilt of an input from what is recorded of it; docs/privacy.md has the numbers."""

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from .builders import litert
from .inversion import (
    Kept,
    Vector,
    correlation,
    fine_detail,
    learned,
    least_squares,
    most_likely,
    natural_spread,
    psnr_db,
    record_input,
    sketch_matrix,
)

ROOT = Path(__file__).parents[2]
MODES = ("open", "closed")


def kept_of(values: Vector, shape: tuple[int, ...], mode: str) -> Kept:
    return record_input(values.reshape(shape).astype(np.float32), mode)


def assert_documented(line: str) -> None:
    """Print a line of the document's tables, and find it there."""
    print(line)
    assert line in (ROOT / "docs" / "privacy.md").read_text("utf-8")


# --- the attacks themselves -----------------------------------------------------------------


def test_the_matrix_is_that_of_the_recorded_sums() -> None:
    values = np.random.default_rng(1).standard_normal(700)

    for mode in MODES:
        kept = kept_of(values, (1, 700), mode)
        np.testing.assert_allclose(kept.matrix @ values, kept.sums, rtol=1e-4, atol=1e-4)


def test_as_many_sums_as_elements_give_every_element_back() -> None:
    values = np.random.default_rng(2).standard_normal(256)

    kept = kept_of(values, (1, 256), "open")

    np.testing.assert_allclose(least_squares(kept), values, atol=1e-5)


def test_the_likeliest_tensor_has_the_sums_that_were_kept() -> None:
    """So the attack uses all there is: a weak one would prove nothing."""
    values = np.random.default_rng(3).standard_normal(490)
    mean, spread = learned(np.random.default_rng(4).standard_normal((50, 490)))

    kept = kept_of(values, (1, 490), "open")

    guess = most_likely(kept, mean, spread)
    np.testing.assert_allclose(kept.matrix @ guess, kept.sums, rtol=0.01, atol=0.05)


def test_a_matrix_without_sums_is_empty() -> None:
    assert sketch_matrix(5, 0, 3).shape == (0, 5)


# --- synthetic inputs -------------------------------------------------------------------------


def make_text(rng: np.random.Generator) -> Vector:
    """Return 256 token ids, as rare as words are."""
    return np.minimum(rng.zipf(1.3, 256), 10_000).astype(np.float64)


def test_token_ids_come_back_in_the_open_and_not_when_closed() -> None:
    text = make_text(np.random.default_rng(5))

    right = {mode: np.round(least_squares(kept_of(text, (1, 256), mode))) == text for mode in MODES}

    assert right["open"].all()
    # the id 1, every other token, is guessed at the smallest solution's zeros as often as not
    assert right["closed"][text > 2].mean() < 0.05


def test_noise_of_490_elements_keeps_half_its_energy_in_the_open_and_little_when_closed() -> None:
    """The smallest solution holds k / n of the energy, so sqrt(k / n) of the correlation."""
    values = np.random.default_rng(6).standard_normal(490)

    found = {m: correlation(least_squares(kept_of(values, (1, 490), m)), values) for m in MODES}

    assert found["open"] == pytest.approx(np.sqrt(256 / 490), abs=0.05)
    assert found["closed"] < 0.3


def test_of_an_image_least_squares_shows_nothing_in_either_mode() -> None:
    image = np.random.default_rng(7).random(96 * 96 * 3)

    for mode in MODES:
        guess = least_squares(kept_of(image - 0.5, (1, 96, 96, 3), mode))
        assert abs(correlation(guess, image - 0.5)) < 0.15


@pytest.mark.parametrize("count", [1, 6, 60, 127])
def test_of_a_small_input_nothing_is_kept_that_could_be_inverted(count: int) -> None:
    values = np.random.default_rng(8).standard_normal(count)

    assert kept_of(values, (1, count), "closed").sums.size == 0
    np.testing.assert_allclose(
        least_squares(kept_of(values, (1, count), "open")), values, atol=1e-5
    )


# --- real inputs ------------------------------------------------------------------------------


def token_ids(data: Path) -> Vector:
    """Return reviews as the text network takes them, shape (250, 256)."""
    lines = (data / "text" / "text_classification_vocab.txt").read_text().splitlines()
    vocabulary = {word: int(number) for word, number in (line.split() for line in lines if line)}
    with (data / "text" / "imdb_test_public_250.csv").open(newline="") as file:
        texts = [row["text"].lower() for row in csv.DictReader(file)]
    ids = np.zeros((len(texts), 256))
    for row, text in zip(ids, texts, strict=True):
        words = [1, *(vocabulary.get(word, 2) for word in re.split(r"\W+", text) if word)][:256]
        row[: len(words)] = words
    return ids


@pytest.mark.realdata
def test_reviews_come_back_word_by_word_in_the_open_alone(data: Path) -> None:
    ids = token_ids(data)
    right: dict[str, float] = {}
    for mode in MODES:
        shares: list[float] = []
        for text in ids[200:220]:
            rebuilt = np.round(least_squares(kept_of(text, (1, 256), mode)))
            shares.append(float((rebuilt == text)[text != 0].mean()))
        right[mode] = float(np.mean(shares))

    assert_documented(
        f"| review, 256 token ids | tokens right, least squares | {right['open']:.0%} | "
        f"{right['closed']:.1%} |"
    )
    assert right["open"] == 1.0
    assert right["closed"] < 0.02


@pytest.mark.realdata
def test_a_network_hears_the_word_in_rebuilt_features_in_the_open_and_rarely_when_closed(
    data: Path,
) -> None:
    file = np.load(data / "energyrunner" / "kws01_0000_0499.npz")
    features = (file["mfcc"].reshape(500, -1).astype(np.float64) - 83) * 0.5847029
    labels: list[int] = file["labels"].tolist()
    mean, spread = learned(features[:400])
    hear = _network(data / "mlcommons-tiny" / "kws" / "kws_ref_model_float32.tflite")
    heard: dict[str, float] = {}
    linear: dict[str, float] = {}
    for mode in MODES:
        kept = {n: kept_of(features[n], (1, 49, 10, 1), mode) for n in range(400, 440)}
        guesses = {n: most_likely(k, mean, spread) for n, k in kept.items()}
        heard[mode] = float(np.mean([hear(guesses[n]) == labels[n] for n in kept]))
        linear[mode] = float(
            np.mean([correlation(least_squares(k), features[n]) for n, k in kept.items()])
        )
    own = float(np.mean([hear(features[n]) == labels[n] for n in range(400, 440)]))
    chance = float(np.mean([hear(mean) == labels[n] for n in range(400, 440)]))

    assert_documented(
        f"| speech, 49x10 MFCC | correlation, least squares | {linear['open']:.2f} | "
        f"{linear['closed']:.2f} |"
    )
    assert_documented(
        f"| | word recognised, learned prior | {heard['open']:.0%} | {heard['closed']:.0%} |"
    )
    assert_documented(
        f"The network recognises {own:.0%} of the words from the features themselves and "
        f"{chance:.0%} from\ntheir mean over other speech."
    )
    assert heard["open"] > 0.7
    assert heard["closed"] < 0.35


def _network(path: Path) -> Any:
    interpreter = litert().Interpreter(str(path))
    interpreter.allocate_tensors()
    (given,), (told,) = interpreter.get_input_details(), interpreter.get_output_details()

    def hear(features: Vector) -> int:
        value: NDArray[np.float32] = features.astype(np.float32).reshape(1, 49, 10, 1)
        interpreter.set_tensor(given["index"], value)
        interpreter.invoke()
        return int(interpreter.get_tensor(told["index"]).argmax())

    return hear


@pytest.mark.realdata
def test_of_photographs_a_blur_comes_back_and_nothing_finer(data: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    spread, mean = natural_spread(96, 96, 3), np.full(96 * 96 * 3, 0.5)
    paths = sorted((data / "imagenet-sample-images" / "images").iterdir())[:6]
    whole: list[float] = []
    fine: list[float] = []
    noise: list[float] = []
    linear: list[float] = []
    for path in paths:
        opened = image_module.open(path).convert("RGB").resize((96, 96))
        image = np.asarray(opened, np.float64).reshape(-1) / 255
        kept = kept_of(image, (1, 96, 96, 3), "closed")
        assert len(kept.sums) == 256  # as in the open: it is less than one in 16
        guess = most_likely(kept, mean, spread).clip(0, 1)
        linear.append(correlation(least_squares(kept), image))
        whole.append(correlation(guess, image))
        noise.append(psnr_db(guess, image))
        fine.append(correlation(fine_detail(guess, 96, 8), fine_detail(image, 96, 8)))

    assert_documented(
        f"| photograph, 96x96x3 | correlation, least squares | {max(linear):.2f} | "
        f"{max(linear):.2f} |"
    )
    assert_documented(
        f"| | correlation, prior of photographs | {max(whole):.2f} | {max(whole):.2f} |"
    )
    assert_documented(
        f"| | the same, details finer than 8 pixels | {max(fine):.2f} | {max(fine):.2f} |"
    )
    assert_documented(
        f"| | PSNR, prior of photographs | {max(noise):.0f} dB | {max(noise):.0f} dB |"
    )
    assert max(linear) < 0.15
    assert max(whole) < 0.95
    assert max(fine) < 0.25
