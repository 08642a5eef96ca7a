"""Which frames a search looks at, and what it makes of values that were clamped."""

import numpy as np

from exray.diagnosis.candidates.judging import most_telling, replayed_causes
from exray.playback.spec import PreprocessSpec
from exray.schema.records import Quantization

from .scenes import by_spec, make_images, make_spec, observe

WIDE = Quantization((1.0,), (-128,))
"""An input that holds 0..255: of values 0..1 hardly two steps are left."""

RAW, UNIT = make_spec(values="raw"), make_spec(values={"range": [0, 1]})


def dark(count: int, factor: float) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    return {
        f"dark{n}": (image * factor).astype(np.uint8) for n, image in make_images(count).items()
    }


def test_frames_that_became_one_number_come_last() -> None:
    images = dark(9, 0.3) | make_images(3)
    frames = observe(images, by_spec(RAW), by_spec(UNIT), WIDE)
    assert frames[0].input_id.startswith("dark")  # nothing is left of them: the most different
    found = [frame.input_id for frame in most_telling(frames)]
    assert not any(name.startswith("dark") for name in found[:3])
    assert sorted(found) == sorted(images)


def test_frames_that_tell_alike_keep_their_order() -> None:
    frames = observe(make_images(5), by_spec(RAW), by_spec(make_spec(values="raw", rotate=90)))
    assert most_telling(frames) == frames


def test_values_clamped_to_a_step_or_two_are_named_among_many_that_became_nothing() -> None:
    images = dark(12, 0.6) | make_images(4)  # a few of their pixels come through
    frames = observe(images, by_spec(RAW), by_spec(UNIT), WIDE)
    causes = replayed_causes(frames, PreprocessSpec(image=RAW), lambda f: images[f.input_id])
    assert [cause.code for cause in causes] == ["preprocessing.value_range"]
