"""Places of a model are objects that stay the same; inputs are as the model computes."""

import importlib
from typing import Any

import numpy as np
import pytest

from exray.instrumentation import keras_layers
from exray.instrumentation.keras_layers import Sites, arrays_from_tensors, model_inputs
from exray.schema.records import LayerSite

from .keras_builders import sequential, subclassed

pytestmark = pytest.mark.keras


@pytest.fixture(name="keras", scope="module")
def keras_fixture() -> Any:
    pytest.importorskip("tensorflow")
    return importlib.import_module("keras")


def test_equal_places_are_one_object_and_other_shapes_another() -> None:
    sites = Sites()
    ((first, _),) = sites.edge("input", [np.zeros((1, 2))])
    ((again, _),) = sites.edge("input", [np.ones((1, 2))])
    ((other, _),) = sites.edge("input", [np.ones((2, 2))])
    assert first is again
    assert first != other


def test_inputs_and_outputs_are_numbered_by_name_from_the_second_on() -> None:
    seen = Sites().edge("output", [np.zeros(1), np.zeros(2)])
    assert [(site.name, site.index) for site, _ in seen] == [("output", 0), ("output:1", 1)]


def test_a_list_of_layers_is_shared_while_it_is_the_same() -> None:
    sites = Sites()
    first, second = (sites.layer(LayerSite(i, f"{i}", "Dense")) for i in range(2))
    shared = sites.share([first, second])
    assert sites.share([first, second]) is shared
    assert sites.share([second, first]) is not shared


def test_shapes_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_layers, "MOST_SITES", 3)
    sites = Sites()
    first, *_ = (sites.edge("input", [np.zeros(length)])[0][0] for length in range(4))
    ((again, _),) = sites.edge("input", [np.zeros(0)])
    assert again == first
    assert again is not first  # forgotten


def test_what_has_no_dense_values_is_left_out() -> None:
    tensorflow = pytest.importorskip("tensorflow")
    ragged = tensorflow.ragged.constant([[1.0], [2.0, 3.0]])
    arrays = arrays_from_tensors({"a": ragged, "b": tensorflow.ones(2), "c": None, "d": "text"})
    assert [array.tolist() for array in arrays] == [[1.0, 1.0]]


def test_inputs_have_the_type_that_the_model_computes_with(keras: Any) -> None:
    given = [np.ones((1, 3), kind) for kind in ("float64", "uint8", "float32")]
    declared = [model_inputs(sequential(keras), value)[0].dtype.name for value in given]
    converted = [model_inputs(subclassed(keras), value)[0].dtype.name for value in given]
    assert declared == ["float32", "float32", "float32"]
    assert converted == ["float32", "uint8", "float32"]  # Keras converts floats alone


def test_integers_and_strings_that_a_model_takes_stay(keras: Any) -> None:
    model = keras.Sequential([keras.Input((2,), dtype="int64"), keras.layers.Embedding(3, 2)])
    assert model_inputs(model, np.ones((1, 2), np.int64))[0].dtype == np.int64
    text = np.array([[b"a", b"b"]], object)
    assert model_inputs(model, text)[0] is text
