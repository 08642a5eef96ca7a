"""Layers against the previous build's: what counts as worse, and on which frames."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from exray.diagnosis.entry import difference
from exray.diagnosis.gate import Gate, against_baseline, held_against
from exray.diagnosis.layer_frames import FrameLayer, LayerFrames

from .lakes import Recording, make_graph, make_lake, make_values, with_noise
from .scenes import open_scene

NAMES = ["stem", "body", "head"]
USUAL_DB = (30.0, 26.0, 22.0)
"""SQNR of the layers of a sound build."""


def make_frames(
    sqnr_db: Sequence[float], frames: Iterable[int] = range(16), seed: int = 0
) -> LayerFrames:
    """Return frames whose layers are so far from the reference's, give or take a decibel."""
    keys = np.array(list(frames), np.int64)
    layers = tuple(FrameLayer(i, name, "CONV_2D", i) for i, name in enumerate(NAMES))
    noise = np.random.default_rng(seed).normal(0, 1, (len(keys), len(NAMES)))
    return LayerFrames(keys, layers, np.array(sqnr_db) + noise)


def gate_of(
    edge_db: Sequence[float],
    edge_frames: Iterable[int] = range(16),
    before_frames: Iterable[int] = range(16),
    *,
    is_same_model: bool = True,
) -> Gate:
    """Return the gate of an edge against a sound previous build."""
    ours = make_frames(edge_db, edge_frames, seed=1)
    return held_against(
        ours, make_frames(USUAL_DB, before_frames, seed=2), is_same_model=is_same_model
    )


def test_a_layer_that_lost_is_named_with_its_loss() -> None:
    gate = gate_of((30.0, 16.0, 22.0))
    ((layer, loss_db, p),) = gate.worse
    assert (layer.layer_index, layer.layer, layer.op) == (1, "body", "CONV_2D")
    assert loss_db == pytest.approx(10.0, abs=1.0)
    assert p < 0.01


def test_a_build_as_good_as_the_previous_one_has_no_worse_layer() -> None:
    gate = gate_of(USUAL_DB)
    assert (gate.worse, gate.frames_missing, gate.same_inputs) == ([], 0, True)


def test_two_decibels_count_where_nothing_but_the_build_changed() -> None:
    assert [found[0].layer for found in gate_of((28.0, 26.0, 22.0)).worse] == ["stem"]


def test_two_decibels_do_not_count_for_another_model_file() -> None:
    gate = gate_of((28.0, 26.0, 22.0), is_same_model=False)
    assert (gate.floor_db, gate.worse) == (3.0, [])


def test_other_inputs_are_compared_as_two_samples() -> None:
    gate = gate_of((30.0, 16.0, 22.0), range(20), range(100, 116))
    assert (gate.same_inputs, gate.frames, gate.floor_db) == (False, 16, 6.0)
    assert [found[0].layer for found in gate.worse] == ["body"]


def test_four_decibels_do_not_count_between_other_inputs() -> None:
    worse = (30.0, 22.0, 22.0)
    assert gate_of(worse, range(20), range(100, 116)).worse == []
    assert [found[0].layer for found in gate_of(worse).worse] == ["body"]


def test_few_frames_are_told_with_how_many_are_missing() -> None:
    gate = gate_of(USUAL_DB, range(4), range(4))
    assert gate.worse == []
    assert gate.frames_missing >= 2


def test_without_common_layers_there_is_nothing_to_say() -> None:
    ours = make_frames(USUAL_DB)
    other = LayerFrames(ours.input_keys, (), ours.sqnr_db[:, :0])
    assert held_against(ours, other, is_same_model=False).worse == []


def test_numbers_come_from_the_lake(tmp_path: Path) -> None:
    graphs = [make_graph(sha, NAMES) for sha in ("aa", "bb")]
    builds = [Recording(graphs[0], name) for name in ("e", "before")]
    reference = Recording(graphs[1], "r", "reference")
    for frame in range(8):
        exact = {i: make_values(10 * frame + i) for i in range(3)}
        reference.add(f"{frame}.png", make_values(frame + 500), exact)
        for build, body_db in zip(builds, (10.0, 26.0), strict=True):
            noisy = {i: with_noise(x, 26.0, seed=10 * frame + i) for i, x in exact.items()}
            noisy[1] = with_noise(exact[1], body_db, seed=10 * frame)
            build.add(f"{frame}.png", make_values(frame + 500), noisy)
    scene = open_scene(make_lake(tmp_path / "lake", *builds, reference), baseline="before")
    gate = against_baseline(scene)
    assert gate is not None
    ((layer, loss_db, _),) = gate.worse
    assert (layer.layer, layer.reference_layer_index) == ("body", 1)
    assert loss_db == pytest.approx(16.0, abs=2.0)
    entry = difference(scene)
    assert entry is not None
    assert entry.where.layer == "body"


def test_a_float_layer_that_agrees_is_as_good_as_one_that_was_equal() -> None:
    before = make_frames((140.0, 140.0, 140.0), seed=2)
    for head_db, worse in ((55.0, []), (34.0, []), (25.0, ["head"])):
        edge_db = (140.0, 70.0, head_db)
        gate = held_against(make_frames(edge_db, seed=1), before, is_same_model=False)
        assert [layer.layer for layer, _, _ in gate.worse] == worse
