"""``exray diagnose``: scene, finders, conclusion, what is printed."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exray.diagnosis.causes import Cause, Replay, Scene, Where
from exray.diagnosis.commands import app as compare_app
from exray.diagnosis.diagnose import diagnose
from exray.diagnosis.diagnose_commands import app
from exray.lake import Lake
from exray.schema.errors import SelectionError, UsageError

from .lakes import Recording, make_graph, make_lake, make_values

SWAPPED = Cause(
    code="preprocessing.channel_order",
    what="edge feeds BGR, reference RGB",
    where=Where(stage="preprocess"),
    confidence=0.99,
    evidence={"sqnr_db": 4.0, "runner_up": "none"},
    fix="Feed RGB.",
)
SLOW = Cause(
    code="latency.kernel",
    what="CONV_2D runs on reference kernels",
    where=Where(op="CONV_2D"),
    confidence=1.0,
    evidence={},
    fix="Use XNNPACK.",
    fails=False,
)
WEAK = Cause(
    code="health.dead",
    what="layer 1 puts out nothing but zeros",
    where=Where(layer_index=1, layer="head", op="CONV_2D"),
    confidence=0.6,
    evidence={},
    fix="Look at its bias.",
)


def find_three(scene: Scene) -> Iterable[Cause]:
    return (SLOW, WEAK, SWAPPED)


def find_nothing(scene: Scene) -> Iterable[Cause]:
    return ()


def find_and_break(scene: Scene) -> Iterable[Cause]:
    msg = "no such column"
    raise KeyError(msg)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Builds "same" and "other" (another model input) against "r", and "before"."""
    graphs = [make_graph(sha, ["stem", "head"]) for sha in ("aa", "bb")]
    same, other, before = (Recording(graphs[0], name) for name in ("same", "other", "before"))
    reference = Recording(graphs[1], "r", "reference")
    for frame in range(16):
        layers = {i: make_values(10 * frame + i) for i in range(2)}
        raw, value = make_values(frame + 200, 64), make_values(frame + 100)
        for recording in (same, before, reference):
            recording.add(f"{frame}.png", value, layers, raw=raw, label=1, prediction=1)
        other.add(f"{frame}.png", value[::-1], layers, raw=raw, label=1, prediction=1)
    path = tmp_path_factory.mktemp("lake") / "lake"
    return make_lake(path, same, other, before, reference)


def test_two_builds_that_agree_pass(lake: Lake) -> None:
    diagnosis = diagnose(lake, "same", "r", finders=[find_nothing])
    assert (diagnosis.status, diagnosis.entry) == ("pass", None)


def test_a_difference_without_cause_is_unexplained_and_has_its_place(lake: Lake) -> None:
    diagnosis = diagnose(lake, "other", "r", finders=[find_nothing])
    assert diagnosis.status == "unexplained"
    assert diagnosis.entry is not None
    assert diagnosis.entry.where == Where(stage="model input")


def test_causes_fail_the_edge_the_surest_first_and_advice_apart(lake: Lake) -> None:
    diagnosis = diagnose(lake, "other", "r", finders=[find_three])
    assert diagnosis.status == "fail"
    assert diagnosis.failing == (SWAPPED, WEAK)
    assert diagnosis.advice == (SLOW,)
    assert diagnosis.entry is None


def test_advice_alone_passes(lake: Lake) -> None:
    assert diagnose(lake, "same", "r", finders=[lambda scene: [SLOW]]).status == "pass"


def test_a_finder_that_breaks_is_reported_and_hides_no_other(lake: Lake) -> None:
    diagnosis = diagnose(lake, "other", "r", finders=[find_and_break, find_three])
    (failure,) = diagnosis.failures
    assert (failure.finder, failure.error) == ("find_and_break", "KeyError: 'no such column'")
    assert diagnosis.failing == (SWAPPED, WEAK)


def test_a_finder_that_breaks_leaves_no_room_for_pass(lake: Lake) -> None:
    assert diagnose(lake, "same", "r", finders=[find_and_break]).status == "unexplained"


def test_a_file_of_the_users_that_is_wrong_is_the_users_error(lake: Lake) -> None:
    def refuse(scene: Scene) -> Iterable[Cause]:
        msg = "no such key"
        raise UsageError(msg)

    with pytest.raises(UsageError, match="no such key"):
        diagnose(lake, "same", "r", finders=[refuse])


def test_finders_see_edge_reference_and_baseline(lake: Lake) -> None:
    scenes: list[Scene] = []

    def look(scene: Scene) -> Iterable[Cause]:
        scenes.append(scene)
        with scene.cursors.cursor() as cursor:
            counted = cursor.execute("SELECT count(*) FROM runs").fetchone()
        assert counted == (4,)
        return ()

    diagnose(lake, "other", "r", baseline="before", finders=[look])
    (scene,) = scenes
    assert scene.comparison.edge.build == scene.edge.build == "other"
    assert scene.reference.build == "r"
    assert scene.baseline is not None
    assert scene.baseline_selection is not None
    assert (scene.baseline.edge.build, scene.baseline_selection.build) == ("before", "before")


def test_a_file_to_replay_that_is_missing_is_named(lake: Lake, tmp_path: Path) -> None:
    gone = tmp_path / "gone.tflite"
    with pytest.raises(UsageError, match=r"--edge-model '.*gone.tflite' does not exist"):
        diagnose(lake, "same", "r", replay=Replay(edge_model=gone))


def test_a_baseline_that_is_not_there_lists_those_that_are(lake: Lake) -> None:
    with pytest.raises(SelectionError, match="no build 'x'"):
        diagnose(lake, "same", "r", baseline="x")


def call(lake: Lake, *arguments: str) -> str:
    given = [*arguments, "--lake", str(lake.path)]
    result = CliRunner().invoke(app, given, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_json_has_status_coverage_causes_and_outcome(lake: Lake) -> None:
    (line,) = call(lake, "--edge", "other", "--reference", "r", "--json").splitlines()
    document: dict[str, Any] = json.loads(line)
    assert {"status", "coverage", "causes", "outcome"} <= set(document)
    coverage = {name: document["coverage"][name] for name in ("frames_paired", "layers_aligned")}
    assert coverage == {"frames_paired": 16, "layers_aligned": 2}
    assert (document["coverage"]["frames_unpaired"], document["outcome"]["flips"]) == (0, 0)
    assert document["outcome"]["edge"]["top1"] == 1.0
    assert len(document["outcome"]["edge"]["ci95"]) == 2


def test_a_cause_as_json_has_code_what_where_confidence_evidence_and_fix(lake: Lake) -> None:
    (first, _) = diagnose(lake, "other", "r", finders=[find_three]).failing
    assert first.to_json() == {
        "code": "preprocessing.channel_order",
        "what": "edge feeds BGR, reference RGB",
        "where": {"stage": "preprocess"},
        "confidence": 0.99,
        "evidence": {"sqnr_db": 4.0, "runner_up": "none"},
        "fix": "Feed RGB.",
    }


def test_the_terminal_begins_with_the_verdict(lake: Lake) -> None:
    lines = call(lake, "--edge", "same", "--reference", "r").splitlines()
    assert lines[0].startswith("PASS  'same' does what 'r' does")


def test_compare_and_diagnose_have_the_same_options_for_choosing_runs(lake: Lake) -> None:
    for command, words in ((compare_app, ["compare"]), (app, [])):
        shown = CliRunner().invoke(command, [*words, "--help"], env={"COLUMNS": "200"}).stdout
        assert all(f"--{name}" in shown for name in ("model", "device", "kernels", "lake", "json"))
