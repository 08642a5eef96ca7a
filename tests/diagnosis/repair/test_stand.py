"""What a repair works with: the half held out is hidden from the diagnosis."""

from dataclasses import replace
from pathlib import Path
from shutil import copy

import pytest

from exray.diagnosis.repair.request import Request
from exray.diagnosis.repair.rerun import Answers
from exray.diagnosis.repair.stand import Stand, open_stand
from exray.lake import Lake
from exray.schema.errors import UsageError

from .edges import FLOAT, IMAGES, INT8, LABELS, RGB, quiet, record


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    folder = tmp_path_factory.mktemp("stand")
    record(folder / "lake", "reference", FLOAT)
    record(folder / "lake", "sound")
    request = Request(
        lake=Lake.open(folder / "lake"),
        edge="sound",
        reference="reference",
        edge_model=INT8,
        reference_model=FLOAT,
        inputs=IMAGES,
        labels=LABELS,
        preprocess=RGB,
    )
    return open_stand(request, folder, quiet)


def test_the_diagnosis_sees_one_half_of_the_frames(stand: Stand) -> None:
    scene, _ = stand.diagnose()
    assert scene.comparison.coverage.frames_paired == len(stand.chosen) == 24
    held_out = {item.input_id for item in stand.held_out}
    assert len(held_out) == 24
    assert not held_out & {item.input_id for item in scene.replay.recorded()}


def test_files_that_do_what_was_recorded_repeat_it(stand: Stand) -> None:
    answers = stand.rerun(stand.start, stand.chosen, "")
    assert stand.repeats(answers)
    assert not stand.repeats({name: answers[other] for name, other in _shifted(answers)})


def test_labels_of_other_inputs_are_refused(stand: Stand, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("file,label\nelsewhere.png,1\n")
    with pytest.raises(UsageError, match="none of 1 keys names an input"):
        open_stand(replace(stand.request, labels=str(labels)), tmp_path, quiet)


def test_inputs_that_nobody_ran_on_are_refused(stand: Stand, tmp_path: Path) -> None:
    copy(next(iter(IMAGES.iterdir())), tmp_path / "elsewhere.png")
    request = replace(stand.request, inputs=tmp_path, labels=None)
    with pytest.raises(UsageError, match=r"none of these 1 inputs \(edge on 0 and reference on 0"):
        open_stand(request, tmp_path, quiet)


def _shifted(answers: Answers) -> list[tuple[str, str]]:
    names = list(answers)
    return list(zip(names, names[1:] + names[:1], strict=True))


def test_the_references_accuracy_is_that_of_its_recorded_answers(stand: Stand) -> None:
    found = stand.reference_accuracy(stand.held_out)
    assert found is not None
    assert (found.correct, found.count) == (23, 24)
