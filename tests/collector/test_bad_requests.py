"""Bad requests harm nobody; a small sample of ``make fuzz-collector``."""

from pathlib import Path

from .bad_requests import sweep


def test_bad_requests_are_refused_and_sound_ones_between_them_stored(tmp_path: Path) -> None:
    tally = sweep(tmp_path, changed=400, hostile=40, clients=1)
    assert tally.answers.total() >= 400
    assert {name for name in tally.answers if name.startswith("protobuf")} > {"protobuf 400"}
    assert len(tally.sound) >= 8
