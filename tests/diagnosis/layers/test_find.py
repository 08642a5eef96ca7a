"""Faults planted into the demo's network are named, with files and without."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exray.diagnosis.causes import Replay
from exray.diagnosis.layers import find
from exray.diagnosis.layers.replay import LocalError
from exray.diagnosis.layers.suspects import Suspect
from exray.diagnosis.layers.tflite_model import TfliteModel
from exray.diagnosis.layers.workbench import Workbench
from exray.schema.errors import UsageError

from .faulty import (
    DEMO,
    FLOAT,
    INPUTS,
    INT8,
    SPEC,
    change_scale,
    diagnosed,
    one_weight_scale,
    record,
    stretch_output,
    with_fault,
    zero_bias,
)

BIAS_LAYER, RANGE_LAYER = 7, 4


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference, a sound build, and two with a fault each."""
    folder = tmp_path_factory.mktemp("faults")
    with_fault(INT8, folder / "bias.tflite", BIAS_LAYER, zero_bias)
    with_fault(INT8, folder / "range.tflite", RANGE_LAYER, stretch_output)
    record(folder / "lake", "reference", FLOAT)
    record(folder / "lake", "sound", INT8)
    record(folder / "lake", "bias", folder / "bias.tflite")
    record(folder / "lake", "range", folder / "range.tflite")
    return folder / "lake"


def files(edge: Path) -> Replay:
    return Replay(inputs=INPUTS, edge_model=edge, reference_model=FLOAT, preprocess=SPEC)


def test_a_sound_build_has_no_cause(lake: Path) -> None:
    assert diagnosed(lake, "sound", replay=files(INT8)).causes == ()
    assert diagnosed(lake, "sound").causes == ()


def test_a_zeroed_bias_is_named_as_one(lake: Path) -> None:
    replay = files(lake.parent / "bias.tflite")
    (cause,) = diagnosed(lake, "bias", replay=replay).causes
    assert (cause.code, cause.where.layer_index) == ("conversion.layer", BIAS_LAYER)
    assert cause.evidence["kind"] == "bias zeroed"
    local, sound = (cause.evidence[f"local_{x}_sqnr_db"] for x in ("builtin", "sound"))
    assert isinstance(local, float)
    assert isinstance(sound, float)
    assert sound > local + 3
    assert "has no bias, where the reference has one" in cause.what


def test_weights_are_compared_without_inputs_too(lake: Path) -> None:
    replay = Replay(edge_model=lake.parent / "bias.tflite", reference_model=FLOAT)
    (cause,) = diagnosed(lake, "bias", replay=replay).causes
    assert (cause.evidence["kind"], cause.where.layer_index) == ("bias zeroed", BIAS_LAYER)
    assert "frames_replayed" not in cause.evidence


def test_a_stretched_range_is_named_as_one(lake: Path) -> None:
    replay = files(lake.parent / "range.tflite")
    for baseline in (None, "sound"):
        cause = diagnosed(lake, "range", baseline, replay).causes[0]
        assert (cause.code, cause.where.layer_index) == ("quantization.range", RANGE_LAYER)
        assert cause.evidence["kind"] == "wasted range"


def test_a_scale_that_biases_were_not_made_for_is_blamed_on_its_layer(
    lake: Path, tmp_path: Path
) -> None:
    edge = with_fault(INT8, tmp_path / "scale.tflite", RANGE_LAYER, change_scale)
    record(lake, "scale", edge)
    cause = diagnosed(lake, "scale", replay=Replay(edge_model=edge, reference_model=FLOAT)).causes[
        0
    ]
    assert (cause.code, cause.where.layer_index) == ("quantization.range", RANGE_LAYER)
    assert cause.evidence["scale_ratio"] == pytest.approx(16, rel=0.01)


def test_the_lake_and_a_baseline_name_the_layer(lake: Path) -> None:
    cause = diagnosed(lake, "bias", "sound").causes[0]
    assert (cause.code, cause.where.layer_index) == ("quantization.layer", BIAS_LAYER)
    assert "worse than the baseline" in cause.what


def test_a_file_that_was_not_recorded_is_refused(lake: Path) -> None:
    with pytest.raises(UsageError, match=r"--edge-model .* is not the model that was recorded"):
        diagnosed(lake, "bias", replay=files(INT8))


def test_another_training_is_named_as_one(lake: Path, tmp_path: Path) -> None:
    model = TfliteModel.load(FLOAT)
    objects = model.edited()
    rng = np.random.default_rng(8)
    for op in model.ops:
        if len(op.inputs) == 3:
            buffer = objects.buffers[objects.subgraphs[0].tensors[op.inputs[1]].buffer]
            values = np.asarray(buffer.data).view(np.float32).copy()
            rng.shuffle(values)
            buffer.data = values.view(np.uint8)
    other = tmp_path / "other.tflite"
    other.write_bytes(model.pack(objects))
    record(lake, "other", other)
    replay = Replay(edge_model=other, reference_model=FLOAT)
    (cause,) = diagnosed(lake, "other", replay=replay).causes
    assert cause.code == "model.other_weights"
    assert cause.where.to_json() == {}


