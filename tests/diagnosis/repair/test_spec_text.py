"""A spec's text with some keys changed, and its author's words left alone."""

import itertools
import subprocess
from pathlib import Path
from typing import Any

import pytest

from exray.diagnosis.repair.spec_text import changed_text, unified_diff
from exray.playback.spec import PreprocessSpec, spec_from_mapping
from exray.schema.yaml_text import parse_yaml

COMMENTED = """\
# camera
image:
  channels: bgr   # as OpenCV gives it
  crop: {central: 0.875}
  resize:
    size: [224, 224]
    method: nearest   # fast

  values: {range: [0, 1]}
"""
TEXTS = (
    COMMENTED,
    "image: {channels: bgr, rotate: 90}\n",
    "image: {rotate: 90}",
    "image: {}\n",
    "image:\n",
    "",
    "image:\n  values: {mean: [1e-3], std: [2E-1]}\n",
    "image:\n  values:\n    mean: [0.4, 0.4,\n      0.5]\n    std: [1, 1, 1]\n  rotate: 90\n",
)
CHANGES: tuple[dict[str, Any], ...] = (
    {"channels": "rgb"},
    {"rotate": 0},
    {"flip": "horizontal"},
    {"crop": "none"},
    {"crop": {"central": 0.5}},
    {"resize": {"method": "area"}},
    {"values": "raw"},
    {"values": {"range": [-1, 1]}},
    {"values": {"mean": [0.5], "std": [0.25]}},
)


def changed(text: str, change: dict[str, Any]) -> tuple[str, PreprocessSpec]:
    own = spec_from_mapping(parse_yaml(text))
    new = spec_from_mapping({"image": change}).image
    image = own.image.model_copy(update={key: getattr(new, key) for key in change})
    wanted = PreprocessSpec(image=image)
    return changed_text(text, "image", list(change), wanted), wanted


@pytest.mark.parametrize("text", TEXTS)
def test_the_text_says_what_is_wanted(text: str) -> None:
    pairs = [{**a, **b} for a, b in itertools.combinations(CHANGES, 2)]
    for change in (*CHANGES, *pairs):
        edited, wanted = changed(text, change)
        assert spec_from_mapping(parse_yaml(edited)) == wanted, (change, edited)


def test_all_else_stays_as_it_was_written() -> None:
    edited, _ = changed(COMMENTED, {"channels": "rgb", "values": {"range": [-1, 1]}})
    expected = COMMENTED.replace("channels: bgr", "channels: rgb").replace("[0, 1]", "[-1, 1]")
    assert edited == expected


def test_a_key_that_was_not_there_is_added_to_its_section() -> None:
    edited, _ = changed(COMMENTED, {"flip": "vertical"})
    assert edited == COMMENTED + "  flip: vertical\n"


def test_the_difference_is_one_that_patch_takes(tmp_path: Path) -> None:
    for number, text in enumerate(TEXTS):
        if not text:
            continue  # patch has no say about a file that is empty on one side
        edited, _ = changed(text, {"rotate": 180, "flip": "vertical"})
        file = tmp_path / f"{number}.yaml"
        file.write_text(text, "utf-8")
        difference = unified_diff(text, edited, file.name)
        done = subprocess.run(
            ["git", "apply", "-p1", "--unsafe-paths", "-"],
            input=difference,
            cwd=tmp_path,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert file.read_text("utf-8") == edited
