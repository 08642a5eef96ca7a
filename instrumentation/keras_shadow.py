"""A second, eager pass over a batch, for the layers of a call that could not be tapped.

Its output is dropped: what the application got stays what the first call gave. The layers
are summarised from this pass, whose kernels round as the eager ones do; the two differ by
float rounding. Nothing that the pass changes stays changed: Keras' variables are not
written at all, TensorFlow's own are put back, and so are the losses that layers added.
What it cannot undo: whatever else a model's Python code does when it runs, and the place
of TensorFlow's own random generators. Keras' are variables.
"""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .keras_model import import_keras
from .keras_tap import LayerCall, LayerTap
from .patching import untraced


def shadow_pass(
    model: Any, call: Callable[[], Any], on_call: Callable[[LayerCall], None] | None = None
) -> list[LayerCall]:
    """Run *call* once more than the application did, eagerly, to see a model's layers.

    Args:
        model: The ``keras.Model`` whose layers count.
        call: Calls it, such as `predict_call` returns.
        on_call: Gets each layer's call as it is made.

    Returns:
        The layers' calls; none with *on_call*, which got them.
    """
    with untraced(), kept_state(model), LayerTap(model, on_call=on_call) as tap:
        call()
    return tap.calls


def predict_call(model: Any, data: Any) -> Callable[[], Any]:
    """Return what ``predict`` computes for one batch, as a call that runs eagerly.

    Args:
        model: The ``keras.Model``.
        data: The batch as ``predict_step`` gets it: ``(x,)``, ``(x, y)``...
    """
    keras = import_keras("tracing a Keras model")
    if model.__class__.predict_step is not keras.Model.predict_step:
        return lambda: model.predict_step(data)
    inputs = keras.utils.unpack_x_y_sample_weight(data)[0]
    given = inputs if _is_structured(model, inputs) else [inputs]
    options = {"training": False} if getattr(model, "_call_has_training_arg", True) else {}
    return lambda: model(given, **options)


def _is_structured(model: Any, inputs: object) -> bool:
    """Whether *inputs* stand as the model wants them; some warn unless one is in a list."""
    wants_list = hasattr(model, "_nodes_by_depth") and isinstance(model.input, list)
    return not wants_list or isinstance(inputs, list | tuple | dict)


@contextmanager
def kept_state(model: Any) -> Generator[None]:
    """Leave a model's state and losses as they are, whatever is called in the block.

    Other threads that train or run the model meanwhile are not disturbed.
    """
    layers: list[Any] = list(model._flatten_layers())
    losses = [(layer, [*layer._losses], {*layer._loss_ids}) for layer in layers if layer._losses]
    before = [(variable, variable.numpy()) for variable in _foreign_variables(layers)]
    try:
        # In this scope Keras' variables take their new values aside.
        with import_keras("tracing a Keras model").StatelessScope():
            yield
    finally:
        for variable, value in before:
            if not np.array_equal(variable.numpy(), value):
                variable.assign(value)
        for layer, values, ids in losses:  # a call begins by clearing those of the last
            layer._losses[:] = values
            layer._loss_ids.update(ids)


def _foreign_variables(layers: list[Any]) -> list[Any]:
    """Return the TensorFlow variables that layers hold past Keras."""
    tensorflow: Any = sys.modules["tensorflow"]
    found: dict[int, Any] = {}
    for layer in layers:
        attributes: dict[str, Any] = layer.__dict__
        for value in list(attributes.values()):
            held: Any = value.state if isinstance(value, tensorflow.random.Generator) else value
            if isinstance(held, tensorflow.Variable):
                found[id(held)] = held
    return list(found.values())
