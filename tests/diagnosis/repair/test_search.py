"""Edges that are repaired, and edges that are left alone, because inputs held out say so."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from exray.diagnosis.layers.tflite_model import TfliteModel
from exray.schema.errors import UsageError

from ..layers.faulty import with_fault, zero_bias
from .edges import BGR, FLOAT, INT8, RGB, call, mend, record, record_application, words

LAYER = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of the reference and of edges with and without faults."""
    folder = tmp_path_factory.mktemp("repair")
    lost = with_fault(INT8, folder / "lost.tflite", LAYER, zero_bias)
    record(folder / "lake", "reference", FLOAT)
    record(folder / "lake", "sound")
    record(folder / "lake", "both", lost, BGR)
    record_application(folder / "lake", "application", INT8, BGR)
    return folder


def test_two_faults_are_mended_one_after_the_other_and_judged_on_inputs_held_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "patch"
    more = ("--reference-model", str(FLOAT), "--json")
    arguments = words(folder / "lake", "both", BGR, out, *more, model=folder / "lost.tflite")
    assert call(monkeypatch, arguments) == 0
    document = json.loads(capsys.readouterr().out)

    codes = [step["causes"][0]["code"] for step in document["steps"] if step["kept"]]
    assert codes == ["preprocessing.channel_order", "conversion.layer"]
    assert document["last_diagnosis"]["status"] == "pass"
    assert document["inputs"] == {"chosen_on": 24, "held_out": 24}
    judged, chosen = document["held_out"], document["chosen_on"]
    assert judged["judged"] == chosen["judged"] == 24
    assert judged["right_after"] - judged["right_before"] >= 8
    assert judged != chosen  # each of its own half
    assert document["share_back"] >= 0.95

    assert document["files"] == [str(file) for file in sorted(out.iterdir(), key=_place(document))]
    assert (out / "edge.yaml").read_text("utf-8") == BGR.read_text("utf-8").replace("bgr", "rgb")
    weights = TfliteModel.load(out / "lost.tflite")
    bias = weights.constant(weights.ops[LAYER].inputs[2])
    assert bias is not None
    assert bias.any()


def _place(document: dict[str, list[str]]) -> Callable[[Path], int]:
    return lambda file: document["files"].index(str(file))


def test_an_application_that_does_not_do_what_its_spec_says_gets_a_hint(folder: Path) -> None:
    outcome = mend(folder, "application", INT8, RGB)
    assert not outcome.is_faithful
    assert outcome.verdict == "repaired"
    assert outcome.after.spec == outcome.before.spec
    assert [change.code for _, change in outcome.kept] == ["Feed RGB on the edge."]


def test_another_model_file_than_the_recorded_one_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="is not the model that 'sound' ran"):
        mend(folder, "sound", FLOAT)


def test_another_spec_than_the_recorded_one_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"image\.channels differ from what was recorded"):
        mend(folder, "sound", INT8, BGR)
