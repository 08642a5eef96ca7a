"""What a diagnosis looks like at a terminal."""

import dataclasses
import io

from rich.console import Console

from exray.diagnosis.causes import Cause, Where
from exray.diagnosis.conclusion import Diagnosis, Entry, FinderFailure
from exray.diagnosis.diagnosis_terminal import print_diagnosis
from exray.diagnosis.diagnosis_wording import place, verdict_sentence

from .builders import make_comparison

CAUSE = Cause(
    code="quantization.range",
    what="int8 clips 12 % of 'stem'",
    where=Where(layer_index=2, layer="net/stem/conv", op="CONV_2D"),
    confidence=0.93,
    evidence={"clipped_ratio": 0.1234567, "frames": 60, "more": [1, 2]},
    fix="Calibrate with more inputs.",
)


def shown(diagnosis: Diagnosis) -> str:
    console = Console(file=io.StringIO(), width=100, highlight=False)
    print_diagnosis(diagnosis, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_cause_is_shown_with_what_where_evidence_and_fix() -> None:
    text = shown(Diagnosis(make_comparison(), (CAUSE,)))
    assert text.startswith("FAIL  'e' fails against 'r': int8 clips 12 % of 'stem' (layer 2")
    for part in (
        "1. quantization.range  93% sure",
        "where layer 2 'stem/conv', CONV_2D",
        "shown clipped_ratio 0.1235, frames 60, 1 more with --json",
        "fix   Calibrate with more inputs.",
    ):
        assert part in text


def test_advice_that_is_no_guess_has_no_percentage() -> None:
    advice = dataclasses.replace(CAUSE, fails=False, confidence=0.0)
    text = shown(Diagnosis(make_comparison(), (advice,)))
    assert "quantization.range" in text
    assert "sure" not in text


def test_coverage_and_outcome_follow_the_causes() -> None:
    text = shown(Diagnosis(make_comparison(), (CAUSE,)))
    assert text.index("fix ") < text.index("Frames: 60 paired") < text.index("Outcome")


def test_a_finder_that_broke_is_named() -> None:
    diagnosis = Diagnosis(make_comparison(), failures=(FinderFailure("find_x", "KeyError: 1"),))
    assert "Finder find_x failed and was left out: KeyError: 1" in shown(diagnosis)
    assert "but find_x could not look" in verdict_sentence(diagnosis)


def test_too_few_frames_are_no_pass() -> None:
    diagnosis = Diagnosis(make_comparison(), entry=Entry("needs 24 more frames", frames_missing=24))
    assert shown(diagnosis).startswith("UNEXPLAINED  Not enough to judge: needs 24 more frames.")


def test_names_from_a_lake_cannot_steer_the_terminal() -> None:
    evil = Cause("x.y", "\x1b[2Jgone [bold]", Where(stage="s"), 0.5, {}, "Do.")
    text = shown(Diagnosis(make_comparison(), (evil,)))
    assert "\x1b" not in text
    assert "[bold]" in text


def test_a_place_without_stage_or_layer_is_its_operator() -> None:
    assert place(Where(op="CONV_2D")) == "CONV_2D"
    assert place(Where()) == "whole model"
