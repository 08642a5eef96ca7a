"""What a diagnosis did not judge, and what it takes."""

from dataclasses import replace
from pathlib import Path

from exray.diagnosis.causes import Replay
from exray.diagnosis.comparison import Comparison, Coverage, Side
from exray.diagnosis.conclusion import Diagnosis
from exray.diagnosis.unseen import unseen

EDGE = Side("1.4.2", "edge", "net", "aa", "xnnpack", "board", (), model_ms=1.0)
REFERENCE = Side("float", "reference", "net", "bb", "xnnpack", "board", ())
COMPARISON = Comparison(EDGE, REFERENCE, Coverage(), flips=0, mcnemar_p=1.0)
FILES = Replay(
    inputs=Path("i"), edge_model=Path("e"), reference_model=Path("r"), preprocess=Path("p")
)


def needs(diagnosis: Diagnosis, replay: Replay = FILES) -> list[str]:
    return [found.needs for found in unseen(diagnosis, replay)]


def test_with_all_files_and_a_baseline_nothing_is_left() -> None:
    assert needs(Diagnosis(COMPARISON, before=COMPARISON)) == []


def test_from_the_lake_alone_weights_operators_and_preprocessing_are_left() -> None:
    assert needs(Diagnosis(COMPARISON, before=COMPARISON), Replay()) == [
        "--edge-model and --reference-model",
        "--inputs beside both model files",
        "--inputs",
    ]


def test_one_file_on_both_sides_has_no_weights_to_compare() -> None:
    same = replace(COMPARISON, reference=replace(REFERENCE, model_sha256="aa"))
    assert needs(Diagnosis(same, before=same), Replay()) == ["--inputs"]


def test_without_baseline_labels_or_plain_times_these_are_left() -> None:
    poor = replace(COMPARISON, edge=replace(EDGE, times_inflated=True), flips=None)
    assert needs(Diagnosis(poor)) == [
        "--baseline BUILD",
        "labels on both sides: exray run --labels CSV",
        "frames of exray run --level latency",
    ]