def test_one_scale_for_all_channels_is_named_from_the_lake_alone(
    lake: Path, tmp_path: Path
) -> None:
    edge = with_fault(INT8, tmp_path / "coarse.tflite", RANGE_LAYER, one_weight_scale)
    record(lake, "coarse", edge)
    first = diagnosed(lake, "coarse", "sound").causes[0]
    assert (first.code, first.where.layer_index) == ("quantization.per_tensor", RANGE_LAYER)
    assert "one scale for all" in first.what


def test_a_scale_that_was_one_before_is_not_to_blame(lake: Path, tmp_path: Path) -> None:
    coarse = with_fault(INT8, tmp_path / "before.tflite", RANGE_LAYER, one_weight_scale)
    worse = with_fault(coarse, tmp_path / "worse.tflite", RANGE_LAYER, change_scale)
    record(lake, "coarse before", coarse)
    record(lake, "worse", worse)
    causes = diagnosed(lake, "worse", "coarse before").causes
    assert causes
    assert "quantization.per_tensor" not in {cause.code for cause in causes}


def test_one_file_fed_two_inputs_has_no_kernel_at_fault(tmp_path: Path) -> None:
    record(tmp_path / "lake", "reference", FLOAT)
    record(tmp_path / "lake", "bgr", FLOAT, spec=DEMO / "edge.yaml")
    assert diagnosed(tmp_path / "lake", "bgr").causes == ()


def test_suspects_behind_three_that_are_sound_are_replayed_too(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another calibration of equal worth: the numbers blame five layers, the replay none."""
    weighted = [i for i, op in enumerate(TfliteModel.load(INT8).ops) if len(op.inputs) == 3][:5]
    suspects = tuple(map(_blamed, weighted))
    monkeypatch.setattr(find, "read_suspects", lambda _: suspects)
    asked: list[int] = []
    replayed = Workbench.local_error

    def local_error(bench: Workbench, index: int) -> LocalError | None:
        asked.append(index)
        return replayed(bench, index)

    monkeypatch.setattr(Workbench, "local_error", local_error)
    assert diagnosed(lake, "sound", "sound", files(INT8)).causes == ()
    assert asked[-5:] == weighted


def test_the_whole_file_run_here_is_as_far_from_the_reference_as_it_was_recorded(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "read_suspects", lambda _: (_blamed(BIAS_LAYER),))
    here: list[float | None] = []
    whole = Workbench.whole_db

    def whole_db(bench: Workbench, index: int) -> float | None:
        here.append(whole(bench, index))
        return here[-1]

    monkeypatch.setattr(Workbench, "whole_db", whole_db)
    comparison = diagnosed(lake, "sound", "sound", files(INT8)).comparison
    (recorded,) = (x for x in comparison.layers if x.layer_index == BIAS_LAYER)
    assert here == [pytest.approx(recorded.sqnr_db, abs=1.5)]


@pytest.mark.parametrize(("here_db", "codes"), [(26.0, []), (40.0, ["kernel.layer"])])
def test_a_layer_that_amplifies_what_it_inherits_is_not_its_kernels_fault(
    lake: Path, monkeypatch: pytest.MonkeyPatch, here_db: float, codes: list[str]
) -> None:
    """Alone it is far better than it was recorded; so it is here too, where the file is whole."""
    loses = replace(_blamed(BIAS_LAYER), drop_db=11.0, extra_drop_db=11.0)
    monkeypatch.setattr(find, "read_suspects", lambda _: (loses,))
    alone = LocalError({"xnnpack": 57.0, "builtin": 57.0}, 117.0, 120.0, 4)
    monkeypatch.setattr(Workbench, "local_error", lambda *_: alone)
    monkeypatch.setattr(Workbench, "whole_db", lambda *_: here_db)
    causes = diagnosed(lake, "sound", "sound", files(INT8)).causes
    assert [cause.code for cause in causes] == codes


def _blamed(layer_index: int) -> Suspect:
    """Return a layer that the lake's numbers convict."""
    return Suspect(
        suspicion=layer_index + 1,
        layer_index=layer_index,
        layer="conv",
        op="CONV_2D",
        sqnr_db=25.0,
        drop_db=0.0,
        rank_drop_db=0.0,
        baseline_sqnr_db=30.0,
        worse_db=5.0,
        extra_drop_db=0.0,
        threshold_db=3.0,
        same_inputs=True,
        fails=True,
        inputs_pass=True,
    )
