"""A repair as files: whole or not at all, and never over others."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from exray.diagnosis.causes import Cause, Where
from exray.diagnosis.comparison import Comparison, Coverage, Side
from exray.diagnosis.conclusion import Diagnosis
from exray.diagnosis.repair import patch
from exray.diagnosis.repair.change import Change
from exray.diagnosis.repair.configuration import Configuration
from exray.diagnosis.repair.outcome import Outcome, Step, Trial
from exray.diagnosis.repair.paired import pair
from exray.diagnosis.repair.patch import check_out, write_patch
from exray.diagnosis.repair.rerun import Answer
from exray.playback.outcome import Accuracy
from exray.playback.spec import load_spec
from exray.schema.errors import UsageError

from ..layers.faulty import with_fault, zero_bias
from .edges import BGR, INT8, RGB

SIDES = [Side(name, "", "net", "", "xnnpack", "board", ()) for name in ("edge", "reference")]
DIAGNOSIS = Diagnosis(Comparison(SIDES[0], SIDES[1], Coverage()))


def outcome(model: Path, after_model: Path) -> Outcome:
    cause = Cause(
        "preprocessing.channel_order", "edge feeds BGR", Where(stage="preprocess"), 0.9, {}, "Mend."
    )
    change = Change("preprocess: channels", (cause,), lambda state, _: state, "Feed RGB.")
    before, after = ({str(i): Answer(best) for i in range(8)} for best in (0, 1))
    judged = pair(before, after, lambda _: 1, {})
    return Outcome(
        edge="edge",
        reference="reference",
        before=Configuration(model=model, spec=load_spec(BGR)),
        after=Configuration(model=after_model, spec=load_spec(RGB)),
        steps=(Step((cause,), (Trial(change, judged),), change),),
        first=DIAGNOSIS,
        last=DIAGNOSIS,
        is_faithful=True,
        chosen_on=judged,
        judged=judged,
        reference_accuracy=Accuracy(8, 8),
        chosen=frozenset("ab"),
        held_out=frozenset("cd"),
    )


def test_a_patch_holds_what_changed_and_the_evidence(tmp_path: Path) -> None:
    mended = with_fault(INT8, tmp_path / "other.tflite", 2, zero_bias)
    files = write_patch(outcome(INT8, mended), tmp_path / "out", BGR)
    assert [file.name for file in files] == [
        "edge.yaml",
        "edge.yaml.diff",
        "demo_int8.tflite",
        "demo_int8.tflite.diff",
        "code.md",
        "report.md",
        "evidence.json",
    ]
    assert files[0].read_text("utf-8") == BGR.read_text("utf-8").replace("bgr", "rgb")
    assert "-  channels: bgr\n+  channels: rgb\n" in files[1].read_text("utf-8")
    assert files[2].read_bytes() == mended.read_bytes()
    changed = [
        line for line in files[3].read_text("utf-8").splitlines() if line.startswith(("+ ", "- "))
    ]
    assert len(changed) == 2  # the bias, before and after
    document = json.loads(files[6].read_text("utf-8"))
    assert document["verdict"] == "repaired"
    assert document["share_back"] == 1.0
    assert document["held_out"]["mended"] == 8
    assert "100% of the accuracy" in files[5].read_text("utf-8")


def test_a_spec_that_stays_is_not_written(tmp_path: Path) -> None:
    made = outcome(INT8, INT8)
    same = replace(made, after=replace(made.after, spec=made.before.spec))
    files = write_patch(same, tmp_path / "out", BGR)
    assert [file.name for file in files] == ["code.md", "report.md", "evidence.json"]


@pytest.mark.parametrize("held", ["file", "folder"])
def test_nothing_is_overwritten(tmp_path: Path, held: str) -> None:
    out = tmp_path / "out"
    if held == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "report.md").write_text("mine")
    with pytest.raises(UsageError, match="nothing is overwritten"):
        write_patch(outcome(INT8, INT8), out, BGR)
    kept = out if held == "file" else out / "report.md"
    assert kept.read_text() == "mine"


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    check_out(tmp_path)
    check_out(tmp_path / "none")


def test_a_folder_that_cannot_be_made_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match=r"'.*/file' is no folder to write to"):
        check_out(tmp_path / "file" / "a" / "out")
    check_out(tmp_path / "a" / "b" / "out")


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(patch, "markdown", interrupted)  # when the spec is written already
    with pytest.raises(KeyboardInterrupt):
        write_patch(outcome(INT8, INT8), tmp_path / "out", BGR)
    assert list(tmp_path.iterdir()) == []
