"""Where a difference without known cause enters, and what is no difference."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from exray.diagnosis.causes import Where
from exray.diagnosis.comparison import Comparison
from exray.diagnosis.conclusion import Diagnosis
from exray.diagnosis.diagnose import diagnose_scene
from exray.diagnosis.diagnosis_wording import verdict_sentence
from exray.diagnosis.entry import outlying, standing_out
from exray.diagnosis.verdict import judge

from .builders import make_comparison, make_layer
from .lakes import Array, Recording, make_graph, make_lake, make_values, with_noise
from .scenes import open_scene

NAMES = ["stem", "one", "two", "three", "head"]
FRAMES = 16


def diagnosed(
    path: Path,
    losses_db: Mapping[int, float] | None = None,
    *,
    precisions: tuple[str, str] = ("int8", "float32"),
    frames: int = FRAMES,
    wrong_answers: int = 0,
) -> Diagnosis:
    """Diagnose an edge whose layers are at 40 dB, those in *losses_db* and below them lower."""
    graphs = [make_graph(sha, NAMES) for sha in ("aa", "bb")]
    edge, reference = Recording(graphs[0], "e"), Recording(graphs[1], "r", "reference")
    for recording, precision in zip((edge, reference), precisions, strict=True):
        recording.run.model_precision = precision
    for frame in range(frames):
        exact = {i: make_values(10 * frame + i) for i in range(len(NAMES))}
        noisy: dict[int, Array] = {}
        level = 44.0
        for i, values in exact.items():
            level -= (losses_db or {}).get(i, 0.0)
            noisy[i] = with_noise(values, level, seed=10 * frame + i)
        is_wrong = frame < wrong_answers
        value, name = make_values(frame + 900), f"{frame}.png"
        edge.add(name, value, noisy, label=1, prediction=0 if is_wrong else 1)
        reference.add(name, value, exact, label=1, prediction=1)
    return diagnose_scene(open_scene(make_lake(path / "lake", edge, reference)), [])


def test_the_first_layer_that_stands_out_is_the_place(tmp_path: Path) -> None:
    diagnosis = diagnosed(tmp_path, {2: 24.0})
    assert diagnosis.status == "unexplained"
    assert diagnosis.entry is not None
    assert diagnosis.entry.where == Where(layer_index=2, layer="two", op="CONV_2D")
    assert "loses" in diagnosis.entry.what


def test_a_layer_that_the_comparison_names_is_let_pass_with_a_reason(tmp_path: Path) -> None:
    diagnosis = diagnosed(tmp_path, {2: 13.0})
    assert diagnosis.status == "pass"
    layer = judge(diagnosis.comparison).layer
    assert layer is not None
    assert layer.layer_index == 2
    told = verdict_sentence(diagnosis)
    assert "layer 2 'two', is within the 16 dB that a layer of a sound 8-bit network" in told
    assert diagnosis.to_json()["tolerated"] == diagnosis.tolerated


def test_nothing_is_let_pass_where_the_comparison_names_no_layer(tmp_path: Path) -> None:
    diagnosis = diagnosed(tmp_path, {2: 1.0})
    assert judge(diagnosis.comparison).layer is None
    assert diagnosis.tolerated is None


def with_loss(at: int, loss_db: float) -> Comparison:
    """Return a comparison of ten layers at 40 dB, from one on lower."""
    return make_comparison(
        [make_layer(i, 40.0 - loss_db * (i >= at), loss_db * (i == at)) for i in range(10)]
    )


@pytest.mark.parametrize(
    ("loss_db", "is_quantized", "stands_out"),
    [(14.5, True, False), (20.0, True, True), (14.5, False, True), (2.0, False, False)],
)
def test_what_stands_out_depends_on_whether_integers_are_computed(
    loss_db: float, is_quantized: bool, stands_out: bool
) -> None:
    found = standing_out(with_loss(4, loss_db), is_quantized=is_quantized)
    assert (found is not None) == stands_out
    assert found is None or found[0].layer_index == 4


def test_a_softmax_does_not_stand_out() -> None:
    comparison = make_comparison([make_layer(0, 40.0, 0.0), make_layer(1, 5.0, 35.0, op="SOFTMAX")])
    assert standing_out(comparison, is_quantized=True) is None


def test_float_networks_that_differ_by_rounding_pass(tmp_path: Path) -> None:
    assert diagnosed(tmp_path, precisions=("float16", "float32")).status == "pass"


def test_error_that_piles_up_to_half_of_the_signal_is_a_difference() -> None:
    comparison = make_comparison([make_layer(i, 34.0 - 8.0 * i, 8.0) for i in range(5)])
    found = standing_out(comparison, is_quantized=True)
    assert found is not None
    assert "half of what it puts out is error" in found[1]
    assert found[0].layer_index == 4


def test_answers_that_got_worse_though_the_tensors_agree_are_a_difference(tmp_path: Path) -> None:
    diagnosis = diagnosed(tmp_path, wrong_answers=9)
    assert diagnosis.entry is not None
    assert diagnosis.entry.where == Where(stage="outcome")


def test_a_few_answers_that_flip_are_none(tmp_path: Path) -> None:
    assert diagnosed(tmp_path, wrong_answers=3).status == "pass"


def test_too_few_frames_never_pass(tmp_path: Path) -> None:
    diagnosis = diagnosed(tmp_path, frames=2)
    assert diagnosis.status == "unexplained"
    assert diagnosis.entry is not None
    assert diagnosis.entry.frames_missing == 4
    assert "needs 4 more" in diagnosis.entry.what


def before_the_model(path: Path, **changed: Array) -> Diagnosis:
    """Diagnose an edge whose raw input, stages or model input are as given from there on."""
    edge = Recording(make_graph("aa", ["stem"]), "e")
    reference = Recording(make_graph("bb", ["stem"]), "r", "reference")
    for frame in range(8):
        name = f"{frame}.png"
        seen = {key: make_values(10 * frame + i) for i, key in enumerate(("raw", "x", "input"))}
        layers = {0: make_values(frame + 700)}
        reference.add(
            name, seen["input"], layers, raw=seen["raw"], stages={"preprocess": seen["x"]}
        )
        seen |= changed
        edge.add(name, seen["input"], layers, raw=seen["raw"], stages={"preprocess": seen["x"]})
    return diagnose_scene(open_scene(make_lake(path / "lake", edge, reference)), [])


@pytest.mark.parametrize(
    ("changed", "stage"),
    [
        (("raw", "x", "input"), "raw"),
        (("x", "input"), "preprocess"),
        (("input",), "model input"),
    ],
)
def test_the_first_place_of_the_pipeline_that_differs_is_named(
    tmp_path: Path, changed: tuple[str, ...], stage: str
) -> None:
    diagnosis = before_the_model(tmp_path, **{key: make_values(99) for key in changed})
    assert diagnosis.entry is not None
    assert diagnosis.entry.where == Where(stage=stage)


def test_a_stage_that_the_model_does_not_see_is_no_difference(tmp_path: Path) -> None:
    assert before_the_model(tmp_path, x=make_values(99)).status == "pass"


def test_nothing_in_common_is_not_enough_to_judge(tmp_path: Path) -> None:
    edge = Recording(make_graph("aa", ["stem"]), "e")
    reference = Recording(make_graph("bb", ["stem"]), "r", "reference")
    edge.add("a.png", make_values(1))
    reference.add("b.png", make_values(1))
    diagnosis = diagnose_scene(open_scene(make_lake(tmp_path / "lake", edge, reference)), [])
    assert diagnosis.entry is not None
    assert diagnosis.entry.frames_missing > 0


def test_faults_in_fewer_than_half_of_the_layers_do_not_move_the_limit() -> None:
    rng = np.random.default_rng(1)
    sound = rng.normal(0, 2, 31)
    faulty = sound.copy()
    faulty[:10] += 100
    assert outlying(list(faulty)) < 4 * outlying(list(sound))
    assert outlying([]) == 0.0
