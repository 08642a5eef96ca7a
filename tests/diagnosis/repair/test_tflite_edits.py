"""Edited .tflite files: what they compute, run by the runtime."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from exray.diagnosis.layers.parameters import TfliteParameters
from exray.diagnosis.layers.reference_tensors import TfliteTensors
from exray.diagnosis.layers.replay import share_of_error
from exray.diagnosis.layers.tflite_model import TfliteModel
from exray.diagnosis.repair.tflite_edits import compute_in_float, recalibrate
from exray.playback.feed import fit, prepare
from exray.playback.spec import load_spec

from ..layers.faulty import change_scale
from .edges import FLOAT, IMAGES, INT8, RGB

Edit = Callable[[TfliteModel, Any], bool]


def edited(edit: Edit, model: TfliteModel | None = None) -> TfliteModel:
    loaded = model or TfliteModel.load(INT8)
    objects = loaded.edited()
    assert edit(loaded, objects)
    return TfliteModel(loaded.pack(objects), "edited")


def output_of(model: TfliteModel) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return what the layer before the last puts out for an image."""
    from exray.playback.dataset import open_dataset

    tensors = TfliteTensors(model)
    value = fit(
        prepare(open_dataset(IMAGES)[0].load(), load_spec(RGB), tensors.input), tensors.input
    )
    found = tensors.run(value)(len(model.ops) - 2)
    assert found is not None
    return found


def sqnr_db(model: TfliteModel) -> float:
    wanted = output_of(TfliteModel.load(FLOAT))
    return -10 * math.log10(share_of_error(output_of(model), wanted))


@pytest.mark.parametrize("layer", [0, 1, 3, 14])  # convolutions, an addition, a mean
def test_an_operator_in_floats_computes_the_same(layer: int) -> None:
    floats = edited(lambda m, o: compute_in_float(m, o, layer, None))
    before = TfliteModel.load(INT8).ops
    added = len(before[layer].inputs) if before[layer].op == "ADD" else 1
    assert [op.op for op in floats.ops].count("DEQUANTIZE") == added
    assert floats.ops[layer + added].op == before[layer].op
    assert share_of_error(output_of(floats), output_of(TfliteModel.load(INT8))) < 1e-2


def test_an_operator_in_floats_takes_the_references_weights() -> None:
    reference = TfliteParameters(TfliteModel.load(FLOAT)).of(2)
    floats = edited(lambda m, o: compute_in_float(m, o, 2, reference))
    index = next(i for i, op in enumerate(floats.ops) if op.op == "QUANTIZE") - 1
    stored = floats.constant(floats.ops[index].inputs[1])
    theirs = TfliteModel.load(FLOAT)
    wanted = theirs.constant(theirs.ops[2].inputs[1])
    assert stored is not None
    assert wanted is not None
    np.testing.assert_allclose(stored, wanted, rtol=1e-6)


def test_a_float_model_has_nothing_to_put_in_floats() -> None:
    model = TfliteModel.load(FLOAT)
    objects = model.edited()
    assert not compute_in_float(model, objects, 0, None)


def test_a_scale_that_fits_no_bias_is_mended_by_calibration() -> None:
    def spoil(model: TfliteModel, objects: Any) -> bool:
        change_scale(model, objects, 0)
        return True

    spoilt = edited(spoil)
    theirs = TfliteParameters(TfliteModel.load(FLOAT)).of
    mended = edited(lambda m, o: recalibrate(m, o, 0, (0.0, 6.0), theirs), spoilt)
    sound_db = sqnr_db(TfliteModel.load(INT8))
    assert sqnr_db(spoilt) < sound_db - 10
    assert sqnr_db(mended) > sound_db - 2


def test_a_range_is_not_changed_where_it_is_the_models_output() -> None:
    model = TfliteModel.load(INT8)
    objects = model.edited()
    assert not recalibrate(model, objects, len(model.ops) - 1, (0.0, 1.0), lambda _: None)
