"""How often a cause outside the list ends as unexplained, and with the right place.

An edge blurs, sharpens or bends the brightness of each image before its declared
preprocessing, which no cause of the list explains. The reference does not. Prints, per
filter, the status and where the difference is said to enter.

    EXRAY_TEST_DATA=... python benchmarks/unexplained.py [--networks v1,vww,resnet8] [--frames 8]
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from diagnosis_networks import NETWORKS, Diagnoser, data_folder, record
from PIL import Image, ImageFilter

from exray.diagnosis.statistics import clopper_pearson
from exray.playback import pipeline

Filter = Callable[[np.ndarray], np.ndarray]


def blurred(radius: float) -> Filter:
    """Return a Gaussian blur."""
    return lambda image: filtered(image, ImageFilter.GaussianBlur(radius))


def sharpened(percent: int) -> Filter:
    """Return an unsharp mask."""
    return lambda image: filtered(image, ImageFilter.UnsharpMask(2, percent, 0))


def bent(gamma: float) -> Filter:
    """Return a change of gamma."""
    return lambda image: (255 * (image / 255.0) ** gamma + 0.5).astype(np.uint8)


def filtered(image: np.ndarray, kernel: ImageFilter.Filter) -> np.ndarray:
    """Return an image of bytes after a filter of Pillow's."""
    return np.asarray(Image.fromarray(image).filter(kernel))


FILTERS: dict[str, Filter] = {
    "blur 1": blurred(1),
    "blur 2": blurred(2),
    "blur 4": blurred(4),
    "gamma 0.5": bent(0.5),
    "gamma 0.7": bent(0.7),
    "gamma 1.5": bent(1.5),
    "gamma 2.2": bent(2.2),
    "sharpen 100": sharpened(100),
    "sharpen 200": sharpened(200),
    "sharpen 400": sharpened(400),
}


@contextmanager
def before_preprocessing(change: Filter) -> Iterator[None]:
    """Let playback's pipeline change each raw image before it prepares it, as a bug would."""
    prepare: Any = pipeline.prepare

    def changed(raw: Any, *rest: Any) -> Any:
        return prepare(change(np.asarray(raw)), *rest)

    pipeline.prepare = changed
    try:
        yield
    finally:
        pipeline.prepare = prepare


def main() -> None:
    """Record, diagnose, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--networks", default="v1,vww,resnet8")
    parser.add_argument("--frames", type=int, default=8)
    options = parser.parse_args()
    data, part = data_folder(), slice(0, options.frames)
    results: Counter[bool] = Counter()
    diagnoser = Diagnoser()
    with tempfile.TemporaryDirectory() as folder:
        for network in (n for n in NETWORKS if n.name in options.networks.split(",")):
            record(network, data, Path(folder), part, "reference", role="reference")
            for name, change in FILTERS.items():
                with before_preprocessing(change):
                    record(network, data, Path(folder), part, name)
                diagnosis = diagnoser.diagnose(Path(folder, "lakes", network.name), name)
                entry = diagnosis.entry
                where = entry.where.stage if entry else None
                told = where or ", ".join(cause.code for cause in diagnosis.failing)
                print(f"{network.name:10}{name:14}{diagnosis.status:14}{told}", flush=True)
                results[diagnosis.status == "unexplained" and where == "preprocess"] += 1
    total = sum(results.values())
    low, high = clopper_pearson(results[True], total)
    print(
        f"unexplained, at the right place: {results[True]} of {total}, 95 % {low:.1%} to {high:.1%}"
    )


if __name__ == "__main__":
    main()
