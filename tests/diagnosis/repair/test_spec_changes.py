"""What of the reference's preprocessing goes into the edge's spec."""

from pathlib import Path

from exray.diagnosis.causes import Cause, Where
from exray.diagnosis.repair.configuration import Configuration
from exray.diagnosis.repair.spec_changes import spec_changes, with_keys_of
from exray.playback.spec import spec_from_mapping

EDGE = spec_from_mapping(
    {"image": {"channels": "bgr", "rotate": 90, "resize": {"size": [8, 8], "method": "nearest"}}}
)
REFERENCE = spec_from_mapping(
    {"image": {"values": {"range": [0, 1]}, "resize": {"size": [9, 9], "method": "area"}}}
)


def cause(code: str, **evidence: str) -> Cause:
    return Cause(f"preprocessing.{code}", "", Where(stage="preprocess"), 0.9, evidence, "Mend it.")


def test_only_what_the_cause_speaks_of_changes() -> None:
    found = with_keys_of(EDGE, REFERENCE, [cause("channel_order")])
    assert found.image.channels == "rgb"
    assert found.image.rotate == 90
    assert found.image.values == "raw"


def test_the_size_stays_the_edge_models() -> None:
    resize = with_keys_of(EDGE, REFERENCE, [cause("resize")]).image.resize
    assert (resize.size, resize.method) == ((8, 8), "area")


def test_of_several_causes_the_first_is_tried_alone_and_then_all() -> None:
    causes = [cause("channel_order"), cause("value_range")]
    changes = list(spec_changes(causes, REFERENCE))
    assert [len(change.causes) for change in changes] == [1, 2]
    made = [change.apply(Configuration(model=Path("m"), spec=EDGE), Path()) for change in changes]
    specs = [state.spec for state in made]
    assert specs[0] is not None
    assert specs[1] is not None
    assert [spec.image.values == "raw" for spec in specs if spec] == [True, False]


def test_an_audio_cause_changes_the_part_that_it_names() -> None:
    edge = spec_from_mapping({"audio": {"fft": 512, "mel": {"count": 30}, "log": "decimal"}})
    reference = spec_from_mapping({"audio": {"fft": 512, "mel": {"count": 40}, "log": "natural"}})
    found = with_keys_of(edge, reference, [cause("audio", part="mel.count")])
    assert found.audio is not None
    assert found.audio.mel is not None
    assert (found.audio.mel.count, found.audio.log) == (40, "decimal")
