"""``preprocessing.*`` from a lake that playback made, with the recorded inputs and without."""

from collections.abc import Callable
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from exray.diagnosis.candidates import find_preprocessing
from exray.diagnosis.candidates.inputs import recorded_spec
from exray.diagnosis.causes import Cause, Replay
from exray.diagnosis.conclusion import Diagnosis
from exray.diagnosis.diagnose import diagnose
from exray.instrumentation.config import Level
from exray.lake import Lake
from exray.playback.dataset import open_dataset
from exray.playback.pipeline import Pipeline, play
from exray.playback.spec import load_spec, spec_from_mapping
from exray.queries import connect, resolve
from exray.queries.interrupt import Watch, WatchedCursors

DEMO = Path(str(files("exray.playback").joinpath("demo")))
IMAGES = DEMO / "images"
REFERENCE_SPEC = DEMO / "reference.yaml"

FRAMES = 6


def record(
    lake: Path,
    build: str,
    inputs: Path = IMAGES,
    level: str = "summary",
    **image: object,
) -> None:
    """Play the demo's int8 edge, or its float reference."""
    is_reference = build == "reference"
    declared: dict[str, object] = {"resize": {"size": [64, 64]}, "values": {"range": [-1, 1]}}
    pipeline = Pipeline(
        model=DEMO / ("demo_float.tflite" if is_reference else "demo_int8.tflite"),
        spec=spec_from_mapping({"image": declared | image}),
        build=build,
        role="reference" if is_reference else "edge",
        lake=lake,
        level=Level.parse(level),
        layers="none",
    )
    play(pipeline, open_dataset(inputs, limit=FRAMES), None)


def ask(
    lake: Path, build: str = "edge", inputs: Path | None = None, preprocess: Path | None = None
) -> Diagnosis:
    return diagnose(
        Lake.open(lake),
        build,
        "reference",
        replay=Replay(inputs=inputs, preprocess=preprocess),
        finders=(find_preprocessing,),
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference, and edges with one mistake each."""
    folder = tmp_path_factory.mktemp("candidates") / "lake"
    record(folder, "reference", level="distribution")
    record(folder, "sound")
    record(folder, "bgr", level="distribution", channels="bgr")
    record(folder, "unsigned", values={"range": [0, 1]})
    record(folder, "turned", rotate=90)
    return folder


def first(diagnosis: Diagnosis) -> Cause:
    return diagnosis.failing[0]


@pytest.mark.parametrize(
    ("build", "code"),
    [("bgr", "channel_order"), ("unsigned", "value_range"), ("turned", "orientation")],
)
def test_inputs_tell_what_the_edge_did(lake: Path, build: str, code: str) -> None:
    diagnosis = ask(lake, build, inputs=IMAGES)
    assert [cause.code for cause in diagnosis.failing] == [f"preprocessing.{code}"]
    assert first(diagnosis).where.stage == "preprocess"
    assert first(diagnosis).confidence > 0.9


def test_cause_names_both_sides_and_the_runner_up(lake: Path) -> None:
    cause = first(ask(lake, "bgr", inputs=IMAGES))
    assert cause.what == "edge feeds BGR, reference RGB"
    assert cause.fix == "Feed RGB on the edge."
    match, runner_up = cause.evidence["match_db"], cause.evidence["runner_up_db"]
    assert isinstance(match, float)
    assert isinstance(runner_up, float)
    assert match > runner_up + 10


def test_declared_spec_of_the_user_counts_before_the_recorded_one(
    lake: Path, tmp_path: Path
) -> None:
    """With a spec that the reference does not follow, nothing is named."""
    other = tmp_path / "spec.yaml"
    other.write_text(REFERENCE_SPEC.read_text().replace("rgb", "gray"))
    assert load_spec(other).image.channels == "gray"
    assert not ask(lake, "turned", inputs=IMAGES, preprocess=other).failing
    assert ask(lake, "turned", inputs=IMAGES, preprocess=REFERENCE_SPEC).failing


def test_of_several_recordings_the_newest_declares_for_whose_frames_count(tmp_path: Path) -> None:
    record(tmp_path, "reference", channels="bgr")
    record(tmp_path, "reference")
    with closing(connect(Lake.open(tmp_path))) as connection:
        runs = resolve(connection, "reference", None).run_ids
        found = recorded_spec(WatchedCursors(connection, Watch()), runs)
    assert len(runs) == 2
    assert found is not None
    assert found.image.channels == "rgb"


def test_sound_edge_has_no_cause(lake: Path) -> None:
    assert ask(lake, "sound", inputs=IMAGES).status == "pass"


def test_lake_alone_tells_another_range(lake: Path) -> None:
    assert first(ask(lake, "unsigned")).code == "preprocessing.value_range"


def test_lake_alone_tells_the_order_of_channels_by_their_statistics(lake: Path) -> None:
    assert first(ask(lake, "bgr")).code == "preprocessing.channel_order"


def test_lake_alone_cannot_tell_a_turn_and_asks_for_the_inputs(lake: Path) -> None:
    diagnosis = ask(lake, "turned")
    assert diagnosis.status == "unexplained"
    assert "--inputs" in diagnosis.advice[0].fix


def test_advice_names_what_the_two_sides_declare_differently(lake: Path) -> None:
    advice = ask(lake, "turned").advice[0]
    assert "(image.rotate: edge 90, reference 0)" in advice.what
    assert advice.fix.startswith("Declare the reference's on the edge. ")


def test_advice_names_no_declaration_where_both_are_alike(lake: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for path in sorted(IMAGES.iterdir())[:FRAMES]:
        Image.open(path).convert("RGB").rotate(90).save(folder / path.name)
    record(lake, "turned before", inputs=folder)
    advice = ask(lake, "turned before").advice[0]
    assert advice.what.endswith("cannot be told from the lake alone")
    assert advice.fix.startswith("Diagnose again with --inputs DIR")


@pytest.mark.parametrize("change", ["blur", "gamma", "sharpen"])
def test_what_no_alternative_does_stays_unexplained(
    lake: Path, tmp_path: Path, change: str
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for path in sorted(IMAGES.iterdir())[:FRAMES]:
        CHANGES[change](Image.open(path).convert("RGB")).save(folder / path.name)
    record(lake, change, inputs=folder)
    diagnosis = ask(lake, change, inputs=IMAGES)
    assert diagnosis.status == "unexplained"
    assert diagnosis.entry is not None
    assert diagnosis.entry.where.stage in ("raw", "preprocess", "model input")


def gamma(image: Image.Image) -> Image.Image:
    return Image.fromarray((255 * (np.asarray(image) / 255) ** 1.5).astype(np.uint8))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "blur": lambda image: image.filter(ImageFilter.GaussianBlur(1)),
    "gamma": gamma,
    "sharpen": lambda image: image.filter(ImageFilter.SHARPEN),
}


def test_inputs_that_no_frame_knows_leave_the_lake_to_judge_by(lake: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "other.png")
    assert first(ask(lake, "unsigned", inputs=tmp_path)).code == "preprocessing.value_range"
    assert not ask(lake, "turned", inputs=tmp_path).failing
